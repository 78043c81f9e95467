package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"invited/server/directory"
	"invited/server/invite"
)

// Plan is a change, ready to run: every value is already in the form in which
// it is stored, so that the transaction does nothing but execute statements.
type Plan struct {
	steps []step
	err   error // why it must not run
}

// step is one statement, or a few that belong together.
type step func(ctx context.Context, q *Queries) error

// Run executes the plan on a transaction. If it fails, the transaction must be
// rolled back. Errors are those of package directory or of the engine.
func (p *Plan) Run(ctx context.Context, db DBTX) error {
	if p.err != nil {
		return p.err
	}
	q := New(db)
	for _, s := range p.steps {
		if err := s(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// Err returns why the plan cannot run: a row of it belongs to another tenant.
func (p *Plan) Err() error { return p.err }

func (p *Plan) add(s ...step) { p.steps = append(p.steps, s...) }

// each adds one step for every item of l.
func each[T any](p *Plan, l []T, s func(T) step) {
	for _, v := range l {
		p.add(s(v))
	}
}

// owned refuses the plan if a row belongs to another tenant than the change:
// no mistake of a caller may move a row between tenants.
func (p *Plan) owned(what, id string, got, want directory.TenantID) {
	if got != want && p.err == nil {
		p.err = fmt.Errorf("sqlstore: %s %q is of tenant %q in a change of tenant %q", what, id, got, want)
	}
}

// PlanInvitation plans a change with the invitations and the mail it causes.
func PlanInvitation(c invite.Change) *Plan {
	p := PlanDirectory(c.Change)
	for _, i := range c.NewInvitations {
		p.owned("invitation", string(i.ID), i.Tenant, c.Tenant)
		p.add(newInvitation(i))
	}
	for _, i := range c.Invitations {
		p.owned("invitation", string(i.ID), i.Tenant, c.Tenant)
		p.add(replaceInvitation(i))
	}
	each(p, c.Mail, func(l invite.Letter) step { return queue(c.Tenant, l) })
	each(p, c.Blocks, func(b invite.Block) step { return addBlock(c.Tenant, b) })
	each(p, c.Unblock, func(key string) step { return dropBlock(c.Tenant, key) })
	each(p, c.Returned, func(m invite.Returned) step { return returned(c.Tenant, m) })
	each(p, c.Suppress, func(s invite.Suppression) step { return suppress(c.Tenant, s) })
	each(p, c.Lift, func(key string) step { return lift(c.Tenant, key) })
	if c.Passcode != nil {
		p.add(putPasscode(c.Tenant, *c.Passcode))
	}
	return p
}

// PlanDirectory plans a change of the directory. The steps are in an order in
// which none depends on a later one: what frees a name comes before what takes
// it, what is referred to before what refers to it.
func PlanDirectory(c directory.Change) *Plan {
	p := &Plan{}
	t := c.Tenant
	if t == "" {
		p.err = errors.New("sqlstore: the change names no tenant")
		return p
	}
	each(p, c.Purge, func(u directory.UserID) step { return purge(t, u) })
	for _, u := range c.Users {
		p.owned("user", string(u.ID), u.Tenant, t)
		p.add(replaceUser(u))
	}
	for _, u := range c.NewUsers {
		p.owned("user", string(u.ID), u.Tenant, t)
		p.add(newUser(u))
	}
	for _, g := range c.NewGroups {
		p.owned("group", string(g.ID), g.Tenant, t)
		p.add(newGroup(g))
	}
	for _, a := range c.NewApps {
		p.owned("app", string(a.ID), a.Tenant, t)
		p.add(newApp(a))
	}
	p.assignments(c)
	if c.Policy != nil {
		p.owned("policy", string(t), c.Policy.Tenant, t)
		p.add(replacePolicy(*c.Policy))
	}
	p.homes(c)
	each(p, c.CancelMail, func(u directory.UserID) step { return cancelMail(t, u) })
	for _, e := range c.Audit {
		p.owned("audit event", e.ID, directory.TenantID(e.Tenant), t)
		p.add(newEvent(e))
	}
	return p
}

// PlanTenant plans a new tenant with its policy.
func PlanTenant(t directory.Tenant, pol directory.Policy) *Plan {
	p := &Plan{}
	p.owned("policy", string(t.ID), pol.Tenant, t.ID)
	p.add(newTenant(t), newPolicy(pol))
	return p
}

// PlanApplication plans a new client application.
func PlanApplication(a directory.Application) *Plan {
	p := &Plan{}
	p.add(newApplication(a))
	return p
}

// PlanViews plans to add v to what is stored of an invitation.
func PlanViews(t directory.TenantID, id invite.ID, v invite.Views) *Plan {
	p := &Plan{}
	p.add(countViews(t, id, v))
	return p
}

// changed answers ErrStale if a conditional statement met no row.
func changed(rows int64, err error, what, id string) error {
	if err == nil && rows == 0 {
		return fmt.Errorf("%w: %s %s", directory.ErrStale, what, id)
	}
	return err
}
