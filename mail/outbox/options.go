package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"
)

// Options configures a [Worker].
type Options struct {
	Store  Store  // required
	Sender Sender // required
	Owner  string // required; names this worker, unlike any other on the Store

	// Concurrency is how many messages may be on their way, or taken by the
	// relay and not yet recorded: so many extra copies a crash can cause at
	// most. 0 means 32.
	Concurrency int
	Batch       int           // most items claimed at once; 0 means 64
	Lease       time.Duration // 0 means 30 s
	Linger      time.Duration // how long a result waits for company; 0 means 2 ms
	Poll        time.Duration // longest time without a look at the queue; 0 means 15 s
	Drain       time.Duration // after Run's context ended, for what is being sent; 0 means 30 s

	Schedule []time.Duration // waits after the first, second… failure, the last one repeated; nil means DefaultSchedule
	GiveUp   time.Duration   // after Queued; 0 means 24 h

	// DomainConcurrency is how many messages may be on their way to one
	// recipient's domain at once, and DomainRate how many may begin in a
	// second. What is too many is put off, so that other domains are not held
	// up. 0 means no limit; with one, Store must be a [Postponer].
	DomainConcurrency int
	DomainRate        float64

	// Alarms is where an attempt is noted at which the relay refused us, not
	// the message (530, 535, any refusal of AUTH). nil means a board of the
	// worker's own, so that the log is all there is.
	Alarms *Alarms

	Log    *slog.Logger     // nil means none
	Now    func() time.Time // nil means time.Now
	Random func() float64   // in [0, 1), spreads the waits by a tenth; nil means math/rand
}

// DefaultSchedule is the patience of a mail server.
var DefaultSchedule = []time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
}

// DevSchedule is the patience of somebody who watches.
var DevSchedule = []time.Duration{
	time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
	15 * time.Second, 30 * time.Second, time.Minute,
}

// NewWorker returns a worker that does nothing before [Worker.Run], or an error
// that names the option at fault.
func NewWorker(o Options) (*Worker, error) {
	switch {
	case o.Store == nil:
		return nil, errors.New("outbox: Options.Store is nil")
	case o.Sender == nil:
		return nil, errors.New("outbox: Options.Sender is nil")
	case o.Owner == "":
		return nil, errors.New("outbox: Options.Owner is empty")
	case o.Concurrency < 0:
		return nil, errors.New("outbox: Options.Concurrency is negative")
	case o.Batch < 0:
		return nil, errors.New("outbox: Options.Batch is negative")
	case o.DomainConcurrency < 0:
		return nil, errors.New("outbox: Options.DomainConcurrency is negative")
	case !(o.DomainRate >= 0) || math.IsInf(o.DomainRate, 0):
		return nil, errors.New("outbox: Options.DomainRate is negative or not a number")
	}
	if _, ok := o.Store.(Postponer); !ok && (o.DomainConcurrency > 0 || o.DomainRate > 0) {
		return nil, errors.New("outbox: Options.Store cannot put off mail, which Options.DomainConcurrency and Options.DomainRate need")
	}
	for name, f := range map[string]struct {
		d     *time.Duration
		usual time.Duration
	}{
		"Lease":  {&o.Lease, 30 * time.Second},
		"Linger": {&o.Linger, 2 * time.Millisecond},
		"Poll":   {&o.Poll, 15 * time.Second},
		"Drain":  {&o.Drain, 30 * time.Second},
		"GiveUp": {&o.GiveUp, 24 * time.Hour},
	} {
		if *f.d < 0 {
			return nil, fmt.Errorf("outbox: Options.%s is negative", name)
		}
		if *f.d == 0 {
			*f.d = f.usual
		}
	}
	if o.Schedule == nil {
		o.Schedule = DefaultSchedule
	}
	for _, d := range o.Schedule {
		if d <= 0 {
			return nil, errors.New("outbox: Options.Schedule has a wait that is not positive")
		}
	}
	if len(o.Schedule) == 0 {
		return nil, errors.New("outbox: Options.Schedule is empty")
	}
	return newWorker(o), nil
}

func newWorker(o Options) *Worker {
	if o.Concurrency == 0 {
		o.Concurrency = 32
	}
	if o.Batch == 0 {
		o.Batch = 64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Alarms == nil {
		o.Alarms = &Alarms{}
	}
	w := &Worker{
		opts:     o,
		lanes:    newLanes(o.DomainConcurrency, o.DomainRate),
		later:    make(chan Postponed, o.Concurrency+o.Batch),
		wake:     make(chan struct{}, 1),
		deferred: make(chan struct{}, 1),
		freed:    make(chan struct{}, 1),
		done:     make(chan struct{}),
		slots:    make(chan struct{}, o.Concurrency),
		held:     map[string]*parcel{},
	}
	w.renewer, _ = o.Store.(Renewer)
	w.postponer, _ = o.Store.(Postponer)
	return w
}
