package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

type preflightCmd struct {
	serverFlags
	outputFlag
	Address string `arg:"" help:"The address that would be invited."`
}

// preflight is what the API answers.
type preflight struct {
	Email      string           `json:"email"`
	Invitable  bool             `json:"invitable"`
	Redeemable bool             `json:"redeemable"`
	SignIn     *preflightSignIn `json:"signIn"`
	Reason     string           `json:"reason,omitempty"`
	Title      string           `json:"title,omitempty"`
	Text       string           `json:"text,omitempty"`
	Remedy     string           `json:"remedy,omitempty"`
	Forward    string           `json:"forward,omitempty"`
	Checks     []preflightCheck `json:"checks"`
}

type preflightSignIn struct {
	Method     string `json:"method,omitempty"`
	Rule       string `json:"rule"`
	Provider   string `json:"provider,omitempty"`
	Home       string `json:"home,omitempty"`
	JustInTime bool   `json:"justInTime"`
}

type preflightCheck struct {
	Name     string            `json:"name"`
	OK       bool              `json:"ok"`
	Reason   string            `json:"reason,omitempty"`
	Detail   string            `json:"detail,omitempty"`
	Remedy   string            `json:"remedy,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`
}

// Run says what would become of an invitation. It fails if it would come to
// nothing.
func (c preflightCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var p preflight
	if err := api.call(e, http.MethodPost, "/invited/v1/preflight", fields{"email": c.Address}, &p); err != nil {
		return err
	}
	if c.Output == "table" {
		p.tell(e.stdout)
	} else {
		t := table{columns: []string{"check", "ok", "reason", "detail"}, value: p}
		for _, k := range p.Checks {
			t.rows = append(t.rows, []string{k.Name, fmt.Sprint(k.OK), k.Reason, k.Detail})
		}
		if err := c.print(e.stdout, t); err != nil {
			return err
		}
	}
	if !p.Invitable || !p.Redeemable {
		return &exitError{code: exitDenied}
	}
	return nil
}

// tell prints a preflight for people.
func (p preflight) tell(w io.Writer) {
	verdict := "can be invited and can sign in"
	switch {
	case !p.Invitable:
		verdict = "would be refused"
	case !p.Redeemable:
		verdict = "can be invited, but could not sign in"
	}
	fmt.Fprintf(w, "%s: %s\n\n", printableLine(p.Email), verdict)
	for _, k := range p.Checks {
		mark, say := "✓", k.Detail
		if !k.OK {
			mark = "✗"
		}
		if say == "" {
			var parts []string
			for _, name := range slices.Sorted(maps.Keys(k.Evidence)) {
				parts = append(parts, name+"="+k.Evidence[name])
			}
			say = strings.Join(parts, " ")
		}
		fmt.Fprintf(w, "  %s %-9s %s\n", mark, k.Name, printableLine(say))
	}
	if p.SignIn != nil && p.SignIn.Method != "" {
		fmt.Fprintf(w, "\nSigns in by %s: %s.\n", p.SignIn.Method, p.SignIn.Rule)
	}
	if p.Reason != "" {
		fmt.Fprintf(w, "\n%s (%s)\n%s\n→ %s\n", p.Title, p.Reason, p.Text, p.Remedy)
	}
	if p.Forward != "" {
		fmt.Fprintf(w, "\nText to forward:\n%s\n", indent(p.Forward))
	}
}
