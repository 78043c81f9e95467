package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
)

func testPostpone(h *house) {
	t := h.newTenant("Contoso")
	fresh, tried, withdrawn, foreign := h.invite(t, addressN(0)), h.invite(t, addressN(1)), h.invite(t, addressN(2)), h.invite(t, addressN(3))
	h.finish("a", deferred(h.claim("a", Start, 9)[1:2], Start.Add(time.Second)))
	at := Start.Add(time.Minute)
	items := h.claim("a", at, 3)
	require.Len(h, items, 3)
	other := h.claim("b", at, 9)
	require.Len(h, other, 1)
	h.apply(directory.Change{Tenant: t, CancelMail: []directory.UserID{withdrawn.NewUsers[0].ID}})
	var put []outbox.Postponed
	for _, item := range append(items, other...) {
		put = append(put, outbox.Postponed{ID: item.ID, Until: at.Add(time.Hour)})
	}
	put = append(put, outbox.Postponed{ID: "nonsense"})
	require.NoError(h, h.PostponeMail(h.ctx, "a", put))

	all := []invite.Delivery{h.delivery(fresh), h.delivery(tried), h.delivery(withdrawn), h.delivery(foreign)}
	states := map[mail.DeliveryState]int{}
	for _, d := range all {
		states[d.State]++
		if d.State == mail.Queued || d.State == mail.Deferred {
			require.Equal(h, at.Add(time.Hour), d.Next)
		}
	}
	require.Equal(h, 1, states[mail.Canceled], "what was withdrawn meanwhile is not kept for later")
	require.Equal(h, 1, states[mail.Sending], "b's is not a's to put off")
	require.Equal(h, 2, states[mail.Queued]+states[mail.Deferred])
	require.Equal(h, 1, h.delivery(tried).Attempts, "an attempt that was not begun does not count")
	require.Empty(h, h.claim("c", at.Add(50*time.Second), 9))
}

func testQueueDepth(h *house) {
	t, other := h.newTenant("Contoso"), h.newTenant("Fabrikam")
	depths, err := h.QueueDepth(h.ctx, 100)
	require.NoError(h, err)
	require.Empty(h, depths)
	for i := range 4 {
		h.invite(t, addressN(i))
	}
	h.invite(other, addressN(0))
	items := h.claim("a", Start, 4)
	h.finish("a", Delivered(items[:1]))
	h.finish("a", failed(items[1:2]))
	h.finish("a", deferred(items[2:3], Start.Add(time.Hour)))

	depths, err = h.QueueDepth(h.ctx, 100)
	require.NoError(h, err)
	require.Len(h, depths, 3, "what is final is not in the queue")
	for i, state := range []mail.DeliveryState{mail.Deferred, mail.Queued, mail.Sending} {
		require.Equal(h, state, depths[i].State)
		require.Equal(h, 1, depths[i].Messages)
		require.Equal(h, Start, depths[i].Oldest.UTC())
	}
	depths, err = h.QueueDepth(h.ctx, 2)
	require.NoError(h, err)
	counted := 0
	for _, d := range depths {
		counted += d.Messages
	}
	require.Equal(h, 2, counted, "no more is looked at than was asked for")
}

func testListMail(h *house) {
	t, other := h.newTenant("Contoso"), h.newTenant("Fabrikam")
	h.invite(other, addressN(0))
	for i := range 12 {
		h.invite(t, addressN(i))
	}
	// Three of each: delivered, failed, deferred, queued. The other tenant's
	// mail goes first and fails.
	var mine []outbox.Item
	for _, item := range h.claim("a", Start, 10) {
		if c, err := h.Delivery(h.ctx, other, mailID(item)); err == nil {
			require.Equal(h, mail.Sending, c.State)
			h.finish("a", failed([]outbox.Item{item}))
			continue
		}
		mine = append(mine, item)
	}
	require.Len(h, mine, 9)
	h.finish("a", Delivered(mine[:3]))
	h.finish("a", failed(mine[3:6]))
	h.finish("a", deferred(mine[6:], Start.Add(time.Hour)))

	list := func(q invite.MailQuery) []invite.Delivery {
		h.Helper()
		rows, err := h.ListMail(h.ctx, t, q)
		require.NoError(h, err)
		return rows
	}
	for state, n := range map[mail.DeliveryState]int{
		"": 12, mail.Delivered: 3, mail.Failed: 3, mail.Deferred: 3, mail.Queued: 3, mail.Sending: 0, mail.Bounced: 0, mail.Canceled: 0, "nonsense": 0,
	} {
		all := list(invite.MailQuery{State: state, Limit: 100})
		require.Len(h, all, n, state)
		var paged []invite.Delivery
		for q := (invite.MailQuery{State: state, Limit: 2}); ; {
			page := list(q)
			require.LessOrEqual(h, len(page), 2)
			paged = append(paged, page...)
			if len(page) < 2 {
				break
			}
			q.After = page[1].ID
		}
		require.Equal(h, all, append([]invite.Delivery{}, paged...), state)
		for i, d := range all {
			require.True(h, state == "" || d.State == state)
			require.True(h, i == 0 || all[i-1].ID > d.ID, "newest first")
			require.Equal(h, d.Attempts, d.Last.Number)
		}
	}
	_, err := h.Delivery(h.ctx, t, "nonsense")
	require.ErrorIs(h, err, directory.ErrNotFound)
}

