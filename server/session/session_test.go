package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/problem"
	"invited/server/session"
	"invited/tokens"
)

var (
	t0     = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	keyOne = []byte(strings.Repeat("1", 32))
	keyTwo = []byte(strings.Repeat("2", 32))
)

const (
	tenant = directory.TenantID("018d0000-0000-7000-8000-000000000001")
	secret = "a-secret-of-the-application"
	local  = "the-local-credential"
	issuer = "https://invited.example/tenant/v2.0"
)

// hashOf returns what a store keeps of a secret.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// rows is a [session.Store].
type rows struct {
	apps  map[string]directory.Application
	users map[directory.UserID]directory.User
	roles map[directory.UserID][]directory.RoleID
	fail  error
}

func (r *rows) Application(_ context.Context, t directory.TenantID, id string) (directory.Application, error) {
	a, ok := r.apps[id]
	if !ok || a.Tenant != t {
		return directory.Application{}, errors.Join(r.fail, directory.ErrNotFound)
	}
	return a, r.fail
}

func (r *rows) CreateApplication(context.Context, directory.Application) error { return nil }

func (r *rows) UserByUPN(_ context.Context, _ directory.TenantID, upn string) (directory.User, error) {
	for _, u := range r.users {
		if strings.EqualFold(u.UPN, upn) {
			return u, r.fail
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (r *rows) User(_ context.Context, _ directory.TenantID, id directory.UserID) (directory.User, error) {
	u, ok := r.users[id]
	if !ok {
		return u, directory.ErrNotFound
	}
	return u, r.fail
}

func (r *rows) UserRoles(_ context.Context, _ directory.TenantID, id directory.UserID) ([]directory.RoleID, error) {
	return r.roles[id], r.fail
}

// rig is a service over real tokens.
type rig struct {
	*session.Service
	rows *rows
	now  time.Time
}

func newRig(t *testing.T, edit ...func(*session.Options)) *rig {
	t.Helper()
	r := &rig{now: t0, rows: &rows{
		apps: map[string]directory.Application{"client-1": {
			Tenant: tenant, ID: "app-1", ClientID: "client-1", DisplayName: "CI", SecretHash: hashOf(secret), Permissions: []string{directory.PermInvite},
		}},
		users: map[directory.UserID]directory.User{
			"u-1": {Tenant: tenant, ID: "u-1", UPN: "admin@contoso.example", Mail: "admin@contoso.example", DisplayName: "Ada", Type: directory.Member, Enabled: true},
			"g-1": {Tenant: tenant, ID: "g-1", UPN: "ana_fabrikam.example#EXT#@contoso.onmicrosoft.example", Type: directory.Guest, State: directory.Accepted, Enabled: true},
		},
		roles: map[directory.UserID][]directory.RoleID{"u-1": {directory.GlobalAdministrator}},
	}}
	ring, err := tokens.NewKeyring(tokens.EdDSA, t0)
	require.NoError(t, err)
	access, err := tokens.NewAccessIssuer(tokens.Options{Name: "https://invited.example", Keys: ring, Now: func() time.Time { return r.now }})
	require.NoError(t, err)
	hash := sha256.Sum256([]byte(local))
	o := session.Options{
		Store: r.rows, Access: access, CookieKey: keyOne, LocalSecretHash: hash[:], LocalTenant: tenant,
		Now: func() time.Time { return r.now }, NewID: func() string { return "018d0000-0000-7000-8000-000000000002" },
	}
	for _, f := range edit {
		f(&o)
	}
	r.Service, err = session.New(o)
	require.NoError(t, err)
	return r
}

func TestNewNamesTheOptionAtFault(t *testing.T) {
	tests := map[string]func(*session.Options){
		"Store":           func(o *session.Options) { o.Store = nil },
		"Access":          func(o *session.Options) { o.Access = nil },
		"CookieKey":       func(o *session.Options) { o.CookieKey = keyOne[1:] },
		"OldCookieKeys":   func(o *session.Options) { o.OldCookieKeys = [][]byte{nil} },
		"LocalSecretHash": func(o *session.Options) { o.LocalSecretHash = []byte("short") },
		"LocalTenant":     func(o *session.Options) { o.LocalTenant = "" },
		"Now":             func(o *session.Options) { o.Now = nil },
		"NewID":           func(o *session.Options) { o.NewID = nil },
	}
	for name, cut := range tests {
		t.Run(name, func(t *testing.T) {
			newRig(t, func(o *session.Options) {
				cut(o)
				_, err := session.New(*o)
				require.ErrorContains(t, err, "Options."+name)
				*o = session.Options{Store: &rows{}, Access: new(tokens.AccessIssuer), CookieKey: keyOne, Now: time.Now, NewID: func() string { return "" }}
			})
		})
	}
}

func TestClientCredentials(t *testing.T) {
	r := newRig(t)
	token, lifetime, err := r.ClientCredentials(t.Context(), tenant, "client-1", secret, issuer)
	require.NoError(t, err)
	require.Equal(t, time.Hour, lifetime)
	a, err := r.Authenticate(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, directory.Actor{Tenant: tenant, Application: true, ID: "app-1", Name: "CI", Permissions: []string{directory.PermInvite}}, a)

	r.rows.apps["client-1"] = directory.Application{Tenant: tenant, ID: "app-1", ClientID: "client-1", DisplayName: "CI"}
	a, err = r.Authenticate(t.Context(), token)
	require.NoError(t, err)
	require.Empty(t, a.Permissions, "what is taken away is gone at once")
	delete(r.rows.apps, "client-1")
	_, err = r.Authenticate(t.Context(), token)
	require.True(t, problem.Is(err, problem.Unauthenticated))
}

func TestClientCredentialsRefuses(t *testing.T) {
	tests := []struct {
		name           string
		tenant         directory.TenantID
		client, secret string
		code           int
		oauth          string
	}{
		{"wrong secret", tenant, "client-1", "wrong", 7000215, "invalid_client"},
		{"no secret", tenant, "client-1", "", 7000215, "invalid_client"},
		{"hash for secret", tenant, "client-1", hashOf(secret), 7000215, "invalid_client"},
		{"unknown client", tenant, "client-2", secret, 700016, "unauthorized_client"},
		{"client of another tenant", "other", "client-1", secret, 700016, "unauthorized_client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			token, _, err := r.ClientCredentials(t.Context(), tt.tenant, tt.client, tt.secret, issuer)
			require.Empty(t, token)
			require.True(t, problem.Is(err, problem.Unauthenticated))
			var refusal *session.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, session.Refusal{OAuth: tt.oauth, Code: tt.code}, *refusal)
			require.Contains(t, problem.Of(err).Detail, "AADSTS")
			require.NotContains(t, err.Error(), secret)
		})
	}
	r := newRig(t)
	r.rows.fail = directory.ErrBusy
	_, _, err := r.ClientCredentials(t.Context(), tenant, "client-1", secret, issuer)
	require.True(t, problem.Is(err, problem.Unavailable))
}

func TestMintFor(t *testing.T) {
	r := newRig(t)
	token, _, err := r.MintFor(t.Context(), tenant, "ADMIN@contoso.example", issuer)
	require.NoError(t, err)
	a, err := r.Authenticate(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, directory.Actor{
		Tenant: tenant, ID: "u-1", Name: "admin@contoso.example", DisplayName: "Ada", Mail: "admin@contoso.example",
		Roles: []directory.RoleID{directory.GlobalAdministrator}, Permissions: directory.AllPermissions(),
	}, a)
	require.NoError(t, a.Authorize(directory.AssignRole, directory.Policy{}))

	token, _, err = r.MintFor(t.Context(), tenant, "ana_fabrikam.example#EXT#@contoso.onmicrosoft.example", issuer)
	require.NoError(t, err)
	a, err = r.Authenticate(t.Context(), token)
	require.NoError(t, err)
	require.True(t, a.Guest)

	token, _, err = r.MintFor(t.Context(), tenant, "", issuer)
	require.NoError(t, err)
	a, err = r.Authenticate(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, session.LocalName, a.Name)
}

func TestMintForRefuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(*directory.User)
		code int
	}{
		{"disabled", func(u *directory.User) { u.Enabled = false }, 50057},
		{"deleted", func(u *directory.User) { u.Deleted = t0 }, 50034},
		{"pending", func(u *directory.User) { u.State = directory.Pending }, 50014},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			token, _, err := r.MintFor(t.Context(), tenant, "admin@contoso.example", issuer)
			require.NoError(t, err)
			u := r.rows.users["u-1"]
			tt.edit(&u)
			r.rows.users["u-1"] = u
			_, _, err = r.MintFor(t.Context(), tenant, "admin@contoso.example", issuer)
			var refusal *session.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, tt.code, refusal.Code)
			_, err = r.Authenticate(t.Context(), token)
			require.True(t, problem.Is(err, problem.Unauthenticated), "a token made before is of no use")
		})
	}
	r := newRig(t)
	_, _, err := r.MintFor(t.Context(), tenant, "nobody@contoso.example", issuer)
	require.True(t, problem.Is(err, problem.NotFound))
}

