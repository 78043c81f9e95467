package guest

import (
	"crypto/subtle"
	"net/http"

	"invited/server/problem"
	"invited/server/session"
	"invited/server/web"
)

// maxForm bounds the body of a form, in bytes.
const maxForm = 16 << 10

// cookieName is the name of the guest's cookie. Over https it carries the
// prefix that binds it to this host and path (RFC 6265bis §4.1.3.2); plain
// http exists on loopback only, where browsers would drop a Secure cookie.
func cookieName(r *http.Request) string {
	if web.Scheme(r) == "https" {
		return "__Host-invited_guest"
	}
	return "invited_guest"
}

// blockCookie is the name of the cookie of the pages to block invitations.
func blockCookie(r *http.Request) string { return cookieName(r) + "_block" }

// setCookie seals s into the guest's cookie.
func (h *Handler) setCookie(w http.ResponseWriter, r *http.Request, s session.Guest) error {
	return h.setNamed(w, r, cookieName(r), s)
}

// setNamed seals s into a cookie.
func (h *Handler) setNamed(w http.ResponseWriter, r *http.Request, name string, s session.Guest) error {
	value, err := h.Cookies.SealCookie(s)
	if err != nil {
		return &problem.Error{Op: "guest.setCookie", Kind: problem.Internal, Detail: "internal error", Err: err}
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, Secure: web.Scheme(r) == "https",
		// Lax, not Strict: the click comes from a mail program's site.
		SameSite: http.SameSiteLaxMode, Expires: s.Expires,
	})
	return nil
}

// clearCookie removes the cookie.
func (h *Handler) clearCookie(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Path: "/", HttpOnly: true, Secure: web.Scheme(r) == "https", SameSite: http.SameSiteLaxMode, MaxAge: -1,
	})
}

// session opens the guest's cookie.
func (h *Handler) session(r *http.Request) (session.Guest, error) {
	return h.openNamed(r, cookieName(r), "")
}

// openNamed opens a cookie that was made for a purpose.
func (h *Handler) openNamed(r *http.Request, name, purpose string) (session.Guest, error) {
	c, err := r.Cookie(name)
	if err == nil {
		var s session.Guest
		if s, err = h.Cookies.OpenCookie(c.Value); err == nil && s.Purpose == purpose {
			return s, nil
		}
	}
	return session.Guest{}, &problem.Error{
		Op: "guest.session", Kind: problem.Unauthenticated, Reason: problem.SessionExpired,
		Detail: "This page was open for too long, or the link was opened in another browser.", Err: err,
	}
}

// signedIn opens the cookie of a guest who has accepted.
func (h *Handler) signedIn(r *http.Request) (session.Guest, error) {
	s, err := h.session(r)
	if err == nil && !s.SignedIn {
		err = &problem.Error{
			Op: "guest.signedIn", Kind: problem.Unauthenticated, Reason: problem.SessionExpired,
			Detail: "The invitation has not been accepted in this browser yet.",
		}
	}
	return s, err
}

// checkForm compares the form's hidden field with the guest's cookie.
func (h *Handler) checkForm(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r); err != nil {
		return err
	}
	s, err := h.session(r)
	if err != nil {
		return err
	}
	return sameForm(s, r)
}

// parseForm reads a form of bounded size.
func parseForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	return nil
}

// sameForm compares a form's hidden field with a session.
func sameForm(s session.Guest, r *http.Request) error {
	if s.CSRF == "" || subtle.ConstantTimeCompare([]byte(s.CSRF), []byte(r.PostForm.Get("csrf"))) != 1 {
		return &problem.Error{
			Op: "guest.checkForm", Kind: problem.Denied, Reason: problem.CrossSite,
			Detail: "The form was not sent from our page.",
		}
	}
	return nil
}

// badForm is a form we cannot read.
func badForm(err error) error {
	return &problem.Error{
		Op: "guest.badForm", Kind: problem.Invalid, Reason: problem.BadInput,
		Detail: "The form could not be read.", Err: err,
	}
}
