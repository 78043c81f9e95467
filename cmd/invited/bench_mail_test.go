package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
	"invited/mail/sink"
	"invited/mail/smtpout"
	"invited/server/store/sqlite"
	"invited/server/store/storetest"
)

// benchLetter is an invitation of about 20 kB with a text part and HTML laid
// out in tables, as mail is.
func benchLetter() []byte {
	words := strings.Fields("you are invited to the applications of our organisation review what is shared accept and continue questions answer this mail")
	var text, html strings.Builder
	for i := 0; text.Len() < 1500; i++ {
		text.WriteString(words[i*i%len(words)] + " ")
		if i%10 == 9 {
			text.WriteString("\r\n")
		}
	}
	for i := 0; html.Len() < 17500; i++ {
		fmt.Fprintf(&html, "<tr><td style=\"padding:0 12px;font-family:'Segoe UI',sans-serif;color:#323130;\r\n background-color:#ffffff\">%s %s %s</td></tr>\r\n",
			words[i%len(words)], words[i*7%len(words)], words[i*i%len(words)])
	}
	return fmt.Appendf(nil, "From: Contoso <invites@contoso.example>\r\nTo: <ana@fabrikam.example>\r\nSubject: Contoso invited you\r\n"+
		"Message-ID: <bench@contoso.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"+
		"<html><body><a href=\"https://contoso.example/redeem?ticket=x\">Accept</a><table>%s</table></body></html>\r\n--b--\r\n", text.String(), html.String())
}

