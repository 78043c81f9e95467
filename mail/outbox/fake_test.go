package outbox_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"invited/mail"
	"invited/mail/outbox"
)

// row is a queued mail of a fakeStore.
type row struct {
	item  outbox.Item
	state mail.DeliveryState
	due   time.Time // next attempt, or end of the lease
	owner string
	tries []mail.Attempt
}

// fakeStore is a queue in memory that keeps the contract of outbox.Store.
type fakeStore struct {
	mu       sync.Mutex
	rows     map[string]*row
	claims   int
	finishes int

	// Each may be set to fail or delay a call, or to look at it.
	onClaim  func() error
	onFinish func([]outbox.Result) error
}

// renewing is a fakeStore that can extend leases.
type renewing struct {
	*fakeStore
	onRenew func() error
}

func newStore(n int) *fakeStore {
	s := &fakeStore{rows: map[string]*row{}}
	for i := range n {
		s.add(i)
	}
	return s
}

// add queues mail i, due now.
func (s *fakeStore) add(i int) *row {
	id := fmt.Sprint("m", i)
	r := &row{state: mail.Queued, due: time.Now(), item: outbox.Item{
		ID: id, Ref: "ref" + id, Queued: time.Now(),
		Message: mail.Message{MessageID: id + "@contoso.example", To: mail.Address{Local: "jane", Domain: "fabrikam.example"}, Raw: []byte("x")},
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[id] = r
	return r
}

func (s *fakeStore) ClaimMail(_ context.Context, owner string, now time.Time, lease time.Duration, n int) ([]outbox.Item, error) {
	if s.onClaim != nil {
		if err := s.onClaim(); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims++
	var due []*row
	for _, r := range s.rows {
		if !r.state.Final() && !r.due.After(now) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *row) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.item.ID, b.item.ID))
	})
	var items []outbox.Item
	for _, r := range due[:min(n, len(due))] {
		r.state, r.owner, r.due = mail.Sending, owner, now.Add(lease)
		r.item.Attempt++
		items = append(items, r.item)
	}
	return items, nil
}

func (s *fakeStore) FinishMail(_ context.Context, owner string, results []outbox.Result) error {
	if s.onFinish != nil {
		if err := s.onFinish(results); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishes++
	for _, res := range results {
		r := s.rows[res.ID]
		current := r.state == mail.Sending && r.owner == owner && r.item.Attempt == res.Attempt.Number
		if !current && res.State != mail.Delivered {
			continue
		}
		r.state, r.due = res.State, res.Next
		r.tries = append(r.tries, res.Attempt)
	}
	return nil
}

func (s *fakeStore) NextMailDue(context.Context) (time.Time, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	open := false
	for _, r := range s.rows {
		if !r.state.Final() && (!open || r.due.Before(next)) {
			next, open = r.due, true
		}
	}
	return next, open, nil
}

func (s renewing) RenewMail(_ context.Context, owner string, now time.Time, lease time.Duration, ids []string) error {
	if s.onRenew != nil {
		if err := s.onRenew(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if r := s.rows[id]; r.state == mail.Sending && r.owner == owner {
			r.due = now.Add(lease)
		}
	}
	return nil
}

// get returns a copy of a row.
func (s *fakeStore) get(id string) row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.rows[id]
}

// states counts the rows by state.
func (s *fakeStore) states() map[mail.DeliveryState]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[mail.DeliveryState]int{}
	for _, r := range s.rows {
		m[r.state]++
	}
	return m
}

// script is a Sender that does what a test says, and notes who is sent what and
// when.
type script struct {
	start time.Time
	do    func(ctx context.Context, m mail.Message, nth int) mail.Attempt // nth try of this message, from 0

	mu       sync.Mutex
	sent     map[string][]time.Duration // begin of each try, by Message-ID
	underway map[string]int
	most     int // most tries of one message under way at once
	now      int
	mostAll  int // the same of all messages
}

func newScript(do func(ctx context.Context, m mail.Message, nth int) mail.Attempt) *script {
	return &script{start: time.Now(), do: do, sent: map[string][]time.Duration{}, underway: map[string]int{}}
}

func (s *script) Send(ctx context.Context, m mail.Message) mail.Attempt {
	s.mu.Lock()
	nth := len(s.sent[m.MessageID])
	s.sent[m.MessageID] = append(s.sent[m.MessageID], time.Since(s.start))
	s.underway[m.MessageID]++
	s.now++
	s.most = max(s.most, s.underway[m.MessageID])
	s.mostAll = max(s.mostAll, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.underway[m.MessageID]--
		s.now--
		s.mu.Unlock()
	}()
	return s.do(ctx, m, nth)
}

// tries returns when the tries of mail i began.
func (s *script) tries(i int) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent[fmt.Sprintf("m%d@contoso.example", i)])
}

// total returns the number of all tries.
func (s *script) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, t := range s.sent {
		n += len(t)
	}
	return n
}

// The replies of a relay.
var (
	taken    = mail.Attempt{Stage: mail.StageDot, Code: 250, Text: "Ok"}
	busy     = mail.Attempt{Stage: mail.StageRcpt, Code: 451, Text: "Later"}
	never    = mail.Attempt{Stage: mail.StageRcpt, Code: 550, Text: "No", Permanent: true}
	lostDot  = mail.Attempt{Stage: mail.StageDot, Text: "reset", Ambiguous: true}
	noRelay  = mail.Attempt{Stage: mail.StageConnect, Text: "connection refused"}
	badLogin = mail.Attempt{Stage: mail.StageAuth, Code: 535, Text: "Who are you", Permanent: true}
	needAuth = mail.Attempt{Stage: mail.StageMail, Code: 530, Text: "Authenticate first"}
	authOff  = mail.Attempt{Stage: mail.StageAuth, Code: 504, Text: "Not here", Permanent: true}
)

// after answers with a once d has passed, or breaks off with ctx.
func after(d time.Duration, a mail.Attempt) func(context.Context, mail.Message, int) mail.Attempt {
	return func(ctx context.Context, _ mail.Message, _ int) mail.Attempt {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return a
		case <-ctx.Done():
			return mail.Attempt{Stage: mail.StageDot, Text: "broken off", Ambiguous: true}
		}
	}
}

// always answers with a.
func always(a mail.Attempt) func(context.Context, mail.Message, int) mail.Attempt {
	return func(context.Context, mail.Message, int) mail.Attempt { return a }
}

func (s renewing) PostponeMail(_ context.Context, owner string, items []outbox.Postponed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range items {
		if r := s.rows[p.ID]; r.state == mail.Sending && r.owner == owner {
			r.state, r.owner, r.due = mail.Queued, "", p.Until
			r.item.Attempt--
		}
	}
	return nil
}
