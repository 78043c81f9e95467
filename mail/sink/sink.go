// Package sink is a mail server's inbox for tests: it stores what it is given
// durably, files it in Inbox or Junk with a reason, and lets it be found.
//
// Receiving and reading are two lives of a message. [Sink.Receive] appends the
// raw bytes and the envelope to a log and returns once they are on stable
// storage; parsing, judging and indexing happen afterwards, in batches, and
// cannot lose what was received. A message that cannot be parsed is listed and
// shown as it is.
//
//	Receive ──fsync──▶ log ──worker: parse, judge──▶ index ──▶ list, search, wait
//
// The package speaks no protocol: sink/smtpd listens, the HTTP faces show.
// Nothing named in a mail is ever fetched.
package sink

import (
	"time"

	"invited/mail/sink/rules"
)

// Folder is where a recipient's mail server put a message.
type Folder string

// The folders.
const (
	Inbox Folder = "Inbox"
	Junk  Folder = "Junk"
)

// Envelope is how a message arrived, kept apart from what it says of itself.
type Envelope struct {
	From      string    `json:"from"` // reverse-path without brackets; empty is the null sender
	To        []string  `json:"to"`   // forward-paths, as given, without brackets
	Helo      string    `json:"helo"`
	Remote    string    `json:"remote"` // ip:port of the client
	TLS       bool      `json:"tls,omitempty"`
	User      string    `json:"user,omitempty"` // of AUTH
	SMTPUTF8  bool      `json:"smtputf8,omitempty"`
	Body      string    `json:"body,omitempty"` // 7BIT, 8BITMIME or BINARYMIME
	Received  time.Time `json:"received"`
	SessionID string    `json:"session,omitempty"`

	// Transcript is what was said until the message was stored, for
	// [Sink.Transcript]; lists and events do not carry it.
	Transcript string `json:"transcript,omitempty"`
}

// TranscriptID stands in a transcript for the id of the message, which its
// writer cannot know yet.
const TranscriptID = "{id}"

// Captured is one received message as lists show it.
type Captured struct {
	ID          string // 24 lower-case hex digits, ascending with time of receipt
	Envelope    Envelope
	Size        int // bytes as received
	Parsed      bool
	ParseError  string // why the message is shown raw; empty if it parsed
	MessageID   string // without angle brackets; empty if it has none
	From        Person
	To, Cc, Bcc []Person
	ReplyTo     []Person
	Subject     string
	Date        time.Time // of the header field; zero if absent or unreadable
	Snippet     string    // first 200 characters of the text
	Attachments int
	Read        bool
	Tags        []string
	Recipients  []Recipient // one per envelope recipient, in order
}

// Person is a mailbox as a header field names it.
type Person struct {
	Name    string
	Address string
}

// Recipient is the fate of a message in one recipient's mailbox.
type Recipient struct {
	Address string
	Folder  Folder
	Verdict rules.Verdict
}
