package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
)

var bounceTests = []test{
	{"a suppression is kept until it is lifted", testSuppressions},
	{"suppressions are listed by key while they last", testListSuppressions},
	{"mail that came back keeps what was said", testReturned},
	{"mail that moved on meanwhile is not returned", testReturnedStale},
	{"a returned mail stays so, whatever the relay says late", testReturnedWhileSending},
}

// suppressed returns an entry of the list.
func suppressed(address string, expires time.Time) invite.Suppression {
	a := ParseAddress(address)
	return invite.Suppression{
		Key: a.LimitKey(), Address: a, Cause: invite.CauseBounce, Detail: "550 5.1.1 unknown", Delivery: "d", By: "admin", Created: Start, Expires: expires,
	}
}

// suppress stores entries.
func (h *house) suppress(t directory.TenantID, entries ...invite.Suppression) {
	h.Helper()
	require.NoError(h, h.ApplyInvitation(h.ctx, invite.Change{Change: directory.Change{Tenant: t}, Suppress: entries}))
}

func testSuppressions(h *house) {
	t, other := h.newTenant("Contoso"), h.newTenant("Fabrikam")
	want := suppressed("a.na+x@fabrikam.example", Start.Add(time.Hour))
	h.suppress(t, want)
	got, err := h.Suppression(h.ctx, t, "ana@fabrikam.example")
	require.NoError(h, err)
	require.Equal(h, want, got)
	_, err = h.Suppression(h.ctx, other, want.Key)
	require.ErrorIs(h, err, directory.ErrNotFound, "each tenant has a list of its own")

	endless := want
	endless.Expires, endless.Cause = time.Time{}, invite.CauseManual
	h.suppress(t, endless)
	h.suppress(t, want)
	got, err = h.Suppression(h.ctx, t, want.Key)
	require.NoError(h, err)
	require.Equal(h, endless, got, "what has no end stays")
	for range 2 {
		require.NoError(h, h.ApplyInvitation(h.ctx, invite.Change{Change: directory.Change{Tenant: t}, Lift: []string{want.Key}}))
	}
	_, err = h.Suppression(h.ctx, t, want.Key)
	require.ErrorIs(h, err, directory.ErrNotFound)
}

func testListSuppressions(h *house) {
	t := h.newTenant("Contoso")
	h.suppress(t, suppressed("c@x.example", time.Time{}), suppressed("b@x.example", Start.Add(time.Hour)), suppressed("a@x.example", Start.Add(2*time.Hour)))
	list := func(at time.Time) []string {
		var keys []string
		for _, s := range pages(h, 2, func(s invite.Suppression) string { return s.Key }, func(after string) ([]invite.Suppression, error) {
			return h.ListSuppressions(h.ctx, t, at, after, 2)
		}) {
			keys = append(keys, s.Key)
		}
		return keys
	}
	require.Equal(h, []string{"a@x.example", "b@x.example", "c@x.example"}, list(Start))
	require.Equal(h, []string{"a@x.example", "c@x.example"}, list(Start.Add(time.Hour)))
	later := suppressed("d@x.example", time.Time{})
	later.Created = Start.Add(time.Hour)
	h.suppress(t, later)
	_, err := h.Suppression(h.ctx, t, "b@x.example")
	require.ErrorIs(h, err, directory.ErrNotFound, "one that has ended is forgotten")
}

// bounced returns the change by which a mail comes back.
func bounced(t directory.TenantID, id string, was, is mail.DeliveryState) invite.Change {
	return invite.Change{Change: directory.Change{Tenant: t}, Returned: []invite.Returned{{
		Delivery: id, Was: was, State: is,
		Attempt: mail.Attempt{At: Start.Add(time.Hour), Relay: "mx", Stage: mail.StageBounce, Code: 550, Enhanced: "5.1.1", Text: "unknown", Permanent: true},
	}}}
}

func testReturned(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	h.finish("w", Delivered(h.claim("w", Start, 9)))
	id := h.delivery(c).ID
	require.NoError(h, h.ApplyInvitation(h.ctx, bounced(t, id, mail.Delivered, mail.Bounced)))
	d := h.delivery(c)
	require.Equal(h, mail.Bounced, d.State)
	require.Equal(h, 2, d.Attempts)
	require.Equal(h, mail.Attempt{
		Number: 2, At: Start.Add(time.Hour), Relay: "mx", Stage: mail.StageBounce, Code: 550, Enhanced: "5.1.1", Text: "unknown", Permanent: true,
	}, d.Last)
	all, err := h.Attempts(h.ctx, t, id)
	require.NoError(h, err)
	require.Len(h, all, 2, "what the relay said is kept")
	require.Empty(h, h.claim("w", Start.Add(48*time.Hour), 9))
}

func testReturnedStale(h *house) {
	t, other := h.newTenant("Contoso"), h.newTenant("Fabrikam")
	c := h.invite(t, "guest@fabrikam.example")
	id := h.delivery(c).ID
	change := bounced(t, id, mail.Delivered, mail.Bounced)
	change.Suppress = []invite.Suppression{suppressed("guest@fabrikam.example", time.Time{})}
	require.ErrorIs(h, h.ApplyInvitation(h.ctx, change), directory.ErrStale)
	require.ErrorIs(h, h.ApplyInvitation(h.ctx, bounced(other, id, mail.Queued, mail.Bounced)), directory.ErrStale, "of another tenant")
	_, err := h.Suppression(h.ctx, t, "guest@fabrikam.example")
	require.ErrorIs(h, err, directory.ErrNotFound, "nothing of the change is stored")
	require.Equal(h, mail.Queued, h.delivery(c).State)
}

func testReturnedWhileSending(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	items := h.claim("w", Start, 9)
	require.NoError(h, h.ApplyInvitation(h.ctx, bounced(t, h.delivery(c).ID, mail.Sending, mail.Bounced)))
	h.finish("w", deferred(items, Start.Add(time.Minute)))
	h.finish("w", Delivered(items))
	require.Equal(h, mail.Bounced, h.delivery(c).State)
	require.Equal(h, mail.StageBounce, h.delivery(c).Last.Stage)
	require.Empty(h, h.claim("w", Start.Add(48*time.Hour), 9))
}
