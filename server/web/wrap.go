package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"invited/server/problem"
)

// Wrap turns h into an [http.Handler]. It gives the request an id (see
// [RequestID]), recovers panics, logs a failure once, and lets write answer
// it. A failure after the answer has begun cannot be told any more: it is
// logged and the connection is cut, so that the client sees a broken answer
// instead of a short one.
func Wrap(log *slog.Logger, write ErrorWriter, h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = withRequestID(w, r, newID)
		rec := &recorder{ResponseWriter: w}
		err := call(h, rec, r)
		if err == nil {
			return
		}
		p := problem.Of(err)
		logFailure(log, r, p, err)
		if rec.began {
			panic(http.ErrAbortHandler)
		}
		if gone(r, err) {
			return
		}
		SetRetryAfter(w, p.RetryAfter)
		write(w, r, p)
	})
}

// call runs h and turns a panic into a failure. http.ErrAbortHandler keeps its
// meaning.
func call(h Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(v)
		}
		err = &problem.Error{
			Op: "web.Wrap", Kind: problem.Internal, Detail: "internal error",
			Err: fmt.Errorf("panic: %v\n%s", v, debug.Stack()),
		}
	}()
	return h(w, r)
}

// gone reports whether the failure is only that the client went away.
func gone(r *http.Request, err error) bool {
	return r.Context().Err() != nil && errors.Is(err, context.Canceled)
}

// logFailure writes one line with the fixed keys. The query string is never
// logged: links carry their tickets there.
func logFailure(log *slog.Logger, r *http.Request, p *problem.Error, err error) {
	if log == nil {
		return
	}
	level := slog.LevelDebug
	switch p.Kind {
	case problem.Internal:
		level = slog.LevelError
	case problem.Unavailable, problem.Full:
		level = slog.LevelWarn
	case problem.Unauthenticated, problem.Denied, problem.Gone, problem.TooMany:
		level = slog.LevelInfo
	}
	if gone(r, err) {
		level = slog.LevelDebug
	}
	log.LogAttrs(r.Context(), level, "request failed",
		slog.String("id", RequestID(r.Context())),
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.String("op", p.Op),
		slog.String("kind", p.Kind.String()),
		slog.String("reason", string(p.Reason)),
		slog.String("err", err.Error()),
	)
}

// SetRetryAfter states in whole seconds, rounded up, when to try again. Zero
// states nothing.
func SetRetryAfter(w http.ResponseWriter, d time.Duration) {
	if d <= 0 {
		return
	}
	seconds := (d + time.Second - 1) / time.Second
	w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
}

// recorder remembers whether the answer has begun.
type recorder struct {
	http.ResponseWriter
	began bool
}

// WriteHeader implements http.ResponseWriter. Informational answers do not
// begin the final one.
func (w *recorder) WriteHeader(status int) {
	if status >= 200 {
		w.began = true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	w.began = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach flushing, hijacking and deadlines.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
