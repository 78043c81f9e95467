package smtpout

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"invited/mail"
)

// conn is one connection to the relay, greeted and ready for messages.
type conn struct {
	pool   *Pool
	opened time.Time
	nc     net.Conn // replaced by the TLS connection before the first message
	r      replyReader
	w      []byte // what is written next; kept to be used again
	caps   caps
	tls    bool

	cause atomic.Pointer[error] // why the connection is of no more use

	// The turn to write, and those who hold it in order (see deliver).
	write   chan struct{}
	last    chan struct{} // closed once the newest message so far has its replies
	carried int           // messages begun so far
	dirty   bool          // the last transaction may still be open at the relay
	bye     atomic.Bool   // the relay said 421: it takes nothing any more

	// Of the pool, under its lock.
	inflight, taken int
	probing         bool // one Send is looking whether it is alive
	used            time.Time
	timer           *time.Timer
}

// caps is what the relay offered in its reply to EHLO.
type caps struct {
	pipelining, chunking, eightBit, utf8, startTLS, requireTLS bool

	size bool  // takes the SIZE parameter (RFC 1870)
	max  int64 // largest message; 0 means no limit was named
	auth []string
}

// parseCaps reads the lines after the first of a reply to EHLO.
func parseCaps(text string) caps {
	var c caps
	lines := strings.Split(text, "\n")
	for _, l := range lines[1:] {
		f := strings.Fields(strings.ToUpper(l))
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "PIPELINING":
			c.pipelining = true
		case "CHUNKING":
			c.chunking = true
		case "8BITMIME":
			c.eightBit = true
		case "SMTPUTF8":
			c.utf8 = true
		case "STARTTLS":
			c.startTLS = true
		case "REQUIRETLS":
			c.requireTLS = true
		case "SIZE":
			c.size = true
			if len(f) > 1 {
				c.max, _ = strconv.ParseInt(f[1], 10, 64)
			}
		case "AUTH":
			c.auth = f[1:]
		}
	}
	return c
}

// chunks reports whether messages go out with BDAT.
func (c *conn) chunks() bool {
	return c.caps.chunking && !c.pool.opts.NoChunking && !c.pool.noChunking.Load()
}

// stackable reports whether a message may be written before the one ahead of it
// has its replies. With DATA that gains little and can cost much: a relay that
// did not switch off Nagle's algorithm holds back the replies to the envelope
// until we acknowledge the reply to the dot, and with nothing to write
// meanwhile, our end takes 40 ms for that (measured with smtp-sink).
func (c *conn) stackable() bool { return c.caps.pipelining && c.chunks() }

// fail closes the connection; err is what those who still use it are told. Only
// the first cause counts.
func (c *conn) fail(err error) {
	if c.cause.CompareAndSwap(nil, &err) {
		_ = c.nc.Close()
	}
}

func (c *conn) broken() bool { return c.cause.Load() != nil }

// quit takes leave, without waiting for the answer.
func (c *conn) quit() {
	if !c.broken() {
		_ = c.nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.nc.Write([]byte("QUIT\r\n"))
		c.fail(errClosed)
	}
}

// read returns the next reply, which must come within d.
func (c *conn) read(d time.Duration) (reply, error) {
	err := c.nc.SetReadDeadline(time.Now().Add(d))
	if err == nil {
		var r reply
		if r, err = c.r.read(); err == nil {
			return r, nil
		}
	}
	c.fail(err)
	return reply{}, *c.cause.Load()
}

// send writes b within d.
func (c *conn) send(b []byte, d time.Duration) error {
	err := c.nc.SetWriteDeadline(time.Now().Add(d))
	if err == nil {
		_, err = c.nc.Write(b)
	}
	return err
}

// command writes one line and returns its reply.
func (c *conn) command(line string, d time.Duration) (reply, error) {
	if err := c.send([]byte(line+"\r\n"), d); err != nil {
		c.fail(err)
		return reply{}, err
	}
	return c.read(d)
}

// alive reports whether an idle connection is still open and silent. Anything
// that came in meanwhile is a farewell.
func (c *conn) alive() bool {
	if c.broken() || c.r.br.Buffered() > 0 {
		return false
	}
	if c.nc.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	if gone, known := peek(c.nc); known {
		return !gone
	}
	if time.Since(c.used) < probeAfter {
		return true
	}
	if c.nc.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return false
	}
	_, err := c.r.br.Peek(1)
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// probeAfter is how long a connection may lie idle before a millisecond is spent
// on looking, where the operating system cannot be asked.
const probeAfter = 20 * time.Millisecond

