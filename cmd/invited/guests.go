package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type guestsCmd struct {
	List    guestsListCmd    `cmd:"" help:"List guests."`
	Show    guestsShowCmd    `cmd:"" help:"Show one guest."`
	Delete  guestsDeleteCmd  `cmd:"" help:"Delete a guest; it can be restored for 30 days."`
	Restore guestsRestoreCmd `cmd:"" help:"Bring a deleted guest back."`
}

// guestUser is a user as the Graph API answers it.
type guestUser struct {
	ID           string     `json:"id"`
	DisplayName  string     `json:"displayName"`
	Mail         string     `json:"mail"`
	UPN          string     `json:"userPrincipalName"`
	UserType     string     `json:"userType"`
	State        string     `json:"externalUserState"`
	StateChanged *time.Time `json:"externalUserStateChangeDateTime"`
	Enabled      bool       `json:"accountEnabled"`
	Created      *time.Time `json:"createdDateTime"`
}

const guestFields = "id,displayName,mail,userPrincipalName,userType,externalUserState,externalUserStateChangeDateTime,accountEnabled,createdDateTime"

// guestPage is one page of a Graph collection.
type guestPage struct {
	Value []guestUser `json:"value"`
	Next  string      `json:"@odata.nextLink"`
}

var guestColumns = []string{"id", "address", "name", "state", "since", "enabled"}

func (g guestUser) row() []string {
	since := "-"
	if g.StateChanged != nil {
		since = when(*g.StateChanged)
	}
	return []string{g.ID, g.Mail, g.DisplayName, g.State, since, fmt.Sprint(g.Enabled)}
}

type guestsListCmd struct {
	serverFlags
	outputFlag
	State   string `enum:"any,pending,accepted" default:"any" help:"Only guests in this state: any, pending or accepted."`
	Deleted bool   `help:"List deleted guests instead."`
	Limit   int    `default:"1000" help:"At most this many."`
}

// Run lists guests, following pages.
func (c guestsListCmd) Run(e env) error {
	if c.Limit < 1 {
		return &exitError{exitUsage, "--limit must be at least 1"}
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	path := "/v1.0/users?" + url.Values{"$filter": {c.filter()}, "$select": {guestFields}, "$top": {fmt.Sprint(min(c.Limit, 500))}}.Encode()
	if c.Deleted {
		path = "/v1.0/directory/deletedItems/microsoft.graph.user?" + url.Values{"$select": {guestFields}, "$top": {fmt.Sprint(min(c.Limit, 500))}}.Encode()
	}
	all := []guestUser{}
	for path != "" && len(all) < c.Limit {
		var page guestPage
		if err := api.call(e, http.MethodGet, path, nil, &page); err != nil {
			return err
		}
		all = append(all, page.Value...)
		path = strings.TrimPrefix(page.Next, api.base)
	}
	all = all[:min(len(all), c.Limit)]
	t := table{columns: guestColumns, value: all, empty: "There are no guests yet. Invite one with: invited invite ADDRESS"}
	for _, g := range all {
		t.rows = append(t.rows, g.row())
	}
	return c.print(e.stdout, t)
}

func (c guestsListCmd) filter() string {
	filter := "userType eq 'Guest'"
	switch c.State {
	case "pending":
		filter += " and externalUserState eq 'PendingAcceptance'"
	case "accepted":
		filter += " and externalUserState eq 'Accepted'"
	}
	return filter
}

// findGuest finds a guest by id, UPN or address.
func findGuest(e env, api *client, ref string) (guestUser, error) {
	var g guestUser
	if !strings.Contains(ref, "@") || strings.Contains(ref, "#") {
		err := api.call(e, http.MethodGet, "/v1.0/users/"+url.PathEscape(ref)+"?$select="+guestFields, nil, &g)
		return g, err
	}
	var page guestPage
	query := url.Values{"$filter": {"mail eq '" + strings.ReplaceAll(ref, "'", "''") + "'"}, "$select": {guestFields}}
	if err := api.call(e, http.MethodGet, "/v1.0/users?"+query.Encode(), nil, &page); err != nil {
		return g, err
	}
	if len(page.Value) == 0 {
		return g, &exitError{exitNotFound, "there is no user with the address " + ref}
	}
	return page.Value[0], nil
}

type guestsShowCmd struct {
	serverFlags
	outputFlag
	Ref string `arg:"" name:"address-or-id" help:"Address, UPN or id of the guest."`
}

// Run shows one guest.
func (c guestsShowCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	g, err := findGuest(e, api, c.Ref)
	if err != nil {
		return err
	}
	if c.Output == "csv" {
		return c.print(e.stdout, table{columns: guestColumns, rows: [][]string{g.row()}, value: g})
	}
	created := "-"
	if g.Created != nil {
		created = when(*g.Created)
	}
	return c.print(e.stdout, table{value: g, rows: [][]string{
		{"id", g.ID}, {"name", g.DisplayName}, {"address", g.Mail}, {"UPN", g.UPN}, {"type", g.UserType},
		{"state", g.State}, {"enabled", fmt.Sprint(g.Enabled)}, {"created", created},
	}})
}

type guestsDeleteCmd struct {
	serverFlags
	Ref string `arg:"" name:"address-or-id" help:"Address, UPN or id of the guest."`
}

// Run deletes one guest; links stop working at once.
func (c guestsDeleteCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	g, err := findGuest(e, api, c.Ref)
	if err != nil {
		return err
	}
	if err := api.call(e, http.MethodDelete, "/v1.0/users/"+url.PathEscape(g.ID), nil, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "Deleted %s\n  bring it back within 30 days with: invited guests restore %s\n", printableLine(g.Mail), g.ID)
	return err
}

type guestsRestoreCmd struct {
	serverFlags
	ID string `arg:"" help:"Id of the deleted guest, see: invited guests list --deleted"`
}

// Run restores one deleted guest.
func (c guestsRestoreCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var out guestUser
	err = api.call(e, http.MethodPost, "/v1.0/directory/deletedItems/"+url.PathEscape(c.ID)+"/restore", map[string]any{}, &out)
	if x, ok := errors.AsType[*exitError](err); ok && x.code == exitNotFound {
		return &exitError{exitNotFound, fmt.Sprintf("there is no deleted guest with the id %s; list them with: invited guests list --deleted", c.ID)}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "Restored %s\n", printableLine(out.UPN))
	return err
}
