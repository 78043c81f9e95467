package mail

import (
	"unicode"
	"unicode/utf8"
)

// atext is the ASCII alphabet of RFC 5322 §3.2.3.
var atext = func() (set [128]bool) {
	for c := range set {
		set[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	for _, c := range "!#$%&'*+-/=?^_`{|}~" {
		set[c] = true
	}
	return set
}()

// isASCII reports whether s holds ASCII bytes only.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isDotAtom reports whether s is the dot-atom of RFC 5322 §3.2.3. Characters
// outside ASCII count as atext, as RFC 6531 §3.3 has it.
func isDotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if s[i-1] == '.' {
				return false
			}
		case c < utf8.RuneSelf && !atext[c]:
			return false
		}
	}
	return true
}

// isLowerLDH reports whether s is made of lower-case letters, digits, hyphens
// and dots, as most domains are.
func isLowerLDH(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}

// isHostLabel reports whether s is a label of a host name, RFC 1123 §2.1, in
// lower case. A hyphen at the third and fourth place is for A-labels only.
func isHostLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if s[i] == '.' || !isLowerLDH(s[i:i+1]) {
			return false
		}
	}
	return len(s) < 4 || s[2:4] != "--" || s[:2] == "xn"
}

// isDigits reports whether s holds digits only.
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isSpace reports whether r is white space of any script.
func isSpace(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Zs, r) }

// isBidi reports whether r steers the direction of text: the marks, embeddings,
// overrides and isolates of UAX #9. They make a text read other than it is.
func isBidi(r rune) bool {
	return r == 0x061C || r == 0x200E || r == 0x200F || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069
}

// isHidden reports whether r has no place in one line of text: control
// characters, line and paragraph separators, surrogates, invisible format
// characters other than the two joiners that scripts need, and unassigned
// specials such as U+FFFD, which stands for a byte that was not text.
func isHidden(r rune) bool {
	const nonJoiner, joiner = 0x200C, 0x200D
	switch r {
	case nonJoiner, joiner:
		return false
	case utf8.RuneError, 0x2028, 0x2029, 0x3164, 0xFFA0, 0x115F, 0x1160: // the last four are invisible letters
		return true
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cs, r) || unicode.Is(unicode.Co, r)
}

// hostileText returns what is wrong with a text that is to stand on one line,
// or "".
func hostileText(s string) (rule string) {
	if plainASCII(s) {
		return ""
	}
	if !utf8.ValidString(s) {
		return "it is not UTF-8 text"
	}
	for _, r := range s {
		switch {
		case isBidi(r):
			return "it holds an invisible character that turns the direction of text"
		case isHidden(r):
			return "it holds a control or invisible character"
		}
	}
	return ""
}

// plainASCII reports whether s is made of printable ASCII only.
func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
