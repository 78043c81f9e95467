package smtpout_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/mhale/smtpd"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/relaytest"
	"invited/mail/smtpout"
)

// deliverMany sends n numbered messages through a pool of four connections and
// returns the bodies that must have arrived.
func deliverMany(t *testing.T, o smtpout.Options, n int) []string {
	t.Helper()
	o.Conns = 4
	p := pool(t, o)
	var all sync.WaitGroup
	attempts := make([]mail.Attempt, n)
	sent := make([]string, n)
	for i := range n {
		m := message()
		sent[i] = fmt.Sprintf("Subject: %d\r\n\r\n.leading dot\r\n..two\r\nZoë\r\n%s\r\n", i, strings.Repeat("x", i*37%3000))
		m.Raw = []byte(sent[i])
		all.Go(func() { attempts[i] = p.Send(t.Context(), m) })
	}
	all.Wait()
	for _, a := range attempts {
		require.True(t, a.OK(), "%+v", a)
	}
	return sent
}

// goSMTP is a go-smtp backend that keeps what it is sent.
type goSMTP struct {
	mu    sync.Mutex
	mails []string
	from  map[string]bool
	quiet bool // discards instead
}

func (b *goSMTP) NewSession(*smtp.Conn) (smtp.Session, error) { return &goSession{b: b}, nil }

type goSession struct {
	b  *goSMTP
	to string
}

func (s *goSession) Reset()        { s.to = "" }
func (s *goSession) Logout() error { return nil }

func (s *goSession) Mail(from string, _ *smtp.MailOptions) error {
	if !s.b.quiet {
		s.b.mu.Lock()
		defer s.b.mu.Unlock()
		s.b.from[from] = true
	}
	return nil
}

func (s *goSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
	}
	s.to = to
	return nil
}

