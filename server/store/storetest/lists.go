package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/tenant"
)

var listTests = []test{
	{"paging by key is complete and in order", testPaging},
	{"pages stay stable while rows are inserted", testStablePages},
	{"user filters agree with a plain search, in every combination", testUserFilters},
	{"invitation filters agree with a plain search", testInvitationFilters},
	{"events are listed of a tenant, a user and an invitation", testEvents},
}

func testPaging(h *house) {
	t := h.newTenant("Contoso")
	c := directory.Change{Tenant: t}
	for i := range 25 {
		u := NewGuest(t, addressN(i))
		c.NewUsers = append(c.NewUsers, u)
		g := directory.Group{Tenant: t, ID: directory.GroupID(ID()), DisplayName: "same name"}
		c.NewGroups = append(c.NewGroups, g)
		c.NewApps = append(c.NewApps, directory.App{Tenant: t, ID: directory.AppID(ID()), AppID: ID(), DisplayName: "same name"})
		c.AddMembers = append(c.AddMembers, directory.Membership{Group: c.NewGroups[0].ID, User: u.ID})
		c.Homes = append(c.Homes, directory.HomeTenant{Tenant: t, Domain: strings.Split(addressN(i), "@")[0] + ".example"})
		c.AddHomeAccounts = append(c.AddHomeAccounts, mail.Address{Local: strings.Split(addressN(i), "@")[0], Domain: "fabrikam.example"})
	}
	h.apply(c)
	h.inOrder(pages(h, 4, userKey, func(after string) ([]directory.User, error) {
		return h.ListUsers(h.ctx, t, tenant.UserQuery{After: directory.UserID(after), Limit: 4})
	}), len(c.NewUsers))
	h.inOrder(pages(h, 4, userKey, func(after string) ([]directory.User, error) {
		return h.GroupMembers(h.ctx, t, c.NewGroups[0].ID, directory.UserID(after), 4)
	}), len(c.NewUsers))
	require.Equal(h, c.NewGroups, pages(h, 4, func(g directory.Group) string { return string(g.ID) }, func(after string) ([]directory.Group, error) {
		return h.ListGroups(h.ctx, t, directory.GroupID(after), 4)
	}))
	require.Equal(h, c.NewApps, pages(h, 4, func(a directory.App) string { return string(a.ID) }, func(after string) ([]directory.App, error) {
		return h.ListApps(h.ctx, t, directory.AppID(after), 4)
	}))
	require.Len(h, pages(h, 4, func(x directory.HomeTenant) string { return x.Domain }, func(after string) ([]directory.HomeTenant, error) {
		return h.ListHomes(h.ctx, t, after, 4)
	}), 25)
	require.Len(h, pages(h, 4, func(s string) string { return s }, func(after string) ([]string, error) {
		return h.HomeAccounts(h.ctx, t, "fabrikam.example", after, 4)
	}), 25)
	for _, name := range []string{"Northwind", "Adatum", "Fabrikam"} {
		h.newTenant(name)
	}
	require.Len(h, pages(h, 2, func(x directory.Tenant) string { return string(x.ID) }, func(after string) ([]directory.Tenant, error) {
		return h.Tenants(h.ctx, directory.TenantID(after), 2)
	}), 4)
	all, err := h.ListUsers(h.ctx, t, tenant.UserQuery{})
	require.NoError(h, err)
	require.Len(h, all, 25, "no limit is the largest page")
}

func userKey(u directory.User) string { return string(u.ID) }

// inOrder checks that users come by id, each once.
func (h *house) inOrder(users []directory.User, n int) {
	h.Helper()
	require.Len(h, users, n)
	require.True(h, slices.IsSortedFunc(users, func(a, b directory.User) int {
		if a.ID == b.ID {
			return 1
		}
		return strings.Compare(string(a.ID), string(b.ID))
	}))
}

func testStablePages(h *house) {
	t := h.newTenant("Contoso")
	want := map[directory.UserID]bool{}
	for i := range 20 {
		want[h.invite(t, addressN(i)).NewUsers[0].ID] = true
	}
	for name, q := range map[string]tenant.UserQuery{
		"all": {}, "guests": {Type: directory.Guest}, "pending": {State: directory.Pending},
		"by mail": {MailPrefix: "Guest"}, "by name": {NamePrefix: "GUEST"},
	} {
		seen := map[directory.UserID]int{}
		n := 0
		pages(h, 3, userKey, func(after string) ([]directory.User, error) {
			if n++; n < 9 { // before, between and behind the page
				h.invite(t, "guest0003x"+ID()+"@fabrikam.example")
				h.invite(t, "guest9"+ID()+"@fabrikam.example")
			}
			q.After, q.Limit = directory.UserID(after), 3
			page, err := h.ListUsers(h.ctx, t, q)
			for _, u := range page {
				seen[u.ID]++
			}
			return page, err
		})
		for id := range want {
			require.Equal(h, 1, seen[id], name)
		}
		for _, times := range seen {
			require.Equal(h, 1, times, name)
		}
	}
}

