package smtpout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"invited/mail"
)

// trip is one message on its way through a connection.
type trip struct {
	letter
	kept  bool // the connection carried a message before
	reset bool // RSET goes first: the transaction before may still be open

	stage    mail.Stage    // whose reply was read last, or is awaited
	heard    bool          // a reply to one of our commands has come
	complete bool          // the last byte of the message was written
	refused  *mail.Attempt // the first negative reply
	done     *mail.Attempt // the positive reply to the end of the message
	err      error         // why the connection ended first
	noBDAT   bool          // the relay offered CHUNKING but does not know BDAT
}

// deliver sends l and reports how far it got; again says that the relay cannot
// have taken anything of it and that it was the connection's age that was to
// blame, so that it may be sent at once over another one.
//
// Several calls may be under way on one connection. The turn to write is
// handed on as soon as the message is out; the replies are read in the order of
// writing: everyone waits for the channel that the one before closes.
func (c *conn) deliver(ctx context.Context, l letter) (a mail.Attempt, again bool) {
	if a, ok := c.unfit(l); !ok {
		return a, false
	}
	select {
	case c.write <- struct{}{}:
	case <-ctx.Done():
		return failure(mail.StageMail, context.Cause(ctx)), false
	}
	if c.broken() {
		<-c.write
		return failure(mail.StageMail, *c.cause.Load()), true
	}
	stop := context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
	defer stop()

	before, after := c.last, make(chan struct{})
	defer close(after)
	c.last = after
	t := &trip{letter: l, kept: c.carried > 0, stage: mail.StageMail}
	c.carried++
	select {
	case <-before:
		t.reset = c.dirty
	default:
		t.reset = true
	}
	switch {
	case c.chunks():
		c.chunked(t, before)
	case c.caps.pipelining:
		c.pipelined(t, before)
	default:
		c.lockStep(t, before)
	}
	c.dirty = t.refused != nil
	return c.outcome(ctx, t)
}

// unfit refuses what the relay has said it cannot take.
func (c *conn) unfit(l letter) (mail.Attempt, bool) {
	switch {
	case l.utf8 && !c.caps.utf8:
		return mail.Attempt{Stage: mail.StageMail, Enhanced: "5.6.7", Permanent: true,
			Text: "an address has letters outside ASCII, and the relay does not offer SMTPUTF8"}, false
	case c.caps.max > 0 && int64(len(l.body)) > c.caps.max:
		return mail.Attempt{Stage: mail.StageMail, Enhanced: "5.3.4", Permanent: true,
			Text: fmt.Sprintf("the message has %d bytes, the relay takes %d", len(l.body), c.caps.max)}, false
	}
	return mail.Attempt{}, true
}

// mailLine appends RSET if needed and MAIL with its parameters.
func (c *conn) mailLine(b []byte, t *trip) []byte {
	if t.reset {
		b = append(b, "RSET\r\n"...)
	}
	b = append(b, "MAIL FROM:<"...)
	b = append(b, t.from...)
	b = append(b, '>')
	if c.caps.size {
		b = append(b, " SIZE="...)
		b = strconv.AppendInt(b, int64(len(t.body)), 10)
	}
	if t.eightBit && c.caps.eightBit {
		b = append(b, " BODY=8BITMIME"...)
	}
	if t.utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	if c.pool.opts.RequireTLS {
		b = append(b, " REQUIRETLS"...)
	}
	return append(b, crlf...)
}

// rcptLine appends RCPT.
func rcptLine(b []byte, t *trip) []byte {
	b = append(b, "RCPT TO:<"...)
	b = append(b, t.to...)
	return append(b, ">\r\n"...)
}

