package postgres

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"invited/server/store/internal/sqlstore"
)

// tx is one transaction. It sends nothing before somebody needs an answer, and
// then everything at once: an invitation is eleven statements and one
// round trip. It is used by one goroutine.
type tx struct {
	ctx   context.Context // of the transaction; here because a result must be able to flush
	conn  *sql.Conn
	batch *pgx.Batch
	err   error // the first failure; nothing is sent after it
}

var _ sqlstore.DBTX = (*tx)(nil)

// begin begins a transaction, on paper.
func begin(ctx context.Context, conn *sql.Conn) *tx {
	t := &tx{ctx: ctx, conn: conn, batch: &pgx.Batch{}}
	t.batch.Queue("begin isolation level repeatable read")
	return t
}

// ExecContext takes a statement on. Whether it failed is known when its result
// is asked for, or at the end.
func (t *tx) ExecContext(_ context.Context, text string, args ...any) (sql.Result, error) {
	if t.err != nil {
		return nil, t.err
	}
	r := &result{tx: t}
	t.batch.Queue(text, storable(args)...).Exec(func(tag pgconn.CommandTag) error {
		r.rows = tag.RowsAffected()
		return nil
	})
	return r, nil
}

// QueryContext runs a query after what was taken on.
func (t *tx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := t.flush(); err != nil {
		return nil, err
	}
	return t.conn.QueryContext(ctx, text, storable(args)...)
}

// QueryRowContext runs a query for one row after what was taken on. If that
// failed the server refuses the query; the reason is in t.err.
func (t *tx) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	_ = t.flush()
	return t.conn.QueryRowContext(ctx, text, storable(args)...)
}

// PrepareContext prepares a statement.
func (t *tx) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	return t.conn.PrepareContext(ctx, text)
}

// flush sends what was taken on and waits for the answers.
func (t *tx) flush() error {
	if t.err != nil || t.batch.Len() == 0 {
		return t.err
	}
	batch := t.batch
	t.batch = &pgx.Batch{}
	t.err = t.raw(func(c *pgx.Conn) error { return c.SendBatch(t.ctx, batch).Close() })
	return t.err
}

// raw calls f with the driver's connection.
func (t *tx) raw(f func(c *pgx.Conn) error) error {
	return t.conn.Raw(func(c any) error { return f(c.(*stdlib.Conn).Conn()) })
}

// commit sends the rest and commits, all at once: the server skips the commit
// if anything before it fails.
func (t *tx) commit() error {
	if t.err == nil {
		t.batch.Queue("commit").Exec(func(tag pgconn.CommandTag) error {
			if tag.String() != "COMMIT" {
				return errNotCommitted
			}
			return nil
		})
	}
	return t.flush()
}

var errNotCommitted = errors.New("postgres: the server rolled the transaction back")

// rollback ends a transaction that failed. A connection that cannot even do
// that is not used again: the pool looks at its state.
func (t *tx) rollback() {
	_ = t.raw(func(c *pgx.Conn) error {
		if c.IsClosed() || c.PgConn().TxStatus() == 'I' {
			return nil
		}
		_, err := c.Exec(t.ctx, "rollback")
		return err
	})
}

// result is what a statement will have done.
type result struct {
	tx   *tx
	rows int64
}

// RowsAffected returns how many rows the statement changed.
func (r *result) RowsAffected() (int64, error) {
	err := r.tx.flush()
	return r.rows, err
}

// LastInsertId is not known to PostgreSQL.
func (r *result) LastInsertId() (int64, error) {
	return 0, errors.New("postgres: there are no row numbers")
}
