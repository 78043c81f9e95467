package storetest

import (
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
)

var outboxTests = []test{
	{"claimed mail is leased, oldest due first", testLease},
	{"a lease that ran out is claimed again", testLeaseExpiry},
	{"a late result is dropped unless it says delivered", testLateResult},
	{"a deferred mail comes back when it is due", testDeferred},
	{"the next due time follows the queue", testNextDue},
	{"workers that claim at once share the queue", testSharedQueue},
	{"canceling withdraws what waits and lets what is being sent finish", testCancel},
	{"a lease is renewed by its owner alone", testRenew},
	{"mail given back is due at once, as if never leased", testGiveBack},
	{"a canceled mail whose worker died is not sent again", testCancelDead},
	{"a result of an earlier attempt of one owner is dropped", testEarlierAttempt},
	{"results of unknown mail are dropped", testUnknownResult},
	{"a hostile reply is stored", testHostileReply},
	{"a mail without bytes is handed out empty", testNoBytes},
	{"mail put off falls due when it says, as if never leased", testPostpone},
	{"mail is listed by state, newest first, page by page", testListMail},
	{"open mail is counted by state, up to a limit", testQueueDepth},
	{"mail that failed or waits is queued again, with its bytes", testRedrive},
}

// finished returns results for items.
func finished(items []outbox.Item, state mail.DeliveryState, next time.Time, a mail.Attempt) []outbox.Result {
	var results []outbox.Result
	for _, item := range items {
		a.Number = item.Attempt
		results = append(results, outbox.Result{ID: item.ID, State: state, Attempt: a, Next: next})
	}
	return results
}

// Delivered returns results that say the relay took the items.
func Delivered(items []outbox.Item) []outbox.Result {
	return finished(items, mail.Delivered, time.Time{}, mail.Attempt{At: Start, Relay: "r:25", Stage: mail.StageDot, Code: 250, Text: "ok"})
}

func deferred(items []outbox.Item, next time.Time) []outbox.Result {
	return finished(items, mail.Deferred, next, mail.Attempt{At: Start, Relay: "r:25", Stage: mail.StageRcpt, Code: 451, Enhanced: "4.7.1", Text: "later"})
}

func failed(items []outbox.Item) []outbox.Result {
	return finished(items, mail.Failed, time.Time{}, mail.Attempt{At: Start, Relay: "r:25", Stage: mail.StageRcpt, Code: 550, Permanent: true, Text: "no"})
}

// claim leases up to n mails for a minute.
func (h *house) claim(owner string, at time.Time, n int) []outbox.Item {
	h.Helper()
	items, err := h.ClaimMail(h.ctx, owner, at, time.Minute, n)
	require.NoError(h, err)
	return items
}

func (h *house) finish(owner string, results []outbox.Result) {
	h.Helper()
	require.NoError(h, h.FinishMail(h.ctx, owner, results))
}

// delivery returns the only delivery of an invitation.
func (h *house) delivery(c invite.Change) invite.Delivery {
	h.Helper()
	l, err := h.Deliveries(h.ctx, c.Tenant, c.NewInvitations[0].ID)
	require.NoError(h, err)
	require.Len(h, l, 1)
	return l[0]
}

func testLease(h *house) {
	t := h.newTenant("Contoso")
	var queued []string
	for i := range 5 {
		c := NewInvitation(NewGuest(t, addressN(i)), 8)
		c.Mail[0].Queued = Start.Add(-time.Duration(i) * time.Minute)
		require.NoError(h, h.ApplyInvitation(h.ctx, c))
		queued = append(queued, c.Mail[0].Message.MessageID)
	}
	require.Empty(h, h.claim("a", Start.Add(-time.Hour), 9), "not due yet")
	first := h.claim("a", Start, 2)
	require.Len(h, first, 2)
	require.Equal(h, queued[4], first[0].Message.MessageID)
	require.Equal(h, queued[3], first[1].Message.MessageID)
	require.Equal(h, 1, first[0].Attempt)
	require.Equal(h, Start.Add(-4*time.Minute), first[0].Queued)
	require.Len(h, h.claim("b", Start, 9), 3, "leased mail is not claimed")
	require.Empty(h, h.claim("b", Start, 9))
}

func testLeaseExpiry(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	require.Len(h, h.claim("a", Start, 9), 1)
	require.Equal(h, mail.Sending, h.delivery(c).State)
	require.Empty(h, h.claim("b", Start.Add(time.Minute-time.Microsecond), 9))
	again := h.claim("b", Start.Add(time.Minute), 9)
	require.Len(h, again, 1)
	require.Equal(h, 2, again[0].Attempt)
	require.Equal(h, c.Mail[0].Message, again[0].Message, "the same bytes")
}

