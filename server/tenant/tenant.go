// Package tenant administers the directory: users, groups, roles, apps,
// policies and home organisations.
//
// Like package invite it decides and hands the store whole changes. It does
// not invite and does not sign anyone in.
package tenant

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// Options configures a [Service].
type Options struct {
	Store     Store            // required
	Now       func() time.Time // required
	NewID     func() string    // required; UUIDv7
	NewSecret func() string    // at least 128 random bits; nil means rand.Text
}

// Service administers tenants. It is safe for concurrent use. Every method
// that takes an actor works in the actor's tenant and refuses, with a Denied
// problem, what the actor may not do.
type Service struct {
	store     Store
	clock     func() time.Time
	newID     func() string
	newSecret func() string
}

// New returns a service, or an error that names the option at fault.
func New(o Options) (*Service, error) {
	switch {
	case o.Store == nil:
		return nil, errors.New("tenant: Options.Store is nil")
	case o.Now == nil:
		return nil, errors.New("tenant: Options.Now is nil")
	case o.NewID == nil:
		return nil, errors.New("tenant: Options.NewID is nil")
	}
	if o.NewSecret == nil {
		o.NewSecret = rand.Text
	}
	return &Service{store: o.Store, clock: o.Now, newID: o.NewID, newSecret: o.NewSecret}, nil
}

// now returns the time as rows keep it: UTC, whole milliseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// Tenant returns the actor's tenant. Everybody in it may know it.
func (s *Service) Tenant(ctx context.Context, actor directory.Actor) (directory.Tenant, error) {
	t, err := s.store.Tenant(ctx, actor.Tenant)
	if err != nil {
		return directory.Tenant{}, storeProblem("tenant.Tenant", "There is no such tenant.", err)
	}
	return t, nil
}

// TenantByName finds a tenant by id or verified domain, ignoring case. It
// needs no actor: token requests name a tenant before anyone is known.
func (s *Service) TenantByName(ctx context.Context, idOrDomain string) (directory.Tenant, error) {
	const op = "tenant.TenantByName"
	t, err := s.store.Tenant(ctx, directory.TenantID(strings.ToLower(idOrDomain)))
	if err == nil || !errors.Is(err, directory.ErrNotFound) {
		return t, storeProblem(op, "", err)
	}
	after := directory.TenantID("")
	for {
		page, err := s.store.Tenants(ctx, after, maxPage)
		if err != nil {
			return directory.Tenant{}, storeProblem(op, "", err)
		}
		for _, t := range page {
			if t.HasVerifiedDomain(idOrDomain) {
				return t, nil
			}
			after = t.ID
		}
		if len(page) < maxPage {
			return directory.Tenant{}, notFound(op, "There is no tenant with this id or domain.")
		}
	}
}

// Sole returns the tenant of a server that has one; NotFound if it has none or
// several.
func (s *Service) Sole(ctx context.Context) (directory.Tenant, error) {
	const op = "tenant.Sole"
	page, err := s.store.Tenants(ctx, "", 2)
	if err != nil {
		return directory.Tenant{}, storeProblem(op, "", err)
	}
	if len(page) != 1 {
		return directory.Tenant{}, notFound(op, "This server has not exactly one tenant. Name the tenant by id or domain.")
	}
	return page[0], nil
}

// Events returns the audit events of the tenant, newest first.
func (s *Service) Events(ctx context.Context, actor directory.Actor, q EventQuery) ([]audit.Event, error) {
	const op = "tenant.Events"
	if err := s.authorize(ctx, op, actor, directory.ReadAudit); err != nil {
		return nil, err
	}
	q.Limit = pageSize(q.Limit)
	events, err := s.store.ListEvents(ctx, actor.Tenant, q)
	return events, storeProblem(op, "", err)
}

// authorize reads the policy and refuses an actor who may not do a.
func (s *Service) authorize(ctx context.Context, op string, actor directory.Actor, a directory.Action) error {
	p, err := s.store.Policy(ctx, actor.Tenant)
	if err != nil {
		return storeProblem(op, "There is no such tenant.", err)
	}
	return actor.Authorize(a, p)
}

// maxTries is how often an operation decides anew on a stale snapshot.
const maxTries = 5

// apply decides by plan and hands the result to the store until it is not
// stale. A plan without a change means there is nothing to do.
func (s *Service) apply(ctx context.Context, op string, plan func() (*directory.Change, error)) error {
	for range maxTries {
		c, err := plan()
		if err != nil {
			return err
		}
		if c == nil {
			return nil
		}
		if err := s.store.ApplyDirectory(ctx, *c); !errors.Is(err, directory.ErrStale) {
			return storeProblem(op, "", err)
		}
	}
	return &problem.Error{Op: op, Kind: problem.Unavailable, Reason: problem.Busy, RetryAfter: time.Second,
		Detail: "The object was changed by others at the same time, again and again. Try once more."}
}

// event returns one audit event of an actor.
func (s *Service) event(actor directory.Actor, a audit.Activity, u directory.User, details map[string]string) audit.Event {
	name := u.Mail
	if name == "" {
		name = u.UPN
	}
	correlation := actor.Correlation
	if correlation == "" {
		correlation = s.newID()
	}
	return audit.Event{
		ID: s.newID(), Tenant: string(actor.Tenant), At: s.now(), Activity: a, Result: audit.Success,
		Actor: actor.ID, ActorName: actor.Name, Target: string(u.ID), TargetName: name, Correlation: correlation, Details: details,
	}
}

// DefaultPage is how many rows a list returns unless asked otherwise.
const DefaultPage = 100

// maxPage is the most rows a list returns.
const maxPage = 999

// pageSize returns limit within its bounds.
func pageSize(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return min(limit, maxPage)
}

// storeProblem translates what a store answers; nil stays nil. missing is said
// of a row that is not there.
func storeProblem(op, missing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, directory.ErrNotFound):
		if missing == "" {
			missing = "There is no such object in this tenant."
		}
		return notFound(op, missing)
	case errors.Is(err, directory.ErrFull):
		return &problem.Error{Op: op, Kind: problem.Full, Reason: problem.StorageFull, Detail: "There is no space left to store this. Free some and try again.", Err: err}
	case errors.Is(err, directory.ErrBusy):
		return &problem.Error{Op: op, Kind: problem.Unavailable, Reason: problem.Busy, RetryAfter: time.Second, Detail: "The store is busy. Try again in a moment.", Err: err}
	default:
		return &problem.Error{Op: op, Kind: problem.Internal, Detail: "internal error", Err: err}
	}
}

// notFound returns a NotFound problem.
func notFound(op, detail string) error {
	return &problem.Error{Op: op, Kind: problem.NotFound, Reason: problem.Missing, Detail: detail}
}

// conflict returns a Conflict problem.
func conflict(op string, r problem.Reason, format string, args ...any) error {
	return &problem.Error{Op: op, Kind: problem.Conflict, Reason: r, Detail: fmt.Sprintf(format, args...)}
}
