package mailpit

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"mime"
	"net/http"
	netmail "net/mail"
	"slices"
	"strings"
	"unicode"

	entities "github.com/emersion/go-message"

	"invited/mail"
	"invited/mail/sink"
	"invited/server/problem"
)

// reserved are the header fields that Headers may not set: those that other
// members set, and those that say how the body is written.
var reserved = []string{
	"to", "from", "cc", "bcc", "reply-to", "date", "subject", "mime-version", "content-type", "content-transfer-encoding",
}

// compose makes the mail a request asks for. mail/compose is not for this: it
// writes invitations, with one recipient, and with text and HTML.
func (h *Handler) compose(in sendJSON) (composed, error) {
	const op = "mailpit.compose"
	env := sink.Envelope{Helo: "api", Body: "8BITMIME", Received: h.Now()}
	from, path, err := mailbox("From", in.From)
	if err != nil {
		return composed{}, err
	}
	env.From, env.SMTPUTF8 = path.String(), path.NeedsSMTPUTF8()
	fields := []field{{"Date", env.Received.Format("Mon, 02 Jan 2006 15:04:05 -0700")}, {"From", from}}
	for _, list := range []struct {
		name   string
		people []senderJSON
	}{{"Reply-To", in.ReplyTo}, {"To", in.To}, {"Cc", in.Cc}, {"", unnamed(in.Bcc)}} {
		var written []string
		for _, p := range list.people {
			one, path, err := mailbox(cmpOr(list.name, "Bcc"), p)
			if err != nil {
				return composed{}, err
			}
			written = append(written, one)
			if to := path.String(); list.name != "Reply-To" && !slices.Contains(env.To, to) {
				env.To = append(env.To, to)
				env.SMTPUTF8 = env.SMTPUTF8 || path.NeedsSMTPUTF8()
			}
		}
		if list.name != "" && len(written) > 0 {
			fields = append(fields, field{list.name, strings.Join(written, ", ")})
		}
	}
	if len(env.To) == 0 {
		return composed{}, problem.BadField(op, "To", "There is no recipient; name one in To, Cc or Bcc.")
	}
	more, err := h.otherFields(in, path.Domain)
	if err != nil {
		return composed{}, err
	}
	root, err := body(in)
	if err != nil {
		return composed{}, err
	}
	raw, err := root.render(append(fields, more...))
	if err != nil {
		return composed{}, &problem.Error{Op: op, Kind: problem.Internal, Detail: "internal error", Err: err}
	}
	return composed{env, raw}, nil
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func unnamed(addresses []string) (people []senderJSON) {
	for _, a := range addresses {
		people = append(people, senderJSON{Email: a})
	}
	return people
}

// mailbox reads a person and returns what stands in a header field, and the
// path of the envelope.
func mailbox(name string, p senderJSON) (written string, path mail.Path, err error) {
	const op = "mailpit.mailbox"
	if p.Email == "" {
		return "", path, problem.BadField(op, name, name+" has no Email.")
	}
	path, err = mail.ParsePath(strings.TrimSpace(p.Email))
	if err != nil || path.IsNull() || path.Domain == "" {
		return "", path, problem.BadField(op, name, fmt.Sprintf("%s: %q is no e-mail address.", name, clip(p.Email)))
	}
	if err := headerText(name, p.Name); err != nil {
		return "", path, err
	}
	return (&netmail.Address{Name: p.Name, Address: path.Local + "@" + path.Domain}).String(), path, nil
}

// headerText refuses what could break out of a header line.
func headerText(name, s string) error {
	const op, longest = "mailpit.headerText", 4096
	if len(s) > longest {
		return problem.BadField(op, name, fmt.Sprintf("%s is longer than %d bytes.", name, longest))
	}
	if strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) || c == 0x2028 || c == 0x2029 }) {
		return problem.BadField(op, name, name+" holds a line break or another control character.")
	}
	return nil
}

// otherFields returns Subject, Message-ID, and what Headers asks for.
func (h *Handler) otherFields(in sendJSON, domain string) ([]field, error) {
	const op = "mailpit.otherFields"
	if err := headerText("Subject", in.Subject); err != nil {
		return nil, err
	}
	fields := []field{{"Subject", mime.QEncoding.Encode("utf-8", in.Subject)}}
	named := false
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		value := in.Headers[name]
		low := strings.ToLower(name)
		switch {
		case !fieldName(name):
			return nil, problem.BadField(op, "Headers", fmt.Sprintf("%q is no name of a header field.", clip(name)))
		case slices.Contains(reserved, low), low == "x-tags" && len(in.Tags) > 0:
			return nil, problem.BadField(op, "Headers", fmt.Sprintf("Headers must not set %s; another member does.", name))
		}
		if err := headerText(name, value); err != nil {
			return nil, err
		}
		named = named || low == "message-id"
		fields = append(fields, field{name, mime.QEncoding.Encode("utf-8", value)})
	}
	if !named {
		fields = slices.Insert(fields, 1, field{"Message-ID", h.messageID(domain)})
	}
	return fields, nil
}

