package smtpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	smallBuffer = 4 << 10
	maxCommand  = 12288 + 2 // the longest line of AUTH, RFC 4954 section 4.4
	maxReplies  = 16 << 10  // unsent bytes of replies
)

// gate is the connection as go-smtp sees it. Read returns one whole command
// line, or bytes of a BDAT chunk, and never more, so that the gate always
// knows what the library is about to do; Write collects replies until the gate
// has to wait for the client, so that pipelined commands cost one packet.
//
// Read, and the fields it uses, belong to the goroutine that serves the
// connection.
type gate struct {
	net.Conn // TCP, or TLS after STARTTLS
	tcp      net.Conn
	srv      *Server
	ip       string
	id       string // of the session, for the envelope

	in       []byte // received and not handed on: in[r:w]
	r, w     int
	feed     []byte // to be handed on before anything that is received
	chunk    int64  // bytes of a BDAT chunk still to come
	data     bool   // a body follows: 354 was sent
	auth     bool   // the next line answers a challenge: 334 was sent
	closing  bool   // nothing more is to be read
	lmtp     bool
	tls      bool
	shake    bool   // the handshake is due, on a listener that begins with TLS
	authed   bool   // AUTH has succeeded
	hello    bool   // EHLO is due, after STARTTLS
	raw      string // the command being served, as it came, without CRLF
	line     string // the same as go-smtp is given it
	started  time.Time
	got      int64 // bytes of this body, for the minimum rate
	commands int   // since the last message
	closed   sync.Once
	idle     atomic.Bool  // waiting for a command to begin
	sized    atomic.Int64 // the last chunk announced
	accepted atomic.Bool  // a message was, since the last command
	last     atomic.Bool  // the reply to come is the last one

	mu      sync.Mutex // guards what follows: Close may come from another goroutine
	out     []byte     // replies not yet sent
	swallow int        // replies to a command of ours, not the client's
	errors  int        // 5xx replies
	log     transcript
	rcpts   int      // recipients of the message under way
	bodyDue bool     // the next reply is for a message
	final   []string // LMTP: that reply, one for each recipient
}

func newGate(c net.Conn, s *Server, ip string) *gate {
	return &gate{Conn: c, tcp: c, srv: s, ip: ip, id: s.opts.NewID()}
}

// Close sends what is due and closes the connection.
func (g *gate) Close() error {
	err := net.ErrClosed
	g.closed.Do(func() {
		g.last.Store(true) // commands pipelined after QUIT are not run
		_ = g.flush()
		g.mu.Lock()
		conn := g.Conn
		g.mu.Unlock()
		err = conn.Close()
		g.srv.release(g)
	})
	return err
}

// drop closes the connection without sending what is due.
func (g *gate) drop() {
	g.last.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.tcp.Close()
}

// wake ends the wait for a next command, if the gate is in one.
func (g *gate) wake() {
	if g.idle.Load() {
		_ = g.tcp.SetReadDeadline(time.Unix(1, 0))
	}
}

// Read implements io.Reader for go-smtp.
func (g *gate) Read(p []byte) (int, error) {
	if g.shake {
		g.shake = false
		if err := g.handshake(); err != nil {
			g.closing = true
			return 0, err
		}
	}
	for {
		switch {
		case len(g.feed) > 0:
			n := copy(p, g.feed)
			g.feed = g.feed[n:]
			return n, nil
		case g.closing || g.last.Load():
			g.closing = true
			return 0, io.EOF
		case g.chunk > 0:
			return g.readChunk(p)
		case g.data:
			// Nobody read the body: the session failed before it came to that.
			g.closing = true
			return 0, io.ErrUnexpectedEOF
		}
		line, err := g.readLine()
		if err != nil {
			g.closing = true
			return 0, err
		}
		if g.command(line) {
			g.feed = append(g.feed[:0:0], g.line...)
			g.feed = append(g.feed, '\r', '\n')
		}
	}
}

// readLine returns the next line without its CRLF. A line that the client
// never finished is not returned.
func (g *gate) readLine() (string, error) {
	g.started = time.Time{}
	for scanned := g.r; ; {
		if i := bytes.IndexByte(g.in[scanned:g.w], '\n'); i >= 0 {
			line := g.in[g.r : scanned+i]
			g.r = scanned + i + 1
			if !bytes.HasSuffix(line, []byte("\r")) {
				return "", g.refuse("500 5.5.2 a command line must end in CR LF")
			}
			return string(line[:len(line)-1]), nil
		}
		if g.w-g.r > maxCommand {
			return "", g.refuse("500 5.5.2 the command line is too long")
		}
		begun := g.w > g.r
		scanned = g.w - g.r // where g.w will be after fill has moved the bytes to the front
		if err := g.fill(begun); err != nil {
			return "", err
		}
	}
}

