package metrics

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// keptErrors is how many errors the page shows.
const keptErrors = 30

// Errors keeps the last warnings and errors of a log. The zero value is ready;
// it is safe for concurrent use.
type Errors struct {
	mu    sync.Mutex
	last  []LoggedError
	count map[string]int
}

// LoggedError is one line of the log.
type LoggedError struct {
	At    time.Time
	Level string
	Text  string // message and attributes
}

// Handler returns a log handler that keeps what h gets.
func (e *Errors) Handler(h slog.Handler) slog.Handler { return keeper{Handler: h, to: e} }

// Last returns what was kept, newest first.
func (e *Errors) Last() []LoggedError {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := slices.Clone(e.last)
	slices.Reverse(out)
	return out
}

// Counts returns how many lines of each level there were.
func (e *Errors) Counts() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]int{"warn": 0, "error": 0}
	for k, n := range e.count {
		out[k] = n
	}
	return out
}

func (e *Errors) keep(l LoggedError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count == nil {
		e.count = map[string]int{}
	}
	e.count[l.Level]++
	if len(e.last) == keptErrors {
		e.last = slices.Delete(e.last, 0, 1)
	}
	e.last = append(e.last, l)
}

// keeper is the handler.
type keeper struct {
	slog.Handler
	to    *Errors
	attrs string
}

// Enabled implements slog.Handler: warnings are kept even if nobody logs them.
func (k keeper) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || k.Handler.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (k keeper) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		var b strings.Builder
		b.WriteString(r.Message + k.attrs)
		r.Attrs(func(a slog.Attr) bool {
			b.WriteString(" " + a.String())
			return b.Len() < 2<<10
		})
		level := "warn"
		if r.Level >= slog.LevelError {
			level = "error"
		}
		text := b.String()
		if len(text) > 2<<10 {
			text = text[:2<<10] + "…"
		}
		k.to.keep(LoggedError{r.Time, level, text})
	}
	if !k.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return k.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (k keeper) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		k.attrs += " " + a.String()
	}
	k.Handler = k.Handler.WithAttrs(attrs)
	return k
}

// WithGroup implements slog.Handler.
func (k keeper) WithGroup(name string) slog.Handler {
	k.Handler = k.Handler.WithGroup(name)
	return k
}
