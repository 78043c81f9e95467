package main

import (
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"invited/mail/sink"
	"invited/mail/sink/faults"
	"invited/mail/sink/smtpd"
	"invited/mail/smtpout"
	"invited/server/mailpit"
)

// smtpFlags are the sink's settings that people know from Mailpit, under our
// names and, in the environment, under Mailpit's.
type smtpFlags struct {
	SMTPS           string `name:"smtps" env:"INVITED_SMTPS" placeholder:"ADDR" help:"The sink's SMTP listener that begins with TLS, with the development CA (default: none)."`
	LMTP            string `name:"lmtp" env:"INVITED_LMTP" placeholder:"ADDR" help:"The sink's LMTP listener (default: none)."`
	SMTPAuthFile    string `name:"smtp-auth-file" env:"INVITED_SMTP_AUTH_FILE,MP_SMTP_AUTH_FILE" placeholder:"FILE" help:"Who may log in by SMTP: user:password lines, passwords in clear or as argon2id hashes (default: anybody, with any password)."`
	SMTPAuthAny     bool   `name:"smtp-auth-accept-any" env:"INVITED_SMTP_AUTH_ACCEPT_ANY,MP_SMTP_AUTH_ACCEPT_ANY" help:"Let anybody log in by SMTP, with any password; so it is without --smtp-auth-file."`
	SMTPAuth        bool   `name:"smtp-auth-required" env:"INVITED_SMTP_AUTH_REQUIRED" help:"Take mail only after a login."`
	SMTPOfferTLS    bool   `name:"smtp-starttls" env:"INVITED_SMTP_STARTTLS" help:"Offer STARTTLS on --smtp, with the development CA. Off, because clients that see it and do not trust DIR/ca.pem send nothing."`
	SMTPStartTLS    bool   `name:"smtp-require-starttls" env:"INVITED_SMTP_REQUIRE_STARTTLS,MP_SMTP_REQUIRE_STARTTLS" help:"Take mail and logins only over TLS."`
	SMTPRecipients  int    `name:"smtp-max-recipients" env:"INVITED_SMTP_MAX_RECIPIENTS,MP_SMTP_MAX_RECIPIENTS" default:"100" help:"Recipients of one mail at most; more are answered 452."`
	MaxMessageBytes int64  `name:"max-message-bytes" env:"INVITED_MAX_MESSAGE_BYTES" default:"10485760" help:"Bytes of one mail at most; more are answered 552."`
	SinkAuthFile    string `name:"sink-auth-file" env:"INVITED_SINK_AUTH_FILE,MP_UI_AUTH_FILE" placeholder:"FILE" help:"Who may use the sink's pages and REST interface; lines as in --smtp-auth-file (default: everybody on this machine)."`
	WebhookURL      string `name:"webhook-url" env:"INVITED_WEBHOOK_URL,MP_WEBHOOK_URL" placeholder:"URL" help:"Told of every mail that arrives, by POST."`
	WebhookSecret   string `name:"webhook-secret" env:"INVITED_WEBHOOK_SECRET" placeholder:"TEXT" help:"Signs the calls of --webhook-url; better in the environment."`
	Label           string `name:"sink-label" env:"INVITED_SINK_LABEL,MP_LABEL" placeholder:"TEXT" help:"Name of this sink, told to clients and webhooks."`
	Metrics         bool   `name:"metrics" env:"INVITED_METRICS" help:"Serve GET /metrics on the sink's web side, for Prometheus."`
}

// largestMail is what the sink can store, less its envelope.
const largestMail = 60 << 20

// sinkSettings are the flags' files and URLs, read.
type sinkSettings struct {
	smtp, web *smtpd.Logins // nil: everybody may come in
	webhook   *mailpit.Webhook
	release   *mailpit.Relay // nil: no mail leaves
}

// settings reads what the flags name, or says which flag is at fault.
func (c sinkConfig) settings() (s sinkSettings, err error) {
	if err := c.smtpFlags.validate(); err != nil {
		return s, err
	}
	if c.SMTP == "" || c.SinkHTTP == "" {
		return s, &exitError{exitUsage, "--smtp and --sink-http must not be empty; port 0 picks one"}
	}
	if s.smtp, err = logins("--smtp-auth-file", c.SMTPAuthFile); err != nil {
		return s, err
	}
	if s.web, err = logins("--sink-auth-file", c.SinkAuthFile); err != nil || c.WebhookURL == "" {
		return s, err
	}
	s.webhook, err = mailpit.NewWebhook(mailpit.WebhookOptions{
		URL: c.WebhookURL, AllowLoopback: true, Secret: c.WebhookSecret, Label: c.Label, Version: versionText(),
	})
	if err != nil {
		return s, &exitError{exitConfig, "--webhook-url: " + strings.TrimPrefix(err.Error(), "mailpit: WebhookOptions.URL ")}
	}
	return s, nil
}