// fill reads more of a command line. begun tells that part of it is here.
func (g *gate) fill(begun bool) error {
	if err := g.flush(); err != nil {
		return err
	}
	g.makeRoom()
	var n int
	var err error
	if begun {
		if g.started.IsZero() {
			g.started = time.Now() // the rest must come by CommandTimeout from here
		}
		_ = g.SetReadDeadline(g.started.Add(g.srv.opts.CommandTimeout))
		n, err = g.Conn.Read(g.in[g.w:])
	} else {
		g.idle.Store(true)
		_ = g.SetReadDeadline(time.Now().Add(g.srv.opts.IdleTimeout))
		if g.srv.draining.Load() {
			g.idle.Store(false)
			return g.refuse("421 4.3.2 the server is shutting down")
		}
		n, err = g.Conn.Read(g.in[g.w:])
		g.idle.Store(false)
	}
	g.w += n
	if n > 0 {
		return nil
	}
	var timeout net.Error
	switch {
	case err == nil:
		return io.ErrNoProgress
	case errors.As(err, &timeout) && timeout.Timeout() && g.srv.draining.Load():
		return g.refuse("421 4.3.2 the server is shutting down")
	case errors.As(err, &timeout) && timeout.Timeout():
		return g.refuse("421 4.4.2 waited too long for a command")
	}
	return io.EOF // whatever broke, there is nobody to tell
}

// makeRoom moves what is unread to the front of the buffer and leaves room.
func (g *gate) makeRoom() {
	switch {
	case g.r == g.w && len(g.in) != smallBuffer:
		g.in = make([]byte, smallBuffer) // also lets go of a large one
		g.w = 0
	case g.r > 0:
		g.w = copy(g.in, g.in[g.r:g.w])
	}
	g.r = 0
	if g.w == len(g.in) {
		g.in = append(g.in, make([]byte, len(g.in))...)
	}
}

// refuse answers with reply and ends the session. It returns io.EOF.
func (g *gate) refuse(reply string) error {
	g.closing = true
	g.reply(reply)
	return io.EOF
}

// httpVerbs begin requests that a web page can be made to send anywhere.
var httpVerbs = map[string]bool{
	"GET": true, "POST": true, "PUT": true, "HEAD": true, "DELETE": true, "PATCH": true, "OPTIONS": true, "CONNECT": true, "TRACE": true, "PRI": true,
}

// command decides what becomes of a line. It reports whether g.line is to be
// handed to go-smtp.
func (g *gate) command(line string) bool {
	line = strings.TrimRight(line, " \t") // RFC 5321 section 4.1.1
	g.raw, g.line = line, line
	if g.auth {
		g.auth = false
		g.note('C', "(an answer, not repeated)")
		return true
	}
	if g.accepted.Swap(false) {
		g.commands = 0
		g.mu.Lock()
		g.log.restart()
		g.mu.Unlock()
	}
	g.noteCommand(line)
	if g.commands++; g.commands > g.srv.opts.MaxCommands {
		_ = g.refuse("421 4.7.0 too many commands without a message")
		return false
	}
	verb, arg, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	switch {
	case httpVerbs[verb]:
		_ = g.refuse("502 5.7.0 this is an SMTP server, it does not speak HTTP")
		return false
	case strings.HasPrefix(line, "\x16\x03"):
		_ = g.refuse("502 5.7.0 this port begins in clear text, use STARTTLS")
		return false
	case strings.ContainsFunc(line, isControl):
		return g.fail("500 5.5.2 a command must not hold control characters")
	}
	return g.guard(verb, arg)
}

// guard applies what single commands need.
func (g *gate) guard(verb, arg string) bool {
	switch verb {
	case "HELO", "EHLO", "LHLO":
		if len(arg) > 255 {
			return g.fail("501 5.5.4 the name is longer than 255 characters")
		}
		g.hello = false
		if g.lmtp {
			return g.lmtpHello(verb)
		}
	case "MAIL", "AUTH":
		return g.mayBegin()
	case "STARTTLS":
		return g.startTLS(arg)
	case "RCPT":
		g.line = g.postmaster(g.line)
	case "DATA":
		if g.w > g.r {
			_ = g.refuse("554 5.5.0 wait for the reply to DATA before the message (RFC 2920)")
			return false
		}
	case "BDAT":
		return g.beginChunk(arg)
	case "HELP":
		g.reply("214 2.0.0 this is a sink for tests: it stores mail and delivers none; RFC 5321 tells the commands")
		return false
	default:
		if !verbs[verb] {
			return g.fail("500 5.5.2 there is no such command") // it may be a password gone astray: not repeated
		}
	}
	return true
}

