// Package mime reads captured mail within bounds: it walks the MIME tree of a
// message (RFC 5322, RFC 2045 to 2049), decodes what a person would read, and
// names what is wrong with the rest.
//
// The mail comes from strangers, so every loop has a budget. The tree is found
// in one pass over the bytes with a stack of open boundaries, never by readers
// inside readers, so that cost grows with size and not with nesting:
//
//	raw ─▶ header block ─▶ multipart? ─no─▶ leaf: decode, convert charset, extract links
//	             ▲              │yes
//	             └── next line that is one of the open boundaries
//
// A defect never loses what was already read: a missing last boundary ends its
// part, a broken header line ends the header, and a message that exceeds a
// limit is returned as far as it was understood, with [ErrTooComplex].
//
// The package refuses to fetch anything, to unpack archives, and to turn a
// name found in a mail into a path: [Part.FileName] is a label.
package mime

import (
	"errors"
	"time"
)

// ErrTooComplex is wrapped by the error of a message that exceeds a limit. The
// [Message] returned beside it holds what was read until then.
var ErrTooComplex = errors.New("mime: message is too complex")

// Limits bound what one message may cost. The zero value means the defaults.
type Limits struct {
	Depth       int           // nesting of multiparts; 0 means 20
	Parts       int           // leaves and multiparts together; 0 means 1,000
	Params      int           // parameters of one header field; 0 means 100
	Fields      int           // header fields of one block; 0 means 1,000, of all blocks five times that
	HeaderBytes int           // bytes read of one header block; 0 means 256 KiB
	Boundary    int           // length of a boundary; 0 means 70 (RFC 2046 section 5.1.1)
	Text        int           // decoded bytes kept of Text and of HTML; 0 means 4 MiB each
	Links       int           // links kept; 0 means 1,000
	Time        time.Duration // 0 means 2 s
	Now         func() time.Time
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.Depth, 20},
		{&l.Parts, 1000},
		{&l.Params, 100},
		{&l.Fields, 1000},
		{&l.HeaderBytes, 256 << 10},
		{&l.Boundary, 70},
		{&l.Text, 4 << 20},
		{&l.Links, 1000},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if l.Time <= 0 {
		l.Time = 2 * time.Second
	}
	if l.Now == nil {
		l.Now = time.Now
	}
	return l
}

// Message is a mail as it was understood.
type Message struct {
	Header                     []Field // of the message itself, in order
	From, To, Cc, Bcc, ReplyTo []Person
	Subject                    string    // decoded
	MessageID                  string    // without angle brackets
	Date                       time.Time // zero if absent or unreadable
	Text                       string    // every text/plain part that is not an attachment, as UTF-8
	HTML                       string    // every text/html part that is not an attachment, as UTF-8, not sanitised
	HTMLText                   string    // the words of HTML a reader sees, white space collapsed
	Snippet                    string    // first 200 characters of the text
	Parts                      []Part    // the tree, flattened, parents first
	Attachments                []Part    // parts a person would save
	Inline                     []Part    // parts the HTML refers to, or that ask to be shown in place
	Links                      []Link    // of text and HTML, without repeats
	Problems                   []string  // breaches of RFC 5322, 2045 and 2046, each a clause naming the field or part
}

// Get returns the decoded value of the first field called name, in any case.
func (m *Message) Get(name string) string { return get(m.Header, name) }

// Part returns the part with the given id.
func (m *Message) Part(id string) (Part, bool) {
	for _, p := range m.Parts {
		if p.PartID == id {
			return p, true
		}
	}
	return Part{}, false
}

// Field is a header field.
type Field struct {
	Name    string // as spelled
	Value   string // unfolded (RFC 5322 section 2.2.3), otherwise as received
	Decoded string // with encoded-words (RFC 2047) read; valid UTF-8 without line ends and other controls
}

// Person is a mailbox as a header field names it.
type Person struct {
	Name    string
	Address string
}

// Link is a URL found in the text or the HTML. It is never followed.
type Link struct {
	URL  string
	Text string // what the reader sees instead; empty for a bare URL in text
}

// Part is a node of the MIME tree.
type Part struct {
	PartID      string // "1.2": the second child of the first child; "0" is the message itself
	Header      []Field
	ContentType string // lower-case type/subtype; "text/plain" if absent or unreadable
	Charset     string // as declared; empty if not
	Encoding    string // lower-case Content-Transfer-Encoding; "7bit" if absent
	Disposition string // "attachment", "inline" or empty
	FileName    string // a label: no separators or control characters; empty if none
	ContentID   string // without angle brackets
	Size        int    // decoded bytes; 0 for a multipart, and in a Summary

	raw []byte // the body as it stands in the message
}

// Multipart reports whether p is a node with children rather than a leaf.
func (p Part) Multipart() bool { return len(p.ContentType) > 10 && p.ContentType[:10] == "multipart/" }

// Content returns the body with its transfer encoding removed. It decodes anew
// at each call; what cannot be decoded is left out.
func (p Part) Content() []byte { return decodeTransfer(p.Encoding, p.raw) }

// Parse reads raw. The message is never nil; the error is nil or wraps
// [ErrTooComplex]. Broken mail is no error: see [Message.Problems].
func Parse(raw []byte, limits Limits) (*Message, error) {
	w := newWalker(raw, limits)
	w.sizes = true
	w.walk()
	w.lint()
	w.readBodies()
	return w.msg, w.err
}

// Summary reads what a list shows: the header, the part tree without sizes and
// bodies, and the snippet. It is several times cheaper than [Parse].
func Summary(raw []byte) (*Message, error) {
	w := newWalker(raw, Limits{})
	w.walk()
	w.readSnippet()
	return w.msg, w.err
}
