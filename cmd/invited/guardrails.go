package main

import (
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"invited/mail"
	"invited/server/letters"
)

// relayFlags say how mail leaves this server, and what it takes to mail people.
type relayFlags struct {
	Brand           string   `placeholder:"NAME" help:"Who delivers the mail, in its footer: your name. Required to mail people."`
	OwnDomain       bool     `name:"i-own-this-domain" help:"Say that the domain of --sender is yours. Required to mail people."`
	AbuseContact    string   `name:"abuse-contact" placeholder:"ADDRESS" help:"Where recipients complain, in the footer (default: abuse@ the domain of --sender)."`
	RelayRecipients []string `name:"relay-recipients" default:"${reservedDomains}" placeholder:"PATTERN" help:"Domains that --relay is given mail for, such as fabrikam.com or *.fabrikam.com, or any (default: ${reservedDomains}, which nobody has)."`
	RelayDaily      int      `name:"relay-daily" default:"100" placeholder:"N" help:"Mails to people in 24 hours at most; 0: as many as the policy allows."`
	RelayRate       float64  `name:"relay-rate" placeholder:"N" help:"Mails a second to each relay at most (default: no limit)."`
	RelayTLS        string   `name:"relay-tls" enum:"auto,required,never" default:"auto" help:"STARTTLS with smtp:// relays: auto (required unless the relay is on this machine), required or never."`
	RelayCA         string   `name:"relay-ca" placeholder:"FILE" help:"Trust the certificate authorities of this PEM file instead of the system's."`
	RelayToken      string   `name:"relay-token" hidden:"" help:"OAuth 2 access token of the relay's user (AUTH XOAUTH2); set it as INVITED_RELAY_TOKEN."`
	RelayTokenFile  string   `name:"relay-token-file" placeholder:"FILE" help:"The same from a file, read anew for each connection."`
	RequireTLS      bool     `name:"require-tls" help:"Ask relays to pass mail on encrypted or not at all (REQUIRETLS); a relay that cannot gets none."`
	DomainConns     int      `name:"domain-connections" placeholder:"N" help:"Mails under way to one recipient's domain at once (default: 20 with --relay to another machine, else no limit)."`
	DomainRate      float64  `name:"domain-rate" placeholder:"N" help:"Mails a second to one recipient's domain at most (default: no limit)."`
}

// reservedDomains are those that no mail ever reaches (RFC 2606, RFC 6761).
const reservedDomains = "*.example,*.test,*.invalid,*.localhost"

// A mailPlan is what may be mailed, to whom, and in whose name. There are three
// kinds:
//
//	no --relay                       the built-in sink; any recipient, any name
//	--relay on this machine, and     another sink or a test relay; the names of
//	recipients that nobody has       the sink, since nobody is mailed
//	everything else                  people are mailed: every rule below
type mailPlan struct {
	relays     []string // URLs, in order
	toSink     bool
	people     bool
	recipients []string // patterns; nil: any
	sender     mail.Mailbox
}

// plan checks everything that decides about mail, before anything is started.
// Each refusal names one thing to change.
func (c config) plan() (mailPlan, error) {
	p := mailPlan{toSink: c.Relay == ""}
	if c.RelayDaily < 0 || c.DomainConns < 0 || c.RelayRate < 0 || c.DomainRate < 0 {
		return p, &exitError{exitUsage, "--relay-daily, --relay-rate, --domain-connections and --domain-rate must not be negative; 0 is no limit of their own"}
	}
	if err := p.readRelays(c); err != nil {
		return p, err
	}
	if err := p.readRecipients(c); err != nil {
		return p, err
	}
	if err := p.readSender(c); err != nil {
		return p, err
	}
	if !p.people {
		return p, nil
	}
	for _, rule := range []func(config, mailPlan) error{requireSender, requireBrand, requireOwnDomain, requireOneDomain, requirePublicURL} {
		if err := rule(c, p); err != nil {
			return p, err
		}
	}
	return p, nil
}