// messageID returns a new Message-ID, of the domain if it can stand there.
func (h *Handler) messageID(domain string) string {
	if !token(domain) {
		domain = "localhost"
	}
	left := rand.Text
	if h.NewID != nil {
		left = h.NewID
	}
	return "<" + left() + "@" + domain + ">"
}

// fieldName reports whether s may name a header field (RFC 5322 section 2.2).
func fieldName(s string) bool {
	return s != "" && len(s) <= 70 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// field is one line of a header.
type field struct{ name, value string }

// entity is a node of the mail: content, or further nodes.
type entity struct {
	fields   []field
	content  []byte
	children []entity
}

// body returns the tree of a mail:
//
//	mixed ─ alternative ─ text
//	  │         └ related ─ HTML
//	  │              └ inline pictures
//	  └ attachments
//
// Nodes with one child are left out.
func body(in sendJSON) (entity, error) {
	var inline, attached []entity
	for _, a := range in.Attachments {
		e, err := file(a)
		if err != nil {
			return e, err
		}
		if a.ContentID != "" && in.HTML != "" {
			inline = append(inline, e)
		} else {
			attached = append(attached, e)
		}
	}
	var shown []entity
	if in.Text != "" || in.HTML == "" {
		shown = append(shown, text("plain", in.Text))
	}
	if in.HTML != "" {
		shown = append(shown, group("related", append([]entity{text("html", in.HTML)}, inline...)))
	}
	return group("mixed", append([]entity{group("alternative", shown)}, attached...)), nil
}

// group returns a multipart, or its only child.
func group(kind string, children []entity) entity {
	if len(children) == 1 {
		return children[0]
	}
	// "=_" cannot stand in quoted-printable text, nor in base64.
	return entity{fields: []field{{"Content-Type", "multipart/" + kind + `; boundary="=_` + rand.Text() + `"`}}, children: children}
}

func text(kind, s string) entity {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	return entity{
		fields:  []field{{"Content-Type", "text/" + kind + "; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"}},
		content: []byte(s),
	}
}

// file reads an attachment.
func file(a sentFileJSON) (entity, error) {
	const op = "mailpit.file"
	for _, s := range []string{a.Filename, a.ContentID, a.ContentType} {
		if err := headerText("Attachments", s); err != nil {
			return entity{}, err
		}
	}
	encoded, kind := a.Content, a.ContentType
	if rest, ok := strings.CutPrefix(encoded, "data:"); ok {
		described, data, found := strings.Cut(rest, ",")
		described, isBase64 := strings.CutSuffix(described, ";base64")
		if !found || !isBase64 {
			return entity{}, problem.BadField(op, "Attachments", "The Content of an attachment is a data: URL without ;base64, which is not read here.")
		}
		encoded = data
		kind = cmpOr(kind, described)
	}
	content, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(content) == 0 && encoded != "" {
		return entity{}, problem.BadField(op, "Attachments", fmt.Sprintf("The Content of attachment %q is not base64.", clip(a.Filename)))
	}
	kind = cmpOr(kind, http.DetectContentType(content))
	media, params, err := mime.ParseMediaType(kind)
	if err != nil || strings.HasPrefix(media, "multipart/") || !strings.Contains(media, "/") {
		return entity{}, problem.BadField(op, "Attachments", fmt.Sprintf("%q is no ContentType of an attachment.", clip(kind)))
	}
	delete(params, "charset") // the bytes are what they are
	how := "attachment"
	if a.ContentID != "" {
		how = "inline"
	}
	e := entity{content: content, fields: []field{
		{"Content-Type", mime.FormatMediaType(media, params)},
		{"Content-Transfer-Encoding", "base64"},
		{"Content-Disposition", mime.FormatMediaType(how, named(a.Filename))},
	}}
	if id := strings.Trim(a.ContentID, "<> "); id != "" {
		e.fields = append(e.fields, field{"Content-ID", "<" + mime.QEncoding.Encode("utf-8", id) + ">"})
	}
	return e, nil
}

func named(filename string) map[string]string {
	if filename == "" {
		return nil
	}
	return map[string]string{"filename": filename}
}

// header returns fields in their order.
func header(fields []field) (h entities.Header) {
	for _, f := range slices.Backward(fields) { // Add puts a field on top
		h.Add(f.name, f.value)
	}
	return h
}

// render writes the mail with these fields before its own.
func (e entity) render(fields []field) ([]byte, error) {
	var out bytes.Buffer
	fields = append(fields, field{"MIME-Version", "1.0"})
	w, err := entities.CreateWriter(&out, header(append(fields, e.fields...)))
	if err != nil {
		return nil, err
	}
	err = e.write(w)
	return out.Bytes(), err
}

func (e entity) write(w *entities.Writer) error {
	for _, child := range e.children {
		part, err := w.CreatePart(header(child.fields))
		if err != nil {
			return err
		}
		if err := child.write(part); err != nil {
			return err
		}
	}
	if len(e.children) == 0 {
		if _, err := w.Write(e.content); err != nil {
			return err
		}
	}
	return w.Close()
}
