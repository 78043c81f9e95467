// Package dsn reads what mail systems send back: delivery status notifications
// (RFC 3464), the notes of systems that know no such form, and complaints in
// the Abuse Reporting Format (RFC 5965).
//
//	raw ─▶ feedback-report? ─▶ complaint
//	    └▶ delivery-status? ─▶ permanent │ transient │ not a failure
//	    └▶ from a mailer?   ─▶ the same, from the words of its note
//	    └▶ none of these    ─▶ [NotReport]
//
// A report comes from strangers and is easily forged. The package says what it
// claims and no more: which mail it is about is told by the address it came to,
// never by its content, and that is the caller's business. It sends nothing.
package dsn

import (
	"strings"
	"time"
	"unicode"

	"invited/mail/sink/mime"
)

// Kind says what a report is about.
type Kind string

// The kinds.
const (
	NotReport Kind = ""          // neither a failure nor a complaint
	Permanent Kind = "permanent" // the mail was not delivered and will not be
	Transient Kind = "transient" // it is late, or was given up after waiting
	Complaint Kind = "complaint" // the recipient called it junk
)

// Report is what a message reports of one mail. Texts are one line of
// printable characters, at most 1,000 bytes.
type Report struct {
	Kind       Kind
	Recipient  string // as claimed; may be empty
	Action     string // RFC 3464 section 2.3.3, such as "failed" or "delayed"; of a complaint its Feedback-Type
	Status     string // RFC 3463, such as "5.1.1"; empty for complaints
	Diagnostic string // what the other side said; may be empty
	Reporter   string // who reports: Reporting-MTA, or User-Agent of a complaint
	EnvelopeID string // Original-Envelope-Id; may be empty
}

// Delayed reports whether the mail is still being tried by its relay.
func (r Report) Delayed() bool { return r.Kind == Transient && r.Action == "delayed" }

// Suppress reports whether nothing more should be mailed to the recipient: it
// complained, does not exist, or takes no mail from us. Statuses 5.1.7 and
// 5.1.8 say that our own address is wrong, so they are not held against it.
func (r Report) Suppress() bool {
	switch {
	case r.Kind == Complaint:
		return true
	case r.Kind != Permanent, r.Status == "5.1.7", r.Status == "5.1.8":
		return false
	default:
		return strings.HasPrefix(r.Status, "5.1.") || r.Status == "5.7.1"
	}
}

// limits bound what reading one report may cost.
var limits = mime.Limits{Depth: 6, Parts: 50, Text: 256 << 10, Links: 1, Time: time.Second}

const (
	maxText   = 1000     // bytes kept of a field
	maxStatus = 64 << 10 // bytes read of a machine-readable part
	maxBlocks = 1000     // recipients looked at
)

// Parse reads a message. It never fails: what is no report is [NotReport].
func Parse(raw []byte) Report {
	m, _ := mime.Parse(raw, limits) // of a message that is too complex, what was read
	for _, p := range m.Parts {
		switch p.ContentType {
		case "message/feedback-report":
			return readComplaint(p)
		case "message/delivery-status", "message/global-delivery-status":
			return readStatus(p, m.Text)
		}
	}
	return readNote(m)
}

// readComplaint reads the middle part of RFC 5965. A report of mail that is no
// junk, or of failed authentication, is no complaint.
func readComplaint(p mime.Part) Report {
	f := fields(first(blocks(p.Content())))
	r := Report{
		Kind: Complaint, Action: strings.ToLower(f["feedback-type"]), Recipient: address(f["original-rcpt-to"]),
		Reporter: f["reporting-mta"], EnvelopeID: f["original-envelope-id"],
	}
	if r.Recipient == "" {
		r.Recipient = address(f["removal-recipient"])
	}
	if r.Reporter = value(r.Reporter); r.Reporter == "" {
		r.Reporter = f["user-agent"]
	}
	switch r.Action {
	case "abuse", "fraud", "virus", "opt-out", "opt-out-list", "other", "miscategorized":
		return r
	default:
		return Report{}
	}
}

