package sink

import (
	"encoding/json"
	"strings"
	"time"

	"invited/mail"
	"invited/mail/sink/index"
	"invited/mail/sink/rules"
	"invited/mail/sink/spool"
)

// Key returns the form of an address by which mailboxes are told apart. What
// [mail.ParseAddress] refuses is compared in lower case.
func Key(address string) string {
	if a, err := mail.ParseAddress(address); err == nil {
		return a.Key()
	}
	return strings.ToLower(strings.TrimSpace(address))
}

// Hidden returns the envelope recipients that no header field names: those
// that were sent a blind copy.
func (c Captured) Hidden() []string {
	return hidden(c.Recipients, c.To, c.Cc, c.Bcc)
}

func hidden(recipients []Recipient, named ...[]Person) []string {
	known := map[string]bool{}
	for _, persons := range named {
		for _, p := range persons {
			known[Key(p.Address)] = true
		}
	}
	var out []string
	for _, r := range recipients {
		if !known[Key(r.Address)] {
			out = append(out, r.Address)
		}
	}
	return out
}

// summaryJSON is what the index keeps of a message for lists.
type summaryJSON struct {
	Envelope  Envelope  `json:"envelope"`
	Problem   string    `json:"problem,omitempty"`
	MessageID string    `json:"messageId,omitempty"`
	From      Person    `json:"from"`
	To        []Person  `json:"to,omitempty"`
	Cc        []Person  `json:"cc,omitempty"`
	Bcc       []Person  `json:"bcc,omitempty"`
	ReplyTo   []Person  `json:"replyTo,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Date      time.Time `json:"date,omitzero"`
	Snippet   string    `json:"snippet,omitempty"`
}

// examined joins a record and the opinion on it.
func examined(rec spool.Record, e Envelope, o opinion) (index.Message, Captured) {
	p := o.parsed
	e.Transcript = ""
	c := Captured{
		ID: rec.ID.String(), Envelope: e, Size: len(rec.Raw), Parsed: o.problem == "", ParseError: o.problem,
		MessageID: p.MessageID, From: p.From, To: p.To, Cc: p.Cc, Bcc: p.Bcc, ReplyTo: p.ReplyTo,
		Subject: p.Subject, Date: p.Date, Snippet: p.Snippet, Attachments: p.Attachments,
	}
	m := index.Message{
		Key: rec.ID.Key(), Position: index.Position(rec.Position), Size: len(rec.Raw), Received: e.Received,
		MessageID: p.MessageID, Attachments: p.Attachments, Inline: p.Inline,
	}
	seen := map[string]bool{}
	for i, to := range e.To {
		key := Key(to)
		if seen[key] {
			continue // one mailbox gets one copy
		}
		seen[key] = true
		var v rules.Verdict
		if i < len(o.verdicts) {
			v = o.verdicts[i]
		}
		verdict, _ := json.Marshal(v)
		r := Recipient{Address: to, Folder: Inbox, Verdict: v}
		if v.Junk() {
			r.Folder = Junk
		}
		c.Recipients = append(c.Recipients, r)
		m.Recipients = append(m.Recipients, index.Recipient{Key: key, Address: to, Junk: v.Junk(), Verdict: verdict})
	}
	m.Summary, _ = json.Marshal(summaryJSON{
		Envelope: e, Problem: o.problem, MessageID: p.MessageID, From: p.From, To: p.To, Cc: p.Cc, Bcc: p.Bcc,
		ReplyTo: p.ReplyTo, Subject: p.Subject, Date: p.Date, Snippet: p.Snippet,
	})
	text := append([]string{p.Text, e.From}, p.AttachmentNames...)
	if o.problem != "" && p.Text == "" {
		text = append(text, string(rec.Raw[:min(len(rec.Raw), index.MaxText)]))
	}
	m.Doc = index.Doc{
		From: names(p.From), To: names(p.To...), Cc: names(p.Cc...), ReplyTo: names(p.ReplyTo...),
		Bcc:     names(p.Bcc...) + " " + strings.Join(c.Hidden(), " "),
		Subject: p.Subject, MessageID: p.MessageID, Text: strings.Join(text, "\n"),
	}
	return m, c
}

// names writes persons as they are searched for.
func names(persons ...Person) string {
	var b strings.Builder
	for _, p := range persons {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		if p.Name != "" {
			b.WriteString(p.Name + " ")
		}
		b.WriteString("<" + p.Address + ">")
	}
	return b.String()
}

// captured reads a row back.
func captured(row index.Row) Captured {
	var j summaryJSON
	if err := json.Unmarshal(row.Summary, &j); err != nil {
		j = summaryJSON{Problem: "its summary cannot be read"}
	}
	c := Captured{
		ID: spool.FromKey(row.Key).String(), Envelope: j.Envelope, Size: row.Size,
		Parsed: j.Problem == "", ParseError: j.Problem,
		MessageID: j.MessageID, From: j.From, To: j.To, Cc: j.Cc, Bcc: j.Bcc, ReplyTo: j.ReplyTo,
		Subject: j.Subject, Date: j.Date, Snippet: j.Snippet, Attachments: row.Attachments,
		Read: row.Read, Tags: row.Tags,
	}
	for _, r := range row.Recipients {
		folder := Inbox
		if r.Junk {
			folder = Junk
		}
		out := Recipient{Address: r.Address, Folder: folder}
		_ = json.Unmarshal(r.Verdict, &out.Verdict) // ours; a verdict of another version shows as none
		c.Recipients = append(c.Recipients, out)
	}
	return c
}
