package graph

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"invited/server/directory"
	"invited/server/problem"
	"invited/server/tenant"
	"invited/server/web"
)

// changeable are the properties PATCH can change. Each reads its value, where
// null stands for nothing, and says what it should have been.
var changeable = map[string]func(json.RawMessage, *tenant.Patch) (want string, ok bool){
	"displayName":       textOf(func(p *tenant.Patch) **string { return &p.DisplayName }),
	"givenName":         textOf(func(p *tenant.Patch) **string { return &p.GivenName }),
	"surname":           textOf(func(p *tenant.Patch) **string { return &p.Surname }),
	"jobTitle":          textOf(func(p *tenant.Patch) **string { return &p.JobTitle }),
	"companyName":       textOf(func(p *tenant.Patch) **string { return &p.CompanyName }),
	"mail":              textOf(func(p *tenant.Patch) **string { return &p.Mail }),
	"preferredLanguage": textOf(func(p *tenant.Patch) **string { return &p.PreferredLanguage }),
	"otherMails": func(raw json.RawMessage, p *tenant.Patch) (string, bool) {
		values := []string{}
		err := json.Unmarshal(raw, &values)
		values = orEmpty(values)
		p.OtherMails = &values
		return "an array of strings", err == nil
	},
	"accountEnabled": func(raw json.RawMessage, p *tenant.Patch) (string, bool) {
		err := json.Unmarshal(raw, &p.Enabled)
		return "true or false", err == nil && p.Enabled != nil
	},
	"userType": func(raw json.RawMessage, p *tenant.Patch) (string, bool) {
		var s *directory.UserType
		err := json.Unmarshal(raw, &s)
		p.UserType = s
		return "Guest or Member", err == nil && s != nil
	},
}

func textOf(field func(*tenant.Patch) **string) func(json.RawMessage, *tenant.Patch) (string, bool) {
	return func(raw json.RawMessage, p *tenant.Patch) (string, bool) {
		s := ""
		err := json.Unmarshal(raw, &s)
		*field(p) = &s
		return "a string or null", err == nil
	}
}

// updateUser serves PATCH /users/{id or userPrincipalName}.
func (h *Handler) updateUser(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	var body map[string]json.RawMessage
	if err := web.ReadJSON(r, &body); err != nil {
		return err
	}
	patch, err := parsePatch(body)
	if err != nil {
		return err
	}
	u, err := h.user(r, actor)
	if err != nil {
		return err
	}
	if _, err := h.Tenants.UpdateUser(r.Context(), actor, u.ID, patch); err != nil {
		return notHere(err, string(u.ID))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// parsePatch reads the properties to change. Annotations are ignored, and so
// is taking away what is not held here.
func parsePatch(body map[string]json.RawMessage) (tenant.Patch, error) {
	const op = "graph.updateUser"
	var patch tenant.Patch
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if strings.Contains(name, "@odata.") {
			continue
		}
		if read, ok := changeable[name]; ok {
			if want, ok := read(body[name], &patch); !ok {
				return patch, problem.BadField(op, name, fmt.Sprintf("Invalid value for '%s': it must be %s.", name, want))
			}
			continue
		}
		switch p := propertyByName(name); {
		case p == nil:
			return patch, problem.BadField(op, shorten(name), fmt.Sprintf("Property '%s' does not exist on type 'microsoft.graph.user'.", shorten(name)))
		case p.kind == absent && string(body[name]) == "null":
		case p.kind == absent:
			return patch, problem.BadField(op, p.name, fmt.Sprintf("Property '%s' is not kept by this server; leave it out.", p.name))
		default:
			return patch, problem.BadField(op, p.name, fmt.Sprintf("Property '%s' cannot be changed.", p.name))
		}
	}
	return patch, nil
}
