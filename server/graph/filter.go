package graph

import (
	"strings"
	"time"

	"invited/server/directory"
)

// Limits on $filter. They bound what one request may cost to parse and to
// evaluate on a row.
const (
	maxFilter      = 4 << 10 // bytes
	maxFilterDepth = 20      // levels of and, or, not and any
	maxFilterTerms = 50      // comparisons; every value of an in list counts
	maxNesting     = 64      // parentheses
)

// An expr is a parsed $filter. Its String parses to an equal expr.
//
//	or ▶ and ▶ not ▶ ( ) │ path op literal │ path in (…) │ startswith(path,'') │ path/any(x:…)
type expr interface {
	String() string
	// match evaluates the expression on a row. Null equals only null, as
	// in Entra, so "not" and "ne" include rows without a value.
	match(row scope) bool
	depth() int
}

// A scope is what paths are looked up in: a user, and inside any() one element
// of one of their collections.
type scope struct {
	user    *directory.User
	element any // string or identityJSON; nil outside any()
}

type (
	andExpr []expr // two or more, none an andExpr
	orExpr  []expr // two or more, none an orExpr
	notExpr struct{ of expr }

	// compareExpr is path op value; op is eq, ne, ge, gt, le or lt.
	compareExpr struct {
		path  path
		op    string
		value literal
	}
	inExpr struct {
		path   path
		values []literal
	}
	// affixExpr is startswith or endswith.
	affixExpr struct {
		fn    string
		path  path
		value string
	}
	anyExpr struct {
		of       *property
		variable string
		body     expr
	}
)

// A path names a property, or inside any() the element or a member of it.
type path struct {
	prop     *property // nil inside any()
	variable string
	member   string // of an identity: issuer, issuerAssignedId or signInType
}

func (p path) String() string {
	switch {
	case p.prop != nil:
		return p.prop.name
	case p.member != "":
		return p.variable + "/" + p.member
	default:
		return p.variable
	}
}

// value returns nil, string, bool or time.Time.
func (p path) value(s scope) any {
	if p.prop != nil {
		return p.prop.get(s.user)
	}
	id, ok := s.element.(identityJSON)
	if !ok {
		return s.element
	}
	switch p.member {
	case "issuer":
		return orNull(id.Issuer)
	case "signInType":
		return orNull(id.SignInType)
	}
	if id.IssuerAssignedID == nil {
		return nil
	}
	return *id.IssuerAssignedID
}

// A literal is nil for null, or a string, bool or time.Time.
type literal struct{ v any }

func (l literal) String() string {
	switch v := l.v.(type) {
	case string:
		return quote(v)
	case bool:
		if v {
			return "true"
		}
		return "false"
	case time.Time:
		return v.Format(time.RFC3339Nano)
	default:
		return "null"
	}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (e andExpr) String() string { return join(e, " and ", false) }
func (e orExpr) String() string  { return join(e, " or ", true) }
func (e notExpr) String() string { return "not (" + e.of.String() + ")" }

func (e compareExpr) String() string {
	return e.path.String() + " " + e.op + " " + e.value.String()
}

func (e inExpr) String() string {
	values := make([]string, len(e.values))
	for i, v := range e.values {
		values[i] = v.String()
	}
	return e.path.String() + " in (" + strings.Join(values, ",") + ")"
}

func (e affixExpr) String() string {
	return e.fn + "(" + e.path.String() + "," + quote(e.value) + ")"
}

func (e anyExpr) String() string {
	return e.of.name + "/any(" + e.variable + ":" + e.body.String() + ")"
}

// join prints operands, in parentheses where the weaker operator needs them.
func join(operands []expr, op string, weak bool) string {
	parts := make([]string, len(operands))
	for i, o := range operands {
		parts[i] = o.String()
		if _, or := o.(orExpr); or && !weak {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, op)
}

func deepest(operands []expr) int {
	d := 0
	for _, o := range operands {
		d = max(d, o.depth())
	}
	return d
}

func (e andExpr) depth() int     { return 1 + deepest(e) }
func (e orExpr) depth() int      { return 1 + deepest(e) }
func (e notExpr) depth() int     { return 1 + e.of.depth() }
func (e anyExpr) depth() int     { return 1 + e.body.depth() }
func (e compareExpr) depth() int { return 1 }
func (e inExpr) depth() int      { return 1 }
func (e affixExpr) depth() int   { return 1 }

func (e andExpr) match(s scope) bool {
	for _, o := range e {
		if !o.match(s) {
			return false
		}
	}
	return true
}

func (e orExpr) match(s scope) bool {
	for _, o := range e {
		if o.match(s) {
			return true
		}
	}
	return false
}

func (e notExpr) match(s scope) bool { return !e.of.match(s) }

func (e compareExpr) match(s scope) bool {
	v := e.path.value(s)
	switch e.op {
	case "eq":
		return equal(v, e.value.v)
	case "ne":
		return !equal(v, e.value.v)
	}
	at, ok := v.(time.Time)
	than, literal := e.value.v.(time.Time)
	if !ok || !literal {
		return false
	}
	switch order := at.Compare(than); e.op {
	case "ge":
		return order >= 0
	case "gt":
		return order > 0
	case "le":
		return order <= 0
	default:
		return order < 0
	}
}

func (e inExpr) match(s scope) bool {
	v := e.path.value(s)
	for _, l := range e.values {
		if equal(v, l.v) {
			return true
		}
	}
	return false
}

func (e affixExpr) match(s scope) bool {
	v, ok := e.path.value(s).(string)
	if !ok {
		return false
	}
	v, want := strings.ToLower(v), strings.ToLower(e.value)
	if e.fn == "endswith" {
		return strings.HasSuffix(v, want)
	}
	return strings.HasPrefix(v, want)
}

func (e anyExpr) match(s scope) bool {
	switch list := e.of.get(s.user).(type) {
	case []string:
		for _, v := range list {
			if e.body.match(scope{user: s.user, element: v}) {
				return true
			}
		}
	case []identityJSON:
		for _, v := range list {
			if e.body.match(scope{user: s.user, element: v}) {
				return true
			}
		}
	}
	return false
}

// equal compares values of the same type; strings without regard to case.
func equal(a, b any) bool {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && strings.EqualFold(a, b)
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Equal(b)
	default:
		return a == b
	}
}

// advanced reports whether Entra answers e only as an advanced query.
func advanced(e expr) bool {
	switch e := e.(type) {
	case andExpr:
		return anyAdvanced(e)
	case orExpr:
		return anyAdvanced(e)
	case anyExpr:
		return advanced(e.body)
	case compareExpr:
		return e.op == "ne"
	case affixExpr:
		return e.fn == "endswith"
	case notExpr:
		return true
	default:
		return false
	}
}

func anyAdvanced(operands []expr) bool {
	for _, o := range operands {
		if advanced(o) {
			return true
		}
	}
	return false
}
