package webmail_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/server/webmail"
)

// BenchmarkPages draws the pages of a sink with 20,000 messages, or as many as
// WEBMAIL_MESSAGES says, in a twentieth as many mailboxes.
func BenchmarkPages(b *testing.B) {
	messages := 20_000
	if n, err := strconv.Atoi(os.Getenv("WEBMAIL_MESSAGES")); err == nil {
		messages = n
	}
	s, err := sink.Open(sink.Options{Dir: b.TempDir(), MaxMessages: 2 * messages})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	last := fill(b, s, messages)
	mux := http.NewServeMux()
	(&webmail.Handler{Sink: s, SMTP: "127.0.0.1:1025", Now: time.Now, Log: slog.New(slog.DiscardHandler)}).Mount(mux)
	for _, page := range []struct{ name, path string }{
		{"list", "/"}, {"mailbox", "/?to=guest7@fabrikam.example"}, {"folder", "/?folder=Inbox"}, {"unread", "/?q=is:unread"}, {"deep", "/?after=" + last},
		{"common word", "/?q=report"}, {"rare word", "/?q=report-77777"}, {"no such word", "/?q=elephant"}, {"mailboxes", "/mailboxes?filter=guest77"}, {"message", "/mail/" + last},
	} {
		b.Run(page.name, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()

				mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, page.path, nil))
				require.Equal(b, http.StatusOK, w.Code)
			}
		})
	}
}

// fill captures messages and returns the id of one in the middle.
func fill(b *testing.B, s *sink.Sink, messages int) string {
	b.Helper()
	const senders = 64
	var all sync.WaitGroup
	ids := make([]string, messages)
	for n := range senders {
		all.Go(func() {
			for i := n; i < messages; i += senders {
				to := fmt.Sprintf("guest%d@fabrikam.example", i%max(1, messages/20))
				raw := fmt.Sprintf("From: Reports <reports@contoso.example>\r\nTo: %s\r\nSubject: Report %d\r\nDate: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <%d@contoso.example>\r\n\r\nThis is report-%d of the series.\r\n", to, i, i, i)
				id, err := s.Receive(b.Context(), sink.Envelope{From: "reports@contoso.example", To: []string{to}, Received: time.Now()}, []byte(raw))
				if err != nil {
					b.Error(err)
					return
				}
				ids[i] = id
			}
		})
	}
	all.Wait()
	require.NoError(b, s.Indexed(b.Context(), ids[messages-1]))
	return ids[messages/2]
}
