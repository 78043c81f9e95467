package outbox

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"
)

// Postponed is a leased item that was not begun.
type Postponed struct {
	ID    string
	Until time.Time // not before then
}

// Postponer is a [Store] that can put off what was leased and not begun. A
// [Worker] with limits for domains needs one.
type Postponer interface {
	// PostponeMail ends the leases that owner still holds. The items fall
	// due as they say, as if they had never been leased.
	PostponeMail(ctx context.Context, owner string, items []Postponed) error
}

// lanes keeps a recipient's domain from taking all of the worker, and the worker
// from overrunning a domain. Its times are those of the monotonic clock.
type lanes struct {
	most int           // mails under way to one domain at once; 0: no limit
	gap  time.Duration // between the beginnings of two; 0: none
	ease time.Duration // how far ahead of the gaps a burst may run

	mu  sync.Mutex
	all map[string]*lane
}

// lane is the traffic to one domain.
type lane struct {
	underway int
	next     time.Time     // when the next mail may begin, by the rate
	line     time.Time     // when the last of those put off is to come back
	takes    time.Duration // what a mail takes, roughly
}

// longestLine bounds how long an item is put off, because what the end of the
// line is guessed from may change.
const longestLine = 15 * time.Minute

// newLanes returns lanes for most mails at once and rate mails a second to one
// domain; nil if neither is limited.
func newLanes(most int, rate float64) *lanes {
	if most == 0 && rate == 0 {
		return nil
	}
	l := &lanes{most: most, all: map[string]*lane{}}
	if rate > 0 {
		l.gap = time.Duration(float64(time.Second) / rate)
		l.ease = time.Duration(math.Ceil(rate)-1) * l.gap
	}
	return l
}

// enter begins a mail to a domain at now, which has to leave again, or says how
// long it is to be put off: as long as those put off before it will take.
func (l *lanes) enter(domain string, now time.Time) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.all[domain]
	if d == nil {
		l.sweep(now)
		d = &lane{next: now, line: now}
		l.all[domain] = d
	}
	next := later(d.next, now)
	if (l.most == 0 || d.underway < l.most) && next.Sub(now) <= l.ease {
		d.underway++
		d.next = next.Add(l.gap)
		return 0, true
	}
	step := max(l.gap, 10*time.Millisecond)
	if l.most > 0 {
		step = max(step, d.takes/time.Duration(l.most))
	}
	d.line = later(d.line, now).Add(step)
	if limit := now.Add(longestLine); d.line.After(limit) {
		d.line = limit
	}
	return d.line.Sub(now), false
}

// leave ends a mail that entered at begun.
func (l *lanes) leave(domain string, begun, now time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.all[domain]
	d.underway--
	d.takes += (now.Sub(begun) - d.takes) / 4
}

// sweep forgets domains that nothing goes to any more, once there are many.
func (l *lanes) sweep(now time.Time) {
	if len(l.all) < 1<<12 {
		return
	}
	for name, d := range l.all {
		if d.underway == 0 && !d.next.After(now) && !d.line.After(now) {
			delete(l.all, name)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// postpone puts off items until the channel is closed, those that arrive
// together in one transaction. If that fails their leases run out.
func (w *Worker) postpone(ctx context.Context, items <-chan Postponed) {
	for first := range items {
		group := []Postponed{first}
		t := time.NewTimer(w.opts.Linger)
	gather:
		for len(group) < maxRecord {
			select {
			case p, ok := <-items:
				if !ok {
					break gather
				}
				group = append(group, p)
			case <-t.C:
				break gather
			}
		}
		t.Stop()
		asking, cancel := context.WithTimeout(ctx, w.opts.Lease/2)
		err := w.postponer.PostponeMail(asking, w.opts.Owner, group)
		cancel()
		if err != nil {
			w.storeFailed("putting off mail failed", err)
		} else {
			w.count.postponed.Add(int64(len(group)))
			w.opts.Log.Debug("mail put off, because its domain is busy", slog.Int("kind", len(group)))
		}
		for _, p := range group {
			w.release(p.ID)
		}
		signal(w.deferred)
	}
}
