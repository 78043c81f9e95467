package smtpout_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/relaytest"
	"invited/mail/smtpout"
)

// failover returns a failover over the relays that is closed with the test.
func failover(t *testing.T, o smtpout.FailoverOptions, relays ...*relaytest.Relay) *smtpout.Failover {
	t.Helper()
	for _, r := range relays {
		o.Pools = append(o.Pools, pool(t, smtpout.Options{Relay: r.URL()}))
	}
	f, err := smtpout.NewFailover(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// saying returns a relay that answers text to verb.
func saying(t *testing.T, verb, text string) *relaytest.Relay {
	t.Helper()
	return (&relaytest.Relay{Caps: dialects["pipelined"], Answer: func(_ int, v string) string {
		if v == verb {
			return text
		}
		return ""
	}}).Start(t)
}

func TestFailover(t *testing.T) {
	tests := []struct {
		name, verb, text string
		second           bool // the mail went to the second relay
		code             int
	}{
		{name: "the first relay works", code: 250},
		{name: "it closes the door", verb: "greeting", text: "554 5.3.2 no", second: true, code: 250},
		{name: "it is busy when we come", verb: "greeting", text: "421 busy", second: true, code: 250},
		{name: "it hangs up on us", verb: "greeting", text: "fin", second: true, code: 250},
		{name: "it resets after EHLO", verb: "EHLO", text: "reset", second: true, code: 250},
		{name: "it defers the sender, which is its last word", verb: "MAIL", text: "451 later", code: 451},
		{name: "it refuses the recipient, which is its last word", verb: "RCPT", text: "550 no", code: 550},
		{name: "it breaks off after the dot, and may have taken the mail", verb: "body", text: "reset"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first, second := saying(t, tt.verb, tt.text), saying(t, "", "")
			a := failover(t, smtpout.FailoverOptions{}, first, second).Send(t.Context(), message())
			require.Equal(t, tt.code, a.Code, "%+v", a)
			_, _, mails := second.Seen()
			require.Equal(t, tt.second, len(mails) == 1)
			want := first.Addr
			if tt.second {
				want = second.Addr
			}
			require.Equal(t, want, a.Relay)
		})
	}
}

func TestFailoverPassesOverTheTired(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	first, second := saying(t, "greeting", "421 busy"), saying(t, "", "")
	f := failover(t, smtpout.FailoverOptions{Rest: time.Minute, Now: func() time.Time { return now }}, first, second)
	send := func(wantFirst int) {
		t.Helper()
		require.True(t, f.Send(t.Context(), message()).OK())
		conns, _, _ := first.Seen()
		require.Equal(t, wantFirst, conns)
	}
	send(1)
	send(1)
	require.Equal(t, now.Add(time.Minute), f.Relays()[0].Tired)
	require.Equal(t, second.Addr, f.Relays()[1].Addr)
	now = now.Add(time.Minute)
	send(2)

	t.Run("if all are tired, the one that was so first is tried", func(t *testing.T) {
		first, second := saying(t, "greeting", "421 one"), saying(t, "greeting", "421 two")
		f := failover(t, smtpout.FailoverOptions{Rest: time.Minute, Now: func() time.Time { now = now.Add(time.Second); return now }}, first, second)
		require.Equal(t, "two", f.Send(t.Context(), message()).Text)
		require.Equal(t, "one", f.Send(t.Context(), message()).Text)
		require.Equal(t, "two", f.Send(t.Context(), message()).Text)
	})
}

func TestNewFailover(t *testing.T) {
	_, err := smtpout.NewFailover(smtpout.FailoverOptions{})
	require.ErrorContains(t, err, "FailoverOptions.Pools")
	_, err = smtpout.NewFailover(smtpout.FailoverOptions{Pools: []*smtpout.Pool{nil}, Rest: -1})
	require.ErrorContains(t, err, "FailoverOptions.Rest")
}

// TestCredentialsStayHidden lets relays refuse credentials in every way, also by
// quoting them, and looks for them in what is recorded, logged and raised.
func TestCredentialsStayHidden(t *testing.T) {
	server, roots := certificate(t)
	token := func(text string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return text, err }
	}
	quote := "535 5.7.8 not hush-hush nor AGphbmUAaHVzaC1odXNo nor aHVzaC1odXNo nor dXNlcj1qYW5lAWF1dGg9QmVhcmVyIGh1c2gtaHVzaAEB"
	tests := []struct {
		name  string
		caps  string
		user  string
		token func(context.Context) (string, error)
		says  string // in reply to AUTH
		code  int
		text  string
	}{
		{name: "wrong password", caps: "AUTH PLAIN", user: "jane:hush-hush@", code: 535, text: "Credentials invalid"},
		{name: "quoted with PLAIN", caps: "AUTH PLAIN", user: "jane:hush-hush@", says: quote, code: 535, text: "not [hidden] nor [hidden] nor [hidden]"},
		{name: "quoted with LOGIN", caps: "AUTH LOGIN", user: "jane:hush-hush@", says: quote, code: 535, text: "not [hidden]"},
		{name: "no mechanism", caps: "AUTH GSSAPI", user: "jane:hush-hush@", text: "neither"},
		{name: "good token", caps: "AUTH XOAUTH2", user: "jane@", token: token("fresh", nil), code: 250},
		{name: "stale token", caps: "AUTH XOAUTH2 PLAIN", user: "jane@", token: token("hush-hush", nil), code: 535, text: "Credentials invalid"},
		{name: "quoted token", caps: "AUTH XOAUTH2", user: "jane@", token: token("hush-hush", nil), says: quote, code: 535, text: "nor [hidden] nor [hidden]"},
		{name: "tokens are not wanted", caps: "AUTH PLAIN LOGIN", user: "jane@", token: token("hush-hush", nil), text: "XOAUTH2"},
		{name: "no token to be had", caps: "AUTH XOAUTH2", user: "jane@", token: token("", errors.New("hush-hush expired")), text: "no access token"},
		{name: "a token with a line break", caps: "AUTH XOAUTH2", user: "jane@", token: token("hush-hush\r\nMAIL", nil), text: "no access token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := (&relaytest.Relay{Caps: []string{tt.caps}, Implicit: true, TLS: server, Answer: func(_ int, verb string) string {
				if verb == "AUTH" {
					return tt.says
				}
				return ""
			}}).Start(t)
			var log bytes.Buffer
			o := smtpout.Options{Relay: strings.Replace(r.URL(), "://", "://"+tt.user, 1), TLS: &tls.Config{RootCAs: roots}, Token: tt.token}
			spare := saying(t, "", "")
			f, err := smtpout.NewFailover(smtpout.FailoverOptions{
				Pools: []*smtpout.Pool{pool(t, o), pool(t, smtpout.Options{Relay: spare.URL()})},
				Alarm: func(a mail.Attempt) {
					slog.New(slog.NewTextHandler(&log, nil)).Error("refused", slog.Any("attempt", a))
				},
			})
			require.NoError(t, err)
			require.True(t, f.Send(t.Context(), message()).OK(), "the spare relay takes it")
			a := pool(t, o).Send(t.Context(), message())
			require.Equal(t, tt.code, a.Code, "%+v", a)
			require.Contains(t, a.Text, tt.text)
			if a.OK() {
				return
			}
			require.Equal(t, mail.StageAuth, a.Stage)
			require.False(t, a.Permanent, "ours to mend, not the mail's end")
			require.Equal(t, tt.code == 535, log.Len() > 0, "a refusal of our credentials raises the alarm")
			for _, s := range []string{"hush", "aHVzaC1odXNo"} {
				require.NotContains(t, fmt.Sprintf("%+v", a)+log.String(), s)
			}
		})
	}
	for _, relay := range []string{"smtp://relay.example", "smtps://jane:hush-hush@relay.example", "smtps://:hush-hush@relay.example"} {
		_, err := smtpout.NewPool(smtpout.Options{Relay: relay, Token: token("fresh", nil)})
		require.ErrorContains(t, err, "Options.Token")
		require.NotContains(t, err.Error(), "hush")
	}
}

