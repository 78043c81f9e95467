package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/tenant"
)

var directoryTests = []test{
	{"what is missing is NotFound", testMissing},
	{"a tenant is read as it was written, and exists once", testTenant},
	{"an application is read as it was written, and its client id is unique", testApplication},
	{"a user is read as it was written", testUser},
	{"a change that fails leaves no trace", testNoTrace},
	{"a stale version is refused", testStale},
	{"a taken address is stale, whatever kind it has", testTaken},
	{"of forty conditional updates at once one wins", testOneWinner},
	{"a soft-deleted user frees their names and restoring may conflict", testRestore},
	{"changing an address frees the old one", testReaddress},
	{"purging removes a user with all that hangs on them", testPurge},
	{"groups, roles and apps are given and taken", testAssignments},
	{"a policy is replaced under its version", testPolicy},
	{"homes know their accounts", testHomes},
	{"a change that mixes tenants is refused", testMixed},
	{"an assignment to what is gone is stale", testDangling},
}

func testMissing(h *house) {
	t := h.newTenant("Contoso")
	some := mail.Address{Local: "nobody", Domain: "nowhere.example"}
	for name, read := range map[string]func() error{
		"tenant":            func() error { _, err := h.Tenant(h.ctx, "none"); return err },
		"policy":            func() error { _, err := h.Policy(h.ctx, "none"); return err },
		"user":              func() error { _, err := h.User(h.ctx, t, "none"); return err },
		"user by UPN":       func() error { _, err := h.UserByUPN(h.ctx, t, "none"); return err },
		"user by address":   func() error { _, err := h.UserByAddress(h.ctx, t, some); return err },
		"group":             func() error { _, err := h.Group(h.ctx, t, "none"); return err },
		"group by name":     func() error { _, err := h.GroupByName(h.ctx, t, "none"); return err },
		"app":               func() error { _, err := h.App(h.ctx, t, "none"); return err },
		"app by name":       func() error { _, err := h.AppByName(h.ctx, t, "none"); return err },
		"application":       func() error { _, err := h.Application(h.ctx, t, "none"); return err },
		"home":              func() error { _, _, err := h.Home(h.ctx, t, some); return err },
		"home by domain":    func() error { _, err := h.HomeByDomain(h.ctx, t, "none"); return err },
		"invitation":        func() error { _, err := h.Invitation(h.ctx, t, "none"); return err },
		"latest invitation": func() error { _, err := h.LatestInvitation(h.ctx, t, "none"); return err },
	} {
		require.ErrorIs(h, read(), directory.ErrNotFound, name)
	}
	require.NoError(h, h.Ping(h.ctx))
}

func testTenant(h *house) {
	want, policy := NewTenant("Contoso")
	require.NoError(h, h.CreateTenant(h.ctx, want, policy))
	require.ErrorIs(h, h.CreateTenant(h.ctx, want, policy), directory.ErrStale)
	got, err := h.Tenant(h.ctx, want.ID)
	require.NoError(h, err)
	require.Equal(h, want, got)
	gotPolicy, err := h.Policy(h.ctx, want.ID)
	require.NoError(h, err)
	require.Equal(h, policy, gotPolicy)
}

func testApplication(h *house) {
	t := h.newTenant("Contoso")
	want := directory.Application{
		Tenant: t, ID: ID(), ClientID: ID(), DisplayName: "Invited CLI", SecretHash: "00ff",
		Permissions: []string{"User.Invite.All"}, Created: Start,
	}
	require.NoError(h, h.CreateApplication(h.ctx, want))
	require.ErrorIs(h, h.CreateApplication(h.ctx, want), directory.ErrStale)
	got, err := h.Application(h.ctx, t, want.ClientID)
	require.NoError(h, err)
	require.Equal(h, want, got)
}

