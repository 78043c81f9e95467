package smtpout_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/smtpout"
)

// message is a small mail to Jane.
func message() mail.Message {
	return mail.Message{
		MessageID: "1@contoso.example",
		From:      "invites@contoso.example",
		To:        mail.Address{Local: "jane", Domain: "fabrikam.example"},
		Raw:       []byte("Subject: Hello\r\n\r\n.dot\r\nbye\r\n"),
	}
}

// pool returns a pool for the relay that is closed with the test.
func pool(t testing.TB, o smtpout.Options) *smtpout.Pool {
	t.Helper()
	p, err := smtpout.NewPool(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
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

// dialects are the ways in which a message travels.
var dialects = map[string][]string{
	"lock-step":                  {"8BITMIME"},
	"pipelined":                  {"PIPELINING", "8BITMIME", "SIZE 1000000"},
	"chunked":                    {"PIPELINING", "CHUNKING", "SIZE"},
	"chunked without pipelining": {"CHUNKING"},
}

func TestSendDelivers(t *testing.T) {
	dialects := maps.Clone(dialects)
	dialects["HELO only"] = nil
	for name, caps := range dialects {
		t.Run(name, func(t *testing.T) {
			f := (&fakeRelay{caps: caps}).start(t)
			now := time.Unix(1_700_000_000, 0)
			p := pool(t, smtpout.Options{Relay: f.url(), Hello: "mail.contoso.example", Now: func() time.Time { return now }})
			for range 3 {
				a := p.Send(t.Context(), message())
				require.Equal(t, mail.Attempt{
					At: now, Relay: f.addr, Stage: mail.StageDot, Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as 7",
				}, a)
				require.True(t, a.OK())
			}
			conns, lines, mails := f.seen()
			require.Equal(t, 1, conns, "the connection is kept")
			require.Equal(t, "EHLO mail.contoso.example", lines[0])
			require.NotContains(t, lines, "RSET", "a transaction that ended well needs none")
			require.Equal(t, []string{string(message().Raw), string(message().Raw), string(message().Raw)}, mails)
		})
	}
}

// fault is one thing that goes wrong at one stage.
type fault struct {
	name, reply string
	want        mail.Attempt // without Stage
	text        string       // part of Text; empty: all of want.Text
}

var faults = []fault{
	{name: "refuses for now", reply: "451 4.3.0 Try later", want: mail.Attempt{Code: 451, Enhanced: "4.3.0", Text: "Try later"}},
	{name: "is shutting down", reply: "421 Closing", want: mail.Attempt{Code: 421, Text: "Closing"}},
	{name: "refuses for good", reply: "550-5.1.1 No such\r\n550 5.1.1 user", want: mail.Attempt{Code: 550, Enhanced: "5.1.1", Text: "No such\nuser", Permanent: true}},
	{name: "says nothing", reply: "hang", text: "no answer in time"},
	{name: "resets", reply: "reset"},
	{name: "closes", reply: "fin"},
	{name: "talks nonsense", reply: "howdy", text: `"howdy"`},
	{name: "says go on at the wrong time", reply: "334 Yes?", text: "334 Yes?"},
	{name: "talks without end", reply: strings.Repeat("250-more\r\n", 10000) + "250 x", text: "64 KiB"},
}

// stages are the points of the dialogue a fault can be put at.
var stages = []struct {
	verb  string
	stage mail.Stage
	limit func(*smtpout.Timeouts, time.Duration)
}{
	{"greeting", mail.StageGreeting, func(t *smtpout.Timeouts, d time.Duration) { t.Greeting = d }},
	{"EHLO", mail.StageHello, func(t *smtpout.Timeouts, d time.Duration) { t.Hello = d }},
	{"MAIL", mail.StageMail, func(t *smtpout.Timeouts, d time.Duration) { t.Mail = d }},
	{"RCPT", mail.StageRcpt, func(t *smtpout.Timeouts, d time.Duration) { t.Rcpt = d }},
	{"DATA", mail.StageData, func(t *smtpout.Timeouts, d time.Duration) { t.Data = d }},
	{"body", mail.StageDot, func(t *smtpout.Timeouts, d time.Duration) { t.Dot = d }},
}

// TestEveryStageTimesEveryFault walks the fault matrix: whatever goes wrong
// wherever, the attempt says so exactly, and the next message arrives.
func TestEveryStageTimesEveryFault(t *testing.T) {
	for dialect, caps := range dialects {
		for _, at := range stages {
			chunked := strings.HasPrefix(dialect, "chunked")
			if chunked && at.verb == "DATA" {
				continue
			}
			for _, ft := range faults {
				if at.verb == "DATA" && strings.HasPrefix(ft.reply, "334") {
					continue // 3xx is what DATA wants to hear
				}
				t.Run(fmt.Sprintf("%s relay %s at %s", dialect, ft.name, at.verb), func(t *testing.T) {
					t.Parallel()
					var once sync.Once
					f := &fakeRelay{caps: caps, answer: func(conn int, verb string) (r string) {
						if verb == at.verb || verb == "HELO" && at.verb == "EHLO" {
							if verb != "EHLO" || !strings.HasPrefix(ft.reply, "550") { // EHLO's refusal leads to HELO
								once.Do(func() { r = ft.reply })
							} else {
								r = ft.reply
							}
						}
						return r
					}}
					f.start(t)
					o := smtpout.Options{Relay: f.url()}
					if ft.reply == "hang" {
						at.limit(&o.Timeouts, 50*time.Millisecond)
					}
					p := pool(t, o)
					a := p.Send(t.Context(), message())
					if at.verb != "greeting" || a.Stage != mail.StageConnect { // a reset may come that early
						require.Equal(t, at.stage, a.Stage, "%+v", a)
					}
					require.False(t, a.OK())
					require.Equal(t, ft.want.Code, a.Code, "%+v", a)
					require.Equal(t, ft.want.Enhanced, a.Enhanced)
					require.Equal(t, ft.want.Permanent, a.Permanent)
					if ft.want.Text != "" {
						require.Equal(t, ft.want.Text, a.Text)
					}
					require.Contains(t, a.Text, ft.text)
					require.NotEmpty(t, a.Text)
					sent := at.verb == "body" || dialect == "chunked" && (at.verb == "MAIL" || at.verb == "RCPT")
					require.Equal(t, sent && ft.want.Code == 0, a.Ambiguous, "%+v", a)

					if at.verb == "EHLO" && ft.want.Permanent {
						return // this relay never greets again
					}
					a = p.Send(t.Context(), message())
					require.True(t, a.OK(), "the next message: %+v", a)
				})
			}
		}
	}
}

func TestConnectFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	p := pool(t, smtpout.Options{Relay: "smtp://" + l.Addr().String()})
	a := p.Send(t.Context(), message())
	require.Equal(t, mail.StageConnect, a.Stage)
	require.Contains(t, a.Text, "refused")
	require.False(t, a.Permanent)

	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := pool(t, smtpout.Options{Relay: "smtp://127.0.0.1", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		a := p.Send(t.Context(), message())
		require.Equal(t, mail.StageConnect, a.Stage)
		require.Equal(t, "no answer in time", a.Text)
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}

// TestPatience checks the default deadline of each stage against a relay that
// falls silent there.
func TestPatience(t *testing.T) {
	tests := []struct {
		name   string
		script []string // what the relay says after each of our writes
		stage  mail.Stage
		wait   time.Duration
	}{
		{"no greeting", nil, mail.StageGreeting, 30 * time.Second},
		{"no reply to EHLO", []string{"220 hi\r\n"}, mail.StageHello, 30 * time.Second},
		{"no reply to MAIL", []string{"220 hi\r\n", "250 hi\r\n"}, mail.StageMail, 30 * time.Second},
		{"no reply to RCPT", []string{"220 hi\r\n", "250 hi\r\n", "250 ok\r\n"}, mail.StageRcpt, 30 * time.Second},
		{"no reply to DATA", []string{"220 hi\r\n", "250 hi\r\n", "250 ok\r\n", "250 ok\r\n"}, mail.StageData, 60 * time.Second},
		{"no reply to the dot", []string{"220 hi\r\n", "250 hi\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"}, mail.StageDot, 300 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pool(t, smtpout.Options{Relay: "smtp://127.0.0.1", Dial: func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go func() {
						buf := make([]byte, 4096)
						for _, s := range tt.script {
							_, _ = theirs.Write([]byte(s))
							_, _ = theirs.Read(buf)
						}
						for err := error(nil); err == nil; {
							_, err = theirs.Read(buf)
						}
					}()
					return ours, nil
				}})
				start := time.Now()
				a := p.Send(t.Context(), message())
				require.Equal(t, tt.stage, a.Stage)
				require.Equal(t, "no answer in time", a.Text)
				require.Equal(t, tt.stage == mail.StageDot, a.Ambiguous)
				require.Equal(t, tt.wait, time.Since(start))
			})
		})
	}
}