func (s *goSession) Data(r io.Reader) error {
	if s.b.quiet {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	body, err := io.ReadAll(r)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.mails = append(s.b.mails, string(body))
	return err
}

// startGoSMTP runs a go-smtp server on loopback.
func startGoSMTP(t testing.TB, b *goSMTP, set func(*smtp.Server)) string {
	t.Helper()
	b.from = map[string]bool{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := smtp.NewServer(b)
	s.Domain, s.MaxLineLength, s.MaxMessageBytes = "relay.example", 64<<10, 10<<20
	if set != nil {
		set(s)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "smtp://" + l.Addr().String()
}

func TestDeliverToGoSMTP(t *testing.T) {
	for _, noChunking := range []bool{true, false} {
		t.Run(fmt.Sprintf("without BDAT %v", noChunking), func(t *testing.T) {
			b := &goSMTP{}
			url := startGoSMTP(t, b, func(s *smtp.Server) { s.EnableSMTPUTF8 = true })
			sent := deliverMany(t, smtpout.Options{Relay: url, NoChunking: noChunking}, 300)
			require.ElementsMatch(t, sent, b.mails)

			p := pool(t, smtpout.Options{Relay: url, NoChunking: noChunking, Conns: 1})
			m := message()
			for _, to := range []string{"nobody1", "jane", "nobody2", "zoë"} {
				m.To.Local = to
				a := p.Send(t.Context(), m)
				require.Equal(t, strings.HasPrefix(to, "nobody"), a.Permanent, "%+v", a)
				require.Equal(t, !strings.HasPrefix(to, "nobody"), a.OK(), "%+v", a)
				if a.Permanent {
					require.Equal(t, mail.StageRcpt, a.Stage)
					require.Equal(t, "5.1.1", a.Enhanced)
					require.Equal(t, "No such user", a.Text)
				}
			}
			m.From = ""
			require.True(t, p.Send(t.Context(), m).OK())
			require.True(t, b.from[""], "the null sender")
			require.Equal(t, int64(1), p.Stats().Dialled)
		})
	}
	t.Run("too large", func(t *testing.T) {
		url := startGoSMTP(t, &goSMTP{}, func(s *smtp.Server) { s.MaxMessageBytes = 10 })
		a := pool(t, smtpout.Options{Relay: url}).Send(t.Context(), message())
		require.True(t, a.Permanent)
		require.Equal(t, "5.3.4", a.Enhanced)
	})
}

// TestDeliverToSMTPD delivers to mhale/smtpd, a server without extensions that
// refuses every parameter of MAIL it does not know.
func TestDeliverToSMTPD(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var got []string
	s := &smtpd.Server{
		Appname: "relay", Hostname: "relay.example", DisableReverseDNS: true, Timeout: time.Minute, MaxSize: 1 << 20,
		Handler: func(_ net.Addr, _ string, _ []string, data []byte) error {
			mu.Lock()
			defer mu.Unlock()
			_, body, _ := strings.Cut(string(data), "Subject: ") // after its own Received
			got = append(got, "Subject: "+body)
			return nil
		},
		HandlerRcpt: func(_ net.Addr, _, to string) bool { return !strings.HasPrefix(to, "nobody") },
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = l.Close() })
	url := "smtp://" + l.Addr().String()
	sent := deliverMany(t, smtpout.Options{Relay: url}, 200)
	require.ElementsMatch(t, sent, got)

	p := pool(t, smtpout.Options{Relay: url, Conns: 1})
	m := message()
	m.To.Local = "nobody"
	a := p.Send(t.Context(), m)
	require.Equal(t, mail.StageRcpt, a.Stage)
	require.Equal(t, 550, a.Code)
	require.True(t, p.Send(t.Context(), message()).OK(), "on the same connection")
	require.Equal(t, int64(1), p.Stats().Dialled)
}

func TestDeliverToSMTPSink(t *testing.T) {
	tests := []struct {
		name  string
		flags []string
		check func(t *testing.T, url string)
	}{
		{"with pipelining", nil, func(t *testing.T, url string) { deliverMany(t, smtpout.Options{Relay: url}, 200) }},
		{"without ESMTP", []string{"-e"}, func(t *testing.T, url string) { deliverMany(t, smtpout.Options{Relay: url}, 50) }},
		{"soft error at RCPT", []string{"-r", "RCPT"}, func(t *testing.T, url string) {
			a := pool(t, smtpout.Options{Relay: url}).Send(t.Context(), message())
			require.Equal(t, mail.StageRcpt, a.Stage, "%+v", a)
			require.Equal(t, 4, a.Code/100)
			require.False(t, a.Permanent)
		}},
		{"hard error at the dot", []string{"-f", "."}, func(t *testing.T, url string) {
			a := pool(t, smtpout.Options{Relay: url}).Send(t.Context(), message())
			require.Equal(t, mail.StageDot, a.Stage, "%+v", a)
			require.True(t, a.Permanent)
		}},
		{"hangs up after the dot", []string{"-q", "."}, func(t *testing.T, url string) {
			a := pool(t, smtpout.Options{Relay: url}).Send(t.Context(), message())
			require.Equal(t, mail.StageDot, a.Stage, "%+v", a)
			require.True(t, a.Ambiguous)
		}},
		{"hangs up at DATA", []string{"-q", "DATA"}, func(t *testing.T, url string) {
			a := pool(t, smtpout.Options{Relay: url, NoChunking: true}).Send(t.Context(), message())
			require.False(t, a.OK())
			require.False(t, a.Ambiguous)
		}},
		{"421 at MAIL", []string{"-Q", "MAIL"}, func(t *testing.T, url string) {
			a := pool(t, smtpout.Options{Relay: url}).Send(t.Context(), message())
			require.Equal(t, 421, a.Code, "%+v", a)
			require.Equal(t, mail.StageMail, a.Stage)
		}},
		{"hangs up at QUIT", []string{"-q", "QUIT"}, func(t *testing.T, url string) {
			require.True(t, pool(t, smtpout.Options{Relay: url, MaxMails: 1}).Send(t.Context(), message()).OK())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, relaytest.SMTPSink(t, tt.flags...)) })
	}
}
