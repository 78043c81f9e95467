package invite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// MailQuery selects mails of a tenant, newest first.
type MailQuery struct {
	State mail.DeliveryState // empty: all
	After string             // id of the last mail of the page before
	Limit int                // 1 to 999
}

// Redriven is a mail to be queued again.
type Redriven struct {
	ID     string
	Queued time.Time   // from now on it counts as queued then
	Audit  audit.Event // stored in the same transaction
}

// MailStore is the part of [Store] that operators look at.
type MailStore interface {
	// Delivery returns one mail with its last attempt.
	Delivery(ctx context.Context, t directory.TenantID, id string) (Delivery, error)
	// ListMail lists mails with their last attempts, newest first.
	ListMail(ctx context.Context, t directory.TenantID, q MailQuery) ([]Delivery, error)
	// RedriveMail queues a mail again that failed or waits, and makes it due.
	// It returns directory.ErrStale for one in another state and for one
	// whose bytes are not kept any more.
	RedriveMail(ctx context.Context, t directory.TenantID, m Redriven) error
}

// Mail lists mails of the tenant, newest first, without their history.
func (s *Service) Mail(ctx context.Context, actor directory.Actor, q MailQuery) ([]Delivery, error) {
	const op = "invite.Mail"
	if _, err := s.authorizedScene(ctx, op, actor, directory.ReadInvitations); err != nil {
		return nil, err
	}
	q.Limit = pageSize(q.Limit)
	rows, err := s.store.ListMail(ctx, actor.Tenant, q)
	if err != nil {
		return nil, storeProblem(op, err)
	}
	return rows, nil
}

// OneMail returns one mail with all that relays said of it.
func (s *Service) OneMail(ctx context.Context, actor directory.Actor, id string) (Delivery, error) {
	const op = "invite.OneMail"
	if _, err := s.authorizedScene(ctx, op, actor, directory.ReadInvitations); err != nil {
		return Delivery{}, err
	}
	d, err := s.oneMail(ctx, op, actor.Tenant, id)
	if err != nil {
		return Delivery{}, err
	}
	one := []Delivery{d}
	s.file(ctx, one)
	if one[0].History, err = s.store.Attempts(ctx, actor.Tenant, id); err != nil {
		return Delivery{}, storeProblem(op, err)
	}
	return one[0], nil
}

// Redrive queues a mail again that had failed for good, or was waiting for its
// next attempt, as if it had been queued now: the same bytes, the same
// Message-ID, and a day more before it is given up. A mail whose link does not
// work any more is refused; resending writes a new one.
func (s *Service) Redrive(ctx context.Context, actor directory.Actor, id string) (Delivery, error) {
	const op = "invite.Redrive"
	sc, err := s.authorizedScene(ctx, op, actor, directory.ResendInvitation)
	if err != nil {
		return Delivery{}, err
	}
	d, err := s.oneMail(ctx, op, actor.Tenant, id)
	if err != nil {
		return Delivery{}, err
	}
	if d.State != mail.Failed && d.State != mail.Deferred {
		return Delivery{}, notRedriven(op, fmt.Sprintf("This mail is %s; only one that failed or is deferred can be sent again.", d.State))
	}
	inv, err := s.store.Invitation(ctx, actor.Tenant, d.Invitation)
	if err != nil {
		return Delivery{}, storeProblem(op, err)
	}
	guest, err := s.store.User(ctx, actor.Tenant, inv.User)
	if err != nil {
		return Delivery{}, storeProblem(op, err)
	}
	if state := inv.StateAt(guest, sc.now); state != StatePending && state != StateDeclined {
		return Delivery{}, notRedriven(op, fmt.Sprintf("The invitation in this mail is %s, so its link is of no use. Resend the invitation, or invite the guest again.", state))
	}
	w := s.scribeFor(actor, sc.now)
	event := w.event(audit.RedriveMail, guest, inv, map[string]string{"mail": d.ID, "was": string(d.State)})
	switch err := s.store.RedriveMail(ctx, actor.Tenant, Redriven{ID: d.ID, Queued: sc.now, Audit: event}); {
	case errors.Is(err, directory.ErrStale):
		return Delivery{}, notRedriven(op, "This mail has moved on meanwhile, or its text is not kept any more. Look at it again; resend the invitation if it has failed.")
	case err != nil:
		return Delivery{}, storeProblem(op, err)
	}
	s.wake()
	return s.OneMail(ctx, actor, id)
}

// oneMail reads one mail.
func (s *Service) oneMail(ctx context.Context, op string, t directory.TenantID, id string) (Delivery, error) {
	d, err := s.store.Delivery(ctx, t, id)
	if errors.Is(err, directory.ErrNotFound) {
		return Delivery{}, notFound(op, "There is no such mail in this organisation.")
	}
	if err != nil {
		return Delivery{}, storeProblem(op, err)
	}
	return d, nil
}

// notRedriven is a Conflict with the state of a mail.
func notRedriven(op, detail string) error {
	return &problem.Error{Op: op, Kind: problem.Conflict, Reason: problem.BadInput, Detail: detail}
}
