// Package smtpd lets the sink be spoken to by SMTP (RFC 5321) over TCP.
//
// The dialogue is emersion/go-smtp's; what that library leaves to its user is
// guarded here, by a net.Conn that hands it one whole command at a time and
// reads message bodies itself:
//
//	TCP ─▶ limits ─▶ gate ── one line ──▶ go-smtp ──▶ session ──▶ Receiver
//	                  │  ▲                                │
//	                  │  └────────── body up to CRLF.CRLF ┘
//	                  └─ cut-off lines, HTTP, control characters, early talkers: refused here
//
// Only CRLF.CRLF ends a body. After anything that leaves it unclear where a
// body ends the connection is closed, so that no part of a mail is ever run as
// a command. Any recipient is accepted, and any password unless passwords are
// given: this is a sink. It speaks LMTP (RFC 2033), too.
//
// # What is forgiven, and what is not
//
// A test must not pass here with a dialogue that fails elsewhere. So commands
// must end in CR LF (say nc -C, not nc), addresses need their angle brackets,
// MAIL needs HELO or EHLO before it, a client must wait for the replies to
// DATA and STARTTLS, and parameters that nobody offered are refused. What every
// server forgives is forgiven: commands in lower case, white space at the end
// of a line, a space after "FROM:" and "TO:", RCPT to <postmaster> without a
// domain, and bodies with bare CR or LF, which are stored as they came.
//
// Passwords appear in no log, reply or transcript.
//
// The package delivers nothing, resolves no names and judges no content.
package smtpd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"invited/mail/sink"
	"invited/mail/sink/faults"
)

// ErrServerClosed is returned by [Server.Serve] after [Server.Shutdown].
var ErrServerClosed = errors.New("smtpd: server is shut down")

// Receiver takes responsibility for a message. When it returns without error
// the client is told 250, so the message must be on stable storage. It may
// keep raw. An error that wraps [sink.ErrFull] is answered 452, any other 451.
type Receiver interface {
	Receive(ctx context.Context, e sink.Envelope, raw []byte) (id string, err error)
}

// Faults decides when the server misbehaves for a test. [*faults.Set] is one.
type Faults interface {
	Check(stage faults.Stage, from, to string) (faults.Fault, bool)
}

// Options configures a [Server].
type Options struct {
	Sink     Receiver // required
	Hostname string   // of the greeting; "" means localhost

	MaxMessageBytes int64 // without dot-stuffing; 0 means 10 MiB
	MaxRecipients   int   // 0 means 100
	MaxLineLength   int   // of the body, without CRLF; 0 means 64 KiB
	MaxConnections  int   // 0 means 1,024
	MaxPerIP        int   // connections of one address; 0 means 50
	MaxPerLoopback  int   // connections of one loopback address; 0 means MaxConnections
	MaxErrors       int   // 5xx replies; 0 means 10
	MaxCommands     int   // without an accepted message between them; 0 means 1,000

	IdleTimeout    time.Duration // for the next command to begin; 0 means 5 min (RFC 5321 section 4.5.3.2.7)
	CommandTimeout time.Duration // from the first byte of a command to its end, and for each reply to be taken; 0 means 30 s
	DataTimeout    time.Duration // for one message; 0 means 5 min
	MinDataRate    int           // bytes per second a body must keep up after CommandTimeout; 0 means 500

	Faults    Faults      // nil means none
	TLSConfig *tls.Config // for STARTTLS and ServeTLS; nil means TLS is not offered

	Login       func(user, password string) bool // nil means that any password is right
	RequireAuth bool                             // MAIL is answered 530 before AUTH
	RequireTLS  bool                             // MAIL and AUTH are answered 530 before TLS
	NoStartTLS  bool                             // TLSConfig is for ServeTLS only

	NewID func() string    // of a session; nil means random
	Now   func() time.Time // of Envelope.Received; nil means time.Now
	Log   *slog.Logger     // nil means none
}

// Server is an SMTP server for a sink.
type Server struct {
	opts   Options
	smtp   *smtp.Server
	ctx    context.Context // of Receive; ends when Shutdown gives up waiting
	cancel context.CancelFunc

	draining                          atomic.Bool
	accepted, acceptedBytes, rejected atomic.Int64

	mu    sync.Mutex
	gates map[*gate]struct{}
	perIP map[string]int
}

