package smtpd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

var (
	errTooLarge    = errors.New("smtpd: message is too large")
	errLineTooLong = errors.New("smtpd: line is too long")

	dotEnd   = []byte("\r\n.\r\n")
	stuffed  = []byte("\r\n.")
	dotFirst = []byte(".\r\n") // a body that is empty
)

const (
	firstRead = 24 << 10 // most invitations fit
	readStep  = 32 << 10
)

// readData reads a body up to CRLF.CRLF and no further, and removes the dots
// that were stuffed (RFC 5321 section 4.5.2). Nothing else ends it: neither
// LF.CRLF nor CR.CR nor any other look-alike. Line ends are kept as they came.
//
// A body over a limit is read to its end and then refused. Any other error
// leaves the connection unusable, and the gate closes it.
func (g *gate) readData(hint int64) ([]byte, error) {
	body, err := g.readStuffed(hint)
	g.data = false
	if err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, errLineTooLong) {
		g.closing = true
		return nil, err
	}
	g.feed = append(g.feed[:0], dotFirst...) // go-smtp waits for the end, too
	if err != nil {
		return nil, err
	}
	body = unstuff(body)
	g.note('C', fmt.Sprintf("(%d bytes of message)", len(body)))
	return body, nil
}

// readStuffed reads up to the end and returns the body before it.
func (g *gate) readStuffed(hint int64) ([]byte, error) {
	// What came along with the last command; nothing, unless go-smtp has let
	// the client speak early.
	limit := int(g.srv.opts.MaxMessageBytes)
	size := firstRead
	if hint > 0 && hint <= 1<<20 {
		size = int(hint) + int(hint)/64 + 1024
	}
	b := make([]byte, g.w-g.r, max(size, g.w-g.r+1))
	copy(b, g.in[g.r:g.w])
	g.r, g.w = 0, 0
	lines := lineMeter{max: g.srv.opts.MaxLineLength}
	lines.count(b)
	var fault error
	for scanned := 0; ; {
		if end, next := findEnd(b, scanned, fault == nil); end >= 0 {
			g.unread(b[next:])
			if lines.over {
				return nil, errLineTooLong
			}
			if fault == nil && end > limit && end-dots(b[:end]) > limit {
				fault = errTooLarge
			}
			return b[:end:end], fault
		}
		// At most every fourth byte is a stuffed dot.
		if fault == nil && len(b) > limit/3*4+1024 {
			fault = errTooLarge
		}
		if fault != nil {
			b = append(b[:0], b[len(b)-min(len(b), len(dotEnd)-1):]...)
		}
		scanned = max(0, len(b)-len(dotEnd)+1)
		if cap(b)-len(b) < 512 {
			b = slices.Grow(b, readStep)
		}
		n, err := g.readBody(b[len(b):min(cap(b), len(b)+2*readStep)])
		lines.count(b[len(b) : len(b)+n])
		b = b[:len(b)+n]
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// dots counts the stuffed ones.
func dots(b []byte) int {
	n := bytes.Count(b, stuffed)
	if len(b) > 0 && b[0] == '.' {
		n++
	}
	return n
}

// findEnd returns where the body ends and where the next command begins, or
// -1. whole tells that b begins where the body does.
func findEnd(b []byte, scanned int, whole bool) (end, next int) {
	if whole && scanned == 0 && bytes.HasPrefix(b, dotFirst) {
		return 0, len(dotFirst)
	}
	i := bytes.Index(b[scanned:], dotEnd)
	if i < 0 {
		return -1, -1
	}
	return scanned + i + 2, scanned + i + len(dotEnd)
}

// unstuff removes the first dot of each line that begins with one, in place.
func unstuff(b []byte) []byte {
	if len(b) > 0 && b[0] == '.' {
		b = b[1:]
	}
	i := bytes.Index(b, stuffed)
	if i < 0 {
		return b
	}
	out := b[:i+2]
	rest := b[i+3:]
	for {
		// rest is the line after the dot: it must not be looked at for a line
		// beginning of its own, since its CRLF is already in out.
		i = bytes.Index(rest, stuffed)
		if i < 0 {
			return append(out, rest...)
		}
		out = append(out, rest[:i+2]...)
		rest = rest[i+3:]
	}
}

// lineMeter notices a line that is too long.
type lineMeter struct {
	max, now int
	over     bool
}

func (m *lineMeter) count(b []byte) {
	for !m.over && len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			m.now += len(b)
			m.over = m.now > m.max+1
			return
		}
		m.over = m.now+i > m.max+1 // with CR
		m.now = 0
		b = b[i+1:]
	}
}

// unread keeps bytes for the commands after the body.
func (g *gate) unread(b []byte) {
	if len(b) == 0 {
		return
	}
	if len(g.in) < len(b) {
		g.in = make([]byte, len(b))
	}
	g.r, g.w = 0, copy(g.in, b)
}

// readBody reads bytes of a body, for as long as the client keeps up the
// minimum rate.
func (g *gate) readBody(p []byte) (int, error) {
	if err := g.flush(); err != nil {
		return 0, err
	}
	o := &g.srv.opts
	allowed := o.CommandTimeout + time.Duration(float64(g.got)/float64(o.MinDataRate)*float64(time.Second))
	_ = g.SetReadDeadline(g.started.Add(min(allowed, o.DataTimeout)))
	n, err := g.Conn.Read(p)
	g.got += int64(n)
	if n > 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

// readChunk reads bytes of a BDAT chunk. go-smtp takes a clean end of input
// for the end of the chunk, so a connection that breaks here must say so.
func (g *gate) readChunk(p []byte) (int, error) {
	if int64(len(p)) > g.chunk {
		p = p[:g.chunk]
	}
	if g.w > g.r {
		n := copy(p, g.in[g.r:g.w])
		g.r += n
		g.got += int64(n)
		g.chunk -= int64(n)
		return n, nil
	}
	n, err := g.readBody(p)
	g.chunk -= int64(n)
	if err != nil {
		g.closing, g.chunk = true, 0
		return 0, brokenBody(err)
	}
	return n, nil
}
