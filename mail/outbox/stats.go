package outbox

import (
	"log/slog"
	"sync/atomic"

	"invited/mail"
)

// Stats counts what a worker did since it was made. An attempt counts once its
// result is recorded.
type Stats struct {
	Claimed     int64
	Delivered   int64
	Deferred    int64
	Failed      int64 // refused for good, given up and quarantined
	GivenUp     int64
	Quarantined int64
	Ambiguous   int64 // attempts after which the relay may have had the message all the same
	Alarms      int64 // attempts at which the relay refused us
	Postponed   int64 // items not begun because their domain was busy
	LeasesLost  int64 // items not begun because their lease was running out
	Lost        int64 // results not recorded before the drain ended
	StoreErrors int64

	Held    int // items leased now
	Sending int // of these, begun and not yet recorded
}

// counters are the counted part of [Stats].
type counters struct {
	claimed, delivered, deferred, failed, gaveUp, malformed, ambiguous, alarms, postponed, leasesLost, lost, storeErrors atomic.Int64
}

// Stats returns the current counts.
func (w *Worker) Stats() Stats {
	w.mu.Lock()
	held := len(w.held)
	w.mu.Unlock()
	c := &w.count
	return Stats{
		Claimed: c.claimed.Load(), Delivered: c.delivered.Load(), Deferred: c.deferred.Load(), Failed: c.failed.Load(),
		GivenUp: c.gaveUp.Load(), Quarantined: c.malformed.Load(), Ambiguous: c.ambiguous.Load(), Alarms: c.alarms.Load(),
		Postponed: c.postponed.Load(), LeasesLost: c.leasesLost.Load(), Lost: c.lost.Load(), StoreErrors: c.storeErrors.Load(),
		Held: held, Sending: len(w.slots),
	}
}

// tell counts and logs a recorded result. Addresses and texts of mails stay out
// of the log.
func (w *Worker) tell(v verdict) {
	a := v.Attempt
	if a.Ambiguous {
		w.count.ambiguous.Add(1)
	}
	why := slog.String("reason", a.Text)
	id, number := slog.Group("", slog.String("id", v.ID), slog.String("ref", v.ref)), slog.Int("attempt", a.Number)
	switch {
	case v.State == mail.Delivered:
		w.count.delivered.Add(1)
		w.opts.Log.Info("mail delivered", id, number)
	case v.State == mail.Deferred:
		w.count.deferred.Add(1)
		w.opts.Log.Info("mail deferred", id, number, why)
	case v.malform:
		w.count.malformed.Add(1)
		w.count.failed.Add(1)
		w.opts.Log.Error("mail quarantined", id, number, why)
	case v.gaveUp:
		w.count.gaveUp.Add(1)
		w.count.failed.Add(1)
		w.opts.Log.Warn("mail given up", id, number, why)
	default:
		w.count.failed.Add(1)
		w.opts.Log.Warn("mail refused", id, number, why)
	}
}
