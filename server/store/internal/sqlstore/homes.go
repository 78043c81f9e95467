package sqlstore

import (
	"context"
	"errors"

	"invited/mail"
	"invited/server/directory"
)

// Home returns the home organisation of an address's domain, and whether it
// has an account for the address.
func (r *Reader) Home(ctx context.Context, t directory.TenantID, a mail.Address) (directory.HomeTenant, bool, error) {
	h, err := r.HomeByDomain(ctx, t, a.Domain)
	if err != nil {
		return directory.HomeTenant{}, false, err
	}
	_, err = r.q.homeAccount(ctx, homeAccountParams{Tenant: string(t), Domain: key(a.Domain), AddressKey: a.Key()})
	if err = r.fail(err); errors.Is(err, directory.ErrNotFound) {
		return h, false, nil
	}
	return h, err == nil, err
}

// HomeByDomain returns the home organisation of a domain.
func (r *Reader) HomeByDomain(ctx context.Context, t directory.TenantID, domain string) (directory.HomeTenant, error) {
	return one(ctx, r, r.q.home, homeParams{Tenant: string(t), Domain: key(domain)}, homeOf)
}

// ListHomes lists the home organisations by domain.
func (r *Reader) ListHomes(ctx context.Context, t directory.TenantID, after string, limit int) ([]directory.HomeTenant, error) {
	return many(ctx, r, r.q.listHomes, listHomesParams{Tenant: string(t), After: key(after), MaxRows: pageSize(limit)}, homeOf)
}

// HomeAccounts lists the addresses known at a home organisation, in lower case.
func (r *Reader) HomeAccounts(ctx context.Context, t directory.TenantID, domain, after string, limit int) ([]string, error) {
	return many(ctx, r, r.q.homeAccounts, homeAccountsParams{
		Tenant: string(t), Domain: key(domain), After: key(after), MaxRows: pageSize(limit),
	}, func(s string) (string, error) { return s, nil })
}

func homeOf(row Home) (directory.HomeTenant, error) {
	return directory.HomeTenant{
		Tenant:                  directory.TenantID(row.Tenant),
		Domain:                  row.Domain,
		DisplayName:             row.DisplayName,
		AllowEmailVerifiedUsers: row.AllowEmailVerified != 0,
		Federated:               row.Federated != 0,
		SignIn:                  directory.SignIn(row.SignIn),
		Version:                 row.Version,
	}, nil
}

// homes plans the changes of home organisations and of the accounts known
// there.
func (p *Plan) homes(c directory.Change) {
	for _, h := range c.Homes {
		p.owned("home", h.Domain, h.Tenant, c.Tenant)
		p.add(putHome(h))
	}
	t := string(c.Tenant)
	each(p, c.RemoveHomeAccounts, func(a mail.Address) step {
		row := removeHomeAccountParams{Tenant: t, Domain: key(a.Domain), AddressKey: a.Key()}
		return func(ctx context.Context, q *Queries) error { return q.removeHomeAccount(ctx, row) }
	})
	each(p, c.AddHomeAccounts, func(a mail.Address) step {
		row := addHomeAccountParams{Tenant: t, Domain: key(a.Domain), AddressKey: a.Key()}
		return func(ctx context.Context, q *Queries) error { return q.addHomeAccount(ctx, row) }
	})
}

// putHome inserts a home that was never stored, which has version 0, and
// replaces any other. The first stored version is 1.
func putHome(h directory.HomeTenant) step {
	row := insertHomeParams{
		DisplayName:        h.DisplayName,
		AllowEmailVerified: flag(h.AllowEmailVerifiedUsers),
		Federated:          flag(h.Federated),
		SignIn:             string(h.SignIn),
		Tenant:             string(h.Tenant),
		Domain:             key(h.Domain),
		Version:            h.Version,
	}
	return func(ctx context.Context, q *Queries) error {
		if row.Version == 0 {
			first := row
			first.Version = 1
			n, err := q.insertHome(ctx, first)
			return changed(n, err, "home", row.Domain)
		}
		n, err := q.updateHome(ctx, updateHomeParams(row))
		return changed(n, err, "home", row.Domain)
	}
}
