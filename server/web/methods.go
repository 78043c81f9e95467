package web

import (
	"net/http"
	"strings"

	"invited/server/problem"
)

// Fallback answers what mux has no route for, in the manner of the other
// routes: MethodNotAllowed with an Allow header if another method would be
// served, NotFound otherwise. Fallbacks are the patterns it is itself
// registered under.
func Fallback(mux *http.ServeMux, fallbacks ...string) Handler {
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	ours := map[string]bool{"": true}
	for _, f := range fallbacks {
		ours[f] = true
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		var allow []string
		for _, m := range methods {
			probe := r.Clone(r.Context())
			probe.Method = m
			if _, pattern := mux.Handler(probe); !ours[pattern] {
				allow = append(allow, m)
			}
		}
		if len(allow) > 0 {
			return NotAllowed(w, allow...)
		}
		return &problem.Error{
			Op: "web.Fallback", Kind: problem.NotFound, Reason: problem.Missing, Field: "path",
			Detail: "There is nothing at this address; check its spelling.",
		}
	}
}

// NotAllowed sets Allow and returns the problem that says so.
func NotAllowed(w http.ResponseWriter, allow ...string) error {
	list := strings.Join(allow, ", ")
	w.Header().Set("Allow", list)
	return &problem.Error{
		Op: "web.NotAllowed", Kind: problem.MethodNotAllowed, Reason: problem.BadInput, Field: "method",
		Detail: "This address answers to " + list + " only.",
	}
}