func TestRefusalsDoNotCostTheConnection(t *testing.T) {
	for dialect, caps := range dialects {
		t.Run(dialect, func(t *testing.T) {
			replies := []string{"550 5.1.1 no", "", "450 4.2.1 later", ""}
			f := (&fakeRelay{caps: caps, answer: func(_ int, verb string) (r string) {
				if verb == "RCPT" {
					r, replies = replies[0], replies[1:]
				}
				return r
			}}).start(t)
			p := pool(t, smtpout.Options{Relay: f.url()})
			var codes []int
			for range 4 {
				codes = append(codes, p.Send(t.Context(), message()).Code)
			}
			require.Equal(t, []int{550, 250, 450, 250}, codes)
			conns, lines, mails := f.seen()
			require.Equal(t, 1, conns)
			require.Len(t, mails, 2)
			require.Equal(t, 2, strings.Count(strings.Join(lines, "\n"), "RSET"))
		})
	}
}

// TestTheRelayThatAsksForDataOfNobody answers 354 although it refused the only
// recipient: it must not get the message.
func TestTheRelayThatAsksForDataOfNobody(t *testing.T) {
	first := true
	f := (&fakeRelay{caps: dialects["pipelined"], answer: func(_ int, verb string) string {
		switch {
		case verb == "RCPT" && first:
			return "550 5.1.1 no"
		case verb == "DATA" && first:
			first = false
			return "354 go on all the same"
		}
		return ""
	}}).start(t)
	p := pool(t, smtpout.Options{Relay: f.url()})
	a := p.Send(t.Context(), message())
	require.Equal(t, mail.StageRcpt, a.Stage)
	require.Equal(t, 550, a.Code)
	require.True(t, p.Send(t.Context(), message()).OK())
	conns, _, mails := f.seen()
	require.Equal(t, 1, conns)
	require.Len(t, mails, 1)
	require.Equal(t, []string{""}, f.nobody)
}

