package outbox_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
)

// BenchmarkWorker measures the worker alone: a store and a relay that cost
// nothing, and a store whose commits take a millisecond.
func BenchmarkWorker(b *testing.B) {
	for _, commit := range []time.Duration{0, time.Millisecond} {
		b.Run(fmt.Sprint("commit=", commit), func(b *testing.B) {
			q := &endless{left: b.N, commit: commit, done: make(chan struct{})}
			w, err := outbox.NewWorker(outbox.Options{Store: q, Sender: sendNothing{}, Owner: "a"})
			require.NoError(b, err)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			b.ResetTimer()
			go func() { _ = w.Run(ctx) }()
			<-q.done
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(b.N)/float64(q.commits), "msg/commit")
		})
	}
}

type sendNothing struct{}

func (sendNothing) Send(context.Context, mail.Message) mail.Attempt { return taken }

// endless is a store of b.N mails that are all the same.
type endless struct {
	mu                  sync.Mutex
	left, open, commits int
	given               int
	commit              time.Duration
	done                chan struct{}
}

func (e *endless) ClaimMail(_ context.Context, _ string, _ time.Time, _ time.Duration, n int) ([]outbox.Item, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n = min(n, e.left-e.given)
	items := make([]outbox.Item, n)
	for i := range items {
		e.given++
		items[i] = outbox.Item{ID: fmt.Sprint(e.given), Attempt: 1, Message: mail.Message{To: mail.Address{Local: "a", Domain: "b"}, Raw: []byte("x")}}
	}
	return items, nil
}

func (e *endless) FinishMail(_ context.Context, _ string, r []outbox.Result) error {
	if e.commit > 0 {
		<-time.After(e.commit)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.commits++
	e.open += len(r)
	if e.open == e.left {
		close(e.done)
	}
	return nil
}

func (e *endless) NextMailDue(context.Context) (time.Time, bool, error) {
	return time.Time{}, false, nil
}
