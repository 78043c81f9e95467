package mailpit

import (
	"crypto/md5" // of the contract; nothing relies on it, nor on SHA-1
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/mime"
	"invited/mail/sink/rules"
)

// The JSON of Mailpit has names in capitals; what is ours begins in lower case.

type addressJSON struct {
	Name    string
	Address string
}

// filingJSON is where a message lies, and why. With several recipients it is
// the one asked for, else the first; recipients has them all.
type filingJSON struct {
	Folder     sink.Folder     `json:"folder"`
	Verdict    rules.Verdict   `json:"verdict"`
	Recipients []recipientJSON `json:"recipients"`
}

type recipientJSON struct {
	Address string        `json:"address"`
	Folder  sink.Folder   `json:"folder"`
	Verdict rules.Verdict `json:"verdict"`
}

// summaryJSON is Mailpit's MessageSummary.
type summaryJSON struct {
	ID          string
	MessageID   string
	Read        bool
	From        addressJSON
	To          []addressJSON
	Cc          []addressJSON
	Bcc         []addressJSON
	ReplyTo     []addressJSON
	Subject     string
	Created     time.Time
	Username    string
	Tags        []string
	Size        int
	Attachments int
	Snippet     string
	filingJSON
}

// messageJSON is Mailpit's Message.
type messageJSON struct {
	ID              string
	MessageID       string
	From            addressJSON
	To              []addressJSON
	Cc              []addressJSON
	Bcc             []addressJSON
	ReplyTo         []addressJSON
	ReturnPath      string
	Subject         string
	ListUnsubscribe unsubscribeJSON
	Date            time.Time
	Created         time.Time // not Mailpit's: when it was received
	Tags            []string
	Username        string
	Text            string
	HTML            string
	Size            int
	Inline          []attachmentJSON
	Attachments     []attachmentJSON
	filingJSON
	Envelope   sink.Envelope `json:"envelope"`
	Links      []linkJSON    `json:"links"`
	RedeemURL  string        `json:"redeemUrl,omitempty"`
	Problems   []string      `json:"problems"`
	ParseError string        `json:"parseError,omitempty"`
}

type unsubscribeJSON struct {
	Header     string
	Links      []string
	Errors     string
	HeaderPost string
}

type attachmentJSON struct {
	PartID      string
	FileName    string
	ContentType string
	ContentID   string
	Size        int
	Checksums   checksumsJSON
}

type checksumsJSON struct {
	MD5    string
	SHA1   string
	SHA256 string
}

type linkJSON struct {
	URL  string `json:"url"`
	Text string `json:"text"`
}

// summary returns c as lists show it, seen from one recipient's mailbox if
// recipient is not empty.
func summary(c sink.Captured, recipient string) summaryJSON {
	return summaryJSON{
		ID: c.ID, MessageID: c.MessageID, Read: c.Read,
		From: addressJSON(c.From), To: addresses(c.To), Cc: addresses(c.Cc), Bcc: blind(c), ReplyTo: addresses(c.ReplyTo),
		Subject: c.Subject, Created: c.Envelope.Received, Username: c.Envelope.User,
		Tags: list(c.Tags), Size: c.Size, Attachments: c.Attachments, Snippet: c.Snippet,
		filingJSON: filing(c, recipient),
	}
}

// message returns c in full, with what m says of its content.
func message(c sink.Captured, m *mime.Message, recipient string) messageJSON {
	out := messageJSON{
		ID: c.ID, MessageID: c.MessageID,
		From: addressJSON(c.From), To: addresses(c.To), Cc: addresses(c.Cc), Bcc: blind(c), ReplyTo: addresses(c.ReplyTo),
		ReturnPath: c.Envelope.From, Subject: c.Subject, ListUnsubscribe: unsubscribe(m),
		Date: c.Date, Created: c.Envelope.Received, Tags: list(c.Tags), Username: c.Envelope.User,
		Text: m.Text, HTML: m.HTML, Size: c.Size,
		Inline: attachments(m.Inline), Attachments: attachments(m.Attachments),
		filingJSON: filing(c, recipient), Envelope: c.Envelope,
		Links: []linkJSON{}, Problems: list(m.Problems), ParseError: c.ParseError,
	}
	if out.Date.IsZero() {
		out.Date = out.Created
	}
	out.Envelope.To = list(out.Envelope.To)
	for _, l := range m.Links {
		out.Links = append(out.Links, linkJSON(l))
		if out.RedeemURL == "" && redeems(l.URL) {
			out.RedeemURL = l.URL
		}
	}
	return out
}

// redeems reports whether a link is an invitation's.
func redeems(link string) bool {
	u, err := url.Parse(link)
	return err == nil && strings.HasSuffix(u.Path, "/redeem") && u.Query().Get("ticket") != ""
}

func addresses(people []sink.Person) []addressJSON {
	out := make([]addressJSON, 0, len(people))
	for _, p := range people {
		out = append(out, addressJSON(p))
	}
	return out
}

// blind returns Bcc as Mailpit has it: what the header field says, and every
// recipient of the envelope that the header does not name.
func blind(c sink.Captured) []addressJSON {
	out := addresses(c.Bcc)
	for _, to := range c.Hidden() {
		out = append(out, addressJSON{Address: to})
	}
	return out
}

func filing(c sink.Captured, recipient string) filingJSON {
	f := filingJSON{Folder: sink.Inbox, Recipients: []recipientJSON{}}
	f.Verdict.Hits = []rules.Hit{}
	chosen := -1
	for n, r := range c.Recipients {
		r.Verdict.Hits = list(r.Verdict.Hits)
		f.Recipients = append(f.Recipients, recipientJSON(r))
		if chosen < 0 && recipient != "" && sink.Key(r.Address) == sink.Key(recipient) {
			chosen = n
		}
	}
	if len(f.Recipients) > 0 {
		r := f.Recipients[max(chosen, 0)]
		f.Folder, f.Verdict = r.Folder, r.Verdict
	}
	return f
}

// list returns s, never nil.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func attachments(parts []mime.Part) []attachmentJSON {
	out := make([]attachmentJSON, 0, len(parts))
	for _, p := range parts {
		content := p.Content()
		one, two, three := md5.Sum(content), sha1.Sum(content), sha256.Sum256(content)
		out = append(out, attachmentJSON{
			PartID: p.PartID, FileName: p.FileName, ContentType: p.ContentType, ContentID: p.ContentID, Size: len(content),
			Checksums: checksumsJSON{
				MD5: hex.EncodeToString(one[:]), SHA1: hex.EncodeToString(two[:]), SHA256: hex.EncodeToString(three[:]),
			},
		})
	}
	return out
}

// unsubscribe reads List-Unsubscribe (RFC 2369) and List-Unsubscribe-Post (RFC
// 8058).
func unsubscribe(m *mime.Message) unsubscribeJSON {
	u := unsubscribeJSON{Header: m.Get("List-Unsubscribe"), Links: []string{}, HeaderPost: m.Get("List-Unsubscribe-Post")}
	for rest := u.Header; rest != ""; {
		var link string
		var ok bool
		_, rest, _ = strings.Cut(rest, "<")
		if link, rest, ok = strings.Cut(rest, ">"); ok && link != "" {
			u.Links = append(u.Links, strings.TrimSpace(link))
		}
	}
	if u.Header != "" && len(u.Links) == 0 {
		u.Errors = "List-Unsubscribe has no link in angle brackets"
	}
	return u
}
