package metrics

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// durations are the bounds of the buckets of seconds.
var durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Requests measures what HTTP listeners answer.
type Requests struct {
	total    *Counter
	duration *Histogram
}

// NewRequests adds the families of HTTP to a registry.
func NewRequests(r *Registry) *Requests {
	return &Requests{
		total:    r.Counter("invited_http_requests_total", "Requests answered, by face, pattern of the route and status.", "face", "route", "status"),
		duration: r.Histogram("invited_http_request_duration_seconds", "Time to answer, by face and pattern of the route.", durations, "face", "route"),
	}
}

type routeKey struct{}

// Around measures a listener's handler. It is the outermost, so that refusals
// of middleware count, too; these have the route "none".
func (m *Requests) Around(face string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, route := time.Now(), ""
		s := &statusWriter{ResponseWriter: w}
		defer func() {
			if route == "" {
				route = "none"
			}
			status := "aborted"
			if s.status != 0 {
				status = strconv.Itoa(s.status)
			} else if r.Context().Err() == nil {
				status = "200"
			}
			m.total.Add(1, face, route, status)
			m.duration.Observe(time.Since(begun).Seconds(), face, route)
		}()
		next.ServeHTTP(s, r.WithContext(context.WithValue(r.Context(), routeKey{}, &route)))
	})
}

// Route tells [Requests.Around] which pattern of mux matched. Without it in
// front it does nothing.
func Route(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route, ok := r.Context().Value(routeKey{}).(*string); ok {
			defer func() { *route = r.Pattern }()
		}
		mux.ServeHTTP(w, r)
	})
}

// statusWriter remembers the status of the answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach flushing, hijacking and deadlines.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
