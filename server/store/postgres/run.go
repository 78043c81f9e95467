package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"invited/server/directory"
	"invited/server/store/internal/sqlstore"
)

// errUnknown says that a change may or may not have been stored.
var errUnknown = errors.New("postgres: the connection broke during a commit, and none came back to learn what became of it")

// run stores a change once, whatever happens on the way: each attempt writes
// the same row of applied_changes before anything else, so the attempt after
// one that got no answer waits for it, if it is still running, and fails at
// that row, if it has succeeded.
//
// If ctx ends before a transaction has begun, it never begins; once begun, it
// is carried through.
func (s *Store) run(ctx context.Context, p *sqlstore.Plan) error {
	skew, err := s.clock.skew(ctx)
	if err != nil {
		return err
	}
	return s.attempt(ctx, p, changeID(s.opts.wall().Add(skew)))
}

// repeat executes a plan that does no harm if it is executed again.
func (s *Store) repeat(ctx context.Context, p *sqlstore.Plan) error { return s.attempt(ctx, p, "") }

func (s *Store) attempt(ctx context.Context, p *sqlstore.Plan, id string) error {
	if err := p.Err(); err != nil {
		return err
	}
	end := time.Now().Add(s.opts.patience)
	unsure := false // whether an attempt has got no answer
	for n := 0; ; n++ {
		cutOff, err := s.once(ctx, end, p, id)
		if cutOff && id != "" && !unsure {
			unsure = true
			ctx, end = context.WithoutCancel(ctx), end.Add(s.opts.patience)
		}
		switch {
		case err == nil, unsure && wasApplied(err):
			return nil
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return err
		case !passing(err, unsure):
			return translate(err)
		case time.Now().Before(end):
			pause(ctx, n)
		case unsure:
			return fmt.Errorf("%w: %w", errUnknown, err)
		default:
			return fmt.Errorf("%w: %w", directory.ErrBusy, err)
		}
	}
}

// passing says whether it may help to try again. Who is unsure also waits for
// what is only busy, such as an attempt of theirs that is still running.
func passing(err error, unsure bool) bool {
	return conflict(err) || lost(err) || unsure && errors.Is(translate(err), directory.ErrBusy)
}

// once executes a plan in one transaction. If it says cutOff, the commit was
// sent and not answered; otherwise an error means that nothing was stored.
func (s *Store) once(ctx context.Context, end time.Time, p *sqlstore.Plan, id string) (cutOff bool, err error) {
	waiting, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	conn, err := s.db.Conn(waiting)
	if err != nil {
		if ctx.Err() == nil && waiting.Err() != nil {
			err = fmt.Errorf("%w: no connection was free: %w", directory.ErrBusy, err)
		}
		return false, err
	}
	defer conn.Close()

	running, done := context.WithTimeout(context.WithoutCancel(ctx), 2*s.opts.patience) // the server's own timeouts come first
	defer done()
	t := begin(running, conn)
	if id != "" {
		_, _ = t.ExecContext(running, "insert into applied_changes (id) values ($1)", id) // fails at the flush
	}
	err = p.Run(running, t)
	if t.err != nil {
		err = t.err // what came after it is only its echo
	}
	if err == nil {
		if err = t.commit(); err == nil {
			return false, nil
		}
		cutOff = lost(err)
	}
	t.rollback()
	return cutOff, err
}

// wasApplied says that an attempt failed because one before it had succeeded.
func wasApplied(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == uniqueViolation && e.ConstraintName == "applied_changes_pkey"
}

// changeID returns a new UUIDv7 of a moment.
func changeID(at time.Time) string {
	id := firstID(at)
	_, _ = rand.Read(id[6:]) // never fails (crypto/rand since Go 1.24)
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// firstID sorts before every id of a moment.
func firstID(at time.Time) uuid.UUID {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli())<<16)
	var id uuid.UUID
	copy(id[:6], ms[:6])
	return id
}
