package graph

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/web"
)

// last decodes a member so that the last of several duplicates counts whole:
// encoding/json alone would mix their members. Graph forgets the earlier ones.
type last[T any] struct{ v T }

// UnmarshalJSON implements json.Unmarshaler.
func (l *last[T]) UnmarshalJSON(data []byte) error {
	var v T
	err := json.Unmarshal(data, &v)
	l.v = v
	return err
}

// invitationRequest is the body of POST /invitations. Source: Graph resource
// invitation.
type invitationRequest struct {
	Email       string                `json:"invitedUserEmailAddress"`
	RedirectURL string                `json:"inviteRedirectUrl"`
	DisplayName string                `json:"invitedUserDisplayName"`
	UserType    string                `json:"invitedUserType"`
	Send        bool                  `json:"sendInvitationMessage"`
	Reset       bool                  `json:"resetRedemption"`
	MessageInfo last[messageInfoJSON] `json:"invitedUserMessageInfo"`
	User        last[idJSON]          `json:"invitedUser"`
	Sponsors    []idJSON              `json:"invitedUserSponsors"`
	SponsorURLs []string              `json:"invitedUserSponsors@odata.bind"`
}

type idJSON struct {
	ID string `json:"id"`
}

// messageInfoJSON is Graph's invitedUserMessageInfo.
type messageInfoJSON struct {
	Language string          `json:"messageLanguage"`
	Body     string          `json:"customizedMessageBody"`
	CC       []recipientJSON `json:"ccRecipients"`
}

// recipientJSON is Graph's recipient.
type recipientJSON struct {
	Address last[emailAddressJSON] `json:"emailAddress"`
}

// emailAddressJSON is Graph's emailAddress.
type emailAddressJSON struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// createInvitation serves POST /invitations.
func (h *Handler) createInvitation(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := options(r); err != nil {
		return err
	}
	var in invitationRequest
	if err := web.ReadJSON(r, &in); err != nil {
		return badRequest(err)
	}
	request, err := in.request()
	if err != nil {
		return badRequest(err)
	}
	created, err := h.Invitations.Create(r.Context(), actor, request)
	if err != nil {
		return inviteFailure(err, actor)
	}
	return writeObject(w, r, http.StatusCreated, "invitations/$entity", invitationObject(created, in.Reset))
}

// request translates the body.
func (in *invitationRequest) request() (invite.Request, error) {
	const op = "graph.createInvitation"
	out := invite.Request{
		Email: in.Email, RedirectURL: in.RedirectURL, DisplayName: in.DisplayName, SendMessage: in.Send,
		Message: in.MessageInfo.v.Body, Language: in.MessageInfo.v.Language,
		ResetRedemption: in.Reset, User: directory.UserID(strings.ToLower(in.User.v.ID)),
	}
	switch {
	case strings.TrimSpace(in.Email) == "":
		return out, problem.BadField(op, "invitedUserEmailAddress", "Invalid value for invitedUserEmailAddress: it is required. Give the address to invite.")
	case strings.TrimSpace(in.RedirectURL) == "":
		return out, problem.BadField(op, "inviteRedirectUrl", "Invalid value for inviteRedirectUrl: it is required. Give the absolute URL that acceptance leads to.")
	case in.Reset && out.User == "":
		return out, problem.BadField(op, "invitedUser", "Invalid value for invitedUser: resetRedemption needs the id of the user to reset, as invitedUser.id.")
	case !in.Reset && out.User != "":
		return out, problem.BadField(op, "invitedUser", "Invalid value for invitedUser: it goes with resetRedemption true only; leave it out to invite by address.")
	}
	switch {
	case in.UserType == "" || strings.EqualFold(in.UserType, "Guest"):
		out.UserType = directory.Guest
	case strings.EqualFold(in.UserType, "Member"):
		out.UserType = directory.Member
	default:
		return out, problem.BadField(op, "invitedUserType", "Invalid value for invitedUserType: it must be Guest or Member.")
	}
	if err := in.copyTo(&out); err != nil {
		return out, err
	}
	return out, in.sponsors(&out)
}

