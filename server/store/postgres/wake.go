package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	channel = "invited_mail"
	// spread is the shortest time between two notifications of one node.
	spread = 20 * time.Millisecond
	// notifyTimeout bounds what is only a hint.
	notifyTimeout = 5 * time.Second
)

// Wakes returns a channel that delivers whenever another node has queued mail,
// or may have while this one could not hear. The first call begins to listen,
// on a connection of its own; it ends with [Store.Close].
func (s *Store) Wakes() <-chan struct{} {
	s.listening.Do(func() { s.tasks.Go(s.listener) })
	return s.wakes
}

// tell has the other nodes told that there is mail. It never blocks.
func (s *Store) tell() { signal(s.queued) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// notifier tells the other nodes, not too often.
func (s *Store) notifier() {
	tick := time.NewTicker(spread)
	defer tick.Stop()
	for {
		select {
		case <-s.queued:
		case <-s.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(s.ctx, notifyTimeout)
		_, err := s.db.ExecContext(ctx, "select pg_notify($1, $2)", channel, s.id)
		cancel()
		if unsupported(err) {
			s.opts.Log.Warn("the database has no NOTIFY; nodes find each other's mail by polling", slog.String("op", "postgres.notify"))
			return
		}
		if err != nil && s.ctx.Err() == nil {
			s.opts.Log.Warn("the other nodes were not told of mail", slog.String("op", "postgres.notify"), slog.Any("err", err))
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// listener listens until the store is closed, on one connection after another.
func (s *Store) listener() {
	for n := 0; s.ctx.Err() == nil; n++ {
		begun := time.Now()
		err := s.listen(s.ctx)
		if unsupported(err) {
			s.opts.Log.Warn("the database has no LISTEN; mail of other nodes is found by polling", slog.String("op", "postgres.listen"))
			return
		}
		if s.ctx.Err() == nil {
			s.opts.Log.Warn("listening for mail of other nodes was cut off", slog.String("op", "postgres.listen"), slog.Any("err", err))
		}
		if time.Since(begun) > patience {
			n = 0
		}
		pause(s.ctx, n)
	}
}

// listen listens on one connection until it breaks.
func (s *Store) listen(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, withTimeouts(s.config))
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
		return err
	}
	signal(s.wakes) // for what was queued while nobody listened
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if n.Payload != s.id {
			signal(s.wakes)
		}
	}
}

// unsupported says that the database is no PostgreSQL in this.
func unsupported(err error) bool {
	c := code(err)
	return c == undefinedFunction || c == featureNotSupported
}