func testUser(h *house) {
	t := h.newTenant("Contoso")
	want := directory.User{
		Tenant: t, ID: directory.UserID(ID()), UPN: "Zoë@contoso.example", DisplayName: "Zoë Müller", GivenName: "Zoë",
		Surname: "Müller", JobTitle: "Lead", CompanyName: "Contoso", MailNickname: "zoe", Mail: "zoe@contoso.example",
		OtherMails: []string{"zoe@home.example"}, ProxyAddresses: []string{"SMTP:zoe@contoso.example", "smtp:z@contoso.example", "x500:/o=c"},
		Type: directory.Member, Enabled: true, PreferredLanguage: "de-CH", Sponsors: []directory.UserID{"a", "b"},
		Identities:   []directory.Identity{{SignInType: "userPrincipalName", Issuer: "contoso.example", IssuerAssignedID: "zoe"}},
		PasswordHash: "$argon2id$", Created: Start.Add(123 * time.Microsecond), Generation: 3, Version: 7,
	}
	h.apply(directory.Change{Tenant: t, NewUsers: []directory.User{want}})
	require.Equal(h, want, h.user(t, want.ID))

	byUPN, err := h.UserByUPN(h.ctx, t, "ZOË@contoso.example")
	require.NoError(h, err)
	require.Equal(h, want, byUPN)
	for _, a := range []string{"ZOE@contoso.example", "zoe@home.example", "z@contoso.example", "Zoë@contoso.example"} {
		got, err := h.UserByAddress(h.ctx, t, ParseAddress(a))
		require.NoError(h, err, a)
		require.Equal(h, want.ID, got.ID, a)
	}
	_, err = h.UserByUPN(h.ctx, t, "zoe@home.example")
	require.ErrorIs(h, err, directory.ErrNotFound, "an address is no UPN")
}

func testNoTrace(h *house) {
	t := h.newTenant("Contoso")
	old := h.invite(t, "old@fabrikam.example").NewUsers[0]
	stale := old
	stale.Version, stale.DisplayName = 99, "changed"
	c := NewInvitation(NewGuest(t, "new@fabrikam.example"), 64)
	c.NewGroups = []directory.Group{{Tenant: t, ID: "g", DisplayName: "Partners"}}
	c.Users = []directory.User{stale}
	require.ErrorIs(h, h.ApplyInvitation(h.ctx, c), directory.ErrStale)

	last := NewInvitation(NewGuest(t, "other@fabrikam.example"), 64)
	last.Mail = append(last.Mail, last.Mail[0]) // fails at its very last row
	require.ErrorIs(h, h.ApplyInvitation(h.ctx, last), directory.ErrStale)

	require.Equal(h, old, h.user(t, old.ID))
	_, err := h.Group(h.ctx, t, "g")
	require.ErrorIs(h, err, directory.ErrNotFound)
	users, err := h.ListUsers(h.ctx, t, tenant.UserQuery{Limit: 10})
	require.NoError(h, err)
	require.Len(h, users, 1)
	events, err := h.ListEvents(h.ctx, t, tenant.EventQuery{Limit: 10})
	require.NoError(h, err)
	require.Len(h, events, 2)
	items, err := h.ClaimMail(h.ctx, "w", Start, time.Minute, 10)
	require.NoError(h, err)
	require.Len(h, items, 1)
}

func testStale(h *house) {
	t := h.newTenant("Contoso")
	u := h.invite(t, "guest@fabrikam.example").NewUsers[0]
	u.DisplayName = "first"
	h.apply(directory.Change{Tenant: t, Users: []directory.User{u}})
	got := h.user(t, u.ID)
	require.Equal(h, u.Version+1, got.Version)
	require.Equal(h, "first", got.DisplayName)

	u.DisplayName = "second"
	require.ErrorIs(h, h.ApplyDirectory(h.ctx, directory.Change{Tenant: t, Users: []directory.User{u}}), directory.ErrStale)
	require.Equal(h, got, h.user(t, u.ID))

	gone := NewGuest(t, "never@fabrikam.example")
	require.ErrorIs(h, h.ApplyDirectory(h.ctx, directory.Change{Tenant: t, Users: []directory.User{gone}}), directory.ErrStale)
}

func testTaken(h *house) {
	t := h.newTenant("Contoso")
	holder := NewGuest(t, "jane@fabrikam.example")
	holder.OtherMails = []string{"jane@home.example"}
	holder.ProxyAddresses = append(holder.ProxyAddresses, "smtp:j@fabrikam.example")
	h.apply(directory.Change{Tenant: t, NewUsers: []directory.User{holder}})
	for _, taken := range []string{"Jane@fabrikam.example", "jane@home.example", "J@fabrikam.example", holder.UPN} {
		byMail := NewGuest(t, "rival@fabrikam.example")
		byMail.Mail = taken
		byOther := NewGuest(t, "rival@fabrikam.example")
		byOther.OtherMails = []string{taken}
		byProxy := NewGuest(t, "rival@fabrikam.example")
		byProxy.ProxyAddresses = []string{"smtp:" + taken}
		byUPN := NewGuest(t, "rival@fabrikam.example")
		byUPN.UPN = taken
		for _, rival := range []directory.User{byMail, byOther, byProxy, byUPN} {
			err := h.ApplyDirectory(h.ctx, directory.Change{Tenant: t, NewUsers: []directory.User{rival}})
			require.ErrorIs(h, err, directory.ErrStale, taken)
		}
	}
}