func TestTheKeptConnectionThatIsGone(t *testing.T) {
	tests := []struct {
		name   string
		first  string // what the relay does on its first connection, at the second MAIL
		caps   []string
		conns  int
		result bool
	}{
		{"closed before DATA: once more at once", "fin", dialects["pipelined"], 2, true},
		{"reset before DATA: once more at once", "reset", dialects["lock-step"], 2, true},
		{"farewell in reply to MAIL: once more at once", "421 4.4.2 Idle too long", dialects["pipelined"], 2, true},
		{"farewell in reply to MAIL of a chunked message", "421 4.4.2 Idle too long", dialects["chunked"], 2, true},
		{"closed after BDAT: it may have been taken, so not at once", "fin", dialects["chunked"], 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			f := (&fakeRelay{caps: tt.caps, answer: func(conn int, verb string) string {
				if verb == "MAIL" && conn == 1 {
					if n++; n == 2 {
						return tt.first
					}
				}
				return ""
			}}).start(t)
			p := pool(t, smtpout.Options{Relay: f.url(), Conns: 1})
			require.True(t, p.Send(t.Context(), message()).OK())
			a := p.Send(t.Context(), message())
			require.Equal(t, tt.result, a.OK(), "%+v", a)
			require.Equal(t, !tt.result, a.Ambiguous)
			conns, _, _ := f.seen()
			require.Equal(t, tt.conns, conns)
			require.Equal(t, int64(tt.conns-1), p.Stats().Restarts)
		})
	}

	t.Run("a new connection that is closed is not tried again", func(t *testing.T) {
		f := (&fakeRelay{caps: dialects["pipelined"], answer: func(_ int, verb string) string {
			if verb == "MAIL" {
				return "421 4.7.0 Too busy"
			}
			return ""
		}}).start(t)
		a := pool(t, smtpout.Options{Relay: f.url()}).Send(t.Context(), message())
		require.Equal(t, 421, a.Code)
		conns, _, _ := f.seen()
		require.Equal(t, 1, conns)
	})

	t.Run("closed while idle is noticed before the message goes out", func(t *testing.T) {
		var server net.Conn
		ready := make(chan struct{})
		f := (&fakeRelay{caps: dialects["chunked"]}).start(t)
		p := pool(t, smtpout.Options{Relay: f.url(), Conns: 1, Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, n, a)
			if server == nil && err == nil {
				server = nc
				close(ready)
			}
			return nc, err
		}})
		require.True(t, p.Send(t.Context(), message()).OK())
		<-ready
		require.NoError(t, server.(*net.TCPConn).CloseWrite()) // makes the relay leave
		require.Eventually(t, func() bool {
			return p.Send(t.Context(), message()).OK() && p.Stats().Dialled == 2
		}, 5*time.Second, time.Millisecond)
	})
}

