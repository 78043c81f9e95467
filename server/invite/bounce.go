package invite

import (
	"context"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"invited/mail"
	"invited/mail/dsn"
	"invited/server/audit"
	"invited/server/directory"
)

// Returned is a mail that came back, or whose relay says that it is late.
type Returned struct {
	Delivery string
	Was      mail.DeliveryState // what it must still be, else directory.ErrStale
	State    mail.DeliveryState // what it is from now on
	Attempt  mail.Attempt       // what was said; the store numbers it
}

// BouncePrefix begins the local part of addresses that bounces come back to.
const BouncePrefix = "bounce+"

// bounceText spells 32 bytes so that they survive a change of case and fit into
// a local part.
var bounceText = base32.HexEncoding.WithPadding(base32.NoPadding)

// BounceID returns what stands behind [BouncePrefix] in the reverse-path of a
// mail. It names the mail, and nobody who has not seen the mail can guess it: a
// delivery id has 62 random bits. Empty: the ids are not UUIDs, and nothing
// that comes back is matched.
func BounceID(t directory.TenantID, delivery string) string {
	a, b := uuidBytes(string(t)), uuidBytes(delivery)
	if a == nil || b == nil {
		return ""
	}
	return strings.ToLower(bounceText.EncodeToString(append(a, b...)))
}

// parseBounceID undoes [BounceID].
func parseBounceID(s string) (t directory.TenantID, delivery string, ok bool) {
	raw, err := bounceText.DecodeString(strings.ToUpper(s))
	if err != nil || len(raw) != 32 {
		return "", "", false
	}
	t, delivery = directory.TenantID(uuidText(raw[:16])), uuidText(raw[16:])
	return t, delivery, BounceID(t, delivery) == strings.ToLower(s) // the decoder forgives line breaks and odd last bits
}

// uuidBytes reads a UUID in its usual form.
func uuidBytes(s string) []byte {
	raw, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(raw) != 16 || uuidText(raw) != s {
		return nil
	}
	return raw
}

func uuidText(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Bounce is what was made of a message to the address bounces come back to.
type Bounce struct {
	Known      bool // it is a report about a mail of ours; else keep it as any mail
	Report     dsn.Report
	Tenant     directory.TenantID
	Delivery   string
	State      mail.DeliveryState // of that mail, from now on
	Suppressed bool               // its recipient is on the suppression list now
}

// ReceiveBounce takes a message that came to an address, and records what it
// reports of a mail of ours. Only the address says which: the content is easily
// forged. The address of anybody, and a message that is no report, are not
// Known and no error. The same report twice counts once. Nothing is ever
// answered, so no bounce answers a bounce.
func (s *Service) ReceiveBounce(ctx context.Context, to string, raw []byte) (Bounce, error) {
	const op = "invite.ReceiveBounce"
	local, _, _ := strings.Cut(to, "@")
	if len(local) < len(BouncePrefix) || !strings.EqualFold(local[:len(BouncePrefix)], BouncePrefix) {
		return Bounce{}, nil
	}
	t, id, ok := parseBounceID(local[len(BouncePrefix):])
	if !ok {
		return Bounce{}, nil
	}
	out := Bounce{Tenant: t, Delivery: id}
	if out.Report = dsn.Parse(raw); out.Report.Kind == dsn.NotReport {
		return out, nil
	}
	err := s.apply(ctx, op, func(int) (*Change, error) {
		d, err := s.store.Delivery(ctx, t, id)
		if errors.Is(err, directory.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, storeProblem(op, err)
		}
		out.Known, out.State, out.Suppressed = true, d.State, false
		return s.planBounce(ctx, op, &out, d)
	})
	return out, err
}

// ReceiveOwnBounce is [Service.ReceiveBounce] for somebody of a tenant: a report
// about another tenant's mail is not Known.
func (s *Service) ReceiveOwnBounce(ctx context.Context, actor directory.Actor, to string, raw []byte) (Bounce, error) {
	const op = "invite.ReceiveOwnBounce"
	if _, err := s.authorizedScene(ctx, op, actor, directory.ManageUsers); err != nil {
		return Bounce{}, err
	}
	local, _, _ := strings.Cut(strings.ToLower(to), "@")
	if t, _, ok := parseBounceID(strings.TrimPrefix(local, BouncePrefix)); !ok || t != actor.Tenant {
		return Bounce{}, nil
	}
	return s.ReceiveBounce(ctx, to, raw)
}

// planBounce decides what a report changes; nil if it says nothing new.
func (s *Service) planBounce(ctx context.Context, op string, out *Bounce, d Delivery) (*Change, error) {
	now, r := s.now(), out.Report
	c := &Change{Change: directory.Change{Tenant: out.Tenant}}
	activity := audit.EmailBounced
	switch {
	case r.Kind == dsn.Complaint:
		activity = audit.EmailComplaint
	case r.Delayed():
		// The first such word is kept, the others say the same.
		if d.State != mail.Delivered || d.Last.Stage == mail.StageBounce {
			return nil, nil
		}
		activity = audit.EmailLate
		c.Returned = []Returned{{Delivery: d.ID, Was: d.State, State: d.State, Attempt: bounceAttempt(r, now)}}
	default:
		if !mayBounce(d.State) {
			return nil, nil
		}
		out.State = mail.Bounced
		c.Returned = []Returned{{Delivery: d.ID, Was: d.State, State: mail.Bounced, Attempt: bounceAttempt(r, now)}}
	}
	if r.Suppress() {
		entry := suppressionOf(r, d)
		entry.Created, entry.Expires = now, now.Add(SuppressionLifetime)
		before, err := s.suppression(ctx, out.Tenant, d.To, now)
		if err != nil {
			return nil, storeProblem(op, err)
		}
		out.Suppressed = true
		if before.Delivery == d.ID && before.Cause == entry.Cause {
			return nil, nil // said before
		}
		c.Suppress = []Suppression{entry}
	}
	w := scribe{service: s, tenant: out.Tenant, now: now, actor: "mail", actorName: "mail system", correlation: s.newID()}
	details := map[string]string{"mail": d.ID, "kind": string(r.Kind), "status": r.Status, "detail": r.Diagnostic, "suppressed": strconv.FormatBool(out.Suppressed)}
	c.Audit = []audit.Event{w.event(activity, directory.User{ID: d.User}, Invitation{ID: d.Invitation, Email: d.To}, details)}
	return c, nil
}

// mayBounce reports whether mail in a state can come back.
func mayBounce(state mail.DeliveryState) bool {
	switch state {
	case mail.Sending, mail.Deferred, mail.Delivered, mail.Failed:
		return true
	default:
		return false
	}
}

// bounceAttempt is a report in the form of what a relay says.
func bounceAttempt(r dsn.Report, now time.Time) mail.Attempt {
	a := mail.Attempt{At: now, Relay: r.Reporter, Stage: mail.StageBounce, Enhanced: r.Status, Text: r.Diagnostic, Permanent: r.Kind == dsn.Permanent, Code: 450}
	if a.Permanent {
		a.Code = 550
	}
	return a
}

// suppressionOf is the entry for the recipient of a mail, whoever the report
// says it was.
func suppressionOf(r dsn.Report, d Delivery) Suppression {
	entry := Suppression{Key: d.To.LimitKey(), Address: d.To, Cause: CauseBounce, Detail: r.Diagnostic, Delivery: d.ID}
	if r.Kind == dsn.Complaint {
		entry.Cause, entry.Detail = CauseComplaint, r.Action
	}
	return entry
}
