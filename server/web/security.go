package web

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"invited/server/problem"
)

// CSP is a Content-Security-Policy. Each field lists the sources of one
// directive; an empty one is left to default-src. The zero value allows
// nothing at all. Source: W3C Content Security Policy Level 3.
type CSP struct {
	Default []string // empty: 'none'
	Script  []string
	Style   []string
	Image   []string
	Font    []string
	Connect []string
	Frame   []string // what the page may show in frames
	// Form lists where forms may go. Browsers apply it to redirects of the
	// answer too, so a form whose answer leads to another site needs its origin.
	Form      []string // empty: 'none'
	Ancestors []string // who may show the page in a frame; empty: 'none'
	Sandbox   []string // nil: no sandbox; empty but not nil: everything is off
}

// Policies that fit most faces.
var (
	// JSONPolicy is for answers that are no pages.
	JSONPolicy = CSP{}
	// PagePolicy is for our own pages: files of ours, no inline script or style.
	PagePolicy = CSP{
		Script: []string{"'self'"}, Style: []string{"'self'"}, Image: []string{"'self'", "data:"},
		Font: []string{"'self'"}, Connect: []string{"'self'"}, Form: []string{"'self'"},
	}
)

// String returns the header's value.
func (c CSP) String() string {
	none := func(sources []string) []string {
		if len(sources) == 0 {
			return []string{"'none'"}
		}
		return sources
	}
	var b strings.Builder
	add := func(name string, sources []string) {
		if len(sources) == 0 {
			return
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(name)
		for _, s := range sources {
			b.WriteString(" " + s)
		}
	}
	add("default-src", none(c.Default))
	add("script-src", c.Script)
	add("style-src", c.Style)
	add("img-src", c.Image)
	add("font-src", c.Font)
	add("connect-src", c.Connect)
	add("frame-src", c.Frame)
	add("form-action", none(c.Form))
	add("frame-ancestors", none(c.Ancestors))
	add("base-uri", []string{"'none'"})
	if c.Sandbox != nil {
		b.WriteString("; " + strings.Join(append([]string{"sandbox"}, c.Sandbox...), " "))
	}
	return b.String()
}

// HeaderOptions configures [Headers].
type HeaderOptions struct {
	Policy CSP
	HSTS   time.Duration // Strict-Transport-Security over TLS; 0: not sent, so that a laptop's localhost stays usable over http
}

// Headers sets the headers that keep answers out of frames, caches, Referer
// fields and other sites' hands. A handler may replace any of them, for
// example Cache-Control for a file that never changes.
func Headers(o HeaderOptions) Middleware {
	fixed := map[string][]string{
		"Content-Security-Policy":      {o.Policy.String()},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Cache-Control":                {"no-store"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Permissions-Policy":           {"camera=(), geolocation=(), microphone=(), payment=()"},
	}
	if len(o.Policy.Ancestors) > 0 {
		delete(fixed, "X-Frame-Options") // frame-ancestors says it better
	}
	hsts := []string{"max-age=" + strconv.FormatInt(int64(o.HSTS/time.Second), 10)}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for name, value := range fixed {
				h[name] = value
			}
			if o.HSTS > 0 && Scheme(r) == "https" {
				h["Strict-Transport-Security"] = hsts
			}
			next.ServeHTTP(w, r)
		})
	}
}

// SetCSP replaces the policy of one answer.
func SetCSP(w http.ResponseWriter, c CSP) { w.Header().Set("Content-Security-Policy", c.String()) }

// CrossOrigin refuses requests with effect that a browser sends for another
// site, told by Sec-Fetch-Site and Origin. Requests of programs, which send
// neither, pass: they carry no cookies that a foreign page could use. Trusted
// origins are of the form https://host[:port].
func CrossOrigin(log *slog.Logger, write ErrorWriter, trusted ...string) (Middleware, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range trusted {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("web: trusted origin %q: %w", origin, err)
		}
	}
	protection.SetDenyHandler(Wrap(log, write, func(http.ResponseWriter, *http.Request) error {
		return &problem.Error{
			Op: "web.CrossOrigin", Kind: problem.Denied, Reason: problem.CrossSite,
			Detail: "This request came from a page of another site; open our own page and try again there.",
		}
	}))
	return protection.Handler, nil
}

// AllowHosts refuses requests whose Host header names none of our names, so
// that a foreign name that resolves to this machine (DNS rebinding) reaches
// nothing. An entry is a host name or IP address without port, "*.name" for
// every name below, or "*" for any. Loopback names and addresses are always
// ours.
func AllowHosts(log *slog.Logger, write ErrorWriter, hosts ...string) Middleware {
	names := map[string]bool{}
	var below []string
	for _, h := range hosts {
		h = strings.ToLower(strings.TrimSuffix(h, "."))
		if suffix, ok := strings.CutPrefix(h, "*."); ok {
			below = append(below, "."+suffix)
			continue
		}
		names[h] = true
	}
	allowed := func(host string) bool {
		if names["*"] || names[host] || loopbackName(host) {
			return true
		}
		for _, suffix := range below {
			if strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
				return true
			}
		}
		return false
	}
	refuse := Wrap(log, write, func(_ http.ResponseWriter, r *http.Request) error {
		return &problem.Error{
			Op: "web.AllowHosts", Kind: problem.Denied, Reason: problem.CrossSite, Field: "Host",
			Detail: "The Host header names no host of this server; use an address it was started with, or add the name to its list of hosts.",
		}
	})
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, ok := hostname(r.Host)
			if !ok || !allowed(host) {
				refuse.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// loopbackName reports whether host always means this machine.
func loopbackName(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
