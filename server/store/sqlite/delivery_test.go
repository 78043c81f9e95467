package sqlite_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
	"invited/mail/relaytest"
	"invited/mail/smtpout"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store/sqlite"
	"invited/server/store/storetest"
)

// delivery is everything between a queued mail and a relay: the queue in SQLite,
// the worker, and the pool of connections.
type delivery struct {
	t      *testing.T
	store  *sqlite.Store
	tenant directory.TenantID
	queued []invite.Change
	worker *outbox.Worker
	alarms outbox.Alarms
}

// impatient waits briefly at one stage of the dialogue.
func impatient(stage mail.Stage) (t smtpout.Timeouts) {
	const brief = 250 * time.Millisecond
	switch stage {
	case mail.StageGreeting, mail.StageTLS:
		t.Greeting, t.Hello = brief, brief // of which one is for the handshake
	case mail.StageHello, mail.StageAuth:
		t.Hello = brief
	case mail.StageMail:
		t.Mail = brief
	case mail.StageRcpt:
		t.Rcpt = brief
	case mail.StageData:
		t.Data = brief
	case mail.StageDot:
		t.Dot = brief
	}
	return t
}

// newStore returns a store with one tenant that is closed with the test.
func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	tenant, policy := storetest.NewTenant("Contoso")
	require.NoError(t, s.CreateTenant(t.Context(), tenant, policy))
	return s
}

// deliver queues mails and starts to send them, trying again after 20 ms, until
// the test ends.
func deliver(t *testing.T, s *sqlite.Store, relay smtpout.Options, mails ...invite.Change) *delivery {
	t.Helper()
	d := &delivery{t: t, store: s, tenant: "Contoso", queued: mails}
	for _, c := range mails {
		require.NoError(t, s.ApplyInvitation(t.Context(), c))
	}
	pool, err := smtpout.NewPool(relay)
	require.NoError(t, err)
	d.worker, err = outbox.NewWorker(outbox.Options{
		Store: s, Sender: pool, Owner: "a", Schedule: []time.Duration{20 * time.Millisecond}, Alarms: &d.alarms,
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- d.worker.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-result)
		require.NoError(t, pool.Close())
	})
	return d
}

// letter is a mail to somebody of at least size bytes.
func letter(to string, size int) invite.Change {
	c := storetest.NewInvitation(storetest.NewGuest("Contoso", to), size)
	c.Mail[0].Queued = time.Now()
	c.Mail[0].Message.Raw = []byte("Message-ID: <" + c.Mail[0].Message.MessageID + ">\r\n\r\n.dot\r\n" + strings.Repeat("0123456789abcdef\r\n", size/18+1))
	return c
}

// fate returns what became of mail i.
func (d *delivery) fate(i int) (invite.Delivery, []mail.Attempt) {
	d.t.Helper()
	id := d.queued[i].Mail[0].ID
	got, err := d.store.Delivery(context.Background(), d.tenant, id)
	require.NoError(d.t, err)
	attempts, err := d.store.Attempts(context.Background(), d.tenant, id)
	require.NoError(d.t, err)
	return got, attempts
}

// until waits until a mail is as a test wants it.
func (d *delivery) until(i int, what string, ok func(invite.Delivery, []mail.Attempt) bool) (invite.Delivery, []mail.Attempt) {
	d.t.Helper()
	require.Eventually(d.t, func() bool { return ok(d.fate(i)) }, 10*time.Second, 10*time.Millisecond, what)
	return d.fate(i)
}

func (d *delivery) untilFinal(i int) (invite.Delivery, []mail.Attempt) {
	d.t.Helper()
	return d.until(i, "the mail comes to an end", func(m invite.Delivery, _ []mail.Attempt) bool { return m.State.Final() })
}

// cell is one place of the fault matrix.
type cell struct {
	name  string
	verb  string // of the relay's reply that goes wrong
	says  string // what it says or does instead, once
	stage mail.Stage
	code  int
	size  int // of the mail

	final     bool // no second attempt is made
	alarm     bool // our credentials are refused, and not presented again soon
	ambiguous bool // the relay may have the mail

	tls  *tls.Config                      // of the relay; nil: no TLS, no credentials
	dial func(net.Conn) (net.Conn, error) // spoils the first connection
}

