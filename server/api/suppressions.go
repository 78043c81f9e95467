package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/web"
)

// Returns is what this face asks of package invite about mail that came back.
type Returns interface {
	ReceiveOwnBounce(ctx context.Context, actor directory.Actor, to string, raw []byte) (invite.Bounce, error)
	Suppressions(ctx context.Context, actor directory.Actor, after string, limit int) ([]invite.Suppression, error)
	Suppress(ctx context.Context, actor directory.Actor, email, detail string, lifetime time.Duration) (invite.Suppression, error)
	Lift(ctx context.Context, actor directory.Actor, email string) error
}

// maxBounce is how much of a message that came back is read. A report stands
// before the copy of what was sent.
const maxBounce = 1 << 20

// bounceJSON is what was made of a message.
type bounceJSON struct {
	Known      bool   `json:"known"` // false: keep it as any mail
	Kind       string `json:"kind,omitempty"`
	Status     string `json:"status,omitempty"`
	Text       string `json:"text,omitempty"`
	Delivery   string `json:"delivery,omitempty"`
	State      string `json:"state,omitempty"`
	Suppressed bool   `json:"suppressed"`
}

// receiveBounce serves POST /bounces: a message as it came, to the address in
// the parameter "to".
func (h *Handler) receiveBounce(w http.ResponseWriter, r *http.Request) error {
	const op = "api.receiveBounce"
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	q, err := parseQuery(r, "to")
	if err != nil {
		return err
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(media), "message/rfc822") {
		return problem.BadField(op, "Content-Type", "The body must be a message as it came, with Content-Type: message/rfc822.")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBounce))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return &problem.Error{Op: op, Kind: problem.Invalid, Reason: problem.BadInput, Detail: "The message is longer than 1 MiB. Send its first MiB: reports stand at the beginning.", Err: err}
		}
		return problem.BadField(op, "body", "The message broke off.")
	}
	b, err := h.Invitations.ReceiveOwnBounce(r.Context(), actor, q.Get("to"), raw)
	if err != nil {
		return err
	}
	out := bounceJSON{Known: b.Known, Kind: string(b.Report.Kind)}
	if b.Known {
		out.Status, out.Text, out.Delivery, out.State, out.Suppressed = b.Report.Status, b.Report.Diagnostic, b.Delivery, string(b.State), b.Suppressed
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// suppressionJSON is an address that is not mailed.
type suppressionJSON struct {
	Address  string     `json:"address"`
	Cause    string     `json:"cause"`
	Detail   string     `json:"detail"`
	Delivery string     `json:"delivery,omitempty"`
	Created  *time.Time `json:"created"`
	Expires  *time.Time `json:"expires"` // null: until it is lifted
}

func showSuppression(s invite.Suppression) suppressionJSON {
	return suppressionJSON{s.Address.String(), string(s.Cause), s.Detail, s.Delivery, when(s.Created), when(s.Expires)}
}

// listSuppressions serves GET /suppressions, by address.
func (h *Handler) listSuppressions(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	p, err := parsePaging(r, "suppressions")
	if err != nil {
		return err
	}
	rows, err := h.Invitations.Suppressions(r.Context(), actor, p.after, p.limit())
	if err != nil {
		return err
	}
	return writePage(w, r, p, rows, func(s invite.Suppression) string { return s.Key }, showSuppression)
}

// suppressionRequest is the body of POST /suppressions.
type suppressionRequest struct {
	Address string     `json:"address"`
	Detail  string     `json:"detail"`
	Expires *time.Time `json:"expires"`
}

// addSuppression serves POST /suppressions.
func (h *Handler) addSuppression(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	var in suppressionRequest
	if err := web.ReadStrictJSON(r, &in); err != nil {
		return err
	}
	var lifetime time.Duration
	if in.Expires != nil {
		if lifetime = in.Expires.Sub(h.Now()); lifetime <= 0 {
			lifetime = -1
		}
	}
	s, err := h.Invitations.Suppress(r.Context(), actor, in.Address, in.Detail, lifetime)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, showSuppression(s))
}

// liftSuppression serves DELETE /suppressions/{address}.
func (h *Handler) liftSuppression(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := parseQuery(r); err != nil {
		return err
	}
	if err := h.Invitations.Lift(r.Context(), actor, r.PathValue("address")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
