package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type inboxCmd struct {
	List       inboxListCmd       `cmd:"" default:"withargs" help:"List captured mail, newest first (the default)."`
	Wait       inboxWaitCmd       `cmd:"" help:"Wait for a mail and print it; exit 5 if none comes in time."`
	Show       inboxShowCmd       `cmd:"" help:"Show one message with its verdict."`
	Raw        inboxRawCmd        `cmd:"" help:"Print one message as it was received."`
	Transcript inboxTranscriptCmd `cmd:"" help:"Print what client and server said when one message came."`
	Links      inboxLinksCmd      `cmd:"" help:"Print the links in one message."`
	Open       inboxOpenCmd       `cmd:"" help:"Print the URL at which a browser shows one message."`
	Clear      inboxClearCmd      `cmd:"" help:"Delete all captured mail."`
}

// mailFilter is what list and wait select by.
type mailFilter struct {
	To      string `placeholder:"ADDRESS" help:"Only mail to this recipient."`
	Subject string `placeholder:"WORDS" help:"Only mail whose subject contains this."`
	Folder  string `enum:"any,inbox,junk" default:"any" help:"Only mail in this folder: any, inbox or junk."`
}

// search words the filter in the sink's search syntax.
func (f mailFilter) search() string {
	var terms []string
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, " ") + `"` }
	if f.To != "" {
		terms = append(terms, "to:"+quote(f.To))
	}
	if f.Subject != "" {
		terms = append(terms, "subject:"+quote(f.Subject))
	}
	if f.Folder != "any" {
		terms = append(terms, "folder:"+f.Folder)
	}
	return strings.Join(terms, " ")
}

// message is a captured mail as the sink's REST interface answers it.
type message struct {
	ID        string
	MessageID string
	From      struct{ Name, Address string }
	To        []struct{ Name, Address string }
	Subject   string
	Created   time.Time
	Text      string
	Folder    string `json:"folder"`
	Verdict   struct {
		Score float64        `json:"score"`
		Hits  []diagnosisHit `json:"hits"`
	} `json:"verdict"`
	Links []struct {
		URL  string `json:"url"`
		Text string `json:"text"`
	} `json:"links"`
	RedeemURL string `json:"redeemUrl"`
}

func (m message) sender() string {
	if m.From.Name != "" {
		return m.From.Name
	}
	return m.From.Address
}

func (m message) recipients() string {
	var to []string
	for _, t := range m.To {
		to = append(to, t.Address)
	}
	return strings.Join(to, ", ")
}

type inboxListCmd struct {
	serverFlags
	outputFlag
	mailFilter
	Limit int `default:"50" help:"At most this many."`
}