func testUserFilters(h *house) {
	t := h.newTenant("Contoso")
	c := directory.Change{Tenant: t}
	for i, name := range []string{"Ann", "anna", "Annika", "Bob", "bobby", "Zoë", "ZOË", "Ann"} {
		for j, state := range []directory.ExternalState{directory.NotExternal, directory.Pending, directory.Accepted} {
			u := NewGuest(t, strings.ToLower(name)+ID()+"@fabrikam.example")
			u.DisplayName, u.State = name, state
			if (i+j)%2 == 0 {
				u.Type = directory.Member
			}
			if i == 7 {
				u.Deleted = Start
			}
			c.NewUsers = append(c.NewUsers, u)
		}
	}
	h.apply(c)
	for _, q := range userQueries(c.NewUsers) {
		want := []string{}
		for _, u := range c.NewUsers {
			if selects(q, u) {
				want = append(want, string(u.ID))
			}
		}
		got := []string{}
		for _, u := range pages(h, 5, userKey, func(after string) ([]directory.User, error) {
			q.After, q.Limit = directory.UserID(after), 5
			return h.ListUsers(h.ctx, t, q)
		}) {
			got = append(got, string(u.ID))
		}
		slices.Sort(want)
		if q.MailPrefix == "" && q.NamePrefix == "" {
			require.True(h, slices.IsSorted(got), "%+v", q)
		}
		slices.Sort(got)
		require.Equal(h, want, got, "%+v", q)
	}
}

// userQueries combines every filter with every other.
func userQueries(users []directory.User) []tenant.UserQuery {
	queries := []tenant.UserQuery{{}}
	for _, choices := range [][]func(*tenant.UserQuery){
		{func(q *tenant.UserQuery) { q.Type = directory.Guest }},
		{func(q *tenant.UserQuery) { q.State = directory.Accepted }},
		{func(q *tenant.UserQuery) { q.ID = users[5].ID }},
		{func(q *tenant.UserQuery) { q.UPN = strings.ToUpper(users[5].UPN) }, func(q *tenant.UserQuery) { q.UPN = users[5].Mail }},
		{func(q *tenant.UserQuery) { q.Address = strings.ToUpper(users[5].Mail) }, func(q *tenant.UserQuery) { q.Address = users[22].Mail }},
		{func(q *tenant.UserQuery) { q.MailPrefix = "ANN" }, func(q *tenant.UserQuery) { q.MailPrefix = "zoë" }},
		{func(q *tenant.UserQuery) { q.NamePrefix = "anna" }, func(q *tenant.UserQuery) { q.NamePrefix = "ann" }},
		{func(q *tenant.UserQuery) { q.Deleted = true }},
	} {
		for _, q := range slices.Clone(queries) {
			for _, choose := range choices {
				more := q
				choose(&more)
				queries = append(queries, more)
			}
		}
	}
	return queries
}

// selects is the contract of tenant.UserQuery, written the plain way.
func selects(q tenant.UserQuery, u directory.User) bool {
	fold := strings.ToLower
	return (q.Type == "" || u.Type == q.Type) && (q.State == "" || u.State == q.State) &&
		(q.ID == "" || u.ID == q.ID) && (q.UPN == "" || fold(u.UPN) == fold(q.UPN)) &&
		(q.Address == "" || fold(u.Mail) == fold(q.Address)) &&
		strings.HasPrefix(fold(u.Mail), fold(q.MailPrefix)) && strings.HasPrefix(fold(u.DisplayName), fold(q.NamePrefix)) &&
		u.Deleted.IsZero() != q.Deleted
}

func testInvitationFilters(h *house) {
	t := h.newTenant("Contoso")
	var all []invite.Invitation
	for i := range 12 {
		c := NewInvitation(NewGuest(t, addressN(i)), 8)
		inv := &c.NewInvitations[0]
		again := *inv
		switch i % 4 {
		case 1:
			inv.Accepted = Start
		case 2:
			inv.Revoked = Start
		case 3:
			inv.Expires = Start
		}
		again.ID, again.Expires = invite.ID(ID()), time.Time{}
		c.NewInvitations = append(c.NewInvitations, again)
		require.NoError(h, h.ApplyInvitation(h.ctx, c))
		all = append(all, c.NewInvitations...)
	}
	isOpen := func(i invite.Invitation) bool {
		return i.Accepted.IsZero() && i.Revoked.IsZero() && (i.Expires.IsZero() || i.Expires.After(Start))
	}
	for _, user := range []directory.UserID{"", all[4].User} {
		for _, text := range []string{"", "GUEST000", "guest0001@", "nobody"} {
			for _, open := range []bool{false, true} {
				q := invite.Query{User: user, Text: text, Open: open, Now: Start, Limit: 5}
				var want []string
				for _, i := range all {
					if (user == "" || i.User == user) && strings.HasPrefix(i.Email.Key(), strings.ToLower(text)) && (!open || isOpen(i)) {
						want = append(want, string(i.ID))
					}
				}
				var got []string
				for _, i := range pages(h, 5, func(i invite.Invitation) string { return string(i.ID) }, func(after string) ([]invite.Invitation, error) {
					q.After = invite.ID(after)
					return h.ListInvitations(h.ctx, t, q)
				}) {
					got = append(got, string(i.ID))
				}
				if text == "" {
					slices.Reverse(want)
					require.Equal(h, want, got, "newest first: %+v", q)
				}
				require.ElementsMatch(h, want, got, "%+v", q)
			}
		}
	}
}

func testEvents(h *house) {
	t := h.newTenant("Contoso")
	a, b := h.invite(t, addressN(1)), h.invite(t, addressN(2))
	key := func(e audit.Event) string { return e.ID }
	all := pages(h, 3, key, func(before string) ([]audit.Event, error) {
		return h.ListEvents(h.ctx, t, tenant.EventQuery{Before: before, Limit: 3})
	})
	want := append(slices.Clone(a.Audit), b.Audit...)
	slices.Reverse(want)
	require.Equal(h, want, all)
	require.Equal(h, want[:2], pages(h, 1, key, func(before string) ([]audit.Event, error) {
		return h.ListEvents(h.ctx, t, tenant.EventQuery{User: b.NewUsers[0].ID, Before: before, Limit: 1})
	}))
	require.Equal(h, a.Audit, pages(h, 1, key, func(after string) ([]audit.Event, error) {
		return h.Events(h.ctx, t, a.NewInvitations[0].ID, after, 1)
	}))
}