// chunked sends envelope and message in one go (RFC 3030 §4.2), or the
// envelope in lock-step before it to a relay without PIPELINING.
func (c *conn) chunked(t *trip, before chan struct{}) {
	if !c.caps.pipelining {
		<-before
		if !c.envelopeInSteps(t) {
			<-c.write
			return
		}
		c.w = c.w[:0]
	} else {
		c.w = rcptLine(c.mailLine(c.w[:0], t), t)
	}
	c.w = append(c.w, "BDAT "...)
	c.w = strconv.AppendInt(c.w, int64(len(t.body)), 10)
	c.w = append(append(c.w, " LAST\r\n"...), t.body...)
	c.put(t, c.pool.opts.Timeouts.Body)
	t.complete = t.err == nil
	<-c.write
	<-before
	if c.caps.pipelining {
		c.envelopeReplies(t)
	}
	c.end(t)
	if a := t.refused; a != nil && a.Stage == mail.StageDot && (a.Code == 500 || a.Code == 502 || a.Code == 504) {
		t.noBDAT = true // and is now reading the message as commands
		c.pool.noChunking.Store(true)
		c.fail(errGone)
	}
}

// pipelined sends the envelope with DATA in one packet (RFC 2920 §3.1), then
// the message.
func (c *conn) pipelined(t *trip, before chan struct{}) {
	c.w = append(rcptLine(c.mailLine(c.w[:0], t), t), "DATA\r\n"...)
	c.put(t, c.pool.opts.Timeouts.Mail)
	<-before
	c.envelopeReplies(t)
	wanted := t.refused == nil
	if c.step(t, mail.StageData) {
		c.data(t, wanted)
	}
	<-c.write
	if t.complete || (!wanted && t.err == nil && t.stage == mail.StageDot) {
		c.end(t)
	}
}

// lockStep sends one command at a time.
func (c *conn) lockStep(t *trip, before chan struct{}) {
	defer func() { <-c.write }()
	<-before
	if !c.envelopeInSteps(t) {
		return
	}
	c.w = append(c.w[:0], "DATA\r\n"...)
	c.put(t, c.pool.opts.Timeouts.Data)
	if c.step(t, mail.StageData) {
		c.data(t, true)
		if t.complete {
			c.end(t)
		}
	}
}

// envelopeInSteps sends RSET, MAIL and RCPT one by one and reports whether the
// message may follow.
func (c *conn) envelopeInSteps(t *trip) bool {
	if t.reset {
		c.w = append(c.w[:0], "RSET\r\n"...)
		c.put(t, c.pool.opts.Timeouts.Mail)
		c.resetReply(t)
		t.reset = false
	}
	c.w = c.mailLine(c.w[:0], t)
	c.put(t, c.pool.opts.Timeouts.Mail)
	if !c.step(t, mail.StageMail) {
		return false
	}
	c.w = rcptLine(c.w[:0], t)
	c.put(t, c.pool.opts.Timeouts.Rcpt)
	return c.step(t, mail.StageRcpt)
}

// envelopeReplies reads the replies to RSET, MAIL and RCPT.
func (c *conn) envelopeReplies(t *trip) {
	if t.reset {
		c.resetReply(t)
	}
	c.step(t, mail.StageMail)
	c.step(t, mail.StageRcpt)
}

// put writes c.w; the error stays in t, and the replies that are already under
// way are read all the same: they say more than "broken pipe".
func (c *conn) put(t *trip, d time.Duration) {
	if t.err != nil {
		return
	}
	if err := c.send(c.w, d); err != nil {
		t.err = err
	}
	if cap(c.w) > 1<<20 { // one large mail does not pin its size
		c.w = nil
	}
}

// data sends the message after 354. If no recipient was accepted, the relay
// should not have asked; it gets an empty one (RFC 2920 §3.1).
func (c *conn) data(t *trip, wanted bool) {
	if !wanted {
		c.w = append(c.w[:0], ".\r\n"...)
	} else {
		c.w = appendStuffed(c.w[:0], t.body)
	}
	c.put(t, c.pool.opts.Timeouts.Body)
	t.stage = mail.StageDot
	t.complete = wanted && t.err == nil
	if t.err != nil {
		c.end(t)
	}
}

