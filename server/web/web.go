// Package web is what every HTTP face shares: handlers that return errors,
// request ids, JSON in and out with limits, security headers, protection from
// other sites, the origin of a request, and paging.
//
// It knows no route, serves no page and decides nothing about invitations. It
// reads no header it was not told to trust: forwarded schemes and hosts count
// only behind [BehindProxy].
//
//	listener ─▶ Headers ─▶ AllowHosts ─▶ CrossOrigin ─▶ mux ─▶ Wrap ─▶ Handler
//	                                                             │ error
//	                                                             ▼
//	                                                    log once, ErrorWriter
package web

import (
	"net/http"

	"invited/server/problem"
)

// Handler serves one route and returns a failure instead of writing it.
type Handler func(w http.ResponseWriter, r *http.Request) error

// ErrorWriter writes a failure in the manner of one face.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, p *problem.Error)

// Middleware puts something in front of a handler.
type Middleware func(http.Handler) http.Handler

// statuses maps each kind of problem to its HTTP status.
var statuses = map[problem.Kind]int{
	problem.Internal:         http.StatusInternalServerError,
	problem.Invalid:          http.StatusBadRequest,
	problem.Unauthenticated:  http.StatusUnauthorized,
	problem.Denied:           http.StatusForbidden,
	problem.NotFound:         http.StatusNotFound,
	problem.MethodNotAllowed: http.StatusMethodNotAllowed,
	problem.Conflict:         http.StatusConflict,
	problem.Gone:             http.StatusGone,
	problem.TooLarge:         http.StatusRequestEntityTooLarge,
	problem.Unsupported:      http.StatusUnsupportedMediaType,
	problem.TooMany:          http.StatusTooManyRequests,
	problem.Unavailable:      http.StatusServiceUnavailable,
	problem.Full:             http.StatusInsufficientStorage,
	problem.NotImplemented:   http.StatusNotImplemented,
}

// Status returns the HTTP status of a kind.
func Status(k problem.Kind) int {
	if s, ok := statuses[k]; ok {
		return s
	}
	return http.StatusInternalServerError
}
