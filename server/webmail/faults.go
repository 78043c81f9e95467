package webmail

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"invited/mail/sink/faults"
	"invited/server/problem"
	"invited/templates"
)

// showFaults serves GET /faults.
func (h *Handler) showFaults(w http.ResponseWriter, r *http.Request) error {
	return h.renderFaults(w, r, http.StatusOK, templates.FaultForm{}, "")
}

func (h *Handler) renderFaults(w http.ResponseWriter, r *http.Request, status int, typed templates.FaultForm, wrong string) error {
	if h.Faults == nil {
		return &problem.Error{Op: "webmail.renderFaults", Kind: problem.NotFound, Reason: problem.Missing, Detail: text(r, "webmail.faults.off")}
	}
	page := templates.FaultsPage{Webmail: h.webmail(r, text(r, "webmail.faults")), Add: typed, Problem: wrong}
	page.Here = "/faults"
	for i, rule := range h.Faults.Rules() {
		page.Rules = append(page.Rules, templates.FaultRule{
			Number: i + 1, Stage: string(rule.Stage), From: rule.From, To: rule.To, Code: rule.Code, Text: rule.Text, Drop: rule.Drop,
			Delay: duration(rule.Delay), First: rule.First, Every: rule.Every, Rate: rule.Rate, Per: duration(rule.Per),
		})
	}
	return h.render(w, r, status, page)
}

// duration prints 1m for a minute, and nothing for zero.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if rest, ok := strings.CutSuffix(text, zero); ok && strings.HasSuffix(rest, map[string]string{"0s": "m", "0m": "h"}[zero]) {
			text = rest
		}
	}
	return text
}

// presets are the faults that one click adds.
var presets = map[string]faults.Rule{
	"greylist": {Stage: faults.Rcpt, Code: 451, Text: "greylisted, try again later", First: 1},
	"full":     {Stage: faults.Rcpt, Code: 452, Text: "mailbox full"},
	"unknown":  {Stage: faults.Rcpt, Code: 550, Text: "no such user here"},
	"spam":     {Stage: faults.Data, Code: 554, Text: "message looks like spam"},
	"slow":     {Stage: faults.Data, Delay: 5 * time.Second},
	"flaky":    {Stage: faults.Data, Drop: true, Every: 3},
	"rate":     {Stage: faults.Mail, Code: 421, Text: "too many messages, slow down", Rate: 10, Per: time.Minute},
}

// changeFaults serves POST /faults. The field do is add, preset, delete or
// clear.
func (h *Handler) changeFaults(w http.ResponseWriter, r *http.Request) error {
	if h.Faults == nil {
		return h.renderFaults(w, r, http.StatusNotFound, templates.FaultForm{}, "")
	}
	list := h.Faults.Rules()
	var typed templates.FaultForm
	switch f := r.PostForm; f.Get("do") {
	case "clear":
		list = nil
	case "delete":
		n, err := strconv.Atoi(f.Get("rule"))
		if err != nil || n < 1 || n > len(list) {
			return back(w, r)
		}
		list = append(list[:n-1:n-1], list[n:]...)
	case "preset":
		rule, ok := presets[f.Get("preset")]
		if !ok {
			return back(w, r)
		}
		list = append(list, rule)
	default:
		typed = typedFault(f)
		rule, wrong := readFault(r, typed)
		if wrong != "" {
			return h.renderFaults(w, r, http.StatusBadRequest, typed, wrong)
		}
		list = append(list, rule)
	}
	if err := h.Faults.Replace(list); err != nil {
		_, detail, _ := strings.Cut(err.Error(), ": ")
		return h.renderFaults(w, r, http.StatusBadRequest, typed, detail)
	}
	say(w, "faults", len(list))
	http.Redirect(w, r, "/faults", http.StatusSeeOther)
	return nil
}

func typedFault(f url.Values) templates.FaultForm {
	get := func(name string) string { return strings.TrimSpace(f.Get(name)) }
	return templates.FaultForm{
		Stage: get("stage"), From: get("from"), To: get("to"), Effect: get("effect"), Code: get("code"), Text: get("text"),
		Delay: get("delay"), When: get("when"), Count: get("count"), Per: get("per"),
	}
}

// readFault reads a rule, or says in a sentence what is wrong with it. What the
// set checks itself is left to it.
func readFault(r *http.Request, f templates.FaultForm) (rule faults.Rule, wrong string) {
	rule = faults.Rule{Stage: faults.Stage(f.Stage), From: f.From, To: f.To}
	var err error
	switch f.Effect {
	case "drop":
		rule.Drop = true
	case "delay":
		if rule.Delay, err = time.ParseDuration(seconds(f.Delay)); err != nil || rule.Delay <= 0 {
			return rule, text(r, "webmail.faults.bad.delay")
		}
	default:
		if rule.Code, err = strconv.Atoi(f.Code); err != nil || rule.Code < 400 || rule.Code > 599 {
			return rule, text(r, "webmail.faults.bad.code")
		}
		rule.Text = f.Text
	}
	if f.When == "" || f.When == "always" {
		return rule, ""
	}
	n, err := strconv.Atoi(f.Count)
	if err != nil || n < 1 {
		return rule, text(r, "webmail.faults.bad.count")
	}
	switch f.When {
	case "first":
		rule.First = n
	case "every":
		rule.Every = n
	case "rate":
		rule.Rate = n
		if f.Per != "" {
			if rule.Per, err = time.ParseDuration(seconds(f.Per)); err != nil || rule.Per <= 0 {
				return rule, text(r, "webmail.faults.bad.delay")
			}
		}
	}
	return rule, ""
}

// seconds makes a bare number a duration.
func seconds(s string) string {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s + "s"
	}
	return s
}
