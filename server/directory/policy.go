package directory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"invited/server/problem"
)

// DefaultLinkLifetime is how long a link works unless the policy says
// otherwise. Entra's links do not expire.
const DefaultLinkLifetime = 30 * 24 * time.Hour

// How long a one-time passcode is good for. Entra's is 30 minutes; ASVS 6.5.5
// asks for 10.
const (
	DefaultCodeLifetime = 10 * time.Minute
	MaxCodeLifetime     = 30 * time.Minute
)

// MaxDomainList is the size of the domain list in characters, commas included.
// Source: the 25,000 characters Entra grants B2BManagementPolicy.
const MaxDomainList = 25_000

// DefaultPolicy is the policy a tenant starts with. It differs from Entra's in
// two values, both on the careful side: only the inviting roles may invite
// (Entra: everyone), and links live for 30 days (Entra: for ever).
func DefaultPolicy(t TenantID) Policy {
	return Policy{
		Tenant:       t,
		InvitesFrom:  InvitesFromAdmins,
		Rules:        RulesLegacy,
		Fallback:     FallbackLink,
		CodeLifetime: DefaultCodeLifetime,
		OnResend:     KeepLinks,
		LinkLifetime: DefaultLinkLifetime,
		Limits:       DefaultLimits,
	}
}

// DefaultLimits are the sending limits of a server that mails real people.
var DefaultLimits = Limits{
	RecipientPer5Min: 1,
	RecipientPerDay:  3,
	DomainPerHour:    100,
	InviterPerMinute: 30,
	InviterPerDay:    500,
	TenantPerDay:     1000,
}

// EmulatorLimits are the sending limits of a server whose mail goes to the
// built-in sink. Load tests are what it is for; only a hundred mails to one
// mailbox within minutes are still more likely a mistake than a test.
var EmulatorLimits = Limits{
	RecipientPer5Min: 100 * DefaultLimits.RecipientPer5Min,
	RecipientPerDay:  100 * DefaultLimits.RecipientPerDay,
}

// CheckDomain returns a Denied problem if the domain list forbids to invite
// from domain, an A-label in lower case. Names match exactly: a listed domain
// does not stand for its subdomains. Source: Entra's B2BManagementPolicy.
func CheckDomain(p Policy, domain string) error {
	same := func(listed string) bool { return strings.EqualFold(listed, domain) }
	blocked := slices.ContainsFunc(p.BlockedDomains, same) ||
		len(p.AllowedDomains) > 0 && !slices.ContainsFunc(p.AllowedDomains, same)
	if !blocked {
		return nil
	}
	return &problem.Error{
		Op: "directory.CheckDomain", Kind: problem.Denied, Reason: problem.DomainBlocked, Field: "invitedUserEmailAddress",
		Detail: fmt.Sprintf("The domain list of this organisation does not allow guests from %s. Ask an administrator to change the list.", domain),
	}
}

// Check returns an Invalid problem that names the first field of p that breaks
// a rule, and a copy of p in normal form otherwise: domains in lower case,
// once each, sorted.
func (p Policy) Check() (Policy, error) {
	const op = "directory.Policy.Check"
	if _, ok := invitesFrom[p.InvitesFrom]; !ok {
		return p, problem.BadField(op, "allowInvitesFrom", "allowInvitesFrom must be none, adminsAndGuestInviters, adminsGuestInvitersAndAllMembers or everyone.")
	}
	if len(p.AllowedDomains) > 0 && len(p.BlockedDomains) > 0 {
		return p, problem.BadField(op, "blockedDomains", "Only one of allowedDomains and blockedDomains may be filled. Empty one of them.")
	}
	switch p.Fallback {
	case FallbackLink, FallbackOTP, FallbackNone:
	default:
		return p, problem.BadField(op, "fallback", "fallback must be link, otp or none.")
	}
	if err := p.checkSignIn(); err != nil {
		return p, err
	}
	switch p.OnResend {
	case KeepLinks, SupersedeLinks:
	default:
		return p, problem.BadField(op, "onResend", "onResend must be keep or supersede.")
	}
	if p.LinkLifetime < 0 || p.LinkLifetime > 0 && p.LinkLifetime < time.Minute {
		return p, problem.BadField(op, "linkLifetime", "linkLifetime must be 0, which means for ever, or at least a minute.")
	}
	l := p.Limits
	if min(l.RecipientPer5Min, l.RecipientPerDay, l.DomainPerHour, l.InviterPerMinute, l.InviterPerDay, l.TenantPerDay) < 0 {
		return p, problem.BadField(op, "limits", "A limit must be 0, which means none, or more.")
	}
	return p.normal()
}

// checkSignIn holds the rules of who signs guests in.
func (p *Policy) checkSignIn() error {
	const op = "directory.Policy.Check"
	switch p.Rules {
	case RulesLegacy, RulesCurrent:
	case "":
		p.Rules = RulesLegacy
	default:
		return problem.BadField(op, "rules", "rules must be legacy or current.")
	}
	for i, provider := range p.Providers {
		if !slices.Contains(DefaultProviders, provider) || slices.Contains(p.Providers[:i], provider) {
			return problem.BadField(op, "providers", "providers must name home and federation, each at most once, in the order in which they are asked.")
		}
	}
	switch {
	case p.CodeLifetime == 0:
		p.CodeLifetime = DefaultCodeLifetime
	case p.CodeLifetime < time.Minute || p.CodeLifetime > MaxCodeLifetime:
		return problem.BadField(op, "codeLifetime", "codeLifetime must be between a minute and 30 minutes, or 0s for the usual 10 minutes.")
	}
	return nil
}

// normal returns p with its lists of names in normal form.
func (p Policy) normal() (Policy, error) {
	var err error
	if p.AllowedDomains, err = domainList("allowedDomains", p.AllowedDomains); err != nil {
		return p, err
	}
	if p.BlockedDomains, err = domainList("blockedDomains", p.BlockedDomains); err != nil {
		return p, err
	}
	hosts := make([]string, 0, len(p.RedirectHosts))
	for _, h := range p.RedirectHosts {
		bare, wild := strings.CutPrefix(strings.TrimSpace(h), "*.")
		name, err := hostName(bare)
		if err != nil {
			return p, problem.BadField("directory.Policy.Check", "redirectHosts", fmt.Sprintf("redirectHosts: %q is not a host name. Write app.contoso.example or *.contoso.example.", h))
		}
		if wild {
			name = "*." + name
		}
		hosts = append(hosts, name)
	}
	p.RedirectHosts = sorted(hosts)
	return p, nil
}

// domainList returns domains in normal form.
func domainList(field string, domains []string) ([]string, error) {
	const op = "directory.Policy.Check"
	out := make([]string, 0, len(domains))
	size := 0
	for _, d := range domains {
		name, err := hostName(strings.TrimSpace(d))
		if err != nil || !strings.Contains(name, ".") {
			return nil, problem.BadField(op, field, fmt.Sprintf("%s: %q is not a domain name. Write fabrikam.example; wildcards are not known here.", field, d))
		}
		size += len(name) + 1
		out = append(out, name)
	}
	if size > MaxDomainList {
		return nil, &problem.Error{Op: op, Kind: problem.TooLarge, Reason: problem.BadInput, Field: field,
			Detail: fmt.Sprintf("%s: the list is longer than %d characters. Shorten it.", field, MaxDomainList)}
	}
	return sorted(out), nil
}

// sorted returns names sorted, once each, and nil for none.
func sorted(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return slices.Compact(names)
}
