package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
)

var redemptionTests = []test{
	{"tries count while they lie in the window", testThrottle},
	{"tries at the same time are counted one after the other", testThrottleRace},
	{"tries counted in memory come back", testRecentTries},
	{"a passcode is right once", testPasscodeOnce},
	{"of many right tries at once, one is right", testPasscodeRace},
	{"a passcode dies of tries, time, purpose and its successor", testPasscodeDies},
	{"too many tries stop before the code", testPasscodeThrottle},
	{"who blocked invitations stays blocked until they undo it", testBlocks},
	{"a suppressed mail is a record and never due", testSuppressed},
	{"a policy keeps its rules of sign-in", testSignInPolicy},
}

func testThrottle(h *house) {
	t := h.newTenant("Contoso")
	take := func(bucket string, after time.Duration) time.Duration {
		h.Helper()
		wait, err := h.Throttle(h.ctx, t, invite.Throttle{Bucket: bucket, Limit: 2, Window: time.Hour, Now: Start.Add(after)})
		require.NoError(h, err)
		return wait
	}
	require.Zero(h, take("a", 0))
	require.Zero(h, take("a", 10*time.Minute))
	require.Equal(h, 40*time.Minute, take("a", 20*time.Minute))
	require.Zero(h, take("b", 20*time.Minute), "another bucket")
	require.Equal(h, time.Minute, take("a", 59*time.Minute), "what was refused does not count")
	require.Zero(h, take("a", time.Hour))
	require.Equal(h, 9*time.Minute, take("a", time.Hour+time.Minute))
	require.Zero(h, take("a", 72*time.Hour))
}

func testThrottleRace(h *house) {
	t := h.newTenant("Contoso")
	var passed atomic.Int64
	var done sync.WaitGroup
	for range 12 {
		done.Go(func() {
			wait, err := h.Throttle(h.ctx, t, invite.Throttle{Bucket: "a", Limit: 5, Window: time.Hour, Now: Start})
			if err == nil && wait == 0 {
				passed.Add(1)
			}
		})
	}
	done.Wait()
	require.EqualValues(h, 5, passed.Load())
}

func testRecentTries(h *house) {
	at := []time.Time{Start, Start.Add(time.Second), Start.Add(2 * time.Second)}
	require.NoError(h, h.AddTries(h.ctx, "", "a", at[:2]))
	require.NoError(h, h.AddTries(h.ctx, "", "a", at[2:]))
	require.NoError(h, h.AddTries(h.ctx, "", "old", []time.Time{Start.Add(-time.Hour)}))
	require.NoError(h, h.AddTries(h.ctx, "", "none", nil))
	got, err := h.RecentTries(h.ctx, "", Start)
	require.NoError(h, err)
	require.Equal(h, map[string][]time.Time{"a": at}, got)
}

// passcode stores a code of a session.
func (h *house) passcode(t directory.TenantID, session, mac string) {
	h.Helper()
	require.NoError(h, h.ApplyInvitation(h.ctx, invite.Change{Change: directory.Change{Tenant: t}, Passcode: &invite.Passcode{
		Session: session, Purpose: invite.ToRedeem, Invitation: "i", MAC: mac, Expires: Start.Add(10 * time.Minute),
	}}))
}

// try tries a code, with the given changes.
func (h *house) try(t directory.TenantID, session, mac string, change ...func(*invite.PasscodeTry)) invite.PasscodeOutcome {
	h.Helper()
	q := invite.PasscodeTry{
		Session: session, Purpose: invite.ToRedeem, MAC: mac, Now: Start, MaxTries: 5,
		Throttle: invite.Throttle{Bucket: "ip", Limit: 20, Window: time.Hour, Now: Start},
	}
	for _, f := range change {
		f(&q)
	}
	out, err := h.TryPasscode(h.ctx, t, q)
	require.NoError(h, err)
	return out
}

func testPasscodeOnce(h *house) {
	t, other := h.newTenant("Contoso"), h.newTenant("Fabrikam")
	h.passcode(t, "s", "right")
	require.Equal(h, invite.PasscodeOutcome{Left: 4}, h.try(t, "s", "wrong"))
	require.Zero(h, h.try(t, "another session", "right"))
	require.Zero(h, h.try(other, "s", "right"), "another tenant")
	require.Equal(h, invite.PasscodeOutcome{Right: true}, h.try(t, "s", "right"))
	require.Zero(h, h.try(t, "s", "right"), "used up")
}

func testPasscodeRace(h *house) {
	t := h.newTenant("Contoso")
	h.passcode(t, "s", "right")
	var right atomic.Int64
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			out, err := h.TryPasscode(h.ctx, t, invite.PasscodeTry{
				Session: "s", Purpose: invite.ToRedeem, MAC: "right", Now: Start, MaxTries: 5,
				Throttle: invite.Throttle{Bucket: "ip", Limit: 20, Window: time.Hour, Now: Start},
			})
			if err == nil && out.Right {
				right.Add(1)
			}
		})
	}
	done.Wait()
	require.EqualValues(h, 1, right.Load())
}

