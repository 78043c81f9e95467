package smtpd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/jordan-wright/email"
	"github.com/stretchr/testify/require"

	"invited/mail/sink/faults"
	"invited/mail/sink/smtpd"
)

// TestSenders lets clients that nobody here wrote deliver to the sink.
func TestSenders(t *testing.T) {
	const body = "From: a@b.example\r\nTo: c@d.example\r\nSubject: hello\r\n\r\n.dot\r\nend\r\n"
	tests := []struct {
		name string
		n    int
		send func(t *testing.T, addr string)
	}{
		{"net/smtp, a connection for each mail", 1, func(t *testing.T, addr string) {
			require.NoError(t, smtp.SendMail(addr, nil, "a@b.example", []string{"c@d.example"}, []byte(body)))
		}},
		{"net/smtp, a kept connection and a password", 3, func(t *testing.T, addr string) {
			c, err := smtp.Dial(addr)
			require.NoError(t, err)
			require.NoError(t, c.Auth(smtp.PlainAuth("", "jane", "x", "127.0.0.1")))
			for range 3 {
				require.NoError(t, c.Mail("a@b.example"))
				require.NoError(t, c.Rcpt("c@d.example"))
				w, err := c.Data()
				require.NoError(t, err)
				_, err = io.WriteString(w, body)
				require.NoError(t, err)
				require.NoError(t, w.Close())
			}
			require.NoError(t, c.Quit())
		}},
		{"go-smtp", 2, func(t *testing.T, addr string) {
			c, err := gosmtp.Dial(addr)
			require.NoError(t, err)
			require.NoError(t, c.Auth(sasl.NewLoginClient("jane", "x")))
			for i := range 2 {
				require.NoError(t, c.Mail("a@b.example", &gosmtp.MailOptions{UTF8: true, Size: int64(len(body))}))
				require.NoError(t, c.Rcpt("c@d.example", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifyNever}}))
				w, err := c.Data()
				require.NoError(t, err)
				_, err = io.WriteString(w, body)
				require.NoError(t, err)
				answer, err := w.CloseWithResponse()
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("2.0.0 Ok: queued as id-%d", i+1), answer.StatusText)
			}
			require.NoError(t, c.Quit())
		}},
		{"jordan-wright/email", 1, func(t *testing.T, addr string) {
			e := &email.Email{From: "a@b.example", To: []string{"c@d.example"}, Subject: "hello", Text: []byte("x"), HTML: []byte("<p>x</p>")}
			require.NoError(t, e.Send(addr, nil))
		}},
		{"jordan-wright/email's pool", 4, func(t *testing.T, addr string) {
			p, err := email.NewPool(addr, 2, smtp.PlainAuth("", "jane", "x", "127.0.0.1"))
			require.NoError(t, err)
			for range 4 {
				e := &email.Email{From: "a@b.example", To: []string{"c@d.example"}, Subject: "hello", Text: []byte("x")}
				require.NoError(t, p.Send(e, 5*time.Second))
			}
			p.Close()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			box := &fakeSink{}
			_, addr := start(t, smtpd.Options{Sink: box})
			tt.send(t, addr)
			got := box.all()
			require.Len(t, got, tt.n)
			for _, m := range got {
				require.Equal(t, []string{"c@d.example"}, m.env.To)
				require.Contains(t, string(m.raw), "Subject: hello\r\n")
				if !strings.HasPrefix(tt.name, "jordan") {
					require.Equal(t, body, string(m.raw))
				}
			}
		})
	}
}

func TestStartTLS(t *testing.T) {
	config, roots := testTLS(t)
	box := &fakeSink{}
	_, addr := start(t, smtpd.Options{Sink: box, Hostname: "localhost", TLSConfig: config})

	t.Run("a client upgrades and delivers", func(t *testing.T) {
		c, err := smtp.Dial(addr)
		require.NoError(t, err)
		ok, _ := c.Extension("STARTTLS")
		require.True(t, ok)
		require.NoError(t, c.StartTLS(&tls.Config{ServerName: "localhost", RootCAs: roots}))
		ok, _ = c.Extension("STARTTLS")
		require.False(t, ok)
		require.NoError(t, c.Mail("a@b.example"))
		require.NoError(t, c.Rcpt("c@d.example"))
		w, err := c.Data()
		require.NoError(t, err)
		_, err = io.WriteString(w, "x\r\n")
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoError(t, c.Quit())
		require.True(t, box.all()[0].env.TLS)
	})
	t.Run("what was said in clear text does not count", func(t *testing.T) {
		c, r := hello(t, addr)
		_, err := io.WriteString(c, "MAIL FROM:<a@b.example>\r\nSTARTTLS\r\n")
		require.NoError(t, err)
		_, _, err = r.ReadResponse(250)
		require.NoError(t, err)
		_, _, err = r.ReadResponse(220)
		require.NoError(t, err)
		tc := tls.Client(c, &tls.Config{ServerName: "localhost", RootCAs: roots})
		play(t, addr, "S: 220", &fakeSink{}) // others are served meanwhile
		_, err = io.WriteString(tc, "RCPT TO:<c@d.example>\r\nMAIL FROM:<a@b.example>\r\nEHLO again\r\n")
		require.NoError(t, err)
		out := make([]byte, 4096)
		n, err := io.ReadAtLeast(tc, out, 60)
		require.NoError(t, err)
		require.Regexp(t, `^503 .*\r\n503 .*\r\n250-`, string(out[:n]))
	})
	t.Run("nothing may be pipelined behind STARTTLS", func(t *testing.T) {
		c, r := hello(t, addr)
		_, err := io.WriteString(c, "STARTTLS\r\nMAIL FROM:<a@b.example>\r\n")
		require.NoError(t, err)
		_, _, err = r.ReadResponse(501)
		require.NoError(t, err)
		_, err = r.ReadLine()
		require.ErrorIs(t, err, io.EOF)
	})
}

