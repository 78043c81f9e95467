package mailpit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/server/mailpit"
)

// follower reads events.
type follower struct {
	t    *testing.T
	conn *websocket.Conn
}

func (f *face) follow(t *testing.T) *follower {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), f.url+"/api/events", nil)
	require.NoError(t, err)
	if resp.Body != nil {
		resp.Body.Close()
	}
	t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	return &follower{t, conn}
}

// next returns the type of the next event, and fills data.
func (f *follower) next(data any) string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := f.conn.Read(ctx)
	require.NoError(f.t, err)
	var e struct {
		Type string
		Data json.RawMessage
	}
	require.NoError(f.t, json.Unmarshal(text, &e))
	if data != nil && string(e.Data) != "null" {
		require.NoError(f.t, json.Unmarshal(e.Data, data))
	}
	return e.Type
}

// skip returns the next event that is not about the counts.
func (f *follower) skip(data any) string {
	f.t.Helper()
	for {
		if kind := f.next(data); kind != "stats" {
			return kind
		}
	}
}

func TestEvents(t *testing.T) {
	f := open(t)
	w := f.follow(t)
	id := f.receive(plain("a@x.example", "b@y.example", "one"), "b@y.example")
	var summary struct{ ID, Subject, Folder string }
	require.Equal(t, "new", w.next(&summary))
	require.Equal(t, id, summary.ID)
	require.Equal(t, "Inbox", summary.Folder)
	var stats struct {
		Total, Unread int
		Version       string
	}
	require.Equal(t, "stats", w.next(&stats))
	require.Equal(t, 1, stats.Total)
	require.Equal(t, "1.2.3", stats.Version)

	f.do("PUT", "/api/v1/messages", `{"Read":true}`)
	var update struct {
		ID   string
		Read bool
		Tags []string
	}
	require.Equal(t, "update", w.skip(&update))
	require.True(t, update.Read)
	f.do("PUT", "/api/v1/tags", `{"Tags":["red"],"IDs":["`+id+`"]}`)
	require.Equal(t, "update", w.skip(&update))
	require.Equal(t, []string{"red"}, update.Tags)
	f.do("DELETE", "/api/v1/messages", `{"IDs":["`+id+`"]}`)
	var gone struct{ ID string }
	require.Equal(t, "delete", w.skip(&gone))
	require.Equal(t, id, gone.ID)
	f.do("DELETE", "/api/v1/messages", ``)
	require.Equal(t, "truncate", w.skip(nil))

	f.handler.Refused("192.0.2.7:4711", "550 5.1.1\r\nno such guest")
	var refusal struct{ Level, Type, IP, Message string }
	require.Equal(t, "error", w.skip(&refusal))
	require.Equal(t, "192.0.2.7", refusal.IP)
	require.Equal(t, "550 5.1.1 no such guest", refusal.Message)
}

func TestEventsComeInOrder(t *testing.T) {
	f := open(t)
	w := f.follow(t)
	var ids []string
	for n := range 100 {
		ids = append(ids, f.send(fmt.Sprintf(`{"From":{"Email":"a@x.example"},"To":[{"Email":"b@y.example"}],"Subject":"%d"}`, n)))
	}
	for _, id := range ids {
		var summary struct{ ID string }
		require.Equal(t, "new", w.skip(&summary))
		require.Equal(t, id, summary.ID)
	}
}

func TestManyDeletionsAreOneEvent(t *testing.T) {
	f := open(t)
	for range 70 {
		f.send(`{"From":{"Email":"a@x.example"},"To":[{"Email":"b@y.example"}],"Subject":"red"}`)
	}
	require.NoError(t, f.sink.Indexed(t.Context(), f.send(`{"From":{"Email":"a@x.example"},"To":[{"Email":"b@y.example"}]}`)))
	w := f.follow(t)
	f.do("DELETE", "/api/v1/search?query=subject:red", "")
	require.Equal(t, "prune", w.skip(nil))
}

func TestEventsEndWithTheSink(t *testing.T) {
	f := open(t)
	w := f.follow(t)
	require.NoError(t, f.sink.Close())
	_, _, err := w.conn.Read(t.Context())
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
}

func TestEventsAreForOurOwnPages(t *testing.T) {
	f := openWith(t, func(h *mailpit.Handler) { h.Login = mailpit.OneLogin("ana", "secret") })
	login := []string{"Authorization", "Basic YW5hOnNlY3JldA=="}
	tests := []struct {
		name   string
		header []string
		status int
	}{
		{"a program", login, 101},
		{"our own page", append([]string{"Origin", f.url}, login...), 101},
		{"another site", append([]string{"Origin", "https://evil.example"}, login...), 403},
		{"a sandboxed page", append([]string{"Origin", "null"}, login...), 403},
		{"another port", append([]string{"Origin", "http://127.0.0.1:1"}, login...), 403},
		{"a foreign name for us", append([]string{"Host", "evil.example"}, login...), 403},
		{"nobody in particular", nil, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			host := ""
			for i := 0; i < len(tt.header); i += 2 {
				if tt.header[i] == "Host" {
					host = tt.header[i+1]
				} else {
					header.Set(tt.header[i], tt.header[i+1])
				}
			}
			conn, resp, err := websocket.Dial(t.Context(), f.url+"/api/events", &websocket.DialOptions{HTTPHeader: header, Host: host})
			require.Equal(t, tt.status, resp.StatusCode)
			if tt.status == 101 {
				require.NoError(t, err)
				conn.CloseNow()
			}
		})
	}
	status, _, _ := f.do("GET", "/api/events", "", login...)
	require.Equal(t, http.StatusUpgradeRequired, status)
}

func TestTooManyFollowers(t *testing.T) {
	f := open(t)
	for range 64 {
		f.follow(t)
	}
	_, resp, err := websocket.Dial(t.Context(), f.url+"/api/events", nil)
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
}

// watched tells when Run has begun to count.
type watched struct {
	*sink.Sink
	once     sync.Once
	counting chan struct{}
}

func (s *watched) Totals(ctx context.Context) (sink.Totals, error) {
	defer s.once.Do(func() { close(s.counting) })
	return s.Sink.Totals(ctx)
}

// run runs the handler until the end of the test and waits until it counts.
func (f *face) run(t *testing.T) {
	t.Helper()
	w := &watched{Sink: f.sink, counting: make(chan struct{})}
	f.handler.Sink = w
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.handler.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	<-w.counting
}

func TestDeletedMessagesAreCounted(t *testing.T) {
	f := open(t)
	const red = `{"From":{"Email":"a@x.example"},"To":[{"Email":"b@y.example"}],"Subject":"red"}`
	require.NoError(t, f.sink.Indexed(t.Context(), f.send(red)))
	f.run(t)
	want := 1
	for _, n := range []int{0, 3, 70} {
		for range n {
			f.send(red)
		}
		f.do("DELETE", "/api/v1/search?query=subject:red", "")
		want += n
		require.Eventually(t, func() bool {
			var info struct{ RuntimeStats struct{ MessagesDeleted int } }
			f.get("/api/v1/info", &info)
			return info.RuntimeStats.MessagesDeleted == want
		}, 10*time.Second, 5*time.Millisecond)
	}
}
