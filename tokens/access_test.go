package tokens

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func accessClaims() AccessClaims {
	return AccessClaims{
		Tenant:   "0190f3a0-0000-7000-8000-000000000001",
		Subject:  "0190f3a0-0000-7000-8000-000000000009",
		AppID:    "0190f3a0-0000-7000-8000-00000000000a",
		AppName:  "Contoso automation",
		Roles:    []string{"User.Invite.All", "User.ReadWrite.All"},
		JTI:      "0190f3a0-0000-7000-8000-00000000000b",
		Issued:   t0,
		Expires:  t0.Add(time.Hour),
		Audience: "https://graph.contoso.example",
		Issuer:   "http://127.0.0.1:8080/0190f3a0-0000-7000-8000-000000000001/v2.0",
	}
}

func TestAccessTokensComeBackAsTheyWentIn(t *testing.T) {
	person := accessClaims()
	person.Roles, person.UPN, person.Name = nil, "inviter@contoso.example", "Inviter"
	person.Scopes = []string{"User.Invite.All", "openid"}
	for name, in := range map[string]AccessClaims{"application": accessClaims(), "person": person} {
		t.Run(name, func(t *testing.T) {
			i := accessOf(t, ringOf(t, EdDSA))
			token, err := i.Issue(in)
			require.NoError(t, err)
			got, err := i.Verify(token)
			require.NoError(t, err)
			require.Equal(t, in, got)
		})
	}
}

func TestAccessTokenDefaults(t *testing.T) {
	i := accessOf(t, ringOf(t, EdDSA))
	token, err := i.Issue(AccessClaims{Tenant: "t", Subject: "s", Expires: t0.Add(time.Hour)})
	require.NoError(t, err)
	got, err := i.Verify(token)
	require.NoError(t, err)
	require.Equal(t, name, got.Issuer)
	require.Equal(t, DefaultAudience, got.Audience)
	require.Equal(t, t0, got.Issued)
	require.GreaterOrEqual(t, len(got.JTI), 22, "at least 128 random bits")
}

func TestExpiredAccessTokenComesWithItsClaims(t *testing.T) {
	i := accessOf(t, ringOf(t, EdDSA))
	c := accessClaims()
	c.Issued, c.Expires = t0.Add(-2*time.Hour), t0.Add(-time.Hour)
	token, err := i.Issue(c)
	require.NoError(t, err)
	got, err := i.Verify(token)
	require.ErrorIs(t, err, ErrExpired)
	require.Equal(t, c, got)
}

func TestAccessIssueRefuses(t *testing.T) {
	i := accessOf(t, ringOf(t, EdDSA))
	tests := []struct {
		name  string
		spoil func(*AccessClaims)
		want  string
	}{
		{"no expiry", func(c *AccessClaims) { c.Expires = time.Time{} }, "Expires"},
		{"no tenant", func(c *AccessClaims) { c.Tenant = "" }, "Tenant"},
		{"no subject", func(c *AccessClaims) { c.Subject = "" }, "Subject"},
		{"scope with a space", func(c *AccessClaims) { c.Scopes = []string{"a b"} }, "Scopes"},
		{"empty scope", func(c *AccessClaims) { c.Scopes = []string{""} }, "Scopes"},
		{"name not UTF-8", func(c *AccessClaims) { c.Name = "\xff" }, "Name"},
		{"role not UTF-8", func(c *AccessClaims) { c.Roles = []string{"\xff"} }, "Roles"},
		{"longer than Verify reads", func(c *AccessClaims) { c.Name = strings.Repeat("x", 8000) }, "limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := accessClaims()
			tt.spoil(&c)
			_, err := i.Issue(c)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestAccessClaimsWeDoNotWrite(t *testing.T) {
	ring := ringOf(t, EdDSA)
	i := accessOf(t, ring)
	body := func(claim string, value any) map[string]any {
		b := ticketBody(map[string]any{"aud": "graph", "iid": nil, "gen": nil})
		if value == nil {
			delete(b, claim)
		} else {
			b[claim] = value
		}
		return b
	}
	head := ticketHeader(ring, map[string]any{"typ": "at+jwt"})
	_, err := i.Verify(forge(t, ring, head, body("none", nil)))
	require.NoError(t, err, "the forge works")
	for _, claim := range []string{"iss", "aud", "sub", "tid", "jti", "iat", "exp"} {
		_, err := i.Verify(forge(t, ring, head, body(claim, nil)))
		require.ErrorIs(t, err, ErrClaims, "no %s", claim)
		_, err = i.Verify(forge(t, ring, head, body(claim, []string{"a", "b"})))
		require.ErrorIs(t, err, ErrClaims, "%s a list", claim)
	}
	for claim, value := range map[string]any{
		"roles": "User.Invite.All", "scp": []string{"openid"}, "upn": 1, "name": false, "appid": "",
	} {
		_, err := i.Verify(forge(t, ring, head, body(claim, value)))
		require.ErrorIs(t, err, ErrClaims, claim)
	}
	_, err = i.Verify(forge(t, ring, head, body("roles", []int{1})))
	require.ErrorIs(t, err, ErrClaims)
}
