// Package postgres is the store on PostgreSQL 13 or newer: for an organisation
// that runs several nodes, or has a database that is looked after already.
//
// SQL and conversions are those of every engine, from sqlstore. What this
// package adds is how a transaction is run among other nodes. It does not
// decide anything, keeps nothing in memory that another node would have to
// know, and refuses a database that a newer program has written.
//
//	change ──plan──▶ begin · id of the change · statements · commit   one round trip
//	   40001, 40P01, connection lost ──▶ again, for 5 s, then directory.ErrBusy
//	   cut off during commit ──▶ again: its id is there if it was stored
//
// A transaction sees a snapshot (repeatable read), so two changes of one row
// never both succeed; with keys, references and versions that is all the
// contract needs.
//
// # Time
//
// Nothing depends on the clock of one node. When mail is due and when a lease
// ends is stored by the database's clock. Callers name moments by their node's
// clock; they are moved by what that clock is off, which the package measures
// and measures again when the clock jumps. What a caller's clock is ahead on
// purpose, as in tests, stays: only the difference between the system's clock
// and the database's is taken out. Differences below 250 ms are taken for the
// way through the network and left alone.
//
// # Waking other nodes
//
// A node that queues mail tells the others by NOTIFY, at most every 20 ms and
// after the commit, because a NOTIFY inside a transaction makes commits wait
// for each other. It is a hint: a node that misses it finds the mail when it
// polls.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store"
	"invited/server/store/internal/sqlstore"
)

// Options configures a [Store].
type Options struct {
	// URL of the database, required: postgres://USER:PASSWORD@HOST:PORT/NAME.
	// The parameters of libpq's URLs work, and its environment. Without
	// sslmode, a server that is not on this machine must prove who it is.
	URL string

	Log *slog.Logger     // nil: silent
	Now func() time.Time // nil means time.Now

	// MaxConns bounds the connections of this node, beside one that listens.
	// 0 means DefaultMaxConns.
	MaxConns int

	// KeepBodies is how long the bytes of a mail are kept, counted from when
	// it was queued, once its delivery is final. 0 means DefaultKeepBodies.
	KeepBodies time.Duration

	// For tests.
	wall     func() time.Time // the system's clock
	dial     pgconn.DialFunc
	patience time.Duration // 0 means the constant of that name
}

// DefaultMaxConns is enough for a node with a few cores: a connection is used
// for a millisecond or two at a time.
const DefaultMaxConns = 16

// DefaultKeepBodies leaves time to look at a failed mail and to send it again.
const DefaultKeepBodies = 72 * time.Hour

// patience is how long a call tries to get past a conflict, a full pool or a
// server that restarts, before it answers directory.ErrBusy.
const patience = 5 * time.Second

// Store is an open database. It is safe for concurrent use.
type Store struct {
	*sqlstore.Reader

	opts   Options
	config *pgx.ConnConfig
	db     *sql.DB
	clock  *dbClock
	id     string // of this node, in notifications

	queued    chan struct{} // tell the other nodes
	wakes     chan struct{} // another node told us
	listening sync.Once

	ctx   context.Context // ends with Close: of the tasks, which have no caller
	stop  context.CancelFunc
	tasks sync.WaitGroup
	close sync.Once
	err   error // of the first Close
}

var (
	_ store.Store    = (*Store)(nil)
	_ outbox.Renewer = (*Store)(nil)
)

// Open connects to the database and brings its schema up to date. Errors never
// tell the password.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxConns <= 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.KeepBodies == 0 {
		o.KeepBodies = DefaultKeepBodies
	}
	if o.wall == nil {
		o.wall = time.Now
	}
	if o.patience == 0 {
		o.patience = patience
	}
	config, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.dial != nil {
		config.DialFunc = o.dial
	}
	s := &Store{
		opts: o, config: config, id: uuid.NewString(),
		queued: make(chan struct{}, 1), wakes: make(chan struct{}, 1),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.tasks.Go(s.janitor)
	s.tasks.Go(s.notifier)
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := migrate(ctx, s.config, s.opts); err != nil {
		return err
	}
	s.db = stdlib.OpenDB(*withTimeouts(s.config))
	s.db.SetMaxOpenConns(s.opts.MaxConns)
	s.db.SetMaxIdleConns(s.opts.MaxConns)
	s.db.SetConnMaxIdleTime(5 * time.Minute)
	s.db.SetConnMaxLifetime(time.Hour) // finds its way to a server added meanwhile
	reads := &steady{db: s.db, patience: s.opts.patience}
	s.Reader = sqlstore.NewReader(reads, translate)
	s.clock = &dbClock{db: reads, wall: s.opts.wall}
	_, err := s.clock.skew(ctx)
	return err
}

