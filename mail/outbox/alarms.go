package outbox

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"invited/mail"
)

// Alarm is a relay that refuses us, not a mail: somebody has to put our
// settings right. Mail waits meanwhile.
type Alarm struct {
	Relay string    // host:port
	Since time.Time // of the first refusal
	Count int       // refusals since
	Last  mail.Attempt
}

// Alarms is the board on which alarms stand until the relay takes a mail. The
// zero value is ready; it is safe for concurrent use.
type Alarms struct {
	mu  sync.Mutex
	all map[string]Alarm
}

// Raise notes a refusal.
func (b *Alarms) Raise(a mail.Attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[string]Alarm{}
	}
	alarm := b.all[a.Relay]
	if alarm.Count == 0 {
		alarm.Relay, alarm.Since = a.Relay, a.At
	}
	alarm.Count++
	alarm.Last = a
	b.all[a.Relay] = alarm
}

// Clear takes down the alarm of a relay.
func (b *Alarms) Clear(relay string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, relay)
}

// List returns the alarms, by relay.
func (b *Alarms) List() []Alarm {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Alarm, 0, len(b.all))
	for _, a := range b.all {
		out = append(out, a)
	}
	slices.SortFunc(out, func(x, y Alarm) int { return cmp.Compare(x.Relay, y.Relay) })
	return out
}
