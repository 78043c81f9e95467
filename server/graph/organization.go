package graph

import (
	"net/http"
	"strings"

	"invited/server/directory"
)

// listOrganizations serves GET /organization: always one.
func (h *Handler) listOrganizations(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := options(r, "$select", "$top"); err != nil {
		return err
	}
	t, err := h.Tenants.Tenant(r.Context(), actor)
	if err != nil {
		return err
	}
	return writeCollection(w, r, collection{context: "organization", value: []object{organizationObject(t)}})
}

// getOrganization serves GET /organization/{id}.
func (h *Handler) getOrganization(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := options(r, "$select"); err != nil {
		return err
	}
	t, err := h.Tenants.Tenant(r.Context(), actor)
	if err != nil {
		return err
	}
	if id := r.PathValue("id"); !strings.EqualFold(id, string(t.ID)) {
		return missing(id, nil)
	}
	return writeObject(w, r, http.StatusOK, "organization/$entity", organizationObject(t))
}

// organizationObject is the answer for a tenant. Source: Graph resource
// organization.
func organizationObject(t directory.Tenant) object {
	domains := make([]object, len(t.Domains))
	for i, d := range t.Domains {
		domains[i] = object{
			{"capabilities", "Email"},
			{"isDefault", strings.EqualFold(d, t.PrimaryDomain)},
			{"isInitial", strings.EqualFold(d, t.InitialDomain)},
			{"name", d},
			{"type", "Managed"},
		}
	}
	var privacy any
	if t.PrivacyURL != "" || t.PrivacyContact != "" {
		privacy = object{{"contactEmail", orNull(t.PrivacyContact)}, {"statementUrl", orNull(t.PrivacyURL)}}
	}
	return object{
		{"id", string(t.ID)},
		{"createdDateTime", timeOrNull(t.Created)},
		{"displayName", t.DisplayName},
		{"preferredLanguage", orNull(t.Language)},
		{"privacyProfile", privacy},
		{"tenantType", "AAD"},
		{"verifiedDomains", domains},
	}
}
