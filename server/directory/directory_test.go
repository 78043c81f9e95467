package directory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/problem"
)

func TestCheckDomain(t *testing.T) {
	tests := []struct {
		name    string
		p       directory.Policy
		domain  string
		allowed bool
	}{
		{"no list", directory.Policy{}, "fabrikam.example", true},
		{"allowed", directory.Policy{AllowedDomains: []string{"fabrikam.example"}}, "fabrikam.example", true},
		{"allowed in another case", directory.Policy{AllowedDomains: []string{"Fabrikam.Example"}}, "fabrikam.example", true},
		{"not among the allowed", directory.Policy{AllowedDomains: []string{"fabrikam.example"}}, "litware.example", false},
		{"a subdomain is another domain", directory.Policy{AllowedDomains: []string{"fabrikam.example"}}, "eu.fabrikam.example", false},
		{"blocked", directory.Policy{BlockedDomains: []string{"live.example"}}, "live.example", false},
		{"not among the blocked", directory.Policy{BlockedDomains: []string{"live.example"}}, "fabrikam.example", true},
		{"a subdomain of a blocked one", directory.Policy{BlockedDomains: []string{"live.example"}}, "uk.live.example", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := directory.CheckDomain(tt.p, tt.domain)
			if tt.allowed {
				require.NoError(t, err)
				return
			}
			require.True(t, problem.Has(err, problem.DomainBlocked))
		})
	}
}

func TestPolicyCheck(t *testing.T) {
	tests := []struct {
		name  string
		edit  func(*directory.Policy)
		field string // empty: fine
	}{
		{"default", func(*directory.Policy) {}, ""},
		{"links for ever", func(p *directory.Policy) { p.LinkLifetime = 0 }, ""},
		{"no limits", func(p *directory.Policy) { p.Limits = directory.Limits{} }, ""},
		{"unknown allowInvitesFrom", func(p *directory.Policy) { p.InvitesFrom = "all" }, "allowInvitesFrom"},
		{"both lists", func(p *directory.Policy) {
			p.AllowedDomains, p.BlockedDomains = []string{"a.example"}, []string{"b.example"}
		}, "blockedDomains"},
		{"not a domain", func(p *directory.Policy) { p.BlockedDomains = []string{"*.example"} }, "blockedDomains"},
		{"one label", func(p *directory.Policy) { p.AllowedDomains = []string{"example"} }, "allowedDomains"},
		{"list too long", func(p *directory.Policy) {
			for range 1000 {
				p.BlockedDomains = append(p.BlockedDomains, strings.Repeat("a", 30)+".example")
			}
		}, "blockedDomains"},
		{"not a host", func(p *directory.Policy) { p.RedirectHosts = []string{"https://a.example"} }, "redirectHosts"},
		{"wildcard host", func(p *directory.Policy) { p.RedirectHosts = []string{"*.a.example"} }, ""},
		{"unknown fallback", func(p *directory.Policy) { p.Fallback = "sms" }, "fallback"},
		{"unknown onResend", func(p *directory.Policy) { p.OnResend = "" }, "onResend"},
		{"negative lifetime", func(p *directory.Policy) { p.LinkLifetime = -time.Hour }, "linkLifetime"},
		{"lifetime of a second", func(p *directory.Policy) { p.LinkLifetime = time.Second }, "linkLifetime"},
		{"negative limit", func(p *directory.Policy) { p.Limits.TenantPerDay = -1 }, "limits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := directory.DefaultPolicy("t")
			tt.edit(&p)
			_, err := p.Check()
			if tt.field == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, tt.field, problem.Of(err).Field)
			require.Contains(t, problem.Of(err).Detail, strings.TrimSuffix(tt.field, "s"), "the sentence names the field")
		})
	}
}

