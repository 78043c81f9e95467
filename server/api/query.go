package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"invited/server/problem"
	"invited/server/web"
)

const standardTop = 100

// paging is where a page starts and how many rows it holds.
type paging struct {
	query url.Values
	scope string // what page tokens are bound to
	after string // key of the last row of the page before
	top   int
}

// limit is how many rows to read: one more tells whether there is a next page.
// A page of web.MaxTop rows cannot ask for one more, so its last page may be
// followed by an empty one.
func (p paging) limit() int { return p.top + 1 }

// parsePaging reads $top and $skiptoken, and refuses parameters that are not
// among filters. Filters are part of what page tokens are bound to.
func parsePaging(r *http.Request, list string, filters ...string) (paging, error) {
	q, err := parseQuery(r, append(slices.Clone(filters), "$top", "$skiptoken")...)
	if err != nil {
		return paging{}, err
	}
	p := paging{query: q, scope: list}
	for _, f := range filters {
		p.scope += "\n" + q.Get(f)
	}
	if p.top, err = web.Top(q, standardTop); err != nil {
		return paging{}, err
	}
	if p.top >= web.MaxTop {
		p.top = web.MaxTop - 1
	}
	p.after, err = web.SkipKey(q, p.scope)
	return p, err
}

// parseQuery reads the parameters, and refuses those that are not known.
func parseQuery(r *http.Request, known ...string) (url.Values, error) {
	q, err := web.Query(r)
	if err != nil {
		return nil, err
	}
	for name := range q {
		if !slices.Contains(known, name) {
			offer := "this address takes none"
			if len(known) > 0 {
				offer = "known are " + strings.Join(known, ", ")
			}
			return nil, problem.BadField("api.parseQuery", shorten(name), fmt.Sprintf("The parameter %q is not known; %s.", shorten(name), offer))
		}
	}
	return q, nil
}

func shorten(s string) string {
	const longest = 64
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}
