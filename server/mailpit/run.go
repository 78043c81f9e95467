package mailpit

import (
	"context"

	"invited/mail/sink"
)

// Run counts deleted messages and feeds the webhook until ctx ends or the sink
// closes. Without it both stay silent.
func (h *Handler) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	if h.Webhook != nil {
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Webhook.run(ctx, h.Log)
		}()
		defer func() { <-done }()
	}
	defer cancel()
	for ctx.Err() == nil {
		if again, err := h.follow(ctx); err != nil || !again {
			return err
		}
	}
	return nil
}

// follow reads one subscription to its end, and reports whether to begin
// another.
func (h *Handler) follow(ctx context.Context) (again bool, err error) {
	events, end := h.Sink.Subscribe()
	defer end()
	t := tally{h: h}
	if err := t.recount(ctx); err != nil {
		return false, classify("mailpit.follow", err)
	}
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case e, ok := <-events:
			if !ok {
				return false, nil
			}
			if e.Type == sink.Dropped {
				return true, nil
			}
			t.count(ctx, e)
			if e.Type == sink.New && h.Webhook != nil {
				h.Webhook.enqueue(summary(*e.Message, ""), h.Log)
			}
		}
	}
}

// tally counts deletions from events. Where many messages went at once the
// event does not say how many; then the list is counted, and mail that arrives
// in that moment makes the count inexact.
type tally struct {
	h      *Handler
	listed int64
}

func (t *tally) recount(ctx context.Context) error {
	totals, err := t.h.Sink.Totals(ctx)
	t.listed = int64(totals.Messages)
	return err
}

func (t *tally) count(ctx context.Context, e sink.Event) {
	before := t.listed
	switch e.Type {
	case sink.New:
		t.listed++
	case sink.Deleted:
		t.listed--
	case sink.Truncate:
		t.listed = 0
	case sink.Refresh:
		if t.recount(ctx) != nil {
			t.listed = before
		}
	}
	if gone := before - t.listed; gone > 0 {
		t.h.deleted.Add(gone)
	}
}
