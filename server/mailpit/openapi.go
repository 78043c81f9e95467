package mailpit

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"invited/server/web"
)

// describe serves GET /api/v1/swagger.json: an OpenAPI 3.1 document of the
// routes there are, made from the table that registers them. It names the
// parameters of paths and leaves the shapes of bodies to Mailpit's contract.
func (h *Handler) describe(w http.ResponseWriter, _ *http.Request) error {
	type object = map[string]any
	paths := map[string]object{}
	for _, r := range h.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		if strings.HasSuffix(path, "/{$}") || method == http.MethodOptions {
			continue
		}
		operation := object{
			"summary":   r.summary,
			"responses": object{"200": object{"description": "done"}, "400": object{"description": "refused: the text says why"}},
		}
		var params []object
		for name := range names(path) {
			params = append(params, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
		if params != nil {
			operation["parameters"] = params
		}
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path][strings.ToLower(method)] = operation
	}
	doc := object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Captured mail", "version": cmpOr(h.Version, "0"),
			"description": "Mailpit's REST interface, served by another program, with additions. An id may be \"latest\".",
		},
		"paths": paths,
	}
	if h.Login != nil {
		doc["components"] = object{"securitySchemes": object{"basic": object{"type": "http", "scheme": "basic"}}}
		doc["security"] = []object{{"basic": []string{}}}
	}
	return web.WriteJSON(w, http.StatusOK, doc)
}

// names returns the parameters of a path.
func names(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for piece := range strings.SplitSeq(path, "/") {
			if name, ok := strings.CutPrefix(piece, "{"); ok && !yield(strings.TrimSuffix(name, "}")) {
				return
			}
		}
	}
}

// leadToDescription serves GET /api/v1/.
func leadToDescription(w http.ResponseWriter, _ *http.Request) error {
	const description = "/api/v1/swagger.json"
	w.Header().Set("Link", fmt.Sprintf("<%s>; rel=%q", description, "service-desc")) // RFC 8631
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := io.WriteString(w, "This interface is described in "+description+"\n")
	return err
}
