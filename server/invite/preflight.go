package invite

import (
	"context"
	"errors"
	"fmt"

	"invited/mail"
	"invited/server/directory"
	"invited/server/problem"
)

// Preflight says what would become of an invitation, before anybody is invited.
type Preflight struct {
	Tenant   directory.Tenant
	Address  mail.Address   // zero if it cannot be read
	Existing directory.User // whoever has the address already; zero: nobody
	SignIn   directory.Decision
	Rule     string  // by which it was decided, in words
	Checks   []Check // all that could be made, in order

	Invitable  bool           // inviting would be answered with an invitation
	Redeemable bool           // and the guest could sign in
	Reason     problem.Reason // of the first check that fails; NoReason: none does
	Detail     string         // of it
}

// Check is one thing that has to hold.
type Check struct {
	Name     string // policy, address, domain, existing, limits, mail or signIn
	OK       bool
	Reason   problem.Reason // set if it does not hold, or is worth knowing
	Detail   string         // a sentence for people; may be empty
	Evidence map[string]string
}

// Preflight goes through what [Service.Create] would check, and who would sign
// the guest in, without doing anything. Unlike Create it does not stop at the
// first refusal, except at that of the caller: who may not invite learns
// nothing about addresses.
func (s *Service) Preflight(ctx context.Context, actor directory.Actor, email string) (Preflight, error) {
	const op = "invite.Preflight"
	sc, err := s.scene(ctx, op, actor.Tenant)
	if err != nil {
		return Preflight{}, err
	}
	f := &flight{service: s, scene: sc, actor: actor, op: op, Preflight: Preflight{Tenant: sc.tenant, Invitable: true}}
	steps := []func(context.Context) error{f.existing, f.domain, f.limits, f.mail, f.signIn}
	if !f.check("policy", actor.Authorize(directory.InviteGuest, sc.policy), map[string]string{"allowInvitesFrom": string(sc.policy.InvitesFrom)}) || !f.address(email) {
		steps = nil
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return Preflight{}, err
		}
	}
	f.Redeemable = f.Invitable && steps != nil && !f.SignIn.Refused()
	return f.Preflight, nil
}

// A flight is a preflight in the making.
type flight struct {
	Preflight
	service *Service
	scene   scene
	actor   directory.Actor
	op      string
}

// check notes a check that inviting depends on, and returns whether it holds.
func (f *flight) check(name string, refusal error, evidence map[string]string) bool {
	c := Check{Name: name, OK: refusal == nil, Evidence: evidence}
	if refusal != nil {
		p := problem.Of(refusal)
		c.Reason, c.Detail = p.Reason, p.Detail
		f.Invitable = false
	}
	f.note(c)
	return c.OK
}

// note adds a check. The first that fails is what the answer is about.
func (f *flight) note(c Check) {
	f.Checks = append(f.Checks, c)
	if !c.OK && f.Reason == problem.NoReason {
		f.Reason, f.Detail = c.Reason, c.Detail
	}
}

// address reads the address.
func (f *flight) address(email string) bool {
	var o order
	err := f.service.checkEmail(f.op, Request{Email: email}, &o)
	evidence := map[string]string{"address": email}
	f.Address = o.address
	for _, w := range o.address.Warnings() {
		evidence["warning"] = string(w)
	}
	return f.check("address", err, evidence)
}

// domain looks at the domain list.
func (f *flight) domain(context.Context) error {
	f.check("domain", f.plan().checkDomain(), map[string]string{"domain": f.Address.Domain})
	return nil
}

// plan lends the checks of [Service.Create].
func (f *flight) plan() *plan {
	return &plan{service: f.service, op: f.op, scene: f.scene, actor: f.actor, order: order{address: f.Address}}
}

// existing looks at who has the address.
func (f *flight) existing(ctx context.Context) error {
	u, err := f.service.store.UserByAddress(ctx, f.actor.Tenant, f.Address)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		f.check("existing", nil, map[string]string{"user": "none"})
		return nil
	case err != nil:
		return storeProblem(f.op, err)
	}
	f.Existing = u
	evidence := map[string]string{"user": string(u.ID), "externalUserState": string(u.State)}
	if !f.check("existing", f.plan().checkExisting(u), evidence) {
		return nil
	}
	c := &f.Checks[len(f.Checks)-1]
	c.Detail = "The guest has not redeemed yet; inviting again mails another link to the same guest."
	if u.State == directory.Accepted {
		c.Reason, c.Detail = problem.AlreadyAccepted, "The guest has accepted already; no mail would be sent."
	}
	return nil
}

// limits looks at the sending limits.
func (f *flight) limits(ctx context.Context) error {
	err := f.service.checkLimits(ctx, f.op, f.scene, f.Address, f.actor.ID)
	if err != nil && !problem.Has(err, problem.RateLimited) {
		return err
	}
	f.check("limits", err, nil)
	return nil
}

// mail looks at whether the person wants any. Inviting works all the same, but
// the mail would be held back.
func (f *flight) mail(ctx context.Context) error {
	since, err := f.service.blockedSince(ctx, f.actor.Tenant, f.Address)
	if err != nil {
		return storeProblem(f.op, err)
	}
	c := Check{Name: "mail", OK: since.IsZero()}
	if !c.OK {
		c.Reason, c.Evidence = problem.RecipientBlocked, map[string]string{"blocked": stamp(since)}
		c.Detail = "The person asked not to be invited again. An invitation would be made, and no mail sent."
		f.note(c)
		return nil
	}
	entry, err := f.service.suppression(ctx, f.actor.Tenant, f.Address, f.scene.now)
	if err != nil {
		return storeProblem(f.op, err)
	}
	if entry.Key != "" {
		c.OK, c.Reason, c.Evidence = false, problem.RecipientSuppressed, entry.evidence()
		c.Detail = "The address is suppressed. An invitation would be made, and no mail sent until somebody lifts that."
	}
	f.note(c)
	return nil
}

// signIn looks at who would sign the guest in.
func (f *flight) signIn(ctx context.Context) error {
	facts, err := f.service.signInFacts(ctx, f.op, f.scene, f.Address)
	if err != nil {
		return err
	}
	f.SignIn, f.Rule = directory.DecideSignIn(facts), directory.ExplainSignIn(facts)
	c := Check{Name: "signIn", OK: !f.SignIn.Refused(), Reason: f.SignIn.Reason, Evidence: map[string]string{"rule": f.Rule}}
	if c.OK {
		c.Evidence["method"] = string(f.SignIn.Method)
	} else {
		c.Detail = refusals[f.SignIn.Reason].detail
	}
	if h := f.SignIn.Home; h != nil {
		c.Evidence["home"] = h.Domain
		c.Evidence["allowEmailVerifiedUsers"] = fmt.Sprint(h.AllowEmailVerifiedUsers)
		c.Evidence["federated"] = fmt.Sprint(h.Federated)
	}
	f.note(c)
	return nil
}
