package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"invited/server/store/internal/sqlstore"
)

const (
	// ignored is the difference between two clocks that may as well be the way
	// through the network.
	ignored = 250 * time.Millisecond
	// trusted is how long a measurement is.
	trusted = time.Minute
)

// dbClock knows what this machine's clock is off the database's.
type dbClock struct {
	db   sqlstore.DBTX
	wall func() time.Time // this machine's clock

	mu      sync.Mutex
	taken   time.Time     // when skew was measured, with the monotonic clock
	wallWas time.Time     // what wall said then
	off     time.Duration // what has to be added to this machine's time
}

// skew returns what has to be added to a moment by this machine's clock. It
// asks the database if that was long ago, or if the clock has not run evenly
// since: it was set, or the machine slept.
func (c *dbClock) skew(ctx context.Context) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	elapsed := time.Since(c.taken)
	jump := c.wall().Round(0).Sub(c.wallWas) - elapsed
	if !c.taken.IsZero() && elapsed < trusted && jump.Abs() < ignored/2 {
		return c.off, nil
	}
	if err := c.measure(ctx); err != nil {
		return 0, err
	}
	return c.off, nil
}

// measure compares the clocks, and again if the answer took long.
func (c *dbClock) measure(ctx context.Context) error {
	best := time.Duration(-1)
	for range 3 {
		var micros int64
		before, begun := c.wall().Round(0), time.Now()
		err := c.db.QueryRowContext(ctx, "select (extract(epoch from clock_timestamp()) * 1000000)::bigint").Scan(&micros)
		if err != nil {
			return fmt.Errorf("postgres: the database does not tell the time: %w", translate(err))
		}
		took := time.Since(begun)
		if best >= 0 && took >= best {
			continue
		}
		best, c.taken, c.wallWas = took, begun, before
		c.off = time.UnixMicro(micros).Sub(before.Add(took / 2))
		if c.off.Abs() < ignored {
			c.off = 0
		}
		if took < ignored/5 {
			break
		}
	}
	return nil
}

// shift moves a moment. The zero time is no moment.
func shift(t time.Time, by time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(by)
}