// TestIdleProbeWithoutSocket checks the portable way of noticing that a kept
// connection is gone, and that idle connections are closed.
func TestIdleProbeWithoutSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRelay{caps: dialects["pipelined"], done: make(chan struct{})}
		defer close(f.done)
		var servers []net.Conn
		p := pool(t, smtpout.Options{Relay: "smtp://127.0.0.1", Idle: 10 * time.Second, Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			servers = append(servers, theirs)
			n := len(servers)
			go f.serve(theirs, n)
			return ours, nil
		}})
		require.True(t, p.Send(t.Context(), message()).OK())
		time.Sleep(time.Second) // of the bubble
		require.True(t, p.Send(t.Context(), message()).OK())
		require.Len(t, servers, 1, "alive, so used again")

		_ = servers[0].Close()
		time.Sleep(time.Second)
		require.True(t, p.Send(t.Context(), message()).OK())
		require.Len(t, servers, 2, "gone, so replaced")
		require.Zero(t, p.Stats().Restarts)

		require.Equal(t, smtpout.Stats{Open: 1, Idle: 1, Dialled: 2}, p.Stats())
		time.Sleep(11 * time.Second)
		require.Equal(t, smtpout.Stats{Dialled: 2}, p.Stats())
		_, lines, _ := f.seen()
		require.Equal(t, "QUIT", lines[len(lines)-1])
	})
}

// countingConn counts the MAIL commands that were written to it.
type countingConn struct {
	net.Conn
	mails *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.mails.Add(int64(bytes.Count(b, []byte("MAIL FROM"))))
	return c.Conn.Write(b)
}

// TestQueueBehindAnotherMessage holds back the reply to the first of three
// messages on one connection: the next ones are on their way by then, and its
// refusal is not theirs.
func TestQueueBehindAnotherMessage(t *testing.T) {
	release := make(chan struct{})
	n := 0
	f := (&fakeRelay{caps: dialects["chunked"], answer: func(_ int, verb string) string {
		if verb == "body" {
			if n++; n == 1 {
				<-release
				return "550 5.7.1 not this one"
			}
		}
		return ""
	}}).start(t)
	var written atomic.Int64
	p := pool(t, smtpout.Options{Relay: f.url(), Conns: 1, Depth: 3, Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, n, a)
		return countingConn{nc, &written}, err
	}})
	codes := make(chan int, 4)
	for range 4 {
		go func() { codes <- p.Send(t.Context(), message()).Code }()
	}
	require.Eventually(t, func() bool { return written.Load() == 3 }, 5*time.Second, time.Millisecond)
	close(release)
	require.ElementsMatch(t, []int{550, 250, 250, 250}, []int{<-codes, <-codes, <-codes, <-codes})
	conns, lines, mails := f.seen()
	require.Equal(t, 1, conns)
	require.Len(t, mails, 3)
	require.GreaterOrEqual(t, strings.Count(strings.Join(lines, "\n"), "RSET"), 2, "whoever writes before the outcome is known resets")
}

// TestNeighboursOfAFailure checks what becomes of messages that were written
// behind one whose connection breaks.
func TestNeighboursOfAFailure(t *testing.T) {
	tests := []struct {
		name, reply string
		conns       int
		codes       []int
		ambiguous   int
	}{
		{"reset: each of them may have been taken", "reset", 1, []int{0, 0, 0}, 3},
		{"farewell: the others were not looked at, and go over a new connection", "421 4.3.2 Closing", 2, []int{421, 250, 250}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			release := make(chan struct{})
			f := (&fakeRelay{caps: dialects["chunked"], answer: func(conn int, verb string) string {
				if verb == "body" && conn == 1 {
					<-release
					return tt.reply
				}
				return ""
			}}).start(t)
			var written atomic.Int64
			p := pool(t, smtpout.Options{Relay: f.url(), Conns: 1, Depth: 3, Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, n, a)
				return countingConn{nc, &written}, err
			}})
			attempts := make(chan mail.Attempt, 3)
			for range 3 {
				go func() { attempts <- p.Send(t.Context(), message()) }()
			}
			require.Eventually(t, func() bool { return written.Load() == 3 }, 5*time.Second, time.Millisecond)
			close(release)
			var codes []int
			ambiguous := 0
			for range 3 {
				a := <-attempts
				codes = append(codes, a.Code)
				if a.Ambiguous {
					ambiguous++
				}
			}
			require.ElementsMatch(t, tt.codes, codes)
			require.Equal(t, tt.ambiguous, ambiguous)
			conns, _, _ := f.seen()
			require.GreaterOrEqual(t, conns, tt.conns)
		})
	}
}

