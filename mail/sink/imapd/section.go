package imapd

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"

	"github.com/emersion/go-imap/v2"

	sinkmime "invited/mail/sink/mime"
)

// section cuts a section out of the message. One that does not exist is empty.
func (p *part) section(item *imap.FetchItemBodySection) []byte {
	at := p.find(item.Part)
	if at == nil {
		return nil
	}
	inner := at // what HEADER and TEXT are of
	if len(item.Part) > 0 {
		inner = at.message
	}
	var out []byte
	switch item.Specifier {
	case imap.PartSpecifierMIME:
		if len(item.Part) > 0 {
			out = at.header
		}
	case imap.PartSpecifierHeader:
		if inner != nil {
			out = inner.chosen(item.HeaderFields, item.HeaderFieldsNot)
		}
	case imap.PartSpecifierText:
		if inner != nil {
			out = inner.body
		}
	default:
		if out = at.body; len(item.Part) == 0 {
			out = at.raw
		}
	}
	return cut(out, item.Partial)
}

// chosen returns the header, or the fields of it that are named or not named,
// with an empty line behind.
func (p *part) chosen(only, not []string) []byte {
	if len(only) == 0 && len(not) == 0 {
		return p.header
	}
	named := map[string]bool{}
	for _, name := range append(only, not...) {
		named[strings.ToLower(name)] = true
	}
	var b bytes.Buffer
	p.fields(func(name string, lines []byte) {
		if name != "" && named[strings.ToLower(name)] == (len(only) > 0) {
			b.Write(lines)
		}
	})
	b.WriteString("\r\n")
	return b.Bytes()
}

func cut(b []byte, partial *imap.SectionPartial) []byte {
	if partial == nil {
		return b
	}
	begin := min(partial.Offset, int64(len(b)))
	return b[begin : begin+min(partial.Size, int64(len(b))-begin)]
}

// decoded returns a part without its transfer encoding (RFC 3516), as far as it
// can be read.
func (p *part) decoded(path []int) []byte {
	at := p.find(path)
	switch {
	case at == nil:
		return nil
	case len(path) == 0:
		return at.raw
	}
	var r io.Reader = bytes.NewReader(at.body)
	switch strings.ToLower(at.get("Content-Transfer-Encoding")) {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	}
	out, _ := io.ReadAll(r)
	return out
}

// structure describes the tree (RFC 3501 section 7.4.2).
func (p *part) structure() imap.BodyStructure {
	disposition, language, location := p.disposition(), p.languages(), p.get("Content-Location")
	if len(p.children) > 0 {
		multi := &imap.BodyStructureMultiPart{
			Subtype:  p.sub,
			Extended: &imap.BodyStructureMultiPartExt{Params: p.params, Disposition: disposition, Language: language, Location: location},
		}
		for _, c := range p.children {
			multi.Children = append(multi.Children, c.structure())
		}
		return multi
	}
	encoding, _, _ := strings.Cut(p.get("Content-Transfer-Encoding"), " ")
	single := &imap.BodyStructureSinglePart{
		Type: p.kind, Subtype: p.sub, Params: p.params, ID: p.get("Content-Id"), Description: p.get("Content-Description"),
		Encoding: encoding, Size: uint32(len(p.body)),
		Extended: &imap.BodyStructureSinglePartExt{Disposition: disposition, Language: language, Location: location},
	}
	lines := int64(bytes.Count(p.body, []byte("\n")))
	switch {
	case p.message != nil:
		single.MessageRFC822 = &imap.BodyStructureMessageRFC822{
			Envelope: p.message.envelope(), BodyStructure: p.message.structure(), NumLines: lines,
		}
	case p.kind == "text":
		single.Text = &imap.BodyStructureText{NumLines: lines}
	}
	return single
}

func (p *part) disposition() *imap.BodyStructureDisposition {
	value := p.get("Content-Disposition")
	if value == "" {
		return nil
	}
	kind, params, err := mime.ParseMediaType(value)
	if err != nil && kind == "" {
		kind, _, _ = strings.Cut(value, ";")
	}
	return &imap.BodyStructureDisposition{Value: strings.ToLower(strings.TrimSpace(kind)), Params: params}
}

func (p *part) languages() []string {
	return strings.FieldsFunc(p.get("Content-Language"), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// envelope reads the header fields that lists show.
func (p *part) envelope() *imap.Envelope {
	m, _ := sinkmime.Summary(p.header) // what was understood
	e := &imap.Envelope{
		Date: m.Date, Subject: m.Subject, MessageID: m.MessageID, InReplyTo: messageIDs(p.get("In-Reply-To")),
		From: persons(m.From), ReplyTo: persons(m.ReplyTo), To: persons(m.To), Cc: persons(m.Cc), Bcc: persons(m.Bcc),
	}
	if sender, err := netmail.ParseAddress(p.get("Sender")); err == nil {
		e.Sender = persons([]sinkmime.Person{{Name: sender.Name, Address: sender.Address}})
	}
	return e
}

// persons writes addresses in two halves. One without a domain gets a word in
// its place: an empty half would begin a group (RFC 3501 section 7.4.2).
func persons(in []sinkmime.Person) []imap.Address {
	var out []imap.Address
	for _, p := range in {
		a := imap.Address{Name: p.Name, Mailbox: p.Address, Host: "missing.invalid"}
		if i := strings.LastIndexByte(p.Address, '@'); i >= 0 {
			a.Mailbox, a.Host = p.Address[:i], p.Address[i+1:]
		}
		out = append(out, a)
	}
	return out
}

func messageIDs(value string) []string {
	var out []string
	for _, s := range strings.Fields(value) {
		if s = strings.Trim(s, "<>,"); s != "" {
			out = append(out, s)
		}
	}
	return out
}
