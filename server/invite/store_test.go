package invite_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/store/sqlite"
	"invited/server/tenant"
)

// onDisk is a rig over the real store instead of the memory.
func onDisk(t *testing.T, edit ...func(*invite.Options)) (*rig, *sqlite.Store) {
	t.Helper()
	var db *sqlite.Store
	r := newRig(t, append(edit, func(o *invite.Options) {
		var err error
		db, err = sqlite.Open(sqlite.Options{Path: t.TempDir() + "/data/invited.db", Now: o.Now})
		require.NoError(t, err)
		o.Store = db
	})...)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.CreateTenant(t.Context(), r.store.tenant, r.store.policy))
	c := directory.Change{Tenant: contoso, NewGroups: r.store.groups, NewApps: r.store.apps}
	for _, u := range r.store.users {
		c.NewUsers = append(c.NewUsers, u)
	}
	require.NoError(t, db.ApplyDirectory(t.Context(), c))
	return r, db
}

func TestOnDiskFortyAcceptsAreOne(t *testing.T) {
	r, db := onDisk(t)
	home := directory.HomeTenant{Tenant: contoso, Domain: "fabrikam.example", AllowEmailVerifiedUsers: true, SignIn: directory.SignInSimulated}
	require.NoError(t, db.ApplyDirectory(t.Context(), directory.Change{Tenant: contoso, Homes: []directory.HomeTenant{home}}))
	c := r.invite("ana@fabrikam.example")
	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)

	const n = 40
	answers := make([]invite.Redemption, n)
	errs := make([]error, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { answers[i], errs[i] = r.Accept(context.Background(), red.Claims, directory.MethodHome) })
	}
	done.Wait()
	for i := range n {
		require.NoError(t, errs[i])
		require.Equal(t, answers[0], answers[i])
	}
	events, err := db.ListEvents(t.Context(), contoso, tenant.EventQuery{User: c.User.ID, Limit: 100})
	require.NoError(t, err)
	accepts := 0
	for _, e := range events {
		if e.Activity == audit.RedeemInvite {
			accepts++
		}
	}
	require.Equal(t, 1, accepts)
}

func TestOnDiskInvitingTheSameAddressAtOnceMakesOneGuest(t *testing.T) {
	r, _ := onDisk(t)
	const n = 8
	var mu sync.Mutex
	guests := map[directory.UserID]int{}
	created := 0
	var done sync.WaitGroup
	for range n {
		done.Go(func() {
			c, err := r.Create(context.Background(), admin(), ask("ana@fabrikam.example"))
			mu.Lock()
			defer mu.Unlock()
			if problem.Has(err, problem.Busy) {
				return // gave way five times, and said so
			}
			require.NoError(t, err)
			guests[c.User.ID]++
			if c.NewUser {
				created++
			}
		})
	}
	done.Wait()
	require.Len(t, guests, 1)
	require.Equal(t, 1, created)
}

func TestOnDiskLife(t *testing.T) {
	r, db := onDisk(t)
	ctx := t.Context()
	first := r.invite("ana@fabrikam.example")
	policy, err := db.Policy(ctx, contoso)
	require.NoError(t, err)
	policy.OnResend = directory.SupersedeLinks
	require.NoError(t, db.ApplyDirectory(ctx, directory.Change{Tenant: contoso, Policy: &policy}))

	second, err := r.Resend(ctx, admin(), "ana@fabrikam.example", invite.Edit{})
	require.NoError(t, err)
	_, err = r.open(first.RedeemURL)
	requireReason(t, err, problem.Gone, problem.LinkReplaced)
	d, err := r.Get(ctx, admin(), string(first.Invitation.ID))
	require.NoError(t, err)
	require.Len(t, d.Deliveries, 2)
	require.EqualValues(t, "canceled", d.Deliveries[0].State)
	require.EqualValues(t, "queued", d.Deliveries[1].State, "a change cancels before it queues")

	_, err = r.Revoke(ctx, admin(), "ana@fabrikam.example")
	require.NoError(t, err)
	_, err = r.open(second.RedeemURL)
	requireReason(t, err, problem.Gone, problem.LinkRevoked)
	diagnosis, err := r.Diagnose(ctx, admin(), "ana@fabrikam.example")
	require.NoError(t, err)
	require.Equal(t, problem.LinkRevoked, diagnosis.Reason)

	q := ask("ana@fabrikam.example")
	q.Groups, q.Apps = []string{"Partners"}, []string{"Expenses"}
	third, err := r.Create(ctx, admin(), q)
	require.NoError(t, err)
	require.Equal(t, first.User.ID, third.User.ID)
	red, err := r.accept(third.RedeemURL)
	require.NoError(t, err)
	again, err := r.open(third.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, again, red, "what was answered is what is stored")
	apps, _, _, err := r.MyApps(ctx, contoso, first.User.ID)
	require.NoError(t, err)
	require.Len(t, apps, 1)
	diagnosis, err = r.Diagnose(ctx, admin(), "ana@fabrikam.example")
	require.NoError(t, err)
	require.Equal(t, problem.Complete, diagnosis.Reason)
}