func TestAuthenticate(t *testing.T) {
	r := newRig(t)
	a, err := r.Authenticate(t.Context(), local)
	require.NoError(t, err)
	require.Equal(t, directory.Actor{Tenant: tenant, Application: true, ID: "invited-cli", Name: "Invited CLI", Permissions: directory.AllPermissions()}, a)
	require.True(t, r.IsLocal(local))

	token, _, err := r.ClientCredentials(t.Context(), tenant, "client-1", secret, issuer)
	require.NoError(t, err)
	for name, bearer := range map[string]string{
		"empty": "", "garbage": "garbage", "cut": token[:len(token)-2], "other": local + "x", "changed": "x" + token[1:],
	} {
		_, err := r.Authenticate(t.Context(), bearer)
		require.True(t, problem.Is(err, problem.Unauthenticated), name)
		require.True(t, problem.Has(err, problem.TokenInvalid), name)
	}
	r.now = t0.Add(2 * time.Hour)
	_, err = r.Authenticate(t.Context(), token)
	require.True(t, problem.Is(err, problem.Unauthenticated))
	require.Contains(t, problem.Of(err).Detail, "expired")

	named := newRig(t, func(o *session.Options) { o.LocalUPN = "admin@contoso.example" })
	a, err = named.Authenticate(t.Context(), local)
	require.NoError(t, err)
	require.Equal(t, "Ada", a.DisplayName, "the local credential stands for a person, if one is named")
	require.Equal(t, []directory.RoleID{directory.GlobalAdministrator}, a.Roles)
	u := named.rows.users["u-1"]
	u.Enabled = false
	named.rows.users["u-1"] = u
	a, err = named.Authenticate(t.Context(), local)
	require.NoError(t, err)
	require.Equal(t, session.LocalName, a.Name, "but not for one who may not sign in")

	without := newRig(t, func(o *session.Options) { o.LocalSecretHash = nil })
	require.False(t, without.IsLocal(local))
	require.False(t, without.IsLocal(""))
}

