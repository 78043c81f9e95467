package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"invited/mail/sink/index"
	"invited/mail/sink/spool"
)

// Batches of the worker. While messages arrive faster than they can be indexed
// and nobody waits for one, the worker rests between batches, so that receiving
// has the processors.
const (
	batchMessages = 256
	batchTime     = 5 * time.Millisecond // parsing before the first commit
	batchBusy     = 40 * time.Millisecond
	busyBacklog   = 16 // more than a moment's mail: it is a flood, and receiving comes first
	maxRest       = time.Second
	restStep      = 20 * time.Millisecond // nothing arrived for so long: the flood is over
	maxBehind     = 50_000                // messages; further behind the worker does not rest
	retryAfter    = time.Second
	expireBatch   = 256
)

var background = context.Background()

// batch is a stretch of the log on its way into the index.
type batch struct {
	messages []index.Message
	shown    []Captured
	upTo     spool.Position
	last     int64 // key of the last record
}

// work is the worker: it follows the log until the sink closes, then to its
// end.
func (s *Sink) work() {
	defer close(s.stopped)
	pos := spool.Position(s.cleared)
	added := expireBatch // since old mail was deleted
	for {
		begin, received := time.Now(), s.received.Load()
		closing := s.isClosing()
		_, last := s.spool.End()
		b, err := s.gather(pos)
		if err == nil && b.upTo != pos {
			err = s.commit(b)
		}
		switch {
		case err != nil:
			s.opts.Log.Error("captured mail cannot be indexed for now", "err", err)
			if !s.sleep(retryAfter, nil) {
				return
			}
		case b.upTo != pos:
			pos = s.after(b.upTo)
			if added += len(b.messages); added >= expireBatch {
				s.expire()
				added = 0
			}
			if s.received.Load() != received {
				s.rest(time.Since(begin))
			}
		case added > 0: // nothing new
			s.expire()
			added = 0
		case closing:
			return
		default:
			s.progress.set(last.Key())
			s.examined.Store(s.received.Load())
			select {
			case <-s.arrived:
			case <-s.stop:
			}
		}
	}
}

func (s *Sink) isClosing() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// after returns where to go on: behind pos, and behind what was cleared.
func (s *Sink) after(pos spool.Position) spool.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cleared := spool.Position(s.cleared); pos.Before(cleared) {
		return cleared
	}
	return pos
}

// sleep waits; it reports false if the sink closes meanwhile.
func (s *Sink) sleep(d time.Duration, urgent <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-urgent:
	case <-s.stop:
		return false
	}
	return true
}

// rest leaves the processors to receiving for twice as long as the last batch
// took, while messages go on arriving.
func (s *Sink) rest(took time.Duration) {
	for end := time.Now().Add(min(2*took, maxRest)); time.Now().Before(end); {
		received := s.received.Load()
		behind := received - s.examined.Load()
		if behind < busyBacklog || behind > maxBehind || s.progress.waiters.Load() > 0 {
			return
		}
		if !s.sleep(min(restStep, time.Until(end)), s.urgent) || s.received.Load() == received {
			return
		}
	}
}

// gather reads, parses and judges the next messages.
func (s *Sink) gather(from spool.Position) (batch, error) {
	b := batch{upTo: from}
	for begin := time.Now(); len(b.messages) < batchMessages; {
		rec, next, err := s.spool.Next(b.upTo)
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		m, c := s.examine(rec)
		b.messages, b.shown = append(b.messages, m), append(b.shown, c)
		b.upTo, b.last = next, rec.ID.Key()
		s.examined.Add(1)
		limit := batchTime
		if s.received.Load()-s.examined.Load() > busyBacklog && s.progress.waiters.Load() == 0 {
			limit = batchBusy
		}
		if time.Since(begin) > limit {
			break
		}
	}
	return b, nil
}

func (s *Sink) examine(rec spool.Record) (index.Message, Captured) {
	var e Envelope
	if err := json.Unmarshal(rec.Envelope, &e); err != nil {
		return examined(rec, Envelope{}, opinion{problem: fmt.Sprintf("the envelope cannot be read: %v", err)})
	}
	o := s.parser.run(e, rec.Raw)
	if o.problem != "" {
		s.opts.Log.Warn("captured mail is listed raw", "id", rec.ID.String(), "reason", o.problem)
	}
	return examined(rec, e, o)
}

// commit puts a batch into the index and tells of it.
func (s *Sink) commit(b batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.upTo.Before(spool.Position(s.cleared)) {
		return nil // deleted before it was listed
	}
	for len(b.messages) > 0 && spool.Position(b.messages[0].Position).Before(spool.Position(s.cleared)) {
		b.messages, b.shown = b.messages[1:], b.shown[1:]
	}
	if err := s.index.Add(background, b.messages, index.Position(b.upTo)); err != nil {
		return err
	}
	if len(s.subs) > 0 {
		for i := range b.shown {
			s.publish(Event{Type: New, ID: b.shown[i].ID, Message: &b.shown[i]})
		}
	}
	s.progress.set(b.last)
	return nil
}

// expire deletes the oldest messages beyond the limits, and the segments of
// the log that nothing needs any more.
func (s *Sink) expire() {
	for {
		s.mu.Lock()
		deleted, err := s.index.Expire(background, s.opts.MaxMessages, s.opts.MaxBytes, expireBatch)
		if err == nil {
			s.publishDeleted(deleted)
		}
		s.mu.Unlock()
		if err != nil {
			s.opts.Log.Error("old mail cannot be deleted for now", "err", err)
			return
		}
		if len(deleted) > 0 {
			s.free()
		}
		if len(deleted) < expireBatch {
			return
		}
	}
}

// free removes dead segments. A failure costs room on the disk, nothing else.
func (s *Sink) free() {
	segments := s.spool.Segments()
	dead, err := s.index.Dead(background, segments[:len(segments)-1])
	for _, n := range dead {
		if e := s.spool.Remove(n); e != nil && !errors.Is(e, spool.ErrNotFound) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		s.opts.Log.Error("dead segments cannot be removed", "err", err)
	}
}
