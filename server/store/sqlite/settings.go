package sqlite

import (
	"context"
	"slices"
	"sync"

	"invited/server/directory"
)

// settings remembers tenants and their policies, which nearly every request
// reads and hardly any changes. It never shows what is out of date: the
// database has one owner, so every change passes by here.
type settings struct {
	mu       sync.RWMutex
	pending  int   // changes that are being made
	changes  int64 // grows with every change, so that what was read before it is not kept
	tenants  map[directory.TenantID]directory.Tenant
	policies map[directory.TenantID]directory.Policy
}

// changing is called before a change and returns what to call after it. In
// between nothing is remembered, because the database may be ahead of it.
func (s *settings) changing() (done func()) {
	step := func(pending int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending += pending
		s.changes++
		s.tenants, s.policies = map[directory.TenantID]directory.Tenant{}, map[directory.TenantID]directory.Policy{}
	}
	step(1)
	return func() { step(-1) }
}

// remembered returns what from has for a tenant, else what read returns.
func remembered[T any](ctx context.Context, s *settings, from func() map[directory.TenantID]T, id directory.TenantID,
	read func(context.Context, directory.TenantID) (T, error)) (T, error) {
	s.mu.RLock()
	v, ok := from()[id]
	changes := s.changes
	s.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := read(ctx, id)
	if err != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == 0 && s.changes == changes {
		from()[id] = v
	}
	return v, nil
}

// Tenant returns a tenant.
func (s *Store) Tenant(ctx context.Context, id directory.TenantID) (directory.Tenant, error) {
	t, err := remembered(ctx, &s.settings, func() map[directory.TenantID]directory.Tenant { return s.settings.tenants }, id, s.Reader.Tenant)
	t.Domains = slices.Clone(t.Domains)
	return t, err
}

// Policy returns a tenant's policy.
func (s *Store) Policy(ctx context.Context, id directory.TenantID) (directory.Policy, error) {
	p, err := remembered(ctx, &s.settings, func() map[directory.TenantID]directory.Policy { return s.settings.policies }, id, s.Reader.Policy)
	p.AllowedDomains, p.BlockedDomains = slices.Clone(p.AllowedDomains), slices.Clone(p.BlockedDomains)
	p.RedirectHosts, p.Providers = slices.Clone(p.RedirectHosts), slices.Clone(p.Providers)
	return p, err
}
