package compose

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message"

	"invited/mail"
)

// Limits of a header. Source: RFC 5322 §2.1.1; the cap on one value is ours.
const (
	softLine = 76
	hardLine = 998
	maxValue = 4096
)

// header checks a draft and returns its header in the order of the package
// comment.
func header(d Draft) (message.Header, error) {
	if err := check(d); err != nil {
		return message.Header{}, err
	}
	fields := []Field{
		{"Date", d.Date.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")},
		{"From", d.From.String()},
		{"Reply-To", d.ReplyTo.String()},
		{"To", d.To.String()},
		{"Cc", addressList(d.Cc)},
		{"Subject", unstructured("Subject", d.Subject)},
		{"Message-ID", "<" + d.MessageID + ">"},
		{"MIME-Version", "1.0"},
		{"Content-Type", `multipart/alternative; boundary="` + boundary(d.MessageID) + `"`},
		{"Content-Language", d.Language},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834: keeps absence notes away
		{"List-Unsubscribe", brackets(d.Unsubscribe)},
		{"List-Unsubscribe-Post", oneClick(d.OneClick)},
		{"Feedback-ID", d.FeedbackID},
	}
	fields = append(fields, d.Extra...)

	var h message.Header
	for i := len(fields) - 1; i >= 0; i-- { // AddRaw puts a field on top
		f := fields[i]
		if f.Value == "" {
			continue
		}
		raw, ok := fold(f.Name, f.Value)
		if !ok {
			return message.Header{}, &FieldError{Field: f.Name, Rule: "it has a word too long for a line of 998 bytes"}
		}
		h.AddRaw(raw)
	}
	return h, nil
}

// check returns a [*FieldError] for the first field of d that breaks a rule.
func check(d Draft) error {
	if id, err := mail.ParseAddress(d.MessageID); err != nil || id.String() != d.MessageID {
		return &FieldError{Field: "MessageID", Rule: "it is not of the form left@domain.name"}
	}
	if y := d.Date.Year(); d.Date.IsZero() || y < 1900 || y > 9999 {
		return &FieldError{Field: "Date", Rule: "it is missing or beyond four digits"}
	}
	for _, m := range []struct {
		field    string
		mailbox  mail.Mailbox
		required bool
	}{{"From", d.From, true}, {"ReplyTo", d.ReplyTo, false}, {"To", d.To, true}} {
		if m.mailbox.IsZero() && !m.required {
			continue
		}
		if err := checkMailbox(m.field, m.mailbox); err != nil {
			return err
		}
	}
	for _, m := range d.Cc {
		if err := checkMailbox("Cc", m); err != nil {
			return err
		}
	}
	if strings.TrimSpace(d.Subject) == "" {
		return &FieldError{Field: "Subject", Rule: "it is empty"}
	}
	if err := checkText("Subject", d.Subject); err != nil {
		return err
	}
	if d.Text == "" || d.HTML == "" {
		return &FieldError{Field: "Text", Rule: "the mail needs both a text and an HTML part"}
	}
	return checkExtra(d)
}

// checkExtra checks the fields that most mails lack.
func checkExtra(d Draft) error {
	if err := checkToken("Language", d.Language, false); err != nil {
		return err
	}
	if err := checkToken("FeedbackID", d.FeedbackID, true); err != nil {
		return err
	}
	if err := checkUnsubscribe(d); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range d.Extra {
		key := strings.ToLower(f.Name)
		switch {
		case !strings.HasPrefix(f.Name, "X-") || len(f.Name) < 3 || len(f.Name) > 70 || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
			return &FieldError{Field: "Extra", Rule: "a name is not X- followed by letters, digits and hyphens"}
		case seen[key]:
			return &FieldError{Field: f.Name, Rule: "it is there twice"}
		case strings.TrimSpace(f.Value) == "":
			return &FieldError{Field: f.Name, Rule: "it is empty"}
		}
		seen[key] = true
		if err := checkToken(f.Name, f.Value, true); err != nil {
			return err
		}
	}
	return nil
}

// checkUnsubscribe checks the URL for List-Unsubscribe.
func checkUnsubscribe(d Draft) error {
	if d.Unsubscribe == "" {
		if d.OneClick {
			return &FieldError{Field: "OneClick", Rule: "there is no Unsubscribe to click on"}
		}
		return nil
	}
	if err := checkToken("Unsubscribe", d.Unsubscribe, false); err != nil {
		return err
	}
	u, err := url.Parse(d.Unsubscribe)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(d.Unsubscribe, "<>,"):
		return &FieldError{Field: "Unsubscribe", Rule: "it is not an http or https URL"}
	case d.OneClick && u.Scheme != "https":
		return &FieldError{Field: "OneClick", Rule: "RFC 8058 asks for an https URL"}
	}
	return nil
}

