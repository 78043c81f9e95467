package invite

import (
	"context"
	"time"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// Edit says what a resent mail says differently.
type Edit struct {
	Message *string // personal message from now on, plain text; nil: as before
}

// Resend mails an invitation again: a new ticket with a fresh lifetime, in a
// new mail. It works in every state that is not final, expired and declined
// included. Whether links sent before go on working is the policy's choice.
// ref is an invitation id, or the id, address or UPN of the guest.
func (s *Service) Resend(ctx context.Context, actor directory.Actor, ref string, edit Edit) (Created, error) {
	const op = "invite.Resend"
	var out Created
	message, err := edit.message(op)
	if err != nil {
		return Created{}, err
	}
	err = s.apply(ctx, op, func(int) (*Change, error) {
		sc, err := s.authorizedScene(ctx, op, actor, directory.ResendInvitation)
		if err != nil {
			return nil, err
		}
		f, err := s.find(ctx, op, actor.Tenant, ref)
		if err != nil {
			return nil, err
		}
		if edit.Message != nil {
			f.inv.Message = message
		}
		c, created, err := s.planResend(ctx, op, sc, f, actor.ID, s.scribeFor(actor, sc.now))
		out = created
		return c, err
	})
	if err != nil {
		return Created{}, err
	}
	return out, nil
}

// message returns the edited message in the form it is kept in.
func (e Edit) message(op string) (string, error) {
	if e.Message == nil {
		return "", nil
	}
	var o order
	if err := checkMessage(op, Request{Message: *e.Message}, &o); err != nil {
		return "", err
	}
	return o.message, nil
}

// planResend decides one resend. The limits count it against sender.
func (s *Service) planResend(ctx context.Context, op string, sc scene, f found, sender string, w scribe) (*Change, Created, error) {
	if err := f.mayResend(op, sc); err != nil {
		return nil, Created{}, err
	}
	if err := s.checkLimits(ctx, op, sc, f.inv.Email, sender); err != nil {
		return nil, Created{}, err
	}
	guest, inv := f.guest, f.inv
	c := Change{Change: directory.Change{Tenant: guest.Tenant}}
	if sc.policy.OnResend == directory.SupersedeLinks {
		guest.Generation++
		c.CancelMail = []directory.UserID{guest.ID}
	}
	inv.Declined = time.Time{}
	url, err := s.issue(op, sc, guest, &inv)
	if err != nil {
		return nil, Created{}, err
	}
	c.Audit = []audit.Event{w.event(audit.ResendInvitation, guest, inv, nil)}
	if err := s.write(ctx, op, posting{sc, &c, guest, &inv, url, sender, w}); err != nil {
		return nil, Created{}, err
	}
	c.Users = []directory.User{guest} // see plan.replace
	c.Invitations = []Invitation{inv}
	guest.Version++
	inv.Version++
	return &c, Created{Invitation: inv, User: guest, RedeemURL: url}, nil
}

// mayResend refuses final states, each with its reason.
func (f found) mayResend(op string, sc scene) error {
	conflict := func(r problem.Reason, detail string) error {
		return &problem.Error{Op: op, Kind: problem.Conflict, Reason: r, Detail: detail}
	}
	switch f.inv.StateAt(f.guest, sc.now) {
	case StateDeleted:
		return conflict(problem.GuestDeleted, "The guest was deleted. Restore the guest or invite again.")
	case StateAccepted:
		return conflict(problem.AlreadyAccepted, "The guest has accepted already; there is nothing to send again.")
	case StateRevoked:
		return conflict(problem.LinkRevoked, "The invitation was withdrawn. Invite again.")
	case StateReplaced:
		// The latest one is replaced by nothing: the guest was deleted and
		// restored. A new link brings it back.
		if !f.latest {
			return conflict(problem.LinkReplaced, "A newer invitation took the place of this one. Resend that one.")
		}
	}
	if !f.guest.Enabled {
		return conflict(problem.AccountDisabled, "The guest's account is blocked from signing in. Enable it first.")
	}
	return directory.CheckDomain(sc.policy, f.inv.Email.Domain)
}

// maxWanted bounds how many requests for new links wait for [Service.Run].
const maxWanted = 256

// A wantedLink is somebody's request for a new link.
type wantedLink struct {
	tenant  directory.TenantID
	address mail.Address
}

// RequestNewLink asks, without any credential, for a new link to be mailed to
// an address. The answer is nil for everybody and takes the same time: the
// request is handled by [Service.Run]. Only an invited guest who has not
// redeemed yet gets a mail, at the invited address, within the limits.
func (s *Service) RequestNewLink(_ context.Context, tenant directory.TenantID, address string) error {
	if a, err := mail.ParseAddress(address); err == nil {
		select {
		case s.wanted <- wantedLink{tenant, a}:
		default: // too many wait already; whoever asked can ask again
		}
	}
	return nil
}

// sendWanted handles one request for a new link.
func (s *Service) sendWanted(ctx context.Context, want wantedLink) error {
	const op = "invite.RequestNewLink"
	return s.apply(ctx, op, func(int) (*Change, error) {
		sc, err := s.scene(ctx, op, want.tenant)
		if err != nil {
			return nil, err
		}
		f, err := s.find(ctx, op, want.tenant, want.address.String())
		if err != nil {
			return nil, err
		}
		// The limits count it against the guest, not against the inviter.
		c, _, err := s.planResend(ctx, op, sc, f, string(f.guest.ID), s.scribeForGuest(want.tenant, f.inv.Email, sc.now))
		return c, err
	})
}
