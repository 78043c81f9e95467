package oauth

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"invited/server/problem"
	"invited/server/web"
)

// maxForm is the most bytes a token request may have.
const maxForm = 64 << 10

// tokenJSON is a successful answer. Source: RFC 6749 §5.1; ext_expires_in is
// the Microsoft identity platform's.
type tokenJSON struct {
	Type       string `json:"token_type"`
	ExpiresIn  int64  `json:"expires_in"`
	ExtExpires int64  `json:"ext_expires_in"`
	Token      string `json:"access_token"`
}

// createToken serves POST /{tenant}/oauth2/v2.0/token.
func (h *Handler) createToken(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	form, err := readForm(r)
	if err != nil {
		return err
	}
	if err := checkGrant(form); err != nil {
		return err
	}
	id, secret, err := clientOf(r, form)
	if err != nil {
		return err
	}
	t, err := h.tenant(r)
	if problem.Is(err, problem.NotFound) {
		return refuse(tenantUnknown, fmt.Sprintf("Tenant '%s' not found. Use the tenant id or one of its verified domains.", shorten(r.PathValue("tenant"))), err)
	} else if err != nil {
		return err
	}
	token, lifetime, err := h.Sessions.ClientCredentials(r.Context(), t.ID, id, secret, issuer(r, t.ID))
	if err != nil {
		return err
	}
	seconds := int64(lifetime.Seconds())
	return web.WriteJSON(w, http.StatusOK, tokenJSON{Type: "Bearer", ExpiresIn: seconds, ExtExpires: seconds, Token: token})
}

// readForm reads the body. Parameters in the URL do not count: secrets there
// would end up in logs.
func readForm(r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refuse(badRequest, "The request body must be a form: send the header Content-Type: application/x-www-form-urlencoded.", err)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return nil, refuse(badRequest, "The request body could not be read to its end.", err)
	}
	if len(body) > maxForm {
		return nil, refuse(badRequest, "The request body is over 64 KiB.", nil)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuse(badRequest, "The request body does not parse as a form.", err)
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, refuse(badRequest, fmt.Sprintf("The parameter '%s' is given twice; give it once.", shorten(name)), nil)
		}
	}
	return form, nil
}

// checkGrant accepts client_credentials for whole resources.
func checkGrant(form url.Values) error {
	switch grant := form.Get("grant_type"); grant {
	case "client_credentials":
	case "":
		return refuse(missingParameter, "The request body must contain the following parameter: 'grant_type'.", nil)
	default:
		return refuse(badGrant, fmt.Sprintf("The provided value '%s' for grant_type is not supported. Use client_credentials.", shorten(grant)), nil)
	}
	scope := form.Get("scope")
	if scope != "" && !strings.HasSuffix(scope, "/.default") && scope != ".default" || strings.Contains(strings.TrimSpace(scope), " ") {
		return refuse(badScope, fmt.Sprintf("The provided value '%s' for scope is not valid. Name one resource, followed by /.default.", shorten(scope)), nil)
	}
	return nil
}

// clientOf reads the client's id and secret from the Authorization header or
// the body (RFC 6749 §2.3.1), not from both.
func clientOf(r *http.Request, form url.Values) (id, secret string, err error) {
	if name := form.Get("client_assertion_type"); name != "" {
		return "", "", refuse(badSecret, "Client assertions are not supported. Authenticate with client_secret.", nil)
	}
	user, password, basic := r.BasicAuth()
	if r.Header.Get("Authorization") != "" && !basic {
		return "", "", refuse(badRequest, "The Authorization header does not parse. Use Basic with id and secret, or leave it out and send client_id and client_secret.", nil)
	}
	if basic {
		if form.Has("client_secret") {
			return "", "", refuse(badRequest, "The client authenticates twice: by the Authorization header and by client_secret. Use one.", nil)
		}
		id, err1 := url.QueryUnescape(user)
		secret, err2 := url.QueryUnescape(password)
		if err1 != nil || err2 != nil {
			return "", "", refuse(badRequest, "Id and secret in the Authorization header must be form-encoded.", nil)
		}
		if given := form.Get("client_id"); given != "" && given != id {
			return "", "", refuse(badRequest, "client_id in the body differs from the one in the Authorization header.", nil)
		}
		return id, secret, nil
	}
	id, secret = form.Get("client_id"), form.Get("client_secret")
	switch {
	case id == "":
		return "", "", refuse(missingParameter, "The request body must contain the following parameter: 'client_id'.", nil)
	case secret == "":
		return "", "", refuse(noSecret, "A client_secret is required for the client_credentials grant.", nil)
	}
	return id, secret, nil
}

func shorten(s string) string {
	const longest = 64
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}
