package graph

import (
	"fmt"
	"net/http"
	"strings"

	"invited/server/directory"
	"invited/server/problem"
	"invited/server/web"
)

// getUser serves GET /users/{id or userPrincipalName}.
func (h *Handler) getUser(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	sel, err := selectOnly(r)
	if err != nil {
		return err
	}
	u, err := h.user(r, actor)
	if err != nil {
		return err
	}
	return writeObject(w, r, http.StatusOK, "users"+sel.context+"/$entity", userObject(&u, sel))
}

// getMe serves GET /me. Programs have no self.
func (h *Handler) getMe(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if actor.Application {
		return &problem.Error{
			Op: "graph.getMe", Kind: problem.Invalid, Reason: problem.BadInput, Field: "Authorization", Err: coded{"BadRequest", nil},
			Detail: "/me request is only valid with delegated authentication flow. Use a person's token, or /users/{id}.",
		}
	}
	sel, err := selectOnly(r)
	if err != nil {
		return err
	}
	u, err := h.Tenants.User(r.Context(), actor, directory.UserID(actor.ID))
	if err != nil {
		return err
	}
	return writeObject(w, r, http.StatusOK, "users"+sel.context+"/$entity", userObject(&u, sel))
}

// getManager serves GET /users/{id}/manager. Nobody here has a manager, which
// clients expect to be told with this 404.
func (h *Handler) getManager(_ http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := h.user(r, actor); err != nil {
		return err
	}
	return missing("manager", nil)
}

// deleteUser serves DELETE /users/{id or userPrincipalName}.
func (h *Handler) deleteUser(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	u, err := h.user(r, actor)
	if err != nil {
		return err
	}
	if err := h.Tenants.DeleteUser(r.Context(), actor, u.ID); err != nil {
		return notHere(err, string(u.ID))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// user finds the user the path names, by id or userPrincipalName.
func (h *Handler) user(r *http.Request, actor directory.Actor) (directory.User, error) {
	key := r.PathValue("id")
	if web.IsUUID(key) {
		u, err := h.Tenants.User(r.Context(), actor, directory.UserID(strings.ToLower(key)))
		return u, notHere(err, key)
	}
	const longest = 1024
	if !strings.Contains(key, "@") || len(key) > longest {
		return directory.User{}, missing(key, nil)
	}
	u, err := h.Tenants.UserByUPN(r.Context(), actor, key)
	return u, notHere(err, key)
}

// notHere gives a NotFound problem the words that clients match.
func notHere(err error, key string) error {
	if !problem.Is(err, problem.NotFound) {
		return err
	}
	return missing(key, err)
}

func missing(key string, cause error) error {
	return &problem.Error{
		Op: "graph.user", Kind: problem.NotFound, Reason: problem.Missing, Field: "id", Err: cause,
		Detail: fmt.Sprintf("Resource '%s' does not exist or one of its queried reference-property objects are not present.", shorten(key)),
	}
}

// selectOnly reads the query of a single object.
func selectOnly(r *http.Request) (selection, error) {
	q, err := options(r, "$select")
	if err != nil {
		return selection{}, err
	}
	return selectUser(q)
}

// userObject is the answer for one user. Source: Graph resource user.
func userObject(u *directory.User, s selection) object {
	o := make(object, len(s.properties), len(s.properties)+2)
	for i, p := range s.properties {
		o[i] = member{p.name, p.get(u)}
	}
	return o
}

const userType = "#microsoft.graph.user"
