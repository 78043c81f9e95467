package web

import (
	"context"
	"net/http"

	"github.com/google/uuid"
)

type requestIDKey struct{}

// newID makes an id where no [RequestIDs] stands in front.
func newID() string { return uuid.NewString() }

// RequestIDs gives every request an id before it reaches any handler, so that
// refusals of other middleware carry one too. newID makes UUIDs; nil means
// random ones.
func RequestIDs(make func() string) Middleware {
	if make == nil {
		make = newID
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, withRequestID(w, r, make))
		})
	}
}

// RequestID returns the id of the request that ctx belongs to, a lower-case
// UUID. It is empty outside [Wrap] and [RequestIDs].
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// withRequestID takes the id the client sent in X-Request-Id or
// client-request-id if it is a UUID, or makes one. It is answered in
// X-Request-Id. Anything but a UUID is dropped: ids go to logs and audit.
func withRequestID(w http.ResponseWriter, r *http.Request, make func() string) *http.Request {
	if RequestID(r.Context()) != "" {
		return r
	}
	id := canonicalUUID(r.Header.Get("X-Request-Id"))
	if id == "" {
		id = canonicalUUID(r.Header.Get("Client-Request-Id"))
	}
	if id == "" {
		id = make()
	}
	w.Header()["X-Request-Id"] = []string{id}
	return r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
}

// canonicalUUID returns s in lower case if it is a UUID in its usual form of
// 36 characters, and nothing otherwise.
func canonicalUUID(s string) string {
	if !IsUUID(s) {
		return ""
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return ""
	}
	return u.String()
}

// IsUUID reports whether s is a UUID in its usual form of 36 characters, in
// either case (RFC 9562 §4).
func IsUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}