func TestPolicyCheckReturnsNormalForm(t *testing.T) {
	p := directory.DefaultPolicy("t")
	p.BlockedDomains = []string{"Müller.example", "b.example", "B.EXAMPLE"}
	got, err := p.Check()
	require.NoError(t, err)
	require.Equal(t, []string{"b.example", "xn--mller-kva.example"}, got.BlockedDomains)
}

func TestNewGuest(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tenant := directory.Tenant{ID: "t", PrimaryDomain: "contoso.example", InitialDomain: "contoso.onmicrosoft.example"}
	a := mail.Address{Local: "Ana", Domain: "fabrikam.example"}
	u := directory.NewGuest(tenant, "11111111-0000-7000-8000-0000deadbeef", a, "", directory.Guest, now)
	require.Equal(t, directory.User{
		Tenant: "t", ID: "11111111-0000-7000-8000-0000deadbeef",
		UPN: "Ana_fabrikam.example#EXT#@contoso.onmicrosoft.example", DisplayName: "Ana", MailNickname: "Ana_fabrikam.example#EXT#",
		Mail: "Ana@fabrikam.example", OtherMails: []string{"Ana@fabrikam.example"}, ProxyAddresses: []string{"SMTP:Ana@fabrikam.example"},
		Type: directory.Guest, CreationType: "Invitation", State: directory.Pending, StateChanged: now, Enabled: true,
		Identities: []directory.Identity{{SignInType: "userPrincipalName", Issuer: "contoso.onmicrosoft.example", IssuerAssignedID: "Ana_fabrikam.example#EXT#@contoso.onmicrosoft.example"}},
		Created:    now, Generation: 1,
	}, u)
	require.Equal(t, "Ana_fabrikam.example_deadbeef#EXT#@contoso.onmicrosoft.example", directory.DistinctGuestUPN(a, tenant.InitialDomain, u.ID))
}

func TestSignedInIdentity(t *testing.T) {
	a := mail.Address{Local: "ana", Domain: "fabrikam.example"}
	tests := []struct {
		method directory.Method
		issuer string
	}{
		{directory.MethodHome, "ExternalAzureAD"},
		{directory.MethodOIDC, "ExternalAzureAD"},
		{directory.MethodLink, "mail"},
		{directory.MethodOTP, "mail"},
	}
	for _, tt := range tests {
		t.Run(string(tt.method), func(t *testing.T) {
			require.Equal(t, directory.Identity{SignInType: "federated", Issuer: tt.issuer, IssuerAssignedID: "ana@fabrikam.example"}, directory.SignedInIdentity(tt.method, a))
		})
	}
	long := mail.Address{Local: strings.Repeat("a", 60), Domain: "fabrikam.example"}
	require.Empty(t, directory.SignedInIdentity(directory.MethodHome, long).IssuerAssignedID, "Graph allows 64 characters")
}

func TestHasAddress(t *testing.T) {
	u := directory.User{Mail: "ana@fabrikam.example", OtherMails: []string{"Ana@Litware.example"}, ProxyAddresses: []string{"SMTP:ana@fabrikam.example", "smtp:old@fabrikam.example"}}
	for _, s := range []string{"ana@fabrikam.example", "ana@litware.example", "old@fabrikam.example", "ANA@fabrikam.example"} {
		a, err := mail.ParseAddress(s)
		require.NoError(t, err)
		require.True(t, u.HasAddress(a), s)
	}
	require.False(t, u.HasAddress(mail.Address{Local: "ben", Domain: "fabrikam.example"}))
}

func TestHasVerifiedDomain(t *testing.T) {
	tenant := directory.Tenant{PrimaryDomain: "contoso.example", InitialDomain: "contoso.onmicrosoft.example", Domains: []string{"contoso.example", "Contoso.test"}}
	for _, d := range []string{"contoso.example", "contoso.onmicrosoft.example", "contoso.test"} {
		require.True(t, tenant.HasVerifiedDomain(d), d)
	}
	require.False(t, tenant.HasVerifiedDomain("eu.contoso.example"))
}
