package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"invited/server/problem"
	"invited/server/session"
	"invited/server/web"
)

// A refusal is one way to say no, as the Microsoft identity platform numbers
// them. Source: its reference of AADSTS error codes; the names are those of
// RFC 6749 §5.2.
type refusal struct {
	code   int
	name   string // the OAuth error
	status int
	kind   problem.Kind
}

var (
	badRequest       = refusal{900561, "invalid_request", http.StatusBadRequest, problem.Invalid}
	missingParameter = refusal{900144, "invalid_request", http.StatusBadRequest, problem.Invalid}
	tenantUnknown    = refusal{90002, "invalid_request", http.StatusBadRequest, problem.Invalid}
	badGrant         = refusal{70003, "unsupported_grant_type", http.StatusBadRequest, problem.Invalid}
	badScope         = refusal{1002012, "invalid_scope", http.StatusBadRequest, problem.Invalid}
	badSecret        = refusal{7000215, "invalid_client", http.StatusUnauthorized, problem.Unauthenticated}
	noSecret         = refusal{7000216, "invalid_client", http.StatusUnauthorized, problem.Unauthenticated}
	throttled        = refusal{90055, "temporarily_unavailable", http.StatusTooManyRequests, problem.TooMany}
	unavailable      = refusal{90033, "temporarily_unavailable", http.StatusServiceUnavailable, problem.Unavailable}
	broken           = refusal{90000, "server_error", http.StatusInternalServerError, problem.Internal}
)

// refused is the cause of a problem that has a refusal.
type refused struct {
	refusal
	cause error
}

// Error returns the cause, for logs.
func (r refused) Error() string {
	if r.cause == nil {
		return r.name
	}
	return r.name + ": " + r.cause.Error()
}

// Unwrap returns the cause.
func (r refused) Unwrap() error { return r.cause }

// refuse returns the problem of a token request that breaks a rule.
func refuse(r refusal, detail string, cause error) error {
	reason := problem.BadInput
	if r.kind == problem.Unauthenticated {
		reason = problem.TokenInvalid
	}
	return &problem.Error{Op: "oauth.createToken", Kind: r.kind, Reason: reason, Detail: detail, Err: refused{r, cause}}
}

// errorJSON is a failure. Source: RFC 6749 §5.2, and the members that the
// libraries of the Microsoft identity platform show.
type errorJSON struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	Timestamp   string `json:"timestamp"`
	Trace       string `json:"trace_id"`
	Correlation string `json:"correlation_id"`
}

// describe returns how p is told, whatever it is.
func describe(p *problem.Error, r *http.Request) refusal {
	if has, ok := errors.AsType[refused](p.Err); ok {
		return has.refusal
	}
	if by, ok := errors.AsType[*session.Refusal](p.Err); ok {
		out := refusal{by.Code, by.OAuth, http.StatusBadRequest, p.Kind}
		if by.OAuth == "invalid_client" {
			out.status = http.StatusUnauthorized
		}
		return out
	}
	switch p.Kind {
	case problem.Invalid, problem.NotFound, problem.MethodNotAllowed, problem.TooLarge, problem.Unsupported:
		out := badRequest
		out.status = web.Status(p.Kind)
		if p.Kind == problem.NotFound && r.PathValue("tenant") != "" {
			out = tenantUnknown
		}
		return out
	case problem.Unauthenticated, problem.Denied:
		return badSecret
	case problem.TooMany:
		return throttled
	case problem.Unavailable, problem.Full:
		return unavailable
	default:
		return broken
	}
}

// writeTokenError answers failures of the token endpoint.
func (h *Handler) writeTokenError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	out := describe(p, r)
	if out.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
	}
	h.write(w, r, p, out)
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, p *problem.Error, out refusal) {
	w.Header().Set("Cache-Control", "no-store")
	correlation := r.Header.Get("client-request-id")
	if !web.IsUUID(correlation) {
		correlation = web.RequestID(r.Context())
	}
	number := fmt.Sprintf("AADSTS%d: ", out.code)
	at := h.Now().UTC().Format("2006-01-02 15:04:05Z")
	_ = web.WriteJSON(w, out.status, errorJSON{
		Error: out.name,
		Description: fmt.Sprintf("%s%s Trace ID: %s Correlation ID: %s Timestamp: %s",
			number, strings.TrimPrefix(p.Detail, number), web.RequestID(r.Context()), correlation, at),
		Codes: []int{out.code}, Timestamp: at, Trace: web.RequestID(r.Context()), Correlation: correlation,
	})
}

// keysLifetime is how long clients may keep published keys (security: a
// retired key stays valid longer than that).
const keysLifetime = 5 * time.Minute
