package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
)

// Deliveries lists the mails of an invitation, oldest first.
func (r *Reader) Deliveries(ctx context.Context, t directory.TenantID, id invite.ID) ([]invite.Delivery, error) {
	rows, err := r.q.deliveriesOfInvitation(ctx, deliveriesOfInvitationParams{Tenant: string(t), InvitationID: string(id)})
	if err != nil {
		return nil, r.fail(err)
	}
	list := make([]invite.Delivery, len(rows))
	for i, row := range rows {
		list[i] = deliveryOf(row)
		if row.Attempts == 0 {
			continue
		}
		a, err := r.q.lastAttempt(ctx, lastAttemptParams{Tenant: row.Tenant, DeliveryID: row.ID})
		if errors.Is(err, sql.ErrNoRows) { // the first attempt is being made
			continue
		}
		if err != nil {
			return nil, r.fail(err)
		}
		list[i].Last, _ = attemptOf(a)
	}
	return list, nil
}

// Attempts lists what relays said of one delivery, oldest first.
func (r *Reader) Attempts(ctx context.Context, t directory.TenantID, delivery string) ([]mail.Attempt, error) {
	return many(ctx, r, r.q.attempts, attemptsParams{Tenant: string(t), DeliveryID: delivery}, attemptOf)
}

func deliveryOf(row Delivery) invite.Delivery {
	d := invite.Delivery{
		ID:         row.ID,
		Invitation: invite.ID(row.InvitationID),
		User:       directory.UserID(row.UserID),
		To:         mail.Address{Local: row.ToLocal, Domain: row.ToDomain},
		MessageID:  row.MessageID,
		Kind:       invite.LetterKind(row.Kind),
		State:      mail.DeliveryState(row.State),
		Queued:     moment(row.QueuedAt),
		Attempts:   int(row.Attempts),
	}
	if d.State == mail.Queued || d.State == mail.Deferred {
		d.Next = moment(row.DueAt.Int64)
	}
	return d
}

func attemptOf(row DeliveryAttempt) (mail.Attempt, error) {
	return mail.Attempt{
		Number:    int(row.Number),
		At:        moment(row.At),
		Relay:     row.Relay,
		Stage:     mail.Stage(row.Stage),
		Code:      int(row.Code),
		Enhanced:  row.Enhanced,
		Text:      row.Reply,
		Permanent: row.Permanent != 0,
		Ambiguous: row.Ambiguous != 0,
	}, nil
}

// queue inserts a letter, due at once, or the record of one that is held back.
func queue(t directory.TenantID, l invite.Letter) step {
	row := insertDeliveryParams{
		Tenant:       string(t),
		ID:           l.ID,
		InvitationID: string(l.Invitation),
		UserID:       string(l.User),
		Inviter:      l.Inviter,
		LimitKey:     l.LimitKey,
		ToLocal:      l.Message.To.Local,
		ToDomain:     l.Message.To.Domain,
		MailFrom:     l.Message.From,
		MessageID:    l.Message.MessageID,
		State:        string(mail.Queued),
		QueuedAt:     micros(l.Queued),
		DueAt:        sql.NullInt64{Int64: micros(l.Queued), Valid: true},
		Kind:         string(cmp.Or(l.Kind, invite.LetterInvitation)),
	}
	if l.Suppressed {
		row.State, row.DueAt = string(mail.Suppressed), sql.NullInt64{}
		return func(ctx context.Context, q *Queries) error { return q.insertDelivery(ctx, row) }
	}
	body := insertBodyParams{Tenant: row.Tenant, DeliveryID: row.ID, Raw: l.Message.Raw}
	if body.Raw == nil {
		body.Raw = []byte{} // nil would be null
	}
	return func(ctx context.Context, q *Queries) error {
		if err := q.insertDelivery(ctx, row); err != nil {
			return err
		}
		return q.insertBody(ctx, body)
	}
}

// cancelMail withdraws what is waiting, and marks what is being sent: whatever
// the relay says of that stays true, but there is no next attempt.
func cancelMail(t directory.TenantID, u directory.UserID) step {
	tenant, user := string(t), string(u)
	return func(ctx context.Context, q *Queries) error {
		if err := q.cancelWaiting(ctx, cancelWaitingParams{Tenant: tenant, UserID: user}); err != nil {
			return err
		}
		return q.cancelSending(ctx, cancelSendingParams{Tenant: tenant, UserID: user})
	}
}

// MailCounts counts what was queued lately. Every count reads no more index
// entries than the limit it is compared with.
func (r *Reader) MailCounts(ctx context.Context, t directory.TenantID, q invite.CountQuery) (invite.Counts, error) {
	var c invite.Counts
	var err error
	since := func(window time.Duration) int64 { return micros(q.Now.Add(-window)) }
	count := func(limit int, window time.Duration, query func(since int64, maxRows int32) (int64, error)) int {
		if limit <= 0 || err != nil {
			return 0
		}
		var n int64
		n, err = query(since(window), int32(limit))
		return int(n)
	}
	toDomain := func(since int64, maxRows int32) (int64, error) {
		return r.q.countToDomain(ctx, countToDomainParams{Tenant: string(t), ToDomain: q.Domain, Since: since, MaxRows: maxRows})
	}
	byInviter := func(since int64, maxRows int32) (int64, error) {
		return r.q.countByInviter(ctx, countByInviterParams{Tenant: string(t), Inviter: q.Inviter, Since: since, MaxRows: maxRows})
	}
	byTenant := func(since int64, maxRows int32) (int64, error) {
		return r.q.countByTenant(ctx, countByTenantParams{Tenant: string(t), Since: since, MaxRows: maxRows})
	}
	if rows := max(q.Limits.RecipientPer5Min, q.Limits.RecipientPerDay); rows > 0 {
		var sent []int64 // newest first
		sent, err = r.q.sentToRecipient(ctx, sentToRecipientParams{
			Tenant: string(t), LimitKey: q.LimitKey, Since: since(24 * time.Hour), MaxRows: int32(rows),
		})
		lately := slices.IndexFunc(sent, func(at int64) bool { return at <= since(5*time.Minute) })
		if lately < 0 {
			lately = len(sent)
		}
		c.Recipient5Min = exhaust(&c, sent[:lately], q.Limits.RecipientPer5Min)
		c.RecipientDay = exhaust(&c, sent, q.Limits.RecipientPerDay) // the longer wait is the one to name
	}
	c.DomainHour = count(q.Limits.DomainPerHour, time.Hour, toDomain)
	c.InviterMinute = count(q.Limits.InviterPerMinute, time.Minute, byInviter)
	c.InviterDay = count(q.Limits.InviterPerDay, 24*time.Hour, byInviter)
	c.TenantDay = count(q.Limits.TenantPerDay, 24*time.Hour, byTenant)
	return c, r.fail(err)
}

// exhaust returns how much of a limit was sent. If it is all, the oldest of
// that is when there is room again.
func exhaust(c *invite.Counts, sent []int64, limit int) int {
	if limit <= 0 || len(sent) < limit {
		return min(len(sent), max(limit, 0))
	}
	c.Oldest = moment(sent[limit-1])
	return limit
}

// printable makes foreign text fit for any engine: valid UTF-8 without NUL.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
