package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// Policy returns the policy of the tenant.
func (s *Service) Policy(ctx context.Context, actor directory.Actor) (directory.Policy, error) {
	const op = "tenant.Policy"
	p, err := s.store.Policy(ctx, actor.Tenant)
	if err != nil {
		return directory.Policy{}, storeProblem(op, "There is no such tenant.", err)
	}
	if err := actor.Authorize(directory.ReadPolicy, p); err != nil {
		return directory.Policy{}, err
	}
	return p, nil
}

// SetPolicy replaces the policy. p.Version is that of the policy it was made
// from; if the policy has moved on since, nothing is changed and the problem
// is a Conflict.
func (s *Service) SetPolicy(ctx context.Context, actor directory.Actor, p directory.Policy) (directory.Policy, error) {
	const op = "tenant.SetPolicy"
	if err := s.authorize(ctx, op, actor, directory.ManagePolicy); err != nil {
		return directory.Policy{}, err
	}
	p, err := p.Check()
	if err != nil {
		return directory.Policy{}, err
	}
	p.Tenant = actor.Tenant
	e := s.event(actor, audit.UpdatePolicy, directory.User{}, map[string]string{
		"allowInvitesFrom": string(p.InvitesFrom), "allowedDomains": strings.Join(p.AllowedDomains, ","), "blockedDomains": strings.Join(p.BlockedDomains, ","),
	})
	err = s.store.ApplyDirectory(ctx, directory.Change{Tenant: actor.Tenant, Policy: &p, Audit: []audit.Event{e}})
	if errors.Is(err, directory.ErrStale) {
		return directory.Policy{}, conflict(op, problem.Busy, "Somebody else changed the policy meanwhile. Read it again and repeat the change.")
	}
	if err != nil {
		return directory.Policy{}, storeProblem(op, "", err)
	}
	p.Version++
	return p, nil
}

// Home returns what is known of a home organisation.
func (s *Service) Home(ctx context.Context, actor directory.Actor, domain string) (directory.HomeTenant, error) {
	const op = "tenant.Home"
	if err := s.authorize(ctx, op, actor, directory.ReadHomes); err != nil {
		return directory.HomeTenant{}, err
	}
	name, err := domainName(op, domain)
	if err != nil {
		return directory.HomeTenant{}, err
	}
	h, err := s.store.HomeByDomain(ctx, actor.Tenant, name)
	return h, storeProblem(op, "Nothing is known of this home organisation.", err)
}

// ListHomes returns home organisations by domain.
func (s *Service) ListHomes(ctx context.Context, actor directory.Actor, after string, limit int) ([]directory.HomeTenant, error) {
	const op = "tenant.ListHomes"
	if err := s.authorize(ctx, op, actor, directory.ReadHomes); err != nil {
		return nil, err
	}
	homes, err := s.store.ListHomes(ctx, actor.Tenant, after, pageSize(limit))
	return homes, storeProblem(op, "", err)
}

// HomeAccounts returns the addresses known to have an account at a home
// organisation, in order.
func (s *Service) HomeAccounts(ctx context.Context, actor directory.Actor, domain, after string, limit int) ([]string, error) {
	const op = "tenant.HomeAccounts"
	h, err := s.Home(ctx, actor, domain)
	if err != nil {
		return nil, err
	}
	accounts, err := s.store.HomeAccounts(ctx, actor.Tenant, h.Domain, after, pageSize(limit))
	return accounts, storeProblem(op, "", err)
}

// PutHome stores what is known of a home organisation, and adds and removes
// accounts there. Whatever was known before is replaced, except for accounts.
func (s *Service) PutHome(ctx context.Context, actor directory.Actor, h directory.HomeTenant, add, remove []mail.Address) (directory.HomeTenant, error) {
	const op = "tenant.PutHome"
	var out directory.HomeTenant
	err := s.apply(ctx, op, func() (*directory.Change, error) {
		if err := s.authorize(ctx, op, actor, directory.ManageHomes); err != nil {
			return nil, err
		}
		home, err := s.checkHome(ctx, op, actor, h)
		if err != nil {
			return nil, err
		}
		for _, a := range slices.Concat(add, remove) {
			if a.Domain != home.Domain {
				return nil, problem.BadField(op, "accounts", fmt.Sprintf("Invalid value for accounts: %s is not an address of %s.", a, home.Domain))
			}
		}
		out = home
		out.Version++
		return &directory.Change{
			Tenant: actor.Tenant, Homes: []directory.HomeTenant{home}, AddHomeAccounts: add, RemoveHomeAccounts: remove,
			Audit: []audit.Event{s.event(actor, audit.UpdateHome, directory.User{}, map[string]string{
				"domain": home.Domain, "allowEmailVerifiedUsers": fmt.Sprint(home.AllowEmailVerifiedUsers), "federated": fmt.Sprint(home.Federated),
				"accountsAdded": fmt.Sprint(len(add)), "accountsRemoved": fmt.Sprint(len(remove)),
			})},
		}, nil
	})
	if err != nil {
		return directory.HomeTenant{}, err
	}
	return out, nil
}

// checkHome returns h in normal form with the version of the stored row.
func (s *Service) checkHome(ctx context.Context, op string, actor directory.Actor, h directory.HomeTenant) (directory.HomeTenant, error) {
	var err error
	if h.Domain, err = domainName(op, h.Domain); err != nil {
		return h, err
	}
	if err := mail.ValidName(h.DisplayName, 256); err != nil {
		return h, problem.BadField(op, "displayName", "Invalid value for displayName: "+nameDetail(err))
	}
	switch h.SignIn {
	case "":
		h.SignIn = directory.SignInSimulated
	case directory.SignInSimulated, directory.SignInOIDC:
	default:
		return h, problem.BadField(op, "signIn", "Invalid value for signIn: it must be simulated or oidc.")
	}
	t, err := s.store.Tenant(ctx, actor.Tenant)
	if err != nil {
		return h, storeProblem(op, "There is no such tenant.", err)
	}
	if t.HasVerifiedDomain(h.Domain) {
		return h, problem.BadField(op, "domain", "Invalid value for domain: "+h.Domain+" is a domain of this tenant itself.")
	}
	h.Tenant, h.Version = actor.Tenant, 0
	switch old, err := s.store.HomeByDomain(ctx, actor.Tenant, h.Domain); {
	case err == nil:
		h.Version = old.Version
	case !errors.Is(err, directory.ErrNotFound):
		return h, storeProblem(op, "", err)
	}
	return h, nil
}

// domainName returns a domain as addresses have it: an A-label in lower case.
func domainName(op, domain string) (string, error) {
	a, err := mail.ParseAddress("x@" + domain)
	if err != nil {
		return "", problem.BadField(op, "domain", fmt.Sprintf("Invalid value for domain: %q is not a domain name. Write one such as fabrikam.example.", domain))
	}
	return a.Domain, nil
}
