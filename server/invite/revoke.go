package invite

import (
	"context"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// Revoke withdraws an invitation: it raises the guest's generation, so that
// every link sent so far is dead, also for a consent page that is open, and
// cancels mail that has not gone out. The guest stays pending and can be
// invited again. Revoking twice is one revocation. ref is as for Resend.
func (s *Service) Revoke(ctx context.Context, actor directory.Actor, ref string) (Invitation, error) {
	const op = "invite.Revoke"
	var out Invitation
	err := s.apply(ctx, op, func(int) (*Change, error) {
		sc, err := s.authorizedScene(ctx, op, actor, directory.RevokeInvitation)
		if err != nil {
			return nil, err
		}
		f, err := s.find(ctx, op, actor.Tenant, ref)
		if err != nil {
			return nil, err
		}
		out = f.inv
		switch f.inv.StateAt(f.guest, sc.now) {
		case StateRevoked:
			return nil, nil
		case StateAccepted:
			return nil, &problem.Error{Op: op, Kind: problem.Conflict, Reason: problem.AlreadyAccepted, Detail: "The guest has accepted already. To take the access away, delete the guest."}
		case StateDeleted:
			return nil, &problem.Error{Op: op, Kind: problem.Conflict, Reason: problem.GuestDeleted, Detail: "The guest was deleted, and every link with it."}
		case StateReplaced:
			if !f.latest {
				return nil, &problem.Error{Op: op, Kind: problem.Conflict, Reason: problem.LinkReplaced, Detail: "A newer invitation took the place of this one; its links are dead already."}
			}
		}
		c, err := s.planRevoke(ctx, op, sc, f, s.scribeFor(actor, sc.now))
		if err != nil {
			return nil, err
		}
		out = c.Invitations[0]
		out.Version++
		return c, nil
	})
	if err != nil {
		return Invitation{}, err
	}
	return out, nil
}

// planRevoke decides one revocation. A newer invitation of the guest has the
// same generation of links, so it is withdrawn with this one.
func (s *Service) planRevoke(ctx context.Context, op string, sc scene, f found, w scribe) (*Change, error) {
	guest, inv := f.guest, f.inv
	guest.Generation++
	inv.Revoked = sc.now
	c := Change{
		Change: directory.Change{
			Tenant:     guest.Tenant,
			Users:      []directory.User{guest},
			CancelMail: []directory.UserID{guest.ID},
			Audit:      []audit.Event{w.event(audit.RevokeInvitation, guest, inv, nil)},
		},
		Invitations: []Invitation{inv},
	}
	if f.latest {
		return &c, nil
	}
	last, err := s.store.LatestInvitation(ctx, guest.Tenant, guest.ID)
	if err != nil {
		return nil, storeProblem(op, err)
	}
	last.Revoked = sc.now
	c.Invitations = append(c.Invitations, last)
	c.Audit = append(c.Audit, w.event(audit.RevokeInvitation, guest, last, nil))
	return &c, nil
}
