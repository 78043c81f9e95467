// Package api is the server's own JSON interface under /invited/v1: what
// Microsoft Graph has no word for. The fate of mails, resending and revoking,
// diagnosis, home organisations, redeeming without a browser, policies and
// keys.
//
// It translates and decides nothing. Its contract is openapi.json, served
// beside it; a test holds that the two name the same routes. Members a request
// does not know are refused, so that a misspelt one is not lost in silence.
// Failures have Graph's shape plus reason, remedy and docs.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/web"
	"invited/tokens"
)

// Handler serves the face. Its required fields are set before Mount.
type Handler struct {
	Invitations Invitations        // required
	Tenants     Tenants            // required
	Sessions    Sessions           // required
	Keys        Keys               // required; those of tickets
	Tenant      directory.TenantID // required; whose tokens the local credential mints
	Now         func() time.Time   // required
	Log         *slog.Logger       // required

	// NewSession returns 128 fresh random bits as text, for the sessions that
	// passcodes are bound to. Required.
	NewSession func() string

	// Advance moves the server's clock forward and returns the new time.
	// Nil: the clock cannot be moved, and there is no such route.
	Advance func(time.Duration) time.Time

	// Alarms lists the relays that refuse this server. Nil: nobody knows.
	Alarms func() []outbox.Alarm

	// Once makes a POST take effect once for each Idempotency-Key. Nil: the
	// header is ignored.
	Once func(web.Handler) web.Handler
}

// Invitations is what this face asks of package invite.
type Invitations interface {
	Mails
	Returns

	Create(ctx context.Context, actor directory.Actor, r invite.Request) (invite.Created, error)
	Resend(ctx context.Context, actor directory.Actor, ref string, edit invite.Edit) (invite.Created, error)
	Revoke(ctx context.Context, actor directory.Actor, ref string) (invite.Invitation, error)
	Get(ctx context.Context, actor directory.Actor, ref string) (invite.Details, error)
	List(ctx context.Context, actor directory.Actor, q invite.Query) ([]invite.Details, error)
	Deliveries(ctx context.Context, actor directory.Actor, id invite.ID) ([]invite.Delivery, error)
	Events(ctx context.Context, actor directory.Actor, id invite.ID, after string, limit int) ([]audit.Event, error)
	Diagnose(ctx context.Context, actor directory.Actor, ref string) (invite.Diagnosis, error)

	Open(ctx context.Context, tenant directory.TenantID, user, ticket string) (invite.Redemption, error)
	Accept(ctx context.Context, c invite.Claims, signedIn directory.Method) (invite.Redemption, error)
	Decline(ctx context.Context, c invite.Claims) (invite.Redemption, error)
	AskCode(ctx context.Context, c invite.Claims, session string) (invite.Redemption, error)
	TryCode(ctx context.Context, c invite.Claims, session, code, from string) (invite.Redemption, error)
	FailedLink(from string, refusal error) error
	Preflight(ctx context.Context, actor directory.Actor, email string) (invite.Preflight, error)
}

// Tenants is what this face asks of package tenant.
type Tenants interface {
	Tenant(ctx context.Context, actor directory.Actor) (directory.Tenant, error)
	Policy(ctx context.Context, actor directory.Actor) (directory.Policy, error)
	SetPolicy(ctx context.Context, actor directory.Actor, p directory.Policy) (directory.Policy, error)
	Home(ctx context.Context, actor directory.Actor, domain string) (directory.HomeTenant, error)
	HomeAccounts(ctx context.Context, actor directory.Actor, domain, after string, limit int) ([]string, error)
	ListHomes(ctx context.Context, actor directory.Actor, after string, limit int) ([]directory.HomeTenant, error)
	PutHome(ctx context.Context, actor directory.Actor, h directory.HomeTenant, add, remove []mail.Address) (directory.HomeTenant, error)
	ListGroups(ctx context.Context, actor directory.Actor, after directory.GroupID, limit int) ([]directory.Group, error)
	ListApps(ctx context.Context, actor directory.Actor, after directory.AppID, limit int) ([]directory.App, error)
}

// Sessions is what this face asks of package session.
type Sessions interface {
	Authenticate(ctx context.Context, bearer string) (directory.Actor, error)
	// IsLocal reports whether bearer is the local credential.
	IsLocal(bearer string) bool
	MintFor(ctx context.Context, t directory.TenantID, upn, issuer string) (token string, lifetime time.Duration, err error)
}

