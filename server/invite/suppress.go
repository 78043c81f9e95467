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

// Cause says why an address is suppressed.
type Cause string

// The causes.
const (
	CauseBounce    Cause = "bounce"    // mail to it came back for good
	CauseComplaint Cause = "complaint" // its holder called our mail junk
	CauseManual    Cause = "manual"    // somebody of the tenant said so
)

// SuppressionLifetime is how long an address is suppressed after a bounce or a
// complaint: mailboxes come back.
const SuppressionLifetime = 90 * 24 * time.Hour

// maxSuppressionDetail is how many characters somebody may write as the reason.
const maxSuppressionDetail = 500

// Suppression is an address that a tenant mails nothing to for the time being.
// It is not a [Block], which is the wish of the address's holder.
type Suppression struct {
	Key      string       // of the address, see mail.Address.LimitKey; spelling variants share it
	Address  mail.Address // as it was mailed to
	Cause    Cause
	Detail   string // what the other side, or whoever added it, said
	Delivery string // id of the mail that came back; empty: none
	By       string // id of whoever added it; empty: a report did
	Created  time.Time
	Expires  time.Time // zero: until it is lifted
}

// Active reports whether the suppression holds at a moment.
func (s Suppression) Active(now time.Time) bool {
	return s.Key != "" && (s.Expires.IsZero() || now.Before(s.Expires))
}

// SuppressionStore is the part of [Store] that keeps the list.
type SuppressionStore interface {
	// Suppression returns the entry of a key, whether or not it has ended.
	Suppression(ctx context.Context, t directory.TenantID, key string) (Suppression, error)
	// ListSuppressions lists what has not ended, by key.
	ListSuppressions(ctx context.Context, t directory.TenantID, now time.Time, after string, limit int) ([]Suppression, error)
}

// suppression returns why an address is suppressed now; the zero value if it is
// not.
func (s *Service) suppression(ctx context.Context, t directory.TenantID, a mail.Address, now time.Time) (Suppression, error) {
	found, err := s.store.Suppression(ctx, t, a.LimitKey())
	if errors.Is(err, directory.ErrNotFound) || err == nil && !found.Active(now) {
		return Suppression{}, nil
	}
	return found, err
}

// evidence is what an audit event or a diagnosis says of a suppression.
func (s Suppression) evidence() map[string]string {
	out := map[string]string{"suppressed": string(s.Cause), "since": stamp(s.Created), "detail": s.Detail}
	if !s.Expires.IsZero() {
		out["until"] = stamp(s.Expires)
	}
	return out
}

// Suppressions lists the addresses the tenant mails nothing to, by key.
func (s *Service) Suppressions(ctx context.Context, actor directory.Actor, after string, limit int) ([]Suppression, error) {
	const op = "invite.Suppressions"
	sc, err := s.authorizedScene(ctx, op, actor, directory.ReadInvitations)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.ListSuppressions(ctx, actor.Tenant, sc.now, after, pageSize(limit))
	if err != nil {
		return nil, storeProblem(op, err)
	}
	return rows, nil
}

// Suppress holds back all mail to an address. A lifetime of zero means until it
// is lifted.
func (s *Service) Suppress(ctx context.Context, actor directory.Actor, email, detail string, lifetime time.Duration) (Suppression, error) {
	const op = "invite.Suppress"
	sc, err := s.authorizedScene(ctx, op, actor, directory.ManageUsers)
	if err != nil {
		return Suppression{}, err
	}
	a, err := mail.ParseAddress(email)
	if err != nil {
		return Suppression{}, badAddress(op, "address", err)
	}
	if err := mail.ValidName(detail, maxSuppressionDetail); err != nil {
		return Suppression{}, problem.BadField(op, "detail", fmt.Sprintf("Invalid value for detail: it is one line of at most %d characters.", maxSuppressionDetail))
	}
	if lifetime < 0 {
		return Suppression{}, problem.BadField(op, "expires", "Invalid value for expires: it has passed already.")
	}
	entry := Suppression{Key: a.LimitKey(), Address: a, Cause: CauseManual, Detail: detail, By: actor.ID, Created: sc.now}
	if lifetime > 0 {
		entry.Expires = sc.now.Add(lifetime)
	}
	w := s.scribeFor(actor, sc.now)
	err = s.apply(ctx, op, func(int) (*Change, error) {
		return &Change{
			Change:   directory.Change{Tenant: actor.Tenant, Audit: []audit.Event{w.addressEvent(audit.SuppressAddress, a, entry.evidence())}},
			Suppress: []Suppression{entry},
		}, nil
	})
	return entry, err
}

// Lift takes an address off the list. Mail that was held back stays so: resend
// the invitation.
func (s *Service) Lift(ctx context.Context, actor directory.Actor, email string) error {
	const op = "invite.Lift"
	sc, err := s.authorizedScene(ctx, op, actor, directory.ManageUsers)
	if err != nil {
		return err
	}
	a, err := mail.ParseAddress(email)
	if err != nil {
		return badAddress(op, "address", err)
	}
	entry, err := s.suppression(ctx, actor.Tenant, a, sc.now)
	switch {
	case err != nil:
		return storeProblem(op, err)
	case entry.Key == "":
		return notFound(op, "This address is not suppressed in this organisation.")
	}
	w := s.scribeFor(actor, sc.now)
	return s.apply(ctx, op, func(int) (*Change, error) {
		return &Change{
			Change: directory.Change{Tenant: actor.Tenant, Audit: []audit.Event{w.addressEvent(audit.LiftSuppression, a, entry.evidence())}},
			Lift:   []string{entry.Key},
		}, nil
	})
}

// addressEvent returns an event about an address that may be nobody's.
func (w scribe) addressEvent(a audit.Activity, address mail.Address, details map[string]string) audit.Event {
	return w.event(a, directory.User{}, Invitation{Email: address}, details)
}
