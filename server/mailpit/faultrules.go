package mailpit

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/faults"
	"invited/mail/sink/rules"
	"invited/server/problem"
	"invited/server/web"
)

// FaultRules are the rules by which SMTP misbehaves. [*faults.Set] is one, and
// its chances are [Faults].
type FaultRules interface {
	Rules() []faults.Rule
	Replace(list []faults.Rule) error
}

// FolderRules are the rules that force mail into a folder. [*sink.Forced] is
// one. An error of Replace that is no *sink.StorageError is the caller's.
type FolderRules interface {
	Rules() []rules.Force
	Replace(list []rules.Force) error
}

// faultJSON is a [faults.Rule].
type faultJSON struct {
	Stage string `json:"stage"` // auth, mail, rcpt or data
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	Code  int    `json:"code,omitempty"`
	Text  string `json:"text,omitempty"`
	Drop  bool   `json:"drop,omitempty"`
	Delay string `json:"delay,omitempty"` // such as 3s
	First int    `json:"first,omitempty"`
	Every int    `json:"every,omitempty"`
	Rate  int    `json:"rate,omitempty"`
	Per   string `json:"per,omitempty"` // such as 1m
}

type faultsJSON struct {
	Faults []faultJSON `json:"faults"`
}

type rulesJSON struct {
	Rules []rules.Force `json:"rules"`
}

// getFaults serves GET /api/v1/faults.
func (h *Handler) getFaults(w http.ResponseWriter, _ *http.Request) error {
	if h.FaultRules == nil {
		return problem.BadField("mailpit.getFaults", "faults", "Faults are not enabled here.")
	}
	out := faultsJSON{Faults: []faultJSON{}}
	for _, r := range h.FaultRules.Rules() {
		out.Faults = append(out.Faults, faultJSON{
			Stage: string(r.Stage), From: r.From, To: r.To, Code: r.Code, Text: r.Text, Drop: r.Drop, Delay: duration(r.Delay),
			First: r.First, Every: r.Every, Rate: r.Rate, Per: duration(r.Per),
		})
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// duration is empty for zero.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// setFaults serves PUT /api/v1/faults. It exchanges all rules, and what they
// have counted begins anew; they last until the program ends.
func (h *Handler) setFaults(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.setFaults"
	if h.FaultRules == nil {
		return problem.BadField(op, "faults", "Faults are not enabled here.")
	}
	var in faultsJSON
	if _, err := readBody(w, r, &in); err != nil {
		return err
	}
	if in.Faults == nil {
		return problem.BadField(op, "faults", `The request body must be {"faults": [...]}; an empty list clears all. Nothing was changed.`)
	}
	list := make([]faults.Rule, len(in.Faults))
	for i, f := range in.Faults {
		delay, err := span("delay", f.Delay)
		if err != nil {
			return err
		}
		per, err := span("per", f.Per)
		if err != nil {
			return err
		}
		list[i] = faults.Rule{
			Stage: faults.Stage(strings.ToLower(f.Stage)), From: f.From, To: f.To, Code: f.Code, Text: f.Text, Drop: f.Drop, Delay: delay,
			First: f.First, Every: f.Every, Rate: f.Rate, Per: per,
		}
	}
	if err := h.FaultRules.Replace(list); err != nil {
		return ruleAtFault(op, "faults", err)
	}
	return h.getFaults(w, r)
}

// span reads a duration that may be empty.
func span(field, value string) (time.Duration, error) {
	if value == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, problem.BadField("mailpit.span", field, field+" must be a duration such as 3s or 500ms; nothing was changed.")
	}
	return d, nil
}

// ruleAtFault shows what is wrong with a rule.
func ruleAtFault(op, field string, err error) error {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, ": "); ok {
		text = rest
	}
	return problem.BadField(op, field, strings.ToUpper(text[:1])+text[1:]+"; nothing was changed.")
}

// getRules serves GET /api/v1/rules.
func (h *Handler) getRules(w http.ResponseWriter, _ *http.Request) error {
	if h.FolderRules == nil {
		return problem.BadField("mailpit.getRules", "rules", "Rules for folders are not enabled here.")
	}
	return web.WriteJSON(w, http.StatusOK, rulesJSON{Rules: h.FolderRules.Rules()})
}

// setRules serves PUT /api/v1/rules. It exchanges all rules, for mail that
// arrives from now on; they last.
func (h *Handler) setRules(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.setRules"
	if h.FolderRules == nil {
		return problem.BadField(op, "rules", "Rules for folders are not enabled here.")
	}
	var in rulesJSON
	if _, err := readBody(w, r, &in); err != nil {
		return err
	}
	if in.Rules == nil {
		return problem.BadField(op, "rules", `The request body must be {"rules": [...]}; an empty list clears all. Nothing was changed.`)
	}
	err := h.FolderRules.Replace(in.Rules)
	if broken, ok := errors.AsType[*sink.StorageError](err); ok {
		return &problem.Error{Op: op, Kind: problem.Internal, Detail: "The rules could not be stored; nothing was changed.", Err: broken}
	}
	if err != nil {
		return ruleAtFault(op, "rules", err)
	}
	return h.getRules(w, r)
}

// getTranscript serves GET /api/v1/message/{id}/transcript: what the client and
// the server said, as plain text.
func (h *Handler) getTranscript(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.getTranscript"
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	text, err := h.Sink.Transcript(r.Context(), id)
	if err != nil {
		return classify(op, err)
	}
	if text == "" {
		return missing(op, "This message did not come by SMTP, so there is no transcript.")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err = w.Write([]byte(text))
	return err
}
