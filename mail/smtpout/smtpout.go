// Package smtpout hands messages to a relay over a pool of kept, pipelined
// SMTP connections.
//
//	Send ─▶ free connection? ─▶ [RSET] MAIL RCPT BDAT+body ─▶ three replies ─▶ mail.Attempt
//	             │ no: open one (greeting, EHLO, STARTTLS, AUTH) while there
//	             │ are fewer than Conns; then queue behind another message
//	             └ closed by the relay while it lay idle: once more, on a new one
//
// The envelope travels in one packet where the relay offers PIPELINING
// (RFC 2920), together with the body where it offers CHUNKING (RFC 3030); other
// relays are served in lock-step. The reply to the end of the message decides;
// what QUIT is answered is nobody's business.
//
// The package does not queue, does not retry later and does not look up MX
// records: one relay, one try, one [mail.Attempt]. It never sends credentials
// in clear, and off loopback never sends anything in clear unless told to.
package smtpout

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"golang.org/x/time/rate"

	"invited/mail"
)

// Options configures a [Pool].
type Options struct {
	// Relay is required: smtp://host[:port] or smtps://host[:port], with
	// user:password@ before the host if the relay wants AUTH, or user@ with
	// a Token. The ports default to 25, 587 with a user, and 465.
	Relay string

	Hello      string      // our name in EHLO; empty means the address literal of our end
	StartTLS   StartTLS    // of smtp:// relays
	TLS        *tls.Config // root certificates and the like; nil means the system's
	NoChunking bool        // use DATA even if the relay offers BDAT

	// Token returns a fresh OAuth 2 access token of the relay's user, who then
	// needs no password: AUTH XOAUTH2 is used. It is asked once for each
	// connection. Nil means AUTH PLAIN or LOGIN with the password.
	Token func(ctx context.Context) (string, error)

	// RequireTLS asks for REQUIRETLS (RFC 8689) with every mail: it is to
	// travel encrypted on all of its way, or not at all. A relay that does not
	// offer it gets no mail.
	RequireTLS bool

	Conns    int           // most connections; 0 means 8
	Depth    int           // most messages in flight on one connection; 0 means 4
	MaxMails int           // messages until a connection is replaced; 0 means 1,000
	Idle     time.Duration // until an unused connection is closed; 0 means 15 s
	Rate     float64       // most mails a second; 0 means as fast as they come
	Timeouts Timeouts      // per stage

	// Dial opens a connection; nil means a [net.Dialer].
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Now  func() time.Time // stamps attempts; nil means time.Now
}

// Timeouts are the longest waits of each stage of the dialogue. Zero fields
// take the values in brackets, which are those of a patient MTA.
type Timeouts struct {
	Connect  time.Duration // [10 s]
	Greeting time.Duration // [30 s] also TLS handshakes
	Hello    time.Duration // [30 s] also STARTTLS and each step of AUTH
	Mail     time.Duration // [30 s] also RSET
	Rcpt     time.Duration // [30 s]
	Data     time.Duration // [60 s]
	Body     time.Duration // [120 s] to hand over all of the message
	Dot      time.Duration // [300 s] for the reply to its end
}

// StartTLS says whether a smtp:// connection is upgraded (RFC 3207). There is
// no "if offered": whoever can drop a line from the relay's greeting could then
// read the mail.
type StartTLS int

// The policies.
const (
	StartTLSDefault  StartTLS = iota // never on loopback without a user, required elsewhere
	StartTLSRequired                 // a relay that does not offer it gets no mail
	StartTLSNever                    // mail travels in clear
)

func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&t.Connect, 10*time.Second)
	set(&t.Greeting, 30*time.Second)
	set(&t.Hello, 30*time.Second)
	set(&t.Mail, 30*time.Second)
	set(&t.Rcpt, 30*time.Second)
	set(&t.Data, 60*time.Second)
	set(&t.Body, 120*time.Second)
	set(&t.Dot, 300*time.Second)
	return t
}

