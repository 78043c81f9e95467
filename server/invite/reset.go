package invite

import (
	"context"
	"errors"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// reset sends a guest back to pending, to redeem anew with the ordered
// address. The user id, the UPN, groups and apps stay; every older link dies.
// Source: resetRedemption of Graph's invitation resource.
func (p *plan) reset(ctx context.Context, id directory.UserID) error {
	if id == "" {
		return problem.BadField(p.op, "invitedUser", "resetRedemption needs invitedUser with the id of the guest.")
	}
	s := p.service
	guest, err := s.store.User(ctx, p.actor.Tenant, id)
	switch {
	case errors.Is(err, directory.ErrNotFound), err == nil && !guest.Deleted.IsZero():
		return notFound(p.op, "There is no user with the id given in invitedUser.")
	case err != nil:
		return storeProblem(p.op, err)
	}
	if err := p.checkReset(ctx, guest); err != nil {
		return err
	}
	guest.Generation++
	guest.State = directory.Pending
	guest.StateChanged = p.scene.now
	guest.Identities = []directory.Identity{{SignInType: "userPrincipalName", Issuer: p.scene.tenant.InitialDomain, IssuerAssignedID: guest.UPN}}
	p.change.CancelMail = append(p.change.CancelMail, guest.ID)

	inv := p.invitation(guest)
	p.note(audit.InviteReset, guest, inv, nil)
	p.grant(guest, inv)
	return p.replace(ctx, guest, inv)
}

// checkReset refuses users whose redemption cannot be reset by this actor.
func (p *plan) checkReset(ctx context.Context, guest directory.User) error {
	if guest.State == directory.NotExternal {
		return problem.BadField(p.op, "invitedUser", "invitedUser is not a guest who was invited. There is no redemption to reset.")
	}
	if !guest.Enabled {
		return p.checkExisting(guest)
	}
	if !guest.HasAddress(p.order.address) {
		// Programs match this text.
		return &problem.Error{Op: p.op, Kind: problem.Invalid, Reason: problem.BadAddress, Field: "invitedUserEmailAddress",
			Detail: "The email you're using to invite this user doesn't match any emails on the user object. Please add this email to the user object and try again."}
	}
	if err := p.checkDomain(); err != nil {
		return err
	}
	held, err := p.service.store.UserRoles(ctx, p.actor.Tenant, guest.ID)
	if err != nil {
		return storeProblem(p.op, err)
	}
	return p.actor.AuthorizeOver(held, p.scene.policy)
}
