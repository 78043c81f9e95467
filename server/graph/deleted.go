package graph

import (
	"net/http"
	"strings"

	"invited/server/directory"
	"invited/server/tenant"
	"invited/server/web"
)

// listDeletedUsers serves GET /directory/deletedItems/microsoft.graph.user and
// its short form graph.user.
func (h *Handler) listDeletedUsers(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	l, err := parseListing(r, "deletedItems", tenant.UserQuery{Deleted: true})
	if err != nil {
		return err
	}
	return h.writeListing(w, r, actor, l, "directoryObjects/"+userType[1:]+l.sel.context, userType)
}

// getDeletedItem serves GET /directory/deletedItems/{id}.
func (h *Handler) getDeletedItem(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	sel, err := selectOnly(r)
	if err != nil {
		return err
	}
	u, err := h.deletedUser(r, actor)
	if err != nil {
		return err
	}
	return writeObject(w, r, http.StatusOK, "directoryObjects/$entity", typed(r, userObject(&u, sel)))
}

// restoreDeletedItem serves POST /directory/deletedItems/{id}/restore. Its
// body is empty.
func (h *Handler) restoreDeletedItem(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	u, err := h.deletedUser(r, actor)
	if err != nil {
		return err
	}
	u, err = h.Tenants.RestoreUser(r.Context(), actor, u.ID)
	if err != nil {
		return notHere(err, r.PathValue("id"))
	}
	return writeObject(w, r, http.StatusOK, "directoryObjects/$entity", typed(r, userObject(&u, standardSelection)))
}

// purgeDeletedItem serves DELETE /directory/deletedItems/{id}.
func (h *Handler) purgeDeletedItem(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	u, err := h.deletedUser(r, actor)
	if err != nil {
		return err
	}
	if err := h.Tenants.PurgeUser(r.Context(), actor, u.ID); err != nil {
		return notHere(err, r.PathValue("id"))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deletedUser finds the deleted user the path names. Live ones are not here.
func (h *Handler) deletedUser(r *http.Request, actor directory.Actor) (directory.User, error) {
	id := r.PathValue("id")
	if !web.IsUUID(id) {
		return directory.User{}, missing(id, nil)
	}
	q := tenant.UserQuery{Deleted: true, ID: directory.UserID(strings.ToLower(id)), Limit: 1}
	users, err := h.Tenants.ListUsers(r.Context(), actor, q)
	if err != nil {
		return directory.User{}, err
	}
	if len(users) == 0 {
		return directory.User{}, missing(id, nil)
	}
	return users[0], nil
}

// typed adds the type that clients need to tell directory objects apart.
func typed(r *http.Request, o object) object {
	if bare(r) {
		return o
	}
	return append(object{{"@odata.type", userType}}, o...)
}