// testTLS returns a server's configuration and the roots that trust it.
func testTLS(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

func TestImplicitTLS(t *testing.T) {
	conf, roots := testTLS(t)
	box := &fakeSink{}
	_, addr := startBy(t, smtpd.Options{Sink: box, TLSConfig: conf, RequireTLS: true, CommandTimeout: 300 * time.Millisecond}, (*smtpd.Server).ServeTLS)
	c, err := gosmtp.DialTLS(addr, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	require.NoError(t, err)
	offered, _ := c.Extension("STARTTLS")
	require.False(t, offered)
	require.NoError(t, c.SendMail("a@b.example", []string{"c@d.example"}, strings.NewReader("Subject: x\r\n\r\nx\r\n")))
	require.NoError(t, c.Quit())
	require.True(t, box.all()[0].env.TLS)
	require.Contains(t, box.all()[0].env.Transcript, "S: (TLS 1.3, TLS_")

	for name, first := range map[string]string{"a client that speaks clear text": "EHLO x\r\n", "a client that says nothing": ""} {
		t.Run(name, func(t *testing.T) {
			plain, _ := dial(t, addr)
			_, err := io.WriteString(plain, first)
			require.NoError(t, err)
			got, _ := io.ReadAll(plain) // a reset or an end: either way it is over
			require.NotContains(t, string(got), "220")
		})
	}
}

func TestRequireTLS(t *testing.T) {
	conf, _ := testTLS(t)
	_, addr := start(t, smtpd.Options{Sink: &fakeSink{}, TLSConfig: conf, RequireTLS: true})
	c, r := hello(t, addr)
	say(t, c, r, "MAIL FROM:<a@b.example>\r\nAUTH PLAIN AGphbmUAc2VjcmV0\r\nNOOP\r\n", 530, 530, 250)
	_, err := smtpd.New(smtpd.Options{Sink: &fakeSink{}, RequireTLS: true})
	require.ErrorContains(t, err, "Options.RequireTLS")
}

func TestNoStartTLSAfterAuth(t *testing.T) {
	conf, _ := testTLS(t)
	_, addr := start(t, smtpd.Options{Sink: &fakeSink{}, TLSConfig: conf})
	c, r := hello(t, addr)
	say(t, c, r, "AUTH PLAIN AGphbmUAc2VjcmV0\r\n", 235)
	say(t, c, r, "STARTTLS\r\n", 503)
}

func TestServeTLSNeedsACertificate(t *testing.T) {
	s, err := smtpd.New(smtpd.Options{Sink: &fakeSink{}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorContains(t, s.ServeTLS(l), "Options.TLSConfig")
}

// TestLMTPClient lets go-smtp's LMTP client deliver.
func TestLMTPClient(t *testing.T) {
	box := &fakeSink{}
	_, addr := startBy(t, smtpd.Options{Sink: box, Faults: &faults.Set{}}, (*smtpd.Server).ServeLMTP)
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	c := gosmtp.NewClientLMTP(conn)
	require.NoError(t, c.Mail("a@b.example", nil))
	for _, to := range []string{"c@d.example", "bounce+data+550@d.example"} {
		require.NoError(t, c.Rcpt(to, nil))
	}
	w, err := c.Data()
	require.NoError(t, err)
	_, err = io.WriteString(w, "x\r\n")
	require.NoError(t, err)
	replies, err := w.CloseWithLMTPResponse()
	var each gosmtp.LMTPDataError
	require.ErrorAs(t, err, &each)
	require.Equal(t, 550, each["bounce+data+550@d.example"].Code)
	require.Contains(t, replies, "c@d.example")
	require.NoError(t, c.Quit())
	require.Equal(t, []string{"c@d.example"}, box.all()[0].env.To)
	require.Contains(t, box.all()[0].env.Transcript, "S: 550 5.1.1 <bounce+data+550@d.example> refused for this test\n")
	require.Contains(t, box.all()[0].env.Transcript, "S: 250 2.1.5 <c@d.example> Ok: queued as {id}\n")
}
