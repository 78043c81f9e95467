package templates

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Mail is a rendered mail: two parts that say the same, and a subject.
type Mail struct {
	Subject string // one line
	Text    string // line feeds end lines
	HTML    string
}

// InvitationMail is the mail that carries a redeem link. Names are cut to one
// line and the message is shown as plain text, whatever they hold.
type InvitationMail struct {
	Generation   int       // 1, 2 or 3: which of Entra's mails it follows; 0 means 2
	Organization string    // required; display name of the inviting tenant
	Domain       string    // required; its primary domain
	Inviter      string    // display name; empty: the organisation speaks
	Reply        bool      // an answer to this mail reaches the inviter
	Message      string    // personal message of the inviter, plain text; may be empty
	RedirectURL  string    // where acceptance leads; empty: My Apps
	RedeemURL    string    // required, except for a copy; the one link
	Copy         bool      // for somebody else's information: says who has the link instead of showing it
	BlockURL     string    // page to block invitations of this organisation; may be empty
	PrivacyURL   string    // privacy statement of the organisation; empty: the mail says that there is none
	Expires      time.Time // of the link; zero: never
	Recipient    string    // required; the invited address, for the footer
	Brand        string    // required; who delivers the mail
}

// invitationView is what the two templates of an invitation see.
type invitationView struct {
	InvitationMail
	Subject      string
	Who          string // inviter or organisation
	Initial      string // on the badge
	Button       string
	MessageLines []string
	Until        string // when the link expires, for people; empty: never
}

// maxNameInSubject is how many characters of a name a subject shows: long
// names are how subjects are hijacked for lures.
const maxNameInSubject = 64

// Render returns the mail in a language.
func (m InvitationMail) Render(lang string) (Mail, error) {
	if m.Generation == 0 {
		m.Generation = 2
	}
	if m.Generation < 1 || m.Generation > 3 {
		return Mail{}, fmt.Errorf("templates: no generation %d of the invitation mail", m.Generation)
	}
	if m.Organization == "" || m.Domain == "" || (m.RedeemURL == "") != m.Copy || m.Recipient == "" || m.Brand == "" {
		return Mail{}, errors.New("templates: InvitationMail needs Organization, Domain, Recipient, Brand, and RedeemURL unless it is a copy")
	}
	v := m.view(lang)
	c := load().catalog(lang)
	var text, html strings.Builder
	text.Grow(2 << 10)
	html.Grow(12 << 10)
	if err := c.plain["invitation"].Execute(&text, v); err != nil {
		return Mail{}, fmt.Errorf("templates: invitation text: %w", err)
	}
	if err := c.html["invitation"].ExecuteTemplate(&html, "invitation.html", v); err != nil {
		return Mail{}, fmt.Errorf("templates: invitation HTML: %w", err)
	}
	return Mail{Subject: v.Subject, Text: text.String(), HTML: html.String()}, nil
}

// view prepares what the templates show.
func (m InvitationMail) view(lang string) invitationView {
	for _, s := range []*string{&m.Organization, &m.Domain, &m.Inviter, &m.RedirectURL, &m.RedeemURL, &m.BlockURL, &m.PrivacyURL, &m.Recipient, &m.Brand} {
		*s = oneLine(*s)
	}
	v := invitationView{InvitationMail: m, Who: m.Inviter, Initial: initial(m.Organization), MessageLines: plainLines(m.Message)}
	if v.Who == "" {
		v.Who = m.Organization
	}
	generation := string(rune('0' + m.Generation))
	v.Subject = Text(lang, "mail.invitation.subject."+generation,
		"who", clip(v.Who, maxNameInSubject), "organization", clip(m.Organization, maxNameInSubject), "domain", m.Domain)
	v.Button = Text(lang, "mail.invitation.button."+generation)
	if !m.Expires.IsZero() {
		v.Until = m.Expires.UTC().Format(Text(lang, "mail.date"))
	}
	return v
}

// oneLine returns s with everything that breaks lines or cannot be seen turned
// into single spaces.
func oneLine(s string) string {
	clean := true
	for i := range len(s) {
		clean = clean && s[i] >= ' ' && s[i] <= '~'
	}
	if clean {
		return strings.TrimSpace(s)
	}
	return strings.Join(strings.FieldsFunc(visible(s), func(r rune) bool { return r == ' ' || r == '\n' }), " ")
}

// plainLines returns the lines of a message without characters that cannot be
// seen, and without blank lines at either end.
func plainLines(s string) []string {
	s = strings.TrimSpace(visible(s))
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

// visible returns s with line ends as line feeds, tabs as spaces, and without
// control, format and direction characters. The two joiners stay: scripts and
// emoji need them.
func visible(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == 0x85 || r == 0x2028 || r == 0x2029:
			return '\n'
		case r == '\t':
			return ' '
		case r == 0x200C || r == 0x200D:
			return r
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r):
			return -1
		}
		return r
	}, s)
}

// clip cuts s to n characters, the last one an ellipsis.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:n-1])) + "…"
}