// stagesOfRelay are the replies that can go wrong.
var stagesOfRelay = []struct {
	verb   string
	stage  mail.Stage
	secure bool // needs TLS and credentials
}{
	{"greeting", mail.StageGreeting, false}, {"EHLO", mail.StageHello, false}, {"STARTTLS", mail.StageTLS, true}, {"TLS", mail.StageTLS, true},
	{"AUTH", mail.StageAuth, true}, {"MAIL", mail.StageMail, false}, {"RCPT", mail.StageRcpt, false}, {"DATA", mail.StageData, false},
	{"body", mail.StageDot, false},
}

// faultsOfRelay are the ways in which a reply can go wrong.
var faultsOfRelay = []struct {
	name, says string
	code       int
}{
	{"refuses for now", "451 4.3.0 Try later", 451},
	{"is shutting down", "421 4.3.2 Closing", 421},
	{"refuses for good", "550 5.7.1 Never", 550},
	{"says nothing", "hang", 0},
	{"resets", "reset", 0},
	{"closes", "fin", 0},
	{"talks nonsense", "HTTP/1.1 400 Bad Request", 0},
	{"talks without end", strings.Repeat("451-more\r\n", 10000) + "451 x", 0},
	{"speaks in binary", "451 4.3.0 \x00\xff\x1b[2J", 451},
}

// matrix returns every stage times every fault.
func matrix(secure *tls.Config) []cell {
	var cells []cell
	for _, at := range stagesOfRelay {
		for _, f := range faultsOfRelay {
			c := cell{name: f.name + " at " + at.verb, verb: at.verb, says: f.says, stage: at.stage, code: f.code}
			if at.secure {
				c.tls = secure
			}
			if at.verb == "TLS" { // whatever is said is no handshake
				c.code = 0
			}
			refusal := c.code/100 == 5
			c.alarm = refusal && at.stage == mail.StageAuth
			c.final = refusal && at.stage != mail.StageAuth && at.stage != mail.StageTLS
			c.ambiguous = at.stage == mail.StageDot && c.code == 0
			cells = append(cells, c)
		}
	}
	for _, says := range []string{"452 4.3.1 Full", "454 4.7.0 Not now", "450 4.2.0 Greylisted"} {
		cells = append(cells, cell{name: says[:3] + " at RCPT", verb: "RCPT", says: says, stage: mail.StageRcpt, code: int(says[0]-'0')*100 + int(says[1]-'0')*10 + int(says[2]-'0')})
	}
	for _, says := range []string{"552 5.3.4 Too large", "553 5.1.3 Malformed", "554 5.7.1 Spam", "550 5.7.515 Not authenticated"} {
		for verb, stage := range map[string]mail.Stage{"RCPT": mail.StageRcpt, "body": mail.StageDot} {
			cells = append(cells, cell{name: says + " at " + verb, verb: verb, says: says, stage: stage, code: 550 + int(says[2]-'0'), final: true})
		}
	}
	return append(cells,
		cell{name: "535 at AUTH", verb: "AUTH", says: "535 5.7.8 Who are you", stage: mail.StageAuth, code: 535, alarm: true, tls: secure},
		cell{name: "530 at MAIL", verb: "MAIL", says: "530 5.7.0 Authenticate first", stage: mail.StageMail, code: 530},
		cell{name: "STARTTLS is gone", verb: "EHLO", says: "250-relay.example\r\n250 AUTH PLAIN", stage: mail.StageTLS, tls: secure},
		cell{name: "nobody listens", stage: mail.StageConnect, dial: func(net.Conn) (net.Conn, error) { return nil, errors.New("connection refused") }},
		cell{name: "the connection breaks within the mail", stage: mail.StageDot, size: 200_000, dial: func(c net.Conn) (net.Conn, error) {
			return &cutConn{Conn: c, left: 100_000}, nil
		}},
		cell{name: "closes at QUIT", verb: "QUIT", says: "fin"}, cell{name: "421 at QUIT", verb: "QUIT", says: "421 4.3.2 Closing"},
	)
}

