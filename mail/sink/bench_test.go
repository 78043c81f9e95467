//go:build unix

package sink_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
)

// words are what the benchmark's mails are written with.
var words = strings.Fields(`organisation invited applications within accept invitation review permissions please
	contact inviter questions about this message privacy statement guest access expires month reply project documents
	shared folder calendar meeting partner contract delivery invoice report quarter budget planning schedule release`)

// letter writes the n-th mail of about 20 kB with 2 kB of text.
func letter(n int) string {
	var text, html strings.Builder
	for i := 0; text.Len() < 1000; i++ {
		text.WriteString(words[(n*7+i*i)%len(words)] + " ")
	}
	for html.Len() < 18<<10 {
		html.WriteString(`<td style="padding:0 12px;font-family:'Segoe UI',sans-serif;font-size:14px;line-height:20px;color:#323130;` +
			`background-color:#ffffff;border-collapse:collapse;mso-line-height-rule:exactly;text-align:left;vertical-align:top">`)
		html.WriteString(words[(n+html.Len())%len(words)] + " " + words[(n*3+html.Len())%len(words)] + "</td>\r\n")
	}
	return fmt.Sprintf("From: Contoso <invites@contoso.example>\r\nTo: Guest %d <guest%d@fabrikam.example>\r\n"+
		"Subject: Contoso invited you, number%d\r\nMessage-ID: <m%d@contoso.example>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n%s\r\n--b\r\n"+
		"Content-Type: text/html; charset=utf-8\r\n\r\n<html><table><tr>%s</tr></table></html>\r\n--b--\r\n",
		n, n%500, n, n, text.String(), html.String())
}

// flood sends mails n to m from several senders.
func flood(tb testing.TB, s *sink.Sink, from, to, senders int) {
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= to {
					return
				}
				e := sink.Envelope{From: "invites@contoso.example", To: []string{fmt.Sprintf("guest%d@fabrikam.example", n%500)}}
				if _, err := s.Receive(context.Background(), e, []byte(letter(n))); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func caughtUp(tb testing.TB, s *sink.Sink) {
	id, err := s.Receive(context.Background(), sink.Envelope{To: []string{"last@fabrikam.example"}}, []byte("Subject: last\r\n\r\n"))
	require.NoError(tb, err)
	require.NoError(tb, s.Indexed(context.Background(), id))
}

// BenchmarkRead reads a sink with 20,000 messages.
func BenchmarkRead(b *testing.B) {
	const messages = 20_000
	s := open(b, sink.Options{Dir: b.TempDir(), MaxMessages: 1 << 20, Judge: junk})
	flood(b, s, 0, messages, 8)
	caughtUp(b, s)
	ctx := context.Background()
	query := func(text string) sink.Query {
		q, err := sink.ParseQuery(text)
		require.NoError(b, err)
		return q
	}
	list := func(q sink.Query) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				p, err := s.List(ctx, q)
				if err != nil || len(p.Messages) == 0 && !strings.Contains(b.Name(), "partner") {
					b.Fatal(len(p.Messages), err)
				}
			}
		}
	}
	first, err := s.List(ctx, sink.Query{Start: messages / 2, Limit: 1})
	require.NoError(b, err)
	b.Run("list, first page", list(sink.Query{}))
	b.Run("list, page in the middle by id", list(sink.Query{After: first.Messages[0].ID}))
	b.Run("list, page in the middle by number", list(sink.Query{Start: messages / 2}))
	b.Run("list, one mailbox", list(sink.Query{Recipient: "guest7@fabrikam.example"}))
	for _, text := range []string{
		"number777", "to:guest7@fabrikam.example", "invitation", "fabrikam.example", "partner delivery -zebra",
		"-zebra", "is:unread", "subject:number19999 is:unread", "fa", "before:2030-01-01",
	} {
		b.Run("search, kept count: "+text, list(query(text)))
		b.Run("search, first time: "+text, func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				q := query(fmt.Sprintf("%s -before:%d", text, 1900+n%70)) // another count each time
				if _, err := s.List(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("totals and folders", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Totals(ctx)
			require.NoError(b, err)
			_, err = s.Folders(ctx, "", 100)
			require.NoError(b, err)
		}
	})
}

// cpu is the processor time of the process: it tells more than the clock on a
// machine that others use.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReceive measures intake by 8 senders, alone and with a client that
// polls a search.
func BenchmarkReceive(b *testing.B) {
	for _, polling := range []bool{false, true} {
		name := map[bool]string{false: "alone", true: "with a polling reader"}[polling]
		b.Run(name, func(b *testing.B) {
			s := open(b, sink.Options{Dir: b.TempDir(), Judge: junk})
			flood(b, s, 0, 3000, 8)
			caughtUp(b, s)
			ctx, cancel := context.WithCancel(context.Background())
			var polls atomic.Int64
			var slowest time.Duration
			var reader sync.WaitGroup
			if polling {
				reader.Go(func() {
					q, _ := sink.ParseQuery("invitation to:guest7")
					for ctx.Err() == nil {
						begin := time.Now()
						if _, err := s.List(ctx, q); err == nil {
							polls.Add(1)
							slowest = max(slowest, time.Since(begin))
						}
						select {
						case <-ctx.Done():
						case <-time.After(10 * time.Millisecond):
						}
					}
				})
			}
			used := cpu(b)
			b.ResetTimer()
			flood(b, s, 3000, 3000+b.N, 8)
			b.StopTimer()
			b.ReportMetric(float64((cpu(b)-used).Microseconds())/float64(b.N), "cpu-µs/mail")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
			cancel()
			reader.Wait()
			if polling {
				b.ReportMetric(float64(polls.Load())/b.Elapsed().Seconds(), "polls/s")
				b.ReportMetric(float64(slowest.Milliseconds()), "slowest-ms")
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapInuse)/1e6, "heap-MB")
			begin := time.Now()
			caughtUp(b, s)
			b.ReportMetric(float64(b.N)/(b.Elapsed()+time.Since(begin)).Seconds(), "indexed/s")
		})
	}
}
