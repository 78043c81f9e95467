package invite

import (
	"context"
	"errors"
	"fmt"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// Created is the answer to [Service.Create] and [Service.Resend].
type Created struct {
	Invitation Invitation
	User       directory.User
	RedeemURL  string // never empty; it holds a live ticket and is not stored in clear outside the mail
	NewUser    bool   // the guest was added by this call
}

// Create invites somebody. For an address nobody has, it adds a pending guest;
// for a pending guest it makes a new invitation for the same user, which is
// how Graph resends; for a guest who accepted, the invitation is complete from
// the start and no mail goes out. The guest, the invitation, what the guest is
// assigned to, the mail and the audit events are stored together or not at all.
func (s *Service) Create(ctx context.Context, actor directory.Actor, r Request) (Created, error) {
	const op = "invite.Create"
	var out Created
	err := s.apply(ctx, op, func(try int) (*Change, error) {
		action := directory.InviteGuest
		switch {
		case r.ResetRedemption:
			action = directory.ResetRedemption
		case r.UserType == directory.Member:
			action = directory.InviteMember
		}
		sc, err := s.authorizedScene(ctx, op, actor, action)
		if err != nil {
			return nil, err
		}
		o, err := s.check(ctx, op, sc, actor, r)
		if err != nil {
			return nil, err
		}
		p := plan{service: s, op: op, scene: sc, actor: actor, order: o, audit: s.scribeFor(actor, sc.now), try: try}
		p.change.Tenant = actor.Tenant
		if r.ResetRedemption {
			err = p.reset(ctx, r.User)
		} else {
			err = p.invite(ctx)
		}
		out = p.out
		return &p.change, err
	})
	if err != nil {
		return Created{}, err
	}
	return out, nil
}

// A plan is one decision of [Service.Create] in the making.
type plan struct {
	service *Service
	op      string
	scene   scene
	actor   directory.Actor
	order   order
	audit   scribe
	try     int // from 0; later ones follow a stale snapshot

	change Change
	out    Created
}

// invite decides what an invitation means for whoever has the address.
func (p *plan) invite(ctx context.Context) error {
	u, err := p.service.store.UserByAddress(ctx, p.actor.Tenant, p.order.address)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return storeProblem(p.op, err)
	}
	found := err == nil
	if found {
		if err := p.checkExisting(u); err != nil {
			return err
		}
	}
	if err := p.checkDomain(); err != nil {
		return err
	}
	switch {
	case !found:
		return p.inviteNew(ctx)
	case u.State == directory.Accepted:
		return p.inviteAgain(u)
	default:
		return p.invitePending(ctx, u)
	}
}

// checkExisting refuses users who cannot be invited. Programs read the object
// id out of the first sentence, so it keeps the form "object ID: <id>.".
func (p *plan) checkExisting(u directory.User) error {
	switch {
	case u.State == directory.NotExternal:
		return &problem.Error{Op: p.op, Kind: problem.Invalid, Reason: problem.AlreadyInDirectory, Field: "invitedUserEmailAddress",
			Detail: fmt.Sprintf("The invited user already exists in the directory as object ID: %s. That account can be used as it is; there is nobody to invite.", u.ID)}
	case !u.Enabled:
		return &problem.Error{Op: p.op, Kind: problem.Invalid, Reason: problem.AccountDisabled, Field: "invitedUserEmailAddress",
			Detail: fmt.Sprintf("The invited user already exists in the directory as object ID: %s, but the account is blocked from signing in. Enable it, then invite again.", u.ID)}
	default:
		return nil
	}
}

// checkDomain refuses the tenant's own domains and those on its list.
func (p *plan) checkDomain() error {
	domain := p.order.address.Domain
	if p.scene.tenant.HasVerifiedDomain(domain) {
		return &problem.Error{Op: p.op, Kind: problem.Invalid, Reason: problem.VerifiedDomain, Field: "invitedUserEmailAddress",
			Detail: fmt.Sprintf("Nobody from %s can be invited, because the domain of the email address is a verified domain of this directory. Add a member instead.", domain)}
	}
	return directory.CheckDomain(p.scene.policy, domain)
}

// inviteNew adds a guest.
func (p *plan) inviteNew(ctx context.Context) error {
	s := p.service
	guest := directory.NewGuest(p.scene.tenant, directory.UserID(s.newID()), p.order.address, p.order.displayName, p.order.userType, p.scene.now)
	guest.InvitedBy = p.actor.ID
	guest.Sponsors = p.order.sponsors
	if p.try > 0 {
		// Another guest may hold the UPN, and not the address any more.
		switch _, err := s.store.UserByUPN(ctx, p.actor.Tenant, guest.UPN); {
		case err == nil:
			guest.UPN = directory.DistinctGuestUPN(p.order.address, p.scene.tenant.InitialDomain, guest.ID)
		case !errors.Is(err, directory.ErrNotFound):
			return storeProblem(p.op, err)
		}
	}
	inv := p.invitation(guest)
	p.note(audit.AddUser, guest, Invitation{Email: inv.Email}, nil)
	p.note(audit.InviteExternal, guest, inv, nil)
	if len(guest.Sponsors) > 0 {
		p.note(audit.AddSponsor, guest, inv, map[string]string{"sponsor": string(guest.Sponsors[0])})
	}
	p.grant(guest, inv)
	if err := p.post(ctx, guest, &inv); err != nil {
		return err
	}
	p.change.NewUsers = []directory.User{guest}
	p.out.User, p.out.NewUser = guest, true
	return nil
}

