package postgres

import (
	"context"
	"log/slog"
	"time"

	"invited/server/directory"
	"invited/server/store/internal/sqlstore"
)

// sweep is how often the janitor looks, and how many bodies it drops in one
// transaction. Every node has one; they agree by deleting the same.
const (
	sweepEvery = time.Minute
	sweepRows  = 100

	// keepChanges is much longer than any call tries to store its change.
	keepChanges  = 10 * time.Minute
	sweepChanges = 10_000
)

// janitor keeps house until the store is closed.
func (s *Store) janitor() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		n, err := s.sweep(s.ctx)
		switch {
		case err != nil && s.ctx.Err() == nil:
			s.opts.Log.Warn("old mail was not dropped", slog.String("op", "postgres.sweep"), slog.Any("err", err))
		case n > 0:
			s.opts.Log.Debug("old mail dropped", slog.String("op", "postgres.sweep"), slog.Int("count", n))
		}
	}
}

// sweep drops the bytes of old mail, and pulls in what a clock that was wrong
// has put off too far.
func (s *Store) sweep(ctx context.Context) (int, error) {
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return 0, err
	}
	now := s.opts.Now().Add(skew)
	if err := s.repeat(ctx, sqlstore.PlanCapDue(now)); err != nil {
		return 0, err
	}
	if err := s.forgetChanges(ctx, s.opts.wall().Add(skew).Add(-keepChanges)); err != nil {
		return 0, err
	}
	return s.DropBodies(ctx, now.Add(-s.opts.KeepBodies))
}

const forget = `
delete from applied_changes where id in
    (select id from applied_changes where id < $1 order by id limit $2 for update skip locked)`

// forgetChanges deletes the ids of changes that nobody can be in doubt about
// any more. It does not wait for another node that does the same.
func (s *Store) forgetChanges(ctx context.Context, before time.Time) error {
	for {
		r, err := s.db.ExecContext(ctx, forget, firstID(before).String(), sweepChanges)
		if err != nil {
			return translate(err)
		}
		if n, err := r.RowsAffected(); err != nil || n < sweepChanges {
			return err
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
		if err := s.repeat(ctx, sqlstore.PlanDropBodies(t, ids)); err != nil {
			return total, err
		}
		total += len(ids)
	}
}
