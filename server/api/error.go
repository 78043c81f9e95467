package api

import (
	"errors"
	"net/http"
	"time"

	"invited/server/problem"
	"invited/server/web"
	"invited/templates"
)

// codes maps each kind of problem to the error code.
var codes = map[problem.Kind]string{
	problem.Internal:         "InternalServerError",
	problem.Invalid:          "BadRequest",
	problem.Unauthenticated:  "InvalidAuthenticationToken",
	problem.Denied:           "Forbidden",
	problem.NotFound:         "NotFound",
	problem.MethodNotAllowed: "MethodNotAllowed",
	problem.Conflict:         "Conflict",
	problem.Gone:             "Gone",
	problem.TooLarge:         "RequestEntityTooLarge",
	problem.Unsupported:      "UnsupportedMediaType",
	problem.TooMany:          "TooManyRequests",
	problem.Unavailable:      "ServiceUnavailable",
	problem.Full:             "InsufficientStorage",
	problem.NotImplemented:   "NotImplemented",
}

// guide is where every reason has a heading.
const guide = "docs/troubleshooting.md#"

// errorJSON is Graph's error, plus what to do about it.
type errorJSON struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Target  string         `json:"target,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Remedy  string         `json:"remedy,omitempty"`
	Forward string         `json:"forward,omitempty"` // what a guest can send to their own administrator
	Docs    string         `json:"docs,omitempty"`
	Inner   innerErrorJSON `json:"innerError"`
}

type innerErrorJSON struct {
	Date            string `json:"date"`
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
}

// told is the cause of a problem that is about somebody: the words for its
// reason name them.
type told struct {
	args  []any // as for templates.ReasonFor
	cause error
}

// Error returns the cause, for logs.
func (t told) Error() string { return t.cause.Error() }

// Unwrap returns the cause.
func (t told) Unwrap() error { return t.cause }

// writeError renders p.
func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	id := web.RequestID(r.Context())
	client := r.Header.Get("client-request-id")
	if !web.IsUUID(client) {
		client = id
	}
	if p.Kind == problem.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="invited", error="invalid_token"`)
	}
	out := errorJSON{
		Code: codes[p.Kind], Message: p.Detail, Target: p.Field, Reason: string(p.Reason),
		Inner: innerErrorJSON{Date: h.Now().UTC().Format(time.RFC3339), RequestID: id, ClientRequestID: client},
	}
	if p.Reason != problem.NoReason {
		args := []any{"detail", p.Detail, "retry", p.RetryAfter}
		if about, ok := errors.AsType[told](p.Err); ok {
			args = append(args, about.args...)
		}
		words := templates.ReasonFor(language(r), string(p.Reason), args...)
		out.Remedy, out.Forward, out.Docs = words.Remedy, words.Forward, guide+string(p.Reason)
	}
	_ = web.WriteJSON(w, web.Status(p.Kind), map[string]errorJSON{"error": out})
}

// language is the one the caller reads best.
func language(r *http.Request) string { return templates.Match(r.Header.Get("Accept-Language")) }
