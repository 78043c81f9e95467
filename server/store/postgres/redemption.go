package postgres

import (
	"context"
	"time"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store/internal/sqlstore"
)

// Throttle counts one more try of a bucket.
func (s *Store) Throttle(ctx context.Context, t directory.TenantID, q invite.Throttle) (wait time.Duration, err error) {
	err = s.run(ctx, sqlstore.PlanThrottle(t, q, &wait))
	return wait, err
}

// AddTries counts what was counted in memory.
func (s *Store) AddTries(ctx context.Context, t directory.TenantID, bucket string, at []time.Time) error {
	return s.run(ctx, sqlstore.PlanAddTries(t, bucket, at))
}

// TryPasscode tries a code.
func (s *Store) TryPasscode(ctx context.Context, t directory.TenantID, q invite.PasscodeTry) (out invite.PasscodeOutcome, err error) {
	err = s.run(ctx, sqlstore.PlanTryPasscode(t, q, &out))
	return out, err
}
