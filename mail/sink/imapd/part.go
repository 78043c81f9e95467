package imapd

import (
	"bytes"
	"mime"
	"strings"
)

// Limits of the tree. What lies deeper or comes later stays part of its parent,
// as bytes.
const (
	maxDepth = 20
	maxParts = 1000
)

// part is a node of a message's MIME tree (RFC 2045), in places of the raw
// bytes: joined again, header and body are what was received.
type part struct {
	raw      []byte
	header   []byte // with the empty line at its end
	body     []byte
	kind     string // lower-case type
	sub      string // lower-case subtype
	params   map[string]string
	children []*part // of a multipart
	message  *part   // of message/rfc822 and message/global
}

// parse reads a message. It never fails: what is no MIME is text.
func parse(raw []byte) *part {
	left := maxParts
	return parsePart(raw, "text/plain", maxDepth, &left)
}

func parsePart(raw []byte, standard string, depth int, left *int) *part {
	*left--
	p := &part{raw: raw}
	p.header, p.body = splitHeader(raw)
	p.setType(standard)
	if depth <= 1 || *left <= 0 {
		p.flatten()
		return p
	}
	switch {
	case p.kind == "multipart":
		inner := "text/plain"
		if p.sub == "digest" {
			inner = "message/rfc822"
		}
		for _, b := range splitBody(p.body, p.params["boundary"]) {
			if *left <= 0 {
				break
			}
			p.children = append(p.children, parsePart(b, inner, depth-1, left))
		}
		p.flatten()
	case p.kind == "message" && (p.sub == "rfc822" || p.sub == "global"):
		p.message = parsePart(p.body, "text/plain", depth-1, left)
	}
	return p
}

// flatten makes a part that should have children and has none a leaf.
func (p *part) flatten() {
	switch {
	case len(p.children) > 0:
	case p.kind == "multipart":
		p.kind, p.sub, p.params = "text", "plain", nil
	case p.kind == "message":
		p.kind, p.sub = "application", "octet-stream"
	}
}

func (p *part) setType(standard string) {
	value := strings.TrimSpace(p.get("Content-Type"))
	full, params, err := mime.ParseMediaType(value)
	if err != nil { // the type alone may be readable, and so may the boundary
		full, _, _ = strings.Cut(value, ";")
		params = map[string]string{}
		if i := strings.Index(strings.ToLower(value), "boundary="); i >= 0 {
			b, _, _ := strings.Cut(value[i+len("boundary="):], ";")
			params["boundary"] = strings.Trim(strings.TrimSpace(b), `"`)
		}
	}
	kind, sub, ok := strings.Cut(strings.ToLower(strings.TrimSpace(full)), "/")
	if !ok || kind == "" || sub == "" || strings.ContainsAny(full, " \t\r\n\"()") {
		kind, sub, _ = strings.Cut(standard, "/")
		params = nil
	}
	p.kind, p.sub, p.params = kind, sub, params
}

// splitHeader cuts behind the first empty line.
func splitHeader(raw []byte) (header, body []byte) {
	for at := 0; at < len(raw); {
		end := bytes.IndexByte(raw[at:], '\n')
		if end < 0 {
			break
		}
		line := raw[at : at+end]
		at += end + 1
		if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			return raw[:at], raw[at:]
		}
	}
	return raw, nil
}

// splitBody cuts a multipart body into its parts (RFC 2046 section 5.1.1). The
// line end before a boundary belongs to the boundary.
func splitBody(body []byte, boundary string) [][]byte {
	if boundary == "" {
		return nil
	}
	mark := []byte("--" + boundary)
	var parts [][]byte
	begin := -1
	for at := 0; at < len(body); {
		next := len(body)
		if end := bytes.IndexByte(body[at:], '\n'); end >= 0 {
			next = at + end + 1
		}
		rest, found := bytes.CutPrefix(body[at:next], mark)
		rest, last := bytes.CutPrefix(rest, []byte("--"))
		if found && len(bytes.TrimSpace(rest)) == 0 {
			if begin >= 0 {
				parts = append(parts, body[begin:max(begin, beforeLineEnd(body, at))])
			}
			if begin = next; last {
				return parts
			}
			if len(parts) >= maxParts {
				return parts
			}
		}
		at = next
	}
	if begin >= 0 { // the last boundary is missing
		parts = append(parts, body[begin:])
	}
	return parts
}

// beforeLineEnd returns where the line that ends at at ends without its CRLF.
func beforeLineEnd(b []byte, at int) int {
	if at > 0 && b[at-1] == '\n' {
		at--
		if at > 0 && b[at-1] == '\r' {
			at--
		}
	}
	return at
}

// fields calls fn with each header field: its name and its lines as they are.
func (p *part) fields(fn func(name string, lines []byte)) {
	var name string
	begin := 0
	for at := 0; at < len(p.header); {
		next := len(p.header)
		if end := bytes.IndexByte(p.header[at:], '\n'); end >= 0 {
			next = at + end + 1
		}
		line := p.header[at:next]
		if line[0] != ' ' && line[0] != '\t' {
			if at > begin {
				fn(name, p.header[begin:at])
			}
			begin = at
			before, _, ok := bytes.Cut(line, []byte(":"))
			if name = ""; ok {
				name = strings.TrimRight(string(before), " \t")
			}
		}
		at = next
	}
	if len(p.header) > begin {
		fn(name, p.header[begin:])
	}
}

// get returns the unfolded value of the first field called name.
func (p *part) get(name string) string {
	value, found := "", false
	p.fields(func(n string, lines []byte) {
		if found || !strings.EqualFold(n, name) {
			return
		}
		found = true
		_, v, _ := bytes.Cut(lines, []byte(":"))
		value = strings.TrimSpace(strings.NewReplacer("\r\n", "", "\n", "", "\r", "").Replace(string(v)))
	})
	return value
}

// find returns the part with the given path (RFC 3501 section 6.4.5), or nil.
func (p *part) find(path []int) *part {
	at := p
	for i, n := range path {
		inside := at
		if i > 0 && at.message != nil {
			inside = at.message
		}
		switch {
		case len(inside.children) > 0 && n >= 1 && n <= len(inside.children):
			at = inside.children[n-1]
		case len(inside.children) == 0 && n == 1 && (i == 0 || inside != at):
			at = inside
		default:
			return nil
		}
	}
	return at
}
