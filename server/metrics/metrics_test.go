package metrics_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/metrics"
)

func text(t *testing.T, r *metrics.Registry) string {
	t.Helper()
	var b bytes.Buffer
	_, err := r.WriteTo(&b)
	require.NoError(t, err)
	return b.String()
}

func TestTextFormat(t *testing.T) {
	var r metrics.Registry
	c := r.Counter("a_total", "Things.", "kind")
	c.Add(1, `quo"te\`+"\n")
	c.Add(2, "x")
	r.Counter("b_total", "Nothing yet.")
	h := r.Histogram("c_seconds", "Time.", []float64{0.5, 1}, "op")
	for _, v := range []float64{0.25, 0.5, 1, 7} {
		h.Observe(v, "get")
	}
	r.Value(metrics.GaugeKind, "d", "Now.", func() float64 { return 4 })
	require.Equal(t, `# HELP a_total Things.
# TYPE a_total counter
a_total{kind="quo\"te\\\n"} 1
a_total{kind="x"} 2
# HELP b_total Nothing yet.
# TYPE b_total counter
b_total 0
# HELP c_seconds Time.
# TYPE c_seconds histogram
c_seconds_bucket{op="get",le="0.5"} 2
c_seconds_bucket{op="get",le="1"} 3
c_seconds_bucket{op="get",le="+Inf"} 4
c_seconds_sum{op="get"} 8.75
c_seconds_count{op="get"} 4
# HELP d Now.
# TYPE d gauge
d 4
`, text(t, &r))
}

func TestAFamilyStopsGrowing(t *testing.T) {
	var r metrics.Registry
	c := r.Counter("a_total", "Things.", "kind")
	for i := range 2 * metrics.MaxSeries {
		c.Add(1, fmt.Sprint(i))
	}
	out := text(t, &r)
	require.Equal(t, metrics.MaxSeries+1, strings.Count(out, "a_total{"))
	require.Contains(t, out, fmt.Sprintf(`a_total{kind="other"} %d`, metrics.MaxSeries))
}

func TestRequestsAreCountedByPattern(t *testing.T) {
	var r metrics.Registry
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	mux.HandleFunc("GET /quiet", func(http.ResponseWriter, *http.Request) {})
	refuse := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Origin") != "" {
				http.Error(w, "no", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r.WithContext(r.Context())) // as middleware does
		})
	}
	h := metrics.NewRequests(&r).Around("web", refuse(metrics.Route(mux)))
	get := func(path, origin string) {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		h.ServeHTTP(httptest.NewRecorder(), req)
	}
	get("/users/ana@fabrikam.example", "")
	get("/users/bo@fabrikam.example", "")
	get("/quiet", "")
	get("/no/such/ana@fabrikam.example", "")
	get("/quiet", "https://evil.example")
	out := text(t, &r)
	require.Contains(t, out, `invited_http_requests_total{face="web",route="GET /users/{id}",status="418"} 2`)
	require.Contains(t, out, `invited_http_requests_total{face="web",route="GET /quiet",status="200"} 1`)
	require.Contains(t, out, `invited_http_requests_total{face="web",route="none",status="404"} 1`)
	require.Contains(t, out, `invited_http_requests_total{face="web",route="none",status="403"} 1`)
	require.Contains(t, out, `invited_http_request_duration_seconds_count{face="web",route="GET /users/{id}"} 2`)
	require.NotContains(t, out, "fabrikam")
}

func TestThePageShowsTheLastErrors(t *testing.T) {
	var r metrics.Registry
	var errs metrics.Errors
	var lines bytes.Buffer
	log := slog.New(errs.Handler(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelError})))
	log.Info("nothing of note")
	log.With(slog.String("op", "x")).Warn("disk <b>nearly</b> full", slog.Int("attempt", 3))
	log.Error("disk full")
	for range 40 {
		log.Debug("noise")
	}
	require.Equal(t, map[string]int{"warn": 1, "error": 1}, errs.Counts())
	require.Equal(t, 1, strings.Count(lines.String(), "\n"), "the level of the log holds")

	r.Value(metrics.GaugeKind, "invited_queue_messages", "Waiting.", func() float64 { return 2 })
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	mux := http.NewServeMux()
	(&metrics.Page{
		Registry: &r, Errors: &errs, Version: "1.2", Started: start, Now: func() time.Time { return start.Add(time.Hour) },
		Listeners: []metrics.Listener{{Name: "SMTP", Addr: "127.0.0.1:1025"}},
	}).Mount(mux)
	for path, want := range map[string][]string{
		"/debug/":       {"invited 1.2", "Up 1h0m0s", "goroutines", "127.0.0.1:1025", "invited_queue_messages 2", "disk &lt;b&gt;nearly&lt;/b&gt; full op=x attempt=3"},
		"/metrics":      {"invited_queue_messages 2"},
		"/debug/pprof/": {"goroutine"},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, http.StatusOK, w.Code, path)
		for _, s := range want {
			require.Contains(t, w.Body.String(), s, path)
		}
	}
}
