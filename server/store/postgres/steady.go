package postgres

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"invited/server/store/internal/sqlstore"
)

// steady reads, and reads again on another connection if one breaks: so a
// server that restarts makes readers wait and not fail.
type steady struct {
	db       *sql.DB
	patience time.Duration
}

var _ sqlstore.DBTX = (*steady)(nil)

// QueryContext runs a query. An error in the middle of the rows is not hidden.
func (s *steady) QueryContext(ctx context.Context, text string, args ...any) (rows *sql.Rows, err error) {
	args = storable(args)
	s.try(ctx, func() error {
		rows, err = s.db.QueryContext(ctx, text, args...) //nolint:rowserrcheck // the caller reads the rows
		return err
	})
	return rows, err
}

// QueryRowContext runs a query for one row.
func (s *steady) QueryRowContext(ctx context.Context, text string, args ...any) (row *sql.Row) {
	args = storable(args)
	s.try(ctx, func() error {
		row = s.db.QueryRowContext(ctx, text, args...)
		return row.Err()
	})
	return row
}

// ExecContext executes a statement, once.
func (s *steady) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	return s.db.ExecContext(ctx, text, storable(args)...)
}

// PrepareContext prepares a statement. The driver remembers statements itself.
func (s *steady) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	return s.db.PrepareContext(ctx, text)
}

// try calls f until it gets through to a server, or patience or ctx ends.
func (s *steady) try(ctx context.Context, f func() error) {
	end := time.Now().Add(s.patience)
	for n := 0; ; n++ {
		err := f()
		if err == nil || !lost(err) || ctx.Err() != nil || time.Now().After(end) {
			return
		}
		pause(ctx, n)
	}
}

// pause waits before attempt n+1: 5 ms at first, then longer, up to 320 ms,
// and never as long as whoever failed beside us.
func pause(ctx context.Context, n int) {
	d := 5 * time.Millisecond << min(n, 6)
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// storable returns args as the server accepts them: its texts are valid UTF-8
// without NUL. Whatever is not is spelled with U+FFFD, so it is stored, and
// looked for, in one form.
func storable(args []any) []any {
	for i, a := range args {
		s, ok := a.(string)
		if ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
	return args
}
