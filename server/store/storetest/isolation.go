package storetest

import (
	"maps"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/tenant"
)

var isolationTests = []test{
	{"tenants never see each other's rows", testIsolation},
	{"tenants never change each other's rows", testIsolatedWrites},
}

// estate is one of everything. Two tenants get the same ids, names and
// addresses, so that nothing but the tenant keeps them apart.
type estate struct {
	c   invite.Change
	app directory.Application
}

func (h *house) newEstate(t directory.TenantID, owner string) estate {
	h.Helper()
	h.newTenant(string(t))
	u := NewGuest(t, "guest@fabrikam.example")
	u.ID, u.DisplayName = "user", owner
	c := NewInvitation(u, 8)
	inv := &c.NewInvitations[0]
	inv.ID, inv.DisplayName = "invitation", owner
	c.Mail[0].ID, c.Mail[0].Invitation, c.Mail[0].Message.MessageID = "delivery", "invitation", owner
	c.Audit = []audit.Event{{ID: "event", Tenant: string(t), Target: "user", TargetName: owner, Invitation: "invitation"}}
	c.NewGroups = []directory.Group{{Tenant: t, ID: "group", DisplayName: "Partners", Description: owner}}
	c.NewApps = []directory.App{{Tenant: t, ID: "app", AppID: "client", DisplayName: "Expenses", Homepage: owner}}
	c.AddMembers = []directory.Membership{{Group: "group", User: "user"}}
	c.AddRoles = []directory.RoleAssignment{{Role: directory.RoleID(owner), User: "user"}}
	c.AddApps = []directory.AppAssignment{{ID: "assignment", App: "app", User: "user"}}
	c.Homes = []directory.HomeTenant{{Tenant: t, Domain: "fabrikam.example", DisplayName: owner}}
	c.AddHomeAccounts = []mail.Address{{Local: owner, Domain: "fabrikam.example"}}
	require.NoError(h, h.ApplyInvitation(h.ctx, c))
	app := directory.Application{Tenant: t, ID: "id", ClientID: "client", DisplayName: owner}
	require.NoError(h, h.CreateApplication(h.ctx, app))
	require.NoError(h, h.AddViews(h.ctx, t, "invitation", invite.Views{Count: len(owner), First: Start, Last: Start}))
	return estate{c, app}
}