// connect opens a connection and leads it to where MAIL may be sent; nil and
// the failed attempt if the relay does not want it.
func (p *Pool) connect(ctx context.Context) (*conn, mail.Attempt) {
	dialCtx, cancel := context.WithTimeout(ctx, p.opts.Timeouts.Connect)
	nc, err := p.opts.Dial(dialCtx, "tcp", p.relay.addr)
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, failure(mail.StageConnect, err)
	}
	c := &conn{pool: p, opened: time.Now(), nc: nc, write: make(chan struct{}, 1), last: make(chan struct{})}
	close(c.last)
	c.timer = time.AfterFunc(time.Hour, func() { p.expire(c) })
	c.timer.Stop()
	c.r.br = bufio.NewReader(nc)
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	a, ok := c.open()
	if !stop() && ok {
		a, ok = failure(mail.StageConnect, context.Cause(ctx)), false
	}
	if !ok {
		c.fail(errClosed)
		return nil, a
	}
	return c, mail.Attempt{}
}

// open leads a new connection through greeting, TLS, EHLO and AUTH.
func (c *conn) open() (mail.Attempt, bool) {
	p := c.pool
	if p.relay.tls {
		if err := c.handshake(); err != nil {
			return failure(mail.StageTLS, err), false
		}
	}
	if r, err := c.read(p.opts.Timeouts.Greeting); err != nil {
		return failure(mail.StageGreeting, err), false
	} else if r.code != 220 {
		return refusal(mail.StageGreeting, r), false
	}
	if a, ok := c.hello(); !ok {
		return a, false
	}
	if !p.relay.tls && p.opts.StartTLS == StartTLSRequired {
		if a, ok := c.startTLS(); !ok {
			return a, false
		}
	}
	if p.opts.RequireTLS && !c.caps.requireTLS {
		return failure(mail.StageTLS, errNoRequireTLS), false
	}
	if p.relay.user != "" {
		return c.auth()
	}
	return mail.Attempt{}, true
}

// refusal is answer for a stage at which a positive reply of the wrong kind is
// as bad as none.
func refusal(stage mail.Stage, r reply) mail.Attempt {
	if r.code < 400 {
		return failure(stage, &garbageError{line: strconv.Itoa(r.code) + " " + clean(r.text, 80)})
	}
	return answer(stage, r)
}

// hello says EHLO, or HELO to a relay that does not know EHLO.
func (c *conn) hello() (mail.Attempt, bool) {
	d := c.pool.opts.Timeouts.Hello
	name := c.pool.opts.Hello
	if name == "" {
		name = literal(c.nc.LocalAddr())
	}
	r, err := c.command("EHLO "+name, d)
	if err != nil {
		return failure(mail.StageHello, err), false
	}
	if r.code == 250 {
		c.caps = parseCaps(string(r.text))
		return mail.Attempt{}, true
	}
	if r.code/100 != 5 {
		return refusal(mail.StageHello, r), false
	}
	if r, err = c.command("HELO "+name, d); err != nil {
		return failure(mail.StageHello, err), false
	}
	if r.code != 250 {
		return refusal(mail.StageHello, r), false
	}
	c.caps = caps{}
	return mail.Attempt{}, true
}

// literal is the address literal of our end (RFC 5321 §4.1.3), the name of a
// client that has no name.
func literal(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	switch {
	case !ok:
		return "[127.0.0.1]"
	case tcp.IP.To4() != nil:
		return "[" + tcp.IP.String() + "]"
	default:
		return "[IPv6:" + tcp.IP.String() + "]"
	}
}

// startTLS upgrades the connection.
func (c *conn) startTLS() (mail.Attempt, bool) {
	if !c.caps.startTLS {
		return failure(mail.StageTLS, errNoTLS), false
	}
	r, err := c.command("STARTTLS", c.pool.opts.Timeouts.Hello)
	switch {
	case err != nil:
		return failure(mail.StageTLS, err), false
	case r.code != 220:
		a := refusal(mail.StageTLS, r)
		a.Permanent = false // the relay's state, not the message's
		return a, false
	case c.r.br.Buffered() > 0:
		return failure(mail.StageTLS, errors.New("the relay sent something in clear after it had agreed to TLS")), false
	}
	if err := c.handshake(); err != nil {
		return failure(mail.StageTLS, err), false
	}
	return c.hello()
}

// handshake turns the connection into a TLS connection.
func (c *conn) handshake() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.pool.opts.Timeouts.Greeting)
	defer cancel()
	t := tls.Client(c.nc, c.pool.tlsConfig)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.nc, c.tls = t, true
	c.r.br.Reset(t)
	return nil
}