// NewPool returns a pool that has not connected yet, or an error that names
// the option at fault. The error never repeats the relay's credentials.
func NewPool(o Options) (*Pool, error) {
	r, err := parseRelay(o.Relay, o.Token != nil)
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Conns == 0 {
		o.Conns = 8
	}
	if o.Depth == 0 {
		o.Depth = 4
	}
	if o.MaxMails == 0 {
		o.MaxMails = 1000
	}
	if o.Idle == 0 {
		o.Idle = 15 * time.Second
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.StartTLS == StartTLSDefault {
		o.StartTLS = StartTLSRequired
		if r.loopback() && r.user == "" && !o.RequireTLS {
			o.StartTLS = StartTLSNever
		}
	}
	if r.user != "" && !r.tls && o.StartTLS == StartTLSNever {
		return nil, errors.New("smtpout: Options.StartTLS is never, but Options.Relay has credentials, which are not sent in clear")
	}
	if o.RequireTLS && !r.tls && o.StartTLS == StartTLSNever {
		return nil, errors.New("smtpout: Options.RequireTLS is set, but the connection to Options.Relay is in clear")
	}
	o.Timeouts = o.Timeouts.withDefaults()
	p := &Pool{opts: o, relay: r, tlsConfig: tlsConfig(o.TLS, r.host), open: map[*conn]struct{}{}}
	if o.Rate > 0 {
		p.rate = rate.NewLimiter(rate.Limit(o.Rate), int(math.Ceil(o.Rate)))
	}
	return p, nil
}

// check refuses values that have no meaning.
func (o Options) check() error {
	for name, n := range map[string]int{"Conns": o.Conns, "Depth": o.Depth, "MaxMails": o.MaxMails} {
		if n < 0 {
			return fmt.Errorf("smtpout: Options.%s is negative", name)
		}
	}
	if o.Rate < 0 || math.IsNaN(o.Rate) || math.IsInf(o.Rate, 0) {
		return errors.New("smtpout: Options.Rate is negative or not a number")
	}
	t := o.Timeouts
	for _, d := range []time.Duration{o.Idle, t.Connect, t.Greeting, t.Hello, t.Mail, t.Rcpt, t.Data, t.Body, t.Dot} {
		if d < 0 {
			return errors.New("smtpout: Options.Idle or a field of Options.Timeouts is negative")
		}
	}
	if o.Hello != "" && !wireSafe(o.Hello) {
		return errors.New("smtpout: Options.Hello contains a space or a control character")
	}
	if o.StartTLS < StartTLSDefault || o.StartTLS > StartTLSNever {
		return errors.New("smtpout: Options.StartTLS is not one of the policies")
	}
	return nil
}

// tlsConfig returns base, or nothing, with the floor and the name we insist on.
func tlsConfig(base *tls.Config, host string) *tls.Config {
	c := &tls.Config{}
	if base != nil {
		c = base.Clone()
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if c.ServerName == "" {
		c.ServerName = host
	}
	return c
}

// Send tries once to deliver m. A message that must not be put on the wire
// (an address with a control character, no body) fails for good without a
// connection being touched.
func (p *Pool) Send(ctx context.Context, m mail.Message) mail.Attempt {
	a := p.send(ctx, m)
	a.At, a.Relay = p.opts.Now(), p.relay.addr
	return a
}

func (p *Pool) send(ctx context.Context, m mail.Message) mail.Attempt {
	l, err := newLetter(m)
	if err != nil {
		return mail.Attempt{Stage: mail.StageMail, Enhanced: "5.1.3", Text: err.Error(), Permanent: true}
	}
	if p.rate != nil {
		if err := p.rate.Wait(ctx); err != nil {
			return failure(mail.StageConnect, errTooFast)
		}
	}
	c, a := p.get(ctx, time.Time{})
	if c == nil {
		return a
	}
	a, again := c.deliver(ctx, l)
	p.put(c)
	if !again || ctx.Err() != nil {
		return a
	}
	p.restarts.Add(1)
	if c, a = p.get(ctx, time.Now()); c == nil {
		return a
	}
	a, _ = c.deliver(ctx, l)
	p.put(c)
	return a
}
