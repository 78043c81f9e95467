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

// Redemption is where a guest stands who followed a link.
type Redemption struct {
	Claims     Claims
	Tenant     directory.Tenant
	Guest      directory.User
	Invitation Invitation
	State      State // StateAccepted is no refusal: the link is the way back
	SignIn     directory.Decision
}

// Open verifies a link and says what it leads to. It has no effect: scanners
// follow links, too. invitation is the invitation id in the URL, empty if the
// URL has none. A ticket that is not ours is refused with LinkInvalid before
// anything is read. A refusal is a problem with a reason; the redemption then
// holds what was known by that time, for the page that explains it.
func (s *Service) Open(ctx context.Context, tenant directory.TenantID, invitation, ticket string) (Redemption, error) {
	const op = "invite.Open"
	c, err := s.tickets.Verify(ticket)
	expired := errors.Is(err, ErrTicketExpired)
	if err != nil && !expired {
		return Redemption{}, refuse(op, problem.LinkInvalid, err)
	}
	switch {
	case tenant != "" && tenant != c.Tenant:
		return Redemption{Claims: c}, refuse(op, problem.WrongTenant, nil)
	case invitation != "" && ID(invitation) != c.Invitation:
		return Redemption{Claims: c}, refuse(op, problem.LinkInvalid, nil)
	}
	return s.judge(ctx, op, c, expired)
}

// Resume is [Service.Open] for a guest whose ticket was verified before and
// whose claims come out of a sealed session. Everything else is read again.
func (s *Service) Resume(ctx context.Context, c Claims) (Redemption, error) {
	return s.judge(ctx, "invite.Resume", c, false)
}

// judge is the one place that decides whether claims may go on. The order of
// its checks is the order of the reasons people are told.
func (s *Service) judge(ctx context.Context, op string, c Claims, expired bool) (Redemption, error) {
	r := Redemption{Claims: c}
	sc, err := s.scene(ctx, op, c.Tenant)
	if problem.Is(err, problem.NotFound) {
		return r, refuse(op, problem.LinkInvalid, err)
	}
	if err != nil {
		return r, err
	}
	r.Tenant = sc.tenant
	if err := s.readRows(ctx, op, c, &r); err != nil {
		return r, err
	}
	r.State = r.Invitation.StateAt(r.Guest, sc.now)
	switch dead, err := s.deadLink(ctx, op, c, r); {
	case err != nil:
		return r, err
	case dead != problem.NoReason:
		return r, refuse(op, dead, nil)
	}
	if !r.Guest.Enabled {
		return r, refuse(op, problem.AccountDisabled, nil)
	}
	if r.SignIn, err = s.signIn(ctx, op, sc, r.Invitation.Email); err != nil {
		return r, err
	}
	accepted := r.Guest.State == directory.Accepted
	if accepted {
		r.State = StateAccepted
	}
	expired = expired || past(c.Expires, sc.now) || r.State == StateExpired
	switch {
	// An old link still shows an accepted guest the way, unless the link
	// itself is all the proof there is.
	case expired && (!accepted || r.SignIn.Method == directory.MethodLink):
		r.State = StateExpired
		return r, refuse(op, problem.LinkExpired, nil)
	case !accepted && directory.CheckDomain(sc.policy, r.Invitation.Email.Domain) != nil:
		return r, refuse(op, problem.DomainBlocked, nil)
	case r.SignIn.Refused():
		return r, refuse(op, r.SignIn.Reason, nil)
	}
	return r, nil
}

// past reports whether a lifetime is over. Zero never is.
func past(expires, now time.Time) bool { return !expires.IsZero() && !now.Before(expires) }

// readRows reads guest and invitation and holds them against the claims.
func (s *Service) readRows(ctx context.Context, op string, c Claims, r *Redemption) (err error) {
	switch r.Guest, err = s.store.User(ctx, c.Tenant, c.User); {
	case errors.Is(err, directory.ErrNotFound):
		r.State = StateDeleted
		return refuse(op, problem.GuestDeleted, err)
	case err != nil:
		return storeProblem(op, err)
	}
	switch r.Invitation, err = s.store.Invitation(ctx, c.Tenant, c.Invitation); {
	case errors.Is(err, directory.ErrNotFound), err == nil && r.Invitation.User != r.Guest.ID:
		r.Invitation = Invitation{}
		return refuse(op, problem.LinkInvalid, err)
	case err != nil:
		return storeProblem(op, err)
	}
	// The two are read one after the other. If somebody accepted in between,
	// the guest is the older one; together they would be no moment that ever was.
	if r.Guest.State == directory.Pending && !r.Invitation.Accepted.IsZero() && r.Invitation.Generation == r.Guest.Generation {
		if r.Guest, err = s.store.User(ctx, c.Tenant, c.User); err != nil {
			return storeProblem(op, err)
		}
	}
	return nil
}

