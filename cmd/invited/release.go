package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"invited/mail"
	"invited/mail/smtpout"
	"invited/server/mailpit"
)

// releaseFlags say how captured mail may leave the sink: not at all, unless a
// relay is named.
type releaseFlags struct {
	ReleaseRelay      string   `name:"release-relay" env:"INVITED_RELEASE_RELAY" placeholder:"URL" help:"Let captured mail be released to smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT (default: none leaves)."`
	ReleaseRecipients []string `name:"release-recipients" env:"INVITED_RELEASE_RECIPIENTS" default:"${reservedDomains}" placeholder:"PATTERN" help:"Domains that mail may be released to, such as fabrikam.com or *.fabrikam.com (default: ${reservedDomains}, which nobody has)."`
	ReleaseSender     string   `name:"release-sender" env:"INVITED_RELEASE_SENDER" placeholder:"ADDRESS" help:"Reverse-path of released mail, in a domain that is yours (default: the mail's own). Required to release to people; only mail from its domain is then released."`
	ReleaseBlocked    string   `name:"release-blocked" env:"INVITED_RELEASE_BLOCKED,MP_SMTP_RELAY_BLOCKED_RECIPIENTS" placeholder:"REGEXP" help:"Recipients that mail is never released to."`
}

// releasesDaily is how many mails to people are released in 24 hours at most:
// what a person does by hand.
const releasesDaily = 100

// openRelease returns where captured mail may be released to; nil if nowhere.
// Like --relay, another machine or a domain that somebody may have means that
// people are mailed.
func (a *app) openRelease() (*mailpit.Relay, error) {
	c := a.cfg.releaseFlags
	if c.ReleaseRelay == "" {
		return nil, nil
	}
	u, err := url.Parse(c.ReleaseRelay)
	if err != nil || u.Hostname() == "" {
		return nil, &exitError{exitUsage, "--release-relay must be a URL such as smtp://127.0.0.1:25 or smtps://user:password@mail.contoso.example"}
	}
	patterns, people, err := readPatterns("--release-recipients", c.ReleaseRecipients)
	if err != nil {
		return nil, err
	}
	if patterns == nil {
		return nil, &exitError{exitConfig, "--release-recipients any would let captured mail reach everybody; name the domains, such as fabrikam.com"}
	}
	r := &mailpit.Relay{Server: u.Host}
	if strings.Join(patterns, ",") != reservedDomains {
		r.Allowed = domainsRegexp(patterns)
	}
	if c.ReleaseBlocked != "" {
		if r.Blocked, err = regexp.Compile(c.ReleaseBlocked); err != nil {
			return nil, &exitError{exitUsage, "--release-blocked: " + err.Error()}
		}
	}
	own, err := c.sender(people || !isLoopback(u.Hostname()))
	if err != nil {
		return nil, err
	}
	if !own.IsZero() {
		r.ReturnPath = own.String()
	}
	if people || !isLoopback(u.Hostname()) {
		r.Permit = (&releaseLimits{domain: own.Domain, now: a.clock.Now}).permit
	}
	if a.out, err = smtpout.NewPool(smtpout.Options{Relay: c.ReleaseRelay, Now: a.clock.Now}); err != nil {
		return nil, &exitError{exitUsage, "--release-relay: " + strings.TrimPrefix(err.Error(), "smtpout: ")}
	}
	r.Sender = a.out
	return r, nil
}

// sender reads --release-sender, which people need.
func (c releaseFlags) sender(people bool) (a mail.Address, err error) {
	if c.ReleaseSender == "" {
		if people {
			return a, &exitError{exitConfig, "captured mail would be released to people, so --release-sender is needed: an address in a domain of your own, such as test@contoso.example"}
		}
		return a, nil
	}
	if a, err = mail.ParseAddress(c.ReleaseSender); err != nil {
		return a, &exitError{exitUsage, fmt.Sprintf("--release-sender %q is not an address such as test@contoso.example", c.ReleaseSender)}
	}
	if brand := protectedName(a.Domain); brand != "" {
		return a, &exitError{exitConfig, fmt.Sprintf("--release-sender %q uses the name %q, which is not yours to send under; use your own", c.ReleaseSender, brand)}
	}
	return a, nil
}

// domainsRegexp matches the addresses in domains that patterns name.
func domainsRegexp(patterns []string) *regexp.Regexp {
	names := make([]string, len(patterns))
	for i, p := range patterns {
		name, below := strings.CutPrefix(p, "*.")
		names[i] = regexp.QuoteMeta(name)
		if below {
			names[i] = `([^@]+\.)` + names[i]
		}
	}
	return regexp.MustCompile(`(?i)@(` + strings.Join(names, "|") + `)$`)
}

// releaseLimits are what mail must keep to that is released to people: it is
// in one's own name, and there is little of it.
type releaseLimits struct {
	domain string
	now    func() time.Time

	mu   sync.Mutex
	last []time.Time // of the past 24 hours; a restart forgets them
}

// permit refuses a mail with a sentence for people.
func (l *releaseLimits) permit(m mail.Message) error {
	from, err := headerFrom(m.Raw)
	switch {
	case err != nil || from.Address.Domain != l.domain:
		return fmt.Errorf("Only mail from one address in %s, the domain of --release-sender, is released to people.", l.domain) //nolint:revive,staticcheck // shown to people
	case strings.ContainsAny(from.Name, "@") || strings.Contains(from.Name, "://") || protectedName(from.Name) != "":
		return errors.New("The name of its sender reads like somebody else's; such mail is not released to people.") //nolint:revive,staticcheck // shown to people
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for len(l.last) > 0 && now.Sub(l.last[0]) >= 24*time.Hour {
		l.last = l.last[1:]
	}
	if len(l.last) >= releasesDaily {
		return fmt.Errorf("%d mails have been released to people in 24 hours, which are the most.", releasesDaily) //nolint:revive,staticcheck // shown to people
	}
	l.last = append(l.last, now)
	return nil
}
