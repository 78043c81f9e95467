package graph

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/problem"
	"invited/server/tenant"
)

// ana is a pending guest that filters are tried on.
var ana = directory.User{
	ID: "0190d4c0-0000-7000-8000-000000000001", UPN: "ana_fabrikam.example#EXT#@contoso.onmicrosoft.example",
	DisplayName: "Ana O'Neil", Mail: "Ana@fabrikam.example", OtherMails: []string{"Ana@fabrikam.example", "ana@work.example"},
	ProxyAddresses: []string{"SMTP:Ana@fabrikam.example"}, Type: directory.Guest, State: directory.Pending,
	CreationType: directory.CreatedByInvitation, Enabled: true,
	StateChanged: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	Identities: []directory.Identity{{SignInType: "federated", Issuer: "mail", IssuerAssignedID: "ana@fabrikam.example"}},
}

func TestFilterMatches(t *testing.T) {
	tests := []struct {
		filter string
		want   bool
	}{
		{"userType eq 'Guest'", true},
		{"userType eq 'guest'", true},
		{"USERTYPE EQ 'Guest'", true},
		{"userType ne 'Guest'", false},
		{"userType in ('Member','Guest')", true},
		{"userType in ('Member', null)", false},
		{"externalUserState eq 'PendingAcceptance' and userType eq 'Guest'", true},
		{"externalUserState eq 'Accepted' or userType eq 'Guest'", true},
		{"externalUserState eq 'Accepted' or userType eq 'Member' and accountEnabled eq true", false},
		{"(externalUserState eq 'Accepted' or userType eq 'Guest') and accountEnabled eq true", true},
		{"accountEnabled eq false", false},
		{"not (accountEnabled eq false)", true},
		{"not startswith(displayName,'ana')", false},
		{"not(not(startsWith(displayName,'ana')))", true},
		{"startsWith(displayName, 'Ana O''N')", true},
		{"endsWith(mail,'@FABRIKAM.example')", true},
		{"companyName eq null", true},
		{"companyName ne null", false},
		{"companyName ne 'Contoso'", true},
		{"not startswith(companyName,'C')", true},
		{"department eq null", true},
		{"department eq 'Sales'", false},
		{"proxyAddresses/any(x:x eq 'SMTP:ana@fabrikam.example')", true},
		{"otherMails/any(p:startswith(p,'ana@work'))", true},
		{"otherMails/any(p:p eq 'a' or p eq 'ana@work.example')", true},
		{"otherMails/any(p:p in ('x','y'))", false},
		{"identities/any(c:c/issuerAssignedId eq 'ana@fabrikam.example' and c/issuer eq 'mail')", true},
		{"identities/any(c:c/issuerAssignedId eq 'ana@fabrikam.example' and c/issuer eq 'contoso.example')", false},
		{"identities/any(c:c/signInType eq 'federated')", true},
		{"createdDateTime ge 2026-01-02T03:04:05Z", true},
		{"createdDateTime gt 2026-01-02T03:04:05Z", false},
		{"createdDateTime le 2026-01-02T04:04:05+01:00", true},
		{"createdDateTime lt 2025-12-31T23:59:59.5Z", false},
		{"createdDateTime eq 2026-01-02T03:04:05Z", true},
		{"deletedDateTime eq null", true},
		{"deletedDateTime le 2026-01-02T03:04:05Z", false},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			e, err := parseFilter(tt.filter)
			require.NoError(t, err)
			require.Equal(t, tt.want, e.match(scope{user: &ana}))
		})
	}
}