// reads is every read of the contract, each giving the owners of what it found.
func (h *house) reads(t directory.TenantID) map[string]func() ([]string, error) {
	guest := ParseAddress("guest@fabrikam.example")
	user := func(u directory.User, err error) ([]string, error) { return []string{u.DisplayName}, err }
	group := func(g directory.Group, err error) ([]string, error) { return []string{g.Description}, err }
	app := func(a directory.App, err error) ([]string, error) { return []string{a.Homepage}, err }
	home := func(x directory.HomeTenant, err error) ([]string, error) { return []string{x.DisplayName}, err }
	inv := func(i invite.Invitation, err error) ([]string, error) { return []string{i.DisplayName}, err }
	users := func(q tenant.UserQuery) func() ([]string, error) {
		return func() ([]string, error) {
			q.Limit = 9
			l, err := h.ListUsers(h.ctx, t, q)
			return owners(l, err, func(u directory.User) string { return u.DisplayName })
		}
	}
	invitations := func(q invite.Query) func() ([]string, error) {
		return func() ([]string, error) {
			q.Limit, q.Now = 9, Start
			l, err := h.ListInvitations(h.ctx, t, q)
			return owners(l, err, func(i invite.Invitation) string { return i.DisplayName })
		}
	}
	events := func(l []audit.Event, err error) ([]string, error) {
		return owners(l, err, func(e audit.Event) string { return e.TargetName })
	}
	all := map[string]func() ([]string, error){
		"Tenant": func() ([]string, error) { x, err := h.Tenant(h.ctx, t); return []string{x.DisplayName}, err },
		"Policy": func() ([]string, error) { x, err := h.Policy(h.ctx, t); return []string{string(x.Tenant)}, err },
		"Application": func() ([]string, error) {
			x, err := h.Application(h.ctx, t, "client")
			return []string{x.DisplayName}, err
		},
		"User":                   func() ([]string, error) { return user(h.User(h.ctx, t, "user")) },
		"UserByUPN":              func() ([]string, error) { return user(h.UserByUPN(h.ctx, t, NewGuest(t, guest.String()).UPN)) },
		"UserByAddress":          func() ([]string, error) { return user(h.UserByAddress(h.ctx, t, guest)) },
		"ListUsers":              users(tenant.UserQuery{}),
		"ListUsers type":         users(tenant.UserQuery{Type: directory.Guest}),
		"ListUsers state":        users(tenant.UserQuery{State: directory.Pending}),
		"ListUsers mail":         users(tenant.UserQuery{MailPrefix: "guest"}),
		"ListUsers name":         users(tenant.UserQuery{NamePrefix: string(t)}),
		"ListUsers address":      users(tenant.UserQuery{Address: guest.String()}),
		"ListUsers id":           users(tenant.UserQuery{ID: "user"}),
		"Group":                  func() ([]string, error) { return group(h.Group(h.ctx, t, "group")) },
		"GroupByName":            func() ([]string, error) { return group(h.GroupByName(h.ctx, t, "Partners")) },
		"App":                    func() ([]string, error) { return app(h.App(h.ctx, t, "app")) },
		"AppByName":              func() ([]string, error) { return app(h.AppByName(h.ctx, t, "Expenses")) },
		"AppByName client":       func() ([]string, error) { return app(h.AppByName(h.ctx, t, "client")) },
		"HomeByDomain":           func() ([]string, error) { return home(h.HomeByDomain(h.ctx, t, "fabrikam.example")) },
		"Invitation":             func() ([]string, error) { return inv(h.Invitation(h.ctx, t, "invitation")) },
		"LatestInvitation":       func() ([]string, error) { return inv(h.LatestInvitation(h.ctx, t, "user")) },
		"ListInvitations":        invitations(invite.Query{}),
		"ListInvitations open":   invitations(invite.Query{Open: true}),
		"ListInvitations of one": invitations(invite.Query{User: "user"}),
		"ListInvitations text":   invitations(invite.Query{Text: "guest"}),
		"ListEvents":             func() ([]string, error) { return events(h.ListEvents(h.ctx, t, tenant.EventQuery{Limit: 9})) },
		"ListEvents of one": func() ([]string, error) {
			return events(h.ListEvents(h.ctx, t, tenant.EventQuery{User: "user", Limit: 9}))
		},
		"Events": func() ([]string, error) { return events(h.Events(h.ctx, t, "invitation", "", 9)) },
	}
	maps.Copy(all, h.lists(t))
	return all
}

// lists is the rest of reads: what comes in lists of its own kind.
func (h *house) lists(t directory.TenantID) map[string]func() ([]string, error) {
	return map[string]func() ([]string, error){
		"ListGroups": func() ([]string, error) {
			l, err := h.ListGroups(h.ctx, t, "", 9)
			return owners(l, err, func(g directory.Group) string { return g.Description })
		},
		"UserGroups": func() ([]string, error) {
			l, err := h.UserGroups(h.ctx, t, "user")
			return owners(l, err, func(g directory.Group) string { return g.Description })
		},
		"GroupMembers": func() ([]string, error) {
			l, err := h.GroupMembers(h.ctx, t, "group", "", 9)
			return owners(l, err, func(u directory.User) string { return u.DisplayName })
		},
		"ListApps": func() ([]string, error) {
			l, err := h.ListApps(h.ctx, t, "", 9)
			return owners(l, err, func(a directory.App) string { return a.Homepage })
		},
		"UserApps": func() ([]string, error) {
			l, err := h.UserApps(h.ctx, t, "user")
			return owners(l, err, func(a directory.App) string { return a.Homepage })
		},
		"UserRoles": func() ([]string, error) {
			l, err := h.UserRoles(h.ctx, t, "user")
			return owners(l, err, func(r directory.RoleID) string { return string(r) })
		},
		"ListHomes": func() ([]string, error) {
			l, err := h.ListHomes(h.ctx, t, "", 9)
			return owners(l, err, func(x directory.HomeTenant) string { return x.DisplayName })
		},
		"Deliveries": func() ([]string, error) {
			l, err := h.Deliveries(h.ctx, t, "invitation")
			return owners(l, err, func(d invite.Delivery) string { return d.MessageID })
		},
	}
}

