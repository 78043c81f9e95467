package webmail

import (
	"regexp"
	"strings"

	"invited/templates"
)

// Limits of the search for codes.
const (
	maxCodes    = 5
	codeText    = 64 << 10 // bytes of the text that are read
	codeContext = 80       // bytes shown of the line
)

var (
	// codeWord names a code, in English and German.
	codeWord = regexp.MustCompile(`(?i)\b(?:code|passcode|otp|pin|tan|one-time|verification|verify|einmal\w*|best(?:ä|ae)tigung\w*|sicherheits\w*|anmelde\w*|zugangs\w*)\b`)
	// codeShape is what a code looks like: four to eight digits, perhaps in two
	// groups, or six to ten capitals and digits.
	codeShape = regexp.MustCompile(`\b(?:\d{4,8}|\d{3}[ -]\d{3}|[A-Z0-9]{6,10}|[A-Z0-9]{4}-[A-Z0-9]{4})\b`)
	digit     = regexp.MustCompile(`\d`)
	// notCode is a date, an amount, or part of an address or a longer number.
	notCode = regexp.MustCompile(`^(?:19|20)\d\d$`)
)

// codes finds one-time codes: a word that has the shape of one, in a line that
// names a code or right below such a line.
func codes(subject, body string) []templates.MailCode {
	if len(body) > codeText {
		body = body[:codeText]
	}
	var found []templates.MailCode
	seen := map[string]bool{}
	named := 0 // lines for which a name still counts
	for line := range strings.SplitSeq(subject+"\n"+body, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		named--
		if codeWord.MatchString(line) {
			named = 2
		}
		if named <= 0 {
			continue
		}
		for _, at := range codeShape.FindAllStringIndex(line, -1) {
			code := line[at[0]:at[1]]
			if seen[code] || !digit.MatchString(code) || notCode.MatchString(code) || attached(line, at[0], at[1]) {
				continue
			}
			seen[code] = true
			found = append(found, templates.MailCode{Value: code, Near: short(line)})
			if len(found) == maxCodes {
				return found
			}
		}
	}
	return found
}

// attached reports whether a word is only a piece of something longer, such as
// a URL, an address, a price or a phone number.
func attached(line string, from, to int) bool {
	start := strings.LastIndexAny(line[:from], " \t") + 1
	end := strings.IndexAny(line[to:], " \t")
	if end < 0 {
		end = len(line) - to
	}
	before, after := line[start:from], line[to:to+end]
	if strings.ContainsAny(before, "/@=.+$€#&?-_%") || strings.ContainsAny(strings.TrimRight(after, ".,;:!?)\"'*"), "/@=&%-_.,:") {
		return true
	}
	return from >= 2 && strings.ContainsAny(line[from-2:from-1], "+$€") // "+1 555 0100"
}

// short shortens a line that is shown beside its code.
func short(line string) string {
	if len(line) > codeContext {
		return strings.ToValidUTF8(line[:codeContext], "") + "…"
	}
	return line
}