// mayBegin guards the commands with which a client's business begins.
func (g *gate) mayBegin() bool {
	switch {
	case g.hello:
		return g.fail("503 5.5.1 say EHLO again after STARTTLS")
	case g.srv.opts.RequireTLS && !g.tls:
		return g.fail("530 5.7.0 say STARTTLS first")
	}
	return true
}

// beginChunk prepares for the bytes after BDAT.
func (g *gate) beginChunk(arg string) bool {
	n, last, ok := chunkSize(arg)
	if !ok {
		// Where the chunk ends is unknown, and so where the next command begins.
		_ = g.refuse("501 5.5.4 BDAT needs a size and may have LAST (RFC 3030)")
		return false
	}
	g.chunk, g.started, g.got = n, time.Now(), 0
	g.sized.Store(n)
	g.mu.Lock()
	g.bodyDue = last
	g.mu.Unlock()
	return true
}

// fail answers a command itself, counting the error.
func (g *gate) fail(reply string) bool {
	g.reply(reply)
	g.countError()
	return false
}

func (g *gate) countError() {
	g.mu.Lock()
	g.errors++
	over := g.errors >= g.srv.opts.MaxErrors
	g.mu.Unlock()
	if over && !g.closing {
		_ = g.refuse("421 4.7.0 too many errors")
	}
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// chunkSize reads the argument of BDAT.
func chunkSize(arg string) (n int64, last, ok bool) {
	f := strings.Fields(arg)
	if len(f) == 0 || len(f) > 2 || len(f) == 2 && !strings.EqualFold(f[1], "LAST") {
		return 0, false, false
	}
	size, err := strconv.ParseUint(f[0], 10, 32)
	return int64(size), len(f) == 2, err == nil
}

// postmaster gives the bare <postmaster>, which every server must accept (RFC
// 5321 section 4.5.1), the domain without which go-smtp does not take it. The
// session looks at the line as it came.
func (g *gate) postmaster(line string) string {
	const bare = "<postmaster>"
	i := strings.IndexByte(line, '<')
	if i < 0 || len(line) < i+len(bare) || !strings.EqualFold(line[i:i+len(bare)], bare) {
		return line
	}
	at := i + len(bare) - 1
	return line[:at] + "@" + g.srv.opts.Hostname + line[at:]
}

// startTLS serves STARTTLS (RFC 3207), so that the gate stays outside of the
// encryption and go-smtp never sees it.
func (g *gate) startTLS(arg string) bool {
	switch {
	case g.srv.startTLS() == nil:
		return g.fail("502 5.5.1 TLS is not offered here")
	case g.tls:
		return g.fail("503 5.5.1 TLS is already in use")
	case g.authed:
		return g.fail("503 5.5.1 STARTTLS comes before AUTH")
	case strings.TrimSpace(arg) != "":
		return g.fail("501 5.5.4 STARTTLS has no parameters")
	case g.w > g.r:
		_ = g.refuse("501 5.5.4 nothing may follow STARTTLS before the handshake")
		return false
	}
	g.reply("220 2.0.0 ready to start TLS")
	if g.flush() != nil {
		g.closing = true
		return false
	}
	conn := tls.Server(g.Conn, g.srv.opts.TLSConfig)
	g.mu.Lock()
	g.Conn = conn
	g.mu.Unlock()
	if g.handshake() != nil {
		g.closing = true
		return false
	}
	// Nothing said in clear text counts any more (RFC 3207 section 4.2).
	g.tls, g.hello, g.line = true, true, "RSET"
	g.mu.Lock()
	g.swallow++
	g.mu.Unlock()
	return true
}

// handshake agrees on the encryption.
func (g *gate) handshake() error {
	ctx, cancel := context.WithTimeout(g.srv.ctx, g.srv.opts.CommandTimeout)
	defer cancel()
	_ = g.tcp.SetDeadline(time.Time{})
	conn := g.Conn.(*tls.Conn)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	state := conn.ConnectionState()
	g.note('S', "("+tls.VersionName(state.Version)+", "+tls.CipherSuiteName(state.CipherSuite)+")")
	return nil
}
