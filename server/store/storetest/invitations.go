package storetest

import (
	"context"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/tenant"
)

var invitationTests = []test{
	{"everything of one invitation commits together", testTogether},
	{"the latest invitation is the newest of the user", testLatest},
	{"a stale invitation is refused with all its change", testStaleInvitation},
	{"views add up", testViews},
	{"a change whose caller has gone is not begun", testCanceledContext},
}

var limitTests = []test{
	{"sending limits count what lies in their windows and stop at the limit", testCounts},
	{"plus-tag variants of a mailbox count as one", testPlusTags},
}

func testTogether(h *house) {
	t := h.newTenant("Contoso")
	c := NewInvitation(NewGuest(t, "guest@fabrikam.example"), 5000)
	c.NewGroups = []directory.Group{{Tenant: t, ID: "g", DisplayName: "Partners"}}
	c.AddMembers = []directory.Membership{{Group: "g", User: c.NewUsers[0].ID}}
	require.NoError(h, h.ApplyInvitation(h.ctx, c))

	u, inv, letter := c.NewUsers[0], c.NewInvitations[0], c.Mail[0]
	require.Equal(h, u, h.user(t, u.ID))
	got, err := h.Invitation(h.ctx, t, inv.ID)
	require.NoError(h, err)
	require.Equal(h, inv, got)
	groups, err := h.UserGroups(h.ctx, t, u.ID)
	require.NoError(h, err)
	require.Len(h, groups, 1)
	events, err := h.Events(h.ctx, t, inv.ID, "", 9)
	require.NoError(h, err)
	require.Equal(h, c.Audit, events)
	deliveries, err := h.Deliveries(h.ctx, t, inv.ID)
	require.NoError(h, err)
	require.Equal(h, []invite.Delivery{{
		ID: letter.ID, Invitation: inv.ID, User: u.ID, To: letter.Message.To, MessageID: letter.Message.MessageID,
		Kind: invite.LetterInvitation, State: mail.Queued, Queued: Start, Next: Start,
	}}, deliveries)
	items, err := h.ClaimMail(h.ctx, "w", Start, time.Minute, 9)
	require.NoError(h, err)
	require.Len(h, items, 1)
	require.Equal(h, letter.Message, items[0].Message)
}

func testLatest(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	next := c.NewInvitations[0]
	next.ID, next.CC, next.Expires = invite.ID(ID()), nil, time.Time{}
	require.NoError(h, h.ApplyInvitation(h.ctx, invite.Change{
		Change: directory.Change{Tenant: t}, NewInvitations: []invite.Invitation{next},
	}))
	got, err := h.LatestInvitation(h.ctx, t, next.User)
	require.NoError(h, err)
	require.Equal(h, next, got)
}

func testStaleInvitation(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	inv := c.NewInvitations[0]
	inv.Declined = Start
	change := invite.Change{Change: directory.Change{Tenant: t}, Invitations: []invite.Invitation{inv}}
	require.NoError(h, h.ApplyInvitation(h.ctx, change))
	change.Mail = []invite.Letter{NewLetter(inv, 8)}
	require.ErrorIs(h, h.ApplyInvitation(h.ctx, change), directory.ErrStale)
	deliveries, err := h.Deliveries(h.ctx, t, inv.ID)
	require.NoError(h, err)
	require.Len(h, deliveries, 1)
	got, err := h.Invitation(h.ctx, t, inv.ID)
	require.NoError(h, err)
	inv.Version++
	require.Equal(h, inv, got)
}

func testViews(h *house) {
	t := h.newTenant("Contoso")
	id := h.invite(t, "guest@fabrikam.example").NewInvitations[0].ID
	none, err := h.Views(h.ctx, t, id)
	require.NoError(h, err)
	require.Zero(h, none)
	for _, v := range []invite.Views{
		{Count: 1, Automated: 2, First: Start.Add(time.Minute), Last: Start.Add(2 * time.Minute)},
		{Count: 3, First: Start, Last: Start.Add(time.Minute)},
		{Automated: 5, First: Start.Add(time.Hour), Last: Start.Add(time.Hour)},
	} {
		require.NoError(h, h.AddViews(h.ctx, t, id, v))
	}
	got, err := h.Views(h.ctx, t, id)
	require.NoError(h, err)
	require.Equal(h, invite.Views{Count: 4, Automated: 7, First: Start, Last: Start.Add(time.Hour)}, got)
	require.ErrorIs(h, h.AddViews(h.ctx, t, "none", invite.Views{Count: 1}), directory.ErrNotFound)
}