// guest is a session with everything in it that a real one has.
func guest() session.Guest {
	return session.Guest{
		Tenant: tenant, User: "018d0000-0000-7000-8000-000000000003", Invitation: "018d0000-0000-7000-8000-000000000004",
		Generation: 3, JTI: "018d0000-0000-7000-8000-000000000005", Issued: t0, LinkExpires: t0.Add(720 * time.Hour),
		Method: directory.MethodHome, SignedIn: true, JustAccepted: true, CSRF: strings.Repeat("c", 32), Expires: t0.Add(time.Hour),
	}
}

func TestCookies(t *testing.T) {
	r := newRig(t)
	value, err := r.SealCookie(guest())
	require.NoError(t, err)
	require.Less(t, len(value), 1024)
	got, err := r.OpenCookie(value)
	require.NoError(t, err)
	require.Equal(t, guest(), got)
	require.NotContains(t, value, "018d0000")
	again, err := r.SealCookie(guest())
	require.NoError(t, err)
	require.NotEqual(t, value, again, "every seal has a nonce of its own")

	bare := session.Guest{Tenant: tenant, Expires: t0.Add(time.Minute)}
	value, err = r.SealCookie(bare)
	require.NoError(t, err)
	got, err = r.OpenCookie(value)
	require.NoError(t, err)
	require.Equal(t, bare, got)

	long := guest()
	long.Redirect = "https://app.contoso.example/" + strings.Repeat("a", directory.MaxRedirectURL-30)
	value, err = r.SealCookie(long)
	require.NoError(t, err, "the longest redirect fits")
	require.Less(t, len(value), 4000)
	long.Redirect += long.Redirect
	_, err = r.SealCookie(long)
	require.ErrorContains(t, err, "browsers keep")
	_, err = r.SealCookie(session.Guest{})
	require.ErrorContains(t, err, "Expires")
}

