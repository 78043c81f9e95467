package dsn

import (
	"regexp"
	"slices"
	"strings"

	"invited/mail/sink/mime"
)

// readNote reads the note of a mailer that does not write RFC 3464, by the
// words it uses. A person who answers, or an absence note, is no mailer.
func readNote(m *mime.Message) Report {
	subject := strings.ToLower(clean(m.Subject))
	late, back := hasAny(subject, lateWords), hasAny(subject, backWords)
	if !late && !back && !fromMailer(m) || isReply(m) {
		return Report{}
	}
	text := ownWords(m.Text)
	if text == "" {
		text = ownWords(m.HTMLText)
	}
	status := statusIn(text)
	if status == "" {
		status = codeIn(text)
	}
	if status == "" && !late && !back || strings.HasPrefix(status, "2") {
		return Report{} // a mailer's word on something else
	}
	r := Report{Kind: Permanent, Action: "failed", Status: status, Diagnostic: sentence(text), Recipient: failedRecipient(m, text)}
	switch {
	case late:
		r.Kind, r.Action = Transient, "delayed"
	case strings.HasPrefix(status, "4"):
		r.Kind = Transient
	case status == "":
		r.Status = "5.0.0"
	}
	return r
}

// Words of subjects by which mailers say what they report.
var (
	lateWords = []string{"delivery delayed", "delayed mail", "delivery status notification (delay)", "warning: could not send message", "zustellung verzögert"}
	backWords = []string{
		"undeliverable", "undelivered mail", "delivery status notification (failure)", "delivery failure", "delivery has failed", "mail delivery failed", "mail delivery failure",
		"failure notice", "returned mail", "returned to sender", "message could not be delivered", "unzustellbar", "nicht zustellbar", "non remis", "non recapitabile", "no se puede entregar",
	}
	mailers = []string{"mailer-daemon", "postmaster", "mail-daemon", "mailerdaemon", "mailer_daemon"}
)

func hasAny(s string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s, w) })
}

// fromMailer reports whether the sender names itself a mailer.
func fromMailer(m *mime.Message) bool {
	return slices.ContainsFunc(m.From, func(p mime.Person) bool {
		local, _, _ := strings.Cut(strings.ToLower(p.Address), "@")
		return slices.Contains(mailers, local)
	})
}

// isReply reports whether the mail answers one: RFC 3834 section 5.
func isReply(m *mime.Message) bool {
	return strings.HasPrefix(strings.ToLower(m.Get("Auto-Submitted")), "auto-replied") || m.Get("X-Autoreply") != ""
}

// copyOf begins the copy of the mail that was sent, which is not the mailer's
// own words.
var copyOf = regexp.MustCompile(`(?im)^[-_= ]*(below this line is a copy|this is a copy of|original message|message headers follow|return-path:|received: )`)

// maxNote is how much of a note is searched.
const maxNote = 16 << 10

// ownWords returns what the mailer says itself.
func ownWords(text string) string {
	if len(text) > maxNote {
		text = text[:maxNote]
	}
	if at := copyOf.FindStringIndex(text); at != nil {
		text = text[:at[0]]
	}
	return strings.TrimSpace(text)
}

// enhanced is a status of RFC 3463 that is not part of an IP address.
var enhanced = regexp.MustCompile(`(?:^|[^0-9.])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[^0-9.]|\.?\s|\.?$)`)

// statusIn returns the first failing status in a text, or else the first one.
func statusIn(text string) string {
	found := ""
	for _, m := range enhanced.FindAllStringSubmatch(text, 50) {
		if m[1][0] != '2' {
			return m[1]
		}
		if found == "" {
			found = m[1]
		}
	}
	return found
}

// reply is the code of an SMTP reply.
var reply = regexp.MustCompile(`(?:^|[^0-9.\-])([45][0-5][0-9])[ \-][^0-9]`)

// codeIn makes a status of the first SMTP code in a text. What 550 and 553 are
// used for is all too often that there is no such mailbox, but they do not say
// so: the status stays vague.
func codeIn(text string) string {
	if m := reply.FindStringSubmatch(text); m != nil {
		return m[1][:1] + ".0.0"
	}
	return ""
}

// vague reports whether a status says no more than its class.
func vague(status string) bool { return strings.HasSuffix(status, ".0.0") }

// sentence returns the line of a text that says why: the first with a code, or
// else the first one.
func sentence(text string) string {
	why := ""
	for line := range strings.Lines(ownWords(text)) {
		line = clean(line)
		if line != "" && (statusIn(line) != "" || codeIn(line) != "") {
			return line
		}
		if why == "" {
			why = line
		}
	}
	return why
}

// bracketed is an address as notes name it.
var bracketed = regexp.MustCompile(`<?([A-Za-z0-9._%+'\-]{1,64}@[A-Za-z0-9.\-]{1,253}[A-Za-z0-9])>?:?`)

// failedRecipient returns whom a note is about.
func failedRecipient(m *mime.Message, text string) string {
	if named, _, _ := strings.Cut(m.Get("X-Failed-Recipients"), ","); named != "" {
		return clean(named)
	}
	for line := range strings.Lines(text) {
		if f := bracketed.FindStringSubmatch(line); f != nil && !slices.Contains(mailers, strings.ToLower(f[1][:strings.IndexByte(f[1], '@')])) {
			return f[1]
		}
	}
	return ""
}
