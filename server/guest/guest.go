// Package guest is the face an invited person sees: the link in the mail,
// signing in, Review permissions, My Apps, and a page for every way it can
// fail.
//
// It translates between HTTP and package invite and decides nothing. No GET
// has an effect: mail scanners open every link, so only a POST that a person
// caused changes anything. The ticket is read once, from the link, and never
// appears in another URL, a log or a page; what the browser keeps is a sealed
// cookie.
//
//	GET /redeem?…ticket ──303──▶ /redeem/signin ──POST──▶ /redeem/review ──POST accept──▶ /myapps
//	                     └─ no sign-in needed ───────────────────┘        └─ or /redeem/leave
package guest

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/session"
	"invited/server/web"
	"invited/templates"
)

// Invitations is what this face asks of package invite.
type Invitations interface {
	Open(ctx context.Context, tenant directory.TenantID, user, ticket string) (invite.Redemption, error)
	Resume(ctx context.Context, c invite.Claims) (invite.Redemption, error)
	Accept(ctx context.Context, c invite.Claims, signedIn directory.Method) (invite.Redemption, error)
	Decline(ctx context.Context, c invite.Claims) (invite.Redemption, error)
	Viewed(c invite.Claims, automated bool)
	RequestNewLink(ctx context.Context, tenant directory.TenantID, address string) error
	AskCode(ctx context.Context, c invite.Claims, session string) (invite.Redemption, error)
	TryCode(ctx context.Context, c invite.Claims, session, code, from string) (invite.Redemption, error)
	FailedLink(from string, refusal error) error
	OpenBlock(ctx context.Context, ticket string) (invite.Blocking, error)
	ResumeBlock(ctx context.Context, c invite.Claims) (invite.Blocking, error)
	Block(ctx context.Context, c invite.Claims) (invite.Blocking, error)
	AskUnblockCode(ctx context.Context, c invite.Claims, session string) (invite.Blocking, error)
	Unblock(ctx context.Context, c invite.Claims, session, code, from string) (invite.Blocking, error)
	MyApps(ctx context.Context, tenant directory.TenantID, user directory.UserID) ([]directory.App, directory.User, directory.Tenant, error)
}

// Cookies seals what the browser keeps between two pages.
type Cookies interface {
	SealCookie(session.Guest) (string, error)
	OpenCookie(string) (session.Guest, error)
}

// Handler serves the guest's pages. Every field is required but Language.
type Handler struct {
	Invitations Invitations
	Cookies     Cookies
	Tenant      directory.TenantID // of "ask for a new link", when no session names one
	Now         func() time.Time
	NewCSRF     func() string // 128 fresh random bits, for form tokens and ids of sessions
	Log         *slog.Logger
	Language    string // of the tenant, asked after Accept-Language

	routes *http.ServeMux // set by Mount
}

// Mount registers the routes on mux. The patterns carry no method where the
// answer to another method should be a page too.
func (h *Handler) Mount(mux *http.ServeMux) {
	mux.Handle("GET /redeem", h.handle(h.openLink))
	mux.Handle("GET /redeem/{$}", h.handle(h.openLink))
	mux.Handle("GET /redeem/signin", h.handle(h.showSignIn))
	mux.Handle("POST /redeem/signin", h.handle(h.signIn))
	mux.Handle("GET /redeem/code", h.handle(h.showCode))
	mux.Handle("POST /redeem/code", h.handle(h.checkCode))
	mux.Handle("POST /redeem/code/new", h.handle(h.askCode))
	mux.Handle("GET /redeem/review", h.handle(h.showReview))
	mux.Handle("POST /redeem/accept", h.handle(h.accept))
	mux.Handle("POST /redeem/cancel", h.handle(h.cancel))
	mux.Handle("GET /redeem/declined", h.handle(h.showDeclined))
	mux.Handle("GET /redeem/leave", h.handle(h.showLeave))
	mux.Handle("GET /redeem/new-link", h.handle(h.showNewLink))
	mux.Handle("POST /redeem/new-link", h.handle(h.sendNewLink))
	mux.Handle("GET /myapps", h.handle(h.showMyApps))
	mux.Handle("POST /signout", h.handle(h.signOut))
	mux.Handle("GET /signedout", h.handle(h.showSignedOut))
	mux.Handle("GET /{$}", h.handle(h.showStart))
	h.mountBlock(mux)
	h.routes = mux
}

