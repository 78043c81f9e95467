package mime

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	snippetRunes  = 200
	snippetSource = 8 << 10 // bytes of a body looked at for the snippet
	maxLinkText   = 500     // bytes
	maxURL        = 8 << 10 // bytes; longer ones are no links
)

// shown reports whether a leaf is part of what the reader sees, as text.
func shown(p Part) bool {
	return p.Disposition != "attachment" && (p.ContentType == "text/plain" || p.ContentType == "text/html") &&
		(p.FileName == "" || p.Disposition == "inline")
}

// sortParts fills Attachments and Inline.
func (w *walker) sortParts() {
	for _, p := range w.msg.Parts {
		switch {
		case p.Multipart() || shown(p):
		case p.Disposition == "inline", p.Disposition == "" && p.ContentID != "":
			w.msg.Inline = append(w.msg.Inline, p)
		default:
			w.msg.Attachments = append(w.msg.Attachments, p)
		}
	}
}

// readBodies fills what Parse promises beyond the header.
func (w *walker) readBodies() {
	w.sortParts()
	var plain, markup strings.Builder
	for i, p := range w.msg.Parts {
		if p.Multipart() || !shown(p) {
			continue
		}
		if w.spent() {
			break
		}
		if p.ContentType == "text/plain" {
			w.appendText(&plain, i)
		} else {
			w.appendText(&markup, i)
		}
	}
	m := w.msg
	m.Text, m.HTML = plain.String(), markup.String()
	links := linkSet{max: w.lim.Links, seen: map[Link]bool{}}
	linksOfText(m.Text, &links)
	m.HTMLText = w.readHTML(m.HTML, &links)
	m.Links = links.list
	m.Snippet = snippet(m.Text)
	if m.Snippet == "" {
		m.Snippet = snippet(m.HTMLText)
	}
}

// appendText appends the text of the i-th part.
func (w *walker) appendText(b *strings.Builder, i int) {
	if b.Len() >= w.lim.Text {
		return
	}
	p := w.msg.Parts[i]
	content, known := w.texts[i]
	if !known {
		content = p.Content()
	}
	if !knownCharset(p.Charset) {
		w.problem("the charset %q of part %s is unknown", label(p.Charset), p.PartID)
	}
	s := toUTF8(p.Charset, content)
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	if room := w.lim.Text - b.Len(); len(s) > room {
		w.problem("the text is longer than %d bytes and was cut", w.lim.Text)
		s = strings.ToValidUTF8(s[:room], "")
	}
	b.WriteString(s)
}

// readSnippet fills what Summary promises beyond the header.
func (w *walker) readSnippet() {
	w.sortParts()
	for _, want := range []string{"text/plain", "text/html"} {
		var text strings.Builder
		for _, p := range w.msg.Parts {
			if p.ContentType != want || !shown(p) || text.Len() > snippetSource || w.spent() {
				continue
			}
			raw := p.raw
			if len(raw) > snippetSource {
				raw = raw[:snippetSource]
			}
			text.WriteString(toUTF8(p.Charset, decodeTransfer(p.Encoding, raw)))
			text.WriteByte('\n')
		}
		s := text.String()
		if want == "text/html" {
			s = w.readHTML(s, &linkSet{})
		}
		if w.msg.Snippet = snippet(s); w.msg.Snippet != "" {
			return
		}
	}
}

// snippet returns the first characters of s with white space collapsed.
func snippet(s string) string {
	if len(s) > snippetSource {
		s = strings.ToValidUTF8(s[:snippetSource], "")
	}
	var b strings.Builder
	n, gap := 0, false
	for i, r := range s {
		if unicode.IsSpace(r) {
			gap = n > 0
			continue
		}
		if gap && n < snippetRunes {
			b.WriteByte(' ')
			n++
		}
		if n == snippetRunes {
			break
		}
		gap = false
		_, size := utf8.DecodeRuneInString(s[i:]) // an invalid byte stays as it is
		b.WriteString(s[i : i+size])
		n++
	}
	return b.String()
}

// linkSet collects links in order, each once.
type linkSet struct {
	max  int
	list []Link
	seen map[Link]bool
}

func (l *linkSet) add(url, text string) {
	if len(l.list) >= l.max || len(url) > maxURL || !isWeb(url) {
		return
	}
	k := Link{URL: url, Text: text}
	if !l.seen[k] {
		l.seen[k] = true
		l.list = append(l.list, k)
	}
}