// readRelays reads --relay. Its URLs may hold passwords, so that no refusal
// repeats them.
func (p *mailPlan) readRelays(c config) error {
	if p.toSink {
		return nil
	}
	for i, raw := range strings.Split(c.Relay, ",") {
		raw = strings.TrimSpace(raw)
		u, err := url.Parse(raw)
		if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
			return &exitError{exitUsage, fmt.Sprintf("--relay must be a URL such as smtp://127.0.0.1:25 or smtps://user:password@mail.contoso.example, or several with commas between them; number %d is none", i+1)}
		}
		if !isLoopback(u.Hostname()) {
			p.people = true
		}
		p.relays = append(p.relays, raw)
	}
	return nil
}

// readRecipients reads --relay-recipients. Whoever asks for domains that exist
// means to mail people.
func (p *mailPlan) readRecipients(c config) error {
	if p.toSink {
		return nil
	}
	patterns, people, err := readPatterns("--relay-recipients", c.RelayRecipients)
	p.recipients, p.people = patterns, p.people || people
	return err
}

// readPatterns reads the domains of a flag, which are the reserved ones if it
// names none; nil is any. It reports whether somebody may have one of them.
func readPatterns(flag string, given []string) (patterns []string, people bool, err error) {
	reserved := strings.Split(reservedDomains, ",")
	if len(given) == 0 {
		given = reserved
	}
	patterns = []string{}
	for _, pattern := range given {
		pattern = strings.ToLower(strings.TrimSpace(pattern))
		if pattern == "any" {
			return nil, true, nil
		}
		name := strings.TrimPrefix(pattern, "*.")
		if _, err := mail.ParseAddress("x@x." + name); name == "" || err != nil {
			return nil, false, &exitError{exitUsage, fmt.Sprintf("%s %q is neither a domain, such as fabrikam.com or *.fabrikam.com, nor any", flag, pattern)}
		}
		if !slices.ContainsFunc(reserved, func(r string) bool { return matchDomain(r, name) || pattern == r }) {
			people = true
		}
		patterns = append(patterns, pattern)
	}
	return patterns, people, nil
}

// readSender reads --sender. A forged name is refused in every mode.
func (p *mailPlan) readSender(c config) error {
	if c.Sender == "" {
		return nil
	}
	box, err := netmail.ParseAddress(c.Sender)
	if err == nil {
		p.sender.Name = box.Name
		p.sender.Address, err = mail.ParseAddress(box.Address)
	}
	if err != nil {
		return &exitError{exitUsage, fmt.Sprintf("--sender %q is not a mailbox such as 'Contoso Invitations <invite@contoso.example>'", c.Sender)}
	}
	if strings.ContainsAny(box.Name, "@") || strings.Contains(box.Name, "://") {
		return &exitError{exitConfig, fmt.Sprintf("--sender %q has an address in its display name, as forgeries do; use a plain name", c.Sender)}
	}
	for _, part := range []string{box.Name, p.sender.Address.Domain} {
		if brand := protectedName(part); brand != "" {
			return &exitError{exitConfig, fmt.Sprintf("--sender %q uses the name %q, which is not yours to send under; use your own", c.Sender, brand)}
		}
	}
	return nil
}

func requireSender(c config, _ mailPlan) error {
	if c.Sender == "" {
		return &exitError{exitConfig, "people would be mailed through --relay, so --sender is needed: a mailbox in a domain of your own, such as 'Contoso Invitations <invite@contoso.example>'"}
	}
	return nil
}

func requireBrand(c config, _ mailPlan) error {
	if c.Brand == "" {
		return &exitError{exitConfig, "people would be mailed through --relay, so --brand is needed: your own name, for the footer of the mail"}
	}
	if brand := protectedName(c.Brand); brand != "" {
		return &exitError{exitConfig, fmt.Sprintf("--brand %q uses the name %q, which is not yours to send under; use your own", c.Brand, brand)}
	}
	if strings.ContainsAny(c.Brand, "@") || strings.Contains(c.Brand, "://") || mail.ValidName(c.Brand, 64) != nil {
		return &exitError{exitConfig, fmt.Sprintf("--brand %q is not a plain name of at most 64 characters", c.Brand)}
	}
	if c.AbuseContact != "" {
		if _, err := mail.ParseAddress(c.AbuseContact); err != nil {
			return &exitError{exitUsage, fmt.Sprintf("--abuse-contact %q is not an address such as abuse@contoso.example", c.AbuseContact)}
		}
	}
	return nil
}