func TestMaxMailsPerConnection(t *testing.T) {
	f := (&fakeRelay{caps: dialects["chunked"]}).start(t)
	p := pool(t, smtpout.Options{Relay: f.url(), MaxMails: 2})
	for range 5 {
		require.True(t, p.Send(t.Context(), message()).OK())
	}
	conns, _, _ := f.seen()
	require.Equal(t, 3, conns)
}

func TestNotMoreConnectionsThanAllowed(t *testing.T) {
	for dialect, caps := range dialects {
		t.Run(dialect, func(t *testing.T) {
			f := (&fakeRelay{caps: caps}).start(t)
			p := pool(t, smtpout.Options{Relay: f.url(), Conns: 3, Depth: 2})
			var all sync.WaitGroup
			failed := make(chan mail.Attempt, 200)
			for range 200 {
				all.Go(func() {
					if a := p.Send(t.Context(), message()); !a.OK() {
						failed <- a
					}
				})
			}
			all.Wait()
			require.Empty(t, failed)
			conns, _, mails := f.seen()
			require.LessOrEqual(t, conns, 3)
			require.Equal(t, 200, len(mails))
		})
	}
}

func TestContextEndsTheAttempt(t *testing.T) {
	for dialect, caps := range dialects {
		t.Run(dialect, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			f := (&fakeRelay{caps: caps, answer: func(_ int, verb string) string {
				if verb == "body" {
					cancel()
					return "hang"
				}
				return ""
			}}).start(t)
			p := pool(t, smtpout.Options{Relay: f.url()})
			a := p.Send(ctx, message())
			if dialect != "chunked" { // there, the replies to MAIL and RCPT may not have been read yet
				require.Equal(t, mail.StageDot, a.Stage)
			}
			require.True(t, a.Ambiguous)
			require.Equal(t, "the attempt was broken off", a.Text)
		})
	}
	t.Run("while waiting for a connection", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := (&fakeRelay{caps: dialects["lock-step"], answer: func(_ int, verb string) string {
			if verb == "body" {
				cancel()
				return "hang"
			}
			return ""
		}}).start(t)
		p := pool(t, smtpout.Options{Relay: f.url(), Conns: 1})
		first := make(chan mail.Attempt)
		go func() { first <- p.Send(context.WithoutCancel(ctx), message()) }()
		<-ctx.Done()
		a := p.Send(ctx, message())
		require.Equal(t, mail.StageConnect, a.Stage)
		_ = p.Close()
		require.True(t, (<-first).Ambiguous)
	})
}

func TestDrain(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{})
	f := (&fakeRelay{caps: dialects["chunked"], answer: func(_ int, verb string) string {
		if verb == "body" {
			close(arrived)
			<-release
		}
		return ""
	}}).start(t)
	p := pool(t, smtpout.Options{Relay: f.url()})
	result := make(chan mail.Attempt, 1)
	go func() { result <- p.Send(t.Context(), message()) }()
	<-arrived
	drained := make(chan error, 1)
	go func() { drained <- p.Drain(t.Context()) }()
	require.Eventually(t, func() bool { return p.Send(t.Context(), message()).Text == "smtpout: the pool is closed" }, 5*time.Second, time.Millisecond)
	close(release)
	require.NoError(t, <-drained)
	require.True(t, (<-result).OK())
	require.Zero(t, p.Stats().Open)
}

func TestDrainGivesUp(t *testing.T) {
	f := (&fakeRelay{caps: dialects["chunked"], answer: func(_ int, verb string) string {
		if verb == "body" {
			return "hang"
		}
		return ""
	}}).start(t)
	p := pool(t, smtpout.Options{Relay: f.url()})
	result := make(chan mail.Attempt, 1)
	go func() { result <- p.Send(t.Context(), message()) }()
	require.Eventually(t, func() bool { return p.Stats().Open == 1 }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Drain(ctx), context.DeadlineExceeded)
	require.False(t, (<-result).OK())
}