func testLateResult(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	late := h.claim("a", Start, 9)
	current := h.claim("b", Start.Add(time.Minute), 9)
	h.finish("a", failed(late))
	require.Equal(h, mail.Sending, h.delivery(c).State, "a lost its lease")
	h.finish("a", Delivered(late))
	require.Equal(h, mail.Delivered, h.delivery(c).State)
	h.finish("b", deferred(current, Start.Add(time.Hour)))
	got := h.delivery(c)
	require.Equal(h, mail.Delivered, got.State, "what the relay took is never sent again")
	require.Empty(h, h.claim("c", Start.Add(24*time.Hour), 9))
	h.finish("b", Delivered(current))
	attempts, err := h.Attempts(h.ctx, t, c.Mail[0].ID)
	require.NoError(h, err)
	require.Len(h, attempts, 2, "both copies are on record")
}

func testDeferred(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	next := Start.Add(5 * time.Minute)
	h.finish("a", deferred(h.claim("a", Start, 9), next))
	got := h.delivery(c)
	require.Equal(h, mail.Deferred, got.State)
	require.Equal(h, next, got.Next)
	require.Equal(h, 1, got.Attempts)
	require.Equal(h, mail.Attempt{Number: 1, At: Start, Relay: "r:25", Stage: mail.StageRcpt, Code: 451, Enhanced: "4.7.1", Text: "later"}, got.Last)
	require.Empty(h, h.claim("a", next.Add(-time.Second), 9))
	h.finish("a", Delivered(h.claim("a", next, 9)))
	got = h.delivery(c)
	require.Equal(h, mail.Delivered, got.State)
	require.Zero(h, got.Next)
	require.Equal(h, 2, got.Last.Number)
	attempts, err := h.Attempts(h.ctx, t, c.Mail[0].ID)
	require.NoError(h, err)
	require.Len(h, attempts, 2)
	require.Equal(h, 451, attempts[0].Code)
}

func testNextDue(h *house) {
	t := h.newTenant("Contoso")
	_, ok, err := h.NextMailDue(h.ctx)
	require.NoError(h, err)
	require.False(h, ok)
	h.invite(t, "guest@fabrikam.example")
	due := func(want time.Time) {
		h.Helper()
		got, ok, err := h.NextMailDue(h.ctx)
		require.NoError(h, err)
		require.True(h, ok)
		require.Equal(h, want, got)
	}
	due(Start)
	items := h.claim("a", Start, 9)
	due(Start.Add(time.Minute))
	h.finish("a", deferred(items, Start.Add(time.Hour)))
	due(Start.Add(time.Hour))
	h.finish("a", failed(h.claim("a", Start.Add(time.Hour), 9)))
	_, ok, err = h.NextMailDue(h.ctx)
	require.NoError(h, err)
	require.False(h, ok)
}

func testSharedQueue(h *house) {
	t := h.newTenant("Contoso")
	for i := range 60 {
		h.invite(t, addressN(i))
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for _, owner := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			for {
				items, err := h.ClaimMail(h.ctx, owner, Start, time.Minute, 7)
				if !assert.NoError(h, err) || len(items) == 0 {
					return
				}
				mu.Lock()
				for _, item := range items {
					seen[item.ID]++
				}
				mu.Unlock()
				assert.NoError(h, h.FinishMail(h.ctx, owner, Delivered(items)))
			}
		})
	}
	all.Wait()
	require.Len(h, seen, 60)
	for id, n := range seen {
		require.Equal(h, 1, n, id)
	}
}

func testCancel(h *house) {
	t := h.newTenant("Contoso")
	queued := h.invite(t, addressN(0))
	retried := h.invite(t, addressN(1))
	cancel := func(c invite.Change) {
		h.apply(directory.Change{Tenant: t, CancelMail: []directory.UserID{c.NewUsers[0].ID}})
	}
	cancel(queued)
	require.Equal(h, mail.Canceled, h.delivery(queued).State)
	require.Zero(h, h.delivery(queued).Next)

	items := h.claim("a", Start, 9)
	require.Len(h, items, 1)
	cancel(retried)
	require.Equal(h, mail.Sending, h.delivery(retried).State)
	h.finish("a", deferred(items, Start.Add(time.Hour)))
	require.Equal(h, mail.Canceled, h.delivery(retried).State, "no next attempt")
	require.Equal(h, 451, h.delivery(retried).Last.Code)

	sent := h.invite(t, addressN(2))
	items = h.claim("a", Start, 9)
	cancel(sent)
	h.finish("a", Delivered(items))
	require.Equal(h, mail.Delivered, h.delivery(sent).State, "what happened stays true")
	cancel(sent)
	require.Equal(h, mail.Delivered, h.delivery(sent).State)

	waiting := h.invite(t, addressN(3))
	h.finish("a", deferred(h.claim("a", Start, 9), Start.Add(time.Hour)))
	cancel(waiting)
	require.Equal(h, mail.Canceled, h.delivery(waiting).State)
	require.Empty(h, h.claim("a", Start.Add(48*time.Hour), 9))
}