// mailID returns the id of the delivery an item was made of.
func mailID(item outbox.Item) string { return item.ID[len(item.ID)-36:] }

func testRedrive(h *house) {
	t := h.newTenant("Contoso")
	changes := []invite.Change{h.invite(t, addressN(0)), h.invite(t, addressN(1)), h.invite(t, addressN(2)), h.invite(t, addressN(3))}
	empty := NewInvitation(NewGuest(t, addressN(4)), 8)
	empty.Mail[0].Message.Raw = nil
	require.NoError(h, h.ApplyInvitation(h.ctx, empty))
	changes = append(changes, empty)
	items := map[string]outbox.Item{}
	for _, item := range h.claim("a", Start, 9) {
		items[mailID(item)] = item
	}
	of := func(i int) []outbox.Item { return []outbox.Item{items[changes[i].Mail[0].ID]} }
	h.finish("a", failed(of(0)))
	h.finish("a", deferred(of(1), Start.Add(8*time.Hour)))
	h.finish("a", Delivered(of(2)))
	h.finish("a", failed(of(4)))

	later := Start.Add(30 * time.Minute)
	redrive := func(i int) error {
		c := changes[i]
		return h.RedriveMail(h.ctx, t, invite.Redriven{ID: c.Mail[0].ID, Queued: later, Audit: audit.Event{
			ID: ID(), Tenant: string(t), At: later, Activity: audit.RedriveMail, Result: audit.Success, Actor: "admin",
			Invitation: string(c.NewInvitations[0].ID), Correlation: "request",
		}})
	}
	require.NoError(h, redrive(0))
	require.NoError(h, redrive(1))
	for i, why := range map[int]string{2: "delivered", 3: "being sent", 4: "its bytes are gone"} {
		require.ErrorIs(h, redrive(i), directory.ErrStale, why)
	}
	require.ErrorIs(h, h.RedriveMail(h.ctx, t, invite.Redriven{ID: ID(), Queued: later, Audit: audit.Event{ID: ID(), Tenant: string(t)}}), directory.ErrStale)

	h.finish("a", failed(of(3)))
	again := h.claim("a", later, 9)
	require.Len(h, again, 2, "due at once, and nothing else is")
	for _, item := range again {
		c := changes[0]
		if mailID(item) != c.Mail[0].ID {
			c = changes[1]
		}
		require.Equal(h, c.Mail[0].Message, item.Message, "the same bytes and Message-ID")
		require.Equal(h, 2, item.Attempt)
		require.Equal(h, later, item.Queued, "it is given up a day after this")
	}
	h.finish("a", Delivered(again))
	require.Equal(h, mail.Delivered, h.delivery(changes[0]).State)
	attempts, err := h.Attempts(h.ctx, t, changes[0].Mail[0].ID)
	require.NoError(h, err)
	require.Len(h, attempts, 2, "the refusal stays on record")
	for i, n := range map[int]int{0: 1, 2: 0} {
		events, err := h.Events(h.ctx, t, changes[i].NewInvitations[0].ID, "", 99)
		require.NoError(h, err)
		count := 0
		for _, e := range events {
			if e.Activity == audit.RedriveMail {
				count++
			}
		}
		require.Equal(h, n, count, "an event exists exactly if the change does")
	}
}
