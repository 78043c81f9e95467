package graph

import (
	"errors"
	"net/http"

	"invited/server/problem"
	"invited/server/web"
)

// codes maps each kind of problem to Graph's error code. Source: Graph's
// "Error responses and resource types", and what clients were seen to match.
var codes = map[problem.Kind]string{
	problem.Internal:         "InternalServerError",
	problem.Invalid:          "Request_BadRequest",
	problem.Unauthenticated:  "InvalidAuthenticationToken",
	problem.Denied:           "Authorization_RequestDenied",
	problem.NotFound:         "Request_ResourceNotFound",
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

// coded is the cause of a problem that Graph gives a code of its own.
type coded struct {
	code  string
	cause error // may be nil
}

// Error returns the cause, for logs.
func (c coded) Error() string {
	if c.cause == nil {
		return c.code
	}
	return c.code + ": " + c.cause.Error()
}

// Unwrap returns the cause.
func (c coded) Unwrap() error { return c.cause }

// code returns the error code of p.
func code(p *problem.Error) string {
	if c, ok := errors.AsType[coded](p.Err); ok {
		return c.code
	}
	return codes[p.Kind]
}

type errorJSON struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Target  string         `json:"target,omitempty"`
	Inner   innerErrorJSON `json:"innerError"`
}

type innerErrorJSON struct {
	Code            string `json:"code,omitempty"` // the reason of docs/troubleshooting.md
	Date            string `json:"date"`
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
}

// writeError renders p as a Graph error body. Source: Graph resource
// "publicError".
func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	id := web.RequestID(r.Context())
	client := r.Header.Get("client-request-id")
	if !web.IsUUID(client) {
		client = id
	}
	if p.Kind == problem.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="", error="invalid_token"`)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = web.WriteJSON(w, web.Status(p.Kind), map[string]errorJSON{"error": {
		Code:    code(p),
		Message: p.Detail,
		Target:  p.Field,
		Inner: innerErrorJSON{
			Code:            string(p.Reason),
			Date:            h.Now().UTC().Format("2006-01-02T15:04:05"),
			RequestID:       id,
			ClientRequestID: client,
		},
	}})
}
