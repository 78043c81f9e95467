package outbox_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
)

// start runs a worker in the background; stop ends it and returns what Run did.
func start(t *testing.T, o outbox.Options) (w *outbox.Worker, stop func() error) {
	t.Helper()
	if o.Owner == "" {
		o.Owner = "a"
	}
	if o.Random == nil {
		o.Random = func() float64 { return 0.5 }
	}
	w, err := outbox.NewWorker(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- w.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-result
	})
	t.Cleanup(func() { _ = stop() })
	return w, stop
}

func TestSchedule(t *testing.T) {
	const m, h = time.Minute, time.Hour
	standard := []time.Duration{0, m, 6 * m, 21 * m, 51 * m, h + 51*m, 3*h + 51*m, 7*h + 51*m, 15*h + 51*m, 23*h + 51*m, 24 * h}
	tests := []struct {
		name    string
		answers []mail.Attempt // the last one repeated
		options outbox.Options
		sent    []time.Duration
		end     mail.DeliveryState
		stats   outbox.Stats
	}{
		{name: "first time lucky", answers: []mail.Attempt{taken}, sent: standard[:1], end: mail.Delivered,
			stats: outbox.Stats{Claimed: 1, Delivered: 1}},
		{name: "busy twice", answers: []mail.Attempt{busy, busy, taken}, sent: standard[:3], end: mail.Delivered,
			stats: outbox.Stats{Claimed: 3, Delivered: 1, Deferred: 2}},
		{name: "refused for good", answers: []mail.Attempt{never}, sent: standard[:1], end: mail.Failed,
			stats: outbox.Stats{Claimed: 1, Failed: 1}},
		{name: "refused for good after a while", answers: []mail.Attempt{noRelay, never}, sent: standard[:2], end: mail.Failed,
			stats: outbox.Stats{Claimed: 2, Deferred: 1, Failed: 1}},
		{name: "given up after a day", answers: []mail.Attempt{busy}, sent: standard, end: mail.Failed,
			stats: outbox.Stats{Claimed: 11, Deferred: 10, Failed: 1, GivenUp: 1}},
		{name: "no relay for a day", answers: []mail.Attempt{noRelay}, sent: standard, end: mail.Failed,
			stats: outbox.Stats{Claimed: 11, Deferred: 10, Failed: 1, GivenUp: 1}},
		{name: "lost the reply to the dot", answers: []mail.Attempt{lostDot, taken}, sent: standard[:2], end: mail.Delivered,
			stats: outbox.Stats{Claimed: 2, Deferred: 1, Delivered: 1, Ambiguous: 1}},
		{name: "our password is wrong, then mended", answers: []mail.Attempt{badLogin, needAuth, authOff, taken}, sent: standard[:4], end: mail.Delivered,
			stats: outbox.Stats{Claimed: 4, Deferred: 3, Delivered: 1, Alarms: 3}},
		{name: "watched", answers: []mail.Attempt{busy, busy, busy, busy, taken}, options: outbox.Options{Schedule: outbox.DevSchedule},
			sent: []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}, end: mail.Delivered,
			stats: outbox.Stats{Claimed: 5, Deferred: 4, Delivered: 1}},
		{name: "given up early", answers: []mail.Attempt{busy}, options: outbox.Options{GiveUp: 5 * m}, sent: []time.Duration{0, m, 5 * m}, end: mail.Failed,
			stats: outbox.Stats{Claimed: 3, Deferred: 2, Failed: 1, GivenUp: 1}},
		{name: "spread to the early end", answers: []mail.Attempt{busy, taken}, options: outbox.Options{Random: func() float64 { return 0 }},
			sent: []time.Duration{0, 54 * time.Second}, end: mail.Delivered, stats: outbox.Stats{Claimed: 2, Deferred: 1, Delivered: 1}},
		{name: "spread to the late end", answers: []mail.Attempt{busy, taken}, options: outbox.Options{Random: func() float64 { return 1 }},
			sent: []time.Duration{0, 66 * time.Second}, end: mail.Delivered, stats: outbox.Stats{Claimed: 2, Deferred: 1, Delivered: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newStore(1)
				s := newScript(func(_ context.Context, _ mail.Message, nth int) mail.Attempt {
					return tt.answers[min(nth, len(tt.answers)-1)]
				})
				var alarms outbox.Alarms
				o := tt.options
				o.Store, o.Sender, o.Poll, o.Alarms = q, s, 100*time.Hour, &alarms
				w, stop := start(t, o)
				time.Sleep(48 * time.Hour)
				require.NoError(t, stop())
				require.Equal(t, tt.sent, s.tries(0))
				got := q.get("m0")
				require.Equal(t, tt.end, got.state)
				require.Equal(t, tt.stats, w.Stats())
				require.Equal(t, tt.stats.Alarms > 0 && tt.end != mail.Delivered, len(alarms.List()) == 1, "the alarm stands until the relay takes mail")
				require.Len(t, got.tries, len(tt.sent))
				for i, a := range got.tries {
					want := tt.answers[min(i, len(tt.answers)-1)]
					require.Equal(t, i+1, a.Number)
					require.Equal(t, tt.sent[i], a.At.Sub(s.start))
					require.Equal(t, []any{want.Stage, want.Code, want.Text, want.Ambiguous}, []any{a.Stage, a.Code, a.Text, a.Ambiguous})
				}
			})
		})
	}
}