func TestTLSAndCredentials(t *testing.T) {
	server, roots := certificate(t)
	trusting := &tls.Config{RootCAs: roots}
	old := server.Clone()
	old.MaxVersion = tls.VersionTLS11
	tests := []struct {
		name     string
		caps     []string
		smtps    bool
		server   *tls.Config
		client   *tls.Config
		policy   smtpout.StartTLS
		user     string
		answer   map[string]string
		stage    mail.Stage
		code     int
		enhanced string
	}{
		{name: "STARTTLS", caps: []string{"STARTTLS", "CHUNKING", "PIPELINING"}, policy: smtpout.StartTLSRequired, stage: mail.StageDot, code: 250, enhanced: "2.0.0"},
		{name: "smtps", smtps: true, caps: []string{"SIZE"}, stage: mail.StageDot, code: 250, enhanced: "2.0.0"},
		{name: "STARTTLS is not offered", caps: []string{"SIZE"}, policy: smtpout.StartTLSRequired, stage: mail.StageTLS, enhanced: "4.7.0"},
		{name: "STARTTLS is refused for good, which is still not the mail's fault", caps: []string{"STARTTLS"}, policy: smtpout.StartTLSRequired, answer: map[string]string{"STARTTLS": "554 5.7.3 no"}, stage: mail.StageTLS, code: 554, enhanced: "5.7.3"},
		{name: "plaintext is smuggled in before TLS", caps: []string{"STARTTLS"}, policy: smtpout.StartTLSRequired, answer: map[string]string{"STARTTLS": "220 go\r\n250 injected"}, stage: mail.StageTLS, enhanced: "4.7.0"},
		{name: "the certificate is not trusted", smtps: true, client: &tls.Config{}, stage: mail.StageTLS, enhanced: "4.7.0"},
		{name: "the certificate has another name", smtps: true, client: &tls.Config{RootCAs: roots, ServerName: "relay.fabrikam.example"}, stage: mail.StageTLS, enhanced: "4.7.0"},
		{name: "the relay's TLS is too old", smtps: true, server: old, client: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10}, stage: mail.StageTLS, enhanced: "4.7.0"},
		{name: "AUTH PLAIN", smtps: true, caps: []string{"AUTH LOGIN PLAIN"}, user: "jane:secret%20word@", stage: mail.StageDot, code: 250, enhanced: "2.0.0"},
		{name: "AUTH LOGIN", caps: []string{"STARTTLS", "AUTH LOGIN"}, user: "jane:secret%20word@", stage: mail.StageDot, code: 250, enhanced: "2.0.0"},
		{name: "neither PLAIN nor LOGIN", smtps: true, caps: []string{"AUTH CRAM-MD5"}, user: "jane:secret%20word@", stage: mail.StageAuth},
		{name: "wrong password is ours to mend, not the mail's end", smtps: true, caps: []string{"AUTH PLAIN"}, user: "jane:wrong@", stage: mail.StageAuth, code: 535, enhanced: "5.7.8"},
		{name: "wrong password with LOGIN", smtps: true, caps: []string{"AUTH LOGIN"}, user: "jane:wrong@", stage: mail.StageAuth, code: 535, enhanced: "5.7.8"},
		{name: "authentication is out of order", smtps: true, caps: []string{"AUTH PLAIN"}, user: "jane:wrong@", answer: map[string]string{"AUTH": "454 4.7.0 later"}, stage: mail.StageAuth, code: 454, enhanced: "4.7.0"},
		{name: "AUTH asks without end", smtps: true, caps: []string{"AUTH LOGIN"}, user: "jane:secret%20word@", answer: map[string]string{"AUTH": "334 again"}, stage: mail.StageAuth},
		{name: "authentication required", caps: []string{"PIPELINING"}, answer: map[string]string{"MAIL": "530 5.7.0 Authentication required"}, stage: mail.StageMail, code: 530, enhanced: "5.7.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeRelay{caps: tt.caps, smtps: tt.smtps, tls: server, answer: func(_ int, verb string) string { return tt.answer[verb] }}
			if tt.caps == nil {
				f.caps = []string{"SIZE"}
			}
			if tt.server != nil {
				f.tls = tt.server
			}
			f.start(t)
			client := trusting
			if tt.client != nil {
				client = tt.client
			}
			p := pool(t, smtpout.Options{Relay: strings.Replace(f.url(), "://", "://"+tt.user, 1), TLS: client, StartTLS: tt.policy})
			a := p.Send(t.Context(), message())
			require.Equal(t, tt.stage, a.Stage, "%+v", a)
			require.Equal(t, tt.code, a.Code, "%+v", a)
			require.Equal(t, tt.enhanced, a.Enhanced)
			require.False(t, a.Permanent)
			require.NotContains(t, fmt.Sprintf("%+v", a), "secret")
			require.NotContains(t, fmt.Sprintf("%+v", a), "wrong@")
			_, lines, mails := f.seen()
			if tt.stage != mail.StageDot {
				require.Empty(t, mails)
			}
			if tt.policy == smtpout.StartTLSRequired && len(lines) > 1 {
				require.Equal(t, "STARTTLS", lines[1], "nothing else goes out in clear")
			}
		})
	}
}

