package web

import (
	"net/http"
	"strings"

	"invited/server/problem"
)

// maxBearer bounds a credential before anybody looks at it.
const maxBearer = 8 << 10

// Bearer returns the token of the Authorization header (RFC 6750 §2.1). A
// request without one is Unauthenticated.
func Bearer(r *http.Request) (string, error) {
	const op = "web.Bearer"
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", &problem.Error{
			Op: op, Kind: problem.Unauthenticated, Reason: problem.TokenInvalid, Field: "Authorization",
			Detail: "Access token is empty: send the header Authorization: Bearer with a token.",
		}
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxBearer || strings.ContainsAny(token, " \t,") {
		return "", &problem.Error{
			Op: op, Kind: problem.Unauthenticated, Reason: problem.TokenInvalid, Field: "Authorization",
			Detail: "The Authorization header must be the word Bearer, a space and one token.",
		}
	}
	return token, nil
}