// handle wraps a handler with the page policy and the refusal page.
func (h *Handler) handle(f web.Handler) http.Handler {
	inner := web.Wrap(h.Log, h.writeError, f)
	return web.Headers(web.HeaderOptions{Policy: web.PagePolicy})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), factsKey{}, &refusalFacts{})))
	}))
}

// WriteError writes a failure as a page, for middleware in front of this face.
func (h *Handler) WriteError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	h.writeError(w, r, p)
}

// NotFound answers what nobody serves, or not by this method, with a page that
// says so. It is for the face that owns "/".
func (h *Handler) NotFound() http.Handler {
	return h.handle(func(w http.ResponseWriter, r *http.Request) error {
		return web.Fallback(h.routes, "/")(w, r)
	})
}

// language picks the language of the pages.
func (h *Handler) language(r *http.Request) string {
	return templates.Match(r.Header.Get("Accept-Language"), h.Language)
}

// render writes a page with a status. HEAD gets the headers only.
func (h *Handler) render(w http.ResponseWriter, r *http.Request, status int, p templates.Page) error {
	var b strings.Builder
	if err := templates.Render(&b, h.language(r), p); err != nil {
		return &problem.Error{Op: "guest.render", Kind: problem.Internal, Detail: "internal error", Err: err}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", h.language(r))
	w.Header().Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write([]byte(b.String()))
	return err
}

// page fills what every page has.
func (h *Handler) page(r *http.Request, headingKey string, t directory.Tenant, csrf string) templates.Guest {
	return templates.Guest{
		Heading:      templates.Text(h.language(r), headingKey),
		Organization: templates.Organization{Name: t.DisplayName, Domain: t.PrimaryDomain},
		CSRF:         csrf,
	}
}

// newLinkReasons are the refusals after which a new link may help.
var newLinkReasons = map[problem.Reason]bool{
	problem.LinkInvalid: true, problem.LinkExpired: true, problem.LinkReplaced: true, problem.SessionExpired: true,
}

// retryReasons are the refusals that a change elsewhere may lift, so that the
// same link is worth trying again.
var retryReasons = map[problem.Reason]bool{
	problem.JITDisabled: true, problem.HomeFederated: true, problem.NoSignIn: true, problem.DomainBlocked: true,
}

// writeError writes a refusal as a page that names the reason and the remedy.
func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	reason := p.Reason
	status := web.Status(p.Kind)
	if reason == problem.NoReason {
		reason = problem.Busy
		if p.Kind == problem.NotFound || p.Kind == problem.MethodNotAllowed {
			reason = problem.Missing
		}
	}
	known := facts(r)
	words := templates.ReasonFor(h.language(r), string(reason),
		"address", known.address, "domain", known.domain, "organization", known.organization.Name,
		"retry", p.RetryAfter.Round(time.Second), "detail", p.Detail)
	page := templates.RefusedPage{
		Guest: templates.Guest{Heading: words.Title, Organization: known.organization}, Reason: words,
		Code: string(reason), RequestID: web.RequestID(r.Context()), OfferLink: newLinkReasons[reason],
	}
	if retryReasons[reason] {
		page.Retry = "/redeem/review"
	}
	if err := h.render(w, r, status, page); err != nil {
		http.Error(w, words.Title, status)
	}
}

// refusalFacts are the names a refusal page may mention. They come from the
// sealed cookie's rows, never from the URL.
type refusalFacts struct {
	organization    templates.Organization
	address, domain string
}

type factsKey struct{}

// remember keeps names for the refusal page of this request.
func remember(r *http.Request, red invite.Redemption) {
	f, ok := r.Context().Value(factsKey{}).(*refusalFacts)
	if !ok {
		return
	}
	f.organization = templates.Organization{Name: red.Tenant.DisplayName, Domain: red.Tenant.PrimaryDomain}
	f.address, f.domain = red.Invitation.Email.String(), red.Invitation.Email.Domain
}

// facts returns what was remembered.
func facts(r *http.Request) refusalFacts {
	if f, ok := r.Context().Value(factsKey{}).(*refusalFacts); ok {
		return *f
	}
	return refusalFacts{}
}
