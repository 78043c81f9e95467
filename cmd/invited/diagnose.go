package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

type diagnoseCmd struct {
	serverFlags
	outputFlag
	reference
}

// diagnosis is what the API answers.
type diagnosis struct {
	Address string          `json:"address"`
	State   string          `json:"state"`
	Reason  string          `json:"reason"`
	Title   string          `json:"title"`
	Text    string          `json:"text"`
	Remedy  string          `json:"remedy"`
	Forward string          `json:"forward,omitempty"`
	Steps   []diagnosisStep `json:"steps"`
}

type diagnosisStep struct {
	Name     string            `json:"name"`
	OK       bool              `json:"ok"`
	Reason   string            `json:"reason,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`
	Hits     []diagnosisHit    `json:"hits,omitempty"`
}

type diagnosisHit struct {
	Rule  string  `json:"rule"`
	Score float64 `json:"score"`
	Why   string  `json:"why"`
	Fix   string  `json:"fix"`
}

// Run says why a guest did not get in.
func (c diagnoseCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var d diagnosis
	if err := api.call(e, http.MethodGet, c.path("diagnosis"), nil, &d); err != nil {
		return err
	}
	if c.Output == "table" {
		return d.tell(e.stdout)
	}
	t := table{columns: []string{"step", "ok", "reason", "evidence"}, value: d}
	for _, s := range d.Steps {
		t.rows = append(t.rows, []string{s.Name, fmt.Sprint(s.OK), s.Reason, s.evidence()})
	}
	return c.print(e.stdout, t)
}

// evidence joins what a step saw.
func (s diagnosisStep) evidence() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(s.Evidence)) {
		parts = append(parts, k+"="+s.Evidence[k])
	}
	return strings.Join(parts, " ")
}

// tell prints a diagnosis for people: the chain, then the finding, then what
// to do about it.
func (d diagnosis) tell(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s\n\n", printableLine(d.Address), d.State)
	for _, s := range d.Steps {
		mark := "✓"
		if !s.OK {
			mark = "✗"
		}
		fmt.Fprintf(w, "  %s %-9s %s\n", mark, s.Name, printableLine(s.evidence()))
		for _, h := range s.Hits {
			fmt.Fprintf(w, "      %+5.1f %s: %s\n            fix: %s\n", h.Score, h.Rule, printableLine(h.Why), printableLine(h.Fix))
		}
	}
	fmt.Fprintf(w, "\n%s (%s)\n%s\n→ %s\n", d.Title, d.Reason, d.Text, d.Remedy)
	if d.Forward != "" {
		fmt.Fprintf(w, "\nText to forward:\n%s\n", indent(d.Forward))
	}
	return nil
}

// indent marks quoted text.
func indent(s string) string {
	return "  | " + strings.ReplaceAll(s, "\n", "\n  | ")
}
