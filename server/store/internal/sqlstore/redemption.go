package sqlstore

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"invited/server/directory"
	"invited/server/invite"
)

// keepTries is how long tries are kept: longer than any window.
const keepTries = 24 * time.Hour

// Blocked returns when the holder of an address asked not to be invited again.
func (r *Reader) Blocked(ctx context.Context, t directory.TenantID, key string) (time.Time, error) {
	return one(ctx, r, r.q.block, blockParams{Tenant: string(t), AddressKey: key}, func(row Block) (time.Time, error) {
		return moment(row.CreatedAt), nil
	})
}

// RecentTries returns the tries of every bucket that had one after a moment.
func (r *Reader) RecentTries(ctx context.Context, t directory.TenantID, since time.Time) (map[string][]time.Time, error) {
	rows, err := r.q.recentThrottles(ctx, recentThrottlesParams{Tenant: string(t), Since: micros(since), MaxRows: maxPage})
	if err != nil {
		return nil, r.fail(err)
	}
	out := make(map[string][]time.Time, len(rows))
	for _, row := range rows {
		m, err := parseMarks(row.Marks)
		if err != nil {
			return nil, err
		}
		for _, us := range m {
			out[row.Bucket] = append(out[row.Bucket], moment(us))
		}
	}
	return out, nil
}

func addBlock(t directory.TenantID, b invite.Block) step {
	row := insertBlockParams{Tenant: string(t), AddressKey: b.Key, InvitationID: string(b.Invitation), CreatedAt: micros(b.At)}
	return func(ctx context.Context, q *Queries) error { return q.insertBlock(ctx, row) }
}

func dropBlock(t directory.TenantID, key string) step {
	return func(ctx context.Context, q *Queries) error {
		return q.deleteBlock(ctx, deleteBlockParams{Tenant: string(t), AddressKey: key})
	}
}

// putPasscode stores a code in the place of the one its session asked for
// before.
func putPasscode(t directory.TenantID, c invite.Passcode) step {
	row := upsertPasscodeParams{
		Tenant: string(t), Session: c.Session, Purpose: string(c.Purpose), InvitationID: string(c.Invitation), Mac: c.MAC, ExpiresAt: micros(c.Expires),
	}
	return func(ctx context.Context, q *Queries) error { return q.upsertPasscode(ctx, row) }
}

// PlanTryPasscode plans one try of a code. out is set when the plan has run; a
// plan that runs again sets it again.
func PlanTryPasscode(t directory.TenantID, try invite.PasscodeTry, out *invite.PasscodeOutcome) *Plan {
	p := &Plan{}
	p.add(func(ctx context.Context, q *Queries) error {
		*out = invite.PasscodeOutcome{}
		m, wait, err := readMarks(ctx, q, t, try.Throttle)
		if err != nil || wait > 0 {
			out.Wait = wait
			return err
		}
		row, err := q.passcode(ctx, passcodeParams{Tenant: string(t), Session: try.Session})
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		alive := err == nil && row.Purpose == string(try.Purpose) && row.UsedAt == 0 && row.Tries < int64(try.MaxTries) && micros(try.Now) < row.ExpiresAt
		if alive {
			mark := updatePasscodeParams{Tenant: row.Tenant, Session: row.Session, Tries: row.Tries + 1}
			out.Right = subtle.ConstantTimeCompare([]byte(row.Mac), []byte(try.MAC)) == 1
			if out.Right {
				mark.UsedAt = micros(try.Now)
			} else {
				out.Left = try.MaxTries - int(mark.Tries)
			}
			if err := q.updatePasscode(ctx, mark); err != nil || out.Right {
				return err
			}
		}
		return m.add(ctx, q, try.Now)
	})
	p.add(dropOld(t, try.Now))
	return p
}

// PlanThrottle plans one more try of a bucket. wait is set when the plan has
// run.
func PlanThrottle(t directory.TenantID, th invite.Throttle, wait *time.Duration) *Plan {
	p := &Plan{}
	p.add(func(ctx context.Context, q *Queries) error {
		m, w, err := readMarks(ctx, q, t, th)
		if *wait = w; err != nil || w > 0 {
			return err
		}
		return m.add(ctx, q, th.Now)
	})
	p.add(dropOld(t, th.Now))
	return p
}

// PlanAddTries plans to count tries that were counted elsewhere.
func PlanAddTries(t directory.TenantID, bucket string, at []time.Time) *Plan {
	p := &Plan{}
	if len(at) == 0 {
		return p
	}
	now := at[len(at)-1]
	p.add(func(ctx context.Context, q *Queries) error {
		m, _, err := readMarks(ctx, q, t, invite.Throttle{Bucket: bucket, Limit: maxMarks, Window: keepTries, Now: now})
		if err != nil {
			return err
		}
		return m.add(ctx, q, at...)
	})
	p.add(dropOld(t, now))
	return p
}

// maxMarks bounds a row: more tries than any limit names are not told apart.
const maxMarks = 4096

// marks are the tries of one bucket that lie in its window.
type marks struct {
	tenant, bucket string
	at             []int64 // microseconds, oldest first
}

// readMarks reads a bucket, which is there afterwards: so two transactions
// that count in it at once conflict, and one of them goes second.
func readMarks(ctx context.Context, q *Queries, t directory.TenantID, th invite.Throttle) (marks, time.Duration, error) {
	m := marks{tenant: string(t), bucket: th.Bucket}
	now := micros(th.Now)
	if err := q.insertThrottle(ctx, insertThrottleParams{Tenant: m.tenant, Bucket: m.bucket, LastAt: now}); err != nil {
		return m, 0, err
	}
	text, err := q.throttle(ctx, throttleParams{Tenant: m.tenant, Bucket: m.bucket})
	if err != nil {
		return m, 0, err
	}
	all, err := parseMarks(text)
	if err != nil {
		return m, 0, err
	}
	since := micros(th.Now.Add(-th.Window))
	for _, us := range all {
		if us > since && us <= now { // a clock that was set back forgets
			m.at = append(m.at, us)
		}
	}
	if len(m.at) < th.Limit {
		return m, 0, nil
	}
	free := moment(m.at[len(m.at)-th.Limit]).Add(th.Window)
	return m, max(free.Sub(th.Now), time.Millisecond), nil
}

// add stores the marks with more.
func (m marks) add(ctx context.Context, q *Queries, at ...time.Time) error {
	for _, a := range at {
		m.at = append(m.at, micros(a))
	}
	if n := len(m.at) - maxMarks; n > 0 {
		m.at = m.at[n:]
	}
	text, err := json.Marshal(m.at)
	if err != nil {
		return err
	}
	return q.updateThrottle(ctx, updateThrottleParams{Tenant: m.tenant, Bucket: m.bucket, Marks: string(text), LastAt: m.at[len(m.at)-1]})
}

func parseMarks(text string) (at []int64, err error) {
	return at, parse("throttles.marks", text, &at)
}

// dropOld forgets tries and codes that count no more.
func dropOld(t directory.TenantID, now time.Time) step {
	before := micros(now.Add(-keepTries))
	return func(ctx context.Context, q *Queries) error {
		if err := q.deleteThrottles(ctx, deleteThrottlesParams{Tenant: string(t), Before: before}); err != nil {
			return err
		}
		return q.deletePasscodes(ctx, deletePasscodesParams{Tenant: string(t), Before: before})
	}
}
