package main

import (
	"net"
	"net/http"
	"runtime"
	"time"

	"invited/server"
	"invited/server/metrics"
	"invited/server/problem"
	"invited/server/web"
)

// openAdmin builds the listener for those who run the server, if they asked for
// it, and measures the others.
func (a *app) openAdmin() {
	if a.adminListener == nil {
		return
	}
	w, started := a.watch, time.Now()
	w.watchSink(a.smtp)
	a.sinkWeb.Handler = w.requests.Around("sink", a.sinkWeb.Handler)
	if a.web != nil {
		a.web.Handler = w.requests.Around("web", a.web.Handler)
		w.watchQueue(a.store, a.clock.Now)
		w.watchMail(a.worker, &a.alarms)
	}
	w.watchProcess(started)
	page := &metrics.Page{
		Registry: &w.registry, Errors: &w.errors, Version: versionText(), Started: started, Now: time.Now, Listeners: a.listeners(),
	}
	mux := http.NewServeMux()
	page.Mount(mux)
	refuse := func(w http.ResponseWriter, _ *http.Request, p *problem.Error) {
		http.Error(w, p.Detail, web.Status(p.Kind))
	}
	a.admin = server.NewHTTPServer(web.AllowHosts(a.log, refuse)(mux), a.log)
}

// adminURL is where metrics and state are reached; empty: nowhere.
func (a *app) adminURL() string {
	if a.adminListener == nil {
		return ""
	}
	return "http://" + a.adminListener.Addr().String()
}

// listeners lists the ports that are open.
func (a *app) listeners() []metrics.Listener {
	var out []metrics.Listener
	for _, l := range []struct {
		name string
		net.Listener
	}{
		{"pages and API", a.webListener}, {"the same, TLS", a.tlsListener}, {"caught mail", a.sinkListener}, {"SMTP", a.smtpListener},
		{"SMTPS", a.smtpsListener}, {"LMTP", a.lmtpListener}, {"IMAP", a.imapListener}, {"POP3", a.pop3Listener}, {"admin", a.adminListener},
	} {
		if l.Listener != nil {
			out = append(out, metrics.Listener{Name: l.name, Addr: l.Addr().String()})
		}
	}
	return out
}

// watchProcess adds what there is to say of the process.
func (w *watch) watchProcess(started time.Time) {
	r := &w.registry
	r.Func(metrics.GaugeKind, "invited_build_info", "1, with the version.", []string{"version", "go"}, func(emit func(float64, ...string)) {
		emit(1, versionText(), runtime.Version())
	})
	r.Value(metrics.GaugeKind, "process_start_time_seconds", "When the process started, in seconds since 1970.", func() float64 {
		return float64(started.UnixMilli()) / 1000
	})
	r.Value(metrics.GaugeKind, "go_goroutines", "Goroutines there are.", func() float64 { return float64(runtime.NumGoroutine()) })
	r.Func(metrics.GaugeKind, "invited_memory_bytes", "Memory: heap in use, and all that the system gave.", []string{"kind"}, func(emit func(float64, ...string)) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		emit(float64(m.HeapInuse), "heap")
		emit(float64(m.Sys-m.HeapReleased), "system")
	})
	r.Func(metrics.CounterKind, "invited_log_lines_total", "Lines of the log at the levels that need somebody.", []string{"level"}, func(emit func(float64, ...string)) {
		counts := w.errors.Counts()
		emit(float64(counts["error"]), "error")
		emit(float64(counts["warn"]), "warn")
	})
}
