package invite

import (
	"context"
	"errors"
	"sync"
	"time"

	"invited/server/directory"
)

// maxViewed bounds how many links the buffer counts between two flushes. Views
// of further links are lost: they are evidence, not a promise.
const maxViewed = 10_000

// A viewKey is one link's invitation.
type viewKey struct {
	tenant directory.TenantID
	id     ID
}

// A viewBuffer counts views until they are stored, so that looking at a link
// costs no write. The zero value is ready for use.
type viewBuffer struct {
	mu     sync.Mutex
	counts map[viewKey]Views
}

// add counts v.
func (b *viewBuffer) add(k viewKey, v Views) {
	b.mu.Lock()
	defer b.mu.Unlock()
	have, known := b.counts[k]
	if !known && len(b.counts) >= maxViewed {
		return
	}
	if b.counts == nil {
		b.counts = map[viewKey]Views{}
	}
	b.counts[k] = have.plus(v)
}

// peek returns what waits for k.
func (b *viewBuffer) peek(k viewKey) Views {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[k]
}

// take empties the buffer.
func (b *viewBuffer) take() map[viewKey]Views {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := b.counts
	b.counts = nil
	return counts
}

// plus returns the sum of two counts.
func (v Views) plus(w Views) Views {
	sum := Views{Count: v.Count + w.Count, Automated: v.Automated + w.Automated, First: v.First, Last: v.Last}
	if sum.First.IsZero() || !w.First.IsZero() && w.First.Before(sum.First) {
		sum.First = w.First
	}
	if w.Last.After(sum.Last) {
		sum.Last = w.Last
	}
	return sum
}

// Viewed counts that a link was opened; automated says that it does not look
// like a person. It returns at once and writes nothing: [Service.Run] does,
// every second.
func (s *Service) Viewed(c Claims, automated bool) {
	now := s.now()
	v := Views{First: now, Last: now}
	if automated {
		v.Automated = 1
	} else {
		v.Count = 1
	}
	s.views.add(viewKey{c.Tenant, c.Invitation}, v)
}

// flushViews stores what was counted. What cannot be stored now is kept.
func (s *Service) flushViews(ctx context.Context) {
	for k, v := range s.views.take() {
		err := s.store.AddViews(ctx, k.tenant, k.id, v)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			s.views.add(k, v)
		}
	}
}

// viewsOf returns the views of an invitation, those not stored yet included.
func (s *Service) viewsOf(ctx context.Context, inv Invitation) (Views, error) {
	stored, err := s.store.Views(ctx, inv.Tenant, inv.ID)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return Views{}, err
	}
	return stored.plus(s.views.peek(viewKey{inv.Tenant, inv.ID})), nil
}

// flushEvery is how often views are stored.
const flushEvery = time.Second

// Run does what needs no caller: it stores views and failed links and answers requests for new
// links, until ctx ends. It returns nil after a last flush.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	s.recallFailures(ctx)
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			s.flushViews(last)
			s.flushFailures(last)
			return nil
		case <-tick.C:
			s.flushViews(ctx)
			s.flushFailures(ctx)
		case w := <-s.wanted:
			// Whoever asked got their answer; a stranger's request fails
			// here, and nobody is to learn which ones do.
			_ = s.sendWanted(ctx, w)
		}
	}
}
