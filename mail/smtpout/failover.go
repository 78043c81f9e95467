package smtpout

import (
	"context"
	"errors"
	"sync"
	"time"

	"invited/mail"
)

// FailoverOptions configures a [Failover].
type FailoverOptions struct {
	Pools []*Pool // required; the first one that works is used

	// Rest is how long a relay that failed before it was offered a mail is
	// passed over, unless all are; 0 means 30 s.
	Rest time.Duration

	// Alarm is called when a relay refused our credentials and another one
	// was tried instead. It must not block. Nil means nobody cares.
	Alarm func(mail.Attempt)

	Now func() time.Time // nil means time.Now
}

// Failover hands messages to the first of several relays that works. A relay
// that cannot be reached, or turns us away before it has heard of a mail, is
// passed over for a while. Whatever a relay says of a mail is final for the
// attempt: shopping around for a better answer is what spammers do.
//
// It is safe for concurrent use.
type Failover struct {
	opts FailoverOptions

	mu    sync.Mutex
	tired []time.Time // of each pool: when it may be tried again
}

// NewFailover returns a failover over pools, which it closes.
func NewFailover(o FailoverOptions) (*Failover, error) {
	if len(o.Pools) == 0 {
		return nil, errors.New("smtpout: FailoverOptions.Pools is empty")
	}
	if o.Rest < 0 {
		return nil, errors.New("smtpout: FailoverOptions.Rest is negative")
	}
	if o.Rest == 0 {
		o.Rest = 30 * time.Second
	}
	if o.Alarm == nil {
		o.Alarm = func(mail.Attempt) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Failover{opts: o, tired: make([]time.Time, len(o.Pools))}, nil
}

// Send tries the relays in turn until one has been offered m, and reports what
// it said; if none has, what the last one did.
func (f *Failover) Send(ctx context.Context, m mail.Message) mail.Attempt {
	order := f.order()
	var a mail.Attempt
	for n, i := range order {
		a = f.opts.Pools[i].Send(ctx, m)
		if !unheard(a) || ctx.Err() != nil {
			if a.OK() {
				f.rest(i, time.Time{})
			}
			return a
		}
		f.rest(i, f.opts.Now().Add(f.opts.Rest))
		if credentials(a) && n < len(order)-1 {
			f.opts.Alarm(a)
		}
	}
	return a
}

// unheard reports whether the attempt ended before the relay was offered the
// mail.
func unheard(a mail.Attempt) bool {
	switch a.Stage {
	case mail.StageConnect, mail.StageGreeting, mail.StageHello, mail.StageTLS, mail.StageAuth:
		return true
	default:
		return false
	}
}

// order returns the relays to try: those that are not tired, or the one whose
// rest ends first.
func (f *Failover) order() []int {
	now := f.opts.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	var fresh []int
	soonest := 0
	for i, until := range f.tired {
		if !now.Before(until) {
			fresh = append(fresh, i)
		}
		if until.Before(f.tired[soonest]) {
			soonest = i
		}
	}
	if fresh == nil {
		return []int{soonest}
	}
	return fresh
}

// rest passes over relay i until then.
func (f *Failover) rest(i int, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tired[i] = until
}

// RelayState is how one relay of a [Failover] stands.
type RelayState struct {
	Addr  string    // host:port
	Tired time.Time // passed over until then; zero or past: in use
	Stats Stats
}

// Relays returns the state of each relay, in order.
func (f *Failover) Relays() []RelayState {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]RelayState, len(f.tired))
	for i, p := range f.opts.Pools {
		out[i] = RelayState{Addr: p.relay.addr, Tired: f.tired[i], Stats: p.Stats()}
	}
	return out
}

// Close closes all connections of all relays at once.
func (f *Failover) Close() error {
	var errs []error
	for _, p := range f.opts.Pools {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