// Close finishes what was begun and releases the connections.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.stop()
		s.tasks.Wait()
		if s.db != nil {
			s.err = s.db.Close()
		}
	})
	return s.err
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return translate(s.db.QueryRowContext(ctx, "select 1").Scan(&one))
}

// ApplyDirectory applies a change of the directory.
func (s *Store) ApplyDirectory(ctx context.Context, c directory.Change) error {
	return s.run(ctx, sqlstore.PlanDirectory(c))
}

// ApplyInvitation applies a change with its invitations and mail.
func (s *Store) ApplyInvitation(ctx context.Context, c invite.Change) error {
	if len(c.Mail) == 0 {
		return s.run(ctx, sqlstore.PlanInvitation(c))
	}
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return err
	}
	c.Mail = slices.Clone(c.Mail)
	for i := range c.Mail {
		c.Mail[i].Queued = shift(c.Mail[i].Queued, skew)
	}
	if err := s.run(ctx, sqlstore.PlanInvitation(c)); err != nil {
		return err
	}
	s.tell()
	return nil
}

// CreateTenant stores a tenant with its policy.
func (s *Store) CreateTenant(ctx context.Context, t directory.Tenant, p directory.Policy) error {
	return s.run(ctx, sqlstore.PlanTenant(t, p))
}

// CreateApplication stores a client application; ErrStale if the tenant has one
// with its client id.
func (s *Store) CreateApplication(ctx context.Context, a directory.Application) error {
	return s.run(ctx, sqlstore.PlanApplication(a))
}

// AddViews adds v to what is stored of an invitation.
func (s *Store) AddViews(ctx context.Context, t directory.TenantID, id invite.ID, v invite.Views) error {
	return s.run(ctx, sqlstore.PlanViews(t, id, v))
}

// MailCounts counts what was queued lately.
func (s *Store) MailCounts(ctx context.Context, t directory.TenantID, q invite.CountQuery) (invite.Counts, error) {
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return invite.Counts{}, err
	}
	q.Now = shift(q.Now, skew)
	c, err := s.Reader.MailCounts(ctx, t, q)
	c.Oldest = shift(c.Oldest, -skew)
	return c, err
}

// FinishMail records results.
func (s *Store) FinishMail(ctx context.Context, owner string, results []outbox.Result) error {
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return err
	}
	results = slices.Clone(results)
	for i := range results {
		results[i].Next = shift(results[i].Next, skew)
		results[i].Attempt.At = shift(results[i].Attempt.At, skew)
	}
	// In one order, so that two nodes do not wait for each other.
	slices.SortStableFunc(results, func(a, b outbox.Result) int { return strings.Compare(a.ID, b.ID) })
	return s.repeat(ctx, sqlstore.PlanFinish(owner, results))
}

// RenewMail moves the end of leases.
func (s *Store) RenewMail(ctx context.Context, owner string, now time.Time, lease time.Duration, ids []string) error {
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return err
	}
	ids = slices.Sorted(slices.Values(ids))
	if err := s.repeat(ctx, sqlstore.PlanRenew(owner, now.Add(skew), lease, ids)); err != nil {
		return err
	}
	if lease <= 0 {
		s.tell() // somebody else may take them
	}
	return nil
}

// NextMailDue returns when the next item falls due, by the caller's clock.
func (s *Store) NextMailDue(ctx context.Context) (time.Time, bool, error) {
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return time.Time{}, false, err
	}
	due, ok, err := s.Reader.NextMailDue(ctx)
	return shift(due, -skew), ok, err
}
