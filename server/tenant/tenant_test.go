package tenant_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
	"invited/server/store"
	"invited/server/store/sqlite"
	"invited/server/tenant"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A rig is a service over a real store with the seeded tenant.
type rig struct {
	*tenant.Service
	t     testing.TB
	store store.Store
	now   time.Time
	ids   int
	cred  tenant.Credentials
}

// newRig seeds a tenant.
func newRig(t testing.TB) *rig {
	r := bareRig(t)
	cred, err := r.Seed(t.Context(), tenant.SeedOptions{})
	require.NoError(t, err)
	r.cred = cred
	return r
}

// bareRig has an empty store.
func bareRig(t testing.TB) *rig {
	r := &rig{t: t, now: t0}
	s, err := sqlite.Open(sqlite.Options{Now: func() time.Time { return r.now }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	r.store = s
	r.Service, err = tenant.New(tenant.Options{Store: s, Now: func() time.Time { return r.now }, NewID: r.newID})
	require.NoError(t, err)
	return r
}

func (r *rig) newID() string {
	r.ids++
	return fmt.Sprintf("018d0000-0000-7000-8000-%012d", r.ids)
}

// as is a person of the tenant with what roles the directory gives them.
func (r *rig) as(local string) directory.Actor {
	r.t.Helper()
	u, err := r.store.UserByUPN(r.t.Context(), r.cred.Tenant, local+"@contoso.example")
	require.NoError(r.t, err)
	roles, err := r.store.UserRoles(r.t.Context(), r.cred.Tenant, u.ID)
	require.NoError(r.t, err)
	return directory.Actor{Tenant: r.cred.Tenant, ID: string(u.ID), Name: u.UPN, Roles: roles, Correlation: "request-1"}
}

// guest adds a guest to the directory.
func (r *rig) guest(address string) directory.User {
	r.t.Helper()
	t, err := r.store.Tenant(r.t.Context(), r.cred.Tenant)
	require.NoError(r.t, err)
	a, err := mail.ParseAddress(address)
	require.NoError(r.t, err)
	u := directory.NewGuest(t, directory.UserID(r.newID()), a, "", directory.Guest, r.now)
	require.NoError(r.t, r.store.ApplyDirectory(r.t.Context(), directory.Change{Tenant: t.ID, NewUsers: []directory.User{u}}))
	u, err = r.store.User(r.t.Context(), t.ID, u.ID)
	require.NoError(r.t, err)
	return u
}

// requireReason checks kind and reason of a problem.
func requireReason(t testing.TB, err error, k problem.Kind, reason problem.Reason) {
	t.Helper()
	require.Error(t, err)
	p := problem.Of(err)
	require.Equal(t, k, p.Kind, err.Error())
	require.Equal(t, reason, p.Reason, err.Error())
	require.NotEmpty(t, p.Detail)
}

func ptr[T any](v T) *T { return &v }

func TestNewNamesTheMissingOption(t *testing.T) {
	full := tenant.Options{Store: bareRig(t).store, Now: time.Now, NewID: func() string { return "" }}
	for name, cut := range map[string]func(*tenant.Options){
		"Store": func(o *tenant.Options) { o.Store = nil }, "Now": func(o *tenant.Options) { o.Now = nil }, "NewID": func(o *tenant.Options) { o.NewID = nil },
	} {
		o := full
		cut(&o)
		_, err := tenant.New(o)
		require.ErrorContains(t, err, "Options."+name)
	}
}

func TestSeed(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	require.True(t, r.cred.New)
	require.Len(t, r.cred.Accounts, 4)
	admin := r.as("admin")

	ten, err := r.Tenant(ctx, admin)
	require.NoError(t, err)
	require.Equal(t, "Contoso", ten.DisplayName)
	require.Equal(t, "contoso.example", ten.PrimaryDomain)
	require.Equal(t, "contoso.onmicrosoft.example", ten.InitialDomain)

	roles := map[string][]string{}
	seen := map[string]bool{}
	for _, a := range r.cred.Accounts {
		roles[strings.TrimSuffix(a.UPN, "@contoso.example")] = a.Roles
		u, err := r.UserByUPN(ctx, admin, a.UPN)
		require.NoError(t, err)
		require.Equal(t, directory.Member, u.Type)
		match, err := argon2id.ComparePasswordAndHash(a.Password, u.PasswordHash)
		require.NoError(t, err)
		require.True(t, match)
		require.GreaterOrEqual(t, len(a.Password), 26, "128 bits in base32")
		require.False(t, seen[a.Password])
		seen[a.Password] = true
	}
	require.Equal(t, map[string][]string{
		"admin": {"Global Administrator"}, "useradmin": {"User Administrator"}, "inviter": {"Guest Inviter"}, "member": nil,
	}, roles)

	app, err := r.store.Application(ctx, r.cred.Tenant, r.cred.ClientID)
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(r.cred.ClientSecret))
	require.Equal(t, hex.EncodeToString(sum[:]), app.SecretHash)
	require.ElementsMatch(t, []string{"User.Invite.All", "User.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All"}, app.Permissions)

	for _, name := range []string{"Partners", "projects"} {
		_, err := r.Group(ctx, admin, name)
		require.NoError(t, err)
	}
	_, err = r.App(ctx, admin, "Expenses")
	require.NoError(t, err)
	p, err := r.Policy(ctx, admin)
	require.NoError(t, err)
	require.Equal(t, directory.EmulatorLimits, p.Limits)
	homes, err := r.ListHomes(ctx, admin, "", 0)
	require.NoError(t, err)
	require.Empty(t, homes)
}

func TestSeedLeavesATenantAlone(t *testing.T) {
	r := newRig(t)
	again, err := r.Seed(t.Context(), tenant.SeedOptions{Password: "other"})
	require.NoError(t, err)
	require.Equal(t, tenant.Credentials{Tenant: r.cred.Tenant}, again)
	users, err := r.ListUsers(t.Context(), r.as("admin"), tenant.UserQuery{})
	require.NoError(t, err)
	require.Len(t, users, 4)
}

func TestSeedWithFixedSecrets(t *testing.T) {
	r := bareRig(t)
	cred, err := r.Seed(t.Context(), tenant.SeedOptions{Password: "correct horse", ClientSecret: "battery staple", Limits: &directory.DefaultLimits})
	require.NoError(t, err)
	r.cred = cred
	require.Equal(t, "battery staple", cred.ClientSecret)
	for _, a := range cred.Accounts {
		require.Equal(t, "correct horse", a.Password)
		u, err := r.store.UserByUPN(t.Context(), cred.Tenant, a.UPN)
		require.NoError(t, err)
		require.Contains(t, u.PasswordHash, "$argon2id$v=19$m=47104,t=1,p=1$", "a chosen password is hashed at full cost")
		match, err := argon2id.ComparePasswordAndHash("correct horse", u.PasswordHash)
		require.NoError(t, err)
		require.True(t, match)
	}
	p, err := r.Policy(t.Context(), r.as("admin"))
	require.NoError(t, err)
	require.Equal(t, directory.DefaultLimits, p.Limits)
}

func TestSeedTakesUpWhatWasCutShort(t *testing.T) {
	r := bareRig(t)
	half := directory.Tenant{
		ID: "018d0000-0000-7000-8000-000000009999", DisplayName: "Contoso", PrimaryDomain: "contoso.example", InitialDomain: "contoso.onmicrosoft.example",
		Domains: []string{"contoso.example", "contoso.onmicrosoft.example"}, Created: t0,
	}
	require.NoError(t, r.store.CreateTenant(t.Context(), half, directory.DefaultPolicy(half.ID)))
	cred, err := r.Seed(t.Context(), tenant.SeedOptions{})
	require.NoError(t, err)
	require.True(t, cred.New)
	require.Equal(t, half.ID, cred.Tenant)
	require.Len(t, cred.Accounts, 4)
}

func TestTenantsByName(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{string(r.cred.Tenant), strings.ToUpper(string(r.cred.Tenant)), "contoso.example", "Contoso.OnMicrosoft.example"} {
		got, err := r.TenantByName(t.Context(), name)
		require.NoError(t, err, name)
		require.Equal(t, r.cred.Tenant, got.ID)
	}
	_, err := r.TenantByName(t.Context(), "fabrikam.example")
	requireReason(t, err, problem.NotFound, problem.Missing)
	got, err := r.Sole(t.Context())
	require.NoError(t, err)
	require.Equal(t, r.cred.Tenant, got.ID)
	_, err = bareRig(t).Sole(t.Context())
	requireReason(t, err, problem.NotFound, problem.Missing)
}

func TestReadingUsers(t *testing.T) {
	r := newRig(t)
	ctx, member := t.Context(), r.as("member")
	ana := r.guest("ana@fabrikam.example")
	for _, ref := range []string{string(ana.ID), strings.ToUpper(string(ana.ID)), ana.UPN, "ANA@fabrikam.example"} {
		u, err := r.Find(ctx, member, ref)
		require.NoError(t, err, ref)
		require.Equal(t, ana.ID, u.ID)
	}
	u, err := r.User(ctx, member, ana.ID)
	require.NoError(t, err)
	require.Equal(t, ana, u)
	guests, err := r.ListUsers(ctx, member, tenant.UserQuery{Type: directory.Guest})
	require.NoError(t, err)
	require.Len(t, guests, 1)
	for _, ref := range []string{"", "nobody", "nobody@contoso.example", "@"} {
		_, err := r.Find(ctx, member, ref)
		requireReason(t, err, problem.NotFound, problem.Missing)
	}

	guest := directory.Actor{Tenant: r.cred.Tenant, ID: string(ana.ID), Name: ana.UPN, Guest: true}
	_, err = r.ListUsers(ctx, guest, tenant.UserQuery{})
	requireReason(t, err, problem.Denied, problem.RoleRequired)
	_, err = r.Find(ctx, guest, "member@contoso.example")
	requireReason(t, err, problem.Denied, problem.RoleRequired)
	_, err = r.User(ctx, guest, ana.ID)
	require.NoError(t, err, "people may read themselves")
	_, err = r.UserByUPN(ctx, guest, ana.UPN)
	require.NoError(t, err)
	stranger := directory.Actor{Tenant: "018d0000-0000-7000-8000-00000000ffff", Application: true, Permissions: directory.AllPermissions()}
	_, err = r.User(ctx, stranger, ana.ID)
	requireReason(t, err, problem.NotFound, problem.Missing)
}

func TestDeleteRestorePurge(t *testing.T) {
	r := newRig(t)
	ctx, admin := t.Context(), r.as("useradmin")
	ana := r.guest("ana@fabrikam.example")
	partners, err := r.Group(ctx, admin, "Partners")
	require.NoError(t, err)
	require.NoError(t, r.AddMember(ctx, admin, partners.ID, ana.ID))

	require.NoError(t, r.DeleteUser(ctx, admin, ana.ID))
	_, err = r.User(ctx, admin, ana.ID)
	requireReason(t, err, problem.NotFound, problem.Missing)
	requireReason(t, r.DeleteUser(ctx, admin, ana.ID), problem.NotFound, problem.Missing)
	deleted, err := r.ListDeleted(ctx, admin, "", 0)
	require.NoError(t, err)
	require.Len(t, deleted, 1)
	require.Equal(t, t0, deleted[0].Deleted)
	require.Equal(t, ana.Generation+1, deleted[0].Generation, "every link is dead")

	r.now = t0.Add(tenant.RestoreWithin)
	u, err := r.RestoreUser(ctx, admin, ana.ID)
	require.NoError(t, err)
	require.True(t, u.Deleted.IsZero())
	groups, err := r.UserGroups(ctx, admin, ana.ID)
	require.NoError(t, err)
	require.Len(t, groups, 1, "groups come back")
	_, err = r.RestoreUser(ctx, admin, ana.ID)
	requireReason(t, err, problem.NotFound, problem.Missing)
	requireReason(t, r.PurgeUser(ctx, admin, ana.ID), problem.NotFound, problem.Missing)

	require.NoError(t, r.DeleteUser(ctx, admin, ana.ID))
	require.NoError(t, r.PurgeUser(ctx, admin, ana.ID))
	deleted, err = r.ListDeleted(ctx, admin, "", 0)
	require.NoError(t, err)
	require.Empty(t, deleted)

	events, err := r.Events(ctx, admin, tenant.EventQuery{User: ana.ID})
	require.NoError(t, err)
	var got []audit.Activity
	for _, e := range events {
		require.Equal(t, "useradmin@contoso.example", e.ActorName)
		require.Equal(t, "request-1", e.Correlation)
		got = append(got, e.Activity)
	}
	require.Equal(t, []audit.Activity{audit.HardDeleteUser, audit.DeleteUser, audit.RestoreUser, audit.DeleteUser, audit.AddMember}, got)
}

func TestRestoreHasLimits(t *testing.T) {
	r := newRig(t)
	ctx, admin := t.Context(), r.as("admin")
	ana := r.guest("ana@fabrikam.example")
	require.NoError(t, r.DeleteUser(ctx, admin, ana.ID))
	other := r.guest("ana@fabrikam.example")
	_, err := r.RestoreUser(ctx, admin, ana.ID)
	requireReason(t, err, problem.Conflict, problem.AlreadyInDirectory)
	require.Contains(t, problem.Of(err).Detail, string(other.ID))
	require.NoError(t, r.DeleteUser(ctx, admin, other.ID))

	r.now = t0.Add(tenant.RestoreWithin + time.Millisecond)
	_, err = r.RestoreUser(ctx, admin, ana.ID)
	requireReason(t, err, problem.NotFound, problem.Missing)
	n, err := r.SweepDeleted(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = r.SweepDeleted(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestWhoMayChangeWhom(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	ana := r.guest("ana@fabrikam.example")
	inviter := directory.UserID(r.as("inviter").ID)
	requireReason(t, r.DeleteUser(ctx, r.as("inviter"), ana.ID), problem.Denied, problem.RoleRequired)
	requireReason(t, r.DeleteUser(ctx, r.as("useradmin"), inviter), problem.Denied, problem.RoleRequired)
	_, err := r.UpdateUser(ctx, r.as("useradmin"), inviter, tenant.Patch{Enabled: ptr(false)})
	requireReason(t, err, problem.Denied, problem.RoleRequired)
	require.NoError(t, r.DeleteUser(ctx, r.as("admin"), inviter))
	require.NoError(t, r.DeleteUser(ctx, r.as("useradmin"), ana.ID))
}

func TestUpdateUser(t *testing.T) {
	r := newRig(t)
	ctx, admin := t.Context(), r.as("admin")
	ana := r.guest("ana@fabrikam.example")
	u, err := r.UpdateUser(ctx, admin, ana.ID, tenant.Patch{
		DisplayName: ptr("Ana"), GivenName: ptr("Ana"), Surname: ptr("A"), JobTitle: ptr("Buyer"), CompanyName: ptr("Fabrikam"),
		Mail: ptr("ana@litware.example"), OtherMails: ptr([]string{"ana@fabrikam.example", "a@litware.example"}),
		UserType: ptr(directory.Member), Enabled: ptr(false), PreferredLanguage: ptr("de-DE"),
	})
	require.NoError(t, err)
	stored, err := r.User(ctx, admin, ana.ID)
	require.NoError(t, err)
	require.Equal(t, stored, u)
	require.Equal(t, "ana@litware.example", u.Mail)
	require.Equal(t, []string{"SMTP:ana@litware.example"}, u.ProxyAddresses)
	require.Equal(t, []string{"ana@fabrikam.example", "a@litware.example"}, u.OtherMails)
	require.Equal(t, ana.UPN, u.UPN)
	require.Equal(t, directory.Member, u.Type)
	require.False(t, u.Enabled)

	u, err = r.UpdateUser(ctx, admin, ana.ID, tenant.Patch{CompanyName: ptr(""), PreferredLanguage: ptr(""), Mail: ptr("")})
	require.NoError(t, err)
	require.Empty(t, u.CompanyName)
	require.Empty(t, u.ProxyAddresses)
	version := u.Version
	_, err = r.UpdateUser(ctx, admin, ana.ID, tenant.Patch{})
	require.NoError(t, err)
	u, err = r.User(ctx, admin, ana.ID)
	require.NoError(t, err)
	require.Equal(t, version, u.Version, "nothing to do writes nothing")
}

func TestUpdateUserRefuses(t *testing.T) {
	tests := []struct {
		name   string
		patch  tenant.Patch
		kind   problem.Kind
		reason problem.Reason
		field  string
	}{
		{"empty name", tenant.Patch{DisplayName: ptr("")}, problem.Invalid, problem.BadInput, "displayName"},
		{"line break in a name", tenant.Patch{DisplayName: ptr("a\r\nb")}, problem.Invalid, problem.BadInput, "displayName"},
		{"long company", tenant.Patch{CompanyName: ptr(strings.Repeat("a", 65))}, problem.Invalid, problem.BadInput, "companyName"},
		{"no address", tenant.Patch{Mail: ptr("ana")}, problem.Invalid, problem.BadAddress, "mail"},
		{"no other address", tenant.Patch{OtherMails: ptr([]string{"ana"})}, problem.Invalid, problem.BadAddress, "otherMails"},
		{"too many addresses", tenant.Patch{OtherMails: ptr(make([]string, 251))}, problem.Invalid, problem.BadInput, "otherMails"},
		{"somebody's address", tenant.Patch{Mail: ptr("ben@fabrikam.example")}, problem.Conflict, problem.AlreadyInDirectory, ""},
		{"a member's UPN", tenant.Patch{OtherMails: ptr([]string{"member@contoso.example"})}, problem.Conflict, problem.AlreadyInDirectory, ""},
		{"unknown type", tenant.Patch{UserType: ptr(directory.UserType("Friend"))}, problem.Invalid, problem.BadInput, "userType"},
		{"no language", tenant.Patch{PreferredLanguage: ptr("very German")}, problem.Invalid, problem.BadInput, "preferredLanguage"},
	}
	r := newRig(t)
	ana := r.guest("ana@fabrikam.example")
	r.guest("ben@fabrikam.example")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := r.UpdateUser(t.Context(), r.as("admin"), ana.ID, tt.patch)
			requireReason(t, err, tt.kind, tt.reason)
			require.Equal(t, tt.field, problem.Of(err).Field)
			u, err := r.User(t.Context(), r.as("admin"), ana.ID)
			require.NoError(t, err)
			require.Equal(t, ana, u)
		})
	}
}

func TestGroups(t *testing.T) {
	r := newRig(t)
	ctx, admin := t.Context(), r.as("useradmin")
	ana := r.guest("ana@fabrikam.example")
	g, err := r.CreateGroup(ctx, admin, "Suppliers 2", "who sells to us")
	require.NoError(t, err)
	require.Equal(t, "suppliers2", g.MailNickname)
	_, err = r.CreateGroup(ctx, admin, "SUPPLIERS 2", "")
	requireReason(t, err, problem.Conflict, problem.BadInput)
	for _, name := range []string{"", "a\nb", strings.Repeat("a", 257)} {
		_, err = r.CreateGroup(ctx, admin, name, "")
		requireReason(t, err, problem.Invalid, problem.BadInput)
	}
	_, err = r.CreateGroup(ctx, r.as("inviter"), "Mine", "")
	requireReason(t, err, problem.Denied, problem.RoleRequired)

	require.NoError(t, r.AddMember(ctx, admin, g.ID, ana.ID))
	err = r.AddMember(ctx, admin, g.ID, ana.ID)
	requireReason(t, err, problem.Invalid, problem.BadInput)
	require.Contains(t, problem.Of(err).Detail, "One or more added object references already exist")
	members, err := r.GroupMembers(ctx, admin, g.ID, "", 0)
	require.NoError(t, err)
	require.Equal(t, []directory.User{ana}, members)
	require.NoError(t, r.RemoveMember(ctx, admin, g.ID, ana.ID))
	err = r.RemoveMember(ctx, admin, g.ID, ana.ID)
	require.Contains(t, problem.Of(err).Detail, "One or more removed object references do not exist")

	requireReason(t, r.AddMember(ctx, admin, "018d0000-0000-7000-8000-00000000ffff", ana.ID), problem.NotFound, problem.Missing)
	requireReason(t, r.AddMember(ctx, admin, g.ID, "018d0000-0000-7000-8000-00000000ffff"), problem.NotFound, problem.Missing)
	groups, err := r.ListGroups(ctx, admin, "", 2)
	require.NoError(t, err)
	require.Len(t, groups, 2)
}

func TestApps(t *testing.T) {
	r := newRig(t)
	ctx, admin := t.Context(), r.as("useradmin")
	ana := r.guest("ana@fabrikam.example")
	a, err := r.CreateApp(ctx, admin, "Wiki", "https://wiki.contoso.example")
	require.NoError(t, err)
	require.Equal(t, "https://wiki.contoso.example/", a.Homepage)
	_, err = r.CreateApp(ctx, admin, "wiki", "")
	requireReason(t, err, problem.Conflict, problem.BadInput)
	_, err = r.CreateApp(ctx, admin, "Bad", "javascript:alert(1)")
	requireReason(t, err, problem.Invalid, problem.BadInput)
	require.Contains(t, problem.Of(err).Detail, "homepage")

	for range 2 {
		require.NoError(t, r.AssignApp(ctx, admin, a.ID, ana.ID))
	}
	apps, err := r.UserApps(ctx, admin, ana.ID)
	require.NoError(t, err)
	require.Equal(t, []directory.App{a}, apps)
	all, err := r.ListApps(ctx, admin, "", 0)
	require.NoError(t, err)
	require.Len(t, all, 2)
	requireReason(t, r.AssignApp(ctx, r.as("inviter"), a.ID, ana.ID), problem.Denied, problem.RoleRequired)
}

func TestRoles(t *testing.T) {
	r := newRig(t)
	ctx, admin := t.Context(), r.as("admin")
	ana := r.guest("ana@fabrikam.example")
	requireReason(t, r.AssignRole(ctx, r.as("useradmin"), "Guest Inviter", ana.ID), problem.Denied, problem.RoleRequired)
	requireReason(t, r.AssignRole(ctx, admin, "Emperor", ana.ID), problem.NotFound, problem.Missing)
	for range 2 {
		require.NoError(t, r.AssignRole(ctx, admin, "guest inviter", ana.ID))
	}
	roles, err := r.UserRoles(ctx, admin, ana.ID)
	require.NoError(t, err)
	require.Len(t, roles, 1)
	require.Equal(t, "Guest Inviter", roles[0].DisplayName)
	for range 2 {
		require.NoError(t, r.RemoveRole(ctx, admin, string(directory.GuestInviter), ana.ID))
	}
	events, err := r.Events(ctx, admin, tenant.EventQuery{User: ana.ID})
	require.NoError(t, err)
	require.Len(t, events, 2, "what is so already is no event")
}

func TestPolicy(t *testing.T) {
	r := newRig(t)
	ctx, admin := t.Context(), r.as("admin")
	p, err := r.Policy(ctx, r.as("member"))
	require.NoError(t, err)
	mine, theirs := p, p
	mine.BlockedDomains = []string{"B.example", "a.example"}
	saved, err := r.SetPolicy(ctx, admin, mine)
	require.NoError(t, err)
	require.Equal(t, []string{"a.example", "b.example"}, saved.BlockedDomains)
	stored, err := r.Policy(ctx, admin)
	require.NoError(t, err)
	require.Equal(t, stored, saved)

	theirs.InvitesFrom = directory.InvitesFromNone
	_, err = r.SetPolicy(ctx, admin, theirs)
	requireReason(t, err, problem.Conflict, problem.Busy)
	saved.Fallback = "sms"
	_, err = r.SetPolicy(ctx, admin, saved)
	requireReason(t, err, problem.Invalid, problem.BadInput)
	_, err = r.SetPolicy(ctx, r.as("useradmin"), stored)
	requireReason(t, err, problem.Denied, problem.RoleRequired)
}

func TestHomes(t *testing.T) {
	r := newRig(t)
	ctx, admin := t.Context(), r.as("admin")
	at := func(s string) mail.Address {
		a, err := mail.ParseAddress(s)
		require.NoError(t, err)
		return a
	}
	_, err := r.Home(ctx, admin, "fabrikam.example")
	requireReason(t, err, problem.NotFound, problem.Missing)
	h, err := r.PutHome(ctx, admin, directory.HomeTenant{Domain: "Fabrikam.EXAMPLE", DisplayName: "Fabrikam"}, []mail.Address{at("ana@fabrikam.example"), at("ben@fabrikam.example")}, nil)
	require.NoError(t, err)
	require.Equal(t, directory.SignInSimulated, h.SignIn)
	got, err := r.Home(ctx, admin, "FABRIKAM.example")
	require.NoError(t, err)
	require.Equal(t, h, got)

	h.AllowEmailVerifiedUsers, h.Version = true, 0
	h, err = r.PutHome(ctx, admin, h, nil, []mail.Address{at("ben@fabrikam.example")})
	require.NoError(t, err)
	require.True(t, h.AllowEmailVerifiedUsers)
	accounts, err := r.HomeAccounts(ctx, admin, "fabrikam.example", "", 0)
	require.NoError(t, err)
	require.Equal(t, []string{"ana@fabrikam.example"}, accounts)
	homes, err := r.ListHomes(ctx, admin, "", 0)
	require.NoError(t, err)
	require.Equal(t, []directory.HomeTenant{h}, homes)

	for name, bad := range map[string]directory.HomeTenant{
		"no domain": {}, "nonsense": {Domain: "a b"}, "own domain": {Domain: "contoso.example"}, "sign-in": {Domain: "litware.example", SignIn: "magic"},
		"name": {Domain: "litware.example", DisplayName: "a\nb"},
	} {
		_, err := r.PutHome(ctx, admin, bad, nil, nil)
		require.True(t, problem.Is(err, problem.Invalid), name)
	}
	_, err = r.PutHome(ctx, admin, h, []mail.Address{at("ana@litware.example")}, nil)
	requireReason(t, err, problem.Invalid, problem.BadInput)
	_, err = r.PutHome(ctx, r.as("useradmin"), h, nil, nil)
	requireReason(t, err, problem.Denied, problem.RoleRequired)
}

// BenchmarkSeed measures what the first start waits for, beside the store.
func BenchmarkSeed(b *testing.B) {
	for _, o := range []tenant.SeedOptions{{}, {Password: "correct horse"}} {
		b.Run(fmt.Sprintf("fixed=%t", o.Password != ""), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				r := bareRig(b)
				b.StartTimer()
				_, err := r.Seed(b.Context(), o)
				require.NoError(b, err)
			}
		})
	}
}

func TestSeedKeepsTheCredentialsBeforeItIsDone(t *testing.T) {
	r := bareRig(t)
	_, err := r.Seed(t.Context(), tenant.SeedOptions{Keep: func(tenant.Credentials) error { return errors.New("disk full") }})
	require.True(t, problem.Has(err, problem.StorageFull))

	var kept tenant.Credentials
	made, err := r.Seed(t.Context(), tenant.SeedOptions{Keep: func(c tenant.Credentials) error {
		kept = c
		return nil
	}})
	require.NoError(t, err)
	require.True(t, made.New, "what could not be kept was not done")
	require.Equal(t, made, kept)
}