func TestFilterRefuses(t *testing.T) {
	tests := []struct{ name, filter, detail string }{
		{"nothing", "  ", "found the end"},
		{"an unknown property", "nickname eq 'x'", "named 'nickname'"},
		{"an unknown function", "contains(mail,'x')", "'contains'"},
		{"an unknown operator", "mail has 'x'", "found 'has'"},
		{"a missing value", "mail eq", "the end"},
		{"a number for a text", "mail eq 5", "'mail' compares with a text"},
		{"a text for true or false", "accountEnabled eq 'true'", "'accountEnabled' compares with true or false"},
		{"a text for a time", "createdDateTime eq '2026'", "'createdDateTime' compares with a time"},
		{"a day without hours", "createdDateTime ge 2026-01-01", "2026-01-31T08:00:00Z"},
		{"a time before year one", "createdDateTime ge 0000-01-01T00:00:00+10:00", "compares with a time"},
		{"an order on texts", "mail ge 'a'", "'ge' compares points in time"},
		{"an open text", "mail eq 'x", "closing quote"},
		{"an open parenthesis", "(mail eq 'x'", "expected ')'"},
		{"a closing parenthesis too many", "mail eq 'x')", "expected 'and', 'or' or the end"},
		{"a bare comparison after not", "not mail eq 'x'", "in parentheses"},
		{"not before nothing", "not", "in parentheses"},
		{"a collection compared directly", "otherMails eq 'x'", "otherMails/any(x:"},
		{"any on a single value", "mail/any(x:x eq 'a')", "no collection"},
		{"all", "otherMails/all(x:x eq 'a')", "any("},
		{"any without a variable", "otherMails/any()", "name of a variable"},
		{"an operator as a variable", "otherMails/any(eq:eq eq 'a')", "name of a variable"},
		{"an outer property inside any", "otherMails/any(x:mail eq 'a')", "variable 'x'"},
		{"an unknown member of an identity", "identities/any(c:c/name eq 'a')", "'name'"},
		{"an identity compared whole", "identities/any(c:c eq 'a')", "expected '/'"},
		{"a foreign character", "mail = 'x'", `'='`},
		{"bytes that are no UTF-8", "mail eq '\xff'", "UTF-8"},
		{"a function on a list", "startswith(otherMails,'x')", "takes a text property"},
		{"an empty list", "userType in ()", "'userType' compares"},
		{"one byte too many", "mail eq '" + strings.Repeat("x", maxFilter) + "'", "longer than 4096 bytes"},
		{"too many comparisons", "mail eq 'x'" + strings.Repeat(" or mail eq 'x'", maxFilterTerms), "more than 50"},
		{"too many values", "mail in ('x'" + strings.Repeat(",'x'", maxFilterTerms) + ")", "more than 50"},
		{"too many levels", strings.Repeat("not (", 20) + "mail eq 'x'" + strings.Repeat(")", 20), "deeper than 20"},
		{"too many parentheses", strings.Repeat("(", 2000), "deeper than 20"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseFilter(tt.filter)
			p := problem.Of(err)
			require.Equal(t, problem.Invalid, p.Kind)
			require.Equal(t, "$filter", p.Field)
			require.Contains(t, p.Detail, tt.detail)
			require.Less(t, len(p.Detail), 300)
		})
	}
}

func TestFilterAdvanced(t *testing.T) {
	tests := []struct {
		filter string
		want   bool
	}{
		{"userType eq 'Guest' and startswith(mail,'a')", false},
		{"userType in ('Guest') or otherMails/any(x:x eq 'a')", false},
		{"userType eq 'Guest' and mail ne 'a'", true},
		{"not startswith(mail,'a')", true},
		{"endswith(mail,'a') or mail eq 'b'", true},
		{"otherMails/any(x:endswith(x,'a'))", true},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			e, err := parseFilter(tt.filter)
			require.NoError(t, err)
			require.Equal(t, tt.want, advanced(e))
		})
	}
}

