package sqlite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store/storetest"
	"invited/server/tenant"
)

// mailSize is that of a rendered invitation with text and HTML.
const mailSize = 8 << 10

// openBench opens a store in a file with one tenant.
func openBench(b *testing.B) (*Store, directory.TenantID) {
	b.Helper()
	s := open(b, Options{Path: newPath(b)})
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
	s, t := openBench(b)
	l := changes(t, b.N, mailSize)
	each(b, 32, b.N, func(ctx context.Context, i int) error { return s.ApplyInvitation(ctx, l[i]) })
	b.ResetTimer()
	done := 0
	for done < b.N {
		items, err := s.ClaimMail(b.Context(), "w", storetest.Start, time.Minute, 100)
		require.NoError(b, err)
		results := make([]outbox.Result, len(items))
		for i, item := range items {
			results[i] = outbox.Result{ID: item.ID, State: mail.Delivered, Attempt: mail.Attempt{
				Number: item.Attempt, At: storetest.Start, Relay: "127.0.0.1:25", Stage: mail.StageDot, Code: 250, Text: "queued",
			}}
		}
		require.NoError(b, s.FinishMail(b.Context(), "w", results))
		done += len(items)
	}
	rate(b, b.N, "mails")
}

func BenchmarkRead(b *testing.B) {
	for _, guests := range []int{1_000, 100_000} {
		s, t := openBench(b)
		l := changes(t, guests, 64)
		each(b, 64, guests, func(ctx context.Context, i int) error { return s.ApplyInvitation(ctx, l[i]) })
		middle := l[guests/2]
		for name, read := range map[string]func(ctx context.Context) error{
			"users": func(ctx context.Context) error {
				return page(s.ListUsers(ctx, t, tenant.UserQuery{After: middle.NewUsers[0].ID, Limit: 50}))
			},
			"pending": func(ctx context.Context) error {
				return page(s.ListUsers(ctx, t, tenant.UserQuery{State: directory.Pending, Limit: 50}))
			},
			"prefix": func(ctx context.Context) error {
				return page(s.ListUsers(ctx, t, tenant.UserQuery{MailPrefix: "g0", Limit: 50}))
			},
			"open": func(ctx context.Context) error {
				return page(s.ListInvitations(ctx, t, invite.Query{Open: true, Now: storetest.Start, Limit: 50}))
			},
			"search": func(ctx context.Context) error {
				return page(s.ListInvitations(ctx, t, invite.Query{Text: "g0", Limit: 50}))
			},
			"events": func(ctx context.Context) error { return page(s.ListEvents(ctx, t, tenant.EventQuery{Limit: 50})) },
			"address": func(ctx context.Context) error {
				_, err := s.UserByAddress(ctx, t, middle.NewInvitations[0].Email)
				return err
			},
			"next due": func(ctx context.Context) error { _, _, err := s.NextMailDue(ctx); return err },
			"counts": func(ctx context.Context) error {
				_, err := s.MailCounts(ctx, t, invite.CountQuery{
					LimitKey: middle.Mail[0].LimitKey, Domain: "fabrikam.example", Inviter: "inviter", Now: storetest.Start.Add(time.Second),
					Limits: directory.Limits{RecipientPer5Min: 1, RecipientPerDay: 3, DomainPerHour: 100, InviterPerMinute: 30, InviterPerDay: 500, TenantPerDay: 1000},
				})
				return err
			},
		} {
			b.Run(fmt.Sprintf("%s/guests=%d", name, guests), func(b *testing.B) {
				for range b.N {
					require.NoError(b, read(b.Context()))
				}
			})
		}
	}
}

// page is the error of a list that must not be empty.
func page[T any](l []T, err error) error {
	if err == nil && len(l) == 0 {
		return fmt.Errorf("an empty page")
	}
	return err
}

func BenchmarkOpen(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		for range b.N {
			s, err := Open(Options{Path: newPath(b)})
			require.NoError(b, err)
			require.NoError(b, s.Close())
		}
	})
	b.Run("existing", func(b *testing.B) {
		path := newPath(b)
		for range b.N {
			s, err := Open(Options{Path: path})
			require.NoError(b, err)
			require.NoError(b, s.Close())
		}
	})
}
