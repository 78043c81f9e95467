// Package sqlite is the store on one SQLite file: what a laptop, a CI job and
// a single server need.
//
// Every change goes through one goroutine that gathers the changes waiting for
// it into one transaction, so that many callers share one fsync; see writer.
// Reads have connections of their own and never wait for a write. The database
// is in WAL mode with synchronous=FULL: when a method returns, its change
// survives kill -9 and loss of power.
//
// The package does not decide anything: SQL and conversions are shared with
// other engines in sqlstore, rules live above. It refuses to open a file that
// is not a database, that a newer program has written, that others may read, or
// that another process has open.
//
// Because a database has one owner, a lease found at the start is that of a
// process which is dead: Open ends it, and nobody waits for it to run out.
//
//	callers ──plan──▶ queue ──▶ writer: BEGIN · each under a SAVEPOINT · COMMIT ──▶ answers
//	callers ──read──▶ 4 read-only connections
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store"
	"invited/server/store/internal/sqlstore"
)

// Options configures a [Store]. The zero value is an ephemeral store.
type Options struct {
	// Path of the database file, created with mode 0600 if it is missing. Its
	// folder must have mode 0700, or is created so. Empty: a temporary file
	// that Close removes, and that is not synced to disk meanwhile.
	Path string
	Log  *slog.Logger     // nil: silent
	Now  func() time.Time // nil means time.Now

	// KeepBodies is how long the bytes of a mail are kept, counted from when
	// it was queued, once its delivery is final. 0 means DefaultKeepBodies.
	KeepBodies time.Duration

	// Committed is told of each commit: how many changes shared it and how
	// long it took, failed ones included. Nil: nobody is.
	Committed func(changes int, took time.Duration)

	// For tests.
	maxPages int           // a quota, in pages; 0: none
	busy     time.Duration // how long to wait for another process's lock; 0 means busyTimeout
}

// busyTimeout is how long a change waits while another process, such as a
// backup, holds the lock.
const busyTimeout = 10 * time.Second

// DefaultKeepBodies leaves time to look at a failed mail and to send it again.
const DefaultKeepBodies = 72 * time.Hour

// Store is an open database. It is safe for concurrent use.
type Store struct {
	*sqlstore.Reader

	opts  Options
	w     *writer
	write *sql.DB
	read  *sql.DB
	temp  string // folder to remove on Close
	lock  *owner // nil for a temporary database, which nobody else can find

	settings settings

	stop  context.CancelFunc // of the janitor
	tasks sync.WaitGroup
	close sync.Once
	err   error // of the first Close
}

var _ store.Store = (*Store)(nil)

// Open opens or creates the database, brings its schema up to date, and starts
// the writer.
func Open(o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.KeepBodies == 0 {
		o.KeepBodies = DefaultKeepBodies
	}
	s := &Store{opts: o}
	s.settings.changing()()
	if err := s.open(); err != nil {
		_ = s.release() // the first error says more
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.tasks.Go(func() { s.janitor(ctx) })
	return s, nil
}

func (s *Store) open() error {
	path := s.opts.Path
	if path == "" {
		dir, err := os.MkdirTemp("", "invited-store-")
		if err != nil {
			return fmt.Errorf("sqlite: no temporary folder: %w", err)
		}
		s.temp, path = dir, filepath.Join(dir, "invited.db")
	}
	if err := prepareFolder(path); err != nil {
		return err
	}
	var err error
	if s.temp == "" {
		if s.lock, err = own(path); err != nil {
			return err
		}
	}
	if err := prepareFile(path); err != nil {
		return err
	}
	if s.write, err = openWrite(path, s.temp != "", s.opts); err != nil {
		return err
	}
	if err := migrate(context.Background(), s.write, path); err != nil {
		return err
	}
	if s.read, err = openRead(path); err != nil {
		return err
	}
	s.Reader = sqlstore.NewReader(&preparedPool{db: s.read}, translate)
	if s.w, err = startWriter(s.write, s.opts.Committed); err != nil {
		return err
	}
	return s.recover(context.Background())
}

// recover puts the queue of a process that died, or had a wrong clock, back on
// its way.
func (s *Store) recover(ctx context.Context) error {
	now := s.opts.Now()
	return errors.Join(s.run(ctx, sqlstore.PlanReleaseLeases(now)), s.run(ctx, sqlstore.PlanCapDue(now)))
}

// Close finishes what was accepted and releases the database. Further changes
// are refused.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.stop()
		s.tasks.Wait()
		s.err = s.release()
	})
	return s.err
}

// release closes in the order that leaves one file: readers first, because
// the last connection to close writes the WAL back and removes it.
func (s *Store) release() error {
	var errs []error
	if s.w != nil {
		errs = append(errs, s.w.close())
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	if s.temp != "" {
		errs = append(errs, os.RemoveAll(s.temp))
	}
	return errors.Join(errs...)
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, _, err := s.NextMailDue(ctx)
	return err
}

// ApplyDirectory applies a change of the directory.
func (s *Store) ApplyDirectory(ctx context.Context, c directory.Change) error {
	if c.Policy != nil {
		defer s.settings.changing()()
	}
	return s.run(ctx, sqlstore.PlanDirectory(c))
}

// ApplyInvitation applies a change with its invitations and mail.
func (s *Store) ApplyInvitation(ctx context.Context, c invite.Change) error {
	if c.Policy != nil {
		defer s.settings.changing()()
	}
	return s.run(ctx, sqlstore.PlanInvitation(c))
}

// CreateTenant stores a tenant with its policy.
func (s *Store) CreateTenant(ctx context.Context, t directory.Tenant, p directory.Policy) error {
	defer s.settings.changing()()
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

// FinishMail records results.
func (s *Store) FinishMail(ctx context.Context, owner string, results []outbox.Result) error {
	return s.run(ctx, sqlstore.PlanFinish(owner, results))
}

// RenewMail moves the end of leases.
func (s *Store) RenewMail(ctx context.Context, owner string, now time.Time, lease time.Duration, ids []string) error {
	return s.run(ctx, sqlstore.PlanRenew(owner, now, lease, ids))
}

// ClaimMail leases due mail. The one writer is what keeps claims apart.
func (s *Store) ClaimMail(ctx context.Context, owner string, now time.Time, lease time.Duration, n int) ([]outbox.Item, error) {
	if _, ok, err := s.due(ctx, now); err != nil || !ok {
		return nil, err // nothing to lease is nothing to commit
	}
	var items []outbox.Item
	err := s.w.do(ctx, func(ctx context.Context, db sqlstore.DBTX) (err error) {
		items, err = sqlstore.Claim(ctx, db, owner, now, lease, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Load(ctx, items)
}

// due says whether anything is due.
func (s *Store) due(ctx context.Context, now time.Time) (time.Time, bool, error) {
	next, ok, err := s.NextMailDue(ctx)
	return next, ok && !next.After(now), err
}

// run executes a plan in the writer.
func (s *Store) run(ctx context.Context, p *sqlstore.Plan) error {
	if err := p.Err(); err != nil {
		return err
	}
	return s.w.do(ctx, p.Run)
}
