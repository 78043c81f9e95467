package graph

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"invited/server/problem"
	"invited/server/web"
)

// A route is a method and a path below the version. Segments in braces match
// anything and become path values; the others match in any case, as in Graph.
type route struct {
	method  string
	pattern string
	handler web.Handler
}

// tenantKey is the path value that holds the optional tenant segment.
const tenantKey = "tenant"

// table finds routes. It reads the escaped path itself, because a user
// principal name of a guest holds an escaped "#" and "@", and because the
// standard mux would answer a path it wants cleaner with a redirect, which
// loses the body of a POST.
type table struct {
	routes []compiled
	roots  []string // first segments, in lower case
}

type compiled struct {
	route
	segments []string
}

func newTable(routes []route) *table {
	t := &table{}
	for _, r := range routes {
		c := compiled{r, strings.Split(r.pattern, "/")}
		t.routes = append(t.routes, c)
		t.roots = append(t.roots, strings.ToLower(c.segments[0]))
	}
	return t
}

// serve implements web.Handler.
func (t *table) serve(w http.ResponseWriter, r *http.Request) error {
	setODataHeaders(w, r)
	segments := split(r.URL.EscapedPath())[1:]
	if len(segments) > 1 && !t.isRoot(segments[0]) && t.isRoot(segments[1]) {
		r.SetPathValue(tenantKey, segments[0])
		segments = segments[1:]
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allow []string
	owner := "" // the first pattern that matches owns the path
	for _, c := range t.routes {
		values, ok := c.match(segments)
		if !ok || owner != "" && c.pattern != owner {
			continue
		}
		owner = c.pattern
		if c.method != method {
			allow = append(allow, c.method)
			continue
		}
		for _, v := range values {
			r.SetPathValue(v.name, v.value)
		}
		return c.handler(w, r)
	}
	if len(allow) > 0 {
		return web.NotAllowed(w, allow...)
	}
	return unknownSegment(t, segments)
}

func (t *table) isRoot(segment string) bool {
	return slices.Contains(t.roots, strings.ToLower(segment))
}

type pathValue struct{ name, value string }

// match reports whether c serves the path, and what its braces stand for.
func (c compiled) match(segments []string) ([]pathValue, bool) {
	if len(segments) != len(c.segments) {
		return nil, false
	}
	var values []pathValue
	for i, want := range c.segments {
		if name, ok := strings.CutPrefix(want, "{"); ok {
			values = append(values, pathValue{strings.TrimSuffix(name, "}"), segments[i]})
			continue
		}
		if !strings.EqualFold(want, segments[i]) {
			return nil, false
		}
	}
	return values, true
}

// split returns the unescaped segments of an escaped path. Empty ones are
// dropped; a key in parentheses, users('x'), becomes a segment of its own.
func split(escaped string) []string {
	var out []string
	for part := range strings.SplitSeq(escaped, "/") {
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" {
			continue
		}
		name, key, ok := strings.Cut(plain, "('")
		if key, closed := strings.CutSuffix(key, "')"); ok && closed && name != "" {
			out = append(out, name, strings.ReplaceAll(key, "''", "'"))
			continue
		}
		out = append(out, plain)
	}
	return out
}

// unknownSegment is Graph's answer to a path that names no resource.
func unknownSegment(t *table, segments []string) error {
	name := ""
	if len(segments) > 0 {
		name = segments[len(segments)-1]
		if !t.isRoot(segments[0]) {
			name = segments[0]
		}
	}
	return &problem.Error{
		Op: "graph.serve", Kind: problem.NotFound, Reason: problem.Missing, Field: "path", Err: coded{"BadRequest", nil},
		Detail: fmt.Sprintf("Resource not found for the segment '%s'. It is misspelt, or not part of this server.", shorten(name)),
	}
}
