package rules

import (
	"bytes"
	"path"
	"strings"
	"unicode"
)

// gtubeString is the Generic Test for Unsolicited Bulk Email.
const gtubeString = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

func gtube(m *mail) (string, bool) {
	return "body", bytes.Contains(m.Raw, []byte(gtubeString)) || strings.Contains(m.Text, gtubeString) || strings.Contains(m.HTMLText, gtubeString)
}

// programs are endings of files that run when opened.
var programs = map[string]bool{
	".exe": true, ".scr": true, ".bat": true, ".cmd": true, ".com": true, ".pif": true, ".vbs": true, ".vbe": true, ".js": true, ".jse": true, ".wsf": true,
	".wsh": true, ".msi": true, ".msp": true, ".ps1": true, ".hta": true, ".lnk": true, ".jar": true, ".cpl": true, ".reg": true, ".dll": true, ".iso": true, ".img": true,
}

func programAttached(m *mail) (string, bool) {
	for _, p := range m.Parts {
		name := strings.ToLower(strings.TrimRight(p.FileName, ". "))
		if programs[path.Ext(name)] || p.ContentType == "application/x-msdownload" || p.ContentType == "application/x-msdos-program" {
			return "part " + p.ID + ": " + p.FileName, true
		}
	}
	return "", false
}

func htmlOnly(m *mail) (string, bool) {
	return "text/html", m.HTML != "" && strings.TrimSpace(m.Text) == ""
}

func imageOnly(m *mail) (string, bool) {
	const few = 100 // characters
	if m.HTML == "" || len(m.HTMLText) >= few {
		return "", false
	}
	return "text/html", strings.Contains(strings.ToLower(m.HTML), "<img")
}

func base64ASCII(m *mail) (string, bool) {
	for _, p := range m.Parts {
		if p.Encoding == "base64" && p.ASCII && (p.ContentType == "text/plain" || p.ContentType == "text/html") {
			return "part " + p.ID, true
		}
	}
	return "", false
}

// bareLF and longLine look at the line ends of the whole message.
func bareLF(m *mail) (string, bool) {
	for i := 0; ; {
		n := bytes.IndexByte(m.Raw[i:], '\n')
		if n < 0 {
			return "", false
		}
		if i+n == 0 || m.Raw[i+n-1] != '\r' {
			return "line ends", true
		}
		i += n + 1
	}
}

func longLine(m *mail) (string, bool) {
	const longest = 998
	for rest := m.Raw; len(rest) > longest; {
		n := bytes.IndexByte(rest, '\n')
		if n < 0 {
			return "body", true
		}
		if n > longest+1 || n == longest+1 && rest[n-1] != '\r' {
			return "body", true
		}
		rest = rest[n+1:]
	}
	return "", false
}

// hidden are ways to keep words of the HTML from the reader, in lower case and
// without spaces; a number must end after them.
var hidden = []string{"display:none", "visibility:hidden", "font-size:0", "opacity:0", "max-height:0"}

// hides reports whether a style hides what it applies to.
func hides(style string) bool {
	style = strings.ReplaceAll(style, " ", "")
	for _, h := range hidden {
		if i := strings.Index(style, h); i >= 0 {
			rest := style[i+len(h):]
			if rest == "" || rest[0] != '.' && !isDigit(rest[0]) {
				return true
			}
		}
	}
	return false
}

// hiddenText asks for more words than the preview line that many mails hide.
func hiddenText(m *mail) (string, bool) {
	const preview = 150 // characters
	found := 0
	low := strings.ToLower(m.HTML)
	for rest := low; found <= preview; {
		start := strings.Index(rest, "style=")
		if start < 0 || start+7 > len(rest) {
			break
		}
		quote := rest[start+6]
		rest = rest[start+7:]
		end := strings.IndexByte(rest, quote)
		if end < 0 || end > 4096 {
			continue
		}
		style := rest[:end]
		rest = rest[end+1:]
		if hides(style) {
			found += lettersUpToEnd(rest)
		}
	}
	return "text/html", found > preview
}

// lettersUpToEnd counts the letters between the end of a tag and the first
// end tag, but no more than matter.
func lettersUpToEnd(s string) (n int) {
	if len(s) > 4096 {
		s = s[:4096]
	}
	_, s, _ = strings.Cut(s, ">")
	s, _, _ = strings.Cut(s, "</")
	for _, r := range s {
		if unicode.IsLetter(r) {
			n++
		}
	}
	return n
}

// pressing are phrases that hurry the reader, in lower case.
var pressing = []string{
	"act now", "act immediately", "urgent action", "urgently", "immediate action", "within 24 hours", "final notice", "final warning", "last warning",
	"account will be suspended", "account has been suspended", "account will be closed", "verify your account", "confirm your identity", "you must respond",
	"dringend handeln", "sofort handeln", "letzte warnung", "konto wird gesperrt", "innerhalb von 24 stunden",
}

