package mail

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// Warning is something about an address that a person should look at before
// inviting. It is stable: programs may branch on it.
type Warning string

// The warnings.
const (
	MixedScript Warning = "mixed_script_domain" // one label mixes alphabets, as раypal.example does
	Confusable  Warning = "confusable_domain"   // a label of another alphabet reads like Latin letters
)

// lookalikes are the letters of other alphabets that read like Latin ones.
// Source: the whole-script confusables of UTS #39, without the far-fetched, so
// that ordinary words of those languages pass.
const lookalikes = "" +
	"асԁеһіјӏорԛѕѵԝху" + // Cyrillic
	"οανικρυ" + // Greek
	"օսհոցքզյլ" // Armenian

// allowedTogether are the sets of scripts that are written together, as in the
// "highly restrictive" profile of UTS #39 §5.2.
var allowedTogether = [][]string{
	{"Latin", "Han", "Hiragana", "Katakana"},
	{"Latin", "Han", "Bopomofo"},
	{"Latin", "Han", "Hangul"},
}

// Warnings returns what is odd about the domain of a, in a fixed order. They
// never refuse an address.
func (a Address) Warnings() []Warning {
	if !strings.Contains(a.Domain, "xn--") {
		return nil
	}
	u, err := idna.Display.ToUnicode(a.Domain)
	if err != nil {
		return []Warning{Confusable}
	}
	var mixed, alike bool
	for label := range strings.SplitSeq(u, ".") {
		s := scripts(label)
		mixed = mixed || !together(s)
		alike = alike || len(s) == 1 && s[0] != "Latin" && looksLatin(label)
	}
	var out []Warning
	if mixed {
		out = append(out, MixedScript)
	}
	if alike {
		out = append(out, Confusable)
	}
	return out
}

// scripts returns the scripts of the letters of s, sorted, without those that
// all scripts share.
func scripts(s string) []string {
	var out []string
	for _, r := range s {
		name := scriptOf(r)
		if name != "Common" && name != "Inherited" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// scriptOf returns the script of a character. Each character has one.
func scriptOf(r rune) string {
	if r < 0x80 {
		if unicode.IsLetter(r) {
			return "Latin"
		}
		return "Common"
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return "Unknown"
}

// together reports whether scripts are written together.
func together(s []string) bool {
	if len(s) < 2 {
		return true
	}
	return slices.ContainsFunc(allowedTogether, func(set []string) bool {
		return !slices.ContainsFunc(s, func(name string) bool { return !slices.Contains(set, name) })
	})
}

// looksLatin reports whether every letter of s could be read as a Latin one.
func looksLatin(s string) bool {
	for _, r := range s {
		if r >= 0x80 && !strings.ContainsRune(lookalikes, r) {
			return false
		}
	}
	return true
}
