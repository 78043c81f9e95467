package smtpout_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/relaytest"
	"invited/mail/smtpout"
)

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
	f := (&relaytest.Relay{Caps: []string{"SIZE"}}).Start(t)
	_, port, _ := net.SplitHostPort(f.Addr)
	dial := func(ctx context.Context, n, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, n, f.Addr)
	}
	for host, clear := range map[string]bool{"127.0.0.1": true, "localhost": true, "127.9.9.9": true, "[::1]": true, "relay.example": false, "localhost.example": false, "10.0.0.1": false} {
		a := pool(t, smtpout.Options{Relay: "smtp://" + host + ":" + port, Dial: dial}).Send(t.Context(), message())
		require.Equal(t, clear, a.OK(), host)
	}
}
