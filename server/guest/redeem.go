package guest

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/session"
	"invited/server/web"
	"invited/templates"
)

// sessionLifetime is how long a guest may take from the click to My Apps.
const sessionLifetime = time.Hour

// openLink serves GET and HEAD /redeem: it checks the link, keeps who it was
// for in a sealed cookie, and sends the browser to a page without the ticket.
func (h *Handler) openLink(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	red, err := h.Invitations.Open(r.Context(), directory.TenantID(q.Get("tenant")), q.Get("user"), q.Get("ticket"))
	remember(r, red)
	if red.Claims.Invitation != "" {
		h.Invitations.Viewed(red.Claims, automated(r))
	}
	// A link that may work later keeps its session, so that "try again" needs
	// no ticket in the address bar. A dead one is told here.
	if err != nil && !retryReasons[problem.Of(err).Reason] {
		return h.Invitations.FailedLink(web.ClientNetwork(r), err)
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Location", "/redeem/review")
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	s := session.Guest{
		ID: h.sessionID(r, red), Tenant: red.Claims.Tenant, User: red.Claims.User, Invitation: string(red.Claims.Invitation),
		Generation: red.Claims.Generation, JTI: red.Claims.JTI, Issued: red.Claims.Issued, LinkExpires: red.Claims.Expires,
		CSRF: h.NewCSRF(), Expires: h.Now().Add(sessionLifetime),
	}
	if err := h.setCookie(w, r, s); err != nil {
		return err
	}
	http.Redirect(w, r, "/redeem/review", http.StatusSeeOther)
	return nil
}

// sessionID returns the id of the session a link begins. Whoever opens the same
// link again goes on with theirs: the code they asked for is still good.
func (h *Handler) sessionID(r *http.Request, red invite.Redemption) string {
	if s, err := h.session(r); err == nil && s.ID != "" && s.Tenant == red.Claims.Tenant && s.Invitation == string(red.Claims.Invitation) {
		return s.ID
	}
	return h.NewCSRF()
}

// automated reports whether a GET looks like a scanner's. It is a hint for
// diagnosis and decides nothing.
func automated(r *http.Request) bool {
	if r.Method == http.MethodHead || r.Header.Get("Sec-Purpose") != "" || r.Header.Get("Purpose") == "prefetch" {
		return true
	}
	agent := strings.ToLower(r.UserAgent())
	for _, word := range []string{"bot", "crawl", "scan", "safelinks", "barracuda", "proofpoint", "mimecast", "headless", "oneoutlook", "python-", "go-http-client", "curl/"} {
		if strings.Contains(agent, word) {
			return true
		}
	}
	return agent == ""
}

// resume opens the cookie and checks everything again.
func (h *Handler) resume(r *http.Request) (session.Guest, invite.Redemption, error) {
	s, err := h.session(r)
	if err != nil {
		return s, invite.Redemption{}, err
	}
	red, err := h.Invitations.Resume(r.Context(), claims(s))
	remember(r, red)
	return s, red, err
}

// claims returns what the link of a session said.
func claims(s session.Guest) invite.Claims {
	return invite.Claims{
		Tenant: s.Tenant, User: s.User, Invitation: invite.ID(s.Invitation), Generation: s.Generation,
		JTI: s.JTI, Issued: s.Issued, Expires: s.LinkExpires,
	}
}

// resumePost is resume for forms: the hidden field must match the cookie.
func (h *Handler) resumePost(w http.ResponseWriter, r *http.Request) (session.Guest, invite.Redemption, error) {
	if err := h.checkForm(w, r); err != nil {
		return session.Guest{}, invite.Redemption{}, err
	}
	return h.resume(r)
}

// showSignIn serves GET /redeem/signin.
func (h *Handler) showSignIn(w http.ResponseWriter, r *http.Request) error {
	s, red, err := h.resume(r)
	if err != nil {
		return err
	}
	if red.SignIn.Method != directory.MethodHome || !needsSignIn(s, red) {
		http.Redirect(w, r, "/redeem/review", http.StatusSeeOther)
		return nil
	}
	return h.render(w, r, http.StatusOK, templates.SignInPage{
		Guest: h.page(r, "guest.signin.heading", red.Tenant, s.CSRF), Address: red.Invitation.Email.String(),
		Home: homeName(red), JustInTime: red.SignIn.JustInTime,
	})
}

// homeName returns what to call the organisation that signs the guest in.
func homeName(red invite.Redemption) string {
	if home := red.SignIn.Home; home != nil && home.DisplayName != "" {
		return home.DisplayName
	}
	return red.Invitation.Email.Domain
}

// signIn serves POST /redeem/signin: the simulated sign-in at home.
func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) error {
	s, red, err := h.resumePost(w, r)
	if err != nil {
		return err
	}
	if red.SignIn.Refused() {
		return &problem.Error{Op: "guest.signIn", Kind: problem.Denied, Reason: red.SignIn.Reason, Detail: "Nobody can sign this guest in."}
	}
	if red.SignIn.Method != directory.MethodHome {
		http.Redirect(w, r, "/redeem/review", http.StatusSeeOther)
		return nil
	}
	s.Method = directory.MethodHome
	if err := h.setCookie(w, r, s); err != nil {
		return err
	}
	http.Redirect(w, r, "/redeem/review", http.StatusSeeOther)
	return nil
}

