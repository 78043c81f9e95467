package oauth

import (
	"fmt"
	"net/http"
	"net/url"

	"invited/server/problem"
	"invited/server/web"
)

// configurationJSON is a discovery document. Source: OpenID Connect Discovery
// 1.0 §3, RFC 8414.
type configurationJSON struct {
	Issuer         string   `json:"issuer"`
	Authorization  string   `json:"authorization_endpoint"`
	Token          string   `json:"token_endpoint"`
	Keys           string   `json:"jwks_uri"`
	TokenAuth      []string `json:"token_endpoint_auth_methods_supported"`
	ResponseModes  []string `json:"response_modes_supported"`
	ResponseTypes  []string `json:"response_types_supported"`
	Grants         []string `json:"grant_types_supported"`
	Subjects       []string `json:"subject_types_supported"`
	IDTokenSigning []string `json:"id_token_signing_alg_values_supported"`
	Scopes         []string `json:"scopes_supported"`
	Claims         []string `json:"claims_supported"`
	RequestURI     bool     `json:"request_uri_parameter_supported"`
	HTTPLogout     bool     `json:"http_logout_supported"`
	CloudInstance  string   `json:"cloud_instance_name"`
	GraphHost      string   `json:"msgraph_host"`
}

// getConfiguration serves GET /{tenant}/v2.0/.well-known/openid-configuration.
func (h *Handler) getConfiguration(w http.ResponseWriter, r *http.Request) error {
	t, err := h.tenant(r)
	if err != nil {
		return err
	}
	base := web.Origin(r) + "/" + string(t.ID)
	host := r.Host
	return web.WriteJSON(w, http.StatusOK, configurationJSON{
		Issuer:         issuer(r, t.ID),
		Authorization:  base + "/oauth2/v2.0/authorize",
		Token:          base + "/oauth2/v2.0/token",
		Keys:           base + "/discovery/v2.0/keys",
		TokenAuth:      []string{"client_secret_post", "client_secret_basic"},
		ResponseModes:  []string{"query"},
		ResponseTypes:  []string{"code"},
		Grants:         []string{"client_credentials"},
		Subjects:       []string{"pairwise"},
		IDTokenSigning: []string{"RS256"},
		Scopes:         []string{"openid", "profile", "email", "offline_access"},
		Claims:         []string{"iss", "sub", "aud", "exp", "iat", "nbf", "tid", "oid", "appid", "app_displayname", "upn", "name", "roles", "scp"},
		CloudInstance:  host,
		GraphHost:      host,
	})
}

// getAccessKeys serves GET /{tenant}/discovery/v2.0/keys.
func (h *Handler) getAccessKeys(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.tenant(r); err != nil {
		return err
	}
	return writeKeys(w, h.AccessKeys)
}

// getTicketKeys serves GET /.well-known/jwks.json.
func (h *Handler) getTicketKeys(w http.ResponseWriter, _ *http.Request) error {
	return writeKeys(w, h.TicketKeys)
}

// writeKeys answers with a JWK Set.
func writeKeys(w http.ResponseWriter, keys Keys) error {
	set, err := keys.JWKS()
	if err != nil {
		return &problem.Error{Op: "oauth.writeKeys", Kind: problem.Internal, Detail: "internal error", Err: err}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(keysLifetime.Seconds())))
	_, err = w.Write(set)
	return err
}

// instanceJSON is the answer of instance discovery.
type instanceJSON struct {
	Discovery string             `json:"tenant_discovery_endpoint"`
	Version   string             `json:"api-version"`
	Metadata  []instanceMetadata `json:"metadata"`
}

type instanceMetadata struct {
	Network string   `json:"preferred_network"`
	Cache   string   `json:"preferred_cache"`
	Aliases []string `json:"aliases"`
}

// getInstance serves GET /common/discovery/instance: asked under any name,
// this server is the authority of that name and of no other.
func (h *Handler) getInstance(w http.ResponseWriter, r *http.Request) error {
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	tenant := "common"
	if at := q.Get("authorization_endpoint"); at != "" {
		u, err := url.Parse(at)
		if err != nil {
			return problem.BadField("oauth.getInstance", "authorization_endpoint", "authorization_endpoint must be a URL.")
		}
		if name := firstSegment(u.Path); name != "" {
			tenant = name
		}
	}
	return web.WriteJSON(w, http.StatusOK, instanceJSON{
		Discovery: web.Origin(r) + "/" + url.PathEscape(tenant) + "/v2.0/.well-known/openid-configuration",
		Version:   "1.1",
		Metadata:  []instanceMetadata{{Network: r.Host, Cache: r.Host, Aliases: []string{r.Host}}},
	})
}

func firstSegment(path string) string {
	for len(path) > 0 && path[0] == '/' {
		path = path[1:]
	}
	for i := range len(path) {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return path
}

// endpointsJSON is the environment of an Azure Resource Manager. Only the
// members that name sign-in and Graph mean anything here; the others are
// present because clients insist on them.
type endpointsJSON struct {
	Name            string             `json:"name"`
	Portal          string             `json:"portal"`
	Authentication  authenticationJSON `json:"authentication"`
	ResourceManager string             `json:"resourceManager"`
	Graph           string             `json:"graph"`
	GraphAudience   string             `json:"graphAudience"`
	MicrosoftGraph  string             `json:"microsoftGraphResourceId"`
	Suffixes        map[string]string  `json:"suffixes"`
}

type authenticationJSON struct {
	LoginEndpoint    string   `json:"loginEndpoint"`
	Audiences        []string `json:"audiences"`
	Tenant           string   `json:"tenant"`
	IdentityProvider string   `json:"identityProvider"`
}

// getEndpoints serves GET /metadata/endpoints. No URL ends in a slash: clients
// append "/{tenant}/…" and would ask for a path with two.
func (h *Handler) getEndpoints(w http.ResponseWriter, r *http.Request) error {
	origin := web.Origin(r)
	return web.WriteJSON(w, http.StatusOK, endpointsJSON{
		Name: "invited", Portal: origin, ResourceManager: origin, Graph: origin, GraphAudience: origin, MicrosoftGraph: origin,
		Authentication: authenticationJSON{LoginEndpoint: origin, Audiences: []string{origin}, Tenant: "common", IdentityProvider: "AAD"},
		Suffixes:       map[string]string{},
	})
}
