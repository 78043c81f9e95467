package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"os"
	"strings"
	"time"

	"invited/mail"
	"invited/mail/outbox"
	"invited/mail/smtpout"
	"invited/server/invite"
)

// standardDomainConns is how many mails go to one recipient's domain at once
// when people are mailed: what other mail servers are used to.
const standardDomainConns = 20

// openOutbox builds delivery.
func (a *app) openOutbox() (err error) {
	if a.relays, err = a.openRelays(); err != nil {
		return err
	}
	options := outbox.Options{
		Store: a.store, Sender: guardedSender{next: a.relays, plan: a.mailPlan, now: a.clock.Now}, Owner: newID(), Log: a.log, Now: a.clock.Now,
		Drain: a.cfg.Drain, DomainConcurrency: a.cfg.DomainConns, DomainRate: a.cfg.DomainRate, Alarms: &a.alarms,
	}
	if a.mailPlan.people && options.DomainConcurrency == 0 {
		options.DomainConcurrency = standardDomainConns
	}
	if a.cfg.Retry == "fast" {
		options.Schedule = outbox.DevSchedule
	}
	a.worker, err = outbox.NewWorker(options)
	return err
}

// openRelays returns what hands mail over: to our sink, or to the first of the
// relays that works.
func (a *app) openRelays() (*smtpout.Failover, error) {
	var all []smtpout.Options
	if a.mailPlan.toSink {
		o, err := a.toOwnSink()
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	for _, url := range a.mailPlan.relays {
		o, err := a.cfg.relayOptions(url)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	o := smtpout.FailoverOptions{Now: a.clock.Now, Alarm: func(t mail.Attempt) {
		a.alarms.Raise(t)
		a.log.Error("the relay refuses our credentials; another one is used until its settings are put right", slog.String("to", t.Relay))
	}}
	for _, relay := range all {
		relay.Conns, relay.Now = a.cfg.Connection, a.clock.Now
		pool, err := smtpout.NewPool(relay)
		if err != nil {
			return nil, &exitError{exitUsage, "--relay: " + strings.TrimPrefix(err.Error(), "smtpout: ")}
		}
		o.Pools = append(o.Pools, pool)
	}
	return smtpout.NewFailover(o)
}

// relayOptions says how one relay is spoken to.
func (c config) relayOptions(url string) (smtpout.Options, error) {
	o := smtpout.Options{Relay: url, Rate: c.RelayRate, RequireTLS: c.RequireTLS}
	switch c.RelayTLS {
	case "required":
		o.StartTLS = smtpout.StartTLSRequired
	case "never":
		o.StartTLS = smtpout.StartTLSNever
	}
	if c.RelayCA != "" {
		pem, err := os.ReadFile(c.RelayCA)
		if err != nil {
			return o, &exitError{exitConfig, "--relay-ca: " + err.Error()}
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return o, &exitError{exitConfig, fmt.Sprintf("--relay-ca: %s holds no certificate in PEM", c.RelayCA)}
		}
		o.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	switch {
	case c.RelayToken != "" && c.RelayTokenFile != "":
		return o, &exitError{exitUsage, "INVITED_RELAY_TOKEN and --relay-token-file exclude each other: name one"}
	case c.RelayToken != "":
		o.Token = func(context.Context) (string, error) { return c.RelayToken, nil }
	case c.RelayTokenFile != "":
		if _, err := readToken(c.RelayTokenFile); err != nil {
			return o, err
		}
		o.Token = func(context.Context) (string, error) { return readToken(c.RelayTokenFile) }
	}
	return o, nil
}

// readToken reads a file that holds an access token, which nobody else may read.
func readToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", &exitError{exitConfig, "--relay-token-file: " + err.Error()}
	}
	if err := checkPrivate(path, info); err != nil {
		return "", err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", &exitError{exitConfig, "--relay-token-file: " + err.Error()}
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", &exitError{exitConfig, fmt.Sprintf("--relay-token-file: %s is empty", path)}
	}
	return token, nil
}

// mode says what kind of server this is.
func (a *app) mode() invite.Mode {
	m := invite.Mode{Emulator: a.mailPlan.toSink}
	if !a.mailPlan.toSink {
		m.Recipients = a.mailPlan.mayMail
	}
	if a.mailPlan.people {
		m.MailsPerDay = a.cfg.RelayDaily
	}
	return m
}

// guardedSender is the last look at a mail before it leaves. The queue may hold
// mail that was written under other flags: for the sink, in a name that is not
// ours.
type guardedSender struct {
	next outbox.Sender
	plan mailPlan
	now  func() time.Time
}

// Send hands m on, or refuses it for good.
func (s guardedSender) Send(ctx context.Context, m mail.Message) mail.Attempt {
	if why := s.plan.refuse(m); why != "" {
		return mail.Attempt{At: s.now(), Stage: mail.StageConnect, Enhanced: "5.7.1", Text: why, Permanent: true}
	}
	return s.next.Send(ctx, m)
}

// refuse says why a mail may not leave; empty if it may.
func (p mailPlan) refuse(m mail.Message) string {
	if !p.mayMail(m.To) {
		return "this server sends no mail to " + m.To.Domain + " (--relay-recipients)"
	}
	if !p.people {
		return ""
	}
	own := p.sender.Address.Domain
	if _, domain, _ := strings.Cut(m.From, "@"); m.From != "" && domain != own && !strings.HasSuffix(domain, "."+own) {
		return "this mail was queued with the envelope of another domain than that of --sender; resend the invitation"
	}
	if from, err := headerFrom(m.Raw); err != nil || from.Address.Domain != own {
		return "this mail was written in the name of another domain than that of --sender; resend the invitation"
	}
	return ""
}

// headerFrom returns the one mailbox in the one From field of a mail.
func headerFrom(raw []byte) (box mail.Mailbox, err error) {
	msg, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return box, err
	}
	if len(msg.Header["From"]) != 1 {
		return box, errors.New("there is not one From")
	}
	from, err := netmail.ParseAddress(msg.Header.Get("From"))
	if err != nil {
		return box, err
	}
	box.Name = from.Name
	box.Address, err = mail.ParseAddress(from.Address)
	return box, err
}
