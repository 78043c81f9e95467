package outbox

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"invited/mail"
)

// maxRecord is how many results one transaction takes.
const maxRecord = 256

// record writes results until the channel is closed, those that arrive together
// in one transaction. It returns when all are stored or ctx has ended.
func (w *Worker) record(ctx context.Context, results <-chan verdict) {
	var stuck sync.WaitGroup
	defer stuck.Wait()
	for first := range results {
		w.store(ctx, w.gather(first, results), &stuck)
	}
}

// gather collects what arrives within the linger time, unless nobody is left
// whose result could arrive.
func (w *Worker) gather(first verdict, results <-chan verdict) []verdict {
	group := []verdict{first}
	t := time.NewTimer(w.opts.Linger)
	defer t.Stop()
	for len(group) < maxRecord {
		if len(results) == 0 && len(group) >= len(w.slots) {
			break
		}
		select {
		case v, ok := <-results:
			if !ok {
				return group
			}
			group = append(group, v)
		case <-t.C:
			return group
		}
	}
	return group
}

// store records a group, however often the store has to be asked. A result that
// alone cannot be stored does not hold up the others: stuck goes on with it.
func (w *Worker) store(ctx context.Context, group []verdict, stuck *sync.WaitGroup) {
	var failed backoff
	for {
		err := w.finish(ctx, group)
		if err == nil {
			return
		}
		w.storeFailed("recording results failed", err)
		if len(group) > 1 {
			rest, stored := w.storeSingly(ctx, group)
			if stored {
				for _, v := range rest {
					w.freeSlot()
					stuck.Go(func() { w.insist(ctx, v) })
				}
				return
			}
			group = rest
		}
		pause(ctx, failed.next())
		if ctx.Err() != nil {
			w.lose(group)
			for range group {
				w.freeSlot()
			}
			return
		}
	}
}

// storeSingly tries each result of a group by itself and returns those that
// failed, and whether any did not. After two failures and no success it assumes
// that it is not the results' fault.
func (w *Worker) storeSingly(ctx context.Context, group []verdict) (rest []verdict, stored bool) {
	for i, v := range group {
		if !stored && len(rest) == 2 {
			return append(rest, group[i:]...), false
		}
		if w.finish(ctx, []verdict{v}) == nil {
			stored = true
		} else {
			rest = append(rest, v)
		}
	}
	return rest, stored
}

// finish records a group in one transaction and lets go of its items.
func (w *Worker) finish(ctx context.Context, group []verdict) error {
	if err := w.finishOnce(ctx, group); err != nil {
		return err
	}
	for range group {
		w.freeSlot()
	}
	return nil
}

func (w *Worker) finishOnce(ctx context.Context, group []verdict) error {
	results := make([]Result, len(group))
	for i, v := range group {
		results[i] = v.Result
	}
	if err := w.opts.Store.FinishMail(ctx, w.opts.Owner, results); err != nil {
		return err
	}
	for _, v := range group {
		w.tell(v)
		w.release(v.ID)
		if v.State == mail.Deferred {
			signal(w.deferred)
		}
	}
	return nil
}

// insist records one result that was refused while others were stored. It has
// no slot any more.
func (w *Worker) insist(ctx context.Context, v verdict) {
	var failed backoff
	for ctx.Err() == nil {
		pause(ctx, failed.next())
		if w.finishOnce(ctx, []verdict{v}) == nil {
			return
		}
	}
	w.lose([]verdict{v})
}

// lose gives up on results.
func (w *Worker) lose(group []verdict) {
	for _, v := range group {
		w.count.lost.Add(1)
		w.opts.Log.Error("the result of an attempt is lost", slog.String("id", v.ID), slog.String("kind", string(v.State)))
		w.release(v.ID)
	}
}

func (w *Worker) freeSlot() { <-w.slots }

// renew extends all leases in good time until done is closed.
func (w *Worker) renew(ctx context.Context, done <-chan struct{}) {
	tick := time.NewTicker(w.opts.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		ids, batches := w.leased()
		if len(ids) == 0 {
			continue
		}
		begun := time.Now()
		asking, cancel := context.WithTimeout(ctx, w.opts.Lease/3)
		err := w.renewer.RenewMail(asking, w.opts.Owner, w.opts.Now(), w.opts.Lease, ids)
		cancel()
		if err != nil {
			w.storeFailed("renewing leases failed", err)
			continue // the batches end by themselves if this goes on
		}
		for _, b := range batches {
			if b.timer.Stop() {
				b.timer.Reset(w.opts.Lease - w.margin() - time.Since(begun))
			}
		}
	}
}

// leased returns all items held and their batches.
func (w *Worker) leased() (ids []string, batches []*batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[*batch]bool{}
	for id, p := range w.held {
		ids = append(ids, id)
		if !seen[p.batch] {
			seen[p.batch] = true
			batches = append(batches, p.batch)
		}
	}
	return ids, batches
}

// giveBack ends the leases of items that were not begun, so that another worker
// need not wait for them.
func (w *Worker) giveBack(ctx context.Context) {
	w.mu.Lock()
	ids := w.unsent
	w.mu.Unlock()
	if len(ids) == 0 || w.renewer == nil {
		return
	}
	if err := w.renewer.RenewMail(ctx, w.opts.Owner, w.opts.Now(), 0, ids); err != nil {
		w.storeFailed("giving back leases failed", err)
	}
}