// deadLink returns why a link is dead for good, or no reason.
func (s *Service) deadLink(ctx context.Context, op string, c Claims, r Redemption) (problem.Reason, error) {
	switch {
	case !r.Guest.Deleted.IsZero():
		return problem.GuestDeleted, nil
	case !r.Invitation.Revoked.IsZero():
		return problem.LinkRevoked, nil
	case c.Generation == r.Guest.Generation:
		return problem.NoReason, nil
	}
	// The generation was raised. By whom, the latest invitation tells.
	last, err := s.store.LatestInvitation(ctx, c.Tenant, c.User)
	if err != nil {
		return problem.NoReason, storeProblem(op, err)
	}
	if last.Generation != r.Guest.Generation && !last.Revoked.IsZero() {
		return problem.LinkRevoked, nil
	}
	return problem.LinkReplaced, nil
}

// signIn decides who signs in the holder of an address.
func (s *Service) signIn(ctx context.Context, op string, sc scene, a mail.Address) (directory.Decision, error) {
	facts, err := s.signInFacts(ctx, op, sc, a)
	if err != nil {
		return directory.Decision{}, err
	}
	return directory.DecideSignIn(facts), nil
}

// signInFacts gathers what that decision looks at.
func (s *Service) signInFacts(ctx context.Context, op string, sc scene, a mail.Address) (directory.SignInFacts, error) {
	facts := directory.SignInFacts{
		Address: a, Rules: sc.policy.Rules, Providers: sc.policy.Providers, Fallback: sc.policy.Fallback, Emulator: s.mode.Emulator,
	}
	home, account, err := s.store.Home(ctx, sc.tenant.ID, a)
	switch {
	case err == nil:
		facts.Home, facts.Account = &home, account
	case !errors.Is(err, directory.ErrNotFound):
		return facts, storeProblem(op, err)
	}
	return facts, nil
}

// Accept records the guest's consent, given after signing in by the method
// that [Redemption.SignIn] asked for. It is one conditional change: however
// many calls race, one of them accepts and writes the event, and all return
// the same answer.
func (s *Service) Accept(ctx context.Context, c Claims, signedIn directory.Method) (Redemption, error) {
	const op = "invite.Accept"
	var before, out Redemption
	err := s.apply(ctx, op, func(int) (*Change, error) {
		r, err := s.judge(ctx, op, c, false)
		before, out = r, r
		if err != nil {
			return nil, err
		}
		if signedIn != r.SignIn.Method {
			return nil, &problem.Error{Op: op, Kind: problem.Denied, Reason: problem.SessionExpired,
				Detail: "The way to sign in has changed meanwhile. Open the link in the mail again."}
		}
		if r.State == StateAccepted {
			return nil, nil
		}
		change := s.planAccept(&r)
		out = r
		return change, nil
	})
	if err != nil {
		s.recordRefusal(ctx, c, before, err)
		return before, err
	}
	return out, nil
}

// planAccept decides an acceptance and turns r into what will be.
func (s *Service) planAccept(r *Redemption) *Change {
	now := s.now()
	guest, inv := r.Guest, r.Invitation
	guest.State = directory.Accepted
	guest.StateChanged = now
	guest.Identities = []directory.Identity{directory.SignedInIdentity(r.SignIn.Method, inv.Email)}
	inv.Accepted = now

	w := s.scribeForGuest(guest.Tenant, inv.Email, now)
	c := Change{
		Change: directory.Change{
			Tenant: guest.Tenant,
			Users:  []directory.User{guest},
			// What still waits, such as a resent mail that is deferred, would
			// ask somebody in who is in.
			CancelMail: []directory.UserID{guest.ID},
			Audit: []audit.Event{
				w.event(audit.UpdateUser, guest, inv, map[string]string{"externalUserState": string(guest.State)}),
				w.event(audit.RedeemInvite, guest, inv, map[string]string{"signIn": string(r.SignIn.Method)}),
			},
		},
		Invitations: []Invitation{inv},
	}
	if r.SignIn.JustInTime {
		c.AddHomeAccounts = []mail.Address{inv.Email}
		r.SignIn.JustInTime = false // from now on the account exists
	}
	guest.Version++
	inv.Version++
	r.Guest, r.Invitation, r.State = guest, inv, StateAccepted
	return &c
}

