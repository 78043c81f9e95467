package mailpit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"

	"invited/mail/sink"
	"invited/mail/sink/mime"
	"invited/server/problem"
	"invited/server/web"
)

// open reads one message and its content. A message that was received but not
// yet judged is waited for.
func (h *Handler) open(ctx context.Context, id string) (sink.Captured, *mime.Message, error) {
	c, err := h.Sink.Get(ctx, id)
	if err != nil {
		return c, nil, classify("mailpit.open", err)
	}
	m, err := h.parsed(ctx, id)
	return c, m, err
}

// parsed reads the content of a message. What cannot be understood is left
// out.
func (h *Handler) parsed(ctx context.Context, id string) (*mime.Message, error) {
	raw, err := h.Sink.Raw(ctx, id)
	if err != nil {
		return nil, classify("mailpit.parsed", err)
	}
	m, err := mime.Parse(raw, mime.Limits{Now: h.Now})
	if err != nil && !errors.Is(err, mime.ErrTooComplex) {
		return nil, classify("mailpit.parsed", err)
	}
	return m, nil
}

// getMessage serves GET /api/v1/message/{id}. Like Mailpit's, it marks the
// message read; a HEAD does not.
func (h *Handler) getMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	c, m, err := h.open(r.Context(), id)
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet && !c.Read {
		if err := h.Sink.SetRead(r.Context(), []string{id}, true); err != nil {
			return classify("mailpit.getMessage", err)
		}
	}
	return web.WriteJSON(w, http.StatusOK, message(c, m, ""))
}

// getHeaders serves GET /api/v1/message/{id}/headers.
func (h *Handler) getHeaders(w http.ResponseWriter, r *http.Request) error {
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	m, err := h.parsed(r.Context(), id)
	if err != nil {
		return err
	}
	out := map[string][]string{}
	for _, f := range m.Header {
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		out[name] = append(out[name], strings.ToValidUTF8(f.Value, "\ufffd"))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// getRaw serves GET /api/v1/message/{id}/raw: the bytes as they came. With
// headers=verdict, fields that tell the verdict for recipient, or else for the
// first one, stand above them.
func (h *Handler) getRaw(w http.ResponseWriter, r *http.Request) error {
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	raw, err := h.Sink.Raw(r.Context(), id)
	if err != nil {
		return classify("mailpit.getRaw", err)
	}
	q := r.URL.Query()
	above, err := h.verdictFields(r.Context(), id, q.Get("headers"), q.Get("recipient"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if q.Get("dl") == "1" {
		w.Header().Set("Content-Disposition", disposition("attachment", id+".eml"))
	}
	if _, err := io.WriteString(w, above); err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}

// verdictFields returns the header fields that which asks for; none if it is
// empty.
func (h *Handler) verdictFields(ctx context.Context, id, which, recipient string) (string, error) {
	const op = "mailpit.verdictFields"
	switch which {
	case "":
		return "", nil
	case "verdict":
	default:
		return "", problem.BadField(op, "headers", "headers must be verdict, or be left out.")
	}
	c, err := h.Sink.Get(ctx, id)
	if err != nil {
		return "", classify(op, err)
	}
	for _, rcpt := range c.Recipients {
		if recipient != "" && sink.Key(rcpt.Address) != sink.Key(recipient) {
			continue
		}
		var b strings.Builder
		for _, f := range rcpt.Verdict.Fields() {
			b.WriteString(f.Name + ": " + f.Value + "\r\n")
		}
		return b.String(), nil
	}
	return "", missing(op, "This message was not sent to that recipient; leave the parameter out to see the first.")
}

// getVerdict serves GET /api/v1/message/{id}/verdict. The parameter recipient
// limits it to one mailbox.
func (h *Handler) getVerdict(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.getVerdict"
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	c, _, err := h.open(r.Context(), id)
	if err != nil {
		return err
	}
	type verdictJSON struct {
		recipientJSON
		Headers map[string]string `json:"headers"` // as getRaw writes them
	}
	out := struct {
		ID         string        `json:"id"`
		Recipients []verdictJSON `json:"recipients"`
	}{ID: id, Recipients: []verdictJSON{}}
	want := q.Get("recipient")
	for _, rcpt := range filing(c, "").Recipients {
		if want == "" || sink.Key(rcpt.Address) == sink.Key(want) {
			headers := map[string]string{}
			for _, f := range rcpt.Verdict.Fields() {
				headers[f.Name] = f.Value
			}
			out.Recipients = append(out.Recipients, verdictJSON{rcpt, headers})
		}
	}
	if want != "" && len(out.Recipients) == 0 {
		return missing(op, "This message was not sent to that recipient; leave the parameter out to see all.")
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// moveMessage serves PUT /api/v1/message/{id}/folder. Without a recipient the
// message is moved in every mailbox it lies in.
func (h *Handler) moveMessage(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.moveMessage"
	var in struct {
		Folder    string
		Recipient string
	}
	if _, err := readBody(w, r, &in); err != nil {
		return err
	}
	folder, ok := folderNamed(in.Folder)
	if !ok {
		return problem.BadField(op, "folder", "folder must be Inbox or Junk.")
	}
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	c, _, err := h.open(r.Context(), id)
	if err != nil {
		return err
	}
	moved := false
	for _, rcpt := range c.Recipients {
		if in.Recipient == "" || sink.Key(rcpt.Address) == sink.Key(in.Recipient) {
			if err := h.Sink.SetFolder(r.Context(), id, rcpt.Address, folder); err != nil {
				return classify(op, err)
			}
			moved = true
		}
	}
	if !moved {
		return missing(op, "This message was not sent to that recipient; leave recipient out to move it for all.")
	}
	return writeOK(w)
}

// folderNamed returns the folder of a name in any case.
func folderNamed(name string) (sink.Folder, bool) {
	for _, f := range []sink.Folder{sink.Inbox, sink.Junk} {
		if strings.EqualFold(name, string(f)) {
			return f, true
		}
	}
	return "", false
}
