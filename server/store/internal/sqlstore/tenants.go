package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"time"

	"invited/server/directory"
)

// Tenant returns a tenant.
func (r *Reader) Tenant(ctx context.Context, id directory.TenantID) (directory.Tenant, error) {
	return one(ctx, r, r.q.tenantByID, string(id), tenantOf)
}

// Tenants lists the tenants by id.
func (r *Reader) Tenants(ctx context.Context, after directory.TenantID, limit int) ([]directory.Tenant, error) {
	return many(ctx, r, r.q.tenants, tenantsParams{After: string(after), MaxRows: pageSize(limit)}, tenantOf)
}

// Policy returns a tenant's policy.
func (r *Reader) Policy(ctx context.Context, id directory.TenantID) (directory.Policy, error) {
	return one(ctx, r, r.q.policy, string(id), policyOf)
}

// Application returns the client application with a client id.
func (r *Reader) Application(ctx context.Context, t directory.TenantID, clientID string) (directory.Application, error) {
	return one(ctx, r, r.q.application, applicationParams{Tenant: string(t), ClientID: clientID}, applicationOf)
}

func tenantOf(row Tenant) (directory.Tenant, error) {
	t := directory.Tenant{
		ID:             directory.TenantID(row.ID),
		DisplayName:    row.DisplayName,
		PrimaryDomain:  row.PrimaryDomain,
		InitialDomain:  row.InitialDomain,
		Language:       row.Language,
		PrivacyURL:     row.PrivacyUrl,
		PrivacyContact: row.PrivacyContact,
		Created:        moment(row.CreatedAt),
	}
	return t, parse("tenants.domains", row.Domains, &t.Domains)
}

func newTenant(t directory.Tenant) step {
	row := insertTenantParams{
		ID:             string(t.ID),
		DisplayName:    t.DisplayName,
		PrimaryDomain:  t.PrimaryDomain,
		InitialDomain:  t.InitialDomain,
		Domains:        list(t.Domains),
		Language:       t.Language,
		PrivacyUrl:     t.PrivacyURL,
		PrivacyContact: t.PrivacyContact,
		CreatedAt:      micros(t.Created),
	}
	return func(ctx context.Context, q *Queries) error { return q.insertTenant(ctx, row) }
}

func policyOf(row Policy) (directory.Policy, error) {
	p := directory.Policy{
		Tenant:       directory.TenantID(row.Tenant),
		InvitesFrom:  directory.InvitesFrom(row.InvitesFrom),
		Rules:        directory.Rules(row.Rules),
		Fallback:     directory.Fallback(row.Fallback),
		CodeLifetime: time.Duration(row.CodeLifetimeUs) * time.Microsecond,
		OnResend:     directory.OnResend(row.OnResend),
		LinkLifetime: time.Duration(row.LinkLifetimeUs) * time.Microsecond,
		Limits: directory.Limits{
			RecipientPer5Min: int(row.RecipientPer5Min),
			RecipientPerDay:  int(row.RecipientPerDay),
			DomainPerHour:    int(row.DomainPerHour),
			InviterPerMinute: int(row.InviterPerMinute),
			InviterPerDay:    int(row.InviterPerDay),
			TenantPerDay:     int(row.TenantPerDay),
		},
		Version: row.Version,
	}
	return p, errors.Join(
		parse("policies.allowed_domains", row.AllowedDomains, &p.AllowedDomains),
		parse("policies.blocked_domains", row.BlockedDomains, &p.BlockedDomains),
		parse("policies.redirect_hosts", row.RedirectHosts, &p.RedirectHosts),
		parse("policies.providers", row.Providers, &p.Providers),
	)
}

func policyRow(p directory.Policy) insertPolicyParams {
	return insertPolicyParams{
		Tenant:           string(p.Tenant),
		InvitesFrom:      string(p.InvitesFrom),
		AllowedDomains:   list(p.AllowedDomains),
		BlockedDomains:   list(p.BlockedDomains),
		RedirectHosts:    list(p.RedirectHosts),
		Fallback:         string(p.Fallback),
		OnResend:         string(p.OnResend),
		LinkLifetimeUs:   p.LinkLifetime.Microseconds(),
		RecipientPer5Min: int64(p.Limits.RecipientPer5Min),
		RecipientPerDay:  int64(p.Limits.RecipientPerDay),
		DomainPerHour:    int64(p.Limits.DomainPerHour),
		InviterPerMinute: int64(p.Limits.InviterPerMinute),
		InviterPerDay:    int64(p.Limits.InviterPerDay),
		TenantPerDay:     int64(p.Limits.TenantPerDay),
		Rules:            string(cmp.Or(p.Rules, directory.RulesLegacy)),
		Providers:        list(p.Providers),
		CodeLifetimeUs:   cmp.Or(p.CodeLifetime, directory.DefaultCodeLifetime).Microseconds(),
		Version:          p.Version,
	}
}

func newPolicy(p directory.Policy) step {
	row := policyRow(p)
	return func(ctx context.Context, q *Queries) error { return q.insertPolicy(ctx, row) }
}

func replacePolicy(p directory.Policy) step {
	row := updatePolicyParams(policyRow(p))
	return func(ctx context.Context, q *Queries) error {
		n, err := q.updatePolicy(ctx, row)
		return changed(n, err, "policy of", row.Tenant)
	}
}

func applicationOf(row Application) (directory.Application, error) {
	a := directory.Application{
		Tenant:      directory.TenantID(row.Tenant),
		ID:          row.ID,
		ClientID:    row.ClientID,
		DisplayName: row.DisplayName,
		SecretHash:  row.SecretHash,
		Created:     moment(row.CreatedAt),
	}
	return a, parse("applications.permissions", row.Permissions, &a.Permissions)
}

func newApplication(a directory.Application) step {
	row := insertApplicationParams{
		Tenant:      string(a.Tenant),
		ClientID:    a.ClientID,
		ID:          a.ID,
		DisplayName: a.DisplayName,
		SecretHash:  a.SecretHash,
		Permissions: list(a.Permissions),
		CreatedAt:   micros(a.Created),
	}
	return func(ctx context.Context, q *Queries) error { return q.insertApplication(ctx, row) }
}