// TestWorkersNeverSendTwice runs two workers on one store against a relay that
// is slower than a lease: as long as leases hold, nothing goes out twice.
func TestWorkersNeverSendTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		q := renewing{fakeStore: newStore(n)}
		s := newScript(func(ctx context.Context, m mail.Message, nth int) mail.Attempt {
			wait := time.Duration(len(m.MessageID)*37%13) * 20 * time.Second // up to four minutes
			if strings.HasPrefix(m.MessageID, "m1") && nth == 0 {
				return after(wait, busy)(ctx, m, nth)
			}
			return after(wait, taken)(ctx, m, nth)
		})
		a, stopA := start(t, outbox.Options{Store: q, Sender: s, Owner: "a", Concurrency: 8, Batch: 16})
		b, stopB := start(t, outbox.Options{Store: q, Sender: s, Owner: "b", Concurrency: 8, Batch: 16})
		time.Sleep(10 * time.Hour)
		require.NoError(t, stopA())
		require.NoError(t, stopB())
		require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: n}, q.states())
		require.Equal(t, 1, s.most, "no message was under way twice")
		deferred := a.Stats().Deferred + b.Stats().Deferred
		require.EqualValues(t, n+deferred, s.total())
		require.NotZero(t, a.Stats().Delivered)
		require.NotZero(t, b.Stats().Delivered)
	})
}

// TestCrashBetweenSendAndRecord lets a worker die after the relay took the mail
// and before that was recorded: another one sends it again after the lease, with
// the same Message-ID, and not before.
func TestCrashBetweenSendAndRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newStore(1)
		var power atomic.Bool
		q.onFinish = func([]outbox.Result) error {
			if !power.Load() {
				return errors.New("power failure")
			}
			return nil
		}
		s := newScript(always(taken))
		dying, stop := start(t, outbox.Options{Store: q, Sender: s, Owner: "a", Drain: time.Millisecond})
		time.Sleep(10 * time.Millisecond)
		require.ErrorContains(t, stop(), "1 results could not be recorded")
		require.EqualValues(t, 1, dying.Stats().Lost)
		require.Equal(t, mail.Sending, q.get("m0").state)

		power.Store(true)
		_, stop = start(t, outbox.Options{Store: q, Sender: s, Owner: "b"})
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		require.Equal(t, mail.Delivered, q.get("m0").state)
		require.Equal(t, []time.Duration{0, 30 * time.Second}, s.tries(0))
		require.Len(t, s.sent, 1, "one Message-ID")
	})
}

