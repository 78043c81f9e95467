package smtpout_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/relaytest"
	"invited/mail/smtpout"
)

// discard is a relay that looks at as little as it can.
func discard(b *testing.B, caps string) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				discardSession(nc, caps)
			}()
		}
	}()
	return "smtp://" + l.Addr().String()
}

func discardSession(nc net.Conn, caps string) {
	br, bw := bufio.NewReaderSize(nc, 64<<10), bufio.NewWriter(nc)
	_, _ = io.WriteString(bw, "220 hi\r\n")
	for {
		if br.Buffered() == 0 {
			_ = bw.Flush()
		}
		line, err := br.ReadSlice('\n')
		if err != nil {
			return
		}
		reply := "250 Ok\r\n"
		switch {
		case bytes.HasPrefix(line, []byte("EHLO")):
			reply = "250-hi\r\n" + caps
		case bytes.HasPrefix(line, []byte("BDAT")):
			n, _ := strconv.Atoi(string(bytes.Fields(line)[1]))
			_, _ = br.Discard(n)
		case bytes.HasPrefix(line, []byte("DATA")):
			_, _ = io.WriteString(bw, "354 Go\r\n")
			_ = bw.Flush()
			for err == nil && string(line) != ".\r\n" {
				line, err = br.ReadSlice('\n')
			}
		}
		_, _ = io.WriteString(bw, reply)
	}
}

// BenchmarkSend measures messages a second by relay, command, connections and
// size; four senders share each connection.
func BenchmarkSend(b *testing.B) {
	relays := []struct {
		name  string
		start func(*testing.B) string
		bdat  bool
	}{
		{"discard DATA", func(b *testing.B) string { return discard(b, "250 PIPELINING\r\n") }, false},
		{"discard BDAT", func(b *testing.B) string { return discard(b, "250-PIPELINING\r\n250 CHUNKING\r\n") }, true},
		{"go-smtp DATA", func(b *testing.B) string { return startGoSMTP(b, &goSMTP{quiet: true}, nil) }, false},
		{"go-smtp BDAT", func(b *testing.B) string { return startGoSMTP(b, &goSMTP{quiet: true}, nil) }, true},
		{"smtp-sink DATA", func(b *testing.B) string { return relaytest.SMTPSink(b) }, false},
	}
	for _, relay := range relays {
		for _, conns := range []int{1, 8} {
			for _, size := range []int{4, 20} {
				b.Run(fmt.Sprintf("%s/conns=%d/kB=%d", relay.name, conns, size), func(b *testing.B) {
					p := pool(b, smtpout.Options{Relay: relay.start(b), Conns: conns, NoChunking: !relay.bdat})
					m := message()
					m.Raw = append([]byte("Subject: x\r\n\r\n"), bytes.Repeat([]byte("<p>An ordinary line of seventy characters or so, as mail has them.</p>\r\n"), size*1000/73)...)
					hammer(b, p, m, conns*4)
				})
			}
		}
	}
}

// hammer sends m b.N times from n goroutines.
func hammer(b *testing.B, p *smtpout.Pool, m mail.Message, n int) {
	var all sync.WaitGroup
	var left, failed atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	for range n {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if a := p.Send(b.Context(), m); !a.OK() {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	require.Zero(b, failed.Load())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
