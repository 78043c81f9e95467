package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"invited/mail"
)

// Worker moves mail from a [Store] to a [Sender]. Any number of workers may
// share one Store.
//
//	claim ──▶ queue ──▶ Concurrency senders ──▶ results ──▶ record
//	  ▲ wake, due time, poll                                   │
//	  └────────────────────── room again ──────────────────────┘
type Worker struct {
	opts Options

	renewer   Renewer   // nil if the store is none
	postponer Postponer // nil if no domain is limited
	lanes     *lanes    // nil if no domain is limited
	later     chan Postponed

	wake     chan struct{} // somebody queued mail
	deferred chan struct{} // mail was put off, perhaps to a time before the next look
	freed    chan struct{} // an item was let go
	done     chan struct{} // Run returned
	slots    chan struct{} // one for each message begun and not yet recorded

	count counters

	mu      sync.Mutex
	started bool
	held    map[string]*parcel // leased and not yet recorded, by id
	unsent  []string           // leased, not begun when we stopped
}

// parcel is a leased item.
type parcel struct {
	item   Item
	number int // of the attempt, as the store counts now; under Worker.mu
	batch  *batch
}

// batch is what was claimed together and is leased until the same time.
type batch struct {
	ctx   context.Context // ends shortly before the lease
	end   context.CancelFunc
	timer *time.Timer // calls end
	open  int         // items held; under Worker.mu
}

// Wake makes the worker look at the queue now. It never blocks and may be
// called before Run and after it.
func (w *Worker) Wake() { signal(w.wake) }

// Done returns a channel that is closed when Run has returned.
func (w *Worker) Done() <-chan struct{} { return w.done }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. Then it claims nothing more, finishes what is being
// sent within the drain time, and records all results before it returns; the
// error says how many it could not record. A worker runs once.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	again := w.started
	w.started = true
	w.mu.Unlock()
	if again {
		return errors.New("outbox: the worker has been run before")
	}
	defer close(w.done)

	// Neither sends nor records end with ctx: they have their own time.
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()

	queue := make(chan *parcel, w.limit())
	results := make(chan verdict, w.opts.Concurrency)
	var senders, others sync.WaitGroup
	for range w.opts.Concurrency {
		senders.Go(func() { w.send(ctx, queue, results) })
	}
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		w.record(recording, results)
	}()
	if w.renewer != nil {
		others.Go(func() { w.renew(recording, recorded) })
	}
	others.Go(func() { w.postpone(recording, w.later) })

	w.claim(ctx, sending, queue)

	defer time.AfterFunc(w.opts.Drain, stopSending).Stop()
	defer time.AfterFunc(w.opts.Drain+recordGrace, stopRecording).Stop()
	close(queue)
	senders.Wait()
	close(results)
	close(w.later)
	<-recorded
	others.Wait()
	w.giveBack(recording)
	if n := w.count.lost.Load(); n > 0 {
		return fmt.Errorf("outbox: %d results could not be recorded", n)
	}
	return nil
}

// recordGrace is what the drain time leaves for the results of sends that it
// broke off.
const recordGrace = 5 * time.Second

// limit is how many items are leased at most: those being sent, and a batch.
func (w *Worker) limit() int { return w.opts.Concurrency + w.opts.Batch }

// claim leases items and puts them into the queue until ctx ends.
func (w *Worker) claim(ctx, sending context.Context, queue chan<- *parcel) {
	var failed backoff
	for {
		n := w.room(ctx)
		if n == 0 {
			return
		}
		got, err := w.claimOnce(ctx, sending, n, queue)
		switch {
		case err != nil:
			w.storeFailed("claiming mail failed", err)
			pause(ctx, failed.next())
		case got == n:
			failed = 0
		default:
			failed = 0
			w.rest(ctx, got)
		}
	}
}

// room waits until a good part of a batch can be held and returns how many
// items may be claimed; 0 if ctx ended first.
func (w *Worker) room(ctx context.Context) int {
	for ctx.Err() == nil {
		w.mu.Lock()
		n := min(w.limit()-len(w.held), w.opts.Batch)
		w.mu.Unlock()
		if n > 0 && n >= w.opts.Batch/2 {
			return n
		}
		select {
		case <-w.freed:
		case <-ctx.Done():
		}
	}
	return 0
}

// margin is the part of a lease in which nothing is sent any more: it is left
// for recording the result, and for clocks that do not run alike.
func (w *Worker) margin() time.Duration { return w.opts.Lease / 6 }

// claimOnce leases up to n items. The claim is not broken off with ctx: its
// outcome would be leases that nobody knows about.
func (w *Worker) claimOnce(ctx, sending context.Context, n int, queue chan<- *parcel) (int, error) {
	begun := time.Now()
	claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.opts.Lease/2)
	defer cancel()
	items, err := w.opts.Store.ClaimMail(claiming, w.opts.Owner, w.opts.Now(), w.opts.Lease, n)
	if err != nil || len(items) == 0 {
		return 0, err
	}
	b := &batch{}
	b.ctx, b.end = context.WithCancel(sending)
	b.timer = time.AfterFunc(w.opts.Lease-w.margin()-time.Since(begun), b.end)
	fresh := w.hold(b, items)
	if len(fresh) == 0 {
		b.timer.Stop()
		b.end()
	}
	w.count.claimed.Add(int64(len(fresh)))
	for _, p := range fresh {
		queue <- p
	}
	return len(items), nil
}

