package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"invited/server/problem"
	"invited/server/web"
)

// An object is a JSON object whose members keep their order: OData wants its
// annotations first, and people want id first.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.Grow(64 * len(o))
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(m.name) // names are ours and plain
		b.WriteString(`":`)
		switch v := m.value.(type) {
		case nil:
			b.WriteString("null")
		case string:
			if plainText(v) {
				b.WriteByte('"')
				b.WriteString(v)
				b.WriteByte('"')
				continue
			}
			if err := encodeInto(&b, enc, v); err != nil {
				return nil, err
			}
		default:
			if err := encodeInto(&b, enc, v); err != nil {
				return nil, err
			}
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encodeInto appends v without the encoder's line break.
func encodeInto(b *bytes.Buffer, enc *json.Encoder, v any) error {
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1)
	return nil
}

// plainText reports whether s stands in JSON as it is.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

const (
	minimalType = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
	noneType    = "application/json;odata.metadata=none;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
)

// bare reports whether the client asked for answers without annotations. The
// link to the next page and the count stay in them (OData JSON Format 4.01
// §3.1.2).
func bare(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		accept = strings.ToLower(strings.ReplaceAll(accept, " ", ""))
		if strings.Contains(accept, "odata.metadata=none") || strings.Contains(accept, "odata=nometadata") {
			return true
		}
	}
	return false
}

// setODataHeaders sets what every answer of Graph carries.
func setODataHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("OData-Version", "4.0")
	h.Set("Request-Id", web.RequestID(r.Context()))
	if client := r.Header.Get("client-request-id"); web.IsUUID(client) {
		h.Set("Client-Request-Id", client)
	}
}

// writeObject answers with o, annotated by its context.
func writeObject(w http.ResponseWriter, r *http.Request, status int, context string, o object) error {
	if bare(r) {
		w.Header().Set("Content-Type", noneType)
		return web.WriteJSON(w, status, o)
	}
	w.Header().Set("Content-Type", minimalType)
	return web.WriteJSON(w, status, append(object{{"@odata.context", contextURL(r, context)}}, o...))
}

// A collection is a page of objects.
type collection struct {
	context string
	count   *int   // answered if not nil
	next    string // absolute URL; empty on the last page
	value   []object
}

// writeCollection answers with a page.
func writeCollection(w http.ResponseWriter, r *http.Request, c collection) error {
	var o object
	kind := noneType
	if !bare(r) {
		kind = minimalType
		o = append(o, member{"@odata.context", contextURL(r, c.context)})
	}
	if c.count != nil {
		o = append(o, member{"@odata.count", *c.count})
	}
	if c.next != "" {
		o = append(o, member{"@odata.nextLink", c.next})
	}
	if c.value == nil {
		c.value = []object{}
	}
	w.Header().Set("Content-Type", kind)
	return web.WriteJSON(w, http.StatusOK, append(o, member{"value", c.value}))
}

// contextURL returns the absolute URL of a metadata fragment.
func contextURL(r *http.Request, fragment string) string {
	version := split(r.URL.EscapedPath())[0]
	return web.Origin(r) + "/" + version + "/$metadata#" + fragment
}

// options returns the query options, and refuses OData options that are not in
// known. Options without "$" are none of OData's and are ignored.
func options(r *http.Request, known ...string) (url.Values, error) {
	q, err := web.Query(r)
	if err != nil {
		return nil, err
	}
	for name := range q {
		if strings.HasPrefix(name, "$") && !contains(known, name) {
			return nil, problem.BadField("graph.options", name, fmt.Sprintf("The query option %s is not supported here; %s.", shorten(name), offer(known)))
		}
	}
	return q, nil
}

func offer(known []string) string {
	if len(known) == 0 {
		return "leave it out"
	}
	return "supported are " + strings.Join(known, ", ")
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// A selection is what $select asked for.
type selection struct {
	properties []*property
	context    string // "" or "(id,mail)", for @odata.context
}

// standardSelection is the answer without $select.
var standardSelection = func() selection {
	var s selection
	for i := range userProperties {
		if userProperties[i].standard {
			s.properties = append(s.properties, &userProperties[i])
		}
	}
	return s
}()

// selectUser parses $select.
func selectUser(q url.Values) (selection, error) {
	list := strings.TrimSpace(q.Get("$select"))
	if list == "" {
		return standardSelection, nil
	}
	var s selection
	var names []string
	seen := map[*property]bool{}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "*" {
			return allProperties(), nil
		}
		p := propertyByName(name)
		if p == nil {
			return selection{}, problem.BadField("graph.selectUser", "$select",
				fmt.Sprintf("Could not find a property named '%s' on type 'microsoft.graph.user'.", shorten(name)))
		}
		if !seen[p] {
			seen[p] = true
			s.properties = append(s.properties, p)
			names = append(names, p.name)
		}
	}
	s.context = "(" + strings.Join(names, ",") + ")"
	return s, nil
}

func allProperties() selection {
	s := selection{context: "(*)"}
	for i := range userProperties {
		s.properties = append(s.properties, &userProperties[i])
	}
	return s
}
