package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store/storetest"
)

// mailSize is that of a rendered invitation with text and HTML.
const mailSize = 8 << 10

// openBench opens a store with one tenant.
func openBench(b *testing.B) (*Store, directory.TenantID) {
	b.Helper()
	s := open(b, Options{MaxConns: 32})
	t, p := storetest.NewTenant("Contoso")
	require.NoError(b, s.CreateTenant(b.Context(), t, p))
	return s, t.ID
}

// changes prepares n invitations of new guests.
func changes(t directory.TenantID, n, size int) []invite.Change {
	l := make([]invite.Change, n)
	for i := range l {
		l[i] = storetest.NewInvitation(storetest.NewGuest(t, fmt.Sprintf("g%s@fabrikam.example", storetest.ID())), size)
	}
	return l
}

// each calls f for 0 to n-1 from so many goroutines.
func each(b *testing.B, callers, n int, f func(ctx context.Context, i int) error) {
	b.Helper()
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(b.Context(), i); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
}

func rate(b *testing.B, n int, unit string) {
	b.Helper()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), unit+"/s")
}

func BenchmarkApplyInvitation(b *testing.B) {
	for _, callers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s, t := openBench(b)
			l := changes(t, b.N, mailSize)
			b.ResetTimer()
			each(b, callers, b.N, func(ctx context.Context, i int) error { return s.ApplyInvitation(ctx, l[i]) })
			rate(b, b.N, "invitations")
		})
	}
}

func BenchmarkAccept(b *testing.B) {
	s, t := openBench(b)
	l := changes(t, b.N, 64)
	each(b, 32, b.N, func(ctx context.Context, i int) error { return s.ApplyInvitation(ctx, l[i]) })
	b.ResetTimer()
	each(b, 32, b.N, func(ctx context.Context, i int) error {
		c := l[i]
		u, inv, e := c.NewUsers[0], c.NewInvitations[0], c.Audit[0]
		u.State, u.StateChanged, inv.Accepted, e.ID = directory.Accepted, storetest.Start, storetest.Start, storetest.ID()
		accept := invite.Change{Invitations: []invite.Invitation{inv}}
		accept.Tenant, accept.Users, accept.Audit = t, []directory.User{u}, append(accept.Audit, e)
		return s.ApplyInvitation(ctx, accept)
	})
	rate(b, b.N, "accepts")
}

func BenchmarkDeliver(b *testing.B) {
	for _, workers := range []int{1, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s, t := openBench(b)
			l := changes(t, b.N, mailSize)
			each(b, 32, b.N, func(ctx context.Context, i int) error { return s.ApplyInvitation(ctx, l[i]) })
			b.ResetTimer()
			var done atomic.Int64
			each(b, workers, workers, func(ctx context.Context, i int) error {
				owner := fmt.Sprint(i)
				for {
					items, err := s.ClaimMail(ctx, owner, storetest.Start, time.Minute, 64)
					if err != nil || len(items) == 0 {
						return err
					}
					if err := s.FinishMail(ctx, owner, storetest.Delivered(items)); err != nil {
						return err
					}
					done.Add(int64(len(items)))
				}
			})
			require.EqualValues(b, b.N, done.Load())
			rate(b, b.N, "mails")
		})
	}
}

var _ outbox.Store = (*Store)(nil)
