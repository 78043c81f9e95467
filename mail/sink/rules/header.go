package rules

import (
	"strings"
	"time"
	"unicode"
)

var singletons = []string{
	"From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Date", "Message-ID", "In-Reply-To", "References", "Subject",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

func duplicateField(m *mail) (string, bool) {
	for _, name := range singletons {
		if m.fields[strings.ToLower(name)] > 1 {
			return name, true
		}
	}
	return "", false
}

// brands are names that are abused most, as words of a display name, with the
// domains that may rightly use them. Words of daily language are left out.
var brands = []struct {
	words   []string
	domains []string
}{
	// onmicrosoft.example is where this sink's own emulator has its tenants.
	{
		[]string{"microsoft", "microsoftonline", "office 365", "office365", "outlook", "azure", "onedrive", "sharepoint"},
		[]string{"microsoft.com", "microsoftonline.com", "onmicrosoft.com", "onmicrosoft.example", "office.com", "office365.com", "outlook.com", "live.com", "azure.com", "sharepoint.com", "sharepointonline.com", "windows.com"},
	},
	{[]string{"google", "gmail"}, []string{"google.com", "gmail.com", "googlemail.com", "youtube.com"}},
	{[]string{"paypal"}, []string{"paypal.com", "paypal.de", "paypal.co.uk"}},
	{[]string{"amazon"}, []string{"amazon.com", "amazon.de", "amazon.co.uk", "amazonaws.com"}},
	{[]string{"apple id", "apple support", "icloud"}, []string{"apple.com", "icloud.com"}},
	{[]string{"docusign"}, []string{"docusign.com", "docusign.net"}},
	{[]string{"facebook", "instagram", "whatsapp"}, []string{"facebook.com", "facebookmail.com", "instagram.com", "whatsapp.com", "meta.com"}},
	{[]string{"linkedin"}, []string{"linkedin.com"}},
	{[]string{"netflix"}, []string{"netflix.com"}},
	{[]string{"dhl"}, []string{"dhl.com", "dhl.de"}},
	{[]string{"dropbox"}, []string{"dropbox.com", "dropboxmail.com"}},
}

func brandInName(m *mail) (string, bool) {
	for _, p := range m.From {
		name := " " + skeleton(p.Name) + " "
		_, domain, _ := cutAddress(p.Address)
		for i, b := range brands {
			if !containsAny(name, brandWords[i]) {
				continue
			}
			own := false
			for _, d := range b.domains {
				own = own || within(domain, d)
			}
			if !own {
				return "From: " + p.Name, true
			}
		}
	}
	return "", false
}

// brandWords are the words of brands as [skeleton] writes them, padded.
var brandWords = func() [][]string {
	out := make([][]string, len(brands))
	for i, b := range brands {
		for _, w := range b.words {
			out[i] = append(out[i], " "+skeleton(w)+" ")
		}
	}
	return out
}()

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// lookalikes are the letters that pass for Latin ones at a glance.
var lookalikes = map[rune]rune{
	'а': 'a', 'е': 'e', 'о': 'o', 'р': 'p', 'с': 'c', 'х': 'x', 'у': 'y', 'ѕ': 's', 'ј': 'j', 'к': 'k', 'м': 'm', 'т': 't', 'ԁ': 'd', 'ɡ': 'g',
	'α': 'a', 'ο': 'o', 'ρ': 'p', 'ν': 'v', 'κ': 'k', '0': 'o', '1': 'l', '3': 'e', '5': 's', '$': 's', '|': 'l', 'i': 'l', 'і': 'l', 'ι': 'l',
}

// skeleton writes a name in lower case with look-alikes replaced and all but
// letters and digits as single spaces; i, l and 1 become one letter. Words that
// are numbers are left alone.
func skeleton(name string) string {
	var b strings.Builder
	for _, w := range strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '$' && r != '|'
	}) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if strings.Trim(w, "0123456789") == "" {
			b.WriteString(w)
			continue
		}
		for _, r := range w {
			if l, ok := lookalikes[r]; ok {
				r = l
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

func addressInName(m *mail) (string, bool) {
	for _, p := range m.From {
		_, own, _ := cutAddress(p.Address)
		for _, word := range strings.Fields(p.Name) {
			_, domain, ok := cutAddress(strings.Trim(word, `"'<>()[],;:.`))
			if ok && strings.Contains(domain, ".") && !related(domain, own) {
				return "From: " + p.Name, true
			}
		}
	}
	return "", false
}

func missingDate(m *mail) (string, bool) {
	return "Date", m.Date.IsZero()
}

func dateOff(m *mail) (string, bool) {
	if m.Date.IsZero() || m.scenario.Received.IsZero() {
		return "", false
	}
	off := m.scenario.Received.Sub(m.Date)
	return "Date: " + m.Date.Format(time.RFC1123Z), off > 24*time.Hour || off < -24*time.Hour
}

func missingMessageID(m *mail) (string, bool) { return "Message-ID", m.MessageID == "" }

func messageIDNotFQDN(m *mail) (string, bool) {
	if m.MessageID == "" {
		return "", false
	}
	_, domain, ok := cutAddress(m.MessageID)
	return "Message-ID: " + m.MessageID, !ok || !strings.Contains(domain, ".") || within(domain, "localdomain")
}

func missingTo(m *mail) (string, bool) { return "To", !m.has("To") }

func subjectEmpty(m *mail) (string, bool) { return "Subject", strings.TrimSpace(m.Subject) == "" }

func subjectCaps(m *mail) (string, bool) {
	upper := 0
	for _, r := range m.Subject {
		if unicode.IsLower(r) {
			return "", false
		}
		if unicode.IsUpper(r) {
			upper++
		}
	}
	return "Subject: " + m.Subject, upper >= 8
}

func subject8Bit(m *mail) (string, bool) {
	if m.scenario.SMTPUTF8 {
		return "", false
	}
	return "Subject", !ascii(m.get("Subject"))
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func subjectFakeReply(m *mail) (string, bool) {
	s := strings.ToLower(strings.TrimSpace(m.Subject))
	reply := strings.HasPrefix(s, "re:") || strings.HasPrefix(s, "aw:") || strings.HasPrefix(s, "re :")
	return "Subject: " + m.Subject, reply && !m.has("In-Reply-To") && !m.has("References")
}

// freemail are providers where anybody gets an address.
var freemail = []string{
	"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "ymail.com", "aol.com", "icloud.com", "me.com",
	"gmx.de", "gmx.net", "gmx.com", "web.de", "mail.com", "mail.ru", "yandex.ru", "yandex.com", "proton.me", "protonmail.com", "zoho.com", "qq.com", "163.com",
}

func replyToFreemail(m *mail) (string, bool) {
	for _, p := range m.ReplyTo {
		_, domain, _ := cutAddress(p.Address)
		for _, f := range freemail {
			if domain == f && m.fromDomain != f {
				return "Reply-To: " + p.Address, true
			}
		}
	}
	return "", false
}

func replyToOther(m *mail) (string, bool) {
	for _, p := range m.ReplyTo {
		if _, domain, ok := cutAddress(p.Address); ok && m.fromDomain != "" && !related(domain, m.fromDomain) {
			return "Reply-To: " + p.Address, true
		}
	}
	return "", false
}

func mimeVersionMissing(m *mail) (string, bool) {
	return "MIME-Version", !m.has("MIME-Version") && (m.has("Content-Type") || m.has("Content-Transfer-Encoding"))
}

func noUnsubscribe(m *mail) (string, bool) { return "List-Unsubscribe", !m.has("List-Unsubscribe") }

func noAutoSubmitted(m *mail) (string, bool) { return "Auto-Submitted", !m.has("Auto-Submitted") }
