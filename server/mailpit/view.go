package mailpit

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"invited/mail/sink/mime"
	"invited/server/web"
)

// viewMessage serves GET /view/{id}.html, /view/{id}.txt and /view/{id}, each
// with "latest" for an id too.
func (h *Handler) viewMessage(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.viewMessage"
	id, suffix := r.PathValue("file"), ""
	if dot := strings.LastIndexByte(id, '.'); dot >= 0 {
		id, suffix = id[:dot], id[dot:]
	}
	r.SetPathValue("id", id)
	named := id != "latest"
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	switch suffix {
	case "":
		return h.redirectView(w, r, id, named)
	case ".html", ".txt":
	default:
		return missing(op, "404 page not found")
	}
	m, err := h.parsed(r.Context(), id)
	if err != nil {
		return err
	}
	web.SetCSP(w, shownPolicy)
	w.Header().Set("X-DNS-Prefetch-Control", "off")
	w.Header().Del("X-Frame-Options") // our own pages show it in a sandboxed frame
	if suffix == ".txt" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, err = io.WriteString(w, m.Text)
		return err
	}
	if m.HTML == "" {
		return missing(op, "404 page not found")
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = io.WriteString(w, eager.ReplaceAllString(withPictures(m), "<${1}x-$2")+newTabs)
	return err
}

// shownPolicy is [foreignPolicy], but a link that a person clicks opens a tab
// of its own, which the sandbox does not bind. Without scripts nothing but a
// person opens one.
var shownPolicy = func() web.CSP {
	p := foreignPolicy
	p.Sandbox = []string{"allow-popups", "allow-popups-to-escape-sandbox"}
	return p
}()

// eager matches the tags for which browsers look up a name, or open a
// connection, before they ask the policy whether they may: that alone would tell
// the sender that the mail is being read. They are renamed wherever they stand,
// since what is a tag to one parser is text to another.
var eager = regexp.MustCompile(`(?i)<(/?)(iframe|frame|object|embed|portal|fencedframe|link)`)

// newTabs sends the links of a mail to tabs of their own: no page but ours may
// be shown in the frame. It stands last so that the mail's own doctype counts.
const newTabs = "\n<base target=\"_blank\">\n"

// redirectView leads to the page of a message. "latest" becomes its id first,
// as Mailpit's clients expect.
func (h *Handler) redirectView(w http.ResponseWriter, r *http.Request, id string, named bool) error {
	if _, err := h.Sink.Get(r.Context(), id); err != nil {
		return classify("mailpit.redirectView", err)
	}
	to := "/view/" + url.PathEscape(id)
	if named {
		to = "/mail/" + url.PathEscape(id)
	}
	http.Redirect(w, r, to, http.StatusFound)
	return nil
}

// maxPictures bounds the bytes that pictures may add to a page.
const maxPictures = 16 << 20

// withPictures returns the HTML with every cid: URL (RFC 2392) that names a
// picture of the message replaced by the picture, so that the page is shown
// without loading anything.
func withPictures(m *mime.Message) string {
	pictureOf := map[string]mime.Part{}
	for _, p := range m.Parts {
		if p.ContentID != "" && pictures[p.ContentType] {
			pictureOf[p.ContentID] = p
		}
	}
	if len(pictureOf) == 0 {
		return m.HTML
	}
	var b strings.Builder
	rest, budget := m.HTML, maxPictures
	for {
		at := cidAt(rest)
		if at < 0 {
			b.WriteString(rest)
			return b.String()
		}
		b.WriteString(rest[:at])
		rest = rest[at:]
		end := strings.IndexAny(rest, "\"'<>() \t\r\n\\")
		if end < 0 {
			end = len(rest)
		}
		link := rest[:end]
		if data := picture(pictureOf, link[len("cid:"):]); data != "" && len(data) <= budget {
			budget -= len(data)
			link = data
		}
		b.WriteString(link)
		rest = rest[end:]
	}
}

// cidAt returns where the next cid: URL begins, or -1.
func cidAt(s string) int {
	for from := 0; ; {
		at := strings.IndexByte(s[from:], ':')
		if at < 0 {
			return -1
		}
		at += from
		if at >= 3 && strings.EqualFold(s[at-3:at], "cid") && (at == 3 || strings.IndexByte("\"'( \t\r\n=", s[at-4]) >= 0) {
			return at - 3
		}
		from = at + 1
	}
}

// picture returns the picture with this content id as a data: URL, or nothing.
func picture(of map[string]mime.Part, id string) string {
	p, ok := of[id]
	if !ok {
		if plain, err := url.PathUnescape(id); err == nil {
			p, ok = of[plain]
		}
	}
	if !ok {
		return ""
	}
	return "data:" + p.ContentType + ";base64," + base64.StdEncoding.EncodeToString(p.Content())
}
