// Package graph is the Microsoft-Graph-compatible face: invitations, users,
// deleted items and the organisation, under /v1.0 and /beta, with or without a
// tenant segment, in the shapes that unmodified Graph clients expect.
//
// It translates and decides nothing: who may do what, and what an invitation
// means, is the services' business. It answers only what it can answer right;
// a query option or property it does not know is refused by name.
//
//	/v1.0/[tenant/]users?$filter=… ─▶ route ─▶ parse ─▶ plan ─▶ index query ─▶ residual filter ─▶ page
package graph

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/tenant"
	"invited/server/web"
)

// Handler serves the face. Its required fields are set before Mount.
type Handler struct {
	Sessions    Sessions         // required
	Invitations Invitations      // required
	Tenants     Tenants          // required
	Now         func() time.Time // required
	Log         *slog.Logger     // required

	// Once makes a POST take effect once for each Idempotency-Key. Nil: the
	// header is ignored.
	Once func(web.Handler) web.Handler
}

// Sessions turns a bearer token into who is asking.
type Sessions interface {
	Authenticate(ctx context.Context, bearer string) (directory.Actor, error)
}

// Invitations is what of invitations Graph has a word for.
type Invitations interface {
	Create(ctx context.Context, actor directory.Actor, r invite.Request) (invite.Created, error)
}

// Tenants is what of the tenant Graph shows.
type Tenants interface {
	Tenant(ctx context.Context, actor directory.Actor) (directory.Tenant, error)
	User(ctx context.Context, actor directory.Actor, id directory.UserID) (directory.User, error)
	UserByUPN(ctx context.Context, actor directory.Actor, upn string) (directory.User, error)
	ListUsers(ctx context.Context, actor directory.Actor, q tenant.UserQuery) ([]directory.User, error)
	UpdateUser(ctx context.Context, actor directory.Actor, id directory.UserID, p tenant.Patch) (directory.User, error)
	DeleteUser(ctx context.Context, actor directory.Actor, id directory.UserID) error
	RestoreUser(ctx context.Context, actor directory.Actor, id directory.UserID) (directory.User, error)
	PurgeUser(ctx context.Context, actor directory.Actor, id directory.UserID) error
}

// Mount registers the routes on mux.
func (h *Handler) Mount(mux *http.ServeMux) {
	t := newTable([]route{
		{"POST", "invitations", h.once(h.createInvitation)},
		{"GET", "organization", h.listOrganizations},
		{"GET", "organization/{id}", h.getOrganization},
		{"GET", "me", h.getMe},
		{"GET", "users", h.listUsers},
		{"GET", "users/$count", h.countUsers},
		{"GET", "users/{id}", h.getUser},
		{"PATCH", "users/{id}", h.updateUser},
		{"DELETE", "users/{id}", h.deleteUser},
		{"GET", "users/{id}/manager", h.getManager},
		{"GET", "directory/deletedItems/microsoft.graph.user", h.listDeletedUsers},
		{"GET", "directory/deletedItems/graph.user", h.listDeletedUsers},
		{"GET", "directory/deletedItems/{id}", h.getDeletedItem},
		{"DELETE", "directory/deletedItems/{id}", h.purgeDeletedItem},
		{"POST", "directory/deletedItems/{id}/restore", h.once(h.restoreDeletedItem)},
	})
	serve := web.Headers(web.HeaderOptions{Policy: web.JSONPolicy})(web.Wrap(h.Log, h.writeError, t.serve))
	mux.Handle("/v1.0/", serve)
	mux.Handle("/beta/", serve)
}

// once applies the idempotency hook.
func (h *Handler) once(next web.Handler) web.Handler {
	if h.Once == nil {
		return next
	}
	return h.Once(next)
}

// actor authenticates the request. A tenant segment in the path must name the
// token's own tenant; any other does not exist for its bearer.
func (h *Handler) actor(r *http.Request) (directory.Actor, error) {
	const op = "graph.actor"
	bearer, err := web.Bearer(r)
	if err != nil {
		return directory.Actor{}, err
	}
	actor, err := h.Sessions.Authenticate(r.Context(), bearer)
	if err != nil {
		return directory.Actor{}, err
	}
	actor.Correlation = web.RequestID(r.Context())
	segment := r.PathValue(tenantKey)
	if segment == "" || strings.EqualFold(segment, "myorganization") || strings.EqualFold(segment, string(actor.Tenant)) {
		return actor, nil
	}
	t, err := h.Tenants.Tenant(r.Context(), actor)
	if err != nil {
		return directory.Actor{}, err
	}
	for _, domain := range t.Domains {
		if strings.EqualFold(domain, segment) {
			return actor, nil
		}
	}
	return directory.Actor{}, &problem.Error{
		Op: op, Kind: problem.NotFound, Reason: problem.Missing, Field: tenantKey,
		Detail: "The tenant named in the path is not the one of the access token.",
	}
}
