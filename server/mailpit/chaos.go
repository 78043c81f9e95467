package mailpit

import (
	"fmt"
	"net/http"

	"invited/mail/sink/faults"
	"invited/server/problem"
	"invited/server/web"
)

// Auth is the stage of [Faults] at which passwords are checked, beside
// faults.Mail and faults.Rcpt.
const Auth = faults.Auth

// Faults lets a share of the SMTP commands fail, as Mailpit's chaos does.
type Faults interface {
	// Chance returns the code with which percent of the commands at a stage
	// are answered. A percent of 0 is off.
	Chance(stage faults.Stage) (code, percent int)
	// SetChance sets it. code is 400 to 599, percent 0 to 100.
	SetChance(stage faults.Stage, code, percent int)
}

// triggerJSON is one of Mailpit's chaos triggers.
type triggerJSON struct {
	ErrorCode   int
	Probability int // percent
}

// chaosJSON is Mailpit's set of chaos triggers.
type chaosJSON struct {
	Sender         *triggerJSON
	Recipient      *triggerJSON
	Authentication *triggerJSON
}

// triggers lists the members of c with their stages and the codes that Mailpit
// gives to those a request leaves out.
func (c *chaosJSON) triggers() []trigger {
	return []trigger{
		{"Sender", faults.Mail, 451, &c.Sender},
		{"Recipient", faults.Rcpt, 451, &c.Recipient},
		{"Authentication", Auth, 535, &c.Authentication},
	}
}

type trigger struct {
	name  string
	stage faults.Stage
	code  int
	value **triggerJSON
}

// errChaosOff is Mailpit's answer where chaos is not enabled.
func errChaosOff() error {
	return problem.BadField("mailpit.chaos", "chaos", "Chaos is not enabled")
}

// getChaos serves GET /api/v1/chaos.
func (h *Handler) getChaos(w http.ResponseWriter, _ *http.Request) error {
	if h.Faults == nil {
		return errChaosOff()
	}
	var out chaosJSON
	for _, t := range out.triggers() {
		code, percent := h.Faults.Chance(t.stage)
		if code == 0 {
			code = t.code
		}
		*t.value = &triggerJSON{code, percent}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// setChaos serves PUT /api/v1/chaos. What the request leaves out is switched
// off.
func (h *Handler) setChaos(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.setChaos"
	if h.Faults == nil {
		return errChaosOff()
	}
	var in chaosJSON
	if _, err := readBody(w, r, &in); err != nil {
		return err
	}
	for _, t := range in.triggers() {
		if *t.value == nil {
			*t.value = &triggerJSON{ErrorCode: t.code}
		}
		v := *t.value
		switch {
		case v.ErrorCode < 400 || v.ErrorCode > 599:
			return problem.BadField(op, t.name, fmt.Sprintf("%s.ErrorCode is %d; it must be from 400 to 599.", t.name, v.ErrorCode))
		case v.Probability < 0 || v.Probability > 100:
			return problem.BadField(op, t.name, fmt.Sprintf("%s.Probability is %d; it must be from 0 to 100.", t.name, v.Probability))
		}
	}
	for _, t := range in.triggers() {
		h.Faults.SetChance(t.stage, (*t.value).ErrorCode, (*t.value).Probability)
	}
	return h.getChaos(w, r)
}