func testOneWinner(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	u, inv := c.NewUsers[0], c.NewInvitations[0]
	var won, stale atomic.Int32
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			accept := c
			accept.NewUsers, accept.NewInvitations, accept.Mail = nil, nil, nil
			u, inv := u, inv
			u.State, inv.Accepted = directory.Accepted, Start.Add(time.Hour)
			accept.Users, accept.Invitations = []directory.User{u}, append(accept.Invitations, inv)
			accept.Audit = []audit.Event{{ID: ID(), Tenant: string(t), Activity: audit.RedeemInvite, Target: string(u.ID)}}
			switch err := h.ApplyInvitation(h.ctx, accept); {
			case err == nil:
				won.Add(1)
			default:
				assert.ErrorIs(h, err, directory.ErrStale)
				stale.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(h, 1, won.Load())
	require.EqualValues(h, 39, stale.Load())
	events, err := h.ListEvents(h.ctx, t, tenant.EventQuery{User: u.ID, Limit: 99})
	require.NoError(h, err)
	accepted := 0
	for _, e := range events {
		if e.Activity == audit.RedeemInvite {
			accepted++
		}
	}
	require.Equal(h, 1, accepted)
}

func testRestore(h *house) {
	t := h.newTenant("Contoso")
	u := h.invite(t, "guest@fabrikam.example").NewUsers[0]
	u.Deleted = Start.Add(time.Hour)
	h.apply(directory.Change{Tenant: t, Users: []directory.User{u}})
	_, err := h.UserByAddress(h.ctx, t, ParseAddress(u.Mail))
	require.ErrorIs(h, err, directory.ErrNotFound)
	_, err = h.UserByUPN(h.ctx, t, u.UPN)
	require.ErrorIs(h, err, directory.ErrNotFound)
	require.Equal(h, u.Deleted, h.user(t, u.ID).Deleted, "a deleted user is still found by id")

	again := h.invite(t, "guest@fabrikam.example").NewUsers[0]
	restored := h.user(t, u.ID)
	restored.Deleted = time.Time{}
	err = h.ApplyDirectory(h.ctx, directory.Change{Tenant: t, Users: []directory.User{restored}})
	require.ErrorIs(h, err, directory.ErrStale, "the address is taken")

	again.Deleted = Start.Add(2 * time.Hour)
	h.apply(directory.Change{Tenant: t, Users: []directory.User{again}})
	both, err := h.ListUsers(h.ctx, t, tenant.UserQuery{Deleted: true, Address: u.Mail, Limit: 9})
	require.NoError(h, err)
	require.Len(h, both, 2, "any number of deleted users may have had an address")
	h.apply(directory.Change{Tenant: t, Users: []directory.User{restored}})
	got, err := h.UserByAddress(h.ctx, t, ParseAddress(u.Mail))
	require.NoError(h, err)
	require.Equal(h, u.ID, got.ID)
}

func testReaddress(h *house) {
	t := h.newTenant("Contoso")
	u := h.invite(t, "old@fabrikam.example").NewUsers[0]
	u.Mail, u.ProxyAddresses = "new@fabrikam.example", []string{"SMTP:new@fabrikam.example"}
	h.apply(directory.Change{Tenant: t, Users: []directory.User{u}})
	got, err := h.UserByAddress(h.ctx, t, ParseAddress("new@fabrikam.example"))
	require.NoError(h, err)
	require.Equal(h, u.ID, got.ID)
	other := NewGuest(t, "old@fabrikam.example")
	other.UPN = "elsewhere"
	h.apply(directory.Change{Tenant: t, NewUsers: []directory.User{other}})

	taken := h.user(t, u.ID)
	taken.OtherMails = []string{"old@fabrikam.example"}
	require.ErrorIs(h, h.ApplyDirectory(h.ctx, directory.Change{Tenant: t, Users: []directory.User{taken}}), directory.ErrStale)
}

func testPurge(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	other := h.invite(t, "other@fabrikam.example")
	u, inv := c.NewUsers[0], c.NewInvitations[0]
	h.apply(directory.Change{
		Tenant: t, NewGroups: []directory.Group{{Tenant: t, ID: "g", DisplayName: "Partners"}},
		NewApps:    []directory.App{{Tenant: t, ID: "a", AppID: "client", DisplayName: "Expenses"}},
		AddMembers: []directory.Membership{{Group: "g", User: u.ID}, {Group: "g", User: other.NewUsers[0].ID}},
		AddRoles:   []directory.RoleAssignment{{Role: "r", User: u.ID}},
		AddApps:    []directory.AppAssignment{{ID: ID(), App: "a", User: u.ID}},
	})
	items, err := h.ClaimMail(h.ctx, "w", Start, time.Minute, 10)
	require.NoError(h, err)
	require.Len(h, items, 2)
	require.NoError(h, h.FinishMail(h.ctx, "w", deferred(items, Start.Add(time.Hour))))

	h.apply(directory.Change{Tenant: t, Purge: []directory.UserID{u.ID, "never there"}})
	_, err = h.User(h.ctx, t, u.ID)
	require.ErrorIs(h, err, directory.ErrNotFound)
	_, err = h.Invitation(h.ctx, t, inv.ID)
	require.ErrorIs(h, err, directory.ErrNotFound)
	deliveries, err := h.Deliveries(h.ctx, t, inv.ID)
	require.NoError(h, err)
	require.Empty(h, deliveries)
	members, err := h.GroupMembers(h.ctx, t, "g", "", 9)
	require.NoError(h, err)
	require.Len(h, members, 1)
	events, err := h.Events(h.ctx, t, inv.ID, "", 9)
	require.NoError(h, err)
	require.Len(h, events, 2, "the record stays")
	items, err = h.ClaimMail(h.ctx, "w", Start.Add(2*time.Hour), time.Minute, 10)
	require.NoError(h, err)
	require.Len(h, items, 1, "the other guest is untouched")
	h.invite(t, "guest@fabrikam.example")
}

func testAssignments(h *house) {
	t := h.newTenant("Contoso")
	u := h.invite(t, "guest@fabrikam.example").NewUsers[0]
	group := directory.Group{Tenant: t, ID: directory.GroupID(ID()), DisplayName: "Partners", MailNickname: "p", Description: "d", Created: Start}
	app := directory.App{Tenant: t, ID: directory.AppID(ID()), AppID: ID(), DisplayName: "Expenses", Homepage: "https://x.example", Created: Start}
	give := directory.Change{
		Tenant: t, NewGroups: []directory.Group{group}, NewApps: []directory.App{app},
		AddMembers: []directory.Membership{{Group: group.ID, User: u.ID}},
		AddRoles:   []directory.RoleAssignment{{Role: "role", User: u.ID}},
		AddApps:    []directory.AppAssignment{{ID: ID(), App: app.ID, AppRole: directory.DefaultAppRole, User: u.ID, Created: Start}},
	}
	h.apply(give)
	give.NewGroups, give.NewApps = nil, nil
	h.apply(give) // already there: no error

	for _, ref := range []string{string(group.ID), "partners"} {
		got, err := h.GroupByName(h.ctx, t, ref)
		require.NoError(h, err)
		require.Equal(h, group, got)
	}
	for _, ref := range []string{string(app.ID), app.AppID, "EXPENSES"} {
		got, err := h.AppByName(h.ctx, t, ref)
		require.NoError(h, err)
		require.Equal(h, app, got)
	}
	h.holds(t, u.ID, 1)
	members, err := h.GroupMembers(h.ctx, t, group.ID, "", 9)
	require.NoError(h, err)
	require.Equal(h, []directory.User{u}, members)

	u.Deleted = Start
	h.apply(directory.Change{Tenant: t, Users: []directory.User{u}})
	members, err = h.GroupMembers(h.ctx, t, group.ID, "", 9)
	require.NoError(h, err)
	require.Empty(h, members, "deleted users are no members")

	h.apply(directory.Change{Tenant: t, RemoveMembers: give.AddMembers, RemoveRoles: give.AddRoles, RemoveApps: give.AddApps})
	h.holds(t, u.ID, 0)
}

// holds checks how many groups, roles and apps a user has.
func (h *house) holds(t directory.TenantID, u directory.UserID, n int) {
	h.Helper()
	groups, err := h.UserGroups(h.ctx, t, u)
	require.NoError(h, err)
	require.Len(h, groups, n)
	roles, err := h.UserRoles(h.ctx, t, u)
	require.NoError(h, err)
	require.Len(h, roles, n)
	apps, err := h.UserApps(h.ctx, t, u)
	require.NoError(h, err)
	require.Len(h, apps, n)
}

func testPolicy(h *house) {
	t := h.newTenant("Contoso")
	p, err := h.Policy(h.ctx, t)
	require.NoError(h, err)
	p.BlockedDomains, p.LinkLifetime = []string{"evil.example"}, 0
	h.apply(directory.Change{Tenant: t, Policy: &p})
	got, err := h.Policy(h.ctx, t)
	require.NoError(h, err)
	require.ErrorIs(h, h.ApplyDirectory(h.ctx, directory.Change{Tenant: t, Policy: &p}), directory.ErrStale)
	p.Version++
	require.Equal(h, p, got)
}

func testHomes(h *house) {
	t := h.newTenant("Contoso")
	home := directory.HomeTenant{Tenant: t, Domain: "fabrikam.example", DisplayName: "Fabrikam", Federated: true, SignIn: directory.SignInSimulated}
	jane := mail.Address{Local: "Jane", Domain: "fabrikam.example"}
	joe := mail.Address{Local: "joe", Domain: "fabrikam.example"}
	put := directory.Change{Tenant: t, Homes: []directory.HomeTenant{home}, AddHomeAccounts: []mail.Address{jane, jane}}
	h.apply(put)
	require.ErrorIs(h, h.ApplyDirectory(h.ctx, put), directory.ErrStale, "it exists by now")

	got, account, err := h.Home(h.ctx, t, mail.Address{Local: "jane", Domain: "fabrikam.example"})
	require.NoError(h, err)
	require.True(h, account)
	require.NotZero(h, got.Version)
	got.Version, home.Version = 0, 0
	require.Equal(h, home, got)
	_, account, err = h.Home(h.ctx, t, joe)
	require.NoError(h, err)
	require.False(h, account)

	home, err = h.HomeByDomain(h.ctx, t, "fabrikam.example")
	require.NoError(h, err)
	home.AllowEmailVerifiedUsers = true
	next := directory.Change{
		Tenant: t, Homes: []directory.HomeTenant{home}, AddHomeAccounts: []mail.Address{joe}, RemoveHomeAccounts: []mail.Address{jane},
	}
	h.apply(next)
	require.ErrorIs(h, h.ApplyDirectory(h.ctx, next), directory.ErrStale)
	accounts, err := h.HomeAccounts(h.ctx, t, "fabrikam.example", "", 9)
	require.NoError(h, err)
	require.Equal(h, []string{"joe@fabrikam.example"}, accounts)
	homes, err := h.ListHomes(h.ctx, t, "", 9)
	require.NoError(h, err)
	home.Version++
	require.Equal(h, []directory.HomeTenant{home}, homes)
}

func testMixed(h *house) {
	t, other := h.newTenant("Contoso"), h.newTenant("Northwind")
	require.Error(h, h.ApplyDirectory(h.ctx, directory.Change{Tenant: t, NewUsers: []directory.User{NewGuest(other, "a@b.example")}}))
	require.Error(h, h.ApplyDirectory(h.ctx, directory.Change{NewUsers: []directory.User{NewGuest("", "a@b.example")}}))
	users, err := h.ListUsers(h.ctx, other, tenant.UserQuery{Limit: 9})
	require.NoError(h, err)
	require.Empty(h, users)
}

func testDangling(h *house) {
	t := h.newTenant("Contoso")
	u := h.invite(t, "guest@fabrikam.example").NewUsers[0]
	err := h.ApplyDirectory(h.ctx, directory.Change{Tenant: t, AddMembers: []directory.Membership{{Group: "gone", User: u.ID}}})
	require.ErrorIs(h, err, directory.ErrStale)
	c := NewInvitation(u, 8)
	c.NewUsers, c.NewInvitations = nil, nil // a letter of no invitation
	require.ErrorIs(h, h.ApplyInvitation(h.ctx, c), directory.ErrStale)
}
