package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/web"
)

// Mails is what this face asks of package invite about the queue.
type Mails interface {
	Mail(ctx context.Context, actor directory.Actor, q invite.MailQuery) ([]invite.Delivery, error)
	OneMail(ctx context.Context, actor directory.Actor, id string) (invite.Delivery, error)
	Redrive(ctx context.Context, actor directory.Actor, id string) (invite.Delivery, error)
}

// outboxJSON is a page of mails, with what keeps all of them waiting.
type outboxJSON struct {
	Value  []deliveryJSON `json:"value"`
	Next   string         `json:"@odata.nextLink,omitempty"`
	Alarms []alarmJSON    `json:"alarms"`
}

// alarmJSON is a relay that refuses this server.
type alarmJSON struct {
	Relay    string     `json:"relay"`
	Since    *time.Time `json:"since"`
	Count    int        `json:"count"`
	Stage    string     `json:"stage"`
	Code     int        `json:"code"`
	Enhanced string     `json:"enhanced,omitempty"`
	Text     string     `json:"text"`
}

func showAlarm(a outbox.Alarm) alarmJSON {
	return alarmJSON{
		Relay: a.Relay, Since: when(a.Since), Count: a.Count, Stage: string(a.Last.Stage), Code: a.Last.Code, Enhanced: a.Last.Enhanced, Text: a.Last.Text,
	}
}

// deliveryStates are what ?state= may be.
var deliveryStates = []string{
	string(mail.Queued), string(mail.Sending), string(mail.Deferred), string(mail.Delivered), string(mail.Bounced), string(mail.Failed),
	string(mail.Suppressed), string(mail.Canceled),
}

// listOutbox serves GET /outbox, newest first.
func (h *Handler) listOutbox(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	p, err := parsePaging(r, "outbox", "state")
	if err != nil {
		return err
	}
	state := p.query.Get("state")
	if state != "" && !slices.Contains(deliveryStates, state) {
		return problem.BadField("api.listOutbox", "state", "state must be one of "+strings.Join(deliveryStates, ", ")+".")
	}
	rows, err := h.Invitations.Mail(r.Context(), actor, invite.MailQuery{State: mail.DeliveryState(state), After: p.after, Limit: p.limit()})
	if err != nil {
		return err
	}
	out := outboxJSON{Value: []deliveryJSON{}, Alarms: []alarmJSON{}}
	if len(rows) > p.top {
		rows = rows[:p.top]
		out.Next = web.NextLink(r, web.SkipToken(p.scope, rows[p.top-1].ID))
	}
	for _, d := range rows {
		out.Value = append(out.Value, showDelivery(d))
	}
	if h.Alarms != nil {
		for _, a := range h.Alarms() {
			out.Alarms = append(out.Alarms, showAlarm(a))
		}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// getMail serves GET /outbox/{id}: one mail with all that relays said of it.
func (h *Handler) getMail(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := parseQuery(r); err != nil {
		return err
	}
	d, err := h.Invitations.OneMail(r.Context(), actor, r.PathValue("id"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, showDelivery(d))
}

// redriveMail serves POST /outbox/{id}/redrive: queue a mail again that failed
// or waits.
func (h *Handler) redriveMail(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if err := readOptional(r, &struct{}{}); err != nil {
		return err
	}
	d, err := h.Invitations.Redrive(r.Context(), actor, r.PathValue("id"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, showDelivery(d))
}