// quietSink starts a sink alone, in this process, with its data on disk.
func quietSink(b *testing.B) *app {
	b.Helper()
	cfg := ephemeralConfig(b.TempDir())
	cfg.sinkOnly, cfg.MaxMessage = true, 1<<20
	a, err := newApp(context.Background(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	a.start()
	b.Cleanup(func() { require.NoError(b, a.stop()) })
	return a
}

// discard is the smallest go-smtp server: it reads mail and forgets it.
type discard struct{}

func (discard) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return discard{}, nil }
func (discard) Reset()                                          {}
func (discard) Logout() error                                   { return nil }
func (discard) Mail(string, *gosmtp.MailOptions) error          { return nil }
func (discard) Rcpt(string, *gosmtp.RcptOptions) error          { return nil }
func (discard) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func discardServer(b *testing.B) string {
	b.Helper()
	s := gosmtp.NewServer(discard{})
	s.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	go func() { _ = s.Serve(l) }()
	b.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// smtpClient sends the same mail again and again.
type smtpClient struct {
	conn net.Conn
	r    *textproto.Reader
}

func dialSMTP(addr string) (*smtpClient, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &smtpClient{conn, textproto.NewReader(bufio.NewReader(conn))}
	if _, _, err := c.r.ReadResponse(220); err != nil {
		return nil, err
	}
	return c, c.say("EHLO bench.example\r\n", 250)
}

func (c *smtpClient) say(line string, code int) error {
	if _, err := io.WriteString(c.conn, line); err != nil {
		return err
	}
	_, _, err := c.r.ReadResponse(code)
	return err
}

// send waits for every reply, as most programs that send mail do.
func (c *smtpClient) send(data string) error {
	for _, s := range []struct {
		line string
		code int
	}{{"MAIL FROM:<invites@contoso.example>\r\n", 250}, {"RCPT TO:<ana@fabrikam.example>\r\n", 250}, {"DATA\r\n", 354}, {data, 250}} {
		if err := c.say(s.line, s.code); err != nil {
			return err
		}
	}
	return nil
}

func (c *smtpClient) quit() error {
	err := c.say("QUIT\r\n", 221)
	_ = c.conn.Close()
	return err
}

// BenchmarkCapture sends a mail of 20 kB to the sink, which has it on disk
// before it answers, and to a go-smtp server that forgets it.
func BenchmarkCapture(b *testing.B) {
	data := string(benchLetter()) + ".\r\n"
	servers := []struct {
		name  string
		start func(*testing.B) string
	}{{"sink", func(b *testing.B) string { return quietSink(b).SMTPAddr() }}, {"go-smtp that discards", discardServer}}
	for _, sessions := range []int{8, 32} {
		for _, kept := range []bool{true, false} {
			for _, s := range servers {
				how := map[bool]string{true: "kept", false: "new"}[kept]
				b.Run(fmt.Sprintf("%d sessions/%s connections/%s", sessions, how, s.name), func(b *testing.B) {
					capture(b, s.start(b), data, sessions, kept)
				})
			}
		}
	}
}

func capture(b *testing.B, addr, data string, sessions int, kept bool) {
	clients := make(chan *smtpClient, sessions)
	b.ResetTimer()
	share(b, sessions, b.N, func() *wire { return nil }, func(*wire, int) (err error) {
		var c *smtpClient
		select {
		case c = <-clients:
		default:
			if c, err = dialSMTP(addr); err != nil {
				return err
			}
		}
		if err := c.send(data); err != nil {
			return err
		}
		if kept {
			clients <- c
			return nil
		}
		return c.quit()
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	b.ReportMetric(0, "ns/op")
	for len(clients) > 0 {
		_ = (<-clients).quit()
	}
}

// BenchmarkDeliver empties a queue on disk, as the server does: each result is
// committed.
func BenchmarkDeliver(b *testing.B) {
	b.Run("smtp-sink", func(b *testing.B) { deliver(b, smtpSink(b)) })
	b.Run("our sink", func(b *testing.B) { deliver(b, quietSink(b).SMTPAddr()) })
}

// smtpSink starts Postfix's smtp-sink.
func smtpSink(b *testing.B) string {
	b.Helper()
	const path = "/usr/sbin/smtp-sink"
	requireFile(b, path, "Debian's postfix package")
	l, err := net.Listen("tcp", "127.0.0.1:0") // smtp-sink cannot choose a port itself
	require.NoError(b, err)
	addr := l.Addr().String()
	require.NoError(b, l.Close())
	args := []string{addr, "200"}
	if os.Getuid() == 0 {
		args = append([]string{"-u", "nobody"}, args...)
	}
	cmd := exec.Command(path, args...)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(b, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 5*time.Second, 5*time.Millisecond)
	return addr
}

func deliver(b *testing.B, relay string) {
	s, err := sqlite.Open(sqlite.Options{Path: filepath.Join(b.TempDir(), "data", "invited.db")})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	t, p := storetest.NewTenant("Contoso")
	require.NoError(b, s.CreateTenant(b.Context(), t, p))
	share(b, 64, b.N, func() *wire { return nil }, func(_ *wire, i int) error {
		return s.ApplyInvitation(b.Context(), storetest.NewInvitation(storetest.NewGuest(t.ID, fmt.Sprintf("g%d@fabrikam.example", i)), 8<<10))
	})
	pool, err := smtpout.NewPool(smtpout.Options{Relay: "smtp://" + relay, Conns: 8})
	require.NoError(b, err)
	defer pool.Close()
	sent := &counting{Sender: pool, left: int64(b.N), done: make(chan struct{})}
	w, err := outbox.NewWorker(outbox.Options{Store: s, Sender: sent, Owner: "bench"})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	go func() { <-sent.done; cancel() }()
	b.ResetTimer()
	require.NoError(b, w.Run(ctx)) // returns when every result is committed
	b.StopTimer()
	_, open, err := s.NextMailDue(b.Context())
	require.NoError(b, err)
	require.False(b, open)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	b.ReportMetric(0, "ns/op")
}

// counting tells when the last message was sent.
type counting struct {
	outbox.Sender
	left int64
	done chan struct{}
}

func (c *counting) Send(ctx context.Context, m mail.Message) mail.Attempt {
	a := c.Sender.Send(ctx, m)
	if atomic.AddInt64(&c.left, -1) == 0 {
		close(c.done)
	}
	return a
}

// BenchmarkSinkRead lists and searches 20,000 messages over HTTP.
func BenchmarkSinkRead(b *testing.B) {
	const messages = 20_000
	a := quietSink(b)
	share(b, 16, messages, func() *wire { return nil }, func(_ *wire, i int) error {
		raw := bytes.Replace(benchLetter(), []byte("invited you"), fmt.Appendf(nil, "invited you, number%d", i), 1)
		_, err := a.sink.Receive(context.Background(), sink.Envelope{From: "invites@contoso.example", To: []string{fmt.Sprintf("guest%d@fabrikam.example", i%500)}}, raw)
		return err
	})
	awaitTotal(b, a.SinkURL(), messages)
	for name, path := range map[string]string{
		"list":                   "/api/v1/messages?limit=50",
		"list in the middle":     "/api/v1/messages?limit=50&start=10000",
		"search a word":          "/api/v1/search?query=number777",
		"search a mailbox":       "/api/v1/search?query=to:guest7@fabrikam.example",
		"search what all have":   "/api/v1/search?query=organisation",
		"search what nobody has": "/api/v1/search?query=zebra",
	} {
		b.Run(name, func(b *testing.B) {
			w := dialWire(b, a.SinkURL(), "")
			for b.Loop() {
				resp, data, err := w.do("GET", path, "", "")
				require.NoError(b, wanted(resp, data, err, 200))
			}
		})
	}
}