// cutConn is a connection that is reset after some bytes were written.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:c.left])
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Conn.Close()
	return n, errors.New("connection reset by peer")
}

// TestFaultMatrix lets everything go wrong once, at every stage, on the way from
// the queue in SQLite through the worker and the pool to a relay, and holds that
// the attempt is on record as it was, that the mail arrives at the next one with
// the same bytes unless it was refused for good, and that no copy is made but
// where nobody can know.
func TestFaultMatrix(t *testing.T) {
	server, roots := certificate(t)
	cells := matrix(server)
	require.Greater(t, len(cells), 90)
	stages := map[string][]cell{}
	for _, c := range cells {
		stages[c.verb] = append(stages[c.verb], c)
	}
	for verb, cells := range stages {
		t.Run("at "+verb, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			for _, c := range cells {
				t.Run(c.name, func(t *testing.T) { c.test(t, s, roots) })
			}
		})
	}
}

func (c cell) test(t *testing.T, s *sqlite.Store, roots *x509.CertPool) {
	var once atomic.Bool
	r := &relaytest.Relay{Caps: []string{"PIPELINING", "8BITMIME"}, TLS: c.tls, Answer: func(_ int, verb string) string {
		if verb == "HELO" && c.verb == "EHLO" && c.code/100 == 5 {
			return c.says // a refusal of EHLO leads to HELO
		}
		if verb == c.verb && once.CompareAndSwap(false, true) {
			return c.says
		}
		return ""
	}}
	if c.tls != nil {
		r.Caps = append(r.Caps, "STARTTLS", "AUTH PLAIN")
	}
	r.Start(t)
	o := smtpout.Options{Relay: r.URL(), MaxMails: 1, NoChunking: true}
	if c.says == "hang" {
		o.Timeouts = impatient(c.stage)
	}
	if c.tls != nil {
		o.Relay = strings.Replace(o.Relay, "://", "://jane:secret%20word@", 1)
		o.TLS = &tls.Config{RootCAs: roots}
	}
	if c.dial != nil {
		o.Dial = c.spoil()
	}
	mailed := letter("guest."+storetest.ID()+"@fabrikam.example", c.size)
	d := deliver(t, s, o, mailed)
	if c.alarm {
		c.testAlarm(t, d)
		// The next cell is not to find this mail.
		require.NoError(t, s.ApplyDirectory(t.Context(), directory.Change{Tenant: d.tenant, CancelMail: []directory.UserID{mailed.NewUsers[0].ID}}))
		d.untilFinal(0)
		return
	}
	got, attempts := d.untilFinal(0)
	if c.stage == "" { // after the reply that counts
		require.Equal(t, mail.Delivered, got.State)
		require.Len(t, attempts, 1)
	} else {
		c.testAttempts(t, d, got, attempts)
	}
	raw := string(mailed.Mail[0].Message.Raw)
	for _, body := range r.Tried() {
		require.Equal(t, raw, body, "the same bytes, and so the same Message-ID")
	}
	_, _, arrived := r.Seen()
	require.Len(t, arrived, map[bool]int{true: 0, false: 1}[c.final])
}

// spoil returns how to dial: badly, and then well.
func (c cell) spoil() func(context.Context, string, string) (net.Conn, error) {
	var once sync.Once
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		once.Do(func() {
			good := nc
			if nc, err = c.dial(good); err != nil {
				_ = good.Close()
			}
		})
		return nc, err
	}
}

// testAttempts holds what is on record.
func (c cell) testAttempts(t *testing.T, d *delivery, got invite.Delivery, attempts []mail.Attempt) {
	first := attempts[0]
	if c.verb != "greeting" || first.Stage != mail.StageConnect { // a reset may come that early
		require.Equal(t, c.stage, first.Stage, "%+v", first)
	}
	require.Equal(t, c.code, first.Code, "%+v", first)
	require.Equal(t, c.final, first.Permanent)
	require.Equal(t, c.ambiguous, first.Ambiguous)
	require.NotContains(t, first.Text, "\x00")
	require.NotEmpty(t, first.Text)
	if c.final {
		require.Equal(t, mail.Failed, got.State)
		require.Len(t, attempts, 1)
		return
	}
	require.Equal(t, mail.Delivered, got.State)
	require.Len(t, attempts, 2)
	require.True(t, attempts[1].OK())
	stats := d.worker.Stats()
	require.EqualValues(t, 1, stats.Deferred)
	require.Equal(t, c.ambiguous, stats.Ambiguous == 1, "what may have arrived twice is counted")
	require.Empty(t, d.alarms.List(), "the relay took mail")
}