func TestRequireTLS(t *testing.T) {
	server, roots := certificate(t)
	for caps, ok := range map[string]bool{"REQUIRETLS": true, "SIZE": false} {
		r := (&relaytest.Relay{Caps: []string{"STARTTLS", caps}, TLS: server}).Start(t)
		p := pool(t, smtpout.Options{Relay: r.URL(), RequireTLS: true, TLS: &tls.Config{RootCAs: roots}})
		a := p.Send(t.Context(), message())
		require.Equal(t, ok, a.OK(), "%+v", a)
		require.False(t, a.Permanent)
		_, lines, _ := r.Seen()
		require.Equal(t, ok, strings.Contains(strings.Join(lines, "\n"), "MAIL FROM:<invites@contoso.example> REQUIRETLS"))
	}
	_, err := smtpout.NewPool(smtpout.Options{Relay: "smtp://127.0.0.1", RequireTLS: true, StartTLS: smtpout.StartTLSNever})
	require.ErrorContains(t, err, "Options.RequireTLS")
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &relaytest.Relay{Caps: dialects["pipelined"], Done: make(chan struct{})}
		defer close(r.Done)
		p := pool(t, smtpout.Options{Relay: "smtp://127.0.0.1", Rate: 2, Idle: time.Hour, Dial: dialPipe(r)})
		begun := time.Now()
		for range 12 {
			require.True(t, p.Send(t.Context(), message()).OK())
		}
		require.InDelta(t, 5, time.Since(begun).Seconds(), 0.1, "two at once, then two a second")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		a := p.Send(ctx, message())
		require.False(t, a.OK() || a.Permanent || a.Ambiguous)
	})
	_, err := smtpout.NewPool(smtpout.Options{Relay: "smtp://127.0.0.1", Rate: -1})
	require.ErrorContains(t, err, "Options.Rate")
}

// dialPipe connects to a relay without the network.
func dialPipe(r *relaytest.Relay) func(context.Context, string, string) (net.Conn, error) {
	n := 0
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		n++
		go r.Serve(theirs, n)
		return ours, nil
	}
}