// copyTo reads ccRecipients. Clients send back the empty recipient of our own
// answers; it counts as none.
func (in *invitationRequest) copyTo(out *invite.Request) error {
	const field = "invitedUserMessageInfo.ccRecipients"
	for _, cc := range in.MessageInfo.v.CC {
		to := cc.Address.v
		if to.Address == "" && to.Name == "" {
			continue
		}
		if out.CC != "" || out.CCName != "" {
			return problem.BadField("graph.createInvitation", field, "Invalid value for "+field+": only one recipient of a copy is supported. Name one, and forward the mail to others.")
		}
		out.CC, out.CCName = to.Address, to.Name
	}
	return nil
}

// sponsors reads both forms of naming them.
func (in *invitationRequest) sponsors(out *invite.Request) error {
	var ids []string
	for _, s := range in.Sponsors {
		ids = append(ids, s.ID)
	}
	for _, u := range in.SponsorURLs {
		key := ""
		if parts := split(u); len(parts) > 0 {
			key = parts[len(parts)-1]
		}
		ids = append(ids, key)
	}
	for _, id := range ids {
		if !web.IsUUID(id) {
			return problem.BadField("graph.createInvitation", "invitedUserSponsors", fmt.Sprintf("Invalid value for invitedUserSponsors: '%s' is not the id of a user.", shorten(id)))
		}
		out.Sponsors = append(out.Sponsors, directory.UserID(strings.ToLower(id)))
	}
	return nil
}

// invitationObject is the answer. Source: Graph resource invitation; members
// that were not supplied are null, and there is always one recipient.
func invitationObject(c invite.Created, reset bool) object {
	inv := c.Invitation
	cc := object{{"name", nil}, {"address", nil}}
	if inv.CC != nil {
		cc = object{{"name", orNull(inv.CCName)}, {"address", inv.CC.String()}}
	}
	status := "PendingAcceptance"
	if c.User.State == directory.Accepted {
		status = "Completed"
	}
	return object{
		{"id", string(inv.ID)},
		{"inviteRedeemUrl", c.RedeemURL},
		{"invitedUserDisplayName", orNull(inv.DisplayName)},
		{"invitedUserType", string(inv.UserType)},
		{"invitedUserEmailAddress", inv.Email.String()},
		{"sendInvitationMessage", inv.SendMessage},
		{"resetRedemption", reset},
		{"inviteRedirectUrl", inv.RedirectURL},
		{"status", status},
		{"invitedUserMessageInfo", object{
			{"messageLanguage", orNull(inv.Language)},
			{"customizedMessageBody", orNull(inv.Message)},
			{"ccRecipients", []object{{{"emailAddress", cc}}}},
		}},
		{"invitedUser", object{{"id", string(c.User.ID)}}},
	}
}

// badRequest gives an Invalid problem the code that this resource answers.
func badRequest(err error) error {
	p := problem.Of(err)
	if p.Kind != problem.Invalid {
		return err
	}
	q := *p
	q.Err = coded{"BadRequest", p.Err}
	return &q
}

// inviteFailure words a refusal as the real service does where programs look
// at its words: an application without permission gets 401, a person gets 403
// Forbidden.
func inviteFailure(err error, actor directory.Actor) error {
	p := *problem.Of(err)
	switch {
	case p.Kind == problem.Invalid:
		return badRequest(err)
	case p.Kind != problem.Denied:
		return err
	case p.Reason == problem.RoleRequired && actor.Application:
		p.Kind, p.Err = problem.Unauthenticated, coded{"Unauthorized", p.Err}
		p.Detail = "Insufficient privileges to perform requested operation by the application '00000003-0000-0000-c000-000000000000'. " +
			"ControllerName=MSGraphInviteAPI, ActionName=CreateInvite, URL absolute path=/api/" + string(actor.Tenant) + "/invites"
	case p.Reason == problem.RoleRequired:
		p.Err = coded{"Forbidden", p.Err}
		p.Detail = "Generic authorization exception. " + p.Detail
	default:
		p.Err = coded{"Forbidden", p.Err}
	}
	return &p
}
