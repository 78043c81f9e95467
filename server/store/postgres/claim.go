package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/store/internal/sqlstore"
)

// claim leases what is due and not being leased by another node this moment,
// and returns it with its bytes, in one statement and so in one transaction.
// What was withdrawn during an attempt whose worker died ends here.
const claim = `
with due as (
    select tenant, id, due_at from deliveries
    where due_at <= $1 order by due_at limit $2
    for update skip locked
), leased as (
    update deliveries d set
        state = case when d.canceled = 1 then 'canceled' else 'sending' end,
        owner = case when d.canceled = 1 then '' else $3::text end,
        due_at = case when d.canceled = 1 then null else $4::bigint end,
        attempts = d.attempts + 1 - d.canceled
    from due
    where d.tenant = due.tenant and d.id = due.id
    returning d.tenant, d.id, d.invitation_id, d.message_id, d.mail_from, d.to_local, d.to_domain, d.attempts,
        d.queued_at, d.state, due.due_at as was_due
)
select l.tenant, l.id, l.invitation_id, l.message_id, l.mail_from, l.to_local, l.to_domain, l.attempts, l.queued_at, b.raw
from leased l left join delivery_bodies b on b.tenant = l.tenant and b.delivery_id = l.id
where l.state = 'sending'
order by l.was_due`

// ClaimMail leases due mail, by the database's clock.
func (s *Store) ClaimMail(ctx context.Context, owner string, now time.Time, lease time.Duration, n int) ([]outbox.Item, error) {
	end := time.Now().Add(s.opts.patience)
	for try := 0; ; try++ {
		items, err := s.claimOnce(ctx, owner, now, lease, n)
		switch {
		case err == nil:
			return items, nil
		case ctx.Err() != nil || !conflict(err) && !lost(err):
			return nil, translate(err)
		case time.Now().After(end):
			return nil, fmt.Errorf("%w: %w", directory.ErrBusy, err)
		}
		// A claim that was cut off may have leased mail. Nobody sends it before
		// the lease ends, which is all that a lease promises.
		pause(ctx, try)
	}
}

func (s *Store) claimOnce(ctx context.Context, owner string, now time.Time, lease time.Duration, n int) (_ []outbox.Item, err error) {
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return nil, err
	}
	now = now.Add(skew)
	rows, err := s.db.QueryContext(ctx, claim, now.UnixMicro(), max(1, min(n, 999)), owner, now.Add(lease).UnixMicro())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var items []outbox.Item
	for rows.Next() {
		var d sqlstore.Delivery
		var raw []byte
		if err := rows.Scan(&d.Tenant, &d.ID, &d.InvitationID, &d.MessageID, &d.MailFrom, &d.ToLocal, &d.ToDomain, &d.Attempts,
			&d.QueuedAt, &raw); err != nil {
			return nil, err
		}
		item := sqlstore.LeasedItem(d)
		item.Queued = item.Queued.Add(-skew)
		item.Message.Raw = raw
		items = append(items, item)
	}
	return items, rows.Err()
}
