package mailpit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"invited/mail/sink"
	"invited/server/problem"
	"invited/server/web"
)

// Limits of POST /api/v1/send besides [Handler].MaxSend.
const (
	defaultMaxSend = 10 << 20
	maxRecipients  = 100 // To, Cc and Bcc together
	maxAttachments = 100
	maxFields      = 100 // of Headers
	maxTags        = 100
)

// sendJSON is Mailpit's SendRequest.
type sendJSON struct {
	From        senderJSON
	To          []senderJSON
	Cc          []senderJSON
	Bcc         []string
	ReplyTo     []senderJSON
	Subject     string
	Text        string
	HTML        string
	Attachments []sentFileJSON
	Tags        []string
	Headers     map[string]string
}

type senderJSON struct {
	Name  string
	Email string
}

type sentFileJSON struct {
	Content     string // base64, or a data: URL
	Filename    string
	ContentType string // empty: guessed
	ContentID   string // set: shown where the HTML says cid:
}

// sendMessage serves POST /api/v1/send: the mail is made and captured as if it
// had come by SMTP. It goes nowhere else.
func (h *Handler) sendMessage(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.sendMessage"
	limit := h.MaxSend
	if limit <= 0 {
		limit = defaultMaxSend
	}
	raw, err := readLimited(w, r, limit+limit/2) // base64 needs a third more
	if err != nil {
		return err
	}
	var in sendJSON
	if err := json.Unmarshal(raw, &in); err != nil { // members that only other servers know are no mistake here
		return badBody(op, "The request body is not the JSON object this address reads. Check its syntax and the types of its members.", err)
	}
	if err := in.check(op); err != nil {
		return err
	}
	m, err := h.compose(in)
	if err != nil {
		return err
	}
	if int64(len(m.raw)) > limit {
		return &problem.Error{
			Op: op, Kind: problem.TooLarge, Reason: problem.BadInput,
			Detail: fmt.Sprintf("The message is over %d MB; leave out an attachment.", limit>>20),
		}
	}
	m.envelope.Remote = r.RemoteAddr
	if h.Login != nil {
		m.envelope.User, _, _ = r.BasicAuth()
	}
	id, err := h.capture(r.Context(), m, in.Tags)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct{ ID string }{id})
}

// check refuses what is too much, and tags that are none.
func (in *sendJSON) check(op string) error {
	for _, l := range []struct {
		field      string
		count, max int
	}{
		{"To", len(in.To) + len(in.Cc) + len(in.Bcc), maxRecipients},
		{"ReplyTo", len(in.ReplyTo), maxRecipients},
		{"Attachments", len(in.Attachments), maxAttachments},
		{"Headers", len(in.Headers), maxFields},
		{"Tags", len(in.Tags), maxTags},
	} {
		if l.count > l.max {
			return problem.BadField(op, l.field, fmt.Sprintf("%s has %d entries; %d are the most.", l.field, l.count, l.max))
		}
	}
	for i, tag := range in.Tags {
		if in.Tags[i] = strings.TrimSpace(tag); !validTag(in.Tags[i]) {
			return badTag(op, "Tags", tag)
		}
	}
	return nil
}

// capture hands a mail to the sink.
func (h *Handler) capture(ctx context.Context, m composed, tags []string) (id string, err error) {
	const op = "mailpit.capture"
	if id, err = h.Sink.Receive(ctx, m.envelope, m.raw); err != nil || len(tags) == 0 {
		return id, classify(op, err)
	}
	if err = h.Sink.Indexed(ctx, id); err == nil {
		err = h.Sink.SetTags(ctx, []string{id}, tags)
	}
	return id, classify(op, err)
}

// writeSendError answers p as Mailpit does here alone: in JSON.
func (h *Handler) writeSendError(w http.ResponseWriter, _ *http.Request, p *problem.Error) {
	_ = web.WriteJSON(w, web.Status(p.Kind), struct{ Error string }{p.Detail})
}

// composed is a mail with its envelope.
type composed struct {
	envelope sink.Envelope
	raw      []byte
}
