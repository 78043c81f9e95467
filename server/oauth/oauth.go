// Package oauth is the OAuth 2 and OpenID Connect face: tokens for programs,
// discovery documents, and the keys that verify what this server signs.
//
// It answers in the manner of the Microsoft identity platform, so that its
// client libraries work unchanged, and names itself by whatever origin it was
// asked under: their checks compare the issuer with the address they used.
// Who may have a token is decided by package session; this package signs
// nothing and keeps nothing.
package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"invited/server/directory"
	"invited/server/problem"
	"invited/server/web"
)

// Handler serves the face. Every field but NotFound is required.
type Handler struct {
	Sessions   Sessions
	Tenants    Tenants
	AccessKeys Keys // of access tokens
	TicketKeys Keys // of the links in invitations
	Now        func() time.Time
	Log        *slog.Logger

	// NotFound answers what no face of the listener serves: this face owns
	// "/". Nil: an OAuth error.
	NotFound http.Handler
}

// Sessions gives programs their tokens. Why one is refused is a
// [session.Refusal] in the problem.
type Sessions interface {
	ClientCredentials(ctx context.Context, t directory.TenantID, clientID, secret, issuer string) (token string, lifetime time.Duration, err error)
}

// Tenants finds a tenant by id or verified domain, ignoring case.
type Tenants interface {
	TenantByName(ctx context.Context, idOrDomain string) (directory.Tenant, error)
	// Sole returns the tenant of a server that has one: what "common" means
	// there.
	Sole(ctx context.Context) (directory.Tenant, error)
}

// Keys publishes verification keys as a JWK Set (RFC 7517).
type Keys interface {
	JWKS() ([]byte, error)
}

// Mount registers the routes on mux. Most start with a tenant, which may be
// anything; such patterns would clash with the fixed ones of other faces, so
// they live in a mux of their own behind "/".
func (h *Handler) Mount(mux *http.ServeMux) {
	mux.Handle("GET /.well-known/jwks.json", h.wrap(h.writeError, h.getTicketKeys))
	mux.Handle("GET /metadata/endpoints", h.wrap(h.writeError, h.getEndpoints))
	mux.Handle("GET /common/discovery/instance", h.wrap(h.writeError, h.getInstance))
	own := http.NewServeMux()
	own.Handle("POST /{tenant}/oauth2/v2.0/token", h.wrap(h.writeTokenError, h.createToken))
	own.Handle("GET /{tenant}/v2.0/.well-known/openid-configuration", h.wrap(h.writeError, h.getConfiguration))
	own.Handle("GET /{tenant}/.well-known/openid-configuration", h.wrap(h.writeError, h.getConfiguration))
	own.Handle("GET /{tenant}/discovery/v2.0/keys", h.wrap(h.writeError, h.getAccessKeys))
	own.Handle("/", h.wrap(h.writeError, h.nothingHere(web.Fallback(own, "/"))))
	mux.Handle("/", own)
}

// wrap puts the middleware of this face before a handler.
func (h *Handler) wrap(write web.ErrorWriter, next web.Handler) http.Handler {
	return web.Headers(web.HeaderOptions{Policy: web.JSONPolicy})(web.Wrap(h.Log, write, next))
}

// nothingHere passes on what this face does not serve either.
func (h *Handler) nothingHere(fallback web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := fallback(w, r)
		if h.NotFound != nil && problem.Is(err, problem.NotFound) {
			h.NotFound.ServeHTTP(w, r)
			return nil
		}
		return err
	}
}

// tenant finds the tenant the path names. "common" and "organizations" mean
// the only tenant there is.
func (h *Handler) tenant(r *http.Request) (directory.Tenant, error) {
	switch name := r.PathValue("tenant"); name {
	case "common", "organizations":
		return h.Tenants.Sole(r.Context())
	default:
		return h.Tenants.TenantByName(r.Context(), name)
	}
}

// issuer is the "iss" of tokens of a tenant, as it is reached by r.
func issuer(r *http.Request, t directory.TenantID) string {
	return web.Origin(r) + "/" + string(t) + "/v2.0"
}

// writeError answers failures outside the token endpoint.
func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	h.write(w, r, p, describe(p, r))
}