func requireOwnDomain(c config, p mailPlan) error {
	if !c.OwnDomain {
		return &exitError{exitConfig, fmt.Sprintf("people would be mailed through --relay in the name of %s; if that domain is yours, say so with --i-own-this-domain", p.sender.Address.Domain)}
	}
	return nil
}

// requireOneDomain holds that header, envelope and signature speak for one
// domain: the one that somebody owns.
func requireOneDomain(c config, p mailPlan) error {
	from := p.sender.Address.Domain
	if c.Key != "" && c.Domain != "" && !strings.EqualFold(c.Domain, from) {
		return &exitError{exitConfig, fmt.Sprintf("--dkim-domain %s is not %s, the domain of --sender; mail to people is signed by the domain it comes from", c.Domain, from)}
	}
	return nil
}

// requirePublicURL holds that the links in the mail lead somewhere, and not to
// a page that looks like somebody else's.
func requirePublicURL(c config, p mailPlan) error {
	from := p.sender.Address.Domain
	if c.PublicURL == "" {
		return &exitError{exitConfig, fmt.Sprintf("people would be mailed links to this machine, so --public-url is needed: where they reach this server, such as https://invite.%s", from)}
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Hostname() == "" {
		return &exitError{exitUsage, fmt.Sprintf("--public-url %q is not a URL such as https://invite.%s", c.PublicURL, from)}
	}
	if u.Scheme != "https" {
		return &exitError{exitConfig, fmt.Sprintf("--public-url %s is not encrypted, and the links to it are credentials; use https://", c.PublicURL)}
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil || isLoopback(u.Hostname()) {
		return &exitError{exitConfig, fmt.Sprintf("--public-url %s is not a name that people can check; use one such as https://invite.%s", c.PublicURL, from)}
	}
	if brand := protectedName(u.Hostname()); brand != "" {
		return &exitError{exitConfig, fmt.Sprintf("--public-url %s uses the name %q, which is not yours to send links under; use your own", c.PublicURL, brand)}
	}
	return nil
}

// checkTenant refuses an organisation that would be named in mail to people and
// reads like somebody else.
func (p mailPlan) checkTenant(name string) error {
	if brand := protectedName(name); p.people && brand != "" {
		return &exitError{exitConfig, fmt.Sprintf("the organisation %q uses the name %q, which is not yours to invite people in; rename it, or leave --relay out", name, brand)}
	}
	return nil
}

// mayMail reports whether mail may go to an address.
func (p mailPlan) mayMail(a mail.Address) bool {
	return p.toSink || p.recipients == nil || slices.ContainsFunc(p.recipients, func(pattern string) bool { return matchDomain(pattern, a.Domain) })
}

// matchDomain reports whether a domain is the one of a pattern, or below it if
// the pattern begins with "*.".
func matchDomain(pattern, domain string) bool {
	if suffix, wild := strings.CutPrefix(pattern, "*"); wild {
		return strings.HasSuffix(domain, suffix)
	}
	return domain == pattern
}

// loopbackOnly refuses to listen where other machines could reach us: nothing
// here asks for a password.
func loopbackOnly(flag, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return &exitError{exitUsage, fmt.Sprintf("%s %q must be HOST:PORT, such as 127.0.0.1:8080", flag, addr)}
	}
	if isLoopback(host) {
		return nil
	}
	return &exitError{exitConfig, fmt.Sprintf("%s %s would let other machines in, and there is no sign-in for them yet; listen on 127.0.0.1 and put a proxy in front", flag, addr)}
}

// isLoopback reports whether a host name or address is this machine.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// letterOptions says under which name mail goes out.
func letterOptions(c config, p mailPlan, now func() time.Time) letters.Options {
	o := letters.Options{Emulator: c.Sender == "", EnvelopeFrom: bounceAddress, Now: now, Brand: c.Brand}
	if c.Sender == "" {
		return o
	}
	o.Emulator = p.toSink
	o.SenderName, o.SenderAddress = p.sender.Name, p.sender.Address.String()
	if p.people {
		contact := c.AbuseContact
		if contact == "" {
			contact = "abuse@" + p.sender.Address.Domain
		}
		o.Brand += ", " + contact
	}
	return o
}
