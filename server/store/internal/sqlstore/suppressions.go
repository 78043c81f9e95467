package sqlstore

import (
	"context"
	"time"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
)

// Suppression returns why an address is not mailed, whether or not that has
// ended.
func (r *Reader) Suppression(ctx context.Context, t directory.TenantID, key string) (invite.Suppression, error) {
	return one(ctx, r, r.q.suppression, suppressionParams{Tenant: string(t), AddressKey: key}, suppressionOf)
}

// ListSuppressions lists what has not ended, by key.
func (r *Reader) ListSuppressions(ctx context.Context, t directory.TenantID, now time.Time, after string, limit int) ([]invite.Suppression, error) {
	return many(ctx, r, r.q.listSuppressions, listSuppressionsParams{
		Tenant: string(t), After: after, Now: micros(now), MaxRows: pageSize(limit),
	}, suppressionOf)
}

func suppressionOf(row Suppression) (invite.Suppression, error) {
	return invite.Suppression{
		Key:      row.AddressKey,
		Address:  mail.Address{Local: row.AddressLocal, Domain: row.AddressDomain},
		Cause:    invite.Cause(row.Cause),
		Detail:   row.Detail,
		Delivery: row.DeliveryID,
		By:       row.AddedBy,
		Created:  moment(row.CreatedAt),
		Expires:  moment(row.ExpiresAt),
	}, nil
}

// suppress adds an address to the list, and forgets those that have ended.
func suppress(t directory.TenantID, s invite.Suppression) step {
	row := upsertSuppressionParams{
		Tenant:        string(t),
		AddressKey:    s.Key,
		AddressLocal:  s.Address.Local,
		AddressDomain: s.Address.Domain,
		Cause:         string(s.Cause),
		Detail:        printable(s.Detail),
		DeliveryID:    s.Delivery,
		AddedBy:       s.By,
		CreatedAt:     micros(s.Created),
		ExpiresAt:     micros(s.Expires),
	}
	return func(ctx context.Context, q *Queries) error {
		if err := q.deleteSuppressions(ctx, deleteSuppressionsParams{Tenant: row.Tenant, Now: row.CreatedAt}); err != nil {
			return err
		}
		return q.upsertSuppression(ctx, row)
	}
}

func lift(t directory.TenantID, key string) step {
	return func(ctx context.Context, q *Queries) error {
		return q.deleteSuppression(ctx, deleteSuppressionParams{Tenant: string(t), AddressKey: key})
	}
}

// returned records what came back for a mail that is still in the state it was
// in, with what was said as its last attempt.
func returned(t directory.TenantID, m invite.Returned) step {
	row := returnMailParams{State: string(m.State), Tenant: string(t), ID: m.Delivery, Was: string(m.Was)}
	attempt := attemptRow(string(t), m.Delivery, m.Attempt)
	return func(ctx context.Context, q *Queries) error {
		n, err := q.returnMail(ctx, row)
		if err := changed(n, err, "mail", m.Delivery); err != nil {
			return err
		}
		now, err := q.delivery(ctx, deliveryParams{Tenant: row.Tenant, ID: row.ID})
		if err != nil {
			return err
		}
		attempt := attempt
		attempt.Number = now.Attempts
		return q.insertAttempt(ctx, attempt)
	}
}
