package outbox

import (
	"strings"
	"time"

	"invited/mail"
)

// verdict is a result and why it is what it is.
type verdict struct {
	Result
	ref     string // of the item, for the log
	alarm   bool   // the relay refused us, not the message
	gaveUp  bool
	malform bool
}

// judge decides what becomes of an item after an attempt that ended at now.
//
//	2xx to the end of the message       delivered
//	5xx                                 failed
//	530, 535, AUTH refused              deferred, alarm: our settings are wrong
//	TLS refused                         deferred: it is not about the mail
//	4xx, no reply, no connection        deferred
//	the same, GiveUp or more after Queued   failed
func (w *Worker) judge(item Item, a mail.Attempt, now time.Time) verdict {
	a.Number, a.At = item.Attempt, now
	a.Text = storable(a.Text)
	v := verdict{ref: item.Ref, Result: Result{ID: item.ID, Attempt: a}}
	switch {
	case a.OK():
		v.State = mail.Delivered
		return v
	case ours(a):
		v.alarm = true
		v.Attempt.Permanent = false
	case a.Permanent || a.Code/100 == 5 && a.Stage != mail.StageTLS:
		v.State = mail.Failed
		return v
	}
	end := item.Queued.Add(w.opts.GiveUp)
	if !item.Queued.IsZero() && !now.Before(end) {
		v.State, v.gaveUp = mail.Failed, true
		return v
	}
	v.State, v.Next = mail.Deferred, now.Add(w.wait(item.Attempt))
	if !item.Queued.IsZero() && v.Next.After(end) {
		v.Next = end // the last try
	}
	return v
}

// ours reports whether a refusal is about our credentials.
func ours(a mail.Attempt) bool {
	return a.Code == 530 || a.Code == 535 || a.Stage == mail.StageAuth && a.Code/100 == 5
}

// wait returns how long to wait after the nth failed attempt. It looks at the
// number of the attempt alone, so that no jump of the clock can stretch it.
func (w *Worker) wait(n int) time.Duration {
	s := w.opts.Schedule
	d := s[min(max(n, 1), len(s))-1]
	return time.Duration(float64(d) * (0.9 + 0.2*w.opts.Random()))
}

// malformed says what is wrong with an item that no attempt can help; empty if
// nothing is.
func malformed(item Item) string {
	switch {
	case item.Message.To.IsZero():
		return "the queued mail has no recipient"
	case len(item.Message.Raw) == 0:
		return "the queued mail is empty"
	default:
		return ""
	}
}

// quarantine is the verdict on an item that is not to be touched again until
// somebody has looked at it.
func quarantine(item Item, why string, now time.Time) verdict {
	return verdict{ref: item.Ref, malform: true, Result: Result{
		ID: item.ID, State: mail.Failed,
		Attempt: mail.Attempt{Number: item.Attempt, At: now, Permanent: true, Text: "quarantined: " + storable(why)},
	}}
}

// storable makes text fit for any database: valid UTF-8 without NUL, a KiB at
// most.
func storable(s string) string {
	if len(s) > 1<<10 {
		s = s[:1<<10]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", " ")
}