// Run lists captured mail.
func (c inboxListCmd) Run(e env) error {
	if c.Limit < 1 {
		return &exitError{exitUsage, "--limit must be at least 1"}
	}
	sink, err := c.sink()
	if err != nil {
		return err
	}
	path := "/api/v1/messages?limit=" + fmt.Sprint(c.Limit)
	if q := c.search(); q != "" {
		path = "/api/v1/search?" + url.Values{"query": {q}, "limit": {fmt.Sprint(c.Limit)}}.Encode()
	}
	data, _, err := sink.send(e, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	var out struct {
		Messages []message `json:"messages"`
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return err
	}
	t := table{columns: []string{"id", "received", "folder", "from", "to", "subject"}, value: json.RawMessage(data), empty: "No mail."}
	for _, m := range out.Messages {
		t.rows = append(t.rows, []string{m.ID, when(m.Created), m.Folder, m.sender(), m.recipients(), m.Subject})
	}
	return c.print(e.stdout, t)
}

type inboxWaitCmd struct {
	serverFlags
	outputFlag
	mailFilter
	After   string        `placeholder:"ID" help:"Only mail newer than this message."`
	Timeout time.Duration `default:"30s" help:"How long to wait."`
}

// Run waits for a mail.
func (c inboxWaitCmd) Run(e env) error {
	if c.Timeout <= 0 {
		return &exitError{exitUsage, "--timeout must be more than 0, such as 30s"}
	}
	sink, err := c.sink()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(c.Timeout); ; {
		left := min(time.Until(deadline), 30*time.Second)
		if left <= 0 {
			return &exitError{exitTimedOut, fmt.Sprintf("no such mail came within %s", c.Timeout)}
		}
		query := url.Values{"timeout": {left.Round(time.Millisecond).String()}}
		rest := c.mailFilter
		rest.To = ""
		for name, v := range map[string]string{"to": c.To, "query": rest.search(), "after": c.After} {
			if v != "" {
				query.Set(name, v)
			}
		}
		data, status, err := sink.send(e, http.MethodGet, "/api/v1/wait?"+query.Encode(), nil)
		if err != nil {
			return err
		}
		if status == http.StatusOK {
			return showMessage(e, c.outputFlag, data)
		}
	}
}

// showMessage prints one message.
func showMessage(e env, o outputFlag, data []byte) error {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	t := table{columns: []string{"id", "folder", "from", "to", "subject", "redeem url"}, value: json.RawMessage(data)}
	if o.Output != "table" {
		t.rows = [][]string{{m.ID, m.Folder, m.sender(), m.recipients(), m.Subject, m.RedeemURL}}
		return o.print(e.stdout, t)
	}
	t = table{rows: [][]string{
		{"id", m.ID}, {"folder", m.Folder}, {"from", m.sender() + " <" + m.From.Address + ">"}, {"to", m.recipients()}, {"subject", m.Subject},
		{"received", when(m.Created)}, {"score", fmt.Sprintf("%.1f", m.Verdict.Score)},
	}}
	if err := o.print(e.stdout, t); err != nil {
		return err
	}
	for _, h := range m.Verdict.Hits {
		fmt.Fprintf(e.stdout, "  %+5.1f %s: %s\n", h.Score, h.Rule, printableLine(h.Why))
	}
	if m.RedeemURL != "" {
		fmt.Fprintln(e.stdout, "\nredeem URL\n"+printableLine(m.RedeemURL))
	}
	return nil
}

// messageID is the argument of verbs about one message.
type messageID struct {
	ID string `arg:"" default:"latest" help:"Id of the message, or latest."`
}

func (m messageID) path(rest string) string {
	return "/api/v1/message/" + url.PathEscape(m.ID) + rest
}

type inboxShowCmd struct {
	serverFlags
	outputFlag
	messageID
}

// Run shows one message.
func (c inboxShowCmd) Run(e env) error {
	sink, err := c.sink()
	if err != nil {
		return err
	}
	data, _, err := sink.send(e, http.MethodGet, c.path(""), nil)
	if err != nil {
		return err
	}
	if err := showMessage(e, c.outputFlag, data); err != nil || c.Output != "table" {
		return err
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "\n%s\n", strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, m.Text))
	return err
}

type inboxRawCmd struct {
	serverFlags
	messageID
}

// Run prints the bytes of one message.
func (c inboxRawCmd) Run(e env) error {
	sink, err := c.sink()
	if err != nil {
		return err
	}
	data, _, err := sink.send(e, http.MethodGet, c.path("/raw"), nil)
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(data)
	return err
}

type inboxTranscriptCmd struct {
	serverFlags
	messageID
}

// Run prints what was said by SMTP when the message came.
func (c inboxTranscriptCmd) Run(e env) error {
	sink, err := c.sink()
	if err != nil {
		return err
	}
	data, _, err := sink.send(e, http.MethodGet, c.path("/transcript"), nil)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		fmt.Fprintln(e.stdout, printableLine(strings.TrimSuffix(line, "\n")))
	}
	return nil
}

type inboxLinksCmd struct {
	serverFlags
	outputFlag
	messageID
}

// Run prints the links of one message.
func (c inboxLinksCmd) Run(e env) error {
	sink, err := c.sink()
	if err != nil {
		return err
	}
	var m message
	if err := sink.call(e, http.MethodGet, c.path(""), nil, &m); err != nil {
		return err
	}
	if c.Output == "table" {
		for _, l := range m.Links {
			fmt.Fprintln(e.stdout, printableLine(l.URL))
		}
		return nil
	}
	t := table{columns: []string{"url", "text"}, value: m.Links}
	for _, l := range m.Links {
		t.rows = append(t.rows, []string{l.URL, l.Text})
	}
	return c.print(e.stdout, t)
}

type inboxOpenCmd struct {
	serverFlags
	messageID
}

// Run prints where a browser finds the message.
func (c inboxOpenCmd) Run(e env) error {
	sink, err := c.sink()
	if err != nil {
		return err
	}
	var m message
	if err := sink.call(e, http.MethodGet, c.path(""), nil, &m); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, sink.base+"/mail/"+m.ID)
	return err
}

type inboxClearCmd struct{ serverFlags }

// Run deletes all captured mail.
func (c inboxClearCmd) Run(e env) error {
	sink, err := c.sink()
	if err != nil {
		return err
	}
	if _, _, err := sink.send(e, http.MethodDelete, "/api/v1/messages", nil); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, "Deleted all captured mail.")
	return err
}
