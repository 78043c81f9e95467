package graph

import (
	"strings"

	"invited/server/directory"
	"invited/server/tenant"
)

// plan returns the index queries whose union holds every row that e can match,
// at least one. Rows they return beyond that are sorted out by e itself, so a
// plan may be too wide but never too narrow. If points is true, each query
// finds a handful of rows by key; otherwise there is one query and it walks.
func plan(e expr, base tenant.UserQuery) (queries []tenant.UserQuery, points bool) {
	terms := []expr{e}
	if and, ok := e.(andExpr); ok {
		terms = and
	}
	for _, t := range terms {
		base = narrow(base, t)
	}
	if isPoint(base) {
		return []tenant.UserQuery{base}, true
	}
	for _, t := range terms {
		if union := alternatives(base, t); union != nil {
			return union, true
		}
	}
	return []tenant.UserQuery{base}, false
}

// selective reports whether an index serves every condition of e, so that
// nearly every row of its plan matches.
func selective(e expr) bool {
	terms := []expr{e}
	if and, ok := e.(andExpr); ok {
		terms = and
	}
	for _, t := range terms {
		if narrow(tenant.UserQuery{}, t) == (tenant.UserQuery{}) {
			return false
		}
	}
	return true
}

// alternatives returns one point query for each way to satisfy t, or nil if
// some way has none.
func alternatives(base tenant.UserQuery, t expr) []tenant.UserQuery {
	var ways []expr
	switch t := t.(type) {
	case orExpr:
		ways = t
	case inExpr:
		for _, v := range t.values {
			ways = append(ways, compareExpr{t.path, "eq", v})
		}
	default:
		return nil
	}
	var out []tenant.UserQuery
	for _, way := range ways {
		queries, points := plan(way, base)
		if !points {
			return nil
		}
		out = append(out, queries...)
	}
	return out
}

func isPoint(q tenant.UserQuery) bool { return q.ID != "" || q.UPN != "" || q.Address != "" }

// narrow adds what t says to q, if an index serves it and the field is free.
func narrow(q tenant.UserQuery, t expr) tenant.UserQuery {
	switch t := t.(type) {
	case compareExpr:
		if value, ok := t.value.v.(string); ok && t.op == "eq" && t.path.prop != nil {
			return narrowEqual(q, t.path.prop.name, value)
		}
	case affixExpr:
		if t.fn == "startswith" && t.path.prop != nil {
			return narrowPrefix(q, t.path.prop.name, t.value)
		}
	case anyExpr:
		if body, ok := t.body.(compareExpr); ok && body.op == "eq" && body.path.member == "" {
			value, _ := body.value.v.(string)
			return narrowAny(q, t.of.name, value)
		}
	}
	return q
}

// narrowPrefix adds startswith(property,value).
func narrowPrefix(q tenant.UserQuery, name, value string) tenant.UserQuery {
	switch name {
	case "mail":
		set(&q.MailPrefix, value)
	case "displayName":
		set(&q.NamePrefix, value)
	}
	return q
}

// narrowAny adds collection/any(x:x eq value).
func narrowAny(q tenant.UserQuery, name, value string) tenant.UserQuery {
	switch name {
	case "otherMails":
		set(&q.Address, addressKey(value))
	case "proxyAddresses":
		if scheme, address, ok := strings.Cut(value, ":"); ok && strings.EqualFold(scheme, "smtp") {
			set(&q.Address, addressKey(address))
		}
	}
	return q
}

// narrowEqual adds property eq value.
func narrowEqual(q tenant.UserQuery, name, value string) tenant.UserQuery {
	switch name {
	case "id":
		set(&q.ID, directory.UserID(strings.ToLower(value)))
	case "userPrincipalName":
		set(&q.UPN, value)
	case "mail":
		set(&q.Address, addressKey(value))
	case "userType":
		for _, known := range []directory.UserType{directory.Guest, directory.Member} {
			if strings.EqualFold(string(known), value) {
				set(&q.Type, known)
			}
		}
	case "externalUserState":
		for _, known := range []directory.ExternalState{directory.Pending, directory.Accepted} {
			if strings.EqualFold(string(known), value) {
				set(&q.State, known)
			}
		}
	}
	return q
}

// addressKey returns the key under which the store finds an address that is
// spelled as we answer it.
func addressKey(s string) string { return strings.ToLower(s) }

// set fills a field that is still free. A second condition on the same field is
// left to the row.
func set[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}
