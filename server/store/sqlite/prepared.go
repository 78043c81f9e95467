package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"invited/server/store/internal/sqlstore"
)

// The driver compiles the text of every statement it is handed, which costs
// more than most of our statements take to run; a *sql.Stmt is compiled once
// and reset. So both kinds of connection remember the statements they met: the
// texts are constants, there are about a hundred.

// preparedConn is a connection used by one goroutine.
type preparedConn struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

var _ sqlstore.DBTX = (*preparedConn)(nil)

// PrepareContext returns the compiled statement, which the connection owns.
func (c *preparedConn) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := c.stmts[text]; ok {
		return s, nil
	}
	s, err := c.conn.PrepareContext(ctx, text)
	if err == nil {
		c.stmts[text] = s
	}
	return s, err
}

// ExecContext executes a statement.
func (c *preparedConn) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	s, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext runs a query.
func (c *preparedConn) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext runs a query for one row.
func (c *preparedConn) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	s, err := c.PrepareContext(ctx, text)
	if err != nil {
		return c.conn.QueryRowContext(ctx, text, args...) // a row that holds the error
	}
	return s.QueryRowContext(ctx, args...)
}

// Close releases the connection with its statements.
func (c *preparedConn) Close() error {
	for _, s := range c.stmts {
		_ = s.Close()
	}
	return c.conn.Close()
}

// preparedPool is a pool of connections. Each compiles a statement when it
// first runs it.
type preparedPool struct {
	db    *sql.DB
	stmts sync.Map // text → *sql.Stmt
}

var _ sqlstore.DBTX = (*preparedPool)(nil)

// PrepareContext returns the statement, which the pool owns.
func (p *preparedPool) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := p.stmts.Load(text); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if first, ok := p.stmts.LoadOrStore(text, s); ok {
		_ = s.Close()
		return first.(*sql.Stmt), nil
	}
	return s, nil
}

// ExecContext executes a statement.
func (p *preparedPool) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	s, err := p.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext runs a query.
func (p *preparedPool) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := p.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext runs a query for one row.
func (p *preparedPool) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	s, err := p.PrepareContext(ctx, text)
	if err != nil {
		return p.db.QueryRowContext(ctx, text, args...) // a row that holds the error
	}
	return s.QueryRowContext(ctx, args...)
}
