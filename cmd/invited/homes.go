package main

import (
	"fmt"
	"net/http"
	"net/url"
)

type homesCmd struct {
	List homesListCmd `cmd:"" help:"List the home organisations on record."`
	Show homesShowCmd `cmd:"" help:"Show one home organisation."`
	Set  homesSetCmd  `cmd:"" help:"Record how a home organisation behaves."`
}

// home is a home organisation as the API answers it.
type home struct {
	Domain                  string   `json:"domain"`
	DisplayName             string   `json:"displayName"`
	AllowEmailVerifiedUsers bool     `json:"allowEmailVerifiedUsers"`
	Federated               bool     `json:"federated"`
	SignIn                  string   `json:"signIn"`
	Accounts                []string `json:"accounts"`
}

var homeColumns = []string{"domain", "name", "email-verified users", "federated", "sign-in"}

func (h home) row() []string {
	return []string{h.Domain, h.DisplayName, fmt.Sprint(h.AllowEmailVerifiedUsers), fmt.Sprint(h.Federated), h.SignIn}
}

type homesListCmd struct {
	serverFlags
	outputFlag
}

// Run lists home organisations.
func (c homesListCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var out struct {
		Value []home `json:"value"`
	}
	if err := api.call(e, http.MethodGet, "/invited/v1/homes", nil, &out); err != nil {
		return err
	}
	t := table{columns: homeColumns, value: out.Value, empty: "No home organisation is on record: the mailed link signs every guest in."}
	for _, h := range out.Value {
		t.rows = append(t.rows, h.row())
	}
	return c.print(e.stdout, t)
}

type homesShowCmd struct {
	serverFlags
	outputFlag
	Domain string `arg:"" help:"Domain, such as fabrikam.example."`
}

// Run shows one home organisation with its accounts.
func (c homesShowCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var h home
	if err := api.call(e, http.MethodGet, "/invited/v1/homes/"+url.PathEscape(c.Domain), nil, &h); err != nil {
		return err
	}
	return printHome(e, c.outputFlag, h)
}

type homesSetCmd struct {
	serverFlags
	outputFlag
	Domain             string   `arg:"" help:"Domain, such as fabrikam.example."`
	Name               string   `help:"Name of the organisation."`
	EmailVerifiedUsers bool     `help:"Accounts may be created just in time (AllowEmailVerifiedUsers)."`
	Federated          bool     `help:"Sign-in happens at the organisation's own provider."`
	AddAccount         []string `sep:"none" placeholder:"ADDRESS" help:"An account that exists there. May be repeated."`
	RemoveAccount      []string `sep:"none" placeholder:"ADDRESS" help:"An account that no longer exists. May be repeated."`
}

// Run records a home organisation.
func (c homesSetCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	body := map[string]any{"allowEmailVerifiedUsers": c.EmailVerifiedUsers, "federated": c.Federated}
	if c.Name != "" {
		body["displayName"] = c.Name
	}
	for name, v := range map[string][]string{"addAccounts": c.AddAccount, "removeAccounts": c.RemoveAccount} {
		if len(v) > 0 {
			body[name] = v
		}
	}
	var h home
	if err := api.call(e, http.MethodPut, "/invited/v1/homes/"+url.PathEscape(c.Domain), body, &h); err != nil {
		return err
	}
	return printHome(e, c.outputFlag, h)
}

func printHome(e env, o outputFlag, h home) error {
	t := table{columns: homeColumns, rows: [][]string{h.row()}, value: h}
	if err := o.print(e.stdout, t); err != nil || o.Output != "table" {
		return err
	}
	for _, a := range h.Accounts {
		fmt.Fprintln(e.stdout, "  account", printableLine(a))
	}
	return nil
}
