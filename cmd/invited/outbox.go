package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type outboxCmd struct {
	List    outboxListCmd    `cmd:"" help:"List mails by what became of them, newest first."`
	Show    outboxShowCmd    `cmd:"" help:"Show one mail and all that relays said of it."`
	Redrive outboxRedriveCmd `cmd:"" help:"Send mail again that failed or waits."`
}

// outboxMail is a mail as the server answers it.
type outboxMail struct {
	ID           string          `json:"id"`
	InvitationID string          `json:"invitationId"`
	UserID       string          `json:"userId"`
	To           string          `json:"to"`
	MessageID    string          `json:"messageId"`
	State        string          `json:"state"`
	Queued       *time.Time      `json:"queued"`
	Next         *time.Time      `json:"next"`
	Attempts     int             `json:"attempts"`
	Last         *outboxAttempt  `json:"last"`
	History      []outboxAttempt `json:"history,omitempty"`
}

// outboxAttempt is what a relay said once.
type outboxAttempt struct {
	Number    int        `json:"number"`
	At        *time.Time `json:"at"`
	Relay     string     `json:"relay"`
	Stage     string     `json:"stage"`
	Code      int        `json:"code"`
	Enhanced  string     `json:"enhanced,omitempty"`
	Text      string     `json:"text"`
	Permanent bool       `json:"permanent"`
	Ambiguous bool       `json:"ambiguous"`
}

// outboxAlarm is a relay that refuses the server.
type outboxAlarm struct {
	Relay string     `json:"relay"`
	Since *time.Time `json:"since"`
	Count int        `json:"count"`
	Code  int        `json:"code"`
	Text  string     `json:"text"`
}

// outboxPage is one page of the outbox.
type outboxPage struct {
	Value  []outboxMail  `json:"value"`
	Next   string        `json:"@odata.nextLink"`
	Alarms []outboxAlarm `json:"alarms"`
}

// moment prints a time that may not have come.
func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return when(*t)
}

// said is a relay's reply in one line.
func (a *outboxAttempt) said() string {
	if a == nil {
		return "-"
	}
	text := a.Text
	if a.Enhanced != "" {
		text = a.Enhanced + " " + text
	}
	if a.Code != 0 {
		text = fmt.Sprintf("%d %s", a.Code, text)
	}
	if a.Ambiguous {
		text += " (may have arrived)"
	}
	return a.Stage + ": " + text
}

type outboxListCmd struct {
	serverFlags
	outputFlag
	State string `enum:"any,queued,sending,deferred,delivered,bounced,failed,suppressed,canceled" default:"any" help:"Only mails in this state: any, queued, sending, deferred, delivered, bounced, failed, suppressed or canceled."`
	Limit int    `default:"100" help:"At most this many."`
}

// Run lists mails, following pages. Relays that refuse the server are said on
// standard error.
func (c outboxListCmd) Run(e env) error {
	if c.Limit < 1 {
		return &exitError{exitUsage, "--limit must be at least 1"}
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	query := url.Values{"$top": {fmt.Sprint(min(c.Limit, 500))}}
	if c.State != "any" {
		query.Set("state", c.State)
	}
	all := []outboxMail{}
	for path := "/invited/v1/outbox?" + query.Encode(); path != "" && len(all) < c.Limit; {
		var page outboxPage
		if err := api.call(e, http.MethodGet, path, nil, &page); err != nil {
			return err
		}
		if len(all) == 0 {
			for _, a := range page.Alarms {
				fmt.Fprintf(e.stderr, "ALARM: %s refuses this server since %s: %d %s\n", a.Relay, moment(a.Since), a.Code, printableLine(a.Text))
			}
		}
		all = append(all, page.Value...)
		path = strings.TrimPrefix(page.Next, api.base)
	}
	all = all[:min(len(all), c.Limit)]
	t := table{columns: []string{"id", "to", "state", "queued", "attempts", "next", "last reply"}, value: all, empty: "No mail."}
	for _, m := range all {
		t.rows = append(t.rows, []string{m.ID, m.To, m.State, moment(m.Queued), fmt.Sprint(m.Attempts), moment(m.Next), m.Last.said()})
	}
	return c.print(e.stdout, t)
}

type outboxShowCmd struct {
	serverFlags
	outputFlag
	ID string `arg:"" help:"Id of the mail, see: invited outbox list"`
}

// Run shows one mail.
func (c outboxShowCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var m outboxMail
	if err := api.call(e, http.MethodGet, "/invited/v1/outbox/"+url.PathEscape(c.ID), nil, &m); err != nil {
		return err
	}
	t := table{value: m, rows: [][]string{
		{"id", m.ID}, {"to", m.To}, {"state", m.State}, {"Message-ID", m.MessageID}, {"invitation", m.InvitationID},
		{"queued", moment(m.Queued)}, {"next attempt", moment(m.Next)},
	}}
	for _, a := range m.History {
		t.rows = append(t.rows, []string{fmt.Sprintf("attempt %d", a.Number), fmt.Sprintf("%s %s %s", moment(a.At), a.Relay, a.said())})
	}
	return c.print(e.stdout, t)
}

type outboxRedriveCmd struct {
	serverFlags
	IDs []string `arg:"" name:"id" help:"Ids of mails that failed or are deferred."`
}

// Run sends mails again. It goes on after a refusal, and fails with the last.
func (c outboxRedriveCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var failure error
	for _, id := range c.IDs {
		var m outboxMail
		if err := api.call(e, http.MethodPost, "/invited/v1/outbox/"+url.PathEscape(id)+"/redrive", map[string]any{}, &m); err != nil {
			if failure != nil {
				fmt.Fprintln(e.stderr, "invited:", failure)
			}
			failure = err
			continue
		}
		if _, err := fmt.Fprintf(e.stdout, "Queued again: %s to %s\n", m.ID, printableLine(m.To)); err != nil {
			return err
		}
	}
	return failure
}
