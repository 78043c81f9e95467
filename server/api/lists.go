package api

import (
	"net/http"

	"invited/server/directory"
	"invited/server/web"
)

// namedJSON is something invitations can grant: a group, a role or an app.
type namedJSON struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	Description string `json:"description,omitempty"`
	AppID       string `json:"appId,omitempty"`    // of apps: the client id
	Homepage    string `json:"homepage,omitempty"` // of apps
}

// listGroups serves GET /groups.
func (h *Handler) listGroups(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	p, err := parsePaging(r, "groups")
	if err != nil {
		return err
	}
	rows, err := h.Tenants.ListGroups(r.Context(), actor, directory.GroupID(p.after), p.limit())
	if err != nil {
		return err
	}
	return writePage(w, r, p, rows, func(g directory.Group) string { return string(g.ID) }, func(g directory.Group) namedJSON {
		return namedJSON{ID: string(g.ID), DisplayName: g.DisplayName, Description: g.Description}
	})
}

// listApps serves GET /apps.
func (h *Handler) listApps(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	p, err := parsePaging(r, "apps")
	if err != nil {
		return err
	}
	rows, err := h.Tenants.ListApps(r.Context(), actor, directory.AppID(p.after), p.limit())
	if err != nil {
		return err
	}
	return writePage(w, r, p, rows, func(a directory.App) string { return string(a.ID) }, func(a directory.App) namedJSON {
		return namedJSON{ID: string(a.ID), DisplayName: a.DisplayName, AppID: a.AppID, Homepage: a.Homepage}
	})
}

// listRoles serves GET /roles: the same few in every tenant.
func (h *Handler) listRoles(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.actor(r); err != nil {
		return err
	}
	if _, err := parseQuery(r); err != nil {
		return err
	}
	out := pageJSON[namedJSON]{Value: []namedJSON{}}
	for _, role := range directory.Roles() {
		out.Value = append(out.Value, namedJSON{ID: string(role.ID), DisplayName: role.DisplayName, Description: role.Description})
	}
	return web.WriteJSON(w, http.StatusOK, out)
}
