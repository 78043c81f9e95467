package imapd

import (
	"sync"
	"sync/atomic"

	"invited/mail/sink"
)

// hub tells views that their folder may have changed. One subscription serves
// all of them.
type hub struct {
	sink  *sink.Sink
	begin sync.Once
	end   sync.Once
	syncs chan chan struct{}
	quit  chan struct{}
	done  chan struct{}

	events  <-chan sink.Event // these are run's
	cancel  func()
	dropped bool

	mu    sync.Mutex
	views map[*watch]struct{}
}

// watch is what the hub knows of a view.
type watch struct {
	account string // as sink.Key has it
	dirty   atomic.Bool
	wake    chan struct{} // capacity 1

	mu  sync.Mutex
	ids map[string]struct{} // messages it shows
}

func newHub(s *sink.Sink) *hub {
	return &hub{sink: s, syncs: make(chan chan struct{}), quit: make(chan struct{}), done: make(chan struct{}), views: map[*watch]struct{}{}}
}

func (h *hub) start() {
	h.begin.Do(func() {
		h.events, h.cancel = h.sink.Subscribe()
		go h.run()
	})
}

func (h *hub) stop() {
	h.begin.Do(func() { close(h.done) }) // it never ran
	h.end.Do(func() { close(h.quit) })
	<-h.done
}

func (h *hub) add(w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.views[w] = struct{}{}
}

func (h *hub) remove(w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.views, w)
}

// sync returns when every change that was told before the call is known.
func (h *hub) sync() {
	c := make(chan struct{})
	select {
	case h.syncs <- c:
		<-c
	case <-h.done:
	}
}

func (h *hub) run() {
	defer close(h.done)
	defer func() { h.cancel() }()
	for {
		select {
		case e, ok := <-h.events:
			if !h.take(e, ok) {
				return
			}
		case waiting := <-h.syncs:
			alive := h.drain()
			close(waiting)
			if !alive {
				return
			}
		case <-h.quit:
			return
		}
	}
}

// drain takes all events there are. It reports false if there will be none.
func (h *hub) drain() bool {
	for {
		select {
		case e, ok := <-h.events:
			if !h.take(e, ok) {
				return false
			}
		default:
			return true
		}
	}
}

// take takes what was received from the subscription.
func (h *hub) take(e sink.Event, ok bool) bool {
	switch {
	case ok:
		h.dropped = h.dropped || e.Type == sink.Dropped
		h.handle(e)
		return true
	case h.dropped: // too slow: begin again
		h.dropped = false
		h.events, h.cancel = h.sink.Subscribe()
		h.handle(sink.Event{Type: sink.Refresh})
		return true
	default: // the sink is closed
		return false
	}
}

// handle marks the views an event is about.
func (h *hub) handle(e sink.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.views) == 0 {
		return
	}
	keys := map[string]bool{}
	if e.Message != nil {
		for _, r := range e.Message.Recipients {
			keys[sink.Key(r.Address)] = true
		}
	}
	for w := range h.views {
		switch e.Type {
		case sink.New, sink.Update, sink.Deleted:
			if !keys[w.account] && !w.shows(e.ID) {
				continue
			}
		}
		w.mark()
	}
}

func (w *watch) mark() {
	w.dirty.Store(true)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watch) shows(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.ids[id]
	return ok
}

func (w *watch) show(ids map[string]struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids = ids
}
