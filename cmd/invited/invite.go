package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

type inviteCmd struct {
	serverFlags
	outputFlag
	Address  string   `arg:"" help:"E-mail address of the guest."`
	Name     string   `help:"Display name of the guest."`
	Message  string   `help:"Personal message, plain text."`
	Redirect string   `placeholder:"URL" help:"Where the guest goes after accepting (default: My Apps)."`
	Group    []string `sep:"none" help:"Group to join, by name or id. May be repeated."`
	Role     []string `sep:"none" help:"Directory role to get, by name or id. May be repeated."`
	App      []string `sep:"none" help:"App to be assigned, by name or id. May be repeated."`
	Language string   `help:"Language of the mail, such as de."`
	Cc       string   `placeholder:"ADDRESS" help:"Who gets a copy."`
	NoMail   bool     `name:"no-mail" help:"Send no mail: hand over the link yourself."`
}

// invitation is what the API answers about one invitation.
type invitation struct {
	ID          string `json:"id"`
	UserID      string `json:"userId"`
	Email       string `json:"email"`
	DisplayName string `json:"displayName"`
	State       string `json:"state"`
	RedeemURL   string `json:"redeemUrl"`
	Sends       int    `json:"sends"`
	NewUser     bool   `json:"newUser"`
}

// Run invites one guest.
func (c inviteCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	body := map[string]any{"email": c.Address, "sendMessage": !c.NoMail}
	for name, v := range map[string]string{
		"displayName": c.Name, "message": c.Message, "redirectUrl": c.Redirect, "language": c.Language, "cc": c.Cc,
	} {
		if v != "" {
			body[name] = v
		}
	}
	for name, v := range map[string][]string{"groups": c.Group, "roles": c.Role, "apps": c.App} {
		if len(v) > 0 {
			body[name] = v
		}
	}
	var out invitation
	if err := api.call(e, http.MethodPost, "/invited/v1/invitations", body, &out); err != nil {
		return err
	}
	if c.Output != "table" {
		return c.print(e.stdout, invitationTable(out))
	}
	fmt.Fprintln(e.stdout, "Successfully invited user", out.Email)
	fmt.Fprintln(e.stdout, "  guest id    ", out.UserID)
	fmt.Fprintln(e.stdout, "  redeem URL  ", out.RedeemURL)
	switch {
	case out.State == "accepted":
		fmt.Fprintln(e.stdout, "  this guest has accepted before; no mail is sent")
	case c.NoMail:
		fmt.Fprintln(e.stdout, "  no mail is sent; hand the link over yourself")
	default:
		fmt.Fprintln(e.stdout, "  mail         queued; see what becomes of it with: invited diagnose", out.Email)
	}
	return nil
}

func invitationTable(i invitation) table {
	return table{
		columns: []string{"id", "user id", "address", "state", "sends", "redeem url"},
		rows:    [][]string{{i.ID, i.UserID, i.Email, i.State, fmt.Sprint(i.Sends), i.RedeemURL}},
		value:   i,
	}
}

// reference is the argument of verbs about one guest or invitation.
type reference struct {
	Ref string `arg:"" name:"address-or-id" help:"Address of the guest, or id of the guest or invitation."`
}

// path returns the API path of an action on the guest's current invitation.
func (r reference) path(action string) string {
	return "/invited/v1/guests/" + url.PathEscape(strings.TrimSpace(r.Ref)) + "/" + action
}

type resendCmd struct {
	serverFlags
	outputFlag
	reference
	Message *string `help:"Replace the personal message; an empty one removes it."`
}

// Run mails a new link.
func (c resendCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	body := map[string]any{}
	if c.Message != nil {
		body["message"] = *c.Message
	}
	var out invitation
	if err := api.call(e, http.MethodPost, c.path("resend"), body, &out); err != nil {
		return err
	}
	if c.Output != "table" {
		return c.print(e.stdout, invitationTable(out))
	}
	_, err = fmt.Fprintf(e.stdout, "Queued a new invitation mail for %s (mail number %d)\n  redeem URL   %s\n", out.Email, out.Sends, out.RedeemURL)
	return err
}

type revokeCmd struct {
	serverFlags
	outputFlag
	reference
}

// Run withdraws an invitation.
func (c revokeCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var out invitation
	if err := api.call(e, http.MethodPost, c.path("revoke"), map[string]any{}, &out); err != nil {
		return err
	}
	if c.Output != "table" {
		return c.print(e.stdout, invitationTable(out))
	}
	_, err = fmt.Fprintf(e.stdout, "Revoked the invitation of %s: its links no longer work\n", out.Email)
	return err
}

type resetCmd struct {
	serverFlags
	outputFlag
	reference
	Email string `placeholder:"ADDRESS" help:"Address to redeem with from now on; it must be on the guest already (default: the present one)."`
}

// Run resets the redemption of a guest and mails a new link.
func (c resetCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var out invitation
	body := map[string]any{}
	if c.Email != "" {
		body["email"] = c.Email
	}
	if err := api.call(e, http.MethodPost, c.path("reset"), body, &out); err != nil {
		return err
	}
	if c.Output != "table" {
		return c.print(e.stdout, invitationTable(out))
	}
	_, err = fmt.Fprintf(e.stdout, "Reset the redemption of %s; groups and apps are kept\n  redeem URL   %s\n", out.Email, out.RedeemURL)
	return err
}