func testPasscodeDies(h *house) {
	t := h.newTenant("Contoso")
	h.passcode(t, "tries", "right")
	for left := 4; left >= 0; left-- {
		require.Equal(h, invite.PasscodeOutcome{Left: left}, h.try(t, "tries", "wrong"))
	}
	require.Zero(h, h.try(t, "tries", "right"))

	h.passcode(t, "time", "right")
	late := func(q *invite.PasscodeTry) { q.Now = Start.Add(10 * time.Minute) }
	require.Zero(h, h.try(t, "time", "right", late))

	h.passcode(t, "purpose", "right")
	require.Zero(h, h.try(t, "purpose", "right", func(q *invite.PasscodeTry) { q.Purpose = invite.ToUnblock }))

	h.passcode(t, "twice", "first")
	h.passcode(t, "twice", "second")
	require.Equal(h, invite.PasscodeOutcome{Left: 4}, h.try(t, "twice", "first"))
	require.True(h, h.try(t, "twice", "second").Right)
}

func testPasscodeThrottle(h *house) {
	t := h.newTenant("Contoso")
	h.passcode(t, "s", "right")
	three := func(q *invite.PasscodeTry) { q.Throttle.Limit = 3 }
	for range 3 {
		require.Zero(h, h.try(t, "s", "wrong", three).Wait)
	}
	require.Equal(h, invite.PasscodeOutcome{Wait: time.Hour}, h.try(t, "s", "right", three))
	h.passcode(t, "s", "right")
	for range 4 {
		h.passcode(t, "s", "right")
		require.True(h, h.try(t, "s", "right", func(q *invite.PasscodeTry) { q.Throttle.Limit = 4 }).Right, "a right code costs nothing")
	}
}

func testBlocks(h *house) {
	t, other := h.newTenant("Contoso"), h.newTenant("Fabrikam")
	const key = "guest@fabrikam.example"
	_, err := h.Blocked(h.ctx, t, key)
	require.ErrorIs(h, err, directory.ErrNotFound)
	for i := range 2 {
		b := invite.Block{Key: key, Invitation: "i", At: Start.Add(time.Duration(i) * time.Hour)}
		require.NoError(h, h.ApplyInvitation(h.ctx, invite.Change{Change: directory.Change{Tenant: t}, Blocks: []invite.Block{b}}))
	}
	at, err := h.Blocked(h.ctx, t, key)
	require.NoError(h, err)
	require.Equal(h, Start, at, "blocking twice is blocking once")
	_, err = h.Blocked(h.ctx, other, key)
	require.ErrorIs(h, err, directory.ErrNotFound, "each tenant is blocked for itself")
	for range 2 {
		require.NoError(h, h.ApplyInvitation(h.ctx, invite.Change{Change: directory.Change{Tenant: t}, Unblock: []string{key}}))
	}
	_, err = h.Blocked(h.ctx, t, key)
	require.ErrorIs(h, err, directory.ErrNotFound)
}

func testSuppressed(h *house) {
	t := h.newTenant("Contoso")
	c := NewInvitation(NewGuest(t, "guest@fabrikam.example"), 64)
	c.Mail[0].Suppressed, c.Mail[0].Kind, c.Mail[0].Message.Raw = true, invite.LetterInvitation, nil
	require.NoError(h, h.ApplyInvitation(h.ctx, c))
	got, err := h.Deliveries(h.ctx, t, c.NewInvitations[0].ID)
	require.NoError(h, err)
	require.Len(h, got, 1)
	require.Equal(h, mail.Suppressed, got[0].State)
	require.Equal(h, invite.LetterInvitation, got[0].Kind)
	require.Zero(h, got[0].Next)
	items, err := h.ClaimMail(h.ctx, "w", Start.Add(time.Hour), time.Minute, 9)
	require.NoError(h, err)
	require.Empty(h, items)
}

func testSignInPolicy(h *house) {
	t := h.newTenant("Contoso")
	p, err := h.Policy(h.ctx, t)
	require.NoError(h, err)
	require.Equal(h, directory.RulesLegacy, p.Rules)
	require.Equal(h, directory.DefaultCodeLifetime, p.CodeLifetime)
	p.Rules, p.Providers, p.CodeLifetime = directory.RulesCurrent, []directory.Provider{directory.ProviderFederation, directory.ProviderHome}, 30*time.Minute
	h.apply(directory.Change{Tenant: t, Policy: &p})
	got, err := h.Policy(h.ctx, t)
	require.NoError(h, err)
	p.Version++
	require.Equal(h, p, got)
}
