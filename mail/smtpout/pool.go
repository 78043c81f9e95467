package smtpout

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"invited/mail"
)

// Pool sends messages to one relay. It is safe for concurrent use; as many
// Sends run at once as the options allow, others wait for their turn.
type Pool struct {
	opts      Options
	relay     relay
	tlsConfig *tls.Config
	rate      *rate.Limiter // nil: none

	noChunking atomic.Bool // the relay offers BDAT but does not know it
	dialled    atomic.Int64
	restarts   atomic.Int64

	mu      sync.Mutex
	closed  bool
	open    map[*conn]struct{} // connections that are up
	slots   int                // len(open) and those being opened
	idle    []*conn            // most recently used last
	waiting []chan struct{}    // oldest first; told that something changed

	refused   mail.Attempt // the relay's answer to our credentials
	refusedAt time.Time    // zero if it has not refused them since it last took them
}

// authPause is how long refused credentials are not tried again. Accounts get
// locked by clients that insist.
const authPause = 10 * time.Second

// errClosed is the outcome of a Send after Close.
var errClosed = errors.New("smtpout: the pool is closed")

// Stats counts what a pool did since it was made.
type Stats struct {
	Open, Idle int   // connections now
	Dialled    int64 // connections tried
	Restarts   int64 // messages begun again because a kept connection was gone
}

// Stats returns the current counts.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Open: len(p.open), Idle: len(p.idle), Dialled: p.dialled.Load(), Restarts: p.restarts.Load()}
}

// get returns a connection to send one message over, which must be put back;
// nil and the failed attempt if there is none to be had. Connections opened
// before since are not good enough.
func (p *Pool) get(ctx context.Context, since time.Time) (*conn, mail.Attempt) {
	for {
		switch c := p.pick(since); {
		case c.err != nil:
			return nil, failure(mail.StageConnect, c.err)
		case c.dial:
			return p.dial(ctx)
		case c.wait != nil:
			select {
			case <-c.wait:
			case <-ctx.Done():
				p.forget(c.wait)
				return nil, failure(mail.StageConnect, context.Cause(ctx))
			}
		case c.behind || p.probe(c.conn):
			return c.conn, mail.Attempt{}
		}
	}
}

// choice is what a Send may do next.
type choice struct {
	conn   *conn         // use it
	behind bool          // it has other messages in flight
	dial   bool          // open one
	wait   chan struct{} // wait, and choose again
	err    error         // give up
}

// pick takes an idle connection, or the right to dial, or a place behind other
// messages, or a place in the queue, in this order.
func (p *Pool) pick(since time.Time) choice {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return choice{err: errClosed}
	}
	n := len(p.idle)
	if n > 0 && !p.idle[n-1].opened.Before(since) {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		c.timer.Stop()
		c.probing, c.inflight, c.taken = true, 1, c.taken+1
		return choice{conn: c}
	}
	if n > 0 && p.slots == p.opts.Conns { // one that is not good enough makes room
		old := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.drop(old)
	}
	if p.slots < p.opts.Conns {
		p.slots++
		return choice{dial: true}
	}
	if c := p.leastBusy(since); c != nil {
		c.inflight++
		c.taken++
		if len(p.waiting) > 0 && p.leastBusy(time.Time{}) != nil {
			p.wake()
		}
		return choice{conn: c, behind: true}
	}
	wait := make(chan struct{}, 1)
	p.waiting = append(p.waiting, wait)
	return choice{wait: wait}
}

// probe reports whether a connection that lay idle is still good, and puts it
// back if not.
func (p *Pool) probe(c *conn) bool {
	alive := c.alive()
	if !alive {
		c.fail(errGone)
	}
	p.mu.Lock()
	c.probing = false
	p.mu.Unlock()
	if !alive {
		p.put(c)
	}
	return alive
}

// leastBusy returns the connection with the fewest messages in flight that
// takes one more and was not opened before since; nil if there is none.
func (p *Pool) leastBusy(since time.Time) *conn {
	var best *conn
	for c := range p.open {
		if c.stackable() && !c.probing && c.inflight > 0 && c.inflight < p.opts.Depth && c.taken < p.opts.MaxMails &&
			!c.opened.Before(since) && !c.broken() && (best == nil || c.inflight < best.inflight) {
			best = c
		}
	}
	return best
}

// dial opens a connection in the slot that pick reserved.
func (p *Pool) dial(ctx context.Context) (*conn, mail.Attempt) {
	p.mu.Lock()
	refused, at := p.refused, p.refusedAt
	p.mu.Unlock()
	if !at.IsZero() && time.Since(at) < authPause {
		p.release(nil)
		return nil, refused
	}
	p.dialled.Add(1)
	c, a := p.connect(ctx)
	if c == nil {
		p.release(&a)
		return nil, a
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed { // while we were dialling
		p.slots--
		p.wake()
		c.quit()
		return nil, failure(mail.StageConnect, errClosed)
	}
	p.refusedAt = time.Time{}
	p.open[c] = struct{}{}
	c.inflight, c.taken = 1, 1
	if c.stackable() && p.opts.Depth > 1 {
		p.wake() // somebody may queue behind us
	}
	return c, mail.Attempt{}
}

// release gives back a reserved slot after a failed try to connect.
func (p *Pool) release(a *mail.Attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots--
	if a != nil && credentials(*a) {
		p.refused, p.refusedAt = *a, time.Now()
	}
	p.wake()
}

// put gives back a connection from get.
func (p *Pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.inflight--
	if c.inflight == 0 {
		if p.closed || c.broken() || c.taken >= p.opts.MaxMails {
			p.drop(c)
		} else {
			p.idle = append(p.idle, c)
			c.used = time.Now()
			c.timer.Reset(p.opts.Idle)
		}
	}
	p.wake()
}

// drop closes an unused connection. The caller holds p.mu.
func (p *Pool) drop(c *conn) {
	c.timer.Stop()
	delete(p.open, c)
	p.slots--
	c.quit()
}

// expire closes c if it is still idle; its timer calls it.
func (p *Pool) expire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.idle {
		if other == c {
			p.idle = append(p.idle[:i:i], p.idle[i+1:]...)
			p.drop(c)
			p.wake()
			return
		}
	}
}

// wake tells the oldest waiting Send to look again, all of them once the pool is
// closed. The caller holds p.mu.
func (p *Pool) wake() {
	for len(p.waiting) > 0 {
		p.waiting[0] <- struct{}{}
		p.waiting = p.waiting[1:]
		if !p.closed {
			return
		}
	}
}

// forget takes a Send that gave up out of the queue, and passes on what it was
// told in the meantime.
func (p *Pool) forget(wait chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, w := range p.waiting {
		if w == wait {
			p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
			return
		}
	}
	p.wake()
}

// Drain refuses new messages, waits until those in flight have their outcome or
// ctx ends, and closes all connections.
func (p *Pool) Drain(ctx context.Context) error {
	p.refuse()
	defer p.Close()
	for {
		p.mu.Lock()
		if p.slots == 0 {
			p.mu.Unlock()
			return nil
		}
		wait := make(chan struct{}, 1)
		p.waiting = append(p.waiting, wait)
		p.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			p.forget(wait)
			return ctx.Err()
		}
	}
}

// Close closes all connections at once. Messages in flight end as if the
// network had failed.
func (p *Pool) Close() error {
	p.refuse()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.fail(errClosed)
	}
	return nil
}

// refuse turns away new messages, sends waiting ones home and closes idle
// connections.
func (p *Pool) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		p.drop(c)
	}
	p.idle = nil
	p.wake()
}
