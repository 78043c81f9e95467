package invite_test

import (
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// errDisk is a fault of the store that nobody expects.
var errDisk = errors.New("bad sector")

// The people of the tests.
const (
	contoso = directory.TenantID("tenant-contoso")
	globalA = directory.UserID("user-admin")
	memberM = directory.UserID("user-member")
)

// A rig is a service over a memory, with a clock that stands still.
type rig struct {
	*invite.Service
	t      testing.TB
	store  *memory
	pen    *pen
	drawer drawer
	clock  atomic.Int64 // nanoseconds since t0
	ids    atomic.Int64
	woken  atomic.Int64
}

// newRig returns a tenant with one administrator, one member, two groups and
// an app, without sending limits, in emulator mode unless edit says otherwise.
func newRig(t testing.TB, edit ...func(*invite.Options)) *rig {
	tenant := directory.Tenant{
		ID: contoso, DisplayName: "Contoso", PrimaryDomain: "contoso.example", InitialDomain: "contoso.onmicrosoft.example",
		Domains: []string{"contoso.example", "contoso.onmicrosoft.example"},
	}
	policy := directory.DefaultPolicy(contoso)
	policy.Limits = directory.Limits{}
	r := &rig{t: t, store: newMemory(tenant, policy), pen: &pen{}, drawer: drawer{}}
	for _, u := range []directory.User{
		{ID: globalA, UPN: "admin@contoso.example", Mail: "admin@contoso.example", DisplayName: "Ada Admin"},
		{ID: memberM, UPN: "member@contoso.example", DisplayName: "Max Member"},
	} {
		u.Tenant, u.Type, u.Enabled, u.Version = contoso, directory.Member, true, 1
		r.store.users[u.ID] = u
	}
	r.store.groups = []directory.Group{{Tenant: contoso, ID: "group-partners", DisplayName: "Partners"}, {Tenant: contoso, ID: "group-projects", DisplayName: "Projects"}}
	r.store.apps = []directory.App{{Tenant: contoso, ID: "app-expenses", DisplayName: "Expenses"}}
	o := invite.Options{
		Store: r.store, Tickets: paper{r.now}, Letters: r.pen, Mailboxes: r.drawer,
		RedeemURL: func(tenant directory.TenantID, id invite.ID, ticket string) string {
			return "https://invited.example/redeem?" + url.Values{"tenant": {string(tenant)}, "user": {string(id)}, "ticket": {ticket}}.Encode()
		},
		Now: r.now, NewID: r.newID, Wake: func() { r.woken.Add(1) }, Mode: invite.Mode{Emulator: true},
	}
	for _, f := range edit {
		f(&o)
	}
	s, err := invite.New(o)
	require.NoError(t, err)
	r.Service = s
	return r
}

func (r *rig) now() time.Time          { return t0.Add(time.Duration(r.clock.Load())) }
func (r *rig) advance(d time.Duration) { r.clock.Add(int64(d)) }
func (r *rig) newID() string {
	return fmt.Sprintf("00000000-0000-7000-8000-%012d", r.ids.Add(1))
}

// admin is a Global Administrator, a person with a mailbox.
func admin() directory.Actor {
	return directory.Actor{
		Tenant: contoso, ID: string(globalA), Name: "admin@contoso.example", DisplayName: "Ada Admin", Mail: "admin@contoso.example",
		Roles: []directory.RoleID{directory.GlobalAdministrator}, Correlation: "request-1",
	}
}

// app is an application with the given permissions.
func app(permissions ...string) directory.Actor {
	return directory.Actor{Tenant: contoso, Application: true, ID: "app-1", Name: "CI", Permissions: permissions}
}

// person is a user with roles.
func person(roles ...directory.RoleID) directory.Actor {
	return directory.Actor{Tenant: contoso, ID: string(memberM), Name: "member@contoso.example", DisplayName: "Max Member", Roles: roles}
}

// ask is the usual request.
func ask(email string) invite.Request { return invite.Request{Email: email, SendMessage: true} }

// invite invites an address and expects it to work.
func (r *rig) invite(email string) invite.Created {
	r.t.Helper()
	c, err := r.Create(r.t.Context(), admin(), ask(email))
	require.NoError(r.t, err)
	return c
}

// follow returns the parameters of a redeem URL.
func follow(t testing.TB, redeemURL string) (directory.TenantID, string, string) {
	t.Helper()
	u, err := url.Parse(redeemURL)
	require.NoError(t, err)
	q := u.Query()
	return directory.TenantID(q.Get("tenant")), q.Get("user"), q.Get("ticket")
}

// open follows a redeem URL.
func (r *rig) open(redeemURL string) (invite.Redemption, error) {
	r.t.Helper()
	tenant, id, ticket := follow(r.t, redeemURL)
	return r.Open(r.t.Context(), tenant, id, ticket)
}

// accept follows a redeem URL, signs in as told, and consents.
func (r *rig) accept(redeemURL string) (invite.Redemption, error) {
	r.t.Helper()
	red, err := r.open(redeemURL)
	if err != nil {
		return red, err
	}
	return r.Accept(r.t.Context(), red.Claims, red.SignIn.Method)
}

// requireReason checks kind and reason of a problem.
func requireReason(t testing.TB, err error, k problem.Kind, r problem.Reason) {
	t.Helper()
	require.Error(t, err)
	p := problem.Of(err)
	require.Equal(t, r, p.Reason, err.Error())
	require.Equal(t, k, p.Kind, err.Error())
	require.NotEmpty(t, p.Detail)
}

func TestNewNamesTheMissingOption(t *testing.T) {
	r := newRig(t)
	full := invite.Options{
		Store: r.store, Tickets: paper{r.now}, Letters: r.pen, Now: r.now, NewID: r.newID,
		RedeemURL: func(directory.TenantID, invite.ID, string) string { return "" },
	}
	_, err := invite.New(full)
	require.NoError(t, err)
	tests := map[string]func(*invite.Options){
		"Store":     func(o *invite.Options) { o.Store = nil },
		"Tickets":   func(o *invite.Options) { o.Tickets = nil },
		"Letters":   func(o *invite.Options) { o.Letters = nil },
		"RedeemURL": func(o *invite.Options) { o.RedeemURL = nil },
		"Now":       func(o *invite.Options) { o.Now = nil },
		"NewID":     func(o *invite.Options) { o.NewID = nil },
	}
	for name, cut := range tests {
		o := full
		cut(&o)
		_, err := invite.New(o)
		require.ErrorContains(t, err, "Options."+name)
	}
}

func TestStateAt(t *testing.T) {
	guest := directory.User{State: directory.Pending, Generation: 2}
	accepted := guest
	accepted.State = directory.Accepted
	deleted := guest
	deleted.Deleted = t0
	tests := []struct {
		name  string
		inv   invite.Invitation
		guest directory.User
		want  invite.State
	}{
		{"fresh", invite.Invitation{Generation: 2}, guest, invite.StatePending},
		{"before its end", invite.Invitation{Generation: 2, Expires: t0.Add(1)}, guest, invite.StatePending},
		{"at its end", invite.Invitation{Generation: 2, Expires: t0}, guest, invite.StateExpired},
		{"declined", invite.Invitation{Generation: 2, Declined: t0}, guest, invite.StateDeclined},
		{"declined and expired", invite.Invitation{Generation: 2, Declined: t0, Expires: t0}, guest, invite.StateExpired},
		{"revoked", invite.Invitation{Generation: 1, Revoked: t0}, guest, invite.StateRevoked},
		{"of an older generation", invite.Invitation{Generation: 1}, guest, invite.StateReplaced},
		{"accepted", invite.Invitation{Generation: 2, Accepted: t0, Expires: t0}, guest, invite.StateAccepted},
		{"another link was accepted", invite.Invitation{Generation: 2}, accepted, invite.StateAccepted},
		{"deleted outranks everything", invite.Invitation{Generation: 2, Accepted: t0}, deleted, invite.StateDeleted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, tt.inv.StateAt(tt.guest, t0)) })
	}
}