// validate names the flag at fault.
func (f smtpFlags) validate() error {
	switch {
	case f.SMTPAuthAny && f.SMTPAuthFile != "":
		return &exitError{exitUsage, "--smtp-auth-accept-any and --smtp-auth-file exclude each other"}
	case f.SMTPStartTLS && f.LMTP != "":
		return &exitError{exitUsage, "--smtp-require-starttls and --lmtp exclude each other: LMTP clients do not encrypt"}
	case f.SMTPRecipients < 0:
		return &exitError{exitUsage, "--smtp-max-recipients must be at least 1"}
	case f.MaxMessageBytes < 0 || f.MaxMessageBytes > largestMail:
		return &exitError{exitUsage, fmt.Sprintf("--max-message-bytes must be from 1 to %d", largestMail)}
	}
	return nil
}

// logins reads a password file; no name is nobody's file.
func logins(flag, path string) (*smtpd.Logins, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &exitError{exitConfig, fmt.Sprintf("%s: cannot read the file: %v", flag, err)}
	}
	l, err := smtpd.ParseLogins(data)
	if err != nil {
		return nil, &exitError{exitConfig, fmt.Sprintf("%s: %s: %v", flag, path, strings.TrimPrefix(err.Error(), "smtpd: "))}
	}
	return l, nil
}

// ownUser is the name under which the program itself uses its sink.
const ownUser = "invited"

// let returns who may come in: those of the file, and the program itself.
func (a *app) let(l *smtpd.Logins) func(user, password string) bool {
	if l == nil {
		return nil
	}
	return func(user, password string) bool {
		own := user == ownUser && subtle.ConstantTimeCompare([]byte(password), []byte(a.credential)) == 1
		return own || l.Match(user, password)
	}
}

// smtpOptions says how the sink listens.
func (a *app) smtpOptions(s sinkSettings, set *faults.Set) smtpd.Options {
	return smtpd.Options{
		Sink: returns{a}, Hostname: "sink.invited.localhost", TLSConfig: a.ca.TLSConfig(), Faults: set, Now: a.clock.Now, Log: a.log,
		Login: a.let(s.smtp), RequireAuth: a.cfg.SMTPAuth, RequireTLS: a.cfg.SMTPStartTLS,
		NoStartTLS:      !a.cfg.SMTPStartTLS && !a.cfg.SMTPOfferTLS,
		MaxMessageBytes: a.cfg.MaxMessageBytes, MaxRecipients: a.cfg.SMTPRecipients,
	}
}

// newREST returns the sink's REST face.
func (a *app) newREST(s sinkSettings, set *faults.Set, forced *sink.Forced) *mailpit.Handler {
	return &mailpit.Handler{
		Sink: a.sink, Version: versionText(), Label: a.cfg.Label, Started: a.clock.Now(), Log: a.log, Now: a.clock.Now,
		Login: a.let(s.web), MaxSend: a.cfg.MaxMessageBytes, Metrics: a.cfg.Metrics, Stats: a.smtp, Webhook: s.webhook,
		Faults: set, FaultRules: set, FolderRules: forced, Spam: a.judging.spam(a.clock.Now),
		Relay: s.release,
	}
}

// guardSink puts the sink's pages behind its login.
func (a *app) guardSink(h http.Handler) http.Handler { return a.rest.RequireLogin(h) }

// openForced opens the rules that file mail, beside the mail.
func (a *app) openForced() (*sink.Forced, error) {
	dir := filepath.Join(a.cfg.Data, "sink")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return sink.OpenForced(dir)
}

// toOwnSink says how our sender reaches our sink, which may want TLS and a login.
func (a *app) toOwnSink() (smtpout.Options, error) {
	o := smtpout.Options{Relay: "smtp://" + a.smtpListener.Addr().String()}
	if a.cfg.SMTPAuth {
		o.Relay = "smtp://" + ownUser + ":" + a.credential + "@" + a.smtpListener.Addr().String()
	}
	if !a.cfg.SMTPStartTLS {
		return o, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.ca.CertificatePEM()) {
		return o, errors.New("the development CA has no certificate")
	}
	o.StartTLS, o.TLS = smtpout.StartTLSRequired, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return o, nil
}

// harmlessMailpit are settings of Mailpit that ask for what is so anyway.
var harmlessMailpit = []string{"MP_SMTP_AUTH_ALLOW_INSECURE", "MP_ENABLE_CHAOS", "MP_DISABLE_VERSION_CHECK", "MP_BLOCK_REMOTE_CSS_AND_FONTS"}

// warnMailpit says in one line which settings of Mailpit in the environment
// are not understood.
func warnMailpit(w io.Writer, environment []string, model *kong.Application) {
	known := slices.Clone(harmlessMailpit)
	_ = kong.Visit(model, func(n kong.Visitable, next kong.Next) error {
		if f, ok := n.(*kong.Flag); ok {
			known = append(known, f.Envs...)
		}
		return next(nil)
	})
	var unknown []string
	for _, v := range environment {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "MP_") && value != "" && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		fmt.Fprintf(w, "invited: these settings of Mailpit are in the environment and have no effect: %s\n", strings.Join(unknown, ", "))
	}
}