// New returns a server, or an error that names the option at fault.
func New(o Options) (*Server, error) {
	if o.Sink == nil {
		return nil, errors.New("smtpd: Options.Sink is nil")
	}
	if o.RequireTLS && (o.TLSConfig == nil || o.NoStartTLS) {
		return nil, errors.New("smtpd: Options.RequireTLS needs Options.TLSConfig, without NoStartTLS")
	}
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = 10 << 20
	}
	for _, d := range []struct {
		name  string
		field *int
		value int
	}{
		{"MaxRecipients", &o.MaxRecipients, 100},
		{"MaxLineLength", &o.MaxLineLength, 64 << 10},
		{"MaxConnections", &o.MaxConnections, 1024},
		{"MaxPerIP", &o.MaxPerIP, 50},
		{"MaxPerLoopback", &o.MaxPerLoopback, o.MaxConnections},
		{"MaxErrors", &o.MaxErrors, 10},
		{"MaxCommands", &o.MaxCommands, 1000},
		{"MinDataRate", &o.MinDataRate, 500},
	} {
		if *d.field < 0 {
			return nil, fmt.Errorf("smtpd: Options.%s is negative", d.name)
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.MaxPerLoopback == 0 {
		o.MaxPerLoopback = o.MaxConnections
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.IdleTimeout, 5 * time.Minute}, {&o.CommandTimeout, 30 * time.Second}, {&o.DataTimeout, 5 * time.Minute}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.NewID == nil {
		o.NewID = randomID
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: o, gates: map[*gate]struct{}{}, perIP: map[string]int{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.smtp = s.newSMTP()
	return s, nil
}

func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// newSMTP returns the library's server. Its own limits on lines and time are
// off: they count a whole body as one read, and keep a connection of which
// they lost track.
func (s *Server) newSMTP() *smtp.Server {
	l := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{srv: s, conn: c, gate: c.Conn().(*gate)}, nil
	}))
	l.Domain = s.opts.Hostname
	l.MaxRecipients = s.opts.MaxRecipients
	l.MaxMessageBytes = s.opts.MaxMessageBytes
	l.MaxLineLength = 0
	l.AllowInsecureAuth = true
	l.EnableSMTPUTF8 = true
	l.EnableBINARYMIME = true
	l.EnableDSN = true
	l.ErrorLog = logAdapter{s.opts.Log}
	return l
}

// Serve accepts connections on l until [Server.Shutdown], and then returns
// [ErrServerClosed]. It may be called for several listeners, and so may
// [Server.ServeTLS] and [Server.ServeLMTP].
func (s *Server) Serve(l net.Listener) error { return s.serve(&limited{Listener: l, srv: s}) }

// ServeTLS is Serve for clients that begin with TLS (RFC 8314 section 3.3). It
// needs Options.TLSConfig.
func (s *Server) ServeTLS(l net.Listener) error {
	if s.opts.TLSConfig == nil {
		_ = l.Close()
		return errors.New("smtpd: ServeTLS needs Options.TLSConfig")
	}
	return s.serve(&limited{Listener: l, srv: s, tls: true})
}

// ServeLMTP is Serve for clients that speak LMTP (RFC 2033): each recipient of
// a message has a reply of its own, and faults at its end are theirs alone.
func (s *Server) ServeLMTP(l net.Listener) error {
	return s.serve(&limited{Listener: l, srv: s, lmtp: true})
}

func (s *Server) serve(l *limited) error {
	if s.draining.Load() {
		_ = l.Close()
		return ErrServerClosed
	}
	err := s.smtp.Serve(l)
	if s.draining.Load() {
		return ErrServerClosed
	}
	return err
}

// Counts returns what was done since the server was made: the messages that
// were accepted with their bytes, the replies that refused something, and the
// messages that were accepted and thrown away, of which there are none.
func (s *Server) Counts() (accepted, acceptedBytes, rejected, ignored int64) {
	return s.accepted.Load(), s.acceptedBytes.Load(), s.rejected.Load(), 0
}

// Shutdown stops accepting, tells idle clients 421, and waits for messages
// under way. When ctx ends it closes what is left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.smtp.Shutdown(ctx) }()
	s.mu.Lock()
	for g := range s.gates {
		g.wake()
	}
	s.mu.Unlock()
	err := <-done
	s.cancel()
	s.mu.Lock()
	for g := range s.gates {
		_ = g.tcp.Close() // whoever serves it notices
	}
	s.mu.Unlock()
	if errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

// startTLS returns the configuration for STARTTLS, or nil.
func (s *Server) startTLS() *tls.Config {
	if s.opts.NoStartTLS {
		return nil
	}
	return s.opts.TLSConfig
}

// Connections returns how many are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gates)
}

// logAdapter takes the library's words about panics and broken connections.
type logAdapter struct{ log *slog.Logger }

func (a logAdapter) Printf(format string, v ...any) {
	a.log.Warn("smtp connection failed", "err", fmt.Sprintf(format, v...))
}

func (a logAdapter) Println(v ...any) { a.log.Warn("smtp connection failed", "err", fmt.Sprint(v...)) }
