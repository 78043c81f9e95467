package guest

import (
	"errors"
	"net/http"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/session"
	"invited/server/web"
	"invited/templates"
)

// signInPages is where a guest shows who they are, by method. A method that is
// not here needs no page of its own (link), or cannot be used.
var signInPages = map[directory.Method]string{
	directory.MethodHome: "/redeem/signin",
	directory.MethodOTP:  "/redeem/code",
}

// needsSignIn reports whether the guest still has to show who they are.
func needsSignIn(s session.Guest, red invite.Redemption) bool {
	return red.SignIn.Method != directory.MethodLink && s.Method != red.SignIn.Method
}

// toSignIn sends the guest to the page of their method.
func (h *Handler) toSignIn(w http.ResponseWriter, r *http.Request, red invite.Redemption) error {
	page, ok := signInPages[red.SignIn.Method]
	if !ok {
		return &problem.Error{Op: "guest.toSignIn", Kind: problem.Denied, Reason: problem.NoSignIn, Detail: "There is no way to sign in with this address."}
	}
	http.Redirect(w, r, page, http.StatusSeeOther)
	return nil
}

// showCode serves GET /redeem/code. It mails nothing: scanners come here too.
func (h *Handler) showCode(w http.ResponseWriter, r *http.Request) error {
	s, red, err := h.resume(r)
	if err != nil {
		return err
	}
	if red.SignIn.Method != directory.MethodOTP || !needsSignIn(s, red) {
		http.Redirect(w, r, "/redeem/review", http.StatusSeeOther)
		return nil
	}
	return h.render(w, r, http.StatusOK, h.codePage(r, s, red))
}

// codePage is the page that takes a code.
func (h *Handler) codePage(r *http.Request, s session.Guest, red invite.Redemption) templates.CodePage {
	return templates.CodePage{
		Guest: h.page(r, "guest.code.heading", red.Tenant, s.CSRF), Address: red.Invitation.Email.Display(),
		Action: "/redeem/code", Ask: "/redeem/code/new", Button: templates.Text(h.language(r), "guest.code.check"), Steps: true,
	}
}

// askCode serves POST /redeem/code/new: it has a code mailed.
func (h *Handler) askCode(w http.ResponseWriter, r *http.Request) error {
	s, _, err := h.resumePost(w, r)
	if err != nil {
		return err
	}
	red, err := h.Invitations.AskCode(r.Context(), claims(s), s.ID)
	remember(r, red)
	if err != nil {
		return err
	}
	page := h.codePage(r, s, red)
	page.Sent = true
	return h.render(w, r, http.StatusOK, page)
}

// checkCode serves POST /redeem/code: a right code signs the guest in.
func (h *Handler) checkCode(w http.ResponseWriter, r *http.Request) error {
	s, _, err := h.resumePost(w, r)
	if err != nil {
		return err
	}
	red, err := h.Invitations.TryCode(r.Context(), claims(s), s.ID, r.PostForm.Get("code"), web.ClientNetwork(r))
	remember(r, red)
	if err != nil {
		return h.codeProblem(w, r, h.codePage(r, s, red), err)
	}
	s.Method = directory.MethodOTP
	if err := h.setCookie(w, r, s); err != nil {
		return err
	}
	http.Redirect(w, r, "/redeem/review", http.StatusSeeOther)
	return nil
}

// codeProblem shows what is wrong with a code on the page that takes one. Any
// other failure has a page of its own.
func (h *Handler) codeProblem(w http.ResponseWriter, r *http.Request, page templates.CodePage, err error) error {
	p := problem.Of(err)
	if p.Reason != problem.CodeWrong && p.Reason != problem.CodeUsedUp {
		return err
	}
	lang := h.language(r)
	words := templates.ReasonFor(lang, string(p.Reason), "address", page.Address, "organization", page.Organization.Name)
	page.Code, page.Problem = string(p.Reason), words.Title+". "+words.Remedy
	left, told := errors.AsType[invite.TriesLeft](err)
	switch {
	case p.Kind == problem.Invalid:
		page.Problem = templates.Text(lang, "guest.code.bad")
	case told && left == 1:
		page.Problem = words.Title + ". " + templates.Text(lang, "guest.code.left.one")
	case told:
		page.Problem = words.Title + ". " + templates.Text(lang, "guest.code.left", "n", int(left))
	}
	return h.render(w, r, web.Status(p.Kind), page)
}
