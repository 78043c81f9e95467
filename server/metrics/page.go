package metrics

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"
	"time"
)

// Page is what GET /debug/ shows. Every field is required.
type Page struct {
	Registry  *Registry
	Errors    *Errors
	Version   string
	Started   time.Time
	Now       func() time.Time
	Listeners []Listener
}

// Listener is a port and what it is for.
type Listener struct{ Name, Addr string }

// Mount registers the routes on mux. They are for people and programs on this
// machine: profiles show what is in memory, and with it keys and mail.
func (p *Page) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /metrics", p.getMetrics)
	mux.HandleFunc("GET /debug/{$}", p.getDebug)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /{$}", http.RedirectHandler("/debug/", http.StatusFound))
}

// getMetrics serves GET /metrics.
func (p *Page) getMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = p.Registry.WriteTo(w)
}

var page = template.Must(template.New("debug").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>invited {{.Version}}</title>
<style>body{font:14px/1.5 system-ui,sans-serif;margin:2rem;max-width:70rem}td,th{text-align:left;padding:.1rem 1rem .1rem 0;vertical-align:top}pre{white-space:pre-wrap;overflow-wrap:anywhere}</style></head><body>
<h1>invited {{.Version}}</h1>
<p>Up {{.Uptime}} since {{.Started}}. {{.Goroutines}} goroutines, {{.Heap}} of heap in use, {{.System}} from the system.
<a href="/metrics">Metrics</a>, <a href="/debug/pprof/">profiles</a>.</p>
<h2>Listeners</h2>
<table>{{range .Listeners}}<tr><th>{{.Name}}</th><td>{{.Addr}}</td></tr>{{end}}</table>
<h2>Queue</h2>
<pre>{{.Queue}}</pre>
<h2>Last errors</h2>
{{if .Errors}}<table>{{range .Errors}}<tr><td>{{.At.UTC.Format "2006-01-02 15:04:05"}}</td><td>{{.Level}}</td><td>{{.Text}}</td></tr>{{end}}</table>{{else}}<p>None.</p>{{end}}
</body></html>
`))

// getDebug serves GET /debug/.
func (p *Page) getDebug(w http.ResponseWriter, _ *http.Request) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = page.Execute(w, map[string]any{
		"Version": p.Version, "Started": p.Started.UTC().Format(time.RFC3339), "Uptime": p.Now().Sub(p.Started).Round(time.Second),
		"Goroutines": runtime.NumGoroutine(), "Heap": mebibytes(mem.HeapInuse), "System": mebibytes(mem.Sys - mem.HeapReleased),
		"Listeners": p.Listeners, "Queue": p.queue(), "Errors": p.Errors.Last(),
	})
}

// queue returns the lines of the metrics that are about mail waiting and sent.
func (p *Page) queue() string {
	var all, out strings.Builder
	_, _ = p.Registry.WriteTo(&all)
	for l := range strings.Lines(all.String()) {
		if strings.HasPrefix(l, "invited_queue_") || strings.HasPrefix(l, "invited_mail_") {
			out.WriteString(l)
		}
	}
	return out.String()
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
