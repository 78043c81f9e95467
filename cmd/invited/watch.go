package main

import (
	"context"
	"log/slog"
	"time"

	"invited/mail/outbox"
	"invited/mail/sink/smtpd"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/metrics"
	"invited/server/problem"
	"invited/server/store"
	"invited/server/web"
)

// watch holds what is measured. It stands around parts that know nothing of it.
type watch struct {
	registry    metrics.Registry
	errors      metrics.Errors
	requests    *metrics.Requests
	events      *metrics.Counter
	redemptions *metrics.Counter
	commits     *metrics.Histogram
	batches     *metrics.Histogram
}

func newWatch() *watch {
	w := &watch{}
	r := &w.registry
	w.requests = metrics.NewRequests(r)
	w.events = r.Counter("invited_events_total", "State changes of the directory and of invitations, as in the audit log.", "activity", "result")
	w.redemptions = r.Counter("invited_redemptions_total", "Invitations accepted (complete) or declined, and links refused, by reason of the guide.", "reason")
	w.commits = r.Histogram("invited_store_commit_seconds", "Time of one commit of the SQLite writer, from its first change to its end.",
		[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10})
	w.batches = r.Histogram("invited_store_commit_changes", "Changes that shared one commit of the SQLite writer.", []float64{1, 2, 4, 8, 16, 32, 64, 128, 256})
	return w
}

// logger returns a logger whose warnings and errors are kept for the page.
func (w *watch) logger(log *slog.Logger) *slog.Logger {
	return slog.New(w.errors.Handler(log.Handler()))
}

// committed notes a commit.
func (w *watch) committed(changes int, took time.Duration) {
	w.commits.Observe(took.Seconds())
	w.batches.Observe(float64(changes))
}

// watchedStore counts and logs the changes of state that were stored, with the
// request and the invitation they belong to.
type watchedStore struct {
	store.Store
	log   *slog.Logger
	watch *watch
}

// ApplyDirectory applies a change and tells of it.
func (s watchedStore) ApplyDirectory(ctx context.Context, c directory.Change) error {
	err := s.Store.ApplyDirectory(ctx, c)
	if err == nil {
		s.tell(ctx, c.Audit)
	}
	return err
}

// ApplyInvitation applies a change and tells of it.
func (s watchedStore) ApplyInvitation(ctx context.Context, c invite.Change) error {
	err := s.Store.ApplyInvitation(ctx, c)
	if err == nil {
		s.tell(ctx, c.Audit)
	}
	return err
}

// RedriveMail queues a mail again and tells of it.
func (s watchedStore) RedriveMail(ctx context.Context, t directory.TenantID, m invite.Redriven) error {
	err := s.Store.RedriveMail(ctx, t, m)
	if err == nil {
		s.tell(ctx, []audit.Event{m.Audit})
	}
	return err
}

// tell passes on ids, which are nobody's address.
func (s watchedStore) tell(ctx context.Context, events []audit.Event) {
	for _, e := range events {
		s.watch.events.Add(1, string(e.Activity), string(e.Result))
		switch e.Activity {
		case audit.RedeemInvite:
			if e.Result == audit.Success {
				s.watch.redemptions.Add(1, string(problem.Complete))
			}
		case audit.DeclineInvite:
			s.watch.redemptions.Add(1, string(problem.Declined))
		}
		id := web.RequestID(ctx)
		if id == "" {
			id = e.Correlation
		}
		s.log.LogAttrs(ctx, slog.LevelInfo, "state changed",
			slog.String("id", id), slog.String("ref", e.Invitation), slog.String("op", string(e.Activity)), slog.String("kind", string(e.Result)),
			slog.String("reason", e.Reason), slog.String("tenant", e.Tenant), slog.String("actor", e.Actor), slog.String("target", e.Target))
	}
}

// watchedInvites counts links that were refused.
type watchedInvites struct {
	*invite.Service
	watch *watch
}

func (w watchedInvites) refused(err error) {
	if err != nil {
		reason := problem.Of(err).Reason
		if reason == problem.NoReason {
			reason = "internal"
		}
		w.watch.redemptions.Add(1, string(reason))
	}
}

// Open verifies a link.
func (w watchedInvites) Open(ctx context.Context, t directory.TenantID, user, ticket string) (invite.Redemption, error) {
	r, err := w.Service.Open(ctx, t, user, ticket)
	w.refused(err)
	return r, err
}

