package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// people writes a password file.
func people(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "people")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestInvitationsReachASinkThatAsksForTLSAndALogin(t *testing.T) {
	s := startServer(t, func(c *config) {
		c.SMTPAuth, c.SMTPStartTLS, c.SMTPAuthFile = true, true, people(t, "jane:secret\n")
	})
	s.invite(t, "ana@fabrikam.example", nil)
	m := s.await(t, "ana@fabrikam.example", "")
	require.NotEmpty(t, m.RedeemURL)
	data, _, err := s.sink.send(s.env, http.MethodGet, "/api/v1/message/"+m.ID+"/transcript", nil)
	require.NoError(t, err)
	require.Regexp(t, `C: STARTTLS\n.* S: 220 .*\n.* S: \(TLS 1\.3`, string(data))
	require.Regexp(t, `C: AUTH PLAIN \(not repeated\)\n.* S: 235`, string(data))
	require.NotContains(t, string(data), s.credential)

	err = smtp.SendMail(s.SMTPAddr(), nil, "a@b.example", []string{"c@d.example"}, []byte("x"))
	require.Error(t, err)
}

func TestSinkSpeaksSMTPSAndLMTP(t *testing.T) {
	s := startServer(t, func(c *config) { c.SMTPS, c.LMTP = "127.0.0.1:0", "127.0.0.1:0" })
	conn, err := tls.Dial("tcp", s.smtpsListener.Addr().String(), s.trust(t))
	require.NoError(t, err)
	c := gosmtp.NewClient(conn)
	require.NoError(t, c.SendMail("a@b.example", []string{"tls@d.example"}, strings.NewReader("Subject: over TLS\r\n\r\nx\r\n")))
	require.NoError(t, c.Quit())
	require.Equal(t, "over TLS", s.await(t, "tls@d.example", "").Subject)

	plain, err := net.Dial("tcp", s.lmtpListener.Addr().String())
	require.NoError(t, err)
	c = gosmtp.NewClientLMTP(plain)
	require.NoError(t, c.SendMail("a@b.example", []string{"lmtp@d.example"}, strings.NewReader("Subject: by LMTP\r\n\r\nx\r\n")))
	require.NoError(t, c.Quit())
	require.Equal(t, "by LMTP", s.await(t, "lmtp@d.example", "").Subject)
}

func TestSinkLogin(t *testing.T) {
	s := startServer(t, func(c *config) { c.SinkAuthFile, c.Metrics = people(t, "jane:secret\n"), true })
	get := func(path, user, password string) (int, string) {
		req, err := http.NewRequest(http.MethodGet, s.SinkURL()+path, nil)
		require.NoError(t, err)
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	for _, path := range []string{"/", "/api/v1/messages", "/mail/latest", "/assets/invited.css", "/metrics", "/nothing"} {
		status, _ := get(path, "", "")
		require.Equal(t, http.StatusUnauthorized, status, path)
		status, _ = get(path, "jane", "wrong")
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
	for user, password := range map[string]string{"jane": "secret", "invited": s.credential} {
		status, page := get("/", user, password)
		require.Equal(t, http.StatusOK, status, page)
	}
	status, _ := get("/readyz", "", "")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, smtp.SendMail(s.SMTPAddr(), nil, "a@b.example", []string{"c@d.example"}, []byte("12345\r\n")))
	status, metrics := get("/metrics", "jane", "secret")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, metrics, "mailpit_smtp_accepted_total 1\n")
	require.Contains(t, metrics, "mailpit_smtp_accepted_size_bytes_total 7\n")
}

func TestWebhookIsTold(t *testing.T) {
	told := make(chan string, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct{ Subject string }
		if json.NewDecoder(r.Body).Decode(&m) == nil && r.Header.Get("Mailpit-Label") == "tests" {
			told <- m.Subject
		}
	}))
	defer hook.Close()
	s := startServer(t, func(c *config) { c.WebhookURL, c.Label = hook.URL, "tests" })
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	// A mail that arrives before the worker listens is not told of.
	for {
		require.NoError(t, smtp.SendMail(s.SMTPAddr(), nil, "a@b.example", []string{"c@d.example"}, []byte("Subject: hello\r\n\r\nx\r\n")))
		again := time.NewTimer(time.Second)
		select {
		case subject := <-told:
			require.Equal(t, "hello", subject)
			return
		case <-again.C:
		case <-deadline.C:
			t.Fatal("nobody called")
		}
	}
}

func TestSinkLimits(t *testing.T) {
	s := startServer(t, func(c *config) { c.MaxMessageBytes, c.SMTPRecipients = 100, 2 })
	require.ErrorContains(t, smtp.SendMail(s.SMTPAddr(), nil, "a@b.example", []string{"c@d.example"}, []byte(strings.Repeat("x", 200))), "552")
	require.ErrorContains(t, smtp.SendMail(s.SMTPAddr(), nil, "a@b.example", []string{"c@d.example", "e@d.example", "f@d.example"}, []byte("x")), "452")
}
