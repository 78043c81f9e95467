package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

type forwardedKey struct{}

// forwarded is what a trusted proxy said of the request it passed on.
type forwarded struct{ scheme, host string }

// BehindProxy believes X-Forwarded-Proto and X-Forwarded-Host of peers whose
// address is in trusted. Everybody else's are ignored.
func BehindProxy(trusted ...netip.Prefix) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !fromOneOf(r.RemoteAddr, trusted) {
				next.ServeHTTP(w, r)
				return
			}
			var f forwarded
			if p := strings.ToLower(r.Header.Get("X-Forwarded-Proto")); p == "http" || p == "https" {
				f.scheme = p
			}
			if h := r.Header.Get("X-Forwarded-Host"); validHost(h) {
				f.host = h
			}
			r = r.WithContext(context.WithValue(r.Context(), forwardedKey{}, f))
			if f.host != "" {
				r.Host = f.host
			}
			next.ServeHTTP(w, r)
		})
	}
}

// fromOneOf reports whether the peer's address lies in one of the prefixes.
func fromOneOf(remote string, prefixes []netip.Prefix) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, p := range prefixes {
		if p.Contains(peer.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// Scheme returns "https" or "http": how the client reached us.
func Scheme(r *http.Request) string {
	if f, ok := r.Context().Value(forwardedKey{}).(forwarded); ok && f.scheme != "" {
		return f.scheme
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// Origin returns scheme://host[:port] as the client reached us, for absolute
// URLs in answers. A Host header that is no host gives "http://localhost", so
// that nothing of it reaches an answer.
func Origin(r *http.Request) string {
	if !validHost(r.Host) {
		return Scheme(r) + "://localhost"
	}
	return Scheme(r) + "://" + r.Host
}

// hostname returns the host of a Host header in lower case, without port and
// brackets.
func hostname(value string) (string, bool) {
	if !validHost(value) {
		return "", false
	}
	host := value
	if h, _, err := net.SplitHostPort(value); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, ".")), host != ""
}

// validHost reports whether value has only characters of a host name, an IP
// literal and a port (RFC 3986 §3.2.2, without sub-delims and escapes).
func validHost(value string) bool {
	if value == "" || len(value) > 255 {
		return false
	}
	for i := range len(value) {
		c := value[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return true
}
