package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"invited/mail"
	"invited/server/directory"
	"invited/server/problem"
	"invited/server/web"
)

// homeJSON is a home organisation.
type homeJSON struct {
	Domain                  string   `json:"domain"`
	DisplayName             string   `json:"displayName"`
	AllowEmailVerifiedUsers bool     `json:"allowEmailVerifiedUsers"`
	Federated               bool     `json:"federated"`
	SignIn                  string   `json:"signIn"`
	Accounts                []string `json:"accounts,omitempty"` // the first maxAccounts; not in lists
}

// maxAccounts is how many accounts an answer shows.
const maxAccounts = 100

func showHome(h directory.HomeTenant) homeJSON {
	return homeJSON{h.Domain, h.DisplayName, h.AllowEmailVerifiedUsers, h.Federated, string(h.SignIn), nil}
}

// listHomes serves GET /homes, by domain.
func (h *Handler) listHomes(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	p, err := parsePaging(r, "homes")
	if err != nil {
		return err
	}
	rows, err := h.Tenants.ListHomes(r.Context(), actor, p.after, p.limit())
	if err != nil {
		return err
	}
	return writePage(w, r, p, rows, func(t directory.HomeTenant) string { return t.Domain }, showHome)
}

// getHome serves GET /homes/{domain}.
func (h *Handler) getHome(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := parseQuery(r); err != nil {
		return err
	}
	home, err := h.Tenants.Home(r.Context(), actor, domainOf(r))
	if err != nil {
		return err
	}
	return h.writeHome(r.Context(), w, actor, home)
}

// homeRequest is the body of PUT /homes/{domain}. Members that are absent keep
// their value.
type homeRequest struct {
	DisplayName             *string           `json:"displayName"`
	AllowEmailVerifiedUsers *bool             `json:"allowEmailVerifiedUsers"`
	Federated               *bool             `json:"federated"`
	SignIn                  *directory.SignIn `json:"signIn"`
	AddAccounts             []string          `json:"addAccounts"`
	RemoveAccounts          []string          `json:"removeAccounts"`
}

// putHome serves PUT /homes/{domain}.
func (h *Handler) putHome(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	var in homeRequest
	if err := web.ReadStrictJSON(r, &in); err != nil {
		return err
	}
	domain := domainOf(r)
	home, err := h.Tenants.Home(r.Context(), actor, domain)
	switch {
	case problem.Is(err, problem.NotFound):
		home = directory.HomeTenant{Tenant: actor.Tenant, Domain: domain, SignIn: directory.SignInSimulated}
	case err != nil:
		return err
	}
	replace(&home.DisplayName, in.DisplayName)
	replace(&home.AllowEmailVerifiedUsers, in.AllowEmailVerifiedUsers)
	replace(&home.Federated, in.Federated)
	replace(&home.SignIn, in.SignIn)
	add, err := addresses("addAccounts", in.AddAccounts)
	if err != nil {
		return err
	}
	remove, err := addresses("removeAccounts", in.RemoveAccounts)
	if err != nil {
		return err
	}
	if home, err = h.Tenants.PutHome(r.Context(), actor, home, add, remove); err != nil {
		return err
	}
	return h.writeHome(r.Context(), w, actor, home)
}

// replace sets a field that a request names.
func replace[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// writeHome answers with a home organisation and its accounts.
func (h *Handler) writeHome(ctx context.Context, w http.ResponseWriter, actor directory.Actor, home directory.HomeTenant) error {
	accounts, err := h.Tenants.HomeAccounts(ctx, actor, home.Domain, "", maxAccounts)
	if err != nil {
		return err
	}
	out := showHome(home)
	out.Accounts = accounts
	return web.WriteJSON(w, http.StatusOK, out)
}

// domainOf returns the domain the path names, in lower case.
func domainOf(r *http.Request) string {
	return strings.ToLower(strings.TrimSuffix(r.PathValue("domain"), "."))
}

// addresses parses a list of addresses; the error names the member and the
// value at fault.
func addresses(field string, values []string) ([]mail.Address, error) {
	var out []mail.Address
	for i, v := range values {
		a, err := mail.ParseAddress(v)
		if err != nil {
			detail := "It is not an e-mail address."
			if e, ok := errors.AsType[*mail.AddressError](err); ok {
				detail = e.Detail()
			}
			return nil, problem.BadField("api.putHome", field, fmt.Sprintf("Invalid value for %s[%d]: %s", field, i, detail))
		}
		out = append(out, a)
	}
	return out, nil
}
