package api

import (
	"net/http"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/web"
	"invited/templates"
)

// preflightRequest is the body of POST /preflight.
type preflightRequest struct {
	Email string `json:"email"`
}

// preflightJSON is what would become of an invitation.
type preflightJSON struct {
	Email      string      `json:"email"`
	Invitable  bool        `json:"invitable"`  // inviting would succeed
	Redeemable bool        `json:"redeemable"` // and the guest could sign in
	UserID     string      `json:"userId,omitempty"`
	State      string      `json:"state,omitempty"` // externalUserState of whoever has the address
	SignIn     *signInJSON `json:"signIn"`          // null: not looked at
	Reason     string      `json:"reason,omitempty"`
	Title      string      `json:"title,omitempty"`
	Text       string      `json:"text,omitempty"`
	Remedy     string      `json:"remedy,omitempty"`
	Forward    string      `json:"forward,omitempty"`
	Docs       string      `json:"docs,omitempty"`
	Checks     []checkJSON `json:"checks"`
}

// signInJSON is who would sign the guest in.
type signInJSON struct {
	Method     string `json:"method,omitempty"` // home, oidc, link or otp; absent: nobody
	Rule       string `json:"rule"`
	Provider   string `json:"provider,omitempty"` // home or federation; absent: the fallback
	Home       string `json:"home,omitempty"`
	JustInTime bool   `json:"justInTime"`
}

// checkJSON is one thing that has to hold.
type checkJSON struct {
	Name     string            `json:"name"`
	OK       bool              `json:"ok"`
	Reason   string            `json:"reason,omitempty"`
	Detail   string            `json:"detail,omitempty"`
	Remedy   string            `json:"remedy,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`
}

// preflight serves POST /preflight: nobody is invited, and nothing changes.
func (h *Handler) preflight(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	var in preflightRequest
	if err := web.ReadStrictJSON(r, &in); err != nil {
		return err
	}
	if in.Email == "" {
		return problem.BadField("api.preflight", "email", "email is required: the address that would be invited.")
	}
	p, err := h.Invitations.Preflight(r.Context(), actor, in.Email)
	if err != nil {
		return ourNames(err)
	}
	w.Header().Set("Content-Language", language(r))
	w.Header().Add("Vary", "Accept-Language")
	return web.WriteJSON(w, http.StatusOK, showPreflight(p, in.Email, language(r)))
}

func showPreflight(p invite.Preflight, email, lang string) preflightJSON {
	words := func(reason problem.Reason, detail string) templates.Reason {
		return templates.ReasonFor(lang, string(reason), "address", email, "domain", p.Address.Domain, "organization", p.Tenant.DisplayName, "detail", detail)
	}
	out := preflightJSON{
		Email: email, Invitable: p.Invitable, Redeemable: p.Redeemable, UserID: string(p.Existing.ID), State: string(p.Existing.State), Checks: []checkJSON{},
	}
	if !p.Address.IsZero() {
		out.Email = p.Address.String()
	}
	if p.Rule != "" {
		out.SignIn = showSignIn(p.SignIn, p.Rule)
	}
	if p.Reason != problem.NoReason {
		main := words(p.Reason, p.Detail)
		out.Reason, out.Title, out.Text, out.Remedy, out.Forward, out.Docs = string(p.Reason), main.Title, main.Text, main.Remedy, main.Forward, guide+string(p.Reason)
	}
	for _, c := range p.Checks {
		check := checkJSON{Name: c.Name, OK: c.OK, Reason: string(c.Reason), Detail: c.Detail, Evidence: c.Evidence}
		if !c.OK {
			check.Remedy = words(c.Reason, c.Detail).Remedy
		}
		out.Checks = append(out.Checks, check)
	}
	return out
}

func showSignIn(d directory.Decision, rule string) *signInJSON {
	s := &signInJSON{Method: string(d.Method), Rule: rule, Provider: string(d.Provider), JustInTime: d.JustInTime}
	if d.Home != nil {
		s.Home = d.Home.Domain
	}
	return s
}