// testAlarm holds that refused credentials cost no mail and are made known.
func (c cell) testAlarm(t *testing.T, d *delivery) {
	got, attempts := d.until(0, "the refusal is on record", func(_ invite.Delivery, a []mail.Attempt) bool { return len(a) > 1 })
	require.Contains(t, []mail.DeliveryState{mail.Deferred, mail.Sending}, got.State)
	require.Equal(t, c.stage, attempts[0].Stage)
	require.Equal(t, c.code, attempts[0].Code)
	require.False(t, attempts[0].Permanent)
	require.Len(t, d.alarms.List(), 1)
	require.Equal(t, c.code, d.alarms.List()[0].Last.Code)
	require.NotContains(t, fmt.Sprintf("%+v %+v", attempts, d.alarms.List()), "secret")
}

// certificate returns a server's TLS configuration for 127.0.0.1 and the roots
// that vouch for it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, roots
}

// TestBadTLS presents bad certificates once, and holds that nothing goes out in
// clear meanwhile.
func TestBadTLS(t *testing.T) {
	good, roots := certificate(t)
	bad := func(name string, lives time.Duration, trusted bool) *tls.Config {
		c := selfSigned(t, name, lives)
		if trusted {
			roots.AddCert(c.Leaf)
		}
		return &tls.Config{Certificates: []tls.Certificate{c}}
	}
	tests := []struct {
		name string
		bad  *tls.Config // of the relay, on the first connection
	}{
		{"TLS 1.1", &tls.Config{Certificates: good.Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}},
		{"self-signed", bad("127.0.0.1", time.Hour, false)},
		{"expired", bad("127.0.0.1", -time.Hour, true)},
		{"of another name", bad("192.0.2.1", time.Hour, true)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var once atomic.Bool
			conf := good.Clone()
			conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				if once.CompareAndSwap(false, true) {
					return tt.bad, nil
				}
				return nil, nil
			}
			conf.MinVersion = tls.VersionTLS10
			r := (&relaytest.Relay{Caps: []string{"STARTTLS"}, TLS: conf}).Start(t)
			d := deliver(t, newStore(t), smtpout.Options{
				Relay: r.URL(), StartTLS: smtpout.StartTLSRequired, TLS: &tls.Config{RootCAs: roots},
			}, letter("guest@fabrikam.example", 8))
			got, attempts := d.untilFinal(0)
			require.Equal(t, mail.Delivered, got.State)
			require.Len(t, attempts, 2)
			require.Equal(t, mail.StageTLS, attempts[0].Stage, "%+v", attempts[0])
			require.Equal(t, "4.7.0", attempts[0].Enhanced)
			_, lines, _ := r.Seen()
			for i, line := range lines {
				if strings.HasPrefix(line, "MAIL") {
					require.GreaterOrEqual(t, i, 5, "after EHLO, STARTTLS, EHLO, STARTTLS, EHLO: %q", lines)
				}
			}
		})
	}
}