func TestRefusedCredentialsAreNotInsistedOn(t *testing.T) {
	server, roots := certificate(t)
	f := (&fakeRelay{caps: []string{"AUTH PLAIN"}, smtps: true, tls: server}).start(t)
	p := pool(t, smtpout.Options{Relay: strings.Replace(f.url(), "://", "://jane:wrong@", 1), TLS: &tls.Config{RootCAs: roots}})
	for range 50 {
		require.Equal(t, 535, p.Send(t.Context(), message()).Code)
	}
	conns, _, _ := f.seen()
	require.Equal(t, 1, conns)
}

func TestParametersOnlyWhenNeededAndOffered(t *testing.T) {
	eight, foreign := message(), message()
	eight.Raw = []byte("Subject: x\r\n\r\nZoë\r\n")
	foreign.To.Local = "zoë"
	tests := []struct {
		name string
		caps []string
		msg  mail.Message
		mail string // the MAIL command; empty: refused before
	}{
		{"nothing offered, nothing needed", []string{"HELP"}, message(), "MAIL FROM:<invites@contoso.example>"},
		{"all offered, size named", []string{"SIZE 99999", "8BITMIME", "SMTPUTF8"}, message(), "MAIL FROM:<invites@contoso.example> SIZE=29"},
		{"8-bit text", []string{"8BITMIME"}, eight, "MAIL FROM:<invites@contoso.example> BODY=8BITMIME"},
		{"8-bit text, not offered: sent as it is", []string{"HELP"}, eight, "MAIL FROM:<invites@contoso.example>"},
		{"address outside ASCII", []string{"SMTPUTF8"}, foreign, "MAIL FROM:<invites@contoso.example> SMTPUTF8"},
		{"address outside ASCII, not offered", []string{"HELP"}, foreign, ""},
		{"too large for the relay", []string{"SIZE 10"}, message(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := (&fakeRelay{caps: tt.caps}).start(t)
			a := pool(t, smtpout.Options{Relay: f.url()}).Send(t.Context(), tt.msg)
			_, lines, _ := f.seen()
			if tt.mail == "" {
				require.True(t, a.Permanent)
				require.Len(t, lines, 1)
				return
			}
			require.True(t, a.OK(), "%+v", a)
			require.Equal(t, tt.mail, lines[1])
		})
	}
}

func TestTheRelayThatOffersBDATButDoesNotKnowIt(t *testing.T) {
	chunks := 0
	f := (&fakeRelay{caps: dialects["chunked"], answer: func(conn int, verb string) string {
		if verb == "body" && conn == 1 {
			chunks++
			return "502 5.5.1 Command not implemented"
		}
		return ""
	}}).start(t)
	p := pool(t, smtpout.Options{Relay: f.url()})
	for range 3 {
		require.True(t, p.Send(t.Context(), message()).OK())
	}
	conns, _, mails := f.seen()
	require.Equal(t, 2, conns)
	require.Len(t, mails, 3)
	require.Equal(t, 1, chunks)
}