func TestPlan(t *testing.T) {
	tests := []struct {
		name, filter string
		want         []tenant.UserQuery
		points       bool
	}{
		{"type and state are indexed", "userType eq 'guest' and externalUserState eq 'PendingAcceptance'", []tenant.UserQuery{{Type: directory.Guest, State: directory.Pending}}, false},
		{"prefixes are indexed", "startswith(mail,'An') and startswith(displayName,'B')", []tenant.UserQuery{{MailPrefix: "An", NamePrefix: "B"}}, false},
		{"a key is a point", "userType eq 'Guest' and mail eq 'Ana@x.example'", []tenant.UserQuery{{Type: directory.Guest, Address: "ana@x.example"}}, true},
		{"a proxy address is a point", "proxyAddresses/any(x:x eq 'smtp:Ana@x.example')", []tenant.UserQuery{{Address: "ana@x.example"}}, true},
		{"another kind of proxy address walks", "proxyAddresses/any(x:x eq 'SIP:ana@x.example')", []tenant.UserQuery{{}}, false},
		{
			"the usual check before inviting is a union of points",
			"userPrincipalName eq 'a@x.example' or mail eq 'a@x.example' or otherMails/any(x:x eq 'a@x.example')",
			[]tenant.UserQuery{{UPN: "a@x.example"}, {Address: "a@x.example"}, {Address: "a@x.example"}}, true,
		},
		{"a list of ids is a union of points", "id in ('A','b')", []tenant.UserQuery{{ID: "a"}, {ID: "b"}}, true},
		{"a union keeps the other conditions", "userType eq 'Guest' and mail in ('a@x.example','b@x.example')", []tenant.UserQuery{{Type: directory.Guest, Address: "a@x.example"}, {Type: directory.Guest, Address: "b@x.example"}}, true},
		{"one way without a key walks", "mail eq 'a@x.example' or userType eq 'Guest'", []tenant.UserQuery{{}}, false},
		{"not narrows nothing", "not (userType eq 'Guest')", []tenant.UserQuery{{}}, false},
		{"ne narrows nothing", "userType ne 'Guest'", []tenant.UserQuery{{}}, false},
		{"null narrows nothing", "mail eq null", []tenant.UserQuery{{}}, false},
		{"an unknown state narrows nothing", "externalUserState eq 'Odd'", []tenant.UserQuery{{}}, false},
		{"a second condition on a field is left to the row", "mail eq 'a@x.example' and mail eq 'b@x.example'", []tenant.UserQuery{{Address: "a@x.example"}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := parseFilter(tt.filter)
			require.NoError(t, err)
			got, points := plan(e, tenant.UserQuery{})
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.points, points)
		})
	}
}

// FuzzFilter checks that parsing never panics, that what it accepts prints and
// parses to the same again, and that evaluating and planning bear any of it.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"userType eq 'Guest'", "not (a eq b)", "startsWith(mail,'x''y') and userType in ('Guest',null)",
		"identities/any(c:c/issuerAssignedId eq 'a' and not startswith(c/issuer,'b'))", "createdDateTime ge 2026-01-02T04:04:05.5+01:00",
		"(((mail eq 'a') or mail eq 'b') and (mail ne 'c' or (mail eq null)))", "accountEnabled eq true", "a/b(c:", "'", "((((", "not not not",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseFilter(s)
		if err != nil {
			require.Equal(t, "$filter", problem.Of(err).Field)
			return
		}
		again, err := parseExpr(e.String())
		require.NoError(t, err, "accepted %q but not its own String %q", s, e)
		require.Equal(t, e, again, "%q and %q", s, e)
		require.Equal(t, e.match(scope{user: &ana}), again.match(scope{user: &ana}))
		queries, _ := plan(e, tenant.UserQuery{})
		require.NotEmpty(t, queries)
		require.LessOrEqual(t, len(queries), maxFilterTerms)
	})
}

func BenchmarkFilter(b *testing.B) {
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = parseFilter("userType eq 'Guest' and startswith(mail,'ana') and externalUserState ne 'Accepted'")
		}
	})
	b.Run("match", func(b *testing.B) {
		e, _ := parseFilter("userType eq 'Guest' and startswith(mail,'ana') and externalUserState ne 'Accepted'")
		b.ReportAllocs()
		for b.Loop() {
			e.match(scope{user: &ana})
		}
	})
}
