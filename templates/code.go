package templates

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// CodeMail is the mail that carries a one-time passcode. It holds no link:
// whoever wants the code has the page that asks for it open.
type CodeMail struct {
	Organization string        // required; display name of the inviting tenant
	Domain       string        // required; its primary domain
	Code         string        // required; digits
	Purpose      string        // required; "redeem" or "unblock"
	Lifetime     time.Duration // required; how long the code works
	Recipient    string        // required; the address it goes to, for the footer
	Brand        string        // required; who delivers the mail
}

// codeView is what the two templates of a code mail see.
type codeView struct {
	CodeMail
	Subject string
	Shown   string // the code in two groups, as people read it out
	Lead    string
	Minutes string
}

// Render returns the mail in a language.
func (m CodeMail) Render(lang string) (Mail, error) {
	if m.Organization == "" || m.Domain == "" || m.Code == "" || m.Lifetime <= 0 || m.Recipient == "" || m.Brand == "" || !HasText("mail.code.lead."+m.Purpose) {
		return Mail{}, errors.New("templates: CodeMail needs all of its fields")
	}
	for _, s := range []*string{&m.Organization, &m.Domain, &m.Code, &m.Recipient, &m.Brand} {
		*s = oneLine(*s)
	}
	v := codeView{CodeMail: m, Shown: m.Code, Minutes: inWords(lang, m.Lifetime)}
	if half := len(m.Code) / 2; half > 0 {
		v.Shown = m.Code[:half] + " " + m.Code[half:]
	}
	v.Subject = Text(lang, "mail.code.subject", "organization", clip(m.Organization, maxNameInSubject))
	v.Lead = Text(lang, "mail.code.lead."+m.Purpose, "organization", m.Organization, "domain", m.Domain)
	c := load().catalog(lang)
	var text, html strings.Builder
	if err := c.plain["code"].Execute(&text, v); err != nil {
		return Mail{}, fmt.Errorf("templates: code text: %w", err)
	}
	if err := c.html["code"].ExecuteTemplate(&html, "code.html", v); err != nil {
		return Mail{}, fmt.Errorf("templates: code HTML: %w", err)
	}
	return Mail{Subject: v.Subject, Text: text.String(), HTML: html.String()}, nil
}

// CodePage asks for a passcode to be mailed, and for the one that was.
type CodePage struct {
	Guest
	Address string
	Action  string // path of the form that takes the code
	Ask     string // path of the form that has one mailed
	Button  string // of the form that takes the code
	Steps   bool   // it is a step of redeeming
	Sent    bool   // a code was mailed just now
	Problem string // what is wrong with the code as typed; may be empty
	Code    string // the reason of the problem, for support
}

// BlockPage is where a guest blocks invitations, and undoes it.
type BlockPage struct {
	Guest
	Address string
	Blocked bool // already; the page offers to undo it
	Undone  bool // just now
}

func (CodePage) page() string  { return "code" }
func (BlockPage) page() string { return "block" }
