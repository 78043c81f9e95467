// Package imapd lets mail clients read the sink over IMAP (RFC 3501 and
// RFC 9051), so that a test can see what its recipient would see.
//
// Every envelope recipient is an account: the user name is the address, and any
// password will do. That is why the listener belongs on a loopback address; the
// package does not look. An account has two folders, INBOX and Junk, and what a
// client does to them is seen everywhere: moving a message is [sink.Sink.SetFolder],
// reading it sets [sink.Captured.Read] — for all recipients, because the sink
// knows no other reading —, and expunging it takes it from this recipient.
// Other flags and keywords belong to the folder's entry and last.
//
//	TCP ─▶ limits ─▶ gate ─▶ go-imap ─▶ session ─▶ sink
//	                                      │ ▲
//	                                     view ◀── hub ◀── sink events
//
// The dialogue is emersion/go-imap's. A view is a client's picture of its
// folder: it changes only when the protocol allows the client to be told.
//
// The package makes, renames and deletes no folders, gives no message the flag
// \Recent, and changes no byte of a message: sections are cut out of the raw
// mail. One defect is the library's: in a search, SMALLER is lost if LARGER or a
// date comes after it.
package imapd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"invited/mail/sink"
)

// ErrServerClosed is returned by [Server.Serve] after [Server.Shutdown].
var ErrServerClosed = errors.New("imapd: server is shut down")

// Options configures a [Server].
type Options struct {
	Sink *sink.Sink // required

	MaxConnections int           // 0 means 256
	LoginTimeout   time.Duration // from connecting to being logged in; 0 means 60 s
	MaxLiteral     int           // bytes of the literals of one command, and so of an APPEND; 0 means 10 MiB
	MaxLine        int           // of a command without literals; 0 means 8 KiB

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means none
}

// Server is an IMAP server for a sink.
type Server struct {
	opts   Options
	imap   *imapserver.Server
	hub    *hub
	ctx    context.Context // of everything asked of the sink
	cancel context.CancelFunc

	looking sync.Mutex // held by the one idle session that compares its folder

	mu       sync.Mutex
	draining bool
	gates    map[*gate]struct{}
	sessions map[*session]struct{}
	ended    chan struct{} // closed when draining and without sessions
}

// New returns a server, or an error that names the option at fault.
func New(o Options) (*Server, error) {
	if o.Sink == nil {
		return nil, errors.New("imapd: Options.Sink is nil")
	}
	for _, d := range []struct {
		name  string
		field *int
		value int
	}{{"MaxConnections", &o.MaxConnections, 256}, {"MaxLiteral", &o.MaxLiteral, 10 << 20}, {"MaxLine", &o.MaxLine, 8 << 10}} {
		if *d.field < 0 {
			return nil, fmt.Errorf("imapd: Options.%s is negative", d.name)
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.LoginTimeout <= 0 {
		o.LoginTimeout = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: o, hub: newHub(o.Sink), gates: map[*gate]struct{}{}, sessions: map[*session]struct{}{}, ended: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.imap = imapserver.New(&imapserver.Options{
		NewSession: s.newSession,
		Caps: imap.CapSet{
			imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}, imap.CapNamespace: {}, imap.CapUIDPlus: {}, imap.CapESearch: {},
			imap.CapSearchRes: {}, imap.CapListExtended: {}, imap.CapListStatus: {}, imap.CapMove: {}, imap.CapStatusSize: {},
			imap.CapBinary: {}, imap.CapChildren: {}, imap.CapSpecialUse: {},
		},
		Logger:       logAdapter{o.Log},
		InsecureAuth: true,
	})
	return s, nil
}

// Serve accepts connections on l until [Server.Shutdown], and then returns
// [ErrServerClosed]. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	if s.isDraining() {
		_ = l.Close()
		return ErrServerClosed
	}
	s.hub.start()
	err := s.imap.Serve(&limited{Listener: l, srv: s})
	if s.isDraining() {
		_ = l.Close() // Shutdown may have come before the library knew it
		return ErrServerClosed
	}
	return err
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// Shutdown stops accepting, tells clients BYE, and closes their connections: a
// command under way is cut off. It returns ctx's error if sessions have not
// ended by then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	again := s.draining
	s.draining = true
	gates := make([]*gate, 0, len(s.gates))
	for g := range s.gates {
		gates = append(gates, g)
	}
	if len(s.sessions) == 0 && !again {
		close(s.ended)
	}
	s.mu.Unlock()
	s.cancel()
	for _, g := range gates {
		g.bye("the server is shutting down")
	}
	err := s.imap.Close() // an error of a listener, or that it was closed before
	for _, g := range gates {
		_ = g.Close()
	}
	defer s.hub.stop()
	select {
	case <-s.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if again {
		return nil
	}
	return err
}

// Connections returns how many are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gates)
}

func (s *Server) newSession(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	session := &session{srv: s, conn: c, gate: c.NetConn().(*gate)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return nil, nil, &imap.Error{Type: imap.StatusResponseTypeBye, Text: "the server is shutting down"}
	}
	s.sessions[session] = struct{}{}
	return session, nil, nil
}

func (s *Server) forget(session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sessions[session]; !ok {
		return
	}
	delete(s.sessions, session)
	if s.draining && len(s.sessions) == 0 {
		close(s.ended)
	}
}

// logAdapter takes the library's words about panics and broken connections.
type logAdapter struct{ log *slog.Logger }

func (a logAdapter) Printf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	level := slog.LevelWarn
	if strings.HasPrefix(text, "failed to read command") || strings.HasPrefix(text, "failed to write greeting") {
		level = slog.LevelDebug // the client went away
	}
	a.log.Log(context.Background(), level, "imap connection failed", "err", text)
}
