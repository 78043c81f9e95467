package graph

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// parseFilter parses $filter. Failures name the position and the rule.
// Operators and function names are read in any case, as Graph does.
func parseFilter(s string) (expr, error) {
	if len(s) > maxFilter {
		return nil, badFilter(maxFilter, fmt.Sprintf("it is longer than %d bytes; ask in smaller pieces", maxFilter))
	}
	return parseExpr(s)
}

func parseExpr(s string) (expr, error) {
	if !utf8.ValidString(s) {
		return nil, badFilter(0, "it is not valid UTF-8")
	}
	tokens, err := lex(s)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != end {
		return nil, p.unexpected("'and', 'or' or the end")
	}
	if e.depth() > maxFilterDepth {
		return nil, badFilter(0, fmt.Sprintf("it is nested deeper than %d levels; ask in smaller pieces", maxFilterDepth))
	}
	return e, nil
}

// parser is a recursive descent over tokens.
type parser struct {
	tokens   []token
	pos      int
	terms    int
	nesting  int
	variable string    // inside any(): its name
	element  *property // inside any(): the collection
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != end {
		p.pos++
	}
	return t
}

// keyword takes the next token if it is this operator, in any case.
func (p *parser) keyword(name string) bool {
	if t := p.peek(); t.kind == word && strings.EqualFold(t.text, name) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) symbol(s string) bool {
	if t := p.peek(); t.kind == punct && t.text == s {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(s string) error {
	if !p.symbol(s) {
		return p.unexpected("'" + s + "'")
	}
	return nil
}

func (p *parser) unexpected(want string) error {
	t := p.peek()
	return badFilter(t.at, "expected "+want+", found "+t.describe())
}

// enter and leave bound the recursion.
func (p *parser) enter() error {
	if p.nesting++; p.nesting > maxNesting {
		return badFilter(p.peek().at, fmt.Sprintf("it is nested deeper than %d levels; ask in smaller pieces", maxFilterDepth))
	}
	return nil
}

func (p *parser) leave() { p.nesting-- }

func (p *parser) term(n int) error {
	if p.terms += n; p.terms > maxFilterTerms {
		return badFilter(p.peek().at, fmt.Sprintf("it has more than %d comparisons; ask in smaller pieces", maxFilterTerms))
	}
	return nil
}

func (p *parser) or() (expr, error) {
	first, err := p.and()
	if err != nil {
		return nil, err
	}
	var list orExpr
	list = appendOr(list, first)
	for p.keyword("or") {
		e, err := p.and()
		if err != nil {
			return nil, err
		}
		list = appendOr(list, e)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func appendOr(list orExpr, e expr) orExpr {
	if inner, ok := e.(orExpr); ok {
		return append(list, inner...)
	}
	return append(list, e)
}

func (p *parser) and() (expr, error) {
	first, err := p.unary()
	if err != nil {
		return nil, err
	}
	var list andExpr
	list = appendAnd(list, first)
	for p.keyword("and") {
		e, err := p.unary()
		if err != nil {
			return nil, err
		}
		list = appendAnd(list, e)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func appendAnd(list andExpr, e expr) andExpr {
	if inner, ok := e.(andExpr); ok {
		return append(list, inner...)
	}
	return append(list, e)
}

// unary reads an operand with an optional not. A bare comparison cannot follow
// not: OData would read "not a eq b" as "(not a) eq b".
func (p *parser) unary() (expr, error) {
	if !p.keyword("not") {
		return p.operand()
	}
	if !p.boolean() {
		return nil, badFilter(p.peek().at, "put the comparison that follows 'not' in parentheses")
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.unary()
	if err != nil {
		return nil, err
	}
	return notExpr{e}, nil
}

// boolean reports whether an operand starts here that is true or false by
// itself: parentheses, a function, any() or another not.
func (p *parser) boolean() bool {
	t := p.peek()
	if t.kind == punct || t.kind == end {
		return t.text == "("
	}
	following := p.tokens[p.pos+1]
	return t.kind == word && (strings.EqualFold(t.text, "not") ||
		following.text == "(" || following.text == "/" && p.variable == "")
}

// operand reads parentheses, a function, any() or a comparison.
func (p *parser) operand() (expr, error) {
	if p.symbol("(") {
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	}
	t := p.peek()
	if t.kind != word {
		return nil, p.unexpected("a property, a function or '('")
	}
	if following := p.tokens[p.pos+1]; following.kind == punct && following.text == "(" && !strings.EqualFold(t.text, "not") {
		return p.function()
	}
	if p.variable != "" {
		return p.elementTerm()
	}
	prop, err := p.property()
	if err != nil {
		return nil, err
	}
	if p.symbol("/") {
		return p.lambda(prop)
	}
	return p.comparison(path{prop: prop})
}

// function reads startswith and endswith.
func (p *parser) function() (expr, error) {
	name := p.next()
	fn := strings.ToLower(name.text)
	if fn != "startswith" && fn != "endswith" {
		return nil, badFilter(name.at, fmt.Sprintf("the function '%s' is not known here; startsWith and endsWith are", shorten(name.text)))
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	of, err := p.path()
	if err != nil {
		return nil, err
	}
	if k := of.kind(); k != text && k != absent {
		return nil, badFilter(name.at, fmt.Sprintf("%s takes a text property, which '%s' is not", fn, of))
	}
	if err := p.expect(","); err != nil {
		return nil, err
	}
	value := p.next()
	if value.kind != str {
		p.pos--
		return nil, p.unexpected("a text in single quotes")
	}
	if err := p.term(1); err != nil {
		return nil, err
	}
	return affixExpr{fn, of, value.text}, p.expect(")")
}

// property reads the name of a property.
func (p *parser) property() (*property, error) {
	t := p.next()
	prop := propertyByName(t.text)
	if prop == nil {
		return nil, badFilter(t.at, fmt.Sprintf("could not find a property named '%s' on type 'microsoft.graph.user'", shorten(t.text)))
	}
	return prop, nil
}

// path reads a property, or inside any() the variable and a member.
func (p *parser) path() (path, error) {
	if p.peek().kind != word {
		return path{}, p.unexpected("a property")
	}
	if p.variable == "" {
		prop, err := p.property()
		return path{prop: prop}, err
	}
	t := p.next()
	if t.text != p.variable {
		return path{}, badFilter(t.at, fmt.Sprintf("inside any(), paths start with its variable '%s'", p.variable))
	}
	of := path{variable: p.variable}
	if p.element.kind != identities {
		return of, nil
	}
	if err := p.expect("/"); err != nil {
		return path{}, err
	}
	m := p.next()
	for _, known := range []string{"issuer", "issuerAssignedId", "signInType"} {
		if m.kind == word && strings.EqualFold(m.text, known) {
			of.member = known
			return of, nil
		}
	}
	return path{}, badFilter(m.at, fmt.Sprintf("could not find a property named '%s' on type 'microsoft.graph.objectIdentity'", shorten(m.text)))
}

// kind is the type a path yields.
func (p path) kind() kind {
	if p.prop != nil {
		return p.prop.kind
	}
	return text
}

func (p *parser) elementTerm() (expr, error) {
	of, err := p.path()
	if err != nil {
		return nil, err
	}
	return p.comparison(of)
}

// reserved words name no variable of any().
var reserved = map[string]bool{
	"and": true, "or": true, "not": true, "in": true, "eq": true, "ne": true, "ge": true, "gt": true, "le": true, "lt": true,
	"null": true, "true": true, "false": true, "any": true, "all": true,
}

// lambda reads any(x:…) after "collection/".
func (p *parser) lambda(of *property) (expr, error) {
	t := p.peek()
	if of.kind != texts && of.kind != identities {
		return nil, badFilter(t.at, fmt.Sprintf("'%s' is no collection; compare it directly", of.name))
	}
	if !p.keyword("any") {
		return nil, p.unexpected("'any('")
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	name := p.next()
	if name.kind != word || reserved[strings.ToLower(name.text)] || strings.ContainsAny(name.text, "$@.") {
		return nil, badFilter(name.at, "any() starts with the name of a variable and a colon, as in any(x:x eq 'text')")
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.variable, p.element = name.text, of
	body, err := p.or()
	p.variable, p.element = "", nil
	if err != nil {
		return nil, err
	}
	return anyExpr{of, name.text, body}, p.expect(")")
}

// comparison reads the operator and the literals after a path.
func (p *parser) comparison(of path) (expr, error) {
	if k := of.kind(); k == texts || k == identities {
		return nil, badFilter(p.peek().at, fmt.Sprintf("'%s' is a collection; write %s/any(x:…)", of, of))
	}
	t := p.next()
	op := strings.ToLower(t.text)
	switch {
	case t.kind == word && op == "in":
		return p.inList(of)
	case t.kind == word && (op == "eq" || op == "ne"):
	case t.kind == word && (op == "ge" || op == "gt" || op == "le" || op == "lt"):
		if of.kind() != moment {
			return nil, badFilter(t.at, fmt.Sprintf("'%s' compares points in time; '%s' is none", op, of))
		}
	default:
		return nil, badFilter(t.at, "expected eq, ne or in after '"+of.String()+"', found "+t.describe())
	}
	value, err := p.literal(of)
	if err != nil {
		return nil, err
	}
	return compareExpr{of, op, value}, p.term(1)
}

func (p *parser) inList(of path) (expr, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	e := inExpr{path: of}
	for {
		value, err := p.literal(of)
		if err != nil {
			return nil, err
		}
		e.values = append(e.values, value)
		if err := p.term(1); err != nil {
			return nil, err
		}
		if !p.symbol(",") {
			return e, p.expect(")")
		}
	}
}

// wanted says what each kind of path compares with.
var wanted = map[kind]string{
	text:   "a text in single quotes or null",
	flag:   "true or false",
	moment: "a time such as 2026-01-31T08:00:00Z",
	absent: "a text, true, false or null",
}

// literal reads a value of the path's type.
func (p *parser) literal(of path) (literal, error) {
	t := p.next()
	l, k, ok := readLiteral(t)
	switch want := of.kind(); {
	case !ok:
	case l.v == nil, k == want, want == absent && k != moment:
		return l, nil
	}
	return literal{}, badFilter(t.at, fmt.Sprintf("'%s' compares with %s, not with %s", of, wanted[of.kind()], t.describe()))
}

// readLiteral returns the value of a token and its kind.
func readLiteral(t token) (literal, kind, bool) {
	switch t.kind {
	case str:
		return literal{t.text}, text, true
	case number:
		at, err := time.Parse(time.RFC3339, t.text)
		at = at.UTC()
		return literal{at}, moment, err == nil && 1 <= at.Year() && at.Year() <= 9999
	case word:
		switch strings.ToLower(t.text) {
		case "null":
			return literal{}, absent, true
		case "true", "false":
			return literal{strings.EqualFold(t.text, "true")}, flag, true
		}
	}
	return literal{}, absent, false
}
