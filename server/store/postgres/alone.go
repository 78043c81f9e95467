package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// aloneKey is what the nodes agree to lock.
const aloneKey = 0x696e7669746564 // "invited"

// Alone calls f while no other node on the same database is in Alone: for what
// one of several nodes that start together has to do first.
func (s *Store) Alone(ctx context.Context, f func() error) error {
	conn, err := pgx.ConnectConfig(ctx, s.config) // without a timeout: others may take long
	if err != nil {
		return fmt.Errorf("postgres: %w", translate(err))
	}
	defer func() { // the lock goes with the connection
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(aloneKey)); err != nil {
		return fmt.Errorf("postgres: %w", translate(err))
	}
	return f()
}