// checkMailbox checks one mailbox of a header field.
func checkMailbox(field string, m mail.Mailbox) error {
	if err := checkAddress(field, m.Address); err != nil {
		return err
	}
	return checkText(field+".Name", m.Name)
}

// checkAddress refuses addresses that did not come from mail.ParseAddress.
func checkAddress(field string, a mail.Address) error {
	if again, err := mail.ParseAddress(a.String()); err != nil || again != a {
		return &FieldError{Field: field, Rule: "it is not an address"}
	}
	return nil
}

// checkText refuses text that cannot stand in a header line.
func checkText(field, s string) error {
	if len(s) > maxValue {
		return &FieldError{Field: field, Rule: "it is longer than 4,096 bytes"}
	}
	if !utf8.ValidString(s) {
		return &FieldError{Field: field, Rule: "it is not UTF-8 text"}
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == 0x2028 || r == 0x2029 {
			return &FieldError{Field: field, Rule: "it holds a control character or line separator"}
		}
	}
	return nil
}

// checkToken refuses text that is not printable ASCII.
func checkToken(field, s string, spaces bool) error {
	if err := checkText(field, s); err != nil {
		return err
	}
	for i := range len(s) {
		if s[i] > '~' || s[i] == ' ' && !spaces {
			return &FieldError{Field: field, Rule: "it holds a space or a character outside ASCII"}
		}
	}
	return nil
}

// unstructured returns the value of an unstructured field, in encoded-words if
// it is not plain ASCII or looks like one.
func unstructured(name, s string) string {
	for i := range len(s) {
		if s[i] > '~' {
			return mail.EncodeWords(s, len(name)+2)
		}
	}
	if strings.Contains(s, "=?") || s != strings.TrimSpace(s) || strings.Contains(s, "  ") || longestWord(s) > hardLine/2 {
		return mail.EncodeWords(s, len(name)+2)
	}
	return s
}

// longestWord returns the length of the longest run without a space.
func longestWord(s string) int {
	longest := 0
	for word := range strings.SplitSeq(s, " ") {
		longest = max(longest, len(word))
	}
	return longest
}

// addressList joins mailboxes.
func addressList(list []mail.Mailbox) string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = m.String()
	}
	return strings.Join(out, ", ")
}

// brackets returns <s>, or "" for "".
func brackets(s string) string {
	if s == "" {
		return ""
	}
	return "<" + s + ">"
}

// oneClick returns the value of List-Unsubscribe-Post (RFC 8058 §3.1).
func oneClick(yes bool) string {
	if yes {
		return "List-Unsubscribe=One-Click"
	}
	return ""
}

// fold returns a field with its line ends, broken before spaces so that lines
// stay within 76 bytes where they can. It reports false if a line would exceed
// 998 bytes. A line of nothing but spaces is never made.
func fold(name, value string) ([]byte, bool) {
	out := make([]byte, 0, len(name)+len(value)+16)
	out = append(out, name...)
	out = append(out, ':', ' ')
	line, first := len(out), true // length of the current line; no fold before the first word
	for value != "" {
		n := wordEnd(value)
		if !first && line+n > softLine {
			out = append(out, "\r\n"...)
			line = 0
		}
		out = append(out, value[:n]...)
		line += n
		if line > hardLine {
			return nil, false
		}
		value, first = value[n:], false
	}
	return append(out, "\r\n"...), true
}

// wordEnd returns the end of the first word of s with the spaces before it.
// Trailing spaces belong to the word, or they would make a line of their own.
func wordEnd(s string) int {
	start := len(s) - len(strings.TrimLeft(s, " "))
	end := strings.IndexByte(s[start:], ' ')
	if end < 0 || strings.TrimLeft(s[start+end:], " ") == "" {
		return len(s)
	}
	return start + end
}
