// Package pop3d lets mail clients fetch from the sink over POP3 (RFC 1939, with
// CAPA of RFC 2449 and the codes of RFC 3206).
//
// Every envelope recipient is an account: the user name is the address, and any
// password will do. That is why the listener belongs on a loopback address; the
// package does not look. Only the inbox can be fetched: mail in Junk is missing,
// as it would be at a real provider. DELE takes a message from this recipient at
// QUIT; RETR marks it read, which in the sink is for all recipients.
//
//	greeting ─▶ USER, PASS ─▶ the inbox as it is then ─▶ QUIT deletes
//
// The package sends bytes as they were received, but for what a line protocol
// demands: bare line ends become CRLF, and sizes are of what is sent. It knows no
// APOP, no TLS and no folders, and lets several clients in at once.
package pop3d

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"invited/mail/sink"
)

// ErrServerClosed is returned by [Server.Serve] after [Server.Shutdown].
var ErrServerClosed = errors.New("pop3d: server is shut down")

// Maildrop is what the server asks of a [sink.Sink].
type Maildrop interface {
	Settle(ctx context.Context) error
	Entries(ctx context.Context, recipient string, folder sink.Folder) (sink.Listing, error)
	RawEntry(ctx context.Context, e sink.Entry) ([]byte, error)
	SetRead(ctx context.Context, ids []string, read bool) error
	RemoveEntries(ctx context.Context, recipient string, folder sink.Folder, uids []uint32) ([]uint32, error)
}

// Options configures a [Server].
type Options struct {
	Sink Maildrop // required

	MaxConnections int           // 0 means 256
	LoginTimeout   time.Duration // from connecting to being logged in; 0 means 60 s
	IdleTimeout    time.Duration // between commands; 0 means 10 min (RFC 1939 section 3)
	WriteTimeout   time.Duration // for one reply to be taken; 0 means 5 min

	Log *slog.Logger // nil means none
}

// Server is a POP3 server for a sink.
type Server struct {
	opts   Options
	ctx    context.Context // of everything asked of the sink
	cancel context.CancelFunc

	mu        sync.Mutex
	draining  bool
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{}
	sizes     map[string]int // as sent, of messages that were looked at
	running   sync.WaitGroup
}

const maxSizes = 100_000

// New returns a server, or an error that names the option at fault.
func New(o Options) (*Server, error) {
	if o.Sink == nil {
		return nil, errors.New("pop3d: Options.Sink is nil")
	}
	if o.MaxConnections < 0 {
		return nil, errors.New("pop3d: Options.MaxConnections is negative")
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 256
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.LoginTimeout, time.Minute}, {&o.IdleTimeout, 10 * time.Minute}, {&o.WriteTimeout, 5 * time.Minute}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: o, listeners: map[net.Listener]struct{}{}, conns: map[net.Conn]struct{}{}, sizes: map[string]int{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Serve accepts connections on l until [Server.Shutdown], and then returns
// [ErrServerClosed]. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	draining := s.draining
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		_ = l.Close()
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for !draining {
		c, err := l.Accept()
		if err != nil {
			s.mu.Lock()
			draining = s.draining
			s.mu.Unlock()
			if draining {
				break
			}
			return fmt.Errorf("pop3d: %w", err)
		}
		s.admit(c)
	}
	return ErrServerClosed
}

// admit serves a connection in a goroutine of its own, or turns it away.
func (s *Server) admit(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || len(s.conns) >= s.opts.MaxConnections {
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Write([]byte("-ERR [SYS/TEMP] there are too many connections, try again later\r\n"))
		_ = c.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		defer func() {
			_ = c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			if r := recover(); r != nil {
				s.opts.Log.Error("pop3 session failed", "err", r)
			}
		}()
		newSession(s, c).run()
	}()
}

// Shutdown stops accepting and closes the connections; nothing that was marked
// is deleted then (RFC 1939 section 6). It returns ctx's error if sessions have
// not ended by then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.cancel()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Connections returns how many are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// remember keeps the size of a message, which takes reading it to know.
func (s *Server) remember(id string, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sizes) >= maxSizes {
		clear(s.sizes)
	}
	s.sizes[id] = size
}

func (s *Server) recall(id string) (size int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, ok = s.sizes[id]
	return size, ok
}
