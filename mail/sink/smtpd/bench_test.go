package smtpd_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/smtpd"
)

type discardSink struct{}

func (discardSink) Receive(context.Context, sink.Envelope, []byte) (string, error) {
	return "000000000000000000000000", nil
}

// bare is the smallest go-smtp server: it reads and forgets.
type bare struct{}

func (bare) NewSession(*smtp.Conn) (smtp.Session, error) { return bare{}, nil }
func (bare) Reset()                                      {}
func (bare) Logout() error                               { return nil }
func (bare) Mail(string, *smtp.MailOptions) error        { return nil }
func (bare) Rcpt(string, *smtp.RcptOptions) error        { return nil }
func (bare) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// BenchmarkCapture measures mails of 20 kB over loopback TCP, beside a bare
// go-smtp server that discards, with a client that pipelines.
func BenchmarkCapture(b *testing.B) {
	mail := []byte("Subject: bench\r\n\r\n" + strings.Repeat(strings.Repeat("x", 74)+"\r\n", 20<<10/76))
	data := append(bytes.Clone(mail), ".\r\n"...)
	servers := []struct {
		name  string
		start func(b *testing.B) string
	}{
		{"ours", func(b *testing.B) string {
			_, addr := start(b, smtpd.Options{Sink: discardSink{}})
			return addr
		}},
		{"bare", func(b *testing.B) string {
			s := smtp.NewServer(bare{})
			s.Domain = "localhost"
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			go func() { _ = s.Serve(l) }()
			b.Cleanup(func() { _ = s.Close() })
			return l.Addr().String()
		}},
	}
	for _, how := range []string{"DATA", "BDAT"} {
		for _, s := range servers {
			for _, conns := range []int{1, 8} {
				b.Run(fmt.Sprintf("%s/%s/conns=%d", how, s.name, conns), func(b *testing.B) {
					addr := s.start(b)
					b.SetBytes(int64(len(mail)))
					b.SetParallelism(conns)
					b.ReportAllocs()
					if conns == 1 {
						c := connect(b, addr)
						for b.Loop() {
							c.send(how, mail, data)
						}
						return
					}
					b.RunParallel(func(pb *testing.PB) {
						c := connect(b, addr)
						for pb.Next() {
							c.send(how, mail, data)
						}
					})
				})
			}
		}
	}
}

type client struct {
	b *testing.B
	c net.Conn
	r *textproto.Reader
}

func connect(b *testing.B, addr string) client {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	cl := client{b, c, textproto.NewReader(bufio.NewReader(c))}
	cl.expect(220)
	cl.write([]byte("EHLO bench\r\n"))
	cl.expect(250)
	return cl
}

func (c client) write(p []byte) {
	if _, err := c.c.Write(p); err != nil {
		c.b.Error(err)
	}
}

func (c client) expect(codes ...int) {
	for _, code := range codes {
		if _, _, err := c.r.ReadResponse(code); err != nil {
			c.b.Error(err)
		}
	}
}

var (
	envelope = []byte("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
	chunked  = []byte("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT %d LAST\r\n")
)

func (c client) send(how string, mail, data []byte) {
	if how == "BDAT" {
		c.write(append(fmt.Appendf(nil, string(chunked), len(mail)), mail...))
		c.expect(250, 250, 250)
		return
	}
	c.write(envelope)
	c.expect(250, 250, 354)
	c.write(data)
	c.expect(250)
}
