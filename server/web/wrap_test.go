package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/problem"
	"invited/server/web"
)

// plain writes a failure as a face would.
func plain(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	_ = web.WriteJSON(w, web.Status(p.Kind), map[string]string{
		"kind": p.Kind.String(), "field": p.Field, "detail": p.Detail, "id": web.RequestID(r.Context()),
	})
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestWrap(t *testing.T) {
	const id = "0190d4c0-0000-7000-8000-000000000001"
	tests := []struct {
		name   string
		h      web.Handler
		status int
		body   string
		level  string
	}{
		{
			name: "a handler without failure answers for itself",
			h: func(w http.ResponseWriter, _ *http.Request) error {
				return web.WriteJSON(w, 201, map[string]int{"n": 1})
			},
			status: 201, body: `{"n":1}`,
		},
		{
			name: "a problem is answered by its kind and logged",
			h: func(http.ResponseWriter, *http.Request) error {
				return &problem.Error{Op: "x.Y", Kind: problem.Denied, Detail: "No."}
			},
			status: 403, body: `{"detail":"No.","field":"","id":"` + id + `","kind":"denied"}`, level: "INFO",
		},
		{
			name:   "an unclassified failure is internal and keeps its cause to itself",
			h:      func(http.ResponseWriter, *http.Request) error { return errors.New("disk on fire") },
			status: 500, body: `{"detail":"internal error","field":"","id":"` + id + `","kind":"internal"}`, level: "ERROR",
		},
		{
			name:   "a panic is internal",
			h:      func(http.ResponseWriter, *http.Request) error { panic("boo") },
			status: 500, body: `{"detail":"internal error","field":"","id":"` + id + `","kind":"internal"}`, level: "ERROR",
		},
		{
			name: "a value that cannot be encoded is answered as a failure",
			h: func(w http.ResponseWriter, _ *http.Request) error {
				return web.WriteJSON(w, 200, map[string]any{"f": func() {}})
			},
			status: 500, body: `{"detail":"internal error","field":"","id":"` + id + `","kind":"internal"}`, level: "ERROR",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines bytes.Buffer
			log := slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "/redeem?ticket=SECRET", nil)
			r.Header.Set("X-Request-Id", id)
			web.Wrap(log, plain, tt.h).ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code)
			require.JSONEq(t, tt.body, w.Body.String())
			require.Equal(t, id, w.Header().Get("X-Request-Id"))
			require.NotContains(t, lines.String(), "SECRET")
			if tt.level == "" {
				require.Empty(t, lines.String())
				return
			}
			var line map[string]any
			require.NoError(t, json.Unmarshal(lines.Bytes(), &line), "exactly one line")
			require.Equal(t, tt.level, line["level"])
			for _, key := range []string{"id", "method", "path", "op", "kind", "reason", "err"} {
				require.Contains(t, line, key)
			}
		})
	}
}

func TestWrapCutsAnAnswerThatFailsHalfway(t *testing.T) {
	s := httptest.NewServer(web.Wrap(discard(), plain, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		return errors.New("no more")
	}))
	defer s.Close()
	resp, err := http.Get(s.URL)
	if err == nil {
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
	}
	require.Error(t, err)
}

func TestWrapKeepsFlushing(t *testing.T) {
	w := httptest.NewRecorder()
	web.Wrap(discard(), plain, func(w http.ResponseWriter, _ *http.Request) error {
		return http.NewResponseController(w).Flush()
	}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.True(t, w.Flushed)
}

func TestWrapAnswersNobodyWhenTheClientLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	web.Wrap(discard(), plain, func(_ http.ResponseWriter, r *http.Request) error { return r.Context().Err() }).
		ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	require.Empty(t, w.Body.String())
}

func TestRequestID(t *testing.T) {
	const given, made = "0190D4C0-0000-7000-8000-00000000000A", "0190d4c0-0000-7000-8000-0000000000ff"
	tests := []struct {
		name, header, value, want string
	}{
		{"X-Request-Id is taken, in lower case", "X-Request-Id", given, "0190d4c0-0000-7000-8000-00000000000a"},
		{"client-request-id is taken", "client-request-id", given, "0190d4c0-0000-7000-8000-00000000000a"},
		{"what is no UUID is dropped", "X-Request-Id", "x\" level=ERROR", made},
		{"braces are dropped", "X-Request-Id", "{" + given + "}", made},
		{"none is made", "X-Other", "1", made},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set(tt.header, tt.value)
			w := httptest.NewRecorder()
			var got string
			h := web.RequestIDs(func() string { return made })(web.Wrap(discard(), plain, func(_ http.ResponseWriter, r *http.Request) error {
				got = web.RequestID(r.Context())
				return nil
			}))
			h.ServeHTTP(w, r)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want, w.Header().Get("X-Request-Id"))
		})
	}
}

func TestRetryAfterRoundsUp(t *testing.T) {
	w := httptest.NewRecorder()
	web.SetRetryAfter(w, 1500*time.Millisecond)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	w = httptest.NewRecorder()
	web.SetRetryAfter(w, 0)
	require.Empty(t, w.Header().Get("Retry-After"))
}

func TestFallback(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("POST /a/{id}", http.NotFoundHandler())
	mux.Handle("/a/", web.Wrap(discard(), plain, web.Fallback(mux, "/a/")))
	tests := []struct {
		name, method, path, allow string
		status                    int
	}{
		{"another method is served there", "GET", "/a/1", "POST", 405},
		{"nothing is there", "GET", "/a/1/2", "", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.allow, w.Header().Get("Allow"))
		})
	}
}

func TestEveryKindHasAStatus(t *testing.T) {
	for k := problem.Internal; k <= problem.NotImplemented; k++ {
		status := web.Status(k)
		require.GreaterOrEqual(t, status, 400, k.String())
		if k != problem.Internal {
			require.NotEqual(t, 500, status, k.String())
		}
	}
	require.Equal(t, 500, web.Status(200))
}

type row struct {
	ID   string `json:"id"`
	Mail string `json:"mail"`
	Type string `json:"userType"`
}

func BenchmarkWrapWriteJSON(b *testing.B) {
	v := row{"0190d4c0-0000-7000-8000-000000000001", "ana@fabrikam.example", "Guest"}
	h := web.Wrap(discard(), plain, func(w http.ResponseWriter, _ *http.Request) error { return web.WriteJSON(w, 200, v) })
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	w := &sinkWriter{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

func BenchmarkReadJSON(b *testing.B) {
	body := []byte(`{"id":"0190d4c0-0000-7000-8000-000000000001","mail":"ana@fabrikam.example","userType":"Guest"}`)
	reader := bytes.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("Content-Type", "application/json")
	r.Body = io.NopCloser(reader)
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		var v row
		if err := web.ReadJSON(r, &v); err != nil {
			b.Fatal(err)
		}
	}
}

// sinkWriter is a ResponseWriter that keeps nothing.
type sinkWriter struct{ header http.Header }

func (w *sinkWriter) Header() http.Header         { return w.header }
func (w *sinkWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *sinkWriter) WriteHeader(int)             {}
