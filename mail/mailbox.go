package mail

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mailbox is an address with the name of whoever reads there.
type Mailbox struct {
	Name    string // display name; may be empty
	Address Address
}

// IsZero reports whether m is no mailbox.
func (m Mailbox) IsZero() bool { return m.Address.IsZero() && m.Name == "" }

// String returns the mailbox as it stands in a header field: the name quoted,
// or in RFC 2047 encoded-words when it is not plain ASCII. It never holds a
// line break, whatever the name holds; check names with [ValidName] first, so
// that people are told.
func (m Mailbox) String() string {
	if m.Name == "" {
		return m.Address.String()
	}
	name := m.Name
	if !needsEncoding(name) {
		return quoteString(name) + " <" + m.Address.String() + ">"
	}
	return EncodeWords(name, len("Reply-To: ")) + " <" + m.Address.String() + ">"
}

// ValidName returns a [*NameError] if s may not be written as the name of a
// person or organisation: empty names pass, control characters, line and
// paragraph separators (U+2028, U+2029), bidirectional controls and other
// invisible characters, encoded-words, piles of combining marks and names of
// more than maxRunes characters do not.
func ValidName(s string, maxRunes int) error {
	refuse := func(rule, remedy string) error { return &NameError{Input: s, Rule: rule, Remedy: remedy} }
	if rule := hostileText(s); rule != "" {
		return refuse(rule, "type the name anew instead of pasting it")
	}
	if n := utf8.RuneCountInString(s); n > maxRunes {
		return refuse("it is longer than "+strconv.Itoa(maxRunes)+" characters", "shorten it")
	}
	if strings.Contains(s, "=?") {
		return refuse("it holds =?, which mail programs take for an encoded word", "leave out the question mark")
	}
	const tallest = 4 // marks on one letter: Vietnamese needs 2, cantillated Hebrew 3
	marks := 0
	for _, r := range s {
		if marks++; !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
		}
		if marks > tallest {
			return refuse("it piles more than "+strconv.Itoa(tallest)+" accents on one letter", "remove the accents")
		}
	}
	return nil
}

// EncodeWords returns s as RFC 2047 encoded-words of at most 75 characters,
// separated by spaces at which a header may be folded. The alphabet is the one
// allowed in phrases (§5(3)), so the result fits names and unstructured fields.
// used is how many characters already stand on the first line.
func EncodeWords(s string, used int) string {
	const open, end, line = "=?utf-8?q?", "?=", 75
	var b strings.Builder
	b.Grow(len(s)*2 + len(open) + len(end))
	room := max(line-max(used, 0)-len(open)-len(end), len("=F0=9F=98=80"))
	b.WriteString(open)
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		cost := 3 * n
		if n == 1 && (isWordByte(s[i]) || s[i] == ' ') {
			cost = 1
		}
		if cost > room {
			b.WriteString(end + " " + open)
			room = line - len(open) - len(end)
		}
		room -= cost
		for _, c := range []byte(s[i : i+n]) {
			writeWordByte(&b, c)
		}
		i += n
	}
	b.WriteString(end)
	return b.String()
}

// needsEncoding reports whether a text must be put into encoded-words: it is
// not printable ASCII, would be taken for one, or has spaces that folding
// would lose.
func needsEncoding(s string) bool {
	return !plainASCII(s) || strings.Contains(s, "=?") || strings.Contains(s, "  ") || strings.TrimSpace(s) != s
}

// isWordByte reports whether c stands for itself in an encoded-word.
func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!*+-/", c) >= 0
}

// writeWordByte writes one byte of an encoded-word.
func writeWordByte(b *strings.Builder, c byte) {
	const hex = "0123456789ABCDEF"
	switch {
	case c == ' ':
		b.WriteByte('_')
	case isWordByte(c):
		b.WriteByte(c)
	default:
		b.WriteByte('=')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
}

// quoteString returns s as a quoted-string of RFC 5322 §3.2.4.
func quoteString(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}
