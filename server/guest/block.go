package guest

import (
	"errors"
	"net/http"

	"invited/server/invite"
	"invited/server/problem"
	"invited/server/session"
	"invited/server/web"
	"invited/templates"
)

// The pages on which a guest blocks further invitations have a cookie of their
// own: it says nothing about redeeming, and must not be taken for the other.
//
//	GET /block?ticket ──303──▶ /block/confirm ──POST──▶ blocked ──POST code──▶ /block/undo
//	POST /block?ticket (RFC 8058, by a mail program) ──────▶ blocked
const blockPurpose = "block"

// mountBlock registers the routes.
func (h *Handler) mountBlock(mux *http.ServeMux) {
	mux.Handle("GET /block", h.handle(h.openBlock))
	mux.Handle("POST /block", h.handle(h.oneClick))
	mux.Handle("GET /block/confirm", h.handle(h.showBlock))
	mux.Handle("POST /block/confirm", h.handle(h.block))
	mux.Handle("POST /block/code", h.handle(h.askUnblockCode))
	mux.Handle("POST /block/undo", h.handle(h.unblock))
}

// openBlock serves GET and HEAD /block. It changes nothing: scanners follow
// this link like any other.
func (h *Handler) openBlock(w http.ResponseWriter, r *http.Request) error {
	b, err := h.Invitations.OpenBlock(r.Context(), r.URL.Query().Get("ticket"))
	rememberBlock(r, b)
	if err != nil {
		return h.Invitations.FailedLink(web.ClientNetwork(r), err)
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	s := session.Guest{
		ID: h.NewCSRF(), Purpose: blockPurpose, Tenant: b.Claims.Tenant, User: b.Claims.User, Invitation: string(b.Claims.Invitation),
		Generation: b.Claims.Generation, JTI: b.Claims.JTI, Issued: b.Claims.Issued, LinkExpires: b.Claims.Expires,
		CSRF: h.NewCSRF(), Expires: h.Now().Add(sessionLifetime),
	}
	if err := h.setNamed(w, r, blockCookie(r), s); err != nil {
		return err
	}
	http.Redirect(w, r, "/block/confirm", http.StatusSeeOther)
	return nil
}

// oneClick serves POST /block: a mail program acts for its reader. It has no
// cookie and no form of ours; the ticket in the address is the credential.
// Source: RFC 8058 §3.2.
func (h *Handler) oneClick(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	// The body may be a multipart form, too (RFC 8058 §3.1).
	if err := r.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return badForm(err)
	}
	if r.PostForm.Get("List-Unsubscribe") != "One-Click" {
		return &problem.Error{Op: "guest.oneClick", Kind: problem.Invalid, Reason: problem.BadInput,
			Detail: "The body has to be List-Unsubscribe=One-Click. To use a browser, open the link instead."}
	}
	b, err := h.Invitations.OpenBlock(r.Context(), r.URL.Query().Get("ticket"))
	if err != nil {
		return h.Invitations.FailedLink(web.ClientNetwork(r), err)
	}
	if b, err = h.Invitations.Block(r.Context(), b.Claims); err != nil {
		return err
	}
	return h.render(w, r, http.StatusOK, templates.MessagePage{
		Guest: h.page(r, "guest.block.done.heading", b.Tenant, ""),
		Text:  templates.Text(h.language(r), "guest.block.done", "organization", b.Tenant.DisplayName, "address", b.Invitation.Email.Display()),
	})
}

// blocking opens the cookie and reads what it is about.
func (h *Handler) blocking(r *http.Request) (session.Guest, invite.Blocking, error) {
	s, err := h.openNamed(r, blockCookie(r), blockPurpose)
	if err != nil {
		return s, invite.Blocking{}, err
	}
	b, err := h.Invitations.ResumeBlock(r.Context(), claims(s))
	rememberBlock(r, b)
	return s, b, err
}

// blockingPost is blocking for forms.
func (h *Handler) blockingPost(w http.ResponseWriter, r *http.Request) (session.Guest, error) {
	if err := parseForm(w, r); err != nil {
		return session.Guest{}, err
	}
	s, err := h.openNamed(r, blockCookie(r), blockPurpose)
	if err != nil {
		return s, err
	}
	return s, sameForm(s, r)
}

// showBlock serves GET /block/confirm.
func (h *Handler) showBlock(w http.ResponseWriter, r *http.Request) error {
	s, b, err := h.blocking(r)
	if err != nil {
		return err
	}
	return h.renderBlock(w, r, s, b, false)
}

// renderBlock shows whether invitations are blocked.
func (h *Handler) renderBlock(w http.ResponseWriter, r *http.Request, s session.Guest, b invite.Blocking, undone bool) error {
	heading := "guest.block.heading"
	switch {
	case undone:
		heading = "guest.block.undone.heading"
	case b.Blocked():
		heading = "guest.block.done.heading"
	}
	return h.render(w, r, http.StatusOK, templates.BlockPage{
		Guest: h.page(r, heading, b.Tenant, s.CSRF), Address: b.Invitation.Email.Display(), Blocked: b.Blocked(), Undone: undone,
	})
}

// block serves POST /block/confirm.
func (h *Handler) block(w http.ResponseWriter, r *http.Request) error {
	s, err := h.blockingPost(w, r)
	if err != nil {
		return err
	}
	b, err := h.Invitations.Block(r.Context(), claims(s))
	rememberBlock(r, b)
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/block/confirm", http.StatusSeeOther)
	return nil
}

// unblockPage is the page that takes the code to undo a block.
func (h *Handler) unblockPage(r *http.Request, s session.Guest, b invite.Blocking) templates.CodePage {
	return templates.CodePage{
		Guest: h.page(r, "guest.block.check", b.Tenant, s.CSRF), Address: b.Invitation.Email.Display(),
		Action: "/block/undo", Ask: "/block/code", Button: templates.Text(h.language(r), "guest.block.check"),
	}
}

// askUnblockCode serves POST /block/code.
func (h *Handler) askUnblockCode(w http.ResponseWriter, r *http.Request) error {
	s, err := h.blockingPost(w, r)
	if err != nil {
		return err
	}
	b, err := h.Invitations.AskUnblockCode(r.Context(), claims(s), s.ID)
	rememberBlock(r, b)
	if err != nil {
		return err
	}
	if !b.Blocked() {
		return h.renderBlock(w, r, s, b, false)
	}
	page := h.unblockPage(r, s, b)
	page.Sent = true
	return h.render(w, r, http.StatusOK, page)
}

// unblock serves POST /block/undo.
func (h *Handler) unblock(w http.ResponseWriter, r *http.Request) error {
	s, err := h.blockingPost(w, r)
	if err != nil {
		return err
	}
	b, err := h.Invitations.Unblock(r.Context(), claims(s), s.ID, r.PostForm.Get("code"), web.ClientNetwork(r))
	rememberBlock(r, b)
	if err != nil {
		return h.codeProblem(w, r, h.unblockPage(r, s, b), err)
	}
	return h.renderBlock(w, r, s, b, true)
}

// rememberBlock keeps names for the refusal page of this request.
func rememberBlock(r *http.Request, b invite.Blocking) {
	remember(r, invite.Redemption{Tenant: b.Tenant, Invitation: b.Invitation})
}
