package main

import (
	"fmt"
	"net/http"
	"time"
)

type tokenCmd struct {
	serverFlags
	As string `placeholder:"UPN" help:"The person to act as (default: the local application)."`
}

// Run prints a bearer token, and nothing else.
func (c tokenCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var out struct {
		Token string `json:"access_token"`
	}
	if err := api.call(e, http.MethodPost, "/invited/v1/token", map[string]any{"as": c.As}, &out); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, out.Token)
	return err
}

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the keys that sign links."`
	Rotate keysRotateCmd `cmd:"" help:"Sign with a new key from now on; links made before keep working."`
	DKIM   keysDKIMCmd   `cmd:"" name:"dkim" help:"Make the keys that sign mail, and print their DNS records."`
}

// signingKey is a key as the API answers it: public facts only.
type signingKey struct {
	ID      string     `json:"id"`
	Alg     string     `json:"alg"`
	State   string     `json:"state"`
	Created time.Time  `json:"created"`
	Retires *time.Time `json:"retires"`
}

type keysListCmd struct {
	serverFlags
	outputFlag
}

// Run lists keys.
func (c keysListCmd) Run(e env) error {
	return keys(e, c.serverFlags, c.outputFlag, http.MethodGet, "/invited/v1/keys", nil)
}

type keysRotateCmd struct {
	serverFlags
	outputFlag
}

// Run rotates the keys of a running server.
func (c keysRotateCmd) Run(e env) error {
	return keys(e, c.serverFlags, c.outputFlag, http.MethodPost, "/invited/v1/keys/rotate", map[string]any{})
}

// keys asks for the list of keys and prints it.
func keys(e env, f serverFlags, o outputFlag, method, path string, body any) error {
	api, err := f.api()
	if err != nil {
		return err
	}
	var out struct {
		Value []signingKey `json:"value"`
	}
	if err := api.call(e, method, path, body, &out); err != nil {
		return err
	}
	t := table{columns: []string{"id", "algorithm", "state", "created", "retires"}, value: out.Value}
	for _, k := range out.Value {
		retires := "-"
		if k.Retires != nil {
			retires = when(*k.Retires)
		}
		t.rows = append(t.rows, []string{k.ID, k.Alg, k.State, when(k.Created), retires})
	}
	return o.print(e.stdout, t)
}