// showReview serves GET /redeem/review: the consent page, or wherever else
// this guest belongs now.
func (h *Handler) showReview(w http.ResponseWriter, r *http.Request) error {
	s, red, err := h.resume(r)
	if err != nil {
		return err
	}
	switch {
	case needsSignIn(s, red):
		return h.toSignIn(w, r, red)
	case red.State == invite.StateAccepted:
		return h.enter(w, r, s, red)
	}
	return h.render(w, r, http.StatusOK, templates.ReviewPage{
		Guest: h.page(r, "guest.review.heading", red.Tenant, s.CSRF), Address: red.Invitation.Email.String(),
		PrivacyURL: red.Tenant.PrivacyURL,
	})
}

// accept serves POST /redeem/accept.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request) error {
	s, red, err := h.resumePost(w, r)
	if err != nil {
		return err
	}
	if needsSignIn(s, red) {
		return h.toSignIn(w, r, red)
	}
	method := red.SignIn.Method // by which the guest has signed in
	first := red.State != invite.StateAccepted
	red, err = h.Invitations.Accept(r.Context(), claims(s), method)
	remember(r, red)
	if err != nil {
		return err
	}
	s.JustAccepted = first
	return h.enter(w, r, s, red)
}

// enter signs an accepted guest in and sends them where the invitation leads.
// The cookie is the only thing that changes.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, s session.Guest, red invite.Redemption) error {
	s.SignedIn = true
	s.Redirect = red.Invitation.RedirectURL
	s.Expires = h.Now().Add(sessionLifetime)
	if err := h.setCookie(w, r, s); err != nil {
		return err
	}
	http.Redirect(w, r, landing(r, s.Redirect), http.StatusSeeOther)
	return nil
}

// landing is where an accepted guest goes: My Apps, a page of ours, or the
// page that names the foreign host before they leave for it.
func landing(r *http.Request, redirect string) string {
	u, parsed := parseURL(redirect)
	switch {
	case !parsed:
		return "/myapps"
	case u.Scheme == web.Scheme(r) && u.Host == r.Host && strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(u.Path, "//"):
		return u.RequestURI()
	default:
		return "/redeem/leave"
	}
}

// parseURL parses a stored redirect; false if there is none.
func parseURL(redirect string) (*url.URL, bool) {
	u, err := url.Parse(redirect)
	return u, err == nil && redirect != ""
}

// cancel serves POST /redeem/cancel.
func (h *Handler) cancel(w http.ResponseWriter, r *http.Request) error {
	s, _, err := h.resumePost(w, r)
	if err != nil {
		return err
	}
	red, err := h.Invitations.Decline(r.Context(), claims(s))
	remember(r, red)
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/redeem/declined", http.StatusSeeOther)
	return nil
}

// showDeclined serves GET /redeem/declined.
func (h *Handler) showDeclined(w http.ResponseWriter, r *http.Request) error {
	s, red, err := h.resume(r)
	if err != nil {
		return err
	}
	return h.render(w, r, http.StatusOK, templates.DeclinedPage{Guest: h.page(r, "guest.declined.heading", red.Tenant, s.CSRF)})
}

