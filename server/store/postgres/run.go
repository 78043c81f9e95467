package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"invited/server/directory"
	"invited/server/store/internal/sqlstore"
)

// run executes a plan in a transaction, again if another transaction or the
// loss of a connection stopped it. If ctx ends before a transaction has begun,
// it never begins; once begun, it is carried through.
func (s *Store) run(ctx context.Context, p *sqlstore.Plan) error {
	if err := p.Err(); err != nil {
		return err
	}
	end := time.Now().Add(s.opts.patience)
	for n := 0; ; n++ {
		err := s.once(ctx, end, p)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return err
		case !conflict(err) && !lost(err):
			return translate(err)
		case time.Now().After(end):
			return fmt.Errorf("%w: %w", directory.ErrBusy, err)
		}
		pause(ctx, n)
	}
}

// once executes a plan in one transaction. An error means that nothing was
// stored, but for errUnknown.
func (s *Store) once(ctx context.Context, end time.Time, p *sqlstore.Plan) error {
	waiting, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	conn, err := s.db.Conn(waiting)
	if err != nil {
		if ctx.Err() == nil && waiting.Err() != nil {
			return fmt.Errorf("%w: no connection was free: %w", directory.ErrBusy, err)
		}
		return err
	}
	defer conn.Close()

	running, done := context.WithTimeout(context.WithoutCancel(ctx), 2*s.opts.patience) // the server's own timeouts come first
	defer done()
	t := begin(running, conn)
	err = p.Run(running, t)
	if t.err != nil {
		err = t.err // what came after it is only its echo
	}
	if err == nil {
		err = t.finish(s.xids)
	}
	if err != nil {
		t.rollback()
		return err
	}
	if err = t.commit(); err == nil || code(err) != "" && !lost(err) || errors.Is(err, errNotCommitted) {
		if err != nil {
			t.rollback()
		}
		return err
	}
	if s.xids && t.xid == "" {
		return nil // there was nothing to store
	}
	_ = conn.Close() // it is broken, and we need one
	return s.outcome(running, t.xid, err)
}

// errUnknown says that a change may or may not have been stored.
var errUnknown = errors.New("postgres: the connection broke during a commit, and what became of it cannot be learned")

// outcome asks what became of a transaction whose commit got no answer. It
// returns cause, which is a reason to try again, if nothing was stored.
func (s *Store) outcome(ctx context.Context, xid string, cause error) error {
	if !s.xids {
		return fmt.Errorf("%w: %w", errUnknown, cause)
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*s.opts.patience)
	defer cancel()
	db := &steady{db: s.db, patience: 2 * s.opts.patience}
	for n := 0; asking.Err() == nil; n++ {
		var status string
		err := db.QueryRowContext(asking, "select coalesce(pg_xact_status($1::text::xid8), '')", xid).Scan(&status)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w, after %w", errUnknown, err, cause)
		case status == "committed":
			return nil
		case status == "aborted":
			return cause
		case status == "":
			return fmt.Errorf("%w: %w", errUnknown, cause)
		}
		pause(asking, n) // the server has not noticed yet that we are gone
	}
	return fmt.Errorf("%w: %w", errUnknown, cause)
}
