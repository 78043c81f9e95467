package mailpit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"invited/mail"
	"invited/server/problem"
)

// Sender hands one mail to a relay. *smtpout.Pool is one.
type Sender interface {
	Send(ctx context.Context, m mail.Message) mail.Attempt
}

// Relay is where released mail goes, and to whom.
type Relay struct {
	Sender     Sender // required
	Server     string // host:port, shown to people
	ReturnPath string // reverse-path of what is released; empty: the one it came with

	// Allowed recipients. Nil: those in domains that nobody can own (RFC
	// 2606: example, test, invalid, localhost), so that captured mail does
	// not reach people by mistake.
	Allowed *regexp.Regexp
	Blocked *regexp.Regexp // recipients, even if allowed; nil: none

	// Permit is asked about every mail; its error is shown. Nil: no objection.
	Permit func(m mail.Message) error
}

// nobody matches addresses in domains that nobody can own.
var nobody = regexp.MustCompile(`(?i)[@.](example|test|invalid|localhost)$`)

// releaseTime is how long a relay may take for all recipients.
const releaseTime = 60 * time.Second

func (l *Relay) allowed() *regexp.Regexp {
	if l.Allowed == nil {
		return nobody
	}
	return l.Allowed
}

// releaseMessage serves POST /api/v1/message/{id}/release.
func (h *Handler) releaseMessage(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.releaseMessage"
	var in struct{ To []string }
	if _, err := readBody(w, r, &in); err != nil {
		return err
	}
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	// The listener's own deadline is for answers that are quick.
	extend := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(releaseTime + 15*time.Second))
	if extend != nil && !errors.Is(extend, http.ErrNotSupported) {
		return classify(op, extend)
	}
	if err := h.Release(r.Context(), id, in.To); err != nil {
		return err
	}
	return writeOK(w)
}

// Release hands a copy of a message to the relay, for each recipient, and takes
// at most a minute. What is refused is refused with a sentence for people.
func (h *Handler) Release(ctx context.Context, id string, list []string) error {
	const op = "mailpit.Release"
	c, err := h.Sink.Get(ctx, id)
	if err != nil {
		return classify(op, err)
	}
	if h.Relay == nil {
		return problem.BadField(op, "relay", "SMTP error: no relay is configured; start the sink with one to release mail.")
	}
	to, err := h.Relay.recipients(list)
	if err != nil {
		return err
	}
	raw, err := h.Sink.Raw(ctx, id)
	if err != nil {
		return classify(op, err)
	}
	messageID := h.messageID("localhost")
	m := mail.Message{MessageID: strings.Trim(messageID, "<>"), From: c.Envelope.From, Raw: restamp(raw, h.Now(), messageID)}
	if h.Relay.ReturnPath != "" {
		m.From = h.Relay.ReturnPath
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	return h.Relay.send(ctx, m, to)
}

// recipients reads the addresses of a request and refuses those that may not
// be mailed.
func (l *Relay) recipients(list []string) (to []mail.Address, err error) {
	const op = "mailpit.recipients"
	bad := func(format string, args ...any) error {
		return problem.BadField(op, "To", fmt.Sprintf(format, args...))
	}
	switch {
	case len(list) == 0:
		return nil, bad("No valid addresses found")
	case len(list) > maxRecipients:
		return nil, bad("To has %d entries; %d are the most.", len(list), maxRecipients)
	}
	seen := map[string]bool{}
	for _, s := range list {
		a, err := mail.ParseAddress(strings.TrimSpace(s))
		switch {
		case err != nil:
			return nil, bad("Invalid email address: %s", clip(s))
		case !l.allowed().MatchString(a.String()):
			return nil, bad("%s is not among the recipients that mail may be released to (%s).", a, l.allowed())
		case l.Blocked != nil && l.Blocked.MatchString(a.String()):
			return nil, bad("%s is blocked: mail may not be released to it.", a)
		}
		if !seen[a.Key()] {
			seen[a.Key()] = true
			to = append(to, a)
		}
	}
	return to, nil
}

// send hands m to the relay, once for each recipient.
func (l *Relay) send(ctx context.Context, m mail.Message, to []mail.Address) error {
	const op = "mailpit.send"
	if l.Permit != nil {
		for _, m.To = range to {
			if err := l.Permit(m); err != nil {
				return problem.BadField(op, "message", err.Error())
			}
		}
	}
	for n, a := range to {
		m.To = a
		if try := l.Sender.Send(ctx, m); !try.OK() {
			detail := fmt.Sprintf("SMTP error: %s was refused at %s: %s", a, try.Stage, oneLine(try.Text))
			if n > 0 {
				detail += fmt.Sprintf(" (the %d recipients before it have the message)", n)
			}
			return problem.BadField(op, "To", detail)
		}
	}
	return nil
}

// oneLine makes a reply fit to be shown.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
}

// dropped are the header fields that a released mail loses: those that are set
// anew, those that tell of blind copies, and the one the last server adds.
var dropped = map[string]bool{"date": true, "message-id": true, "bcc": true, "resent-bcc": true, "return-path": true}

// restamp returns a captured mail as a new one, with CRLF line ends.
func restamp(raw []byte, date time.Time, messageID string) []byte {
	var out bytes.Buffer
	out.Grow(len(raw) + 256)
	out.WriteString("Date: " + date.Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\r\nMessage-ID: " + messageID + "\r\n")
	skipping, inHeader := false, true
	for len(raw) > 0 {
		var line []byte
		line, raw = cutLine(raw)
		if inHeader && len(line) == 0 {
			inHeader = false
		} else if inHeader && line[0] != ' ' && line[0] != '\t' {
			name, _, found := bytes.Cut(line, []byte(":"))
			skipping = found && dropped[strings.ToLower(strings.TrimRight(string(name), " \t"))]
		}
		if !inHeader || !skipping {
			out.Write(line)
			out.WriteString("\r\n")
		}
	}
	return out.Bytes()
}

// cutLine returns the first line without its end, which is CRLF, LF or CR.
func cutLine(raw []byte) (line, rest []byte) {
	end := bytes.IndexAny(raw, "\r\n")
	switch {
	case end < 0:
		return raw, nil
	case raw[end] == '\r' && end+1 < len(raw) && raw[end+1] == '\n':
		return raw[:end], raw[end+2:]
	default:
		return raw[:end], raw[end+1:]
	}
}