func testCanceledContext(h *house) {
	t := h.newTenant("Contoso")
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	c := NewInvitation(NewGuest(t, "guest@fabrikam.example"), 8)
	require.ErrorIs(h, h.ApplyInvitation(ctx, c), context.Canceled)
	users, err := h.ListUsers(h.ctx, t, tenant.UserQuery{Limit: 9})
	require.NoError(h, err)
	require.Empty(h, users)
}

// send queues one more mail to a guest.
func (h *house) send(c invite.Change, at time.Time, change func(*invite.Letter)) {
	h.Helper()
	l := NewLetter(c.NewInvitations[0], 8)
	l.Queued = at
	if change != nil {
		change(&l)
	}
	require.NoError(h, h.ApplyInvitation(h.ctx, invite.Change{Change: directory.Change{Tenant: c.Tenant}, Mail: []invite.Letter{l}}))
}

func testCounts(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	c.Mail = nil
	now := Start.Add(48 * time.Hour)
	for _, ago := range []time.Duration{24 * time.Hour, 23 * time.Hour, 50 * time.Minute, 4 * time.Minute, 30 * time.Second} {
		h.send(c, now.Add(-ago), nil)
	}
	h.send(c, now.Add(-time.Second), func(l *invite.Letter) { l.LimitKey, l.Inviter = "other", "other" })
	query := invite.CountQuery{LimitKey: "guest@fabrikam.example", Domain: "fabrikam.example", Inviter: "inviter", Now: now}

	got, err := h.MailCounts(h.ctx, t, query)
	require.NoError(h, err)
	require.Zero(h, got, "no limit, no count")

	query.Limits = directory.Limits{
		RecipientPer5Min: 9, RecipientPerDay: 9, DomainPerHour: 9, InviterPerMinute: 9, InviterPerDay: 9, TenantPerDay: 9,
	}
	got, err = h.MailCounts(h.ctx, t, query)
	require.NoError(h, err)
	require.Equal(h, invite.Counts{Recipient5Min: 2, RecipientDay: 4, DomainHour: 4, InviterMinute: 1, InviterDay: 4, TenantDay: 5}, got)

	query.Limits = directory.Limits{RecipientPer5Min: 2, DomainPerHour: 3, InviterPerDay: 1, TenantPerDay: 2}
	got, err = h.MailCounts(h.ctx, t, query)
	require.NoError(h, err)
	require.Equal(h, invite.Counts{
		Recipient5Min: 2, DomainHour: 3, InviterDay: 1, TenantDay: 2, Oldest: now.Add(-4 * time.Minute),
	}, got)

	query.Limits = directory.Limits{RecipientPer5Min: 1, RecipientPerDay: 4}
	got, err = h.MailCounts(h.ctx, t, query)
	require.NoError(h, err)
	require.Equal(h, invite.Counts{Recipient5Min: 1, RecipientDay: 4, Oldest: now.Add(-23 * time.Hour)}, got, "the longer wait")
}

func testPlusTags(h *house) {
	t := h.newTenant("Contoso")
	for _, local := range []string{"guest", "guest+1", "guest+junk"} {
		c := NewInvitation(NewGuest(t, local+"@fabrikam.example"), 8)
		base, _, _ := strings.Cut(local, "+")
		c.Mail[0].LimitKey = base + "@fabrikam.example"
		require.NoError(h, h.ApplyInvitation(h.ctx, c))
	}
	got, err := h.MailCounts(h.ctx, t, invite.CountQuery{
		LimitKey: "guest@fabrikam.example", Now: Start.Add(time.Second), Limits: directory.Limits{RecipientPerDay: 9},
	})
	require.NoError(h, err)
	require.Equal(h, 3, got.RecipientDay)
}