// invitePending makes another invitation for a guest who has not redeemed yet.
func (p *plan) invitePending(ctx context.Context, guest directory.User) error {
	if p.scene.policy.OnResend == directory.SupersedeLinks {
		guest.Generation++
		p.change.CancelMail = append(p.change.CancelMail, guest.ID)
	}
	inv := p.invitation(guest)
	p.note(audit.InviteExternal, guest, inv, map[string]string{"existing": "pending"})
	p.grant(guest, inv)
	return p.replace(ctx, guest, inv)
}

// inviteAgain answers for a guest who accepted: nothing is left to redeem, and
// the link leads back to where the guest may go.
func (p *plan) inviteAgain(guest directory.User) error {
	inv := p.invitation(guest)
	inv.Accepted = guest.StateChanged
	if inv.Accepted.IsZero() {
		inv.Accepted = p.scene.now
	}
	url, err := p.service.issue(p.op, p.scene, guest, &inv)
	if err != nil {
		return err
	}
	p.note(audit.InviteExternal, guest, inv, map[string]string{"existing": "accepted"})
	p.grant(guest, inv)
	p.change.NewInvitations = []Invitation{inv}
	p.out = Created{Invitation: inv, User: guest, RedeemURL: url}
	return nil
}

// replace stores a changed guest with a new invitation. The guest's row is
// written even if nothing in it changed: two calls at once then find each
// other, and the sending limits hold.
func (p *plan) replace(ctx context.Context, guest directory.User, inv Invitation) error {
	if err := p.post(ctx, guest, &inv); err != nil {
		return err
	}
	p.change.Users = []directory.User{guest}
	guest.Version++
	p.out.User = guest
	return nil
}

// post gives inv its ticket, adds it to the change and queues its mail if that
// was asked for.
func (p *plan) post(ctx context.Context, guest directory.User, inv *Invitation) error {
	s := p.service
	if p.order.send {
		if err := s.checkLimits(ctx, p.op, p.scene, inv.Email, p.actor.ID); err != nil {
			return err
		}
	}
	url, err := s.issue(p.op, p.scene, guest, inv)
	if err != nil {
		return err
	}
	if p.order.send {
		if err := s.write(ctx, p.op, posting{p.scene, &p.change, guest, inv, url, p.actor.ID, p.audit}); err != nil {
			return err
		}
	}
	p.change.NewInvitations = []Invitation{*inv}
	p.out.Invitation, p.out.RedeemURL = *inv, url
	return nil
}

// invitation returns the invitation that was ordered, without ticket and mail.
func (p *plan) invitation(guest directory.User) Invitation {
	o := p.order
	inv := Invitation{
		Tenant: p.actor.Tenant, ID: ID(p.service.newID()), User: guest.ID,
		Email: o.address, DisplayName: o.displayName, UserType: o.userType, RedirectURL: o.redirect,
		SendMessage: o.send, Message: o.message, Language: o.language, CC: o.cc, CCName: o.ccName,
		InviterID: p.actor.ID, InviterMail: p.actor.Mail,
		Generation: guest.Generation, Created: p.scene.now,
	}
	if !p.actor.Application {
		inv.InviterName = p.actor.DisplayName
	}
	return inv
}

// grant assigns the groups, roles and apps that were ordered.
func (p *plan) grant(guest directory.User, inv Invitation) {
	for _, g := range p.order.groups {
		p.change.AddMembers = append(p.change.AddMembers, directory.Membership{Group: g.ID, User: guest.ID})
		p.note(audit.AddMember, guest, inv, map[string]string{"group": string(g.ID), "groupName": g.DisplayName})
	}
	for _, r := range p.order.roles {
		p.change.AddRoles = append(p.change.AddRoles, directory.RoleAssignment{Role: r.ID, User: guest.ID})
		p.note(audit.AddRoleMember, guest, inv, map[string]string{"role": string(r.ID), "roleName": r.DisplayName})
	}
	for _, a := range p.order.apps {
		p.change.AddApps = append(p.change.AddApps, directory.AppAssignment{
			ID: p.service.newID(), App: a.ID, AppRole: directory.DefaultAppRole, User: guest.ID, Created: p.scene.now,
		})
		p.note(audit.AssignApp, guest, inv, map[string]string{"app": string(a.ID), "appName": a.DisplayName})
	}
}

// note adds an audit event.
func (p *plan) note(a audit.Activity, guest directory.User, inv Invitation, details map[string]string) {
	p.change.Audit = append(p.change.Audit, p.audit.event(a, guest, inv, details))
}