// Accept records consent.
func (w watchedInvites) Accept(ctx context.Context, c invite.Claims, m directory.Method) (invite.Redemption, error) {
	r, err := w.Service.Accept(ctx, c, m)
	w.refused(err)
	return r, err
}

// TryCode checks a mailed code.
func (w watchedInvites) TryCode(ctx context.Context, c invite.Claims, session, code, from string) (invite.Redemption, error) {
	r, err := w.Service.TryCode(ctx, c, session, code, from)
	w.refused(err)
	return r, err
}

// maxDepth is how much open mail is counted for metrics; a read of the index
// of so many takes some milliseconds.
const maxDepth = 10_000

// watchQueue adds the queue: what is open by state, and its age.
func (w *watch) watchQueue(q outbox.Meter, now func() time.Time) {
	depths := func() []outbox.Depth {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		d, err := q.QueueDepth(ctx, maxDepth)
		if err != nil {
			return nil
		}
		return d
	}
	r := &w.registry
	r.Func(metrics.GaugeKind, "invited_queue_messages", "Mail queued, deferred and being sent. Counting ends at 10,000.", []string{"state"}, func(emit func(float64, ...string)) {
		for _, d := range depths() {
			emit(float64(d.Messages), string(d.State))
		}
	})
	r.Func(metrics.GaugeKind, "invited_queue_oldest_seconds", "Age of the oldest mail of each state, among those counted.", []string{"state"}, func(emit func(float64, ...string)) {
		for _, d := range depths() {
			emit(max(now().Sub(d.Oldest).Seconds(), 0), string(d.State))
		}
	})
}

// watchMail adds what became of attempts.
func (w *watch) watchMail(worker *outbox.Worker, alarms *outbox.Alarms) {
	r := &w.registry
	r.Func(metrics.CounterKind, "invited_mail_attempts_total", "Attempts to deliver that are recorded, by outcome.", []string{"outcome"}, func(emit func(float64, ...string)) {
		s := worker.Stats()
		emit(float64(s.Delivered), "delivered")
		emit(float64(s.Deferred), "deferred")
		emit(float64(s.Failed-s.GivenUp-s.Quarantined), "refused")
		emit(float64(s.GivenUp), "given_up")
		emit(float64(s.Quarantined), "quarantined")
	})
	for _, m := range []struct {
		kind       metrics.Kind
		name, help string
		value      func(outbox.Stats) int64
	}{
		{metrics.CounterKind, "invited_mail_ambiguous_total", "Attempts after which the relay may have had the mail all the same.", func(s outbox.Stats) int64 { return s.Ambiguous }},
		{metrics.CounterKind, "invited_mail_postponed_total", "Mails put off because their domain was busy.", func(s outbox.Stats) int64 { return s.Postponed }},
		{metrics.CounterKind, "invited_mail_leases_lost_total", "Mails not begun because their lease was running out.", func(s outbox.Stats) int64 { return s.LeasesLost }},
		{metrics.CounterKind, "invited_mail_results_lost_total", "Results of attempts that could not be recorded.", func(s outbox.Stats) int64 { return s.Lost }},
		{metrics.CounterKind, "invited_mail_store_errors_total", "Failures of the storage that the sender met.", func(s outbox.Stats) int64 { return s.StoreErrors }},
		{metrics.GaugeKind, "invited_mail_sending", "Mails on their way to a relay now.", func(s outbox.Stats) int64 { return int64(s.Sending) }},
	} {
		r.Value(m.kind, m.name, m.help, func() float64 { return float64(m.value(worker.Stats())) })
	}
	r.Value(metrics.GaugeKind, "invited_mail_alarms", "Relays that refuse our credentials.", func() float64 { return float64(len(alarms.List())) })
}

// watchSink adds what the sink's SMTP listeners took.
func (w *watch) watchSink(s *smtpd.Server) {
	r := &w.registry
	r.Func(metrics.CounterKind, "invited_captures_total", "Messages at the sink's SMTP listeners, by outcome.", []string{"outcome"}, func(emit func(float64, ...string)) {
		accepted, _, rejected, ignored := s.Counts()
		emit(float64(accepted), "accepted")
		emit(float64(rejected), "rejected")
		emit(float64(ignored), "ignored")
	})
	r.Value(metrics.CounterKind, "invited_captured_bytes_total", "Bytes of messages the sink accepted.", func() float64 {
		_, bytes, _, _ := s.Counts()
		return float64(bytes)
	})
}
