package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store/pgtest"
	"invited/server/store/storetest"
)

// fill stores the tenant Contoso.
func fill(t testing.TB, s *Store) directory.TenantID {
	t.Helper()
	tn, p := storetest.NewTenant("Contoso")
	require.NoError(t, s.CreateTenant(t.Context(), tn, p))
	return tn.ID
}

// send stores an invitation with its mail, queued at a moment.
func send(t testing.TB, s *Store, address string, queued time.Time) invite.Change {
	t.Helper()
	c := storetest.NewInvitation(storetest.NewGuest("Contoso", address), 64)
	c.Mail[0].Queued = queued
	require.NoError(t, s.ApplyInvitation(t.Context(), c))
	return c
}

func claimed(t testing.TB, s *Store, owner string, now time.Time) []outbox.Item {
	t.Helper()
	items, err := s.ClaimMail(t.Context(), owner, now, time.Minute, 99)
	require.NoError(t, err)
	return items
}

func state(t testing.TB, s *Store, c invite.Change) mail.DeliveryState {
	t.Helper()
	l, err := s.Deliveries(t.Context(), c.Tenant, c.NewInvitations[0].ID)
	require.NoError(t, err)
	require.Len(t, l, 1)
	return l[0].State
}

func TestNodesShareTheQueue(t *testing.T) {
	url := pgtest.URL(t)
	nodes := []*Store{open(t, Options{URL: url}), open(t, Options{URL: url}), open(t, Options{URL: url})}
	fill(t, nodes[0])
	const mails = 300
	for i := range mails {
		send(t, nodes[i%3], fmt.Sprintf("g%d@fabrikam.example", i), storetest.Start)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for i, node := range nodes {
		for worker := range 2 {
			owner := fmt.Sprintf("%d-%d", i, worker)
			all.Go(func() {
				for {
					items, err := node.ClaimMail(t.Context(), owner, storetest.Start, time.Minute, 7)
					if !assert.NoError(t, err) || len(items) == 0 {
						return
					}
					mu.Lock()
					for _, item := range items {
						seen[item.ID]++
					}
					mu.Unlock()
					assert.NoError(t, node.FinishMail(t.Context(), owner, storetest.Delivered(items)))
				}
			})
		}
	}
	all.Wait()
	require.Len(t, seen, mails)
	for id, n := range seen {
		require.Equal(t, 1, n, id)
	}
}

func TestDeadNodeIsTakenOver(t *testing.T) {
	url := pgtest.URL(t)
	lives := open(t, Options{URL: url})
	fill(t, lives)
	c := send(t, lives, "guest@fabrikam.example", storetest.Start)
	dies, err := Open(t.Context(), Options{URL: url})
	require.NoError(t, err)
	require.Len(t, claimed(t, dies, "dies", storetest.Start), 1)
	require.NoError(t, dies.Close())

	require.Empty(t, claimed(t, lives, "lives", storetest.Start.Add(time.Minute-time.Microsecond)))
	items := claimed(t, lives, "lives", storetest.Start.Add(time.Minute))
	require.Len(t, items, 1)
	require.Equal(t, 2, items[0].Attempt)
	require.Equal(t, c.Mail[0].Message, items[0].Message)
	require.NoError(t, lives.FinishMail(t.Context(), "lives", storetest.Delivered(items)))
	require.Equal(t, mail.Delivered, state(t, lives, c))
}

// TestClocksOfNodes holds that it does not matter what a node takes the time
// to be.
func TestClocksOfNodes(t *testing.T) {
	for _, tt := range []struct {
		name string
		off  time.Duration
	}{
		{"an hour ahead", time.Hour},
		{"an hour behind", -time.Hour},
		{"ten years ahead", 10 * 365 * 24 * time.Hour},
		{"a second behind", -time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := pgtest.URL(t)
			var off atomic.Int64
			wrongNow := func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
			right, wrong := open(t, Options{URL: url}), open(t, Options{URL: url, wall: wrongNow})
			fill(t, right)
			off.Store(int64(tt.off)) // the clock is set while the node runs

			send(t, wrong, "a@fabrikam.example", wrongNow())
			items := claimed(t, right, "right", time.Now())
			require.Len(t, items, 1, "mail of the wrong node is due at once")
			require.WithinDuration(t, time.Now(), items[0].Queued, time.Minute/2)
			require.Empty(t, claimed(t, wrong, "wrong", wrongNow()), "it does not take what another leases")
			due, ok, err := wrong.NextMailDue(t.Context())
			require.NoError(t, err)
			require.True(t, ok)
			require.WithinDuration(t, wrongNow().Add(time.Minute), due, time.Minute/2, "it is told by its own clock")

			send(t, right, "b@fabrikam.example", time.Now())
			items = claimed(t, wrong, "wrong", wrongNow())
			require.Len(t, items, 1)
			require.WithinDuration(t, wrongNow(), items[0].Queued, time.Minute/2)
			require.Empty(t, claimed(t, right, "right", time.Now()), "its lease holds")
			require.NoError(t, wrong.RenewMail(t.Context(), "wrong", wrongNow(), time.Hour, []string{items[0].ID}))
			require.Empty(t, claimed(t, right, "right", time.Now().Add(50*time.Minute))[1:], "and can be renewed")
		})
	}
}

// TestWithdrawnWhileItIsPutOff holds that a mail that is withdrawn at the very
// moment at which its attempt fails is not tried again.
func TestWithdrawnWhileItIsPutOff(t *testing.T) {
	s := open(t, Options{})
	fill(t, s)
	for i := range 40 {
		c := send(t, s, fmt.Sprintf("g%d@fabrikam.example", i), storetest.Start)
		items := claimed(t, s, "w", storetest.Start)
		require.Len(t, items, 1)
		var both sync.WaitGroup
		both.Go(func() {
			assert.NoError(t, s.ApplyDirectory(t.Context(), directory.Change{Tenant: c.Tenant, CancelMail: []directory.UserID{c.NewUsers[0].ID}}))
		})
		both.Go(func() {
			assert.NoError(t, s.FinishMail(t.Context(), "w", []outbox.Result{{
				ID: items[0].ID, State: mail.Deferred, Next: storetest.Start.Add(time.Hour), Attempt: mail.Attempt{Number: 1, At: storetest.Start},
			}}))
		})
		both.Wait()
		require.Equal(t, mail.Canceled, state(t, s, c))
	}
}

func TestNodesAreWoken(t *testing.T) {
	url := pgtest.URL(t)
	a, b := open(t, Options{URL: url}), open(t, Options{URL: url})
	fill(t, a)
	woken := func(s *Store) bool {
		select {
		case <-s.Wakes():
			return true
		case <-time.After(time.Minute):
			return false
		}
	}
	require.True(t, woken(a), "there may be mail from before it listened")
	require.True(t, woken(b))
	send(t, a, "guest@fabrikam.example", storetest.Start)
	require.True(t, woken(b))

	// One that was cut off looks again, because it may have missed something.
	_, err := a.db.ExecContext(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'")
	require.NoError(t, err)
	require.True(t, woken(b))
	items := claimed(t, b, "b", storetest.Start)
	require.NoError(t, b.RenewMail(t.Context(), "b", storetest.Start, 0, []string{items[0].ID}))
	require.True(t, woken(a), "what is given back is for others")
}

// TestNodesStartTogether holds that one of them makes the schema.
func TestNodesStartTogether(t *testing.T) {
	url := pgtest.URL(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			s, err := Open(context.Background(), Options{URL: url})
			if assert.NoError(t, err) {
				assert.NoError(t, s.Close())
			}
		})
	}
	all.Wait()
}
