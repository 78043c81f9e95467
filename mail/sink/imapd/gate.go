package imapd

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// limited refuses connections beyond the limit and wraps the others.
type limited struct {
	net.Listener
	srv *Server
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g := l.srv.admit(c); g != nil {
			return g, nil
		}
	}
}

// admit returns the gate of a new connection, or nil if it was turned away.
func (s *Server) admit(c net.Conn) *gate {
	g := &gate{Conn: c, srv: s, line: s.opts.MaxLine, most: int64(s.opts.MaxLiteral), head: make([]byte, 0, 128), until: time.Now().Add(s.opts.LoginTimeout)}
	s.mu.Lock()
	full := len(s.gates) >= s.opts.MaxConnections
	refused := full || s.draining
	if !refused {
		s.gates[g] = struct{}{}
	}
	s.mu.Unlock()
	if !refused {
		return g
	}
	if full {
		g.bye("there are too many connections, try again later")
	}
	_ = c.Close()
	return nil
}

// gate is a connection whose commands are bounded: in length, and in time until
// the client is logged in. It reads along just enough to tell lines from
// literals (RFC 3501 section 4.3).
type gate struct {
	net.Conn
	srv    *Server
	line   int   // limit
	most   int64 // limit of the literals of one command
	until  time.Time
	authed atomic.Bool
	once   sync.Once

	announced atomic.Int64 // a literal that waits for the server's consent
	literal   int64        // bytes of it that are still to come
	total     int64        // of the literals of this command
	inside    bool         // this line goes on with a command, behind a literal
	head      []byte       // the beginning of the command, as far as it has room
	length    int          // of this line
	tail      []byte       // its end
}

var (
	errLine    = errors.New("imapd: command line too long")
	errLiteral = errors.New("imapd: literal too large")
)

// maxString is how long a literal may be that does not wait for consent
// (RFC 7888 section 5) or is no mail.
const maxString = 4096

func (g *gate) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if n > 0 {
		if bad := g.scan(b[:n]); bad != nil {
			g.bye("the limit of a command is exceeded")
			return 0, bad
		}
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() && !g.authed.Load() {
		g.bye("the time to log in is over")
	}
	return n, err
}

// scan follows what the client says.
func (g *gate) scan(b []byte) error {
	for len(b) > 0 {
		if g.literal > 0 {
			n := min(g.literal, int64(len(b)))
			g.literal -= n
			b = b[n:]
			continue
		}
		end := bytes.IndexByte(b, '\n')
		part := b
		if end >= 0 {
			part = b[:end]
		}
		g.length += len(part)
		if g.length > g.line {
			return errLine
		}
		if !g.inside && len(g.head) < cap(g.head) {
			g.head = append(g.head, part[:min(len(part), cap(g.head)-len(g.head))]...)
		}
		if g.tail = append(g.tail, part...); len(g.tail) > 32 {
			g.tail = append(g.tail[:0], g.tail[len(g.tail)-32:]...)
		}
		if end < 0 {
			return nil
		}
		b = b[end+1:]
		if err := g.endLine(); err != nil {
			return err
		}
	}
	return nil
}

// endLine looks whether a literal follows, and whether it may.
func (g *gate) endLine() error {
	size, unasked, ok := literalAt(g.tail)
	words := bytes.Fields(g.head)
	mail := len(words) > 1 && bytes.EqualFold(words[1], []byte("APPEND"))
	g.length, g.tail, g.inside = 0, g.tail[:0], ok
	if !ok {
		g.total, g.head = 0, g.head[:0]
		return nil
	}
	if unasked {
		g.literal = size
	} else {
		g.announced.Store(size)
	}
	switch {
	case size > maxString && (unasked || !mail):
		return errLiteral // the library would take it for commands, or wait for more
	case size > g.most:
		return nil // refused by the library
	}
	if g.total += size; g.total > g.most {
		return errLiteral
	}
	return nil
}

// literalAt reads the {42} or {42+} a line ends with.
func literalAt(line []byte) (size int64, unasked, ok bool) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	line, ok = bytes.CutSuffix(line, []byte("}"))
	i := bytes.LastIndexByte(line, '{')
	if !ok || i < 0 {
		return 0, false, false
	}
	digits, unasked := bytes.CutSuffix(line[i+1:], []byte("+"))
	size, err := strconv.ParseInt(string(digits), 10, 64)
	return size, unasked, err == nil && size >= 0
}

// Write sends b. A literal that was announced comes after the consent, and not
// at all after anything else.
func (g *gate) Write(b []byte) (int, error) {
	if size := g.announced.Load(); size > 0 && len(b) > 0 {
		if b[0] == '+' {
			g.literal = size
		} else {
			g.total, g.inside, g.head = 0, false, g.head[:0]
		}
		g.announced.Store(0)
	}
	return g.Conn.Write(b)
}

// SetReadDeadline is the library's; before login there is one beyond which it
// cannot go.
func (g *gate) SetReadDeadline(t time.Time) error {
	if !g.authed.Load() && (t.IsZero() || t.After(g.until)) {
		t = g.until
	}
	return g.Conn.SetReadDeadline(t)
}

// bye says why the connection ends, if the client takes it.
func (g *gate) bye(why string) {
	_ = g.Conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = g.Conn.Write([]byte("* BYE " + why + "\r\n"))
}

// Close closes the connection and makes room for another.
func (g *gate) Close() error {
	err := net.ErrClosed
	g.once.Do(func() {
		g.srv.mu.Lock()
		delete(g.srv.gates, g)
		g.srv.mu.Unlock()
		err = g.Conn.Close()
	})
	return err
}
