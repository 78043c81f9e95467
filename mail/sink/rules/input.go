package rules

import "time"

// Input is a mail as a MIME reader understood it. This package reads no MIME
// itself: whoever calls [Check] fills the struct, from mail/sink/mime like so:
//
//	Raw         the message as received
//	Header      Message.Header, field by field, in order
//	From        Message.From; ReplyTo, Message.ReplyTo
//	Subject     Message.Subject, decoded
//	MessageID   Message.MessageID, without angle brackets
//	Date        Message.Date; zero if it cannot be read
//	Text, HTML  Message.Text, Message.HTML
//	HTMLText    Message.HTMLText, the words of HTML without markup
//	Links       Message.Links
//	Parts       every leaf of Message.Parts; ASCII looks at Part.Content
//
// The zero value of a field means that the mail has no such thing.
type Input struct {
	Raw       []byte
	Header    []Field
	From      []Person
	ReplyTo   []Person
	Subject   string
	MessageID string
	Date      time.Time
	Text      string
	HTML      string
	HTMLText  string
	Links     []Link
	Parts     []Part
}

// Field is a header field; Value is unfolded but not decoded.
type Field struct{ Name, Value string }

// Person is a mailbox; Name is decoded.
type Person struct{ Name, Address string }

// Link is a URL and what the reader sees instead; Text is empty for a bare URL.
type Link struct{ URL, Text string }

// Part is a leaf of the MIME tree.
type Part struct {
	ID          string // such as "1.2"
	ContentType string // lower-case type/subtype
	Encoding    string // lower-case Content-Transfer-Encoding
	FileName    string
	ASCII       bool // the decoded content is all 7-bit; need only be set for text in base64
}

// Scenario is what the mail itself does not say: who brought it, to whom, and
// what the test wants to see.
type Scenario struct {
	Helo     string
	ClientIP string
	MailFrom string // reverse-path without brackets
	Rcpt     string // the one recipient judged for, without brackets
	SMTPUTF8 bool
	Received time.Time // zero: rules about the age of the mail are silent
	Forced   []Force   // first match wins

	Auth     *Auth    // nil: authenticity was not judged, and rules about it are silent
	Contacts []string // globs over the address of From: the recipient knows them
	Allow    []string // globs over the address of From: an administrator lets them in
}

// Folder names as a [Force] and the X-Sink-Folder field spell them, in any case.
const (
	Inbox = "Inbox"
	Junk  = "Junk"
)

// Force files matching mail in a folder whatever its score.
type Force struct {
	To     string `json:"to,omitempty"`     // glob over the recipient, "*" and "?"; empty matches all
	From   string `json:"from,omitempty"`   // glob over the reverse-path; empty matches all
	Folder string `json:"folder"`           // Inbox or Junk
	Reason string `json:"reason,omitempty"` // shown in the verdict
}
