package graph

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"invited/server/directory"
	"invited/server/problem"
	"invited/server/tenant"
	"invited/server/web"
)

// Bounds on what one request may read.
const (
	standardTop = 100
	// maxScan is how many rows a request looks at for a $filter no index
	// serves. What it did not reach is on the next page.
	maxScan = 2000
	// maxCount is how many rows $count walks.
	maxCount = 100_000
)

// A listing is a parsed request for a list of users.
type listing struct {
	base   tenant.UserQuery
	filter expr // nil: all
	sel    selection
	order  *ordering // nil: by id
	top    int
	count  bool
	scope  string // what page tokens are bound to
	key    string // of the page; empty: the first
}

// An ordering is a parsed $orderby.
type ordering struct {
	by         *property
	descending bool
}

// listUsers serves GET /users.
func (h *Handler) listUsers(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	l, err := parseListing(r, "users", tenant.UserQuery{})
	if err != nil {
		return err
	}
	return h.writeListing(w, r, actor, l, "users"+l.sel.context, "")
}

// countUsers serves GET /users/$count.
func (h *Handler) countUsers(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	q, err := options(r, "$filter")
	if err != nil {
		return err
	}
	if !eventual(r) {
		return unsupportedQuery("Counting needs the header ConsistencyLevel: eventual.")
	}
	l := listing{}
	if text := q.Get("$filter"); q.Has("$filter") {
		if l.filter, err = parseFilter(text); err != nil {
			return err
		}
	}
	n, err := h.count(r.Context(), actor, l)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err = w.Write([]byte(strconv.Itoa(n)))
	return err
}

// parseListing reads the query options of a list of users.
func parseListing(r *http.Request, list string, base tenant.UserQuery) (listing, error) {
	l := listing{base: base}
	q, err := options(r, "$filter", "$select", "$top", "$count", "$orderby", "$skiptoken")
	if err != nil {
		return l, err
	}
	if l.top, err = web.Top(q, standardTop); err != nil {
		return l, err
	}
	if l.sel, err = selectUser(q); err != nil {
		return l, err
	}
	if q.Has("$filter") {
		if l.filter, err = parseFilter(q.Get("$filter")); err != nil {
			return l, err
		}
	}
	if l.order, err = parseOrder(q.Get("$orderby")); err != nil {
		return l, err
	}
	if l.count, err = parseCount(q); err != nil {
		return l, err
	}
	if err := l.checkAdvanced(r); err != nil {
		return l, err
	}
	l.scope = list + "\n" + q.Get("$filter") + "\n" + q.Get("$orderby")
	l.key, err = web.SkipKey(q, l.scope)
	return l, err
}

func parseCount(q url.Values) (bool, error) {
	switch strings.ToLower(q.Get("$count")) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, problem.BadField("graph.parseCount", "$count", "$count must be true or false.")
	}
}

// sortable are the properties lists can be sorted by.
var sortable = []string{"createdDateTime", "displayName", "id", "mail", "userPrincipalName"}

func parseOrder(s string) (*ordering, error) {
	if s == "" {
		return nil, nil
	}
	const op = "graph.parseOrder"
	fields := strings.Fields(s)
	bad := problem.BadField(op, "$orderby", "$orderby must be one of "+strings.Join(sortable, ", ")+", alone or followed by asc or desc.")
	if len(fields) == 0 || len(fields) > 2 {
		return nil, bad
	}
	p := propertyByName(fields[0])
	if p == nil || !contains(sortable, p.name) {
		return nil, bad
	}
	o := &ordering{by: p}
	if len(fields) == 2 {
		o.descending = strings.EqualFold(fields[1], "desc")
		if !o.descending && !strings.EqualFold(fields[1], "asc") {
			return nil, bad
		}
	}
	return o, nil
}

// eventual reports whether the client accepts what advanced queries demand.
func eventual(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("ConsistencyLevel"), "eventual")
}

// checkAdvanced refuses what Entra answers as an advanced query only, so that
// a program that works here works there. Source: Graph "Advanced query
// capabilities on Microsoft Entra ID objects".
func (l listing) checkAdvanced(r *http.Request) error {
	what := ""
	switch {
	case l.filter != nil && l.order != nil:
		what = "$filter together with $orderby"
	case l.filter != nil && advanced(l.filter):
		what = "A $filter with ne, not or endsWith"
	case l.count:
		what = "$count"
	default:
		return nil
	}
	if eventual(r) && l.count {
		return nil
	}
	return unsupportedQuery(what + " needs the header ConsistencyLevel: eventual and the parameter $count=true.")
}

func unsupportedQuery(detail string) error {
	return &problem.Error{
		Op: "graph.checkAdvanced", Kind: problem.Invalid, Reason: problem.BadInput, Field: "ConsistencyLevel",
		Err: coded{"Request_UnsupportedQuery", nil}, Detail: "Unsupported Query. " + detail,
	}
}

// writeListing answers with one page.
func (h *Handler) writeListing(w http.ResponseWriter, r *http.Request, actor directory.Actor, l listing, context, typ string) error {
	users, next, err := h.page(r.Context(), actor, l)
	if err != nil {
		return err
	}
	c := collection{context: context, value: make([]object, len(users))}
	for i := range users {
		c.value[i] = userObject(&users[i], l.sel)
		if typ != "" && !bare(r) {
			c.value[i] = append(object{{"@odata.type", typ}}, c.value[i]...)
		}
	}
	if next != "" {
		c.next = web.NextLink(r, web.SkipToken(l.scope, next))
	}
	if l.count && l.key == "" {
		n, err := h.count(r.Context(), actor, l)
		if err != nil {
			return err
		}
		c.count = &n
	}
	return writeCollection(w, r, c)
}

