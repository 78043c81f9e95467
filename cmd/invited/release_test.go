package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/smtp"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/relaytest"
)

// capture puts one mail into the sink and returns its id.
func (s *testServer) capture(t *testing.T, from, subject string) string {
	t.Helper()
	to := strings.ReplaceAll(strings.ToLower(subject), " ", ".") + "@fabrikam.example"
	text := "From: " + from + "\r\nTo: " + to + "\r\nBcc: hidden@fabrikam.example\r\nSubject: " + subject + "\r\nMessage-ID: <old@contoso.example>\r\n\r\nHello.\r\n"
	require.NoError(t, smtp.SendMail(s.SMTPAddr(), nil, "app@contoso.example", []string{to}, []byte(text)))
	return s.await(t, to, "").ID
}

// letGo releases a mail and returns the answer.
func (s *testServer) letGo(t *testing.T, id string, to ...string) (status int, answer string) {
	t.Helper()
	body, err := json.Marshal(fields{"To": to})
	require.NoError(t, err)
	resp, err := s.sink.http.Post(s.SinkURL()+"/api/v1/message/"+id+"/release", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(data)
}

// TestReleaseToASecondSink releases a captured mail to another sink.
func TestReleaseToASecondSink(t *testing.T) {
	second := startServer(t)
	first := startServer(t, func(c *config) {
		c.ReleaseRelay, c.ReleaseBlocked = "smtp://"+second.SMTPAddr(), `^nobody@`
	})
	id := first.capture(t, "Contoso <app@contoso.example>", "To be released")
	require.Contains(t, string(first.get(t, "/api/v1/webui")), `"Enabled":true,"SMTPServer":"`+second.SMTPAddr()+`"`)

	status, answer := first.letGo(t, id, "ana@fabrikam.example")
	require.Equal(t, http.StatusOK, status, answer)
	m := second.await(t, "ana@fabrikam.example", "")
	require.Equal(t, "To be released", m.Subject)
	raw := string(second.get(t, "/api/v1/message/"+m.ID+"/raw"))
	require.NotContains(t, raw, "hidden@fabrikam.example")
	require.NotContains(t, raw, "old@contoso.example")
	require.Contains(t, raw, "\r\n\r\nHello.\r\n")

	for to, says := range map[string]string{"ana@fabrikam.com": "is not among", "nobody@fabrikam.example": "is blocked"} {
		status, answer = first.letGo(t, id, to)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, answer, says)
	}
	status, answer = second.letGo(t, m.ID, "ana@fabrikam.example")
	require.Equal(t, http.StatusBadRequest, status, "no relay, no release")
	require.Contains(t, answer, "no relay is configured")
}

// TestReleaseToPeople holds that captured mail reaches people only in one's own
// name, and only those who were named.
func TestReleaseToPeople(t *testing.T) {
	relay := (&relaytest.Relay{Caps: []string{"PIPELINING", "8BITMIME"}}).Start(t)
	s := startServer(t, func(c *config) {
		c.ReleaseRelay, c.ReleaseRecipients, c.ReleaseSender = relay.URL(), []string{"fabrikam.com", "*.northwind.com"}, "bounces@woodgrove.com"
	})
	own := s.capture(t, "Woodgrove <app@woodgrove.com>", "Own")
	for _, tt := range []struct{ id, to, says string }{
		{own, "ana@evil.fabrikam.com", "is not among"},
		{own, "ana@northwind.com", "is not among"},
		{own, "ana@fabrikam.com.example", "is not among"},
		{s.capture(t, "Contoso <app@contoso.example>", "Foreign"), "ana@fabrikam.com", "Only mail from one address in woodgrove.com"},
		{s.capture(t, "Micr0soft <app@woodgrove.com>", "Forged"), "ana@fabrikam.com", "reads like somebody else's"},
		{s.capture(t, `"ceo@fabrikam.com" <app@woodgrove.com>`, "Address as name"), "ana@fabrikam.com", "reads like somebody else's"},
	} {
		status, answer := s.letGo(t, tt.id, tt.to)
		require.Equal(t, http.StatusBadRequest, status, tt.to)
		require.Contains(t, answer, tt.says)
	}
	status, answer := s.letGo(t, own, "ana@fabrikam.com", "bob@it.northwind.com")
	require.Equal(t, http.StatusOK, status, answer)
	_, lines, mails := relay.Seen()
	require.Len(t, mails, 2)
	require.Contains(t, strings.Join(lines, "\n"), "MAIL FROM:<bounces@woodgrove.com>")
}

func TestFewMailsAreReleasedToPeople(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	l := releaseLimits{domain: "woodgrove.com", now: func() time.Time { return now }}
	m := mail.Message{Raw: []byte("From: app@woodgrove.com\r\n\r\n")}
	for range releasesDaily {
		require.NoError(t, l.permit(m))
	}
	require.ErrorContains(t, l.permit(m), "100 mails have been released")
	now = now.Add(24 * time.Hour)
	require.NoError(t, l.permit(m))
}

// TestReleaseFlags holds what the sink refuses to start with.
func TestReleaseFlags(t *testing.T) {
	const (
		near = "--release-relay=smtp://127.0.0.1:2525"
		far  = "--release-relay=smtps://jane:hunter2@mail.woodgrove.com"
	)
	tests := []struct {
		name string
		args []string
		code int
		says string // empty: the sink starts
	}{
		{name: "a relay on this machine", args: []string{near}},
		{name: "people, in one's own name", args: []string{far, "--release-recipients=fabrikam.com", "--release-sender=test@woodgrove.com"}},
		{name: "a relay elsewhere without a sender", args: []string{far}, code: exitConfig, says: "--release-sender is needed"},
		{name: "domains that exist without a sender", args: []string{near, "--release-recipients=fabrikam.com"}, code: exitConfig, says: "--release-sender is needed"},
		{name: "everybody", args: []string{near, "--release-recipients=any", "--release-sender=test@woodgrove.com"}, code: exitConfig, says: "name the domains"},
		{name: "a sender in a name that is not ours", args: []string{near, "--release-sender=test@microsoft-test.com"}, code: exitConfig, says: `uses the name "microsoft"`},
		{name: "a sender that is no address", args: []string{near, "--release-sender=test"}, code: exitUsage, says: "is not an address"},
		{name: "recipients that are no domain", args: []string{near, "--release-recipients=jane@fabrikam.com"}, code: exitUsage, says: "--release-recipients"},
		{name: "a pattern that is none", args: []string{near, "--release-blocked=("}, code: exitUsage, says: "--release-blocked"},
		{name: "no URL", args: []string{"--release-relay=mail.contoso.example"}, code: exitUsage, says: "--release-relay must be a URL"},
		{name: "another scheme", args: []string{"--release-relay=http://127.0.0.1"}, code: exitUsage, says: "--release-relay: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			stdout, stderr := &stopWhenReady{stop: cancel}, &bytes.Buffer{}
			code := run(env{ctx: ctx, stdout: stdout, stderr: stderr}, append([]string{
				"sink", "--smtp=127.0.0.1:0", "--sink-http=127.0.0.1:0", "--imap=", "--pop3=", "--log-level=error", "--data=" + filepath.Join(t.TempDir(), "data"),
			}, tt.args...))
			require.Equal(t, tt.code, code, stderr)
			require.Equal(t, tt.says == "", strings.Contains(stdout.text.String(), "is ready"))
			require.Contains(t, stderr.String(), tt.says)
			require.NotContains(t, stderr.String(), "hunter2")
		})
	}
}
