package mailpit

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"invited/mail/sink/mime"
	"invited/server/web"
)

// foreignPolicy keeps anything of a mail from running, loading or framing.
var foreignPolicy = web.CSP{
	Image:     []string{"data:", "cid:"},
	Style:     []string{"'unsafe-inline'"},
	Ancestors: []string{"'self'"},
	Sandbox:   []string{},
}

// getPart serves GET /api/v1/message/{id}/part/{part}.
func (h *Handler) getPart(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.getPart"
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	m, err := h.parsed(r.Context(), id)
	if err != nil {
		return err
	}
	p, ok := m.Part(r.PathValue("part"))
	if !ok || p.Multipart() {
		return missing(op, "404 page not found")
	}
	kind, shown := harmless(p)
	how := "attachment"
	if shown {
		how = "inline"
	}
	name := p.FileName
	if name == "" {
		name = id + "-" + p.PartID
	}
	web.SetCSP(w, foreignPolicy)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", disposition(how, name))
	_, err = w.Write(p.Content())
	return err
}

// pictures are the image types that cannot carry a script. SVG can.
var pictures = map[string]bool{
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/bmp": true, "image/avif": true,
}

// passive are types a browser saves or shows without running anything, besides
// pictures and what passiveFamily says.
var passive = map[string]bool{
	"application/pdf": true, "application/zip": true, "application/json": true, "application/msword": true,
	"application/rtf": true, "application/ics": true, "application/octet-stream": true,
	"text/csv": true, "text/calendar": true, "text/vcard": true,
}

// harmless returns the Content-Type a part is served with, and whether the
// browser may show it. A type that is not known to be passive becomes
// application/octet-stream.
func harmless(p mime.Part) (contentType string, shown bool) {
	switch t := p.ContentType; {
	case pictures[t]:
		return t, true
	case t == "text/plain":
		return withCharset(t, p.Charset), true
	case strings.HasPrefix(t, "text/") && passive[t]:
		return withCharset(t, p.Charset), false
	case passive[t], passiveFamily(t):
		return t, t == "application/pdf"
	default:
		return "application/octet-stream", false
	}
}

// passiveFamily reports whether a type is sound, film or an office document.
// What follows the prefix must be a plain token, and no dialect of XML.
func passiveFamily(t string) bool {
	for _, prefix := range []string{"audio/", "video/", "application/vnd."} {
		if rest, ok := strings.CutPrefix(t, prefix); ok {
			return token(rest) && !strings.HasSuffix(rest, "xml") && !strings.Contains(rest, "html")
		}
	}
	return false
}

// withCharset adds a charset that is a token.
func withCharset(t, charset string) string {
	if charset == "" || !token(charset) {
		return t
	}
	return t + "; charset=" + charset
}

// token reports whether s is made of the harmless characters of a token (RFC
// 9110 section 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(".+-_", rune(c)) {
			return false
		}
	}
	return s != ""
}

// disposition returns a Content-Disposition (RFC 6266) with the name in ASCII
// and, if that lost something, in full.
func disposition(how, name string) string {
	plain := strings.Map(func(c rune) rune {
		switch {
		case c == '"' || c == '\\' || c == '/' || c == '%' || unicode.IsControl(c):
			return '_'
		case c > unicode.MaxASCII:
			return '_'
		}
		return c
	}, name)
	s := how + `; filename="` + plain + `"`
	if plain != name {
		full := strings.Map(func(c rune) rune {
			if c == '/' || c == '\\' || unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
				return '_'
			}
			return c
		}, strings.ToValidUTF8(name, "_"))
		s += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(full), "+", "%20")
	}
	return s
}
