package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/web"
)

// invitationJSON is an invitation.
type invitationJSON struct {
	ID          string         `json:"id"`
	UserID      string         `json:"userId"`
	Email       string         `json:"email"`
	DisplayName string         `json:"displayName,omitempty"`
	UserType    string         `json:"userType"`
	State       string         `json:"state"`
	RedirectURL string         `json:"redirectUrl,omitempty"`
	SendMessage bool           `json:"sendMessage"`
	Message     string         `json:"message,omitempty"`
	Language    string         `json:"language,omitempty"`
	CC          string         `json:"cc,omitempty"`
	CCName      string         `json:"ccName,omitempty"`
	Inviter     inviterJSON    `json:"inviter"`
	Sends       int            `json:"sends"`
	Created     *time.Time     `json:"created"`
	Sent        *time.Time     `json:"sent"`
	Expires     *time.Time     `json:"expires"` // null: never
	Accepted    *time.Time     `json:"accepted"`
	Declined    *time.Time     `json:"declined"`
	Revoked     *time.Time     `json:"revoked"`
	Version     int64          `json:"version"`
	User        *userJSON      `json:"user,omitempty"`
	Deliveries  []deliveryJSON `json:"deliveries,omitempty"`
	Views       *viewsJSON     `json:"views,omitempty"`
	RedeemURL   string         `json:"redeemUrl,omitempty"` // only when it was just made
	NewUser     bool           `json:"newUser,omitempty"`
}

type inviterJSON struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Mail string `json:"mail,omitempty"`
}

// userJSON is a guest.
type userJSON struct {
	ID            string     `json:"id"`
	UPN           string     `json:"userPrincipalName"`
	DisplayName   string     `json:"displayName"`
	Mail          string     `json:"mail"`
	UserType      string     `json:"userType"`
	ExternalState *string    `json:"externalUserState"`
	StateChanged  *time.Time `json:"externalUserStateChangeDateTime"`
	Enabled       bool       `json:"accountEnabled"`
	Deleted       *time.Time `json:"deletedDateTime"`
}

// viewsJSON says how often the link was opened. Scanners open links too.
type viewsJSON struct {
	Count     int        `json:"count"`
	Automated int        `json:"automated"`
	First     *time.Time `json:"first"`
	Last      *time.Time `json:"last"`
}

func showInvitation(i invite.Invitation, u directory.User, state invite.State) invitationJSON {
	out := invitationJSON{
		ID: string(i.ID), UserID: string(i.User), Email: i.Email.String(), DisplayName: i.DisplayName, UserType: string(i.UserType),
		State: string(state), RedirectURL: i.RedirectURL, SendMessage: i.SendMessage, Message: i.Message, Language: i.Language,
		CCName: i.CCName, Inviter: inviterJSON{i.InviterID, i.InviterName, i.InviterMail}, Sends: i.Sends,
		Created: when(i.Created), Sent: when(i.Sent), Expires: when(i.Expires), Accepted: when(i.Accepted), Declined: when(i.Declined),
		Revoked: when(i.Revoked), Version: i.Version,
	}
	if i.CC != nil {
		out.CC = i.CC.String()
	}
	if u.ID != "" {
		user := showUser(u)
		out.User = &user
	}
	return out
}

func showUser(u directory.User) userJSON {
	out := userJSON{
		ID: string(u.ID), UPN: u.UPN, DisplayName: u.DisplayName, Mail: u.Mail, UserType: string(u.Type),
		StateChanged: when(u.StateChanged), Enabled: u.Enabled, Deleted: when(u.Deleted),
	}
	if u.State != directory.NotExternal {
		state := string(u.State)
		out.ExternalState = &state
	}
	return out
}

func showDetails(d invite.Details) invitationJSON {
	return showInvitation(d.Invitation, d.User, d.State)
}

func (h *Handler) showCreated(c invite.Created) invitationJSON {
	out := showInvitation(c.Invitation, c.User, c.Invitation.StateAt(c.User, h.Now()))
	out.RedeemURL, out.NewUser = c.RedeemURL, c.NewUser
	return out
}

// states are what ?state= may name; open is everything that can still be
// redeemed as it is.
var states = []string{"open", "pending", "accepted", "declined", "expired", "revoked", "replaced", "deleted"}

// maxScan is how many invitations one request looks at for a state. What it
// did not reach is on the next page, which may be empty.
const maxScan = 2000

// listInvitations serves GET /invitations, newest first.
func (h *Handler) listInvitations(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	p, err := parsePaging(r, "invitations", "state", "q")
	if err != nil {
		return err
	}
	state := p.query.Get("state")
	if state != "" && !contains(states, state) {
		return problem.BadField("api.listInvitations", "state", "state must be one of "+strings.Join(states, ", ")+".")
	}
	rows, next, err := h.walkInvitations(r.Context(), actor, p, state)
	if err != nil {
		return err
	}
	page := pageJSON[invitationJSON]{Value: []invitationJSON{}}
	for _, d := range rows {
		page.Value = append(page.Value, showDetails(d))
	}
	if next != "" {
		page.Next = web.NextLink(r, web.SkipToken(p.scope, string(next)))
	}
	return web.WriteJSON(w, http.StatusOK, page)
}