func TestSlowRelay(t *testing.T) {
	t.Run("with renewal a send takes as long as it takes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := renewing{fakeStore: newStore(3)}
			s := newScript(after(5*time.Minute, taken))
			_, stop := start(t, outbox.Options{Store: q, Sender: s})
			_, stopOther := start(t, outbox.Options{Store: q, Sender: s, Owner: "b"})
			time.Sleep(6 * time.Minute)
			require.NoError(t, stop())
			require.NoError(t, stopOther())
			require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: 3}, q.states())
			require.Equal(t, 3, s.total())
		})
	})
	t.Run("without renewal it is broken off before the lease ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newStore(1)
			s := newScript(func(ctx context.Context, m mail.Message, nth int) mail.Attempt {
				return after(max(time.Minute-time.Duration(nth)*time.Minute, time.Second), taken)(ctx, m, nth)
			})
			w, stop := start(t, outbox.Options{Store: q, Sender: s})
			time.Sleep(26 * time.Second)
			require.Equal(t, mail.Deferred, q.get("m0").state, "recorded while the lease holds")
			time.Sleep(5 * time.Minute)
			require.NoError(t, stop())
			require.Equal(t, mail.Delivered, q.get("m0").state)
			require.Equal(t, []time.Duration{0, 85 * time.Second}, s.tries(0))
			require.EqualValues(t, 1, w.Stats().Ambiguous)
		})
	})
	t.Run("so it is when renewing fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := renewing{fakeStore: newStore(1), onRenew: func() error { return errors.New("disk full") }}
			s := newScript(after(time.Minute, taken))
			w, stop := start(t, outbox.Options{Store: q, Sender: s, Schedule: []time.Duration{time.Hour}})
			time.Sleep(40 * time.Second)
			require.NoError(t, stop())
			require.Equal(t, mail.Deferred, q.get("m0").state)
			require.Equal(t, 1, s.most)
			require.NotZero(t, w.Stats().StoreErrors)
		})
	})
	t.Run("what waits behind slow sends is not begun under a lease about to end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newStore(8)
			s := newScript(after(9*time.Second, taken))
			w, stop := start(t, outbox.Options{Store: q, Sender: s, Concurrency: 2})
			time.Sleep(5 * time.Minute)
			require.NoError(t, stop())
			require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: 8}, q.states())
			require.Equal(t, 1, s.most)
			require.NotZero(t, w.Stats().LeasesLost)
		})
	})
}

func TestQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newStore(20)
		q.rows["m1"].item.Message.To = mail.Address{}
		q.rows["m2"].item.Message.Raw = nil
		q.rows["m5"].item.ID = ""
		s := newScript(func(_ context.Context, m mail.Message, _ int) mail.Attempt {
			switch m.MessageID {
			case "m3@contoso.example":
				panic("the mail says: secret")
			case "m4@contoso.example":
				var none []int
				_ = none[len(m.MessageID)]
			case "m6@contoso.example":
				return mail.Attempt{Code: 550, Text: strings.Repeat("\xff\x00ü", 2000), Stage: mail.StageRcpt}
			}
			return taken
		})
		w, stop := start(t, outbox.Options{Store: q, Sender: s, Concurrency: 1})
		time.Sleep(time.Second)
		require.NoError(t, stop())
		for id, text := range map[string]string{
			"m1": "quarantined: the queued mail has no recipient",
			"m2": "quarantined: the queued mail is empty",
			"m3": "quarantined: sending panicked with a string",
			"m4": "quarantined: sending panicked: runtime error: index out of range [18] with length 0",
		} {
			r := q.get(id)
			require.Equal(t, mail.Failed, r.state, id)
			require.Equal(t, text, r.tries[0].Text)
			require.Equal(t, 1, r.tries[0].Number)
		}
		odd := q.get("m6").tries[0].Text
		require.LessOrEqual(t, len(odd), 1024)
		require.Equal(t, strings.ToValidUTF8(odd, "?"), odd)
		require.NotContains(t, odd, "\x00")
		require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: 14, mail.Failed: 5, mail.Sending: 1}, q.states())
		require.EqualValues(t, 4, w.Stats().Quarantined)
	})
}