// Decline records that the guest pressed Cancel. The guest may still change
// their mind and accept. Declining twice is one event.
func (s *Service) Decline(ctx context.Context, c Claims) (Redemption, error) {
	const op = "invite.Decline"
	var before, out Redemption
	err := s.apply(ctx, op, func(int) (*Change, error) {
		r, err := s.judge(ctx, op, c, false)
		before, out = r, r
		switch {
		case err != nil:
			return nil, err
		case r.State == StateAccepted:
			return nil, &problem.Error{Op: op, Kind: problem.Conflict, Reason: problem.AlreadyAccepted, Detail: "You have accepted already. To leave, ask the organisation to remove your account."}
		case r.State == StateDeclined:
			return nil, nil
		}
		now := s.now()
		inv := r.Invitation
		inv.Declined = now
		w := s.scribeForGuest(inv.Tenant, inv.Email, now)
		change := &Change{
			Change: directory.Change{
				Tenant: inv.Tenant,
				Audit:  []audit.Event{w.event(audit.DeclineInvite, r.Guest, inv, nil)},
			},
			Invitations: []Invitation{inv},
		}
		inv.Version++
		out.Invitation, out.State = inv, StateDeclined
		return change, nil
	})
	if err != nil {
		return before, err
	}
	return out, nil
}

// MyApps returns the apps of a guest who accepted.
func (s *Service) MyApps(ctx context.Context, tenant directory.TenantID, user directory.UserID) ([]directory.App, directory.User, directory.Tenant, error) {
	const op = "invite.MyApps"
	t, err := s.store.Tenant(ctx, tenant)
	if err != nil {
		return nil, directory.User{}, t, storeProblem(op, err)
	}
	u, err := s.store.User(ctx, tenant, user)
	switch {
	case errors.Is(err, directory.ErrNotFound), err == nil && !u.Deleted.IsZero():
		return nil, u, t, refuse(op, problem.GuestDeleted, err)
	case err != nil:
		return nil, u, t, storeProblem(op, err)
	case !u.Enabled:
		return nil, u, t, refuse(op, problem.AccountDisabled, nil)
	case u.State == directory.Pending:
		return nil, u, t, refuse(op, problem.LinkOpened, nil)
	}
	apps, err := s.store.UserApps(ctx, tenant, user)
	if err != nil {
		return nil, u, t, storeProblem(op, err)
	}
	return apps, u, t, nil
}

// refusals says of each reason to refuse a link what kind of failure it is,
// and one sentence. The pages have more words.
var refusals = map[problem.Reason]struct {
	kind   problem.Kind
	detail string
}{
	problem.LinkInvalid:     {problem.Gone, "This link is not valid."},
	problem.WrongTenant:     {problem.Gone, "This link belongs to another organisation."},
	problem.LinkExpired:     {problem.Gone, "This link has expired. Ask for a new one."},
	problem.LinkRevoked:     {problem.Gone, "This invitation was withdrawn. Ask whoever invited you."},
	problem.LinkReplaced:    {problem.Gone, "A newer invitation has taken the place of this one. Use the link in the newest mail."},
	problem.GuestDeleted:    {problem.Gone, "The guest account for this invitation was deleted. Ask whoever invited you."},
	problem.AccountDisabled: {problem.Denied, "The guest account is blocked from signing in. Ask whoever invited you."},
	problem.DomainBlocked:   {problem.Denied, "The organisation no longer allows guests from this domain. Ask whoever invited you."},
	problem.JITDisabled:     {problem.Denied, "Your organisation does not let accounts be created on first sign-in. Its administrator can allow email-verified users or create your account."},
	problem.HomeFederated:   {problem.Denied, "AADB2B_0001: your organisation runs its own sign-in and has no account for you. Its administrator can create the account."},
	problem.NoSignIn:        {problem.Denied, "There is no way to sign in with this address. Ask whoever invited you."},
	problem.LinkOpened:      {problem.Denied, "The invitation was not accepted yet. Open the link in the mail."},
}

// refuse returns the problem for a reason in refusals.
func refuse(op string, r problem.Reason, cause error) error {
	f := refusals[r]
	return &problem.Error{Op: op, Kind: f.kind, Reason: r, Detail: f.detail, Err: cause}
}

// audited are the refusals that an administrator should find in the audit log.
// They are written when a guest acts, never when a link is merely opened.
var audited = map[problem.Reason]bool{
	problem.JITDisabled: true, problem.HomeFederated: true, problem.NoSignIn: true,
	problem.DomainBlocked: true, problem.AccountDisabled: true,
}

// recordRefusal writes the refusal of an acceptance to the audit log. The guest
// gets the same answer whether that works or not.
func (s *Service) recordRefusal(ctx context.Context, c Claims, r Redemption, refusal error) {
	reason := problem.Of(refusal).Reason
	if !audited[reason] {
		return
	}
	w := s.scribeForGuest(c.Tenant, r.Invitation.Email, s.now())
	e := w.event(audit.RefuseRedeem, r.Guest, r.Invitation, nil)
	e.Result, e.Reason = audit.Failure, string(reason)
	_ = s.store.ApplyInvitation(ctx, Change{Change: directory.Change{Tenant: c.Tenant, Audit: []audit.Event{e}}})
}
