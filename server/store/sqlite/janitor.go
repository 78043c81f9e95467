package sqlite

import (
	"context"
	"time"

	"invited/server/directory"
	"invited/server/store/internal/sqlstore"
)

// sweep is how often the janitor looks, and how many bodies it drops in one
// transaction, so that no caller waits for it for long.
const (
	sweepEvery = time.Minute
	sweepRows  = 100
)

// janitor drops the bytes of old mail until ctx ends, and looks after a queue
// that a clock which was set back would freeze.
func (s *Store) janitor(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.run(ctx, sqlstore.PlanCapDue(s.opts.Now())); err != nil && ctx.Err() == nil {
			s.opts.Log.Warn("the queue was not looked after", "op", "sqlite.janitor", "err", err)
		}
		n, err := s.DropBodies(ctx, s.opts.Now().Add(-s.opts.KeepBodies))
		switch {
		case err != nil && ctx.Err() == nil:
			s.opts.Log.Warn("old mail was not dropped", "op", "sqlite.DropBodies", "err", err)
		case n > 0:
			s.opts.Log.Debug("old mail dropped", "op", "sqlite.DropBodies", "count", n)
		}
	}
}

// DropBodies deletes the bytes of mails that were queued before a moment and
// whose delivery is final. It returns how many it dropped.
func (s *Store) DropBodies(ctx context.Context, before time.Time) (int, error) {
	total := 0
	after := directory.TenantID("")
	for {
		tenants, err := s.Tenants(ctx, after, sweepRows)
		if err != nil || len(tenants) == 0 {
			return total, err
		}
		for _, t := range tenants {
			n, err := s.dropBodiesOf(ctx, t.ID, before)
			total += n
			if err != nil {
				return total, err
			}
			after = t.ID
		}
	}
}

func (s *Store) dropBodiesOf(ctx context.Context, t directory.TenantID, before time.Time) (int, error) {
	total := 0
	for {
		ids, err := s.StaleBodies(ctx, t, before, sweepRows)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		if err := s.run(ctx, sqlstore.PlanDropBodies(t, ids)); err != nil {
			return total, err
		}
		total += len(ids)
	}
}
