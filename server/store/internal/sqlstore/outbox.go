package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/directory"
)

// ref is how a delivery is named to the outbox, which serves all tenants and
// knows none: tenant and id of the row.
func ref(tenant, id string) string { return tenant + "/" + id }

func parseRef(s string) (tenant, id string, err error) {
	tenant, id, ok := strings.Cut(s, "/")
	if !ok {
		return "", "", fmt.Errorf("sqlstore: %q is not the id of a leased mail", s)
	}
	return tenant, id, nil
}

// Claim leases due mail in a transaction that no other claim overlaps. The
// items carry no bytes yet, see [Reader.Load].
func Claim(ctx context.Context, db DBTX, owner string, now time.Time, lease time.Duration, n int) ([]outbox.Item, error) {
	q := New(db)
	rows, err := q.due(ctx, dueParams{Now: sql.NullInt64{Int64: micros(now), Valid: true}, MaxRows: pageSize(n)})
	if err != nil {
		return nil, err
	}
	until := sql.NullInt64{Int64: micros(now.Add(lease)), Valid: true}
	items := make([]outbox.Item, 0, len(rows))
	for _, row := range rows {
		if row.Canceled != 0 { // withdrawn during an attempt whose worker died
			if err := q.cancelMarked(ctx, cancelMarkedParams{Tenant: row.Tenant, ID: row.ID}); err != nil {
				return nil, err
			}
			continue
		}
		if err := q.lease(ctx, leaseParams{Owner: owner, Until: until, Tenant: row.Tenant, ID: row.ID}); err != nil {
			return nil, err
		}
		row.Attempts++
		items = append(items, LeasedItem(row))
	}
	return items, nil
}

// LeasedItem returns the item of a row that was just leased, without its bytes.
func LeasedItem(row Delivery) outbox.Item {
	return outbox.Item{
		ID:  ref(row.Tenant, row.ID),
		Ref: row.InvitationID,
		Message: mail.Message{
			MessageID: row.MessageID,
			From:      row.MailFrom,
			To:        mail.Address{Local: row.ToLocal, Domain: row.ToDomain},
		},
		Attempt: int(row.Attempts),
		Queued:  moment(row.QueuedAt),
	}
}

// Load reads the bytes of leased items. It is done after the lease is
// committed, so that no other write waits for it. An item that has none stays
// empty: whoever leased it has to give it up, or it would come back for ever.
func (r *Reader) Load(ctx context.Context, items []outbox.Item) ([]outbox.Item, error) {
	for i := range items {
		tenant, id, err := parseRef(items[i].ID)
		if err != nil {
			return nil, err
		}
		raw, err := r.q.body(ctx, bodyParams{Tenant: tenant, DeliveryID: id})
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, r.fail(err)
		}
		items[i].Message.Raw = raw
	}
	return items, nil
}

// NextMailDue returns when the next item falls due: its next attempt, or the
// end of its lease.
func (r *Reader) NextMailDue(ctx context.Context) (time.Time, bool, error) {
	due, err := r.q.nextDue(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, false, nil
	}
	return moment(due.Int64), err == nil, r.fail(err)
}

// PlanFinish plans to record what became of leased items. A result that names
// no row of ours is dropped, as one of a row that was purged is.
func PlanFinish(owner string, results []outbox.Result) *Plan {
	p := &Plan{}
	for _, res := range results {
		tenant, id, err := parseRef(res.ID)
		if err == nil {
			p.add(finish(owner, tenant, id, res))
		}
	}
	return p
}

// PlanRenew plans to move the end of leases of owner to now+lease. A lease of
// zero gives them back; what was withdrawn meanwhile is canceled by that.
func PlanRenew(owner string, now time.Time, lease time.Duration, ids []string) *Plan {
	p := &Plan{}
	until := sql.NullInt64{Int64: micros(now.Add(lease)), Valid: true}
	for _, s := range ids {
		tenant, id, err := parseRef(s)
		switch {
		case err != nil:
		case lease > 0:
			row := renewParams{Until: until, Tenant: tenant, ID: id, Owner: owner}
			p.add(func(ctx context.Context, q *Queries) error { return q.renew(ctx, row) })
		default:
			p.add(returnLease(giveBackParams{Now: until, Tenant: tenant, ID: id, Owner: owner}))
		}
	}
	return p
}