// resetReply reads the reply to RSET.
func (c *conn) resetReply(t *trip) {
	r, ok := c.next(t, c.pool.opts.Timeouts.Mail)
	if ok && !r.ok() {
		t.err = &garbageError{line: strconv.Itoa(r.code) + " (in reply to RSET)"}
		if r.code == 421 {
			c.bye.Store(true)
			t.err = errGone
		}
		c.fail(t.err)
	}
}

// step reads the reply to one command and reports whether the relay says go on.
func (c *conn) step(t *trip, s mail.Stage) bool {
	if t.refused == nil && c.hasFuture(t) {
		t.stage = s
	}
	r, ok := c.next(t, c.timeout(s))
	if !ok {
		return false
	}
	t.heard = true
	if want := s == mail.StageData; r.code/100 == 3 && want || r.ok() && !want {
		return true
	}
	c.refuse(t, s, r)
	return false
}

// end reads the reply to the end of the message.
func (c *conn) end(t *trip) {
	if t.refused == nil && c.hasFuture(t) {
		t.stage = mail.StageDot
	}
	r, ok := c.next(t, c.pool.opts.Timeouts.Dot)
	switch {
	case !ok:
	case !r.ok():
		c.refuse(t, mail.StageDot, r)
	case t.refused == nil && t.complete:
		a := answer(mail.StageDot, r)
		t.done = &a
	}
}

// hasFuture reports whether a reply may still come.
func (c *conn) hasFuture(t *trip) bool { return t.err == nil || !c.broken() }

// refuse notes a negative reply; the first one decides.
func (c *conn) refuse(t *trip, s mail.Stage, r reply) {
	if r.code < 400 {
		err := &garbageError{line: strconv.Itoa(r.code) + " " + clean(r.text, 80)}
		if t.err == nil {
			t.err = err
		}
		c.fail(err)
		return
	}
	if t.refused == nil {
		a := answer(s, r)
		t.refused = &a
	}
	if r.code == 421 {
		c.bye.Store(true)
		c.fail(errGone)
	}
}

// next reads one reply. After a failed write the relay has a second left to say
// why.
func (c *conn) next(t *trip, d time.Duration) (reply, bool) {
	if c.broken() {
		if t.err == nil {
			t.err = *c.cause.Load()
		}
		return reply{}, false
	}
	if t.err != nil {
		d = min(d, time.Second)
	}
	r, err := c.read(d)
	if err != nil && t.err == nil {
		t.err = err
	}
	return r, err == nil
}

// timeout returns how long the reply of a stage may take.
func (c *conn) timeout(s mail.Stage) time.Duration {
	switch s {
	case mail.StageRcpt:
		return c.pool.opts.Timeouts.Rcpt
	case mail.StageData:
		return c.pool.opts.Timeouts.Data
	default:
		return c.pool.opts.Timeouts.Mail
	}
}

// outcome words what became of t, and closes the connection if it ended badly.
func (c *conn) outcome(ctx context.Context, t *trip) (a mail.Attempt, again bool) {
	if t.err != nil {
		c.fail(t.err)
	}
	switch {
	case t.done != nil:
		return *t.done, false
	case t.refused != nil:
		farewell := t.refused.Code == 421 && t.refused.Stage == mail.StageMail && t.kept
		return *t.refused, farewell || t.noBDAT
	}
	a = failure(t.stage, t.err)
	a.Ambiguous = t.complete && !c.bye.Load()
	return a, !a.Ambiguous && t.kept && !t.heard && ctx.Err() == nil && !timedOut(t.err)
}

// timedOut reports whether err is a relay that kept us waiting, which another
// connection will not help.
func timedOut(err error) bool {
	var e interface{ Timeout() bool }
	return errors.As(err, &e) && e.Timeout()
}
