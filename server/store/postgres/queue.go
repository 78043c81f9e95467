package postgres

import (
	"context"
	"slices"
	"strings"

	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store/internal/sqlstore"
)

// PostponeMail gives back leased mail until later, by the database's clock.
func (s *Store) PostponeMail(ctx context.Context, owner string, items []outbox.Postponed) error {
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return err
	}
	items = slices.Clone(items) // in one order, as in FinishMail
	slices.SortFunc(items, func(a, b outbox.Postponed) int { return strings.Compare(a.ID, b.ID) })
	return s.repeat(ctx, sqlstore.PlanPostpone(owner, items, skew))
}

// RedriveMail queues a mail again, due by the database's clock.
func (s *Store) RedriveMail(ctx context.Context, t directory.TenantID, m invite.Redriven) error {
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return err
	}
	m.Queued = shift(m.Queued, skew)
	if err := s.run(ctx, sqlstore.PlanRedrive(t, m)); err != nil {
		return err
	}
	s.tell()
	return nil
}