// walkInvitations reads until the page is full, the invitations end, or maxScan
// were looked at. It returns the key of the next page; empty on the last.
func (h *Handler) walkInvitations(ctx context.Context, actor directory.Actor, p paging, state string) (out []invite.Details, next invite.ID, err error) {
	q := invite.Query{
		Open: state == "open" || state == "pending" || state == "declined",
		Text: strings.ToLower(strings.TrimSpace(p.query.Get("q"))), Now: h.Now(), After: invite.ID(p.after), Limit: p.limit(),
	}
	for scanned := 0; scanned < maxScan; {
		rows, err := h.Invitations.List(ctx, actor, q)
		if err != nil {
			return nil, "", err
		}
		for _, d := range rows {
			if state != "" && state != "open" && state != string(d.State) {
				continue
			}
			if len(out) == p.top {
				return out, out[p.top-1].Invitation.ID, nil
			}
			out = append(out, d)
		}
		if len(rows) < q.Limit {
			return out, "", nil
		}
		scanned += len(rows)
		q.After = rows[len(rows)-1].Invitation.ID
	}
	return out, q.After, nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// createRequest is the body of POST /invitations.
type createRequest struct {
	Email       string   `json:"email"`
	DisplayName string   `json:"displayName"`
	RedirectURL string   `json:"redirectUrl"`
	UserType    string   `json:"userType"`
	SendMessage *bool    `json:"sendMessage"` // absent: true
	Message     string   `json:"message"`
	Language    string   `json:"language"`
	CC          string   `json:"cc"`
	CCName      string   `json:"ccName"`
	Groups      []string `json:"groups"`
	Roles       []string `json:"roles"`
	Apps        []string `json:"apps"`
	Sponsors    []string `json:"sponsors"`
}

// createInvitation serves POST /invitations: Graph's, plus groups, roles and
// apps in the same transaction.
func (h *Handler) createInvitation(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	var in createRequest
	if err := web.ReadStrictJSON(r, &in); err != nil {
		return err
	}
	if strings.TrimSpace(in.Email) == "" {
		return problem.BadField("api.createInvitation", "email", "email is required: give the address to invite.")
	}
	request := invite.Request{
		Email: in.Email, DisplayName: in.DisplayName, RedirectURL: in.RedirectURL, UserType: directory.UserType(in.UserType),
		SendMessage: in.SendMessage == nil || *in.SendMessage, Message: in.Message, Language: in.Language, CC: in.CC, CCName: in.CCName,
		Groups: in.Groups, Roles: in.Roles, Apps: in.Apps,
	}
	for _, id := range in.Sponsors {
		request.Sponsors = append(request.Sponsors, directory.UserID(strings.ToLower(id)))
	}
	created, err := h.Invitations.Create(r.Context(), actor, request)
	if err != nil {
		return ourNames(err)
	}
	return web.WriteJSON(w, http.StatusCreated, h.showCreated(created))
}

// fieldNames are the members of this contract for those of Graph, which the
// service's problems name.
var fieldNames = map[string]string{
	"invitedUserEmailAddress": "email",
	"invitedUserDisplayName":  "displayName",
	"inviteRedirectUrl":       "redirectUrl",
	"invitedUserType":         "userType",
	"customizedMessageBody":   "message",
	"messageLanguage":         "language",
	"ccRecipients":            "cc",
	"invitedUserSponsors":     "sponsors",
}

// ourNames renames the member a problem is about.
func ourNames(err error) error {
	if err == nil {
		return nil
	}
	p := *problem.Of(err)
	ours, ok := fieldNames[p.Field]
	if !ok {
		return err
	}
	p.Detail = strings.ReplaceAll(p.Detail, p.Field, ours)
	p.Field = ours
	return &p
}

// getInvitation serves GET /invitations/{ref}.
func (h *Handler) getInvitation(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := parseQuery(r); err != nil {
		return err
	}
	d, err := h.Invitations.Get(r.Context(), actor, r.PathValue("ref"))
	if err != nil {
		return err
	}
	out := showDetails(d)
	for _, delivery := range d.Deliveries {
		out.Deliveries = append(out.Deliveries, showDelivery(delivery))
	}
	out.Views = &viewsJSON{Count: d.Views.Count, Automated: d.Views.Automated, First: when(d.Views.First), Last: when(d.Views.Last)}
	return web.WriteJSON(w, http.StatusOK, out)
}

// resendRequest is the body of the two resends. It may be absent.
type resendRequest struct {
	Message *string `json:"message"`
}

// resendInvitation serves POST /invitations/{ref}/resend and
// POST /guests/{ref}/resend. A message replaces the one sent before.
func (h *Handler) resendInvitation(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	var in resendRequest
	if err := readOptional(r, &in); err != nil {
		return err
	}
	created, err := h.Invitations.Resend(r.Context(), actor, r.PathValue("ref"), invite.Edit{Message: in.Message})
	if err != nil {
		return ourNames(err)
	}
	return web.WriteJSON(w, http.StatusOK, h.showCreated(created))
}

// revokeInvitation serves POST /invitations/{ref}/revoke and
// POST /guests/{ref}/revoke.
func (h *Handler) revokeInvitation(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if err := readOptional(r, &struct{}{}); err != nil {
		return err
	}
	inv, err := h.Invitations.Revoke(r.Context(), actor, r.PathValue("ref"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, showInvitation(inv, directory.User{}, invite.StateRevoked))
}

// readOptional reads a body that may be absent.
func readOptional(r *http.Request, into any) error {
	if r.ContentLength == 0 && r.Header.Get("Content-Type") == "" {
		return nil
	}
	return web.ReadStrictJSON(r, into)
}