func TestStoreOutOfOrder(t *testing.T) {
	t.Run("results wait until it is back, and nothing goes out twice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := renewing{fakeStore: newStore(100)}
			var up atomic.Bool
			q.onFinish = func([]outbox.Result) error {
				if !up.Load() {
					return errors.New("disk full")
				}
				return nil
			}
			s := newScript(always(taken))
			w, stop := start(t, outbox.Options{Store: q, Sender: s, Concurrency: 10})
			time.Sleep(10 * time.Minute)
			require.Equal(t, 10, s.total(), "no more than may be unrecorded")
			up.Store(true)
			time.Sleep(time.Minute)
			require.NoError(t, stop())
			require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: 100}, q.states())
			require.Equal(t, 100, s.total())
			require.Zero(t, w.Stats().Lost)
		})
	})
	t.Run("claims are tried again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newStore(1)
			n := 0
			q.onClaim = func() error {
				if n++; n < 20 {
					return errors.New("locked")
				}
				return nil
			}
			s := newScript(always(taken))
			_, stop := start(t, outbox.Options{Store: q, Sender: s})
			time.Sleep(2 * time.Minute)
			require.NoError(t, stop())
			require.Equal(t, mail.Delivered, q.get("m0").state)
		})
	})
	t.Run("one result that cannot be stored does not hold up the others", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := renewing{fakeStore: newStore(100)}
			var mended atomic.Bool
			q.onFinish = func(results []outbox.Result) error {
				for _, r := range results {
					if !mended.Load() && r.ID == "m3" {
						return errors.New("cannot store this")
					}
				}
				return nil
			}
			s := newScript(after(time.Millisecond, taken))
			w, stop := start(t, outbox.Options{Store: q, Sender: s, Concurrency: 4})
			time.Sleep(time.Minute)
			require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: 99, mail.Sending: 1}, q.states())
			require.Zero(t, w.Stats().Sending, "it takes up no sender")
			mended.Store(true)
			time.Sleep(time.Minute)
			require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: 100}, q.states())
			require.NoError(t, stop())
			require.Equal(t, 100, s.total())
		})
	})
}

func TestStop(t *testing.T) {
	t.Run("finishes what is being sent and gives back the rest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := renewing{fakeStore: newStore(20)}
			s := newScript(after(10*time.Second, taken))
			w, stop := start(t, outbox.Options{Store: q, Sender: s, Concurrency: 4})
			time.Sleep(time.Second)
			require.NoError(t, stop())
			<-w.Done()
			require.Equal(t, 10*time.Second, time.Since(s.start))
			require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: 4, mail.Sending: 16}, q.states())
			require.Zero(t, w.Stats().Held)
			due, _, _ := q.NextMailDue(t.Context())
			require.False(t, due.After(time.Now()), "at once, not when the lease ends")
		})
	})
	t.Run("breaks off what takes longer, and records that", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := renewing{fakeStore: newStore(2)}
			s := newScript(after(10*time.Minute, taken))
			_, stop := start(t, outbox.Options{Store: q, Sender: s, Drain: 20 * time.Second})
			time.Sleep(time.Second)
			require.NoError(t, stop())
			require.Equal(t, 21*time.Second, time.Since(s.start))
			require.Equal(t, map[mail.DeliveryState]int{mail.Deferred: 2}, q.states())
			require.True(t, q.get("m0").tries[0].Ambiguous)
		})
	})
	t.Run("waits for a store that comes back within the drain time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newStore(50)
			begun := time.Now()
			q.onFinish = func([]outbox.Result) error {
				if time.Since(begun) < 15*time.Second {
					return errors.New("disk full")
				}
				return nil
			}
			s := newScript(always(taken))
			_, stop := start(t, outbox.Options{Store: q, Sender: s, Concurrency: 8})
			time.Sleep(time.Second)
			require.NoError(t, stop())
			require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: 8, mail.Sending: 42}, q.states())
			require.Equal(t, 8, s.total())
		})
	})
	t.Run("a worker runs once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, stop := start(t, outbox.Options{Store: newStore(0), Sender: newScript(always(taken))})
			synctest.Wait()
			require.ErrorContains(t, w.Run(t.Context()), "run before")
			require.NoError(t, stop())
		})
	})
}

func TestWhenTheWorkerLooks(t *testing.T) {
	t.Run("Wake is answered at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, s := newStore(0), newScript(always(taken))
			w, stop := start(t, outbox.Options{Store: q, Sender: s})
			time.Sleep(7 * time.Second)
			q.add(0)
			w.Wake()
			w.Wake()
			time.Sleep(5 * time.Millisecond)
			require.Equal(t, []time.Duration{7*time.Second + 2*time.Millisecond}, s.tries(0))
			require.NoError(t, stop())
		})
	})
	t.Run("mail that another process queued is found", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, s := newStore(0), newScript(always(taken))
			_, stop := start(t, outbox.Options{Store: q, Sender: s})
			time.Sleep(time.Second)
			q.add(0)
			time.Sleep(15 * time.Second)
			require.Equal(t, []time.Duration{15 * time.Second}, s.tries(0))
			require.NoError(t, stop())
		})
	})
	t.Run("an idle worker asks seldom", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newStore(0)
			_, stop := start(t, outbox.Options{Store: q, Sender: newScript(always(taken))})
			time.Sleep(time.Hour)
			require.NoError(t, stop())
			require.LessOrEqual(t, q.claims, 242)
		})
	})
	t.Run("mail that is due but leased elsewhere does not make it spin", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := dueLiar{newStore(0)}
			_, stop := start(t, outbox.Options{Store: q, Sender: newScript(always(taken))})
			time.Sleep(time.Minute)
			require.NoError(t, stop())
			require.LessOrEqual(t, q.claims, 601)
		})
	})
}

