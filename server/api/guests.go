package api

import (
	"net/http"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/web"
	"invited/templates"
)

// diagnosisJSON says why a guest is not in, and what to do about it.
type diagnosisJSON struct {
	Address      string     `json:"address"`
	UserID       string     `json:"userId"`
	InvitationID string     `json:"invitationId"`
	State        string     `json:"state"`
	Reason       string     `json:"reason"`
	Title        string     `json:"title"`
	Text         string     `json:"text"`
	Remedy       string     `json:"remedy"`
	Forward      string     `json:"forward,omitempty"` // what to send to the guest's own administrator
	Docs         string     `json:"docs"`
	Steps        []stepJSON `json:"steps"`
}

// stepJSON is one link of the chain. The last one is broken, or complete.
type stepJSON struct {
	Name     string            `json:"name"`
	OK       bool              `json:"ok"`
	Reason   string            `json:"reason,omitempty"`
	Title    string            `json:"title,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`
	Hits     []invite.Hit      `json:"hits,omitempty"`
}

// getDiagnosis serves GET /guests/{ref}/diagnosis, in the caller's language.
func (h *Handler) getDiagnosis(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := parseQuery(r); err != nil {
		return err
	}
	d, err := h.Invitations.Diagnose(r.Context(), actor, r.PathValue("ref"))
	if err != nil {
		return err
	}
	organization := ""
	if t, err := h.Tenants.Tenant(r.Context(), actor); err == nil {
		organization = t.DisplayName
	}
	lang := language(r)
	args := []any{"address", d.Invitation.Email.String(), "domain", d.Invitation.Email.Domain, "organization", organization}
	if n := len(d.Steps); n > 0 && d.Steps[n-1].Evidence["text"] != "" {
		args = append(args, "detail", d.Steps[n-1].Evidence["text"]) // what the other side said of the broken link
	}
	words := func(reason problem.Reason) templates.Reason {
		return templates.ReasonFor(lang, string(reason), args...)
	}
	main := words(d.Reason)
	out := diagnosisJSON{
		Address: d.Invitation.Email.String(), UserID: string(d.User.ID), InvitationID: string(d.Invitation.ID), State: string(d.State),
		Reason: string(d.Reason), Title: main.Title, Text: main.Text, Remedy: main.Remedy, Forward: main.Forward, Docs: guide + string(d.Reason),
		Steps: []stepJSON{},
	}
	for _, s := range d.Steps {
		step := stepJSON{Name: s.Name, OK: s.OK, Reason: string(s.Reason), Evidence: s.Evidence, Hits: s.Hits}
		if s.Reason != problem.NoReason {
			step.Title = words(s.Reason).Title
		}
		out.Steps = append(out.Steps, step)
	}
	w.Header().Set("Content-Language", lang)
	w.Header().Add("Vary", "Accept-Language")
	return web.WriteJSON(w, http.StatusOK, out)
}

// resetRequest is the body of POST /guests/{ref}/reset.
type resetRequest struct {
	Email string `json:"email"` // absent: the present one
}

// resetGuest serves POST /guests/{ref}/reset: the guest redeems anew, and
// keeps groups, roles and apps.
func (h *Handler) resetGuest(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	var in resetRequest
	if err := readOptional(r, &in); err != nil {
		return err
	}
	d, err := h.Invitations.Get(r.Context(), actor, r.PathValue("ref"))
	if err != nil {
		return err
	}
	request := again(d.Invitation)
	request.ResetRedemption, request.User, request.UserType = true, d.User.ID, directory.Guest
	if in.Email != "" {
		request.Email = in.Email
	}
	created, err := h.Invitations.Create(r.Context(), actor, request)
	if err != nil {
		return ourNames(err)
	}
	return web.WriteJSON(w, http.StatusOK, h.showCreated(created))
}

// again is the request that made i, to be made once more.
func again(i invite.Invitation) invite.Request {
	out := invite.Request{
		Email: i.Email.String(), DisplayName: i.DisplayName, RedirectURL: i.RedirectURL, UserType: i.UserType, SendMessage: true,
		Message: i.Message, Language: i.Language, CCName: i.CCName,
	}
	if i.CC != nil {
		out.CC = i.CC.String()
	}
	return out
}
