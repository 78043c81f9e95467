// Package compose turns a [Draft] into the bytes of a mail.
//
// The same draft always gives the same bytes: header fields stand in one fixed
// order, the boundary follows from the Message-ID, and Message-ID and Date are
// the caller's. So a mail can be rendered once, stored, and compared with a
// golden file.
//
// The package does not invent anything: no date, no id, no host name, no
// envelope. It refuses what could break out of a header line instead of
// repairing it, and it neither signs nor sends.
//
//	Date From Reply-To To Cc Subject Message-ID MIME-Version Content-Type …
//	└─ multipart/alternative
//	   ├─ text/plain  quoted-printable
//	   └─ text/html   quoted-printable
package compose

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-message"

	"invited/mail"
)

// Draft is a mail before it is rendered.
type Draft struct {
	MessageID string    // required, without angle brackets; its right side is a domain name
	Date      time.Time // required; written in UTC, to the second

	From    mail.Mailbox   // required
	ReplyTo mail.Mailbox   // may be zero
	To      mail.Mailbox   // required; one recipient, so that one reply decides the fate of the mail
	Cc      []mail.Mailbox // who is named as getting a copy; sending it is the caller's business
	Subject string         // required, one line

	Text     string // required; plain text, any line ends
	HTML     string // required; says the same as Text
	Language string // BCP 47 tag for Content-Language; may be empty

	Unsubscribe string  // URL for List-Unsubscribe (RFC 2369); may be empty
	OneClick    bool    // the URL takes the POST of RFC 8058; it must be https then
	FeedbackID  string  // Feedback-ID, four fields divided by colons; may be empty
	Extra       []Field // X- fields, written last, in this order

	EnvelopeFrom string       // reverse-path; empty is the null sender
	Recipient    mail.Address // forward-path; zero: that of To
}

// Field is a header field of our own.
type Field struct {
	Name  string // begins with "X-"
	Value string // printable ASCII
}

// FieldError says which part of a [Draft] breaks which rule.
type FieldError struct {
	Field string // of Draft, such as "Subject" or "From.Name"
	Rule  string // what is wrong, as a clause
}

// Error returns field and rule.
func (e *FieldError) Error() string { return "compose: " + e.Field + ": " + e.Rule }

// Render returns the mail for a draft, or a [*FieldError].
func Render(d Draft) (mail.Message, error) {
	h, err := header(d)
	if err != nil {
		return mail.Message{}, err
	}
	from, err := mail.ParsePath(d.EnvelopeFrom)
	if err != nil {
		return mail.Message{}, &FieldError{Field: "EnvelopeFrom", Rule: "it is not a reverse-path"}
	}
	to := d.Recipient
	if to.IsZero() {
		to = d.To.Address
	}
	if err := checkAddress("Recipient", to); err != nil {
		return mail.Message{}, err
	}
	var out bytes.Buffer
	out.Grow(2048 + (len(d.Text)+len(d.HTML))*5/4)
	if err := write(&out, h, d.Text, d.HTML); err != nil {
		return mail.Message{}, fmt.Errorf("compose: write: %w", err)
	}
	return mail.Message{MessageID: d.MessageID, From: from.String(), To: to, Raw: out.Bytes()}, nil
}

// write renders header and parts.
func write(out *bytes.Buffer, h message.Header, text, html string) error {
	w, err := message.CreateWriter(out, h)
	if err != nil {
		return err
	}
	for _, part := range []struct{ kind, body string }{{"plain", text}, {"html", html}} {
		var ph message.Header
		ph.AddRaw([]byte("Content-Transfer-Encoding: quoted-printable\r\n"))
		ph.AddRaw([]byte("Content-Type: text/" + part.kind + "; charset=utf-8\r\n"))
		pw, err := w.CreatePart(ph)
		if err != nil {
			return err
		}
		if _, err := pw.Write([]byte(lines(part.body))); err != nil {
			return err
		}
		if err := pw.Close(); err != nil {
			return err
		}
	}
	return w.Close()
}

// lines returns s with line feeds as its only line ends; the encoder makes
// them CRLF. A bare CR in a body confuses relays.
func lines(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// boundary derives the line between the parts. It begins with "=_", which
// quoted-printable text cannot hold.
func boundary(messageID string) string {
	sum := sha256.Sum256([]byte(messageID))
	return "=_" + hex.EncodeToString(sum[:16])
}
