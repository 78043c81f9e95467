package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store/pgtest"
	"invited/server/store/storetest"
	"invited/server/tenant"
)

// cut is a connection that breaks around a commit, once.
type cut struct {
	net.Conn
	armed *atomic.Int32
}

// When a connection breaks.
const (
	never int32 = iota
	beforeCommit
	afterCommit
)

// Write breaks the connection if it is to carry a commit.
func (c cut) Write(p []byte) (int, error) {
	if !bytes.Contains(p, []byte("commit")) {
		return c.Conn.Write(p)
	}
	switch c.armed.Swap(never) {
	case beforeCommit:
		_ = c.Conn.Close()
	case afterCommit:
		n, err := c.Conn.Write(p)
		_ = c.Conn.Close()
		return n, err
	}
	return c.Conn.Write(p)
}

// TestCutOffCommit holds that a change is stored once, wherever the connection
// breaks. Counting views is the change that would show it.
func TestCutOffCommit(t *testing.T) {
	for _, tt := range []struct {
		name string
		when int32
	}{
		{"before the commit got out", beforeCommit},
		{"after it got out", afterCommit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var armed atomic.Int32
			url := pgtest.URL(t) + "&default_query_exec_mode=exec" // every statement is spelled out
			s := open(t, Options{URL: url, dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				return cut{conn, &armed}, err
			}})
			fill(t, s)
			c := send(t, s, "guest@fabrikam.example", storetest.Start)
			id := c.NewInvitations[0].ID
			for i := range 5 {
				armed.Store(tt.when)
				require.NoError(t, s.AddViews(t.Context(), c.Tenant, id, invite.Views{Count: 1, First: storetest.Start, Last: storetest.Start}))
				require.Zero(t, armed.Load(), "it broke")
				v, err := s.Views(t.Context(), c.Tenant, id)
				require.NoError(t, err)
				require.Equal(t, i+1, v.Count)
			}
			armed.Store(tt.when)
			send(t, s, "other@fabrikam.example", storetest.Start)
		})
	}
}

// TestServerDies restarts the server in the middle of everything, and kills
// connections at random. What was accepted is there once, what was refused is
// not there, and nothing is stuck.
func TestServerDies(t *testing.T) {
	cluster := pgtest.Start(t)
	url := cluster.NewDatabase(t)
	nodes := []*Store{open(t, Options{URL: url}), open(t, Options{URL: url})}
	fill(t, nodes[0])
	viewed := send(t, nodes[0], "viewed@fabrikam.example", storetest.Start)

	load := &load{t: t, viewed: viewed, stored: map[string]bool{"viewed@fabrikam.example": true}}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i, node := range nodes {
		for worker := range 4 {
			all.Go(func() { load.write(ctx, node, fmt.Sprintf("%d-%d", i, worker)) })
		}
		all.Go(func() { load.deliver(ctx, node, fmt.Sprint(i)) })
	}
	killer := open(t, Options{URL: url, MaxConns: 1})
	for range 3 {
		before := load.accepted.Load()
		for range 15 {
			_, err := killer.db.ExecContext(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
				where datname = current_database() and pid <> pg_backend_pid() and random() < 0.5`)
			if err != nil {
				require.True(t, lost(err), err)
			}
			pause(t.Context(), 3)
		}
		cluster.Restart(t)
		require.Eventually(t, func() bool { return load.accepted.Load() > before }, time.Minute, time.Millisecond, "there is service again")
	}
	stop()
	all.Wait()
	load.check(nodes[0])
	t.Logf("accepted %d, refused %d, views %d", load.accepted.Load(), load.refused.Load(), load.views.Load())
}

// load is what was promised to callers while servers died.
type load struct {
	t      *testing.T
	viewed invite.Change

	accepted, refused, views atomic.Int64

	mu     sync.Mutex
	stored map[string]bool // by address
}

// write invites until ctx ends.
func (l *load) write(ctx context.Context, s *Store, name string) {
	for i := 0; ctx.Err() == nil; i++ {
		address := fmt.Sprintf("g%s-%d@fabrikam.example", name, i)
		c := storetest.NewInvitation(storetest.NewGuest("Contoso", address), 512)
		err := s.ApplyInvitation(context.Background(), c)
		l.mu.Lock()
		l.stored[address] = err == nil
		l.mu.Unlock()
		if err == nil {
			l.accepted.Add(1)
		} else if l.refused.Add(1); !assert.ErrorIs(l.t, err, directory.ErrBusy) {
			return
		}
		err = s.AddViews(context.Background(), "Contoso", l.viewed.NewInvitations[0].ID, invite.Views{Count: 1, First: storetest.Start, Last: storetest.Start})
		if err == nil {
			l.views.Add(1)
		} else if !assert.ErrorIs(l.t, err, directory.ErrBusy) {
			return
		}
	}
}

// deliver sends until ctx ends.
func (l *load) deliver(ctx context.Context, s *Store, owner string) {
	for ctx.Err() == nil {
		items, err := s.ClaimMail(context.Background(), owner, storetest.Start, time.Minute, 9)
		if err == nil {
			err = s.FinishMail(context.Background(), owner, storetest.Delivered(items))
		}
		if !errors.Is(err, directory.ErrBusy) && !assert.NoError(l.t, err) {
			return
		}
	}
}

// check compares what was promised with what there is.
func (l *load) check(s *Store) {
	t := l.t
	v, err := s.Views(t.Context(), "Contoso", l.viewed.NewInvitations[0].ID)
	require.NoError(t, err)
	require.EqualValues(t, l.views.Load(), v.Count, "every view was counted once")
	for _, want := range claimed(t, s, "late", storetest.Start.Add(time.Hour)) {
		require.NoError(t, s.FinishMail(t.Context(), "late", storetest.Delivered(append(claimed(t, s, "late", storetest.Start.Add(time.Hour)), want))))
	}
	users := 0
	for after := directory.UserID(""); ; {
		page, err := s.ListUsers(t.Context(), "Contoso", tenant.UserQuery{After: after, Limit: 500})
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, u := range page {
			require.True(t, l.stored[u.Mail], "%s was refused and is stored", u.Mail)
			l.checkUser(s, u)
		}
		users += len(page)
		after = page[len(page)-1].ID
	}
	require.EqualValues(t, l.accepted.Load()+1, users, "what was accepted is there")
}

// checkUser holds that a guest has one invitation, one mail that was sent, and
// two events.
func (l *load) checkUser(s *Store, u directory.User) {
	t := l.t
	inv, err := s.LatestInvitation(t.Context(), u.Tenant, u.ID)
	require.NoError(t, err)
	deliveries, err := s.Deliveries(t.Context(), u.Tenant, inv.ID)
	require.NoError(t, err)
	require.Len(t, deliveries, 1)
	require.Equal(t, mail.Delivered, deliveries[0].State)
	events, err := s.ListEvents(t.Context(), u.Tenant, tenant.EventQuery{User: u.ID, Limit: 9})
	require.NoError(t, err)
	require.Len(t, events, 2)
}
