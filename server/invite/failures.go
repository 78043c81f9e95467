package invite

import (
	"context"
	"slices"
	"sync"
	"time"

	"invited/server/problem"
)

// DefaultFailedLinks is how many links that do not verify one network may try
// in a minute before it is told to wait.
const DefaultFailedLinks = 20

// The window of failed links, and how many networks are told apart.
const (
	failedWindow = time.Minute
	maxNetworks  = 10_000
)

// failures counts links that did not verify, by network. It is kept in memory,
// because a forged link must not cost a look into the store, and written down
// by [Service.Run], so that a restart is no way round it. Only links that fail
// are turned away: a signature cannot be guessed, and guests behind the same
// address must not suffer for their neighbour's scanner.
type failures struct {
	mu    sync.Mutex
	tries map[string][]time.Time // within the window, oldest first
	fresh map[string][]time.Time // not written down yet
}

// add counts one, or returns how long the network has to wait.
func (f *failures) add(from string, limit int, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	recent := slices.DeleteFunc(f.tries[from], func(t time.Time) bool { return !t.After(now.Add(-failedWindow)) || t.After(now) })
	if len(recent) >= limit {
		f.tries[from] = recent
		return max(recent[len(recent)-limit].Add(failedWindow).Sub(now), time.Second)
	}
	if f.tries == nil {
		f.tries, f.fresh = map[string][]time.Time{}, map[string][]time.Time{}
	}
	if _, known := f.tries[from]; !known && len(f.tries) >= maxNetworks {
		f.forget(now)
		if len(f.tries) >= maxNetworks {
			return failedWindow
		}
	}
	f.tries[from] = append(recent, now)
	f.fresh[from] = append(f.fresh[from], now)
	return 0
}

// forget drops networks whose tries count no more.
func (f *failures) forget(now time.Time) {
	for from, tries := range f.tries {
		if !tries[len(tries)-1].After(now.Add(-failedWindow)) {
			delete(f.tries, from)
		}
	}
}

// take returns what is not written down yet.
func (f *failures) take() map[string][]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := f.fresh
	if len(fresh) == 0 {
		return nil
	}
	f.fresh = map[string][]time.Time{}
	return fresh
}

// remember adds what was written down before.
func (f *failures) remember(old map[string][]time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tries == nil {
		f.tries, f.fresh = map[string][]time.Time{}, map[string][]time.Time{}
	}
	for from, tries := range old {
		f.tries[from] = append(slices.Clone(tries), f.tries[from]...)
	}
}

// FailedLink counts a refusal of a link that did not verify, for the network it
// came from, and returns what to answer: the refusal, or that there were too
// many. Any other error comes back as it is. Nothing is read or written.
func (s *Service) FailedLink(from string, refusal error) error {
	if !problem.Has(refusal, problem.LinkInvalid) {
		return refusal
	}
	if wait := s.failed.add(from, s.failedLinks, s.now()); wait > 0 {
		return tooManyTries("invite.FailedLink", wait, "Too many links from here were not valid.")
	}
	return refusal
}

// networkBucket is what failed links of a network are stored under, for no
// tenant: a forged link has none.
const networkBucket = "link:"

// recallFailures reads what was written down before a restart.
func (s *Service) recallFailures(ctx context.Context) {
	stored, err := s.store.RecentTries(ctx, "", s.now().Add(-failedWindow))
	if err != nil { // it is a limit, not a promise
		return
	}
	old := map[string][]time.Time{}
	for bucket, tries := range stored {
		if len(bucket) > len(networkBucket) && bucket[:len(networkBucket)] == networkBucket {
			old[bucket[len(networkBucket):]] = tries
		}
	}
	s.failed.remember(old)
}

// flushFailures writes down what was counted.
func (s *Service) flushFailures(ctx context.Context) {
	for from, tries := range s.failed.take() {
		_ = s.store.AddTries(ctx, "", networkBucket+from, tries) // lost: it is a limit, not a promise
	}
}