// page returns one page and the key of the next; empty on the last.
func (h *Handler) page(ctx context.Context, actor directory.Actor, l listing) ([]directory.User, string, error) {
	queries, points := []tenant.UserQuery{l.base}, false
	if l.filter != nil {
		queries, points = plan(l.filter, l.base)
	}
	switch {
	case l.order != nil:
		return h.sortedPage(ctx, actor, l, queries, points)
	case points:
		users, err := h.points(ctx, actor, l.filter, queries)
		if err != nil {
			return nil, "", err
		}
		users = slices.DeleteFunc(users, func(u directory.User) bool { return string(u.ID) <= l.key })
		if len(users) <= l.top {
			return users, "", nil
		}
		return users[:l.top], string(users[l.top-1].ID), nil
	default:
		return h.walk(ctx, actor, l, queries[0])
	}
}

// walk reads rows in the order of ids until the page is full, the rows end, or
// maxScan rows were looked at; then the page may be short or even empty, and
// has a next one.
func (h *Handler) walk(ctx context.Context, actor directory.Actor, l listing, q tenant.UserQuery) ([]directory.User, string, error) {
	var out []directory.User
	q.After = directory.UserID(l.key)
	q.Limit = l.top + 1
	if l.filter != nil && !selective(l.filter) {
		q.Limit = max(q.Limit, 250) // most rows will not match
	}
	q.Limit = min(q.Limit, web.MaxTop)
	for scanned := 0; scanned < maxScan; {
		rows, err := h.Tenants.ListUsers(ctx, actor, q)
		if err != nil {
			return nil, "", err
		}
		for i := range rows {
			if l.filter != nil && !l.filter.match(scope{user: &rows[i]}) {
				continue
			}
			if len(out) == l.top {
				return out, string(out[l.top-1].ID), nil
			}
			out = append(out, rows[i])
		}
		if len(rows) < q.Limit {
			return out, "", nil
		}
		scanned += len(rows)
		q.After = rows[len(rows)-1].ID
		if len(out) == l.top {
			break
		}
	}
	return out, string(q.After), nil
}

// points reads the rows of a union of queries by key, sorted by id.
func (h *Handler) points(ctx context.Context, actor directory.Actor, filter expr, queries []tenant.UserQuery) ([]directory.User, error) {
	var out []directory.User
	for _, q := range queries {
		q.Limit = web.MaxTop
		rows, err := h.Tenants.ListUsers(ctx, actor, q)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if filter.match(scope{user: &rows[i]}) {
				out = append(out, rows[i])
			}
		}
	}
	slices.SortFunc(out, func(a, b directory.User) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return slices.CompactFunc(out, func(a, b directory.User) bool { return a.ID == b.ID }), nil
}

// sortedPage serves $orderby. No index is in that order, so the whole list is
// read and sorted, as long as it is short; the page's key is a position.
func (h *Handler) sortedPage(ctx context.Context, actor directory.Actor, l listing, queries []tenant.UserQuery, points bool) ([]directory.User, string, error) {
	var users []directory.User
	var err error
	if points {
		users, err = h.points(ctx, actor, l.filter, queries)
	} else {
		all := l
		all.top, all.key = maxScan, ""
		var next string
		if users, next, err = h.walk(ctx, actor, all, queries[0]); err == nil && next != "" {
			err = problem.BadField("graph.sortedPage", "$orderby", fmt.Sprintf("More than %d users would have to be sorted. Narrow them with $filter, or leave $orderby out: the order is then by id.", maxScan))
		}
	}
	if err != nil {
		return nil, "", err
	}
	slices.SortStableFunc(users, func(a, b directory.User) int { return l.order.compare(&a, &b) })
	from := 0
	if l.key != "" {
		if from, err = strconv.Atoi(l.key); err != nil || from < 0 {
			return nil, "", problem.BadField("graph.sortedPage", "$skiptoken", "$skiptoken does not belong to this list; start again without it.")
		}
	}
	from = min(from, len(users))
	to := min(from+l.top, len(users))
	if to == len(users) {
		return users[from:to], "", nil
	}
	return users[from:to], strconv.Itoa(to), nil
}

// compare orders by the property, ignoring case; rows without it come first.
func (o *ordering) compare(a, b *directory.User) int {
	var n int
	if o.by.kind == moment {
		n = a.Created.Compare(b.Created)
	} else {
		x, _ := o.by.get(a).(string)
		y, _ := o.by.get(b).(string)
		n = strings.Compare(strings.ToLower(x), strings.ToLower(y))
	}
	if o.descending {
		return -n
	}
	return n
}

// count returns how many users the listing has in all its pages.
func (h *Handler) count(ctx context.Context, actor directory.Actor, l listing) (int, error) {
	queries, points := []tenant.UserQuery{l.base}, false
	if l.filter != nil {
		queries, points = plan(l.filter, l.base)
	}
	if points {
		users, err := h.points(ctx, actor, l.filter, queries)
		return len(users), err
	}
	n, q := 0, queries[0]
	q.Limit = web.MaxTop
	for scanned := 0; scanned < maxCount; {
		rows, err := h.Tenants.ListUsers(ctx, actor, q)
		if err != nil {
			return 0, err
		}
		for i := range rows {
			if l.filter == nil || l.filter.match(scope{user: &rows[i]}) {
				n++
			}
		}
		if len(rows) < q.Limit {
			return n, nil
		}
		scanned += len(rows)
		q.After = rows[len(rows)-1].ID
	}
	return 0, problem.BadField("graph.count", "$count", fmt.Sprintf("More than %d users would have to be counted. Narrow them with $filter on userType, externalUserState, mail or displayName.", maxCount))
}
