package templates

// Reason is what people are told about one documented reason.
type Reason struct {
	Title   string // a few words
	Text    string // what happened
	Remedy  string // what to do next, and who can do it
	Forward string // text the guest can send to their own administrator; may be empty
}

// ReasonFor returns the words for a reason in a language. The arguments are
// those of [Text]; the texts use {address}, {domain}, {organization} and
// {retry}.
func ReasonFor(lang, reason string, args ...any) Reason {
	key := "reason." + reason
	r := Reason{
		Title:  Text(lang, key+".title", args...),
		Text:   Text(lang, key+".text", args...),
		Remedy: Text(lang, key+".remedy", args...),
	}
	if HasText(key + ".forward") {
		r.Forward = Text(lang, key+".forward", args...)
	}
	return r
}

// HasText reports whether [Default] has a text for key.
func HasText(key string) bool {
	_, ok := load().catalogs[Default].texts[key]
	return ok
}
