package web_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/web"
)

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

func TestCSP(t *testing.T) {
	tests := []struct {
		name string
		csp  web.CSP
		want string
	}{
		{"the zero value allows nothing", web.CSP{}, "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"},
		{
			"pages load our own files only", web.PagePolicy,
			"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		},
		{
			"a sandbox without freedoms is written bare", web.CSP{Image: []string{"data:", "cid:"}, Style: []string{"'unsafe-inline'"}, Sandbox: []string{}},
			"default-src 'none'; style-src 'unsafe-inline'; img-src data: cid:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; sandbox",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, tt.csp.String()) })
	}
}

func TestHeaders(t *testing.T) {
	h := web.Headers(web.HeaderOptions{Policy: web.PagePolicy, HSTS: time.Hour})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "DENY", w.Header().Get("X-Frame-Options"))
	require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
	require.Equal(t, "same-origin", w.Header().Get("Cross-Origin-Opener-Policy"))
	require.Equal(t, web.PagePolicy.String(), w.Header().Get("Content-Security-Policy"))
	require.Equal(t, "max-age=300", w.Header().Get("Cache-Control"), "a handler may say otherwise")
	require.Empty(t, w.Header().Get("Strict-Transport-Security"), "never over http")

	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.TLS = &tls.ConnectionState{}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, "max-age=3600", w.Header().Get("Strict-Transport-Security"))

	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, "max-age=300", w.Header().Get("Cache-Control"), "one answer does not change the next")
}

func TestCrossOrigin(t *testing.T) {
	protect, err := web.CrossOrigin(discard(), plain, "https://portal.contoso.example")
	require.NoError(t, err)
	tests := []struct {
		name, method string
		header       map[string]string
		status       int
	}{
		{"a form of our own page", "POST", map[string]string{"Sec-Fetch-Site": "same-origin"}, 204},
		{"a program", "POST", nil, 204},
		{"a form of another site", "POST", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"an old browser on another site", "POST", map[string]string{"Origin": "https://evil.example"}, 403},
		{"an old browser on our page", "POST", map[string]string{"Origin": "http://example.com"}, 204},
		{"a trusted origin", "POST", map[string]string{"Origin": "https://portal.contoso.example", "Sec-Fetch-Site": "cross-site"}, 204},
		{"reading has no effect and passes", "GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, 204},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/", nil)
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			protect(ok).ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code)
		})
	}
	_, err = web.CrossOrigin(discard(), plain, "portal")
	require.Error(t, err)
}

func TestAllowHosts(t *testing.T) {
	h := web.AllowHosts(discard(), plain, "Invite.Contoso.example", "*.lab.example", "192.0.2.7")(ok)
	tests := []struct {
		host   string
		status int
	}{
		{"invite.contoso.example", 204},
		{"INVITE.contoso.example:8443", 204},
		{"invite.contoso.example.:8443", 204},
		{"a.lab.example", 204},
		{"192.0.2.7:80", 204},
		{"localhost:8080", 204},
		{"tenant.localhost", 204},
		{"127.0.0.1:8080", 204},
		{"127.8.9.1", 204},
		{"[::1]:8080", 204},
		{"lab.example", 403},
		{"evillab.example", 403},
		{"rebind.example:8080", 403},
		{"192.0.2.8", 403},
		{"", 403},
		{"localhost/evil", 403},
		{"user@localhost", 403},
	}
	for _, tt := range tests {
		t.Run("host "+tt.host, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = tt.host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code)
		})
	}
}

func TestOrigin(t *testing.T) {
	proxies := web.BehindProxy(netip.MustParsePrefix("10.0.0.0/8"))
	tests := []struct {
		name, remote, host string
		tls                bool
		header             map[string]string
		want               string
	}{
		{name: "http with port", host: "127.0.0.1:8080", want: "http://127.0.0.1:8080"},
		{name: "https", host: "[::1]:8443", tls: true, want: "https://[::1]:8443"},
		{name: "a host that is none", host: `a"><b`, want: "http://localhost"},
		{name: "a stranger's forwarding is ignored", host: "a.example", remote: "192.0.2.1:5", header: map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}, want: "http://a.example"},
		{name: "a proxy's forwarding counts", host: "inner", remote: "10.1.2.3:5", header: map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "invite.example"}, want: "https://invite.example"},
		{name: "a proxy's nonsense is ignored", host: "inner", remote: "10.1.2.3:5", header: map[string]string{"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "a b"}, want: "http://inner"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = tt.host
			if tt.remote != "" {
				r.RemoteAddr = tt.remote
			}
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			var got string
			proxies(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = web.Origin(r) })).ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestBearer(t *testing.T) {
	tests := []struct{ name, header, want string }{
		{"a token", "Bearer abc.def", "abc.def"},
		{"the scheme in any case", "bEARER abc", "abc"},
		{"another scheme", "Basic abc", ""},
		{"no token", "Bearer ", ""},
		{"two tokens", "Bearer a b", ""},
		{"no header", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			got, err := web.Bearer(r)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want == "", err != nil)
		})
	}
}
