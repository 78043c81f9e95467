package mailpit_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/mailpit"
)

func TestRelease(t *testing.T) {
	to := &relay{}
	f := openWith(t, func(h *mailpit.Handler) {
		h.Relay = &mailpit.Relay{Sender: to}
		h.NewID = func() string { return "new" }
	})
	f.receive("Received: by a\nDATE: Sat, 21 Nov 2026 09:00:00 +0000\nBcc: x@y.example,\n\thidden@y.example\nFrom: a@x.example\n"+
		"Message-Id: <old@x.example>\nSubject: s\nReturn-Path: <old@x.example>\n\nDate: kept\n.\n", "b@y.example")
	status, answer, _ := f.do("POST", "/api/v1/message/latest/release", `{"To":["carla@fabrikam.example","CARLA@fabrikam.example","dora@a.test"]}`)
	require.Equal(t, 200, status, answer)
	require.Equal(t, "ok", answer)
	require.Len(t, to.sent, 2)
	m := to.sent[0]
	require.Equal(t, "carla@fabrikam.example", m.To.String())
	require.Equal(t, "bounce@contoso.example", m.From)
	require.Equal(t, "new@localhost", m.MessageID)
	require.Equal(t, "Date: "+t0.Add(time.Minute).Format(time.RFC1123Z)+"\r\nMessage-ID: <new@localhost>\r\nReceived: by a\r\n"+
		"From: a@x.example\r\nSubject: s\r\n\r\nDate: kept\r\n.\r\n", string(m.Raw))
}

func TestReleaseRefuses(t *testing.T) {
	many := `{"To":["` + strings.Repeat(`a@x.example","`, 100) + `a@x.example"]}`
	tests := []struct {
		name  string
		relay *mailpit.Relay
		body  string
		text  string
		sent  int
	}{
		{"no relay", nil, `{"To":["a@x.example"]}`, "SMTP error: no relay is configured", 0},
		{"nobody", &mailpit.Relay{}, `{"To":[]}`, "No valid addresses found", 0},
		{"no body", &mailpit.Relay{}, ``, "No valid addresses found", 0},
		{"too many", &mailpit.Relay{}, many, "100 are the most", 0},
		{"no address", &mailpit.Relay{}, `{"To":["a@x.example","b"]}`, "Invalid email address: b", 0},
		{"somebody real, unless allowed", &mailpit.Relay{}, `{"To":["a@x.example","b@contoso.com"]}`, "b@contoso.com is not among", 0},
		{"somebody beyond what is allowed", &mailpit.Relay{Allowed: regexp.MustCompile(`@contoso\.com$`)}, `{"To":["b@contoso.com","a@x.example"]}`, "a@x.example is not among", 0},
		{"somebody who is blocked", &mailpit.Relay{Blocked: regexp.MustCompile(`^a@`)}, `{"To":["b@x.example","a@x.example"]}`, "a@x.example is blocked", 0},
		{"what a rule forbids", &mailpit.Relay{Permit: func(m mail.Message) error {
			if m.To.String() == "c@x.example" {
				return errors.New("Not under this name.") //nolint:staticcheck // a sentence for people
			}
			return nil
		}}, `{"To":["a@x.example","c@x.example"]}`, "Not under this name.", 0},
		{"what the relay refuses", &mailpit.Relay{}, `{"To":["a@x.example","refused@fabrikam.example"]}`,
			"SMTP error: refused@fabrikam.example was refused at rcpt: 550 5.1.1 no such guest (the 1 recipients before it have the message)", 1},
		{"a misspelt member", &mailpit.Relay{}, `{"Too":["a@x.example"]}`, "spelling", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := &relay{}
			if tt.relay != nil {
				tt.relay.Sender = to
			}
			f := openWith(t, func(h *mailpit.Handler) { h.Relay = tt.relay })
			f.receive(plain("a@x.example", "b@y.example", "one"), "b@y.example")
			status, answer, _ := f.do("POST", "/api/v1/message/latest/release", tt.body)
			require.Equal(t, 400, status, answer)
			require.Contains(t, answer, tt.text)
			require.Len(t, to.sent, tt.sent)
		})
	}
}

func TestReleaseOfNothing(t *testing.T) {
	f := openWith(t, func(h *mailpit.Handler) { h.Relay = &mailpit.Relay{Sender: &relay{}} })
	for _, id := range []string{"latest", "000000000000000000ffffff"} {
		status, _, _ := f.do("POST", "/api/v1/message/"+id+"/release", `{"To":["a@x.example"]}`)
		require.Equal(t, 404, status)
	}
}
