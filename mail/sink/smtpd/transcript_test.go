package smtpd_test

import (
	"fmt"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"invited/mail/sink/faults"
	"invited/mail/sink/smtpd"
)

// say sends lines and reads a reply of each code.
func say(t *testing.T, w io.Writer, r *textproto.Reader, text string, codes ...int) {
	t.Helper()
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	for _, code := range codes {
		_, _, err := r.ReadResponse(code)
		require.NoError(t, err)
	}
}

func TestTranscript(t *testing.T) {
	box := &fakeSink{}
	set, err := faults.New([]faults.Rule{{Stage: faults.Rcpt, To: "grey@*", Code: 450, First: 1}})
	require.NoError(t, err)
	now := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	_, addr := start(t, smtpd.Options{Sink: box, Faults: set, Now: func() time.Time { return now }})
	c, r := hello(t, addr)
	say(t, c, r, "AUTH LOGIN\r\n", 334)
	say(t, c, r, "amFuZQ==\r\n", 334)
	say(t, c, r, "c2VjcmV0\r\n", 235)
	say(t, c, r, "c2VjcmV0\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<grey@d.example>\r\nRSET\r\n", 500, 250, 450, 250)
	say(t, c, r, "MAIL FROM:<a@b.example>\r\nRCPT TO:<grey@d.example>\r\nDATA\r\n", 250, 250, 354)
	say(t, c, r, "the body\r\n.\r\n", 250)
	say(t, c, r, "MAIL FROM:<>\r\nRCPT TO:<d@d.example>\r\nBDAT 5\r\n12345BDAT 2 LAST\r\n67", 250, 250, 250, 250)

	first, second := box.all()[0].env.Transcript, box.all()[1].env.Transcript
	intro, rest, ok := strings.Cut(strings.ReplaceAll(first, "2026-01-02T03:04:05.678Z ", ""), "C: AUTH")
	require.True(t, ok)
	require.True(t, strings.HasPrefix(intro, "S: 220 localhost ESMTP Service Ready\nC: EHLO client.example\nS: 250-"), intro)
	require.Equal(t, ` LOGIN
S: 334 VXNlcm5hbWU6
C: (an answer, not repeated)
S: 334 UGFzc3dvcmQ6
C: (an answer, not repeated)
S: 235 2.0.0 Authentication succeeded
C: (a line of 8 bytes that is no command)
S: 500 5.5.2 there is no such command
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 Ok
C: RCPT TO:<grey@d.example>
S: 450 4.2.0 not now, try again later
C: RSET
S: 250 2.0.0 Session reset
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 Ok
C: RCPT TO:<grey@d.example>
S: 250 2.1.5 Ok
C: DATA
S: 354 Go ahead. End your data with <CR><LF>.<CR><LF>
C: (10 bytes of message)
S: 250 2.0.0 Ok: queued as {id}
`, rest)
	_, rest, ok = strings.Cut(strings.ReplaceAll(second, "2026-01-02T03:04:05.678Z ", ""), "S: 500 5.5.2 there is no such command\n")
	require.True(t, ok, "the second has the same beginning")
	require.Equal(t, `C: MAIL FROM:<>
S: 250 2.1.0 Ok
C: RCPT TO:<d@d.example>
S: 250 2.1.5 Ok
C: BDAT 5
S: 250 2.0.0 Continue
C: BDAT 2 LAST
C: (7 bytes of message in all)
S: 250 2.0.0 Ok: queued as {id}
`, rest)
}

func TestTranscriptIsShortAndTellsItsBeginningAndEnd(t *testing.T) {
	box := &fakeSink{}
	_, addr := start(t, smtpd.Options{Sink: box, MaxRecipients: 1000})
	c, r := hello(t, addr)
	for range 2 {
		say(t, c, r, "MAIL FROM:<a@b.example>\r\n", 250)
		for i := range 400 {
			say(t, c, r, fmt.Sprintf("RCPT TO:<%d.%s@d.example>\r\n", i, strings.Repeat("x", 40)), 250)
		}
		say(t, c, r, "DATA\r\n", 354)
		say(t, c, r, "x\r\n.\r\n", 250)
	}
	for _, m := range box.all() {
		text := m.env.Transcript
		require.LessOrEqual(t, len(text), 16<<10)
		require.Contains(t, text, "C: EHLO")
		require.Contains(t, text, "RCPT TO:<0.x")
		require.Regexp(t, `\(\d+ lines are left out\)`, text)
		require.Contains(t, text, "RCPT TO:<399.x")
		require.True(t, strings.HasSuffix(text, "queued as {id}\n"))
	}
}

