package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
)

// Delivery returns one mail with what the relay said last.
func (r *Reader) Delivery(ctx context.Context, t directory.TenantID, id string) (invite.Delivery, error) {
	row, err := r.q.delivery(ctx, deliveryParams{Tenant: string(t), ID: id})
	if err != nil {
		return invite.Delivery{}, r.fail(err)
	}
	return r.withLast(ctx, row)
}

// ListMail lists mails, newest first.
func (r *Reader) ListMail(ctx context.Context, t directory.TenantID, q invite.MailQuery) ([]invite.Delivery, error) {
	rows, err := r.mail(ctx, string(t), q)
	if err != nil {
		return nil, r.fail(err)
	}
	out := make([]invite.Delivery, len(rows))
	for i, row := range rows {
		if out[i], err = r.withLast(ctx, row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mail chooses the query by how many rows are in a state.
func (r *Reader) mail(ctx context.Context, tenant string, q invite.MailQuery) ([]Delivery, error) {
	before := q.After
	if before == "" {
		before = last
	}
	limit, state := pageSize(q.Limit), string(q.State)
	switch q.State {
	case "":
		return r.q.listMail(ctx, listMailParams{Tenant: tenant, Before: before, MaxRows: limit})
	case mail.Queued, mail.Sending:
		return r.q.listOpenMail(ctx, listOpenMailParams{Tenant: tenant, State: state, Before: before, MaxRows: limit})
	case mail.Delivered:
		return r.q.listDeliveredMail(ctx, listDeliveredMailParams{Tenant: tenant, Before: before, MaxRows: limit})
	default:
		return r.q.listOddMail(ctx, listOddMailParams{Tenant: tenant, State: state, Before: before, MaxRows: limit})
	}
}

// withLast adds the last attempt to a delivery.
func (r *Reader) withLast(ctx context.Context, row Delivery) (invite.Delivery, error) {
	d := deliveryOf(row)
	if row.Attempts == 0 {
		return d, nil
	}
	a, err := r.q.lastAttempt(ctx, lastAttemptParams{Tenant: row.Tenant, DeliveryID: row.ID})
	if errors.Is(err, sql.ErrNoRows) { // the first attempt is being made
		return d, nil
	}
	if err != nil {
		return d, r.fail(err)
	}
	d.Last, err = attemptOf(a)
	return d, err
}

// PlanRedrive plans to queue a mail again, due at once; ErrStale if it is not
// one that failed or waits, or its bytes are gone.
func PlanRedrive(t directory.TenantID, m invite.Redriven) *Plan {
	p := &Plan{}
	p.owned("audit event", m.Audit.ID, directory.TenantID(m.Audit.Tenant), t)
	now := sql.NullInt64{Int64: micros(m.Queued), Valid: true}
	row := redriveParams{Now: now.Int64, Tenant: string(t), ID: m.ID}
	p.add(func(ctx context.Context, q *Queries) error {
		n, err := q.redrive(ctx, row)
		return changed(n, err, "mail", m.ID)
	}, newEvent(m.Audit))
	return p
}

// PlanPostpone plans to give back leased mail until later. What was withdrawn
// meanwhile is canceled by that. Skew is added to the times of the items.
func PlanPostpone(owner string, items []outbox.Postponed, skew time.Duration) *Plan {
	p := &Plan{}
	for _, item := range items {
		tenant, id, err := parseRef(item.ID)
		if err != nil {
			continue
		}
		until := sql.NullInt64{Int64: micros(item.Until.Add(skew)), Valid: true}
		p.add(returnLease(giveBackParams{Now: until, Tenant: tenant, ID: id, Owner: owner}))
	}
	return p
}

// queueDepth looks at the index of what is due, which holds open mail only, and
// at no more of it than it is told to.
const queueDepth = `select state, count(*), min(queued_at)
from (select state, queued_at from deliveries where due_at is not null order by due_at limit $1) as open
group by state order by state`

// QueueDepth counts open mail by state, of every tenant. At most the limit
// mails that are due first are counted; if so many there are, there may be more.
func (r *Reader) QueueDepth(ctx context.Context, limit int) ([]outbox.Depth, error) {
	rows, err := r.q.db.QueryContext(ctx, queueDepth, limit)
	if err != nil {
		return nil, r.fail(err)
	}
	defer rows.Close()
	var out []outbox.Depth
	for rows.Next() {
		var d outbox.Depth
		var oldest int64
		if err := rows.Scan(&d.State, &d.Messages, &oldest); err != nil {
			return nil, r.fail(err)
		}
		d.Oldest = moment(oldest)
		out = append(out, d)
	}
	return out, r.fail(rows.Err())
}
