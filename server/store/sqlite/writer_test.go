package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/store/internal/sqlstore"
	"invited/server/store/storetest"
	"invited/server/tenant"
)

// hold makes the writer busy with a change until release is called.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	begun, done, end := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() {
		done <- s.w.do(context.Background(), func(context.Context, sqlstore.DBTX) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() {
		close(end)
		require.NoError(t, <-done)
	}
}

// insertTenant is a change that adds one tenant row.
func insertTenant(id string) func(context.Context, sqlstore.DBTX) error {
	tn, p := storetest.NewTenant(id)
	return sqlstore.PlanTenant(tn, p).Run
}

func has(t *testing.T, s *Store, id string) bool {
	t.Helper()
	_, err := s.Tenant(t.Context(), directory.TenantID(id))
	if !errors.Is(err, directory.ErrNotFound) {
		require.NoError(t, err)
	}
	return err == nil
}

func TestChangesOfOneGroupFailAlone(t *testing.T) {
	s := open(t, Options{})
	release := hold(t, s)
	broken := errors.New("broken")
	changes := map[string]func(context.Context, sqlstore.DBTX) error{
		"ok-1": insertTenant("ok-1"),
		"fails": func(ctx context.Context, db sqlstore.DBTX) error {
			return errors.Join(insertTenant("fails")(ctx, db), broken)
		},
		"twice": func(ctx context.Context, db sqlstore.DBTX) error {
			return errors.Join(insertTenant("twice")(ctx, db), insertTenant("twice")(ctx, db))
		},
		"panics": func(ctx context.Context, db sqlstore.DBTX) error {
			_ = insertTenant("panics")(ctx, db)
			panic("a bug")
		},
		"ok-2": insertTenant("ok-2"),
	}
	var mu sync.Mutex
	answers := map[string]error{}
	var all sync.WaitGroup
	for name, change := range changes {
		all.Go(func() {
			err := s.w.do(t.Context(), change)
			mu.Lock()
			answers[name] = err
			mu.Unlock()
		})
	}
	require.Eventually(t, func() bool { return len(s.w.jobs) == len(changes) }, time.Minute, time.Millisecond)
	release()
	all.Wait()
	require.NoError(t, answers["ok-1"])
	require.NoError(t, answers["ok-2"])
	require.ErrorIs(t, answers["fails"], broken)
	require.ErrorIs(t, answers["twice"], directory.ErrStale)
	require.ErrorContains(t, answers["panics"], "a bug")
	for name, err := range answers {
		require.Equal(t, err == nil, has(t, s, name), name)
	}
}

func TestCanceledWhileWaitingIsNeverBegun(t *testing.T) {
	s := open(t, Options{})
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- s.w.do(ctx, insertTenant("late")) }()
	require.Eventually(t, func() bool { return len(s.w.jobs) == 1 }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-answer, context.Canceled, "it does not wait for the writer")
	release()
	require.NoError(t, s.w.do(t.Context(), insertTenant("next")))
	require.False(t, has(t, s, "late"))
}

func TestCanceledInTheMiddleIsCarriedThrough(t *testing.T) {
	s := open(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := s.w.do(ctx, func(inner context.Context, db sqlstore.DBTX) error {
		cancel()
		return insertTenant("begun")(inner, db)
	})
	require.NoError(t, err)
	require.True(t, has(t, s, "begun"))
}

func TestLockedDatabaseIsBusy(t *testing.T) {
	path := newPath(t)
	s := open(t, Options{Path: path, busy: time.Millisecond})
	other, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer other.Close()
	other.SetMaxOpenConns(1)
	_, err = other.Exec("begin immediate")
	require.NoError(t, err)
	require.ErrorIs(t, s.w.do(t.Context(), insertTenant("Contoso")), directory.ErrBusy)
	_, err = s.Tenant(t.Context(), "Contoso")
	require.ErrorIs(t, err, directory.ErrNotFound, "reading goes on")
	_, err = other.Exec("rollback")
	require.NoError(t, err)
	require.NoError(t, s.w.do(t.Context(), insertTenant("Contoso")))
}

// TestFullStorage fills a small quota from many callers: what was accepted is
// there, what was refused is not, and there is service again once there is
// space.
func TestFullStorage(t *testing.T) {
	s := open(t, Options{Path: newPath(t), maxPages: 400})
	fill(t, s)
	var mu sync.Mutex
	accepted, refused := 1, 0
	var all sync.WaitGroup
	for caller := range 8 {
		all.Go(func() {
			for i := range 20 {
				c := storetest.NewInvitation(storetest.NewGuest("Contoso", fmt.Sprintf("g%d-%d@fabrikam.example", caller, i)), 20<<10)
				err := s.ApplyInvitation(t.Context(), c)
				mu.Lock()
				if err == nil {
					accepted++
				} else if refused++; !assert.ErrorIs(t, err, directory.ErrFull) {
					mu.Unlock()
					return
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Greater(t, accepted, 10)
	require.Positive(t, refused)
	count := func() int {
		users, err := s.ListUsers(t.Context(), "Contoso", tenant.UserQuery{})
		require.NoError(t, err)
		return len(users)
	}
	require.Equal(t, accepted, count())

	require.NoError(t, s.w.do(t.Context(), func(ctx context.Context, db sqlstore.DBTX) error {
		_, err := db.ExecContext(ctx, "pragma max_page_count = 100000")
		return err
	}))
	require.NoError(t, s.ApplyInvitation(t.Context(), storetest.NewInvitation(storetest.NewGuest("Contoso", "late@fabrikam.example"), 20<<10)))
	require.Equal(t, accepted+1, count())
}

func TestOldBodiesAreDropped(t *testing.T) {
	s := open(t, Options{})
	tn, p := storetest.NewTenant("Contoso")
	require.NoError(t, s.CreateTenant(t.Context(), tn, p))
	for i := range 3 {
		c := storetest.NewInvitation(storetest.NewGuest(tn.ID, fmt.Sprintf("g%d@fabrikam.example", i)), 64)
		c.Mail[0].Queued = storetest.Start.Add(time.Duration(i) * time.Hour)
		require.NoError(t, s.ApplyInvitation(t.Context(), c))
	}
	items, err := s.ClaimMail(t.Context(), "w", storetest.Start.Add(time.Hour), time.Minute, 9)
	require.NoError(t, err)
	require.Len(t, items, 2)
	require.NoError(t, s.FinishMail(t.Context(), "w", storetest.Delivered(items)))

	later := time.Now().Add(time.Hour) // the ids tell when they were made
	n, err := s.DropBodies(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Zero(t, n, "too young")
	n, err = s.DropBodies(t.Context(), later)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	items, err = s.ClaimMail(t.Context(), "w", storetest.Start.Add(3*time.Hour), time.Minute, 9)
	require.NoError(t, err)
	require.Len(t, items, 1, "an open mail keeps its bytes")
	require.NotEmpty(t, items[0].Message.Raw)
}
