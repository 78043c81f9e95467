package main

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// protectedBrand is a name that mail to the world may not be sent under.
type protectedBrand struct {
	name string
	word bool // an ordinary word too: only counts when it stands by itself
}

// protectedBrands are the names that invitations are forged under.
var protectedBrands = []protectedBrand{
	{name: "microsoft"}, {name: "onmicrosoft"}, {name: "azure"}, {name: "hotmail"}, {name: "sharepoint"}, {name: "onedrive"}, {name: "linkedin"},
	{name: "google"}, {name: "gmail"}, {name: "amazon"}, {name: "paypal"}, {name: "facebook"}, {name: "whatsapp"}, {name: "docusign"}, {name: "dropbox"},
	{name: "entra", word: true}, {name: "office", word: true}, {name: "outlook", word: true}, {name: "live", word: true}, {name: "windows", word: true},
	{name: "teams", word: true}, {name: "apple", word: true}, {name: "icloud", word: true}, {name: "meta", word: true}, {name: "aws", word: true},
}

// protectedName returns the protected brand that a display name or domain
// reads like; empty if none. A brand counts through other alphabets, digits for
// letters, and separators between them.
func protectedName(s string) string {
	if strings.Contains(strings.ToLower(s), "xn--") {
		if u, err := idna.Display.ToUnicode(s); err == nil {
			s = u
		}
	}
	words := strings.FieldsFunc(norm.NFKC.String(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '|' && r != '$'
	})
	for i, w := range words {
		words[i] = skeleton(w)
	}
	joined := strings.Join(words, "")
	for _, b := range protectedBrands {
		want := skeleton(b.name)
		switch {
		case !b.word && strings.Contains(joined, want):
			return b.name
		case b.word && slices.ContainsFunc(words, func(w string) bool { return w == want || numbered(w, want) }):
			return b.name
		}
	}
	return ""
}

// numbered reports whether w is a word with a number after it, as in
// office365: its digits have become letters too.
func numbered(w, word string) bool {
	rest, ok := strings.CutPrefix(w, word)
	return ok && len(rest) <= 4 && strings.Trim(rest, skeletonDigits) == ""
}

// skeletonDigits are what digits become in a skeleton.
var skeletonDigits = skeleton("0123456789")

// confusables maps characters to the Latin letter they read like. Source: UTS
// #39 confusables, as far as they serve to imitate the names above; i, l and 1
// are one.
var confusables = func() map[rune]rune {
	m := map[rune]rune{}
	for letter, alike := range map[rune]string{
		'a': "аαɑ@４4ａᴀ", 'b': "ьвβƅ", 'c': "сϲᴄⅽ", 'd': "ԁⅾɗ", 'e': "еεёҽ3ｅ℮", 'f': "ƒẝ", 'g': "ɡց9", 'h': "һհн", 'k': "κкᴋ", 'l': "iіıι1|ӏⅼɩ!ⅰ",
		'm': "мⅿᴍ", 'n': "ոпηո", 'o': "оοօ0ᴏσөо", 'p': "рρ", 'q': "ԛգ", 'r': "гᴦ", 's': "ѕ5$ꜱ", 't': "тτ7", 'u': "υսᴜ", 'v': "νѵⅴ", 'w': "ѡԝωᴡ",
		'x': "хχⅹ", 'y': "уγү", 'z': "ᴢ2",
	} {
		for _, r := range alike {
			m[r] = letter
		}
	}
	return m
}()

// greekCapitals read like Latin ones where their small letters do not.
var greekCapitals = strings.NewReplacer(
	"Α", "a", "Β", "b", "Ε", "e", "Ζ", "z", "Η", "h", "Ι", "i", "Κ", "k", "Μ", "m", "Ν", "n", "Ο", "o", "Ρ", "p", "Τ", "t", "Υ", "y", "Χ", "x",
)

// skeleton returns what is left of s for an eye that does not look closely: two
// names with one skeleton are taken for each other.
func skeleton(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(greekCapitals.Replace(s))) {
		if unicode.IsMark(r) || unicode.Is(unicode.Cf, r) {
			continue
		}
		if letter, ok := confusables[r]; ok {
			r = letter
		}
		b.WriteRune(r)
	}
	return strings.NewReplacer("rn", "m", "vv", "w").Replace(b.String())
}
