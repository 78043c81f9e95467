package mailpit

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"invited/server/problem"
	"invited/server/web"
)

// OneLogin returns a [Handler].Login that lets one user in. How long it takes
// tells nothing about either word.
func OneLogin(user, password string) func(user, password string) bool {
	wantUser, wantPassword := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	return func(user, password string) bool {
		gotUser, gotPassword := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
		return subtle.ConstantTimeCompare(wantUser[:], gotUser[:])&subtle.ConstantTimeCompare(wantPassword[:], gotPassword[:]) == 1
	}
}

// RequireLogin lets through who logs in by HTTP basic authentication (RFC 7617)
// as Login says, and probes of GET /livez and /readyz. The routes of this face
// stand behind it; a listener with other pages puts those behind it too.
func (h *Handler) RequireLogin(next http.Handler) http.Handler {
	if h.Login == nil {
		return next
	}
	refuse := web.Wrap(h.Log, h.writeError, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("WWW-Authenticate", `Basic realm="Captured mail", charset="UTF-8"`)
		return &problem.Error{
			Op: "mailpit.RequireLogin", Kind: problem.Unauthenticated, Reason: problem.TokenInvalid, Field: "Authorization",
			Detail: "Log in with user name and password.",
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, given := r.BasicAuth()
		switch {
		case r.URL.Path == "/livez", r.URL.Path == "/readyz", given && h.Login(user, password):
			next.ServeHTTP(w, r)
		default:
			refuse.ServeHTTP(w, r)
		}
	})
}
