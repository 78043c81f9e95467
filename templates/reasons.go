package templates

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Reason is what people are told about one documented reason.
type Reason struct {
	Title   string // a few words
	Text    string // what happened
	Remedy  string // what to do next, and who can do it
	Forward string // text the guest can send to their own administrator; may be empty
}

// reasonArgs are the arguments of the reason texts, see [ReasonFor].
var reasonArgs = []string{"address", "domain", "organization", "retry", "detail"}

// ReasonFor returns the words for a reason in a language. The arguments are
// those of [Text]; the texts use {address}, {domain}, {organization}, {retry}
// and {detail}. A time.Duration is put into words. Where an argument is missing
// or empty, general words stand in for it, except in Forward: a letter that
// cannot name its subject is left out.
func ReasonFor(lang, reason string, args ...any) Reason {
	given := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		given[fmt.Sprint(args[i])] = inWords(lang, args[i+1])
	}
	full := make([]any, 0, 2*len(reasonArgs))
	for _, name := range reasonArgs {
		value := given[name]
		if value == "" {
			value = Text(lang, "reason.any."+name)
		}
		full = append(full, name, value)
	}
	key := "reason." + reason
	r := Reason{
		Title:  upperFirst(Text(lang, key+".title", full...)),
		Text:   upperFirst(Text(lang, key+".text", full...)),
		Remedy: upperFirst(Text(lang, key+".remedy", full...)),
	}
	if HasText(key+".forward") && complete(Text(lang, key+".forward"), given) {
		r.Forward = Text(lang, key+".forward", full...)
	}
	return r
}

// HasText reports whether [Default] has a text for key.
func HasText(key string) bool {
	_, ok := load().catalogs[Default].texts[key]
	return ok
}

// complete reports whether every argument that text uses was given.
func complete(text string, given map[string]string) bool {
	for _, name := range reasonArgs {
		if given[name] == "" && strings.Contains(text, "{"+name+"}") {
			return false
		}
	}
	return true
}

// inWords returns an argument as it is written in a sentence. A duration is
// rounded up to what people say; none at all is empty.
func inWords(lang string, v any) string {
	d, ok := v.(time.Duration)
	if !ok {
		return fmt.Sprint(v)
	}
	n, unit := math.Ceil(d.Seconds()), "seconds"
	switch {
	case d <= 0:
		return ""
	case d > 90*time.Minute:
		n, unit = math.Ceil(d.Hours()), "hours"
	case d > 90*time.Second:
		n, unit = math.Ceil(d.Minutes()), "minutes"
	}
	if n == 1 {
		return Text(lang, "reason."+unit+".one")
	}
	return Text(lang, "reason."+unit, "n", int(n))
}

// upperFirst returns s with its first letter in upper case: an argument may
// begin a sentence. Addresses and domains are left as they are.
func upperFirst(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if strings.ContainsAny(word, "@.") {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