// showLeave serves GET /redeem/leave: it names the host before the guest goes.
func (h *Handler) showLeave(w http.ResponseWriter, r *http.Request) error {
	s, err := h.signedIn(r)
	if err != nil {
		return err
	}
	u, parsed := parseURL(s.Redirect)
	if !parsed {
		http.Redirect(w, r, "/myapps", http.StatusSeeOther)
		return nil
	}
	_, _, tenant, err := h.Invitations.MyApps(r.Context(), s.Tenant, s.User)
	if err != nil {
		return err
	}
	return h.render(w, r, http.StatusOK, templates.LeavePage{
		Guest: h.page(r, "guest.leave.heading", tenant, s.CSRF), Host: u.Host, URL: s.Redirect,
	})
}

// showMyApps serves GET /myapps.
func (h *Handler) showMyApps(w http.ResponseWriter, r *http.Request) error {
	s, err := h.signedIn(r)
	if err != nil {
		return err
	}
	apps, user, tenant, err := h.Invitations.MyApps(r.Context(), s.Tenant, s.User)
	if err != nil {
		return err
	}
	page := templates.MyAppsPage{
		Guest: h.page(r, "guest.myapps.heading", tenant, s.CSRF), Address: user.Mail, JustAccepted: s.JustAccepted,
	}
	page.Wide = len(apps) > 3
	for _, a := range apps {
		page.Apps = append(page.Apps, templates.AppTile{Name: a.DisplayName, URL: a.Homepage})
	}
	return h.render(w, r, http.StatusOK, page)
}

// signOut serves POST /signout. Whoever has no session any more is signed out
// already.
func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := h.checkForm(w, r); err != nil && problem.Of(err).Kind != problem.Unauthenticated {
		return err
	}
	h.clearCookie(w, r)
	http.Redirect(w, r, "/signedout", http.StatusSeeOther)
	return nil
}

// showSignedOut serves GET /signedout.
func (h *Handler) showSignedOut(w http.ResponseWriter, r *http.Request) error {
	return h.render(w, r, http.StatusOK, templates.MessagePage{
		Guest: h.page(r, "guest.signedout.heading", directory.Tenant{}, ""), Text: templates.Text(h.language(r), "guest.signedout.text"),
	})
}

// showStart serves GET /.
func (h *Handler) showStart(w http.ResponseWriter, r *http.Request) error {
	return h.render(w, r, http.StatusOK, templates.MessagePage{
		Guest: h.page(r, "guest.start.heading", directory.Tenant{}, ""), Text: templates.Text(h.language(r), "guest.start.text"),
	})
}

// showNewLink serves GET /redeem/new-link.
func (h *Handler) showNewLink(w http.ResponseWriter, r *http.Request) error {
	return h.render(w, r, http.StatusOK, templates.NewLinkPage{
		Guest: h.page(r, "guest.newlink.heading", directory.Tenant{}, ""), Tenant: string(h.tenant(r)),
	})
}

// tenant is the organisation a stranger's request is about: that of the
// cookie, if there is one.
func (h *Handler) tenant(r *http.Request) directory.TenantID {
	if s, err := h.session(r); err == nil {
		return s.Tenant
	}
	return h.Tenant
}

// sendNewLink serves POST /redeem/new-link. The answer is the same whether
// the address is known or not.
func (h *Handler) sendNewLink(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	address := strings.TrimSpace(r.PostForm.Get("address"))
	tenant := directory.TenantID(r.PostForm.Get("tenant"))
	if tenant == "" {
		tenant = h.Tenant
	}
	page := templates.NewLinkPage{
		Guest: h.page(r, "guest.newlink.heading", directory.Tenant{}, ""), Tenant: string(tenant), Address: address,
	}
	if _, err := mail.ParseAddress(address); err != nil {
		page.Problem = templates.Text(h.language(r), "guest.newlink.bad")
		return h.render(w, r, http.StatusBadRequest, page)
	}
	if err := h.Invitations.RequestNewLink(r.Context(), tenant, address); err != nil {
		return err
	}
	page.Sent = true
	return h.render(w, r, http.StatusOK, page)
}
