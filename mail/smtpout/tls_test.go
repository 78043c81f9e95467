package smtpout_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/relaytest"
	"invited/mail/smtpout"
)

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
			f := &relaytest.Relay{Caps: tt.caps, Implicit: tt.smtps, TLS: server, Answer: func(_ int, verb string) string { return tt.answer[verb] }}
			if tt.caps == nil {
				f.Caps = []string{"SIZE"}
			}
			if tt.server != nil {
				f.TLS = tt.server
			}
			f.Start(t)
			client := trusting
			if tt.client != nil {
				client = tt.client
			}
			p := pool(t, smtpout.Options{Relay: strings.Replace(f.URL(), "://", "://"+tt.user, 1), TLS: client, StartTLS: tt.policy})
			a := p.Send(t.Context(), message())
			require.Equal(t, tt.stage, a.Stage, "%+v", a)
			require.Equal(t, tt.code, a.Code, "%+v", a)
			require.Equal(t, tt.enhanced, a.Enhanced)
			require.False(t, a.Permanent)
			require.NotContains(t, fmt.Sprintf("%+v", a), "secret")
			require.NotContains(t, fmt.Sprintf("%+v", a), "wrong@")
			_, lines, mails := f.Seen()
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
	f := (&relaytest.Relay{Caps: []string{"AUTH PLAIN"}, Implicit: true, TLS: server}).Start(t)
	p := pool(t, smtpout.Options{Relay: strings.Replace(f.URL(), "://", "://jane:wrong@", 1), TLS: &tls.Config{RootCAs: roots}})
	for range 50 {
		require.Equal(t, 535, p.Send(t.Context(), message()).Code)
	}
	conns, _, _ := f.Seen()
	require.Equal(t, 1, conns)
}