func owners[T any](l []T, err error, owner func(T) string) ([]string, error) {
	var names []string
	for _, v := range l {
		names = append(names, owner(v))
	}
	return names, err
}

func testIsolation(h *house) {
	h.newEstate("Contoso", "Contoso")
	h.newEstate("Northwind", "Northwind")
	h.newTenant("Empty")
	for _, t := range []directory.TenantID{"Contoso", "Northwind"} {
		for name, read := range h.reads(t) {
			got, err := read()
			require.NoError(h, err, name)
			require.Equal(h, []string{string(t)}, got, name)
		}
		accounts, err := h.HomeAccounts(h.ctx, t, "fabrikam.example", "", 9)
		require.NoError(h, err)
		require.Len(h, accounts, 1)
		views, err := h.Views(h.ctx, t, "invitation")
		require.NoError(h, err)
		require.Equal(h, len(t), views.Count)
	}
	for name, read := range h.reads("Empty") {
		if name == "Tenant" || name == "Policy" {
			continue
		}
		if got, err := read(); err == nil {
			require.Empty(h, got, name)
		} else {
			require.ErrorIs(h, err, directory.ErrNotFound, name)
		}
	}
}

func testIsolatedWrites(h *house) {
	h.newEstate("Contoso", "Contoso")
	b := h.newEstate("Northwind", "Northwind")
	items := h.claim("w", Start, 9)
	require.Len(h, items, 2, "one worker serves every tenant")
	h.finish("w", deferred(items[:1], Start.Add(time.Hour)))
	h.finish("w", deferred(items[1:], Start.Add(2*time.Hour)))

	counts, err := h.MailCounts(h.ctx, "Contoso", invite.CountQuery{
		LimitKey: "guest@fabrikam.example", Domain: "fabrikam.example", Inviter: "inviter", Now: Start.Add(time.Second),
		Limits: directory.Limits{RecipientPer5Min: 9, RecipientPerDay: 9, DomainPerHour: 9, InviterPerMinute: 9, InviterPerDay: 9, TenantPerDay: 9},
	})
	require.NoError(h, err)
	require.Equal(h, invite.Counts{Recipient5Min: 1, RecipientDay: 1, DomainHour: 1, InviterMinute: 1, InviterDay: 1, TenantDay: 1}, counts)

	h.apply(directory.Change{Tenant: "Contoso", CancelMail: []directory.UserID{"user"}})
	require.Equal(h, mail.Deferred, h.delivery(b.c).State)
	h.apply(directory.Change{
		Tenant: "Contoso", RemoveMembers: b.c.AddMembers, RemoveRoles: b.c.AddRoles, RemoveApps: b.c.AddApps,
		RemoveHomeAccounts: b.c.AddHomeAccounts, Purge: []directory.UserID{"user"},
	})
	for name, read := range h.reads("Northwind") {
		got, err := read()
		require.NoError(h, err, name)
		require.Equal(h, []string{"Northwind"}, got, name)
	}
	require.Len(h, h.claim("w", Start.Add(3*time.Hour), 9), 1)
}

// testReopen checks that a store that was closed answers every read as before.
func testReopen(h *house, e Engine) {
	h.newEstate("Contoso", "Contoso")
	late := h.claim("w", Start, 9)
	h.Store = e.Reopen(h.T, h.Store)
	for name, read := range h.reads("Contoso") {
		got, err := read()
		require.NoError(h, err, name)
		require.Equal(h, []string{"Contoso"}, got, name)
	}
	require.Empty(h, h.claim("w2", Start, 9), "the lease holds")
	h.finish("w", Delivered(late))
	_, ok, err := h.NextMailDue(h.ctx)
	require.NoError(h, err)
	require.False(h, ok)
}