func TestUnsafeMessagesNeverReachTheWire(t *testing.T) {
	tests := []struct {
		name string
		mend func(*mail.Message)
	}{
		{"line break in the sender", func(m *mail.Message) { m.From = "a@b.example>\r\nRCPT TO:<c@d.example" }},
		{"line feed in the sender", func(m *mail.Message) { m.From = "a\n@b.example" }},
		{"parameter in the recipient", func(m *mail.Message) { m.To.Domain = "y.example> NOTIFY=NEVER RCPT TO:<x" }},
		{"carriage return in the recipient", func(m *mail.Message) { m.To.Local = "a\r" }},
		{"NUL in the recipient", func(m *mail.Message) { m.To.Local = "a\x00b" }},
		{"C1 control in the recipient", func(m *mail.Message) { m.To.Local = "a\u0085b" }},
		{"line separator in the recipient", func(m *mail.Message) { m.To.Local = "a\u2028b" }},
		{"broken UTF-8 in the recipient", func(m *mail.Message) { m.To.Local = "a\xffb" }},
		{"an endless recipient", func(m *mail.Message) { m.To.Local = strings.Repeat("a", 400) }},
		{"no recipient", func(m *mail.Message) { m.To = mail.Address{} }},
		{"no domain", func(m *mail.Message) { m.To.Domain = "" }},
		{"no message", func(m *mail.Message) { m.Raw = nil }},
	}
	p := pool(t, smtpout.Options{Relay: "smtp://127.0.0.1:1", Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("dialled")
	}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := message()
			tt.mend(&m)
			a := p.Send(t.Context(), m)
			require.True(t, a.Permanent)
			require.Equal(t, "5.1.3", a.Enhanced)
			require.NotEqual(t, "dialled", a.Text)
		})
	}
	m := message()
	m.From = ""
	require.Equal(t, "dialled", p.Send(t.Context(), m).Text, "the null sender is allowed")
}

func TestNewPool(t *testing.T) {
	tests := []struct {
		name string
		opts smtpout.Options
		err  string
	}{
		{"no relay", smtpout.Options{}, "Options.Relay is empty"},
		{"not a URL", smtpout.Options{Relay: "smtp://jane:hunter2@[::1"}, "Options.Relay is not a URL"},
		{"another scheme", smtpout.Options{Relay: "http://relay"}, "begins neither"},
		{"no scheme", smtpout.Options{Relay: "relay.example:25"}, "Options.Relay"},
		{"no host", smtpout.Options{Relay: "smtp://:25"}, "no usable host"},
		{"port too large", smtpout.Options{Relay: "smtp://relay.example:70000"}, "port 70000"},
		{"a path", smtpout.Options{Relay: "smtp://relay.example/x"}, "after the port"},
		{"user alone", smtpout.Options{Relay: "smtps://jane@relay.example"}, "not both"},
		{"credentials in clear", smtpout.Options{Relay: "smtp://jane:hunter2@127.0.0.1", StartTLS: smtpout.StartTLSNever}, "not sent in clear"},
		{"negative", smtpout.Options{Relay: "smtp://relay.example", Conns: -1}, "Options.Conns"},
		{"negative time", smtpout.Options{Relay: "smtp://relay.example", Timeouts: smtpout.Timeouts{Dot: -1}}, "Options.Timeouts"},
		{"name with a line break", smtpout.Options{Relay: "smtp://relay.example", Hello: "a\r\nMAIL"}, "Options.Hello"},
		{"unknown policy", smtpout.Options{Relay: "smtp://relay.example", StartTLS: 9}, "Options.StartTLS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := smtpout.NewPool(tt.opts)
			require.ErrorContains(t, err, tt.err)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	for url, addr := range map[string]string{
		"smtp://relay.example":           "relay.example:25",
		"smtp://a:b@relay.example":       "relay.example:587",
		"smtps://relay.example/":         "relay.example:465",
		"smtp://[::1]:2525":              "[::1]:2525",
		"smtps://a:b@relay.example:9465": "relay.example:9465",
	} {
		p := pool(t, smtpout.Options{Relay: url, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }})
		require.Equal(t, addr, p.Send(t.Context(), message()).Relay)
	}
}

// TestClearTextOnlyOnLoopback checks the default of the STARTTLS policy.
func TestClearTextOnlyOnLoopback(t *testing.T) {
	f := (&fakeRelay{caps: []string{"SIZE"}}).start(t)
	_, port, _ := net.SplitHostPort(f.addr)
	dial := func(ctx context.Context, n, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, n, f.addr)
	}
	for host, clear := range map[string]bool{"127.0.0.1": true, "localhost": true, "127.9.9.9": true, "[::1]": true, "relay.example": false, "localhost.example": false, "10.0.0.1": false} {
		a := pool(t, smtpout.Options{Relay: "smtp://" + host + ":" + port, Dial: dial}).Send(t.Context(), message())
		require.Equal(t, clear, a.OK(), host)
	}
}
