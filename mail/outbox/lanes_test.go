package outbox_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
)

// byDomain counts what is under way to each domain, and when it began.
type byDomain struct {
	takes time.Duration
	start time.Time

	mu    sync.Mutex
	now   map[string]int
	most  map[string]int
	begun map[string][]time.Duration
}

func (s *byDomain) Send(_ context.Context, m mail.Message) mail.Attempt {
	d := m.To.Domain
	s.mu.Lock()
	s.now[d]++
	s.most[d] = max(s.most[d], s.now[d])
	s.begun[d] = append(s.begun[d], time.Since(s.start))
	s.mu.Unlock()
	time.Sleep(s.takes) // of the bubble
	s.mu.Lock()
	s.now[d]--
	s.mu.Unlock()
	return taken
}

func TestDomainsShareTheWorker(t *testing.T) {
	tests := []struct {
		name        string
		concurrency int
		rate        float64
		most        int           // at once to the busy domain
		busy, quiet time.Duration // when the last mail to each began, at most
	}{
		{name: "without a limit", most: 8, busy: 10 * time.Second, quiet: 11 * time.Second},
		{name: "two at once", concurrency: 2, most: 2, busy: 60 * time.Second, quiet: 2 * time.Second},
		{name: "five a second", rate: 5, most: 8, busy: 30 * time.Second, quiet: 2 * time.Second},
		{name: "one every two seconds, two at once", concurrency: 2, rate: 0.5, most: 1, busy: 200 * time.Second, quiet: 7 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 80
				q := renewing{fakeStore: newStore(0)}
				for i := range n + 4 {
					r := q.add(i)
					if i >= n { // behind all the others
						r.item.Message.To.Domain, r.due = "quiet.example", r.due.Add(time.Millisecond)
					}
				}
				s := &byDomain{takes: time.Second, start: time.Now(), now: map[string]int{}, most: map[string]int{}, begun: map[string][]time.Duration{}}
				w, stop := start(t, outbox.Options{
					Store: q, Sender: s, Concurrency: 8, Batch: 100, DomainConcurrency: tt.concurrency, DomainRate: tt.rate,
				})
				time.Sleep(5 * time.Minute)
				require.NoError(t, stop())
				require.Equal(t, map[mail.DeliveryState]int{mail.Delivered: n + 4}, q.states())
				for id, r := range q.rows {
					require.Equal(t, 1, r.item.Attempt, "putting off %s is no attempt", id)
				}
				busy, quiet := s.begun["fabrikam.example"], s.begun["quiet.example"]
				require.Len(t, busy, n)
				require.LessOrEqual(t, s.most["fabrikam.example"], tt.most)
				require.LessOrEqual(t, busy[n-1], tt.busy)
				require.LessOrEqual(t, quiet[3], tt.quiet, "nobody waits for another domain")
				if tt.rate > 0 {
					require.GreaterOrEqual(t, busy[n-1].Seconds(), (n-6)/tt.rate, "no faster than allowed")
				}
				require.Less(t, w.Stats().Postponed, int64(6*n), "who is put off is not asked again and again")
			})
		})
	}
}

func TestNewWorkerWithLimits(t *testing.T) {
	for field, o := range map[string]outbox.Options{
		"DomainConcurrency": {Store: newStore(0), DomainConcurrency: -1},
		"DomainRate":        {Store: newStore(0), DomainRate: -1},
		"put off":           {Store: newStore(0), DomainRate: 1},
	} {
		o.Sender, o.Owner = newScript(always(taken)), "a"
		_, err := outbox.NewWorker(o)
		require.ErrorContains(t, err, field)
	}
}

func TestAlarms(t *testing.T) {
	var b outbox.Alarms
	require.Empty(t, b.List())
	at := time.Unix(1_700_000_000, 0)
	refused := func(relay string, after time.Duration) mail.Attempt {
		a := badLogin
		a.Relay, a.At = relay, at.Add(after)
		return a
	}
	b.Raise(refused("two:25", 0))
	b.Raise(refused("one:25", time.Minute))
	b.Raise(refused("two:25", time.Hour))
	require.Equal(t, []outbox.Alarm{
		{Relay: "one:25", Since: at.Add(time.Minute), Count: 1, Last: refused("one:25", time.Minute)},
		{Relay: "two:25", Since: at, Count: 2, Last: refused("two:25", time.Hour)},
	}, b.List())
	b.Clear("two:25")
	b.Clear("nobody:25")
	require.Len(t, b.List(), 1)
}

// TestAlarmStandsUntilTheRelayTakesMail raises the alarm for as long as our
// credentials are refused, and keeps the mail.
func TestAlarmStandsUntilTheRelayTakesMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, alarms := newStore(1), &outbox.Alarms{}
		_, stop := start(t, outbox.Options{
			Store: q, Alarms: alarms,
			Sender: newScript(func(_ context.Context, _ mail.Message, nth int) mail.Attempt {
				a := badLogin
				if nth == 2 {
					a = taken
				}
				a.Relay = "r:25"
				return a
			}),
		})
		time.Sleep(3 * time.Minute)
		require.Len(t, alarms.List(), 1)
		require.Equal(t, 535, alarms.List()[0].Last.Code)
		require.Equal(t, mail.Deferred, q.get("m0").state)
		time.Sleep(10 * time.Minute)
		require.Empty(t, alarms.List())
		require.Equal(t, mail.Delivered, q.get("m0").state)
		require.NoError(t, stop())
	})
}