// hold notes items as leased and returns those that were not held before. One
// that was, and came back because a clock jumped over the end of its lease, is
// being sent: it only takes the number under which its result will be expected.
func (w *Worker) hold(b *batch, items []Item) []*parcel {
	w.mu.Lock()
	defer w.mu.Unlock()
	var fresh []*parcel
	for _, item := range items {
		switch p := w.held[item.ID]; {
		case item.ID == "":
			w.opts.Log.Error("claimed mail has no id", slog.String("to", item.Message.To.Domain))
		case p != nil:
			p.number = item.Attempt
		default:
			p = &parcel{item: item, number: item.Attempt, batch: b}
			w.held[item.ID] = p
			b.open++
			fresh = append(fresh, p)
		}
	}
	return fresh
}

// release lets go of a leased item.
func (w *Worker) release(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.held[id]
	if p == nil {
		return
	}
	delete(w.held, id)
	if p.batch.open--; p.batch.open == 0 {
		p.batch.timer.Stop()
		p.batch.end()
	}
	signal(w.freed)
}

// rest waits until there is likely to be work: mail falls due, somebody calls
// Wake, or it has been a while. A deferral makes it look again how long that is.
func (w *Worker) rest(ctx context.Context, got int) {
	for {
		t := time.NewTimer(w.untilDue(ctx, got))
		select {
		case <-w.deferred:
			t.Stop()
			continue
		case <-w.wake:
			t.Stop()
			pause(ctx, w.opts.Linger) // whoever queues one mail often queues more
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		return
	}
}

// untilDue returns how long the queue may be left alone; got is how many items
// it gave last.
func (w *Worker) untilDue(ctx context.Context, got int) time.Duration {
	looking, cancel := context.WithTimeout(ctx, w.opts.Poll)
	defer cancel()
	due, ok, err := w.opts.Store.NextMailDue(looking)
	if err != nil && ctx.Err() == nil {
		w.storeFailed("looking for due mail failed", err)
	}
	if err != nil || !ok {
		return w.opts.Poll
	}
	d := min(max(due.Sub(w.opts.Now()), 0), w.opts.Poll)
	if d == 0 && got == 0 {
		return min(w.opts.Poll, 100*time.Millisecond) // due, but not to be had
	}
	return d
}

// pause waits for d or for ctx to end.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// backoff counts failures in a row.
type backoff int

// next returns 50 ms, 100 ms… 5 s.
func (b *backoff) next() time.Duration {
	d := 50 * time.Millisecond << min(int(*b), 10)
	*b++
	return min(d, 5*time.Second)
}

func (w *Worker) storeFailed(what string, err error) {
	w.count.storeErrors.Add(1)
	w.opts.Log.Error(what, slog.Any("err", err))
}

// send is one sender. It holds a slot from the beginning of a message until its
// result is recorded.
func (w *Worker) send(ctx context.Context, queue <-chan *parcel, results chan<- verdict) {
	for p := range queue {
		w.slots <- struct{}{}
		if ctx.Err() != nil || p.batch.ctx.Err() != nil {
			<-w.slots
			w.putAside(ctx, p)
			continue
		}
		domain, begun := p.item.Message.To.Domain, time.Now()
		if wait, ok := w.lanes.enter(domain, begun); !ok {
			<-w.slots
			w.later <- Postponed{ID: p.item.ID, Until: w.opts.Now().Add(wait)}
			continue
		}
		v := w.attempt(p)
		w.lanes.leave(domain, begun, time.Now())
		results <- v
	}
}

// putAside lets go of an item that is not going to be sent under this lease.
func (w *Worker) putAside(ctx context.Context, p *parcel) {
	if ctx.Err() == nil {
		w.count.leasesLost.Add(1)
	} else {
		w.mu.Lock()
		w.unsent = append(w.unsent, p.item.ID)
		w.mu.Unlock()
	}
	w.release(p.item.ID)
}

// attempt sends one item and judges the outcome.
func (w *Worker) attempt(p *parcel) verdict {
	why := malformed(p.item)
	var a mail.Attempt
	if why == "" {
		a, why = w.trySend(p)
	}
	item := p.item
	w.mu.Lock()
	item.Attempt = p.number
	w.mu.Unlock()
	if why != "" {
		return quarantine(item, why, w.opts.Now())
	}
	v := w.judge(item, a, w.opts.Now())
	if v.State == mail.Delivered {
		w.opts.Alarms.Clear(a.Relay)
	}
	if v.alarm {
		w.count.alarms.Add(1)
		w.opts.Log.Error("the relay refuses our credentials; mail waits until its settings are put right",
			slog.String("to", a.Relay), slog.Int("attempt", item.Attempt), slog.String("id", item.ID))
		w.opts.Alarms.Raise(v.Attempt)
	}
	return v
}

// trySend calls the sender; why says that it panicked.
func (w *Worker) trySend(p *parcel) (a mail.Attempt, why string) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			why = "sending panicked: " + v.Error()
		default: // it may quote the mail
			why = fmt.Sprintf("sending panicked with a %T", v)
		}
	}()
	return w.opts.Sender.Send(p.batch.ctx, p.item.Message), ""
}
