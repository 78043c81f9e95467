package mailpit

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"invited/mail/sink"
	"invited/server/problem"
)

// Limits of GET /api/events.
const (
	maxStreams    = 64
	maxRefusals   = 64                     // that a stream may be behind; more are left out
	statsEvery    = 250 * time.Millisecond // at most so often
	pingEvery     = 30 * time.Second
	writeDeadline = 10 * time.Second // for a client to take an event
)

// eventJSON is what goes over the socket.
type eventJSON struct {
	Type string
	Data any
}

// updateJSON is the Data of update.
type updateJSON struct {
	ID     string
	Read   bool
	Tags   []string
	Folder sink.Folder `json:"folder"`
}

// refusalJSON is the Data of error.
type refusalJSON struct {
	Level   string
	Type    string
	IP      string
	Message string
}

// streams are the open sockets.
type streams struct {
	mu   sync.Mutex
	open map[chan refusalJSON]struct{}
}

// join registers a socket, or reports that there are too many.
func (s *streams) join() (chan refusalJSON, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= maxStreams {
		return nil, false
	}
	if s.open == nil {
		s.open = map[chan refusalJSON]struct{}{}
	}
	refusals := make(chan refusalJSON, maxRefusals)
	s.open[refusals] = struct{}{}
	return refusals, true
}

func (s *streams) leave(refusals chan refusalJSON) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, refusals)
}

// Refused tells those who follow events that the SMTP listener answered a
// client with 4xx or 5xx. It never blocks. remote is ip:port.
func (h *Handler) Refused(remote, reply string) {
	ip, _, err := net.SplitHostPort(remote)
	if err != nil {
		ip = remote
	}
	h.streams.mu.Lock()
	defer h.streams.mu.Unlock()
	for refusals := range h.streams.open {
		select {
		case refusals <- refusalJSON{Level: "warning", Type: "smtp", IP: ip, Message: clipTo(oneLine(reply), 500)}:
		default:
		}
	}
}

// streamEvents serves GET /api/events (RFC 6455). A client that does not take
// what it is sent is dropped, and finds everything in the list when it is back.
func (h *Handler) streamEvents(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.streamEvents"
	refusals, ok := h.streams.join()
	if !ok {
		return &problem.Error{
			Op: op, Kind: problem.Unavailable, Reason: problem.Busy, RetryAfter: pingEvery,
			Detail: "Too many clients follow the events; close one.",
		}
	}
	defer h.streams.leave(refusals)
	events, end := h.Sink.Subscribe() // before the handshake ends: nothing is missed
	defer end()
	conn, err := websocket.Accept(w, r, nil) // refuses the Origin of another host once more
	if err != nil {
		return nil // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	s := stream{h: h, conn: conn, refusals: refusals, events: events}
	s.run(conn.CloseRead(r.Context()))
	return nil
}

// stream is one socket.
type stream struct {
	h        *Handler
	conn     *websocket.Conn
	events   <-chan sink.Event
	refusals <-chan refusalJSON
	stats    <-chan time.Time // when stats are due; nil: nothing has changed
}

// run sends until the client is gone or too slow, or the sink closes.
func (s *stream) run(ctx context.Context) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for ctx.Err() == nil {
		var err error
		select {
		case <-ctx.Done():
		case e, ok := <-s.events:
			switch {
			case !ok:
				_ = s.conn.Close(websocket.StatusGoingAway, "the sink is closed")
				return
			case e.Type == sink.Dropped:
				_ = s.conn.Close(websocket.StatusTryAgainLater, "too slow: connect again and read the list")
				return
			}
			err = s.tell(ctx, e)
		case refusal := <-s.refusals:
			err = s.send(ctx, "error", refusal)
		case <-s.stats:
			err = s.tellStats(ctx)
		case <-ping.C:
			err = s.ping(ctx)
		}
		if err != nil {
			return
		}
	}
}

// tell sends a change of the list.
func (s *stream) tell(ctx context.Context, e sink.Event) error {
	if s.stats == nil {
		s.stats = time.After(statsEvery)
	}
	switch e.Type {
	case sink.New:
		return s.send(ctx, "new", summary(*e.Message, ""))
	case sink.Update:
		m := e.Message
		return s.send(ctx, "update", updateJSON{ID: m.ID, Read: m.Read, Tags: list(m.Tags), Folder: filing(*m, "").Folder})
	case sink.Deleted:
		return s.send(ctx, "delete", struct{ ID string }{e.ID})
	case sink.Truncate:
		return s.send(ctx, "truncate", nil)
	default:
		return s.send(ctx, "prune", nil) // read the list again
	}
}

func (s *stream) tellStats(ctx context.Context) error {
	s.stats = nil
	totals, err := s.h.Sink.Totals(ctx)
	if err != nil {
		return err
	}
	return s.send(ctx, "stats", struct {
		Total, Unread int
		Version       string
	}{totals.Messages, totals.Unread, s.h.Version})
}

func (s *stream) send(ctx context.Context, kind string, data any) error {
	text, err := json.Marshal(eventJSON{kind, data})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeDeadline)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, text)
}

func (s *stream) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeDeadline)
	defer cancel()
	return s.conn.Ping(ctx)
}
