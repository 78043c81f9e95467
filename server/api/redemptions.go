package api

import (
	"net/http"
	"time"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/web"
)

// redemptionJSON is where a guest stands who holds a link.
type redemptionJSON struct {
	InvitationID string     `json:"invitationId"`
	UserID       string     `json:"userId"`
	Email        string     `json:"email"`
	Organization string     `json:"organization"`
	Domain       string     `json:"domain"`
	State        string     `json:"state"`
	SignIn       string     `json:"signIn"` // home, oidc, link or otp
	RedirectURL  string     `json:"redirectUrl,omitempty"`
	Expires      *time.Time `json:"expires"`
	Accepted     *time.Time `json:"accepted"`
}

func showRedemption(r invite.Redemption) redemptionJSON {
	return redemptionJSON{
		InvitationID: string(r.Invitation.ID), UserID: string(r.Guest.ID), Email: r.Invitation.Email.String(),
		Organization: r.Tenant.DisplayName, Domain: r.Tenant.PrimaryDomain, State: string(r.State), SignIn: string(r.SignIn.Method),
		RedirectURL: r.Invitation.RedirectURL, Expires: when(r.Claims.Expires), Accepted: when(r.Invitation.Accepted),
	}
}

// getRedemption serves GET /redemptions?ticket=: what a link leads to, without
// effect. The ticket is the credential.
func (h *Handler) getRedemption(w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r, "ticket")
	if err != nil {
		return err
	}
	red, err := h.open(r, q.Get("ticket"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, showRedemption(red))
}

// redemptionRequest is the body of POST /redemptions.
type redemptionRequest struct {
	Ticket  string `json:"ticket"`
	Accept  *bool  `json:"accept"`
	Code    string `json:"code"`    // for guests who sign in by a mailed code
	Session string `json:"session"` // that POST /redemptions/codes answered
}

// createRedemption serves POST /redemptions: the guest's consent, or refusal,
// by whoever holds the link.
func (h *Handler) createRedemption(w http.ResponseWriter, r *http.Request) error {
	var in redemptionRequest
	if err := web.ReadStrictJSON(r, &in); err != nil {
		return err
	}
	if in.Accept == nil {
		return problem.BadField("api.createRedemption", "accept", "accept is required: true to accept the invitation, false to decline it.")
	}
	red, err := h.open(r, in.Ticket)
	if err != nil {
		return err
	}
	if !*in.Accept {
		red, err = h.Invitations.Decline(r.Context(), red.Claims)
		if err != nil {
			return about(err, red)
		}
		return web.WriteJSON(w, http.StatusOK, showRedemption(red))
	}
	if red, err = h.prove(r, in, red); err != nil {
		return err
	}
	red, err = h.Invitations.Accept(r.Context(), red.Claims, red.SignIn.Method)
	if err != nil {
		return about(err, red)
	}
	return web.WriteJSON(w, http.StatusOK, showRedemption(red))
}

// prove has the guest sign in, by the method asked for: the link is enough, or
// the code that was mailed. Redeeming here stands for the simulated sign-in,
// too; any other takes a browser.
func (h *Handler) prove(r *http.Request, in redemptionRequest, red invite.Redemption) (invite.Redemption, error) {
	const op = "api.createRedemption"
	switch m := red.SignIn.Method; {
	case m == directory.MethodLink, m == directory.MethodHome:
		return red, nil
	case m == directory.MethodOTP && red.State == invite.StateAccepted:
		return red, nil // says what is so already
	case m == directory.MethodOTP && (in.Code == "" || in.Session == ""):
		return red, about(&problem.Error{
			Op: op, Kind: problem.Conflict, Reason: problem.CodeWrong, Field: "code",
			Detail: "This guest signs in by a mailed code. Ask for one with POST " + base + "/redemptions/codes, and send it here as code, with the session of that answer.",
		}, red)
	case m == directory.MethodOTP:
		red, err := h.Invitations.TryCode(r.Context(), red.Claims, in.Session, in.Code, web.ClientNetwork(r))
		return red, about(err, red)
	default:
		return red, about(&problem.Error{
			Op: op, Kind: problem.Conflict, Reason: problem.NoSignIn,
			Detail: "This guest proves who they are in a browser (" + string(m) + "); the link alone is not enough. Open it there.",
		}, red)
	}
}

// codeRequest is the body of POST /redemptions/codes.
type codeRequest struct {
	Ticket string `json:"ticket"`
}

// codeJSON says where a code went, and for which session it is good.
type codeJSON struct {
	Email   string `json:"email"`
	Session string `json:"session"`
}

// createCode serves POST /redemptions/codes: it has a one-time passcode mailed
// to the invited address.
func (h *Handler) createCode(w http.ResponseWriter, r *http.Request) error {
	var in codeRequest
	if err := web.ReadStrictJSON(r, &in); err != nil {
		return err
	}
	red, err := h.open(r, in.Ticket)
	if err != nil {
		return err
	}
	session := h.NewSession()
	if red, err = h.Invitations.AskCode(r.Context(), red.Claims, session); err != nil {
		return about(err, red)
	}
	return web.WriteJSON(w, http.StatusAccepted, codeJSON{Email: red.Invitation.Email.String(), Session: session})
}

// open verifies a ticket.
func (h *Handler) open(r *http.Request, ticket string) (invite.Redemption, error) {
	if ticket == "" {
		return invite.Redemption{}, problem.BadField("api.open", "ticket", "ticket is required: the value of ticket= in the link of the mail.")
	}
	red, err := h.Invitations.Open(r.Context(), "", "", ticket)
	return red, about(h.Invitations.FailedLink(web.ClientNetwork(r), err), red)
}

// about lets the words of a refusal name guest and organisation, as far as
// they were known by then.
func about(err error, r invite.Redemption) error {
	if err == nil {
		return nil
	}
	p := *problem.Of(err)
	p.Err = told{[]any{"address", r.Invitation.Email.String(), "domain", r.Invitation.Email.Domain, "organization", r.Tenant.DisplayName}, err}
	return &p
}
