package main

import (
	"bytes"
	"io"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// report returns a report of the corpus, addressed to somebody.
func report(t *testing.T, name, to string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "mail", "dsn", "testdata", name+".eml"))
	require.NoError(t, err)
	text := strings.ReplaceAll(string(raw), "bounce+0193a0b0@contoso.example", to)
	return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
}

// returnPath returns the envelope sender of the newest mail to an address.
func (s *testServer) returnPath(t *testing.T, to string) string {
	t.Helper()
	page, err := s.app.sink.Raw(t.Context(), s.await(t, to, "").ID)
	require.NoError(t, err)
	captured, err := s.app.sink.Get(t.Context(), s.await(t, to, "").ID)
	require.NoError(t, err)
	require.NotContains(t, string(page), captured.Envelope.From, "the address bounces come back to is not for readers")
	return captured.Envelope.From
}

// fate returns the newest delivery of a guest's invitation.
func (s *testServer) fate(t *testing.T, address string) outboxMail {
	t.Helper()
	var out struct {
		Value []outboxMail `json:"value"`
	}
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/outbox", nil, &out))
	for _, m := range out.Value {
		if m.To == address {
			return m
		}
	}
	require.FailNow(t, "no mail to "+address)
	return outboxMail{}
}

func TestABounceIsFoundSuppressesAndIsLifted(t *testing.T) {
	s := startServer(t)
	const ana = "ana@fabrikam.example"
	s.invite(t, ana, nil)
	path := s.returnPath(t, ana)
	require.Regexp(t, `^bounce\+[0-9a-v]{52}@`, path)

	dsn := report(t, "01-postfix", path)
	for range 2 { // the same report twice counts once
		require.NoError(t, smtp.SendMail(s.SMTPAddr(), nil, "", []string{path}, dsn))
	}
	mail := s.fate(t, ana)
	require.Equal(t, "bounced", mail.State)
	require.Equal(t, 2, mail.Attempts)
	require.Equal(t, "bounce", mail.Last.Stage)
	require.Equal(t, "5.1.1", mail.Last.Enhanced)
	d := s.diagnosis(t, ana)
	require.Equal(t, "mail_bounced", d.Reason)
	require.Equal(t, `unknown user: "ana"`, d.Steps[len(d.Steps)-1].Evidence["text"])
	require.Contains(t, d.Text, "unknown user")

	inv := s.invite(t, "A.na+variant@fabrikam.example", nil)
	require.NotEmpty(t, inv.RedeemURL, "the invitation is made, its mail is held back")
	require.Equal(t, "suppressed", s.fate(t, "A.na+variant@fabrikam.example").State)
	resend := func() {
		require.NoError(t, s.admin.call(s.env, http.MethodPost, "/invited/v1/guests/"+ana+"/resend", fields{}, nil))
	}
	resend()
	require.Equal(t, "suppressed", s.fate(t, ana).State)
	require.Equal(t, "recipient_suppressed", s.diagnosis(t, ana).Reason)

	var list struct {
		Value []suppression `json:"value"`
	}
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/suppressions", nil, &list))
	require.Len(t, list.Value, 1)
	require.Equal(t, "bounce", list.Value[0].Cause)
	require.Equal(t, mail.ID, list.Value[0].Delivery)
	require.Equal(t, 90*24, int(list.Value[0].Expires.Sub(*list.Value[0].Created).Hours()))

	member := s.as(t, "member@contoso.example")
	require.Error(t, member.call(s.env, http.MethodDelete, "/invited/v1/suppressions/"+ana, nil, nil))
	require.NoError(t, s.admin.call(s.env, http.MethodDelete, "/invited/v1/suppressions/"+ana, nil, nil))
	before := s.await(t, ana, "")
	resend()
	s.await(t, ana, before.ID)
	require.Equal(t, "mail_delivered", s.diagnosis(t, ana).Reason)
}

func TestOtherReports(t *testing.T) {
	s := startServer(t)
	tests := []struct {
		name, report, guest, state, reason string
		suppressed                         bool
	}{
		{"late is only noted", "03-delayed", "a@fabrikam.example", "delivered", "mail_delivered", false},
		{"given up after waiting does not suppress", "04-given-up", "b@fabrikam.example", "bounced", "mail_bounced", false},
		{"a complaint suppresses at once", "08-complaint", "c@fabrikam.example", "delivered", "mail_delivered", true},
		{"an absence note is mail", "10-absence", "d@fabrikam.example", "delivered", "mail_delivered", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.invite(t, tt.guest, nil)
			path := s.returnPath(t, tt.guest)
			require.Eventually(t, func() bool { return s.fate(t, tt.guest).State == "delivered" }, 20*time.Second, 10*time.Millisecond)
			require.NoError(t, smtp.SendMail(s.SMTPAddr(), nil, "", []string{path}, report(t, tt.report, path)))
			require.Equal(t, tt.state, s.fate(t, tt.guest).State)
			require.Equal(t, tt.reason, s.diagnosis(t, tt.guest).Reason)
			err := s.admin.call(s.env, http.MethodDelete, "/invited/v1/suppressions/"+tt.guest, nil, nil)
			require.Equal(t, tt.suppressed, err == nil, "%v", err)
		})
	}
}

func TestABounceOfNobodysMailIsMail(t *testing.T) {
	s := startServer(t)
	s.invite(t, "ana@fabrikam.example", nil)
	path := s.returnPath(t, "ana@fabrikam.example")
	unknown := "bounce+" + strings.Repeat("0", 52) + path[strings.IndexByte(path, '@'):]
	for _, to := range []string{unknown, "bounce+0193a0b0@contoso.example", "bounce@contoso.example"} {
		require.NoError(t, smtp.SendMail(s.SMTPAddr(), nil, "", []string{to}, report(t, "01-postfix", to)))
		s.await(t, to, "")
	}
	require.Equal(t, "delivered", s.fate(t, "ana@fabrikam.example").State)
}

func TestABouncePipedByAMailSystem(t *testing.T) {
	s := startServer(t)
	s.invite(t, "ana@fabrikam.example", nil)
	path := s.returnPath(t, "ana@fabrikam.example")
	pipe := func(data, to string, raw []byte) (int, string) {
		var out bytes.Buffer
		e := env{ctx: t.Context(), stdin: bytes.NewReader(raw), stdout: &out, stderr: io.Discard}
		args := []string{"bounce", "--data", data}
		if to != "" {
			args = append(args, "--to", to)
		}
		return run(e, args), out.String()
	}
	require.NoError(t, s.writeLocalCredential())
	code, said := pipe(s.cfg.Data, "", report(t, "02-exchange", path))
	require.Equal(t, exitOK, code)
	require.Contains(t, said, "is bounced: permanent 5.1.10")
	code, said = pipe(s.cfg.Data, "bounce+x@contoso.example", report(t, "02-exchange", path))
	require.Equal(t, exitOK, code)
	require.Contains(t, said, "Not a report about mail of ours")
	code, _ = pipe(t.TempDir(), "x@contoso.example", nil)
	require.Equal(t, exitTempFail, code, "no server: the mail system keeps the message")
}
