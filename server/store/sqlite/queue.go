package sqlite

import (
	"context"

	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store/internal/sqlstore"
)

// PostponeMail gives back leased mail until later.
func (s *Store) PostponeMail(ctx context.Context, owner string, items []outbox.Postponed) error {
	return s.run(ctx, sqlstore.PlanPostpone(owner, items, 0))
}

// RedriveMail queues a mail again.
func (s *Store) RedriveMail(ctx context.Context, t directory.TenantID, m invite.Redriven) error {
	return s.run(ctx, sqlstore.PlanRedrive(t, m))
}
