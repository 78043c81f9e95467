package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"invited/mail/sink"
	"invited/mail/sink/rules"
)

// Sink is what the runner follows. Implemented by *sink.Sink.
type Sink interface {
	Subscribe() (<-chan sink.Event, func())
	Raw(ctx context.Context, id string) ([]byte, error)
	AddOpinion(ctx context.Context, id string, opinion rules.Engine) error
}

const (
	backlog = 2048 // messages that wait for one filter; later ones are not shown to it
	workers = 2    // questions to one filter at once
)

// Runner asks filters about every message the sink lists.
type Runner struct {
	Sink    Sink         // required
	Engines []Engine     // required
	Judge   sink.Judge   // says how a message is assumed to have come
	Log     *slog.Logger // nil: none
}

// waiting is a message to be asked about.
type waiting struct {
	id       string
	envelope sink.Envelope
}

// Run asks until ctx ends. Messages that came before it are not asked about.
func (r *Runner) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	queues := make([]chan waiting, len(r.Engines))
	for i, e := range r.Engines {
		queues[i] = make(chan waiting, backlog)
		for range workers {
			group.Go(func() { r.work(ctx, e, queues[i]) })
		}
	}
	for {
		events, end := r.Sink.Subscribe()
		open := r.follow(ctx, events, queues)
		end()
		if !open {
			return nil
		}
	}
}

// follow queues what is new. It reports whether to subscribe again, which it
// need not once ctx or the sink has ended.
func (r *Runner) follow(ctx context.Context, events <-chan sink.Event, queues []chan waiting) bool {
	dropped := false
	for {
		select {
		case <-ctx.Done():
			return false
		case e, ok := <-events:
			if !ok {
				return dropped
			}
			dropped = e.Type == sink.Dropped
			if e.Type == sink.New && e.Message != nil {
				r.enqueue(waiting{e.ID, e.Message.Envelope}, queues)
			}
		}
	}
}

func (r *Runner) enqueue(w waiting, queues []chan waiting) {
	for i, q := range queues {
		select {
		case q <- w:
		default:
			r.log().Warn("spam filter is too far behind and is not asked", "id", w.id, "op", r.Engines[i].Name())
		}
	}
}

func (r *Runner) work(ctx context.Context, e Engine, queue <-chan waiting) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-queue:
			if err := r.ask(ctx, e, w); err != nil && ctx.Err() == nil && !errors.Is(err, sink.ErrNotFound) {
				r.log().Error("opinion of a spam filter is lost", "id", w.id, "op", e.Name(), "err", err)
			}
		}
	}
}

// ask asks one filter about one message.
func (r *Runner) ask(ctx context.Context, e Engine, w waiting) error {
	raw, err := r.Sink.Raw(ctx, w.id)
	if err != nil {
		return err
	}
	opinion := Ask(ctx, e, Describe(r.Judge, w.envelope, raw))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.Sink.AddOpinion(ctx, w.id, opinion)
}

// Describe returns what a filter is told of a message: how it came, or is
// assumed to have come.
func Describe(j sink.Judge, e sink.Envelope, raw []byte) Mail {
	s := j.Session(e, raw)
	m := Mail{Raw: raw, Helo: s.Helo, Hostname: s.ReverseName(j.Scenario.DNS()), From: e.From, Rcpt: e.To, User: e.User, Received: e.Received}
	if s.ClientIP.IsValid() {
		m.IP = s.ClientIP.String()
	}
	return m
}

func (r *Runner) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}