func TestCookiesThatAreNotOurs(t *testing.T) {
	r := newRig(t)
	value, err := r.SealCookie(guest())
	require.NoError(t, err)
	require.Equal(t, byte('A'), value[0])
	bad := map[string]string{
		"empty": "", "not base64": "%%%", "too short": "AQ", "header only": value[:8], "cut": value[:len(value)-4],
		"another version": "B" + value[1:], "long": strings.Repeat("A", 1<<16), "spaces": value + " ", "padding": value + "=",
	}
	for i := range []byte(value) {
		flipped := []byte(value)
		if flipped[i] == 'A' {
			flipped[i] = 'B'
		} else {
			flipped[i] = 'A'
		}
		if string(flipped) != value {
			bad["flip "+string(rune('a'+i%26))+value[:i]] = string(flipped)
		}
	}
	for name, v := range bad {
		_, err := r.OpenCookie(v)
		require.True(t, problem.Has(err, problem.SessionExpired), name)
		require.True(t, problem.Is(err, problem.Unauthenticated), name)
	}
	r.now = guest().Expires
	_, err = r.OpenCookie(value)
	require.True(t, problem.Has(err, problem.SessionExpired), "it ends on time")
}

func TestCookieKeysRotate(t *testing.T) {
	old := newRig(t)
	value, err := old.SealCookie(guest())
	require.NoError(t, err)
	rotated := newRig(t, func(o *session.Options) { o.CookieKey, o.OldCookieKeys = keyTwo, [][]byte{keyOne} })
	got, err := rotated.OpenCookie(value)
	require.NoError(t, err)
	require.Equal(t, guest(), got)
	fresh, err := rotated.SealCookie(guest())
	require.NoError(t, err)
	_, err = old.OpenCookie(fresh)
	require.True(t, problem.Has(err, problem.SessionExpired), "new cookies are sealed with the new key")
}

// FuzzOpenCookie checks that no value but a sealed one opens.
func FuzzOpenCookie(f *testing.F) {
	for _, seed := range []string{"", "AQAAAAAA", "////", strings.Repeat("A", 200)} {
		f.Add(seed)
	}
	s, err := session.New(session.Options{Store: &rows{}, Access: new(tokens.AccessIssuer), CookieKey: keyOne, Now: time.Now, NewID: func() string { return "" }})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, value string) {
		_, err := s.OpenCookie(value)
		require.True(t, problem.Has(err, problem.SessionExpired))
	})
}
