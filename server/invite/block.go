package invite

import (
	"context"
	"errors"
	"time"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// Blocking is where somebody stands who followed the link to block invitations.
type Blocking struct {
	Claims     Claims
	Tenant     directory.Tenant
	Guest      directory.User
	Invitation Invitation
	Since      time.Time // when they blocked; zero: they did not
}

// Blocked reports whether invitations are blocked.
func (b Blocking) Blocked() bool { return !b.Since.IsZero() }

// OptOut returns the ticket of the link to block further invitations, empty if
// there are no such links. It does not expire: the mail may be old when its
// reader has had enough.
func (s *Service) OptOut(l LetterData) string {
	if s.optOuts == nil {
		return ""
	}
	ticket, err := s.optOuts.Issue(Claims{
		Tenant: l.Tenant.ID, User: l.Guest.ID, Invitation: l.Invitation.ID, Generation: l.Invitation.Generation, JTI: l.Invitation.JTI, Issued: l.Now,
	})
	if err != nil { // a mail without this link is better than none
		return ""
	}
	return ticket
}

// OpenBlock verifies the link to block invitations. It has no effect. A ticket
// that is not one for this purpose is refused with LinkInvalid before anything
// is read.
func (s *Service) OpenBlock(ctx context.Context, ticket string) (Blocking, error) {
	const op = "invite.OpenBlock"
	if s.optOuts == nil {
		return Blocking{}, refuse(op, problem.LinkInvalid, nil)
	}
	c, err := s.optOuts.Verify(ticket)
	if err != nil {
		return Blocking{}, refuse(op, problem.LinkInvalid, err)
	}
	return s.blocking(ctx, op, c)
}

// ResumeBlock is [Service.OpenBlock] for claims out of a sealed session.
func (s *Service) ResumeBlock(ctx context.Context, c Claims) (Blocking, error) {
	return s.blocking(ctx, "invite.ResumeBlock", c)
}

// blocking reads what the claims are about.
func (s *Service) blocking(ctx context.Context, op string, c Claims) (Blocking, error) {
	b := Blocking{Claims: c}
	var err error
	for _, read := range []func() error{
		func() error { b.Tenant, err = s.store.Tenant(ctx, c.Tenant); return err },
		func() error { b.Invitation, err = s.store.Invitation(ctx, c.Tenant, c.Invitation); return err },
		func() error { b.Guest, err = s.store.User(ctx, c.Tenant, b.Invitation.User); return err },
		func() error { b.Since, err = s.blockedSince(ctx, c.Tenant, b.Invitation.Email); return err },
	} {
		switch err := read(); {
		case errors.Is(err, directory.ErrNotFound): // purged: nothing is known of the person
			return b, refuse(op, problem.LinkInvalid, err)
		case err != nil:
			return b, storeProblem(op, err)
		}
	}
	return b, nil
}

// blockedSince returns when the holder of an address blocked invitations, the
// zero time if they did not.
func (s *Service) blockedSince(ctx context.Context, t directory.TenantID, a mail.Address) (time.Time, error) {
	since, err := s.store.Blocked(ctx, t, BlockKey(a))
	if errors.Is(err, directory.ErrNotFound) {
		return time.Time{}, nil
	}
	return since, err
}

// Block holds back every further invitation of the tenant to the person, and
// withdraws mail that is still waiting. Links that were mailed go on working.
// Blocking twice is one event.
func (s *Service) Block(ctx context.Context, c Claims) (Blocking, error) {
	const op = "invite.Block"
	b, err := s.blocking(ctx, op, c)
	if err != nil || b.Blocked() {
		return b, err
	}
	now := s.now()
	w := s.scribeForGuest(c.Tenant, b.Invitation.Email, now)
	err = s.apply(ctx, op, func(int) (*Change, error) {
		return &Change{
			Change: directory.Change{
				Tenant: c.Tenant, CancelMail: []directory.UserID{b.Guest.ID},
				Audit: []audit.Event{w.event(audit.EmailUnsubscribed, b.Guest, b.Invitation, nil)},
			},
			Blocks: []Block{{Key: BlockKey(b.Invitation.Email), Invitation: b.Invitation.ID, At: now}},
		}, nil
	})
	if err == nil {
		b.Since = now
	}
	return b, err
}

// AskUnblockCode mails the code that undoes a block. Without a block there is
// nothing to undo, and no mail.
func (s *Service) AskUnblockCode(ctx context.Context, c Claims, session string) (Blocking, error) {
	const op = "invite.AskUnblockCode"
	b, err := s.blocking(ctx, op, c)
	if err != nil || !b.Blocked() {
		return b, err
	}
	return b, s.mailCode(ctx, op, b.order(session))
}

// Unblock undoes a block for whoever has the code that was mailed.
func (s *Service) Unblock(ctx context.Context, c Claims, session, code, from string) (Blocking, error) {
	const op = "invite.Unblock"
	b, err := s.blocking(ctx, op, c)
	if err != nil || !b.Blocked() {
		return b, err
	}
	if err := s.tryCode(ctx, op, b.order(session), code, from); err != nil {
		return b, err
	}
	w := s.scribeForGuest(c.Tenant, b.Invitation.Email, s.now())
	err = s.apply(ctx, op, func(int) (*Change, error) {
		return &Change{
			Change: directory.Change{
				Tenant: c.Tenant, Audit: []audit.Event{w.event(audit.EmailSubscribed, b.Guest, b.Invitation, nil)},
			},
			Unblock: []string{BlockKey(b.Invitation.Email)},
		}, nil
	})
	if err == nil {
		b.Since = time.Time{}
	}
	return b, err
}

// order is what a code to undo the block is bound to.
func (b Blocking) order(session string) codeOrder {
	return codeOrder{session: session, purpose: ToUnblock, tenant: b.Tenant, guest: b.Guest, inv: b.Invitation}
}
