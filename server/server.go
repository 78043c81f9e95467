// Package server puts the HTTP faces behind one handler a listener, with the
// middleware in the one order that is right.
//
// It knows no route of any face and decides nothing.
//
//	request id ─▶ host allow-list ─▶ cross-origin check ─▶ routes ─▶ a face
package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"invited/server/metrics"
	"invited/server/problem"
	"invited/server/web"
	"invited/templates"
)

// Surface is one HTTP face.
type Surface interface {
	// Mount registers the face's routes on mux.
	Mount(mux *http.ServeMux)
}

// Options configures a listener's handler.
type Options struct {
	Log        *slog.Logger
	NewID      func() string                   // request ids
	Hosts      []string                        // names besides loopback that reach this listener
	WriteError web.ErrorWriter                 // words refusals of the middleware and unknown routes; required
	Ready      func(ctx context.Context) error // serves /livez and /readyz; nil: a face serves them itself
}

// Handler returns the handler of one listener with the given faces.
func Handler(o Options, surfaces ...Surface) (http.Handler, error) {
	mux := http.NewServeMux()
	for _, s := range surfaces {
		s.Mount(mux)
	}
	if o.Ready != nil {
		mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
		mux.Handle("GET /readyz", web.Wrap(o.Log, o.WriteError, readyz(o.Ready)))
	}
	mux.Handle("GET /assets/", assets())
	protect, err := web.CrossOrigin(o.Log, o.WriteError)
	if err != nil {
		return nil, err
	}
	h := protect(metrics.Route(mux))
	h = web.AllowHosts(o.Log, o.WriteError, o.Hosts...)(h)
	return web.RequestIDs(o.NewID)(h), nil
}

// readyz serves GET /readyz: 200 if everything that is needed answers.
func readyz(ready func(context.Context) error) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := ready(ctx); err != nil {
			return &problem.Error{
				Op: "server.readyz", Kind: problem.Unavailable, Reason: problem.Busy, RetryAfter: time.Second,
				Detail: "The storage does not answer.", Err: err,
			}
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
}

// assets serves the style sheet, icons and scripts.
func assets() http.Handler {
	files := http.StripPrefix("/assets/", http.FileServerFS(templates.Assets()))
	return web.Headers(web.HeaderOptions{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		files.ServeHTTP(w, r)
	}))
}

// NewHTTPServer returns a server with the limits every listener has.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
