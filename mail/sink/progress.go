package sink

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"invited/mail/sink/spool"
)

// progress is how far indexing got, for those who wait for it.
type progress struct {
	mu      sync.Mutex
	key     int64         // newest message that is indexed or never will be
	changed chan struct{} // closed and replaced at each step
	waiters atomic.Int64
}

// set moves on to key, if it is further on.
func (p *progress) set(key int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if key <= p.key {
		return
	}
	p.key = key
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *progress) get() (key int64, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.key, p.changed
}

// reach waits until the message with the key is indexed, and keeps the worker
// from resting.
func (s *Sink) reach(ctx context.Context, key int64) error {
	s.progress.waiters.Add(1)
	defer s.progress.waiters.Add(-1)
	if at, _ := s.progress.get(); at < key {
		signal(s.urgent)
	}
	return s.follow(ctx, key)
}

// follow waits until the message with the key is indexed.
func (s *Sink) follow(ctx context.Context, key int64) error {
	for {
		at, changed := s.progress.get()
		if at >= key {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopped:
			return ErrClosed
		}
	}
}

// What reads wait for what was received before them.
const (
	settleTime    = 250 * time.Millisecond
	settleBacklog = 64 // messages; the worker does not rest before busyBacklog
)

// settle lets a read see what was received before it. In a burst, when much is
// still to be indexed, it does not wait: reads answer from what there is.
func (s *Sink) settle(ctx context.Context) error {
	_, last := s.spool.End()
	if at, _ := s.progress.get(); at >= last.Key() || s.received.Load()-s.examined.Load() > settleBacklog {
		return ctx.Err()
	}
	short, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := s.follow(short, last.Key()); err != nil && short.Err() == nil {
		return err
	}
	return ctx.Err()
}

// Indexed waits until the message is parsed, judged and listed. A message that
// was deleted before it was listed counts as indexed.
func (s *Sink) Indexed(ctx context.Context, id string) error {
	key, err := s.key(id)
	if err != nil {
		return err
	}
	return s.reach(ctx, key)
}

// key returns the sort key of an id that was given out.
func (s *Sink) key(id string) (int64, error) {
	parsed, err := spool.ParseID(id)
	if err != nil {
		return 0, ErrNotFound
	}
	if _, last := s.spool.End(); parsed.Key() > last.Key() {
		return 0, ErrNotFound
	}
	return parsed.Key(), nil
}

// keys leaves out ids that are none: they name no message.
func (s *Sink) keys(ids []string) []int64 {
	keys := make([]int64, 0, len(ids))
	for _, id := range ids {
		if parsed, err := spool.ParseID(id); err == nil {
			keys = append(keys, parsed.Key())
		}
	}
	return keys
}
