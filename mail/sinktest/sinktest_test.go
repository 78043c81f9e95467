package sinktest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/smtp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/faults"
	"invited/mail/sink/smtpd"
	"invited/mail/sinktest"
)

func send(t *testing.T, s *sinktest.Server, subject string, to ...string) {
	t.Helper()
	require.NoError(t, smtp.SendMail(s.Addr, nil, "invite@contoso.example", to, []byte(
		"From: invite@contoso.example\r\nTo: "+to[0]+"\r\nSubject: "+subject+"\r\nContent-Type: text/html\r\n\r\n"+
			"<p>Hello, <a href=\"https://contoso.example/redeem?ticket=abc\">accept</a></p>\r\n")))
}

func TestMailIsFoundInTheOrderItCame(t *testing.T) {
	s := sinktest.New(t)
	send(t, s, "first", "ana@fabrikam.example", "ben+junk@fabrikam.example")
	send(t, s, "second", "ana@fabrikam.example")
	m := s.MustWait("Ana@Fabrikam.example")
	require.Equal(t, "first", m.Subject)
	require.Equal(t, "invite@contoso.example", m.From)
	require.Equal(t, []string{"ana@fabrikam.example", "ben+junk@fabrikam.example"}, m.To)
	require.Equal(t, sinktest.Link{URL: "https://contoso.example/redeem?ticket=abc", Text: "accept"}, m.Link("redeem"))
	require.Zero(t, m.Link("elsewhere"))
	require.Contains(t, m.HTML, "<p>Hello")
	require.True(t, strings.HasPrefix(string(m.Raw), "From: "))
	require.Contains(t, m.Transcript, "queued as "+m.ID)
	require.Equal(t, "second", s.MustWait("ana@fabrikam.example").Subject)

	junk := s.MustWait("ben+junk@fabrikam.example")
	require.Equal(t, sink.Junk, junk.Folder)
	require.NotEmpty(t, junk.Verdict.Forced)

	var subjects []string
	for _, m := range s.Messages() {
		subjects = append(subjects, m.Subject)
	}
	require.Equal(t, []string{"first", "second"}, subjects)
	s.Clear()
	require.Empty(t, s.Messages())
	send(t, s, "third", "ana@fabrikam.example")
	require.Equal(t, "third", s.MustWait("ana@fabrikam.example").Subject)
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := sinktest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Wait(ctx, "nobody@fabrikam.example")
	require.ErrorIs(t, err, context.Canceled)
}

func TestOptions(t *testing.T) {
	s := sinktest.New(t,
		sinktest.SMTP(func(o *smtpd.Options) { o.RequireAuth = true }),
		sinktest.HTTP(func(box *sink.Sink) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				totals, err := box.Totals(r.Context())
				require.NoError(t, err)
				fmt.Fprint(w, totals.Messages)
			})
		}))
	require.NoError(t, s.Faults.Replace([]faults.Rule{{Stage: faults.Rcpt, To: "refused@*", Code: 550}}))
	require.ErrorContains(t, smtp.SendMail(s.Addr, nil, "a@b.example", []string{"c@d.example"}, []byte("x")), "530")
	auth := smtp.PlainAuth("", "jane", "secret", "127.0.0.1")
	require.NoError(t, smtp.SendMail(s.Addr, auth, "a@b.example", []string{"c@d.example"}, []byte("x")))
	require.ErrorContains(t, smtp.SendMail(s.Addr, auth, "a@b.example", []string{"refused@d.example"}, []byte("x")), "550")
	resp, err := http.Get(s.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "1", string(body))
}
