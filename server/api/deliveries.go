package api

import (
	"net/http"
	"time"

	"invited/mail"
	"invited/server/audit"
	"invited/server/invite"
	"invited/server/web"
)

// deliveryJSON is the fate of one mail.
type deliveryJSON struct {
	ID           string        `json:"id"`
	InvitationID string        `json:"invitationId"`
	UserID       string        `json:"userId"`
	To           string        `json:"to"`
	MessageID    string        `json:"messageId"`
	Kind         string        `json:"kind"` // invitation, copy or code
	State        string        `json:"state"`
	Queued       *time.Time    `json:"queued"`
	Next         *time.Time    `json:"next"`
	Attempts     int           `json:"attempts"`
	Last         *attemptJSON  `json:"last"`
	History      []attemptJSON `json:"history,omitempty"`
	Filed        *filingJSON   `json:"filed"` // null: the mailbox does not tell
}

// attemptJSON is what a relay said once.
type attemptJSON struct {
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

// filingJSON is where the sink put the mail, and why.
type filingJSON struct {
	ID     string       `json:"id"`
	Folder string       `json:"folder"`
	At     *time.Time   `json:"at"`
	Score  float64      `json:"score"`
	Hits   []invite.Hit `json:"hits"`
}

func showDelivery(d invite.Delivery) deliveryJSON {
	out := deliveryJSON{
		ID: d.ID, InvitationID: string(d.Invitation), UserID: string(d.User), To: d.To.String(), MessageID: d.MessageID, Kind: string(d.Kind), State: string(d.State),
		Queued: when(d.Queued), Next: when(d.Next), Attempts: d.Attempts,
	}
	if d.Last.Number > 0 {
		last := showAttempt(d.Last)
		out.Last = &last
	}
	for _, a := range d.History {
		out.History = append(out.History, showAttempt(a))
	}
	if f := d.Filing; f != nil {
		out.Filed = &filingJSON{ID: f.ID, Folder: f.Folder, At: when(f.At), Score: f.Score, Hits: list(f.Hits)}
	}
	return out
}

func showAttempt(a mail.Attempt) attemptJSON {
	return attemptJSON{
		Number: a.Number, At: when(a.At), Relay: a.Relay, Stage: string(a.Stage), Code: a.Code, Enhanced: a.Enhanced, Text: a.Text,
		Permanent: a.Permanent, Ambiguous: a.Ambiguous,
	}
}

// listDeliveries serves GET /invitations/{ref}/deliveries, oldest first. An
// invitation has few, so there is one page.
func (h *Handler) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := parseQuery(r); err != nil {
		return err
	}
	rows, err := h.Invitations.Deliveries(r.Context(), actor, invite.ID(r.PathValue("ref")))
	if err != nil {
		return err
	}
	out := pageJSON[deliveryJSON]{Value: []deliveryJSON{}}
	for _, d := range rows {
		out.Value = append(out.Value, showDelivery(d))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// eventJSON is one line of the audit log.
type eventJSON struct {
	ID          string            `json:"id"`
	At          *time.Time        `json:"at"`
	Activity    string            `json:"activity"`
	Result      string            `json:"result"`
	Reason      string            `json:"reason,omitempty"`
	Actor       string            `json:"actor"`
	ActorName   string            `json:"actorName"`
	Target      string            `json:"target,omitempty"`
	TargetName  string            `json:"targetName,omitempty"`
	Invitation  string            `json:"invitationId,omitempty"`
	Correlation string            `json:"correlationId,omitempty"`
	Details     map[string]string `json:"details,omitempty"`
}

func showEvent(e audit.Event) eventJSON {
	return eventJSON{
		ID: e.ID, At: when(e.At), Activity: string(e.Activity), Result: string(e.Result), Reason: e.Reason, Actor: e.Actor, ActorName: e.ActorName,
		Target: e.Target, TargetName: e.TargetName, Invitation: e.Invitation, Correlation: e.Correlation, Details: e.Details,
	}
}

// listEvents serves GET /invitations/{ref}/events, oldest first.
func (h *Handler) listEvents(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	ref := r.PathValue("ref")
	p, err := parsePaging(r, "events\n"+ref)
	if err != nil {
		return err
	}
	rows, err := h.Invitations.Events(r.Context(), actor, invite.ID(ref), p.after, p.limit())
	if err != nil {
		return err
	}
	return writePage(w, r, p, rows, func(e audit.Event) string { return e.ID }, showEvent)
}