// isWeb reports whether s begins with http:// or https:// in any case.
func isWeb(s string) bool {
	return len(s) > 8 && (strings.EqualFold(s[:7], "http://") || strings.EqualFold(s[:8], "https://"))
}

// linksOfText finds bare URLs. Punctuation that ends a sentence, and a bracket
// that was opened before the URL, do not belong to it.
func linksOfText(s string, links *linkSet) {
	for len(links.list) < links.max {
		i := strings.Index(s, "://")
		if i < 0 {
			return
		}
		start := i
		for start > 0 && i-start < 5 && isLetter(s[start-1]) {
			start--
		}
		end := i + 3
		for end < len(s) {
			r, n := utf8.DecodeRuneInString(s[end:])
			if unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`<>"`, r) || r == utf8.RuneError {
				break
			}
			end += n
		}
		url := strings.TrimRight(s[start:end], ".,;:!?'")
		if strings.HasSuffix(url, ")") && strings.Count(url, "(") < strings.Count(url, ")") {
			url = strings.TrimRight(url[:len(url)-1], ".,;:!?'")
		}
		if strings.HasSuffix(url, "]") && strings.Count(url, "[") < strings.Count(url, "]") {
			url = url[:len(url)-1]
		}
		links.add(url, "")
		s = s[end:]
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// readHTML collects the links of an HTML document and returns the words a
// reader sees. It reads tokens, builds no tree and runs nothing.
func (w *walker) readHTML(s string, links *linkSet) string {
	if s == "" {
		return ""
	}
	var out words
	var href string
	anchor := -1 // where the text of the open <a> begins in out
	skip := atom.Atom(0)
	z := html.NewTokenizer(strings.NewReader(s))
	endAnchor := func() {
		if anchor >= 0 {
			links.add(href, linkText(out.b.String()[anchor:]))
			anchor = -1
		}
	}
	for !w.spent() {
		switch z.Next() {
		case html.ErrorToken:
			endAnchor()
			return strings.TrimSpace(out.b.String())
		case html.TextToken:
			if skip == 0 {
				out.write(z.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, hasAttr := z.TagName()
			tag := atom.Lookup(name)
			switch tag {
			case atom.A, atom.Area:
				endAnchor()
				if href = attr(z, hasAttr, "href"); href != "" {
					anchor = out.b.Len()
				}
				if tag == atom.Area {
					endAnchor()
				}
			case atom.Style, atom.Script, atom.Title, atom.Template:
				skip = tag
			default:
				out.gap(tag)
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			switch tag := atom.Lookup(name); tag {
			case atom.A:
				endAnchor()
			case skip:
				skip = 0
			default:
				out.gap(tag)
			}
		}
	}
	endAnchor()
	return strings.TrimSpace(out.b.String())
}

// attr returns the value of one attribute of the tag z is at.
func attr(z *html.Tokenizer, more bool, name string) string {
	for n := 0; more && n < 100; n++ {
		var k, v []byte
		k, v, more = z.TagAttr()
		if string(k) == name {
			return strings.TrimSpace(string(v))
		}
	}
	return ""
}

func linkText(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxLinkText {
		s = strings.ToValidUTF8(s[:maxLinkText], "")
	}
	return s
}

// words joins text with single spaces.
type words struct {
	b     strings.Builder
	space bool
}

func (o *words) write(text []byte) {
	for len(text) > 0 {
		if n := spaceAt(text); n > 0 {
			o.space = true
			text = text[n:]
			continue
		}
		i := 1
		for i < len(text) && (asciiWord(text[i]) || spaceAt(text[i:]) == 0) {
			i++
		}
		if o.space && o.b.Len() > 0 {
			o.b.WriteByte(' ')
		}
		o.space = false
		o.b.Write(text[:i])
		text = text[i:]
	}
}

func asciiWord(c byte) bool { return c > ' ' && c < utf8.RuneSelf }

// spaceAt returns how many bytes of white space b begins with: those of one
// character, or none.
func spaceAt(b []byte) int {
	if asciiWord(b[0]) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if unicode.IsSpace(r) {
		return n
	}
	return 0
}

// gap separates words at a tag, unless it is one that runs with the text.
func (o *words) gap(tag atom.Atom) {
	switch tag {
	case atom.B, atom.I, atom.U, atom.S, atom.Em, atom.Strong, atom.Span, atom.Font, atom.Small, atom.Big,
		atom.Sub, atom.Sup, atom.Code, atom.Mark, atom.Abbr, atom.Wbr:
	default:
		o.space = true
	}
}
