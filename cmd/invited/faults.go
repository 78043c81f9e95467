package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

type faultsCmd struct {
	List  faultsListCmd  `cmd:"" default:"withargs" help:"List the rules by which the sink's SMTP fails (the default)."`
	Set   faultsSetCmd   `cmd:"" help:"Exchange the rules for those in a file; they last until the server ends."`
	Clear faultsClearCmd `cmd:"" help:"Remove all rules."`
}

type rulesCmd struct {
	List  rulesListCmd  `cmd:"" default:"withargs" help:"List the rules that file mail in a folder whatever it looks like (the default)."`
	Set   rulesSetCmd   `cmd:"" help:"Exchange the rules for those in a file; they last."`
	Clear rulesClearCmd `cmd:"" help:"Remove all rules."`
}

// Where the sink keeps its rules, and the member that holds them.
const (
	faultsPath = "/api/v1/faults"
	rulesPath  = "/api/v1/rules"
)

// fault is a rule as the sink's REST interface answers it.
type fault struct {
	Stage, From, To, Text, Delay, Per string
	Code, First, Every, Rate          int
	Drop                              bool
}

// effect says what a client meets.
func (f fault) effect() string {
	var parts []string
	if f.Delay != "" {
		parts = append(parts, "wait "+f.Delay)
	}
	if f.Drop {
		parts = append(parts, "drop the connection")
	}
	if f.Code != 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", f.Code, f.Text)))
	}
	return strings.Join(parts, ", then ")
}

// due says which commands meet it.
func (f fault) due() string {
	switch {
	case f.First > 0:
		return fmt.Sprintf("the first %d of each sender and recipient", f.First)
	case f.Every > 0:
		return fmt.Sprintf("every %d.", f.Every)
	case f.Rate > 0 && f.Per == "":
		return fmt.Sprintf("all but %d each minute", f.Rate)
	case f.Rate > 0:
		return fmt.Sprintf("all but %d each %s", f.Rate, f.Per)
	}
	return "always"
}

type faultsListCmd struct {
	serverFlags
	outputFlag
}

// Run lists the faults.
func (c faultsListCmd) Run(e env) error {
	return showRules(e, c.serverFlags, faultsPath, http.MethodGet, nil, c.printFaults)
}

func (o outputFlag) printFaults(e env, data []byte) error {
	var out struct {
		Faults []fault `json:"faults"`
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return err
	}
	t := table{columns: []string{"stage", "from", "to", "effect", "when"}, value: json.RawMessage(data), empty: "No faults: SMTP works."}
	for _, f := range out.Faults {
		t.rows = append(t.rows, []string{f.Stage, orAny(f.From), orAny(f.To), f.effect(), f.due()})
	}
	return o.print(e.stdout, t)
}

func orAny(pattern string) string {
	if pattern == "" {
		return "any"
	}
	return pattern
}

// ruleFile is the argument of verbs that read rules.
type ruleFile struct {
	File string `arg:"" help:"File with a JSON list of rules, or - for standard input."`
}

// read returns the request that the file makes: {"member": [...]}.
func (f ruleFile) read(e env, member string) (map[string]json.RawMessage, error) {
	data, err := os.ReadFile(f.File)
	if f.File == "-" {
		data, err = io.ReadAll(io.LimitReader(e.stdin, 1<<20))
	}
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Sprintf("cannot read %s: %v", f.File, err)}
	}
	var whole map[string]json.RawMessage // what list --output json has printed
	if json.Unmarshal(data, &whole) == nil && whole[member] != nil {
		data = whole[member]
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil || list == nil {
		text := "it holds something else"
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			text = fmt.Sprintf("at byte %d: %v", syntax.Offset, syntax)
		}
		return nil, &exitError{exitUsage, fmt.Sprintf("%s is not a JSON list of rules: %s", f.File, text)}
	}
	return map[string]json.RawMessage{member: data}, nil
}

type faultsSetCmd struct {
	serverFlags
	outputFlag
	ruleFile
}

// Run exchanges the faults.
func (c faultsSetCmd) Run(e env) error {
	body, err := c.read(e, "faults")
	if err != nil {
		return err
	}
	return showRules(e, c.serverFlags, faultsPath, http.MethodPut, body, c.printFaults)
}

type faultsClearCmd struct{ serverFlags }

// Run removes the faults.
func (c faultsClearCmd) Run(e env) error {
	return clearRules(e, c.serverFlags, faultsPath, "faults", "Removed all faults.")
}

type rulesListCmd struct {
	serverFlags
	outputFlag
}

// Run lists the rules.
func (c rulesListCmd) Run(e env) error {
	return showRules(e, c.serverFlags, rulesPath, http.MethodGet, nil, c.printRules)
}

func (o outputFlag) printRules(e env, data []byte) error {
	var out struct {
		Rules []struct{ To, From, Folder, Reason string } `json:"rules"`
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return err
	}
	t := table{columns: []string{"to", "from", "folder", "reason"}, value: json.RawMessage(data), empty: "No rules: the verdict alone decides."}
	for _, r := range out.Rules {
		t.rows = append(t.rows, []string{orAny(r.To), orAny(r.From), r.Folder, r.Reason})
	}
	return o.print(e.stdout, t)
}

type rulesSetCmd struct {
	serverFlags
	outputFlag
	ruleFile
}

// Run exchanges the rules.
func (c rulesSetCmd) Run(e env) error {
	body, err := c.read(e, "rules")
	if err != nil {
		return err
	}
	return showRules(e, c.serverFlags, rulesPath, http.MethodPut, body, c.printRules)
}

type rulesClearCmd struct{ serverFlags }

// Run removes the rules.
func (c rulesClearCmd) Run(e env) error {
	return clearRules(e, c.serverFlags, rulesPath, "rules", "Removed all rules.")
}

// showRules sends a request, and prints the rules that are the answer.
func showRules(e env, f serverFlags, path, method string, body any, show func(env, []byte) error) error {
	sink, err := f.sink()
	if err != nil {
		return err
	}
	data, _, err := sink.send(e, method, path, body)
	if err != nil {
		return err
	}
	return show(e, data)
}

func clearRules(e env, f serverFlags, path, member, done string) error {
	sink, err := f.sink()
	if err != nil {
		return err
	}
	if err := sink.call(e, http.MethodPut, path, map[string][]string{member: {}}, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, done)
	return err
}