func (h *house) renew(owner string, at time.Time, lease time.Duration, items ...outbox.Item) {
	h.Helper()
	var ids []string
	for _, item := range items {
		ids = append(ids, item.ID)
	}
	require.NoError(h, h.RenewMail(h.ctx, owner, at, lease, ids))
}

func testRenew(h *house) {
	t := h.newTenant("Contoso")
	h.invite(t, addressN(0))
	h.invite(t, addressN(1))
	items := h.claim("a", Start, 9)
	require.Len(h, items, 2)
	half := Start.Add(30 * time.Second)
	h.renew("b", half, time.Hour, items...)
	h.renew("a", half, time.Minute, items[0], outbox.Item{ID: "nonsense"})
	taken := h.claim("b", Start.Add(time.Minute), 9)
	require.Len(h, taken, 1)
	require.Equal(h, items[1].ID, taken[0].ID, "b could not renew it, a did not")
	h.renew("a", half, time.Hour, items[1])
	h.finish("a", failed(items[:1]))
	h.renew("a", half, time.Hour, items[0])
	require.Len(h, h.claim("c", Start.Add(2*time.Minute), 9), 1, "b's is over, the failed one stays so")
}

func testGiveBack(h *house) {
	t := h.newTenant("Contoso")
	fresh, tried, withdrawn := h.invite(t, addressN(0)), h.invite(t, addressN(1)), h.invite(t, addressN(2))
	h.finish("a", deferred(h.claim("a", Start, 9)[1:2], Start.Add(time.Second)))
	at := Start.Add(time.Minute)
	items := h.claim("a", at, 9)
	require.Len(h, items, 3)
	h.apply(directory.Change{Tenant: t, CancelMail: []directory.UserID{withdrawn.NewUsers[0].ID}})
	h.renew("b", at, 0, items...)
	require.Empty(h, h.claim("b", at, 9))
	h.renew("a", at, 0, items...)
	require.Equal(h, mail.Canceled, h.delivery(withdrawn).State)
	require.Equal(h, mail.Deferred, h.delivery(tried).State)
	require.Equal(h, at, h.delivery(tried).Next)
	require.Equal(h, 1, h.delivery(tried).Attempts, "an attempt that was not begun does not count")
	again := h.claim("b", at, 9)
	require.Len(h, again, 2)
	h.finish("a", failed(items))
	h.finish("b", Delivered(again))
	require.Equal(h, mail.Delivered, h.delivery(fresh).State)
}

func testCancelDead(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	items := h.claim("dies", Start, 9)
	require.Len(h, items, 1)
	h.apply(directory.Change{Tenant: t, CancelMail: []directory.UserID{c.NewUsers[0].ID}})
	require.Empty(h, h.claim("b", Start.Add(time.Hour), 9))
	require.Equal(h, mail.Canceled, h.delivery(c).State)
	h.finish("dies", Delivered(items))
	require.Equal(h, mail.Delivered, h.delivery(c).State, "it was not dead after all")
}

func testEarlierAttempt(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	first := h.claim("a", Start, 9)
	second := h.claim("a", Start.Add(time.Minute), 9)
	require.Len(h, second, 1)
	h.finish("a", failed(first))
	require.Equal(h, mail.Sending, h.delivery(c).State)
	h.finish("a", failed(second))
	require.Equal(h, mail.Failed, h.delivery(c).State)
}

func testUnknownResult(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	items := h.claim("a", Start, 9)
	unknown := items[0]
	unknown.ID += "0"
	nonsense := items[0]
	nonsense.ID = "nonsense"
	h.finish("a", append(Delivered([]outbox.Item{unknown, nonsense}), Delivered(items)...))
	require.Equal(h, mail.Delivered, h.delivery(c).State, "the others are recorded")
}

func testHostileReply(h *house) {
	t := h.newTenant("Contoso")
	c := h.invite(t, "guest@fabrikam.example")
	results := failed(h.claim("a", Start, 9))
	results[0].Attempt.Number = 0
	results[0].Attempt.Text = "550 \x00\xff'; drop table users; --"
	h.finish("a", results)
	got := h.delivery(c).Last
	require.Equal(h, "550 \uFFFD\uFFFD'; drop table users; --", got.Text)
	require.Equal(h, 1, got.Number, "the store knows the number")
}

func testNoBytes(h *house) {
	t := h.newTenant("Contoso")
	c := NewInvitation(NewGuest(t, "guest@fabrikam.example"), 8)
	c.Mail[0].Message.Raw = nil
	require.NoError(h, h.ApplyInvitation(h.ctx, c))
	items := h.claim("a", Start, 9)
	require.Len(h, items, 1)
	require.Empty(h, items[0].Message.Raw)
}