// readStatus reads the middle part of RFC 3464. Of several recipients it takes
// the one that fared worst: our mails have one.
func readStatus(p mime.Part, text string) Report {
	all := blocks(p.Content())
	if len(all) == 0 {
		return Report{}
	}
	message := fields(all[0])
	worst := Report{}
	for i, b := range all {
		f := fields(b)
		if f["action"] == "" && f["status"] == "" {
			continue // about the message, or empty
		}
		r := recipientReport(f)
		if i == 0 || rank(r.Kind) > rank(worst.Kind) || worst.Action == "" {
			worst = r
		}
	}
	if worst.Kind == NotReport {
		return Report{}
	}
	if worst.Diagnostic == "" {
		worst.Diagnostic = sentence(text)
	}
	worst.Reporter = value(message["reporting-mta"])
	worst.EnvelopeID = message["original-envelope-id"]
	return worst
}

// recipientReport reads the fields of one recipient.
func recipientReport(f map[string]string) Report {
	r := Report{
		Action: strings.ToLower(word(f["action"])), Status: statusIn(f["status"]), Diagnostic: value(f["diagnostic-code"]),
		Recipient: address(value(f["original-recipient"])),
	}
	if final := address(value(f["final-recipient"])); final != "" {
		r.Recipient = final
	}
	// Many systems say x.0.0 where the other side was more precise.
	if said := statusIn(r.Diagnostic); said != "" && (r.Status == "" || vague(r.Status) && said[0] == r.Status[0]) {
		r.Status = said
	}
	if r.Status == "" {
		r.Status = codeIn(r.Diagnostic)
	}
	switch r.Action {
	case "delayed":
		r.Kind = Transient
	case "failed", "":
		r.Action = "failed"
		r.Kind = Permanent
		if strings.HasPrefix(r.Status, "4") {
			r.Kind = Transient
		}
		if r.Status == "" {
			r.Status = "5.0.0"
		}
	}
	if strings.HasPrefix(r.Status, "2") {
		r.Kind = NotReport
	}
	return r
}

// rank orders kinds by how bad they are.
func rank(k Kind) int {
	switch k {
	case Permanent:
		return 2
	case Transient:
		return 1
	default:
		return 0
	}
}

// blocks splits a part into groups of lines between empty lines.
func blocks(content []byte) [][]string {
	if len(content) > maxStatus {
		content = content[:maxStatus]
	}
	var out [][]string
	var block []string
	end := func() {
		if len(block) > 0 && len(out) < maxBlocks {
			out = append(out, block)
		}
		block = nil
	}
	for line := range strings.Lines(string(content)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			end()
			continue
		}
		block = append(block, line)
	}
	end()
	return out
}

// first returns the first block, or none.
func first(all [][]string) []string {
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// fields reads a block as header fields, unfolded, names in lower case. Of a
// field that comes twice the first counts.
func fields(block []string) map[string]string {
	out := map[string]string{}
	last := ""
	for _, line := range block {
		if (line[0] == ' ' || line[0] == '\t') && last != "" {
			out[last] = clean(out[last] + " " + strings.TrimSpace(line))
			continue
		}
		name, text, ok := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || out[name] != "" {
			last = ""
			continue
		}
		out[name], last = clean(text), name
	}
	return out
}

// value removes the type that stands before a semicolon, as in "rfc822; a@b".
func value(s string) string {
	if kind, rest, ok := strings.Cut(s, ";"); ok && !strings.ContainsAny(strings.TrimSpace(kind), " @") {
		return strings.TrimSpace(rest)
	}
	return s
}

// address removes angle brackets.
func address(s string) string { return strings.Trim(s, "<> ") }

// word returns the first word: some systems add a remark.
func word(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}

// clean makes foreign text one printable line of bounded length.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > 4*maxText {
		s = strings.ToValidUTF8(s[:4*maxText], "")
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
