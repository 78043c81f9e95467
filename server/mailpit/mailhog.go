package mailpit

import (
	"context"
	"encoding/base64"
	"mime/quotedprintable"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/mime"
	"invited/server/problem"
	"invited/server/web"
)

// Limits of MailHog's lists, which hold whole messages.
const (
	maxMailHog      = 250      // messages
	maxMailHogBytes = 16 << 20 // of their sources; a page ends before it has more
)

// The JSON of MailHog's API version 2.
type (
	hogListJSON struct {
		Total int           `json:"total"`
		Count int           `json:"count"`
		Start int           `json:"start"`
		Items []hogMailJSON `json:"items"`
	}
	hogMailJSON struct {
		ID      string
		From    hogPathJSON
		To      []hogPathJSON
		Content hogContentJSON
		Created time.Time
		MIME    *hogPartsJSON
		Raw     hogRawJSON
	}
	hogPathJSON struct {
		Relays  []string
		Mailbox string
		Domain  string
		Params  string
	}
	hogContentJSON struct {
		Headers map[string][]string
		Body    string
		Size    int
		MIME    *hogPartsJSON
	}
	hogPartsJSON struct{ Parts []hogContentJSON }
	hogRawJSON   struct {
		From string
		To   []string
		Data string
		Helo string
	}
)

// listMailHog serves GET /api/v2/messages.
func (h *Handler) listMailHog(w http.ResponseWriter, r *http.Request) error {
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	return h.answerMailHog(w, r, q, sink.Query{})
}

// searchMailHog serves GET /api/v2/search: kind is from, to or containing.
func (h *Handler) searchMailHog(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.searchMailHog"
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	words := strings.TrimSpace(q.Get("query"))
	if words == "" {
		return problem.BadField(op, "query", "query is empty; say what to look for.")
	}
	switch kind := q.Get("kind"); kind {
	case "from", "to":
		words = term(kind, words)
	case "containing":
		words = `"` + strings.ReplaceAll(words, `"`, " ") + `"`
	default:
		return problem.BadField(op, "kind", "kind must be from, to or containing.")
	}
	query, err := parse(words, "")
	if err != nil {
		return err
	}
	return h.answerMailHog(w, r, q, query)
}

// answerMailHog answers with a page of whole messages.
func (h *Handler) answerMailHog(w http.ResponseWriter, r *http.Request, q url.Values, query sink.Query) (err error) {
	if query.Start, err = number(q, "start", 0); err != nil {
		return err
	}
	if query.Limit, err = number(q, "limit", 50); err != nil {
		return err
	}
	if query.Limit == 0 || query.Limit > maxMailHog {
		query.Limit = maxMailHog
	}
	page, err := h.Sink.List(r.Context(), query)
	if err != nil {
		return classify("mailpit.answerMailHog", err)
	}
	out := hogListJSON{Total: page.Total, Start: query.Start, Items: []hogMailJSON{}}
	size := 0
	for n, c := range page.Messages {
		if size += c.Size; n > 0 && size > maxMailHogBytes {
			break
		}
		one, err := h.mailHog(r.Context(), c)
		if problem.Is(err, problem.NotFound) {
			continue // deleted since
		}
		if err != nil {
			return err
		}
		out.Items = append(out.Items, one)
	}
	out.Count = len(out.Items)
	return web.WriteJSON(w, http.StatusOK, out)
}

// getMailHog serves GET /api/v1/messages/{id}. It marks nothing read.
func (h *Handler) getMailHog(w http.ResponseWriter, r *http.Request) error {
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	c, err := h.Sink.Get(r.Context(), id)
	if err != nil {
		return classify("mailpit.getMailHog", err)
	}
	out, err := h.mailHog(r.Context(), c)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// downloadMailHog serves GET /api/v1/messages/{id}/download.
func (h *Handler) downloadMailHog(w http.ResponseWriter, r *http.Request) error {
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	raw, err := h.Sink.Raw(r.Context(), id)
	if err != nil {
		return classify("mailpit.downloadMailHog", err)
	}
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Disposition", disposition("attachment", id+".eml"))
	_, err = w.Write(raw)
	return err
}

// mailHog returns a message as MailHog shows it.
func (h *Handler) mailHog(ctx context.Context, c sink.Captured) (out hogMailJSON, err error) {
	raw, err := h.Sink.Raw(ctx, c.ID)
	if err != nil {
		return out, classify("mailpit.mailHog", err)
	}
	m, err := h.parsed(ctx, c.ID)
	if err != nil {
		return out, err
	}
	out = hogMailJSON{
		ID: c.ID, From: hogPath(c.Envelope.From), To: []hogPathJSON{}, Created: c.Envelope.Received,
		Content: hogContentJSON{Headers: fieldsByName(m.Header), Body: string(afterHeader(raw)), Size: len(raw)},
		Raw:     hogRawJSON{From: c.Envelope.From, To: list(c.Envelope.To), Data: string(raw), Helo: c.Envelope.Helo},
	}
	for _, to := range c.Envelope.To {
		out.To = append(out.To, hogPath(to))
	}
	if len(m.Parts) > 0 && m.Parts[0].Multipart() {
		out.MIME = hogParts(m.Parts, "")
	}
	return out, nil
}

func hogPath(path string) hogPathJSON {
	at := strings.LastIndexByte(path, '@')
	if at < 0 {
		return hogPathJSON{Mailbox: path}
	}
	return hogPathJSON{Mailbox: path[:at], Domain: path[at+1:]}
}

// hogParts returns the children of a part; those of the message itself have
// ids without a dot.
func hogParts(parts []mime.Part, parent string) *hogPartsJSON {
	out := &hogPartsJSON{Parts: []hogContentJSON{}}
	for _, p := range parts {
		rest, ok := strings.CutPrefix(p.PartID, parent)
		if !ok || rest == "" || rest == "0" || strings.Contains(rest, ".") {
			continue
		}
		one := hogContentJSON{Headers: fieldsByName(p.Header)}
		if p.Multipart() {
			one.MIME = hogParts(parts, p.PartID+".")
		} else {
			one.Body = encoded(p)
			one.Size = len(one.Body)
		}
		out.Parts = append(out.Parts, one)
	}
	return out
}

// encoded returns the content of a part in its transfer encoding, from which
// MailHog's clients decode it.
func encoded(p mime.Part) string {
	switch p.Encoding {
	case "base64":
		return base64.StdEncoding.EncodeToString(p.Content())
	case "quoted-printable":
		var b strings.Builder
		w := quotedprintable.NewWriter(&b)
		_, _ = w.Write(p.Content()) // a strings.Builder takes everything
		_ = w.Close()
		return b.String()
	default:
		return string(p.Content())
	}
}

// afterHeader returns the body of a message as it came.
func afterHeader(raw []byte) []byte {
	for rest := raw; len(rest) > 0; {
		var line []byte
		if line, rest = cutLine(rest); len(line) == 0 {
			return rest
		}
	}
	return nil
}

// fieldsByName returns a header as an object.
func fieldsByName(fields []mime.Field) map[string][]string {
	out := map[string][]string{}
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		out[name] = append(out[name], strings.ToValidUTF8(f.Value, "\ufffd"))
	}
	return out
}
