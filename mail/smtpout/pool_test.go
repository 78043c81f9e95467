package smtpout_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/relaytest"
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
			f := (&relaytest.Relay{Caps: caps}).Start(t)
			now := time.Unix(1_700_000_000, 0)
			p := pool(t, smtpout.Options{Relay: f.URL(), Hello: "mail.contoso.example", Now: func() time.Time { return now }})
			for range 3 {
				a := p.Send(t.Context(), message())
				require.Equal(t, mail.Attempt{
					At: now, Relay: f.Addr, Stage: mail.StageDot, Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as 7",
				}, a)
				require.True(t, a.OK())
			}
			conns, lines, mails := f.Seen()
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
					f := &relaytest.Relay{Caps: caps, Answer: func(conn int, verb string) (r string) {
						if verb == at.verb || verb == "HELO" && at.verb == "EHLO" {
							if verb != "EHLO" || !strings.HasPrefix(ft.reply, "550") { // EHLO's refusal leads to HELO
								once.Do(func() { r = ft.reply })
							} else {
								r = ft.reply
							}
						}
						return r
					}}
					f.Start(t)
					o := smtpout.Options{Relay: f.URL()}
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
			f := (&relaytest.Relay{Caps: caps, Answer: func(_ int, verb string) (r string) {
				if verb == "RCPT" {
					r, replies = replies[0], replies[1:]
				}
				return r
			}}).Start(t)
			p := pool(t, smtpout.Options{Relay: f.URL()})
			var codes []int
			for range 4 {
				codes = append(codes, p.Send(t.Context(), message()).Code)
			}
			require.Equal(t, []int{550, 250, 450, 250}, codes)
			conns, lines, mails := f.Seen()
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
	f := (&relaytest.Relay{Caps: dialects["pipelined"], Answer: func(_ int, verb string) string {
		switch {
		case verb == "RCPT" && first:
			return "550 5.1.1 no"
		case verb == "DATA" && first:
			first = false
			return "354 go on all the same"
		}
		return ""
	}}).Start(t)
	p := pool(t, smtpout.Options{Relay: f.URL()})
	a := p.Send(t.Context(), message())
	require.Equal(t, mail.StageRcpt, a.Stage)
	require.Equal(t, 550, a.Code)
	require.True(t, p.Send(t.Context(), message()).OK())
	conns, _, mails := f.Seen()
	require.Equal(t, 1, conns)
	require.Len(t, mails, 1)
	require.Equal(t, []string{""}, f.ForNobody())
}

func TestContextEndsTheAttempt(t *testing.T) {
	for dialect, caps := range dialects {
		t.Run(dialect, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			f := (&relaytest.Relay{Caps: caps, Answer: func(_ int, verb string) string {
				if verb == "body" {
					cancel()
					return "hang"
				}
				return ""
			}}).Start(t)
			p := pool(t, smtpout.Options{Relay: f.URL()})
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
		f := (&relaytest.Relay{Caps: dialects["lock-step"], Answer: func(_ int, verb string) string {
			if verb == "body" {
				cancel()
				return "hang"
			}
			return ""
		}}).Start(t)
		p := pool(t, smtpout.Options{Relay: f.URL(), Conns: 1})
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
	f := (&relaytest.Relay{Caps: dialects["chunked"], Answer: func(_ int, verb string) string {
		if verb == "body" {
			close(arrived)
			<-release
		}
		return ""
	}}).Start(t)
	p := pool(t, smtpout.Options{Relay: f.URL()})
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
	f := (&relaytest.Relay{Caps: dialects["chunked"], Answer: func(_ int, verb string) string {
		if verb == "body" {
			return "hang"
		}
		return ""
	}}).Start(t)
	p := pool(t, smtpout.Options{Relay: f.URL()})
	result := make(chan mail.Attempt, 1)
	go func() { result <- p.Send(t.Context(), message()) }()
	require.Eventually(t, func() bool { return p.Stats().Open == 1 }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Drain(ctx), context.DeadlineExceeded)
	require.False(t, (<-result).OK())
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
			f := (&relaytest.Relay{Caps: tt.caps}).Start(t)
			a := pool(t, smtpout.Options{Relay: f.URL()}).Send(t.Context(), tt.msg)
			_, lines, _ := f.Seen()
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
	f := (&relaytest.Relay{Caps: dialects["chunked"], Answer: func(conn int, verb string) string {
		if verb == "body" && conn == 1 {
			chunks++
			return "502 5.5.1 Command not implemented"
		}
		return ""
	}}).Start(t)
	p := pool(t, smtpout.Options{Relay: f.URL()})
	for range 3 {
		require.True(t, p.Send(t.Context(), message()).OK())
	}
	conns, _, mails := f.Seen()
	require.Equal(t, 2, conns)
	require.Len(t, mails, 3)
	require.Equal(t, 1, chunks)
}