// Keys is a keyring as operators see it.
type Keys interface {
	List() []tokens.KeyInfo
	Rotate(now time.Time) error
}

// base is where the face lives.
const base = "/invited/v1"

// A route is one operation of the contract.
type route struct {
	method  string
	path    string // below base
	handler web.Handler
}

// routes returns every operation, in the order of openapi.json.
func (h *Handler) routes() []route {
	out := []route{
		{"GET", "/openapi.json", h.getContract},
		{"GET", "/invitations", h.listInvitations},
		{"POST", "/invitations", h.createInvitation},
		{"GET", "/invitations/{ref}", h.getInvitation},
		{"POST", "/invitations/{ref}/resend", h.resendInvitation},
		{"POST", "/invitations/{ref}/revoke", h.revokeInvitation},
		{"GET", "/invitations/{ref}/deliveries", h.listDeliveries},
		{"GET", "/invitations/{ref}/events", h.listEvents},
		{"GET", "/outbox", h.listOutbox},
		{"GET", "/outbox/{id}", h.getMail},
		{"POST", "/outbox/{id}/redrive", h.redriveMail},
		{"POST", "/bounces", h.receiveBounce},
		{"GET", "/suppressions", h.listSuppressions},
		{"POST", "/suppressions", h.addSuppression},
		{"DELETE", "/suppressions/{address}", h.liftSuppression},
		{"GET", "/guests/{ref}/diagnosis", h.getDiagnosis},
		{"POST", "/guests/{ref}/resend", h.resendInvitation},
		{"POST", "/guests/{ref}/revoke", h.revokeInvitation},
		{"POST", "/guests/{ref}/reset", h.resetGuest},
		{"GET", "/redemptions", h.getRedemption},
		{"POST", "/redemptions", h.createRedemption},
		{"POST", "/redemptions/codes", h.createCode},
		{"POST", "/preflight", h.preflight},
		{"GET", "/homes", h.listHomes},
		{"GET", "/homes/{domain}", h.getHome},
		{"PUT", "/homes/{domain}", h.putHome},
		{"GET", "/policy", h.getPolicy},
		{"PUT", "/policy", h.putPolicy},
		{"GET", "/groups", h.listGroups},
		{"GET", "/apps", h.listApps},
		{"GET", "/roles", h.listRoles},
		{"POST", "/token", h.createToken},
		{"GET", "/keys", h.listKeys},
		{"POST", "/keys/rotate", h.rotateKeys},
	}
	if h.Advance != nil {
		out = append(out, route{"POST", "/clock", h.advanceClock})
	}
	return out
}

// Mount registers the routes on mux.
func (h *Handler) Mount(mux *http.ServeMux) {
	headers := web.Headers(web.HeaderOptions{Policy: web.JSONPolicy})
	for _, r := range h.routes() {
		serve := r.handler
		if r.method == http.MethodPost && h.Once != nil {
			serve = h.Once(serve)
		}
		mux.Handle(r.method+" "+base+r.path, headers(web.Wrap(h.Log, h.writeError, serve)))
	}
	mux.Handle(base+"/", headers(web.Wrap(h.Log, h.writeError, web.Fallback(mux, base+"/", "/"))))
}

// actor authenticates the request.
func (h *Handler) actor(r *http.Request) (directory.Actor, error) {
	bearer, err := web.Bearer(r)
	if err != nil {
		return directory.Actor{}, err
	}
	actor, err := h.Sessions.Authenticate(r.Context(), bearer)
	actor.Correlation = web.RequestID(r.Context())
	return actor, err
}

// pageJSON is one page of a list.
type pageJSON[T any] struct {
	Value []T    `json:"value"`
	Next  string `json:"@odata.nextLink,omitempty"` // absolute URL; absent on the last page
}

// writePage answers with rows, of which the list read one more than fits if
// there is a next page.
func writePage[R, T any](w http.ResponseWriter, r *http.Request, p paging, rows []R, key func(R) string, show func(R) T) error {
	out := pageJSON[T]{Value: make([]T, 0, len(rows))}
	if len(rows) > p.top {
		rows = rows[:p.top]
		out.Next = web.NextLink(r, web.SkipToken(p.scope, key(rows[p.top-1])))
	}
	for _, row := range rows {
		out.Value = append(out.Value, show(row))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// when returns a time as answers show it: null if it has not come.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// list returns an empty list instead of null.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