// dueLiar says that mail is due which it does not give out.
type dueLiar struct{ *fakeStore }

func (dueLiar) NextMailDue(context.Context) (time.Time, bool, error) { return time.Now(), true, nil }

func TestResultsShareCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newStore(1000)
		var group []int
		q.onFinish = func(r []outbox.Result) error {
			group = append(group, len(r))
			time.Sleep(5 * time.Millisecond) // a disk
			return nil
		}
		s := newScript(func(ctx context.Context, m mail.Message, nth int) mail.Attempt {
			return after(time.Duration(len(m.MessageID)%3)*100*time.Microsecond, taken)(ctx, m, nth)
		})
		_, stop := start(t, outbox.Options{Store: q, Sender: s})
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: 1000}, q.states())
		require.Less(t, q.finishes, 1000/8, "%v", group)
		require.Less(t, q.claims, 1000/16)
		require.LessOrEqual(t, s.mostAll, 32)
	})
	synctest.Test(t, func(t *testing.T) {
		q, s := newStore(1), newScript(always(taken))
		_, stop := start(t, outbox.Options{Store: q, Sender: s, Linger: time.Hour})
		synctest.Wait()
		require.Equal(t, mail.Delivered, q.get("m0").state, "a lone result does not wait for company")
		require.NoError(t, stop())
	})
}

func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"ten years back": -87600 * time.Hour, "an hour back": -time.Hour, "an hour ahead": time.Hour, "a month ahead": 720 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var offset time.Duration
				now := func() time.Time {
					mu.Lock()
					defer mu.Unlock()
					return time.Now().Add(offset)
				}
				q := renewing{fakeStore: newStore(5)}
				s := newScript(after(20*time.Second, busy))
				w, stop := start(t, outbox.Options{Store: q, Sender: s, Now: now})
				time.Sleep(10 * time.Second)
				mu.Lock()
				offset = jump
				mu.Unlock()
				w.Wake()
				time.Sleep(15 * time.Second)
				require.Equal(t, 5, s.total(), "nothing is sent twice")
				for id := range q.rows {
					r := q.get(id)
					require.Len(t, r.tries, 1, "the result counts although the lease seemed to have run out")
					if jump > 24*time.Hour {
						require.Equal(t, mail.Failed, r.state)
						continue
					}
					require.Equal(t, mail.Deferred, r.state)
					require.False(t, r.due.After(now().Add(9*time.Hour)), "not frozen")
				}
				require.NoError(t, stop())
			})
		})
	}
}

func TestNewWorker(t *testing.T) {
	good := func() outbox.Options {
		return outbox.Options{Store: newStore(0), Sender: newScript(nil), Owner: "a"}
	}
	tests := []struct {
		name string
		mend func(*outbox.Options)
		err  string
	}{
		{"nothing but the required", func(*outbox.Options) {}, ""},
		{"no store", func(o *outbox.Options) { o.Store = nil }, "Options.Store"},
		{"no sender", func(o *outbox.Options) { o.Sender = nil }, "Options.Sender"},
		{"no owner", func(o *outbox.Options) { o.Owner = "" }, "Options.Owner"},
		{"negative concurrency", func(o *outbox.Options) { o.Concurrency = -1 }, "Options.Concurrency"},
		{"negative batch", func(o *outbox.Options) { o.Batch = -1 }, "Options.Batch"},
		{"negative lease", func(o *outbox.Options) { o.Lease = -1 }, "Options.Lease"},
		{"negative patience", func(o *outbox.Options) { o.GiveUp = -1 }, "Options.GiveUp"},
		{"empty schedule", func(o *outbox.Options) { o.Schedule = []time.Duration{} }, "Options.Schedule"},
		{"schedule without a wait", func(o *outbox.Options) { o.Schedule = []time.Duration{time.Second, 0} }, "Options.Schedule"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good()
			tt.mend(&o)
			_, err := outbox.NewWorker(o)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
		})
	}
}