func TestTranscriptRepeatsNoSecretAndNothingUnprintable(t *testing.T) {
	for _, line := range []string{
		"AUTH PLAIN c2VjcmV0", "auth plain c2VjcmV0", "AUTH c2VjcmV0", "AUTH  PLAIN  c2VjcmV0", "AUTH\tPLAIN\tc2VjcmV0", " AUTH PLAIN c2VjcmV0",
		"AUTHPLAIN c2VjcmV0", "c2VjcmV0", "PASS c2VjcmV0", "AUTH LOGIN c2VjcmV0", "AUTH XOAUTH2 c2VjcmV0", "STARTTLSc2VjcmV0",
	} {
		t.Run(line, func(t *testing.T) {
			box := &fakeSink{}
			_, addr := start(t, smtpd.Options{Sink: box})
			c, r := hello(t, addr)
			_, err := io.WriteString(c, line+"\r\n")
			require.NoError(t, err)
			if code, text, err := r.ReadResponse(334); err == nil {
				say(t, c, r, "c2VjcmV0\r\n", 235)
			} else {
				require.NotContains(t, strings.ToUpper(text), "C2VJCMV0", "%d", code)
			}
			code, text, err := deliver(t, c, r, "x\r\n.\r\n")
			require.NoError(t, err)
			require.Equal(t, 250, code, text)
			require.NotContains(t, strings.ToUpper(box.all()[0].env.Transcript), "C2VJCMV0")
		})
	}
	box := &fakeSink{}
	_, addr := start(t, smtpd.Options{Sink: box})
	c, r := hello(t, addr)
	say(t, c, r, "NOOP \x00\x1b[2J\x7f\xff\r\nNOOP "+strings.Repeat("é", 600)+"\r\n", 500, 250)
	_, _, err := deliver(t, c, r, "x\r\n.\r\n")
	require.NoError(t, err)
	text := box.all()[0].env.Transcript
	require.Contains(t, text, "C: NOOP \ufffd\ufffd[2J\ufffd\ufffd\n")
	require.Contains(t, text, "é…\n")
}

func TestCounts(t *testing.T) {
	box := &fakeSink{}
	s, addr := start(t, smtpd.Options{Sink: box})
	c, r := hello(t, addr)
	code, _, err := deliver(t, c, r, "12345\r\n.\r\n")
	require.NoError(t, err)
	require.Equal(t, 250, code)
	say(t, c, r, "FROB\r\nRCPT TO:<a@b.example>\r\n", 500, 503)
	accepted, size, rejected, ignored := s.Counts()
	require.Equal(t, []int64{1, 7, 2, 0}, []int64{accepted, size, rejected, ignored})
}

// FuzzDescribed checks that no line of a client can break a transcript, or put
// the argument of AUTH into it.
func FuzzDescribed(f *testing.F) {
	for _, seed := range []string{"EHLO x", "AUTH PLAIN c2VjcmV0", "auth\x00plain", "MAIL FROM:<a@b\r\nS: 250 ok>", "\xff\xfe", strings.Repeat("é", 400)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := smtpd.Described(line)
		require.False(t, strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }), "%q", got)
		require.LessOrEqual(t, len(got), 500)
		require.True(t, utf8.ValidString(got))
		if words := strings.Split(line, " "); strings.EqualFold(words[0], "AUTH") && len(words) > 2 {
			require.LessOrEqual(t, len(got), len("AUTH SCRAM-SHA-256 (not repeated)"))
		}
	})
}