// selfSigned returns a certificate for an address.
func selfSigned(t *testing.T, addr string, lives time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(lives),
		IPAddresses: []net.IP{net.ParseIP(addr)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// TestGreylisting mails three guests through a relay that takes nobody's first
// try.
func TestGreylisting(t *testing.T) {
	var tries atomic.Int64
	r := (&relaytest.Relay{Caps: []string{"PIPELINING", "CHUNKING"}, Answer: func(_ int, verb string) string {
		if verb == "RCPT" && tries.Add(1) <= 3 {
			return "450 4.2.0 Greylisted, come back later"
		}
		return ""
	}}).Start(t)
	d := deliver(t, newStore(t), smtpout.Options{Relay: r.URL(), Conns: 1}, letter("a@fabrikam.example", 8), letter("b@fabrikam.example", 8), letter("c@fabrikam.example", 8))
	for i := range 3 {
		got, attempts := d.untilFinal(i)
		require.Equal(t, mail.Delivered, got.State)
		require.Len(t, attempts, 2)
		require.Equal(t, 450, attempts[0].Code)
		require.Equal(t, "4.2.0", attempts[0].Enhanced)
	}
	_, _, arrived := r.Seen()
	require.Len(t, arrived, 3)
}

// TestPoison queues a mail without bytes between two others.
func TestPoison(t *testing.T) {
	r := (&relaytest.Relay{Caps: []string{"PIPELINING"}}).Start(t)
	poison := letter("b@fabrikam.example", 8)
	poison.Mail[0].Message.Raw = nil
	d := deliver(t, newStore(t), smtpout.Options{Relay: r.URL()}, letter("a@fabrikam.example", 8), poison, letter("c@fabrikam.example", 8))
	for i, want := range []mail.DeliveryState{mail.Delivered, mail.Failed, mail.Delivered} {
		got, attempts := d.untilFinal(i)
		require.Equal(t, want, got.State)
		require.Len(t, attempts, 1)
	}
	_, attempts := d.fate(1)
	require.Contains(t, attempts[0].Text, "quarantined")
	require.EqualValues(t, 1, d.worker.Stats().Quarantined)
}

// TestSMTPSinkAsFaultInjector repeats the heart of the matrix with faults that
// Postfix's test server makes, which does not share our idea of SMTP.
func TestSMTPSinkAsFaultInjector(t *testing.T) {
	codes := map[string]int{"-r": 450, "-f": 500, "-Q": 421, "-q": 0}
	commands := map[string]mail.Stage{
		"CONNECT": mail.StageGreeting, "EHLO": mail.StageHello, "MAIL": mail.StageMail, "RCPT": mail.StageRcpt, "DATA": mail.StageData, ".": mail.StageDot,
	}
	for flag, code := range codes {
		for command, stage := range commands {
			t.Run(flag+" "+command, func(t *testing.T) {
				t.Parallel()
				list := command
				if command == "EHLO" {
					list += ",HELO"
				}
				url := relaytest.SMTPSink(t, flag, list)
				d := deliver(t, newStore(t), smtpout.Options{Relay: url, NoChunking: true}, letter("guest@fabrikam.example", 8))
				_, attempts := d.until(0, "it is tried as often as makes sense", func(m invite.Delivery, a []mail.Attempt) bool {
					return m.State.Final() || len(a) > 1
				})
				got, _ := d.fate(0)
				first := attempts[0]
				if code == 0 && stage == mail.StageGreeting {
					require.Contains(t, []mail.Stage{mail.StageConnect, mail.StageGreeting}, first.Stage)
				} else {
					require.Equal(t, stage, first.Stage, "%+v", first)
				}
				require.Equal(t, code/100, first.Code/100, "%+v", first)
				require.Equal(t, code == 500, got.State == mail.Failed)
				require.NotEqual(t, mail.Delivered, got.State)
				require.Equal(t, code == 0 && stage == mail.StageDot, first.Ambiguous)
			})
		}
	}
	t.Run("no fault", func(t *testing.T) {
		d := deliver(t, newStore(t), smtpout.Options{Relay: relaytest.SMTPSink(t)}, letter("guest@fabrikam.example", 8))
		got, _ := d.untilFinal(0)
		require.Equal(t, mail.Delivered, got.State)
	})
	t.Run("hangs up at QUIT", func(t *testing.T) {
		d := deliver(t, newStore(t), smtpout.Options{Relay: relaytest.SMTPSink(t, "-q", "QUIT"), MaxMails: 1}, letter("guest@fabrikam.example", 8))
		got, attempts := d.untilFinal(0)
		require.Equal(t, mail.Delivered, got.State)
		require.Len(t, attempts, 1)
	})
}