// urgency asks for one phrase in the subject or two in the text.
func urgency(m *mail) (string, bool) {
	subject := strings.ToLower(m.Subject)
	if strings.Contains(subject, "urgent") || strings.Contains(subject, "dringend") {
		return "Subject: " + m.Subject, true
	}
	found := ""
	for _, p := range pressing {
		if strings.Contains(subject, p) {
			return "Subject: " + m.Subject, true
		}
		if !strings.Contains(m.lowerText, p) {
			continue
		}
		if found != "" {
			return found + ", " + p, true
		}
		found = p
	}
	return "", false
}

func phoneAndMoney(m *mail) (string, bool) {
	phone := findPhone(m.lowerText)
	if phone == "" {
		return "", false
	}
	money := findMoney(m.lowerText)
	return phone + ", " + money, money != ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// findPhone returns the first telephone number written in groups: with a plus
// sign and 9 to 15 digits, or with at least three groups and 10 to 15 digits.
// Dates, IP addresses and plain long numbers are none.
func findPhone(s string) string {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			continue
		}
		n := readNumber(s[i:])
		if n.phone(i > 0 && s[i-1] == '+') {
			return s[i : i+n.length]
		}
		i += n.length - 1
	}
	return ""
}

// number is a run of digits in groups.
type number struct {
	length         int // bytes, separators between groups included
	digits, groups int
	last           int  // digits of the last group
	dots           bool // a dot separates two of the groups
}

// readNumber reads the number s begins with. Up to two separators may stand
// between groups, as in "(888) 555".
func readNumber(s string) number {
	n := number{groups: 1}
	for i := 0; i < len(s) && i-n.length < 3; i++ {
		c := s[i]
		switch {
		case isDigit(c):
			if i > n.length {
				n.groups++
				n.last = 0
				n.dots = n.dots || s[i-1] == '.'
			}
			n.digits++
			n.last++
			n.length = i + 1
		case !strings.ContainsRune(" -./()", rune(c)):
			return n
		}
	}
	return n
}

func (n number) phone(plus bool) bool {
	switch {
	case n.digits > 15:
		return false
	case plus && n.digits >= 9:
		return true
	case n.dots:
		return n.groups == 3 && n.digits >= 10 && n.last == 4
	default:
		return n.groups >= 3 && n.digits >= 10 && n.last >= 3
	}
}

// currencies follow or precede an amount, in lower case.
var currencies = []string{"$", "€", "£", "usd", "eur", "gbp", "dollar", "euro"}

// findMoney returns the first amount with a currency.
func findMoney(s string) string {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			continue
		}
		start := i
		for i < len(s) && (isDigit(s[i]) || (s[i] == '.' || s[i] == ',') && i+1 < len(s) && isDigit(s[i+1])) {
			i++
		}
		before, after := strings.TrimRight(s[max(0, start-5):start], " "), strings.TrimLeft(s[i:min(len(s), i+8)], " ")
		for _, c := range currencies {
			if strings.HasSuffix(before, c) || strings.HasPrefix(after, c) {
				return c + " " + s[start:i]
			}
		}
	}
	return ""
}

// partsDiffer compares the words of the two parts. Mails differ in footers and
// link texts, so half of the words of either part must be in the other.
func partsDiffer(m *mail) (string, bool) {
	if m.HTML == "" || strings.TrimSpace(m.Text) == "" {
		return "", false
	}
	var text, html wordSet
	nText, nHTML := text.add(m.Text), html.add(m.HTMLText)
	if nText < 5 || nHTML < 5 {
		return "", false
	}
	return "text/plain, text/html", html.share(m.Text) < .5 && text.share(m.HTMLText) < .5
}

// compared bounds how much of each part is compared.
const compared = 16 << 10

// wordSet holds the hashes of words; a false member among 65,536 bits does no
// harm to a rule about halves.
type wordSet [1024]uint64

func (w *wordSet) add(s string) (n int) {
	eachWord(s, func(h uint32) {
		w[h>>6&1023] |= 1 << (h & 63)
		n++
	})
	return n
}

// share returns the part of the words of s that are in w.
func (w *wordSet) share(s string) float64 {
	n, in := 0, 0
	eachWord(s, func(h uint32) {
		n++
		if w[h>>6&1023]&(1<<(h&63)) != 0 {
			in++
		}
	})
	if n == 0 {
		return 1
	}
	return float64(in) / float64(n)
}

// eachWord calls f with the hash of each word of three and more bytes, in any
// case, skipping URLs.
func eachWord(s string, f func(uint32)) {
	if len(s) > compared {
		s = s[:compared]
	}
	const basis, prime = 2166136261, 16777619 // FNV-1a
	h, n := uint32(basis), 0
	for i := 0; i <= len(s); i++ {
		var c byte
		if i < len(s) {
			c = s[i]
		}
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
			fallthrough
		case c >= 'a' && c <= 'z', isDigit(c), c >= 0x80:
			h = (h ^ uint32(c)) * prime
			n++
			continue
		case c == ':' && strings.HasPrefix(s[i:], "://"):
			for i < len(s) && s[i] > ' ' {
				i++
			}
		default:
			if n >= 3 {
				f(h ^ h>>16)
			}
		}
		h, n = basis, 0
	}
}