func returnLease(row giveBackParams) step {
	return func(ctx context.Context, q *Queries) error {
		n, err := q.giveBack(ctx, row)
		if err != nil || n == 0 {
			return err
		}
		return q.cancelMarked(ctx, cancelMarkedParams{Tenant: row.Tenant, ID: row.ID})
	}
}

// PlanReleaseLeases plans to end every lease, whoever has it: only for an
// engine that knows that no other process uses the database.
func PlanReleaseLeases(now time.Time) *Plan {
	p := &Plan{}
	p.add(func(ctx context.Context, q *Queries) error {
		_, err := q.releaseLeases(ctx, sql.NullInt64{Int64: micros(now), Valid: true})
		return err
	})
	return p
}

// MaxWait is longer than any wait between two attempts. What falls due later
// was put off by a clock that has been set back since, see [PlanCapDue].
const MaxWait = 9 * time.Hour

// PlanCapDue plans to make what falls due after now+MaxWait due then, so that a
// clock that was ahead for a while does not freeze the queue.
func PlanCapDue(now time.Time) *Plan {
	p := &Plan{}
	p.add(func(ctx context.Context, q *Queries) error {
		_, err := q.capDue(ctx, sql.NullInt64{Int64: micros(now.Add(MaxWait)), Valid: true})
		return err
	})
	return p
}

func finish(owner, tenant, id string, res outbox.Result) step {
	attempt := attemptRow(tenant, id, res.Attempt)
	return func(ctx context.Context, q *Queries) error {
		attempt := attempt
		if attempt.Number == 0 {
			row, err := q.delivery(ctx, deliveryParams{Tenant: tenant, ID: id})
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			attempt.Number = row.Attempts
		}
		kept, err := finishState(ctx, q, owner, tenant, id, attempt.Number, res)
		if err != nil || !kept {
			return err
		}
		return q.insertAttempt(ctx, attempt)
	}
}

// finishState moves the row on. It reports false for a result to be dropped.
func finishState(ctx context.Context, q *Queries, owner, tenant, id string, number int64, res outbox.Result) (bool, error) {
	if res.State == mail.Delivered {
		// Delivered before, by another worker: this attempt was true as well.
		return true, q.finishDelivered(ctx, finishDeliveredParams{Tenant: tenant, ID: id})
	}
	p := finishLeasedParams{State: string(res.State), Tenant: tenant, ID: id, Owner: owner, Number: number}
	if !res.State.Final() {
		p.DueAt = sql.NullInt64{Int64: micros(res.Next), Valid: true}
	}
	n, err := q.finishLeased(ctx, p)
	if err != nil || n == 0 {
		return false, err
	}
	if p.DueAt.Valid {
		err = q.cancelMarked(ctx, cancelMarkedParams{Tenant: tenant, ID: id})
	}
	return true, err
}

func attemptRow(tenant, id string, a mail.Attempt) insertAttemptParams {
	return insertAttemptParams{
		Tenant:     tenant,
		DeliveryID: id,
		Number:     int64(a.Number),
		At:         micros(a.At),
		Relay:      a.Relay,
		Stage:      string(a.Stage),
		Code:       int64(a.Code),
		Enhanced:   printable(a.Enhanced),
		Reply:      printable(a.Text),
		Permanent:  flag(a.Permanent),
		Ambiguous:  flag(a.Ambiguous),
	}
}

// StaleBodies names up to limit deliveries of a tenant that are final, were
// queued before a moment, and still have their bytes. It relies on the ids
// being UUIDv7, which sort by time.
func (r *Reader) StaleBodies(ctx context.Context, t directory.TenantID, before time.Time, limit int) ([]string, error) {
	ms := uint64(before.UnixMilli())
	floor := fmt.Sprintf("%08x-%04x", ms>>16&0xffffffff, ms&0xffff)
	return many(ctx, r, r.q.staleBodies, staleBodiesParams{Tenant: string(t), Before: floor, MaxRows: pageSize(limit)},
		func(s string) (string, error) { return s, nil })
}

// PlanDropBodies plans to delete the bytes of deliveries.
func PlanDropBodies(t directory.TenantID, ids []string) *Plan {
	p := &Plan{}
	each(p, ids, func(id string) step {
		row := deleteBodyParams{Tenant: string(t), DeliveryID: id}
		return func(ctx context.Context, q *Queries) error { return q.deleteBody(ctx, row) }
	})
	return p
}
