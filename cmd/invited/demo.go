package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

type demoCmd struct {
	JSON bool `help:"Print one JSON object a line: {step, ok, ms, …}."`
	Keep bool `help:"Keep serving the demo's tenant afterwards and print its URLs."`
}

// fields is what a step observed, in the words of --json.
type fields map[string]any

// step is one observed event of the story.
type step struct {
	name string
	run  func(*story) (fields, string, error) // what was observed, for programs and for people
}

// A chapter is a heading with its steps.
type chapter struct {
	title string
	steps []step
}

// chapters is the story, in order.
var chapters = []chapter{
	{"An invitation that arrives", []step{
		{"ready", (*story).ready}, {"invited", (*story).invited}, {"captured", (*story).captured}, {"scanned", (*story).scanned},
		{"reviewed", (*story).reviewed}, {"accepted", (*story).accepted}, {"myapps", (*story).myapps},
	}},
	{"One that lands in Junk", []step{
		{"junked", (*story).junked}, {"diagnosed", (*story).diagnosed}, {"resent", (*story).resent}, {"inboxed", (*story).inboxed},
	}},
	{"One that the guest's own organisation blocks", []step{
		{"blocked", (*story).blocked}, {"explained", (*story).explained}, {"remedied", (*story).remedied}, {"redeemed", (*story).redeemed},
	}},
}

// Run tells the story. It fails at the first step that was not observed.
func (c demoCmd) Run(e env) error {
	began := time.Now()
	dir, err := os.MkdirTemp("", "invited-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg := ephemeralConfig(dir)
	a, err := newApp(e.ctx, cfg, cfg.log(e))
	if err != nil {
		return err
	}
	a.start()
	defer func() { _ = a.stop() }() // the story is over, and nothing of it is kept

	t := newTeller(e.stdout, c.JSON)
	s := &story{env: e, app: a}
	t.opening()
	for i, ch := range chapters {
		t.chapter(i+1, ch.title)
		for _, st := range ch.steps {
			start := time.Now()
			seen, text, err := st.run(s)
			t.step(st.name, seen, text, time.Since(start), err)
			if err != nil {
				return &exitError{exitFailed, fmt.Sprintf("demo stopped at step %q: %v", st.name, err)}
			}
		}
	}
	t.closing(time.Since(began))
	if !c.Keep {
		return nil
	}
	fmt.Fprintf(e.stdout, "\nServing this tenant until you press Ctrl-C.\n  pages and API  %s\n  caught mail    %s\n  SMTP           %s\n", a.URL(), a.SinkURL(), a.SMTPAddr())
	<-e.ctx.Done()
	return nil
}

// teller prints the story, for people or for programs.
type teller struct {
	out   io.Writer
	json  bool
	width int
	color bool
}

// newTeller prints in colour on a terminal, unless NO_COLOR is set.
func newTeller(out io.Writer, asJSON bool) *teller {
	t := &teller{out: out, json: asJSON, width: 110}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 40 {
		t.width = min(columns, 160)
	}
	if f, ok := out.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		info, err := f.Stat()
		t.color = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return t
}

// paint colours text on a terminal.
func (t *teller) paint(code, text string) string {
	if !t.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (t *teller) opening() {
	if !t.json {
		fmt.Fprintln(t.out, "Contoso invites three guests, over real SMTP and HTTP on this machine.")
	}
}

func (t *teller) chapter(n int, title string) {
	if !t.json {
		fmt.Fprintf(t.out, "%s\n", t.paint("1", fmt.Sprintf("%d. %s", n, title)))
	}
}

// step prints one step.
func (t *teller) step(name string, seen fields, text string, took time.Duration, err error) {
	ms := float64(took.Microseconds()) / 1000
	if t.json {
		t.stepJSON(name, seen, ms, err)
		return
	}
	mark := t.paint("32", "✓")
	if err != nil {
		mark, text = t.paint("31", "✗"), err.Error()
	}
	room := t.width - 24
	if r := []rune(printableLine(text)); len(r) > room {
		text = string(r[:room-1]) + "…"
	} else {
		text = string(r)
	}
	fmt.Fprintf(t.out, "  %s %-9s %-*s %s\n", mark, name, room, text, t.paint("2", fmt.Sprintf("%4.0f ms", ms)))
}

// stepJSON prints one step as an object whose first members are always the same.
func (t *teller) stepJSON(name string, seen fields, ms float64, err error) {
	var b strings.Builder
	member := func(k string, v any) {
		data, merr := json.Marshal(v)
		if merr != nil {
			data = []byte("null")
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", k, data)
	}
	b.WriteByte('{')
	member("step", name)
	member("ok", err == nil)
	member("ms", ms)
	if err != nil {
		member("error", err.Error())
	}
	for _, k := range slices.Sorted(maps.Keys(seen)) {
		member(k, seen[k])
	}
	b.WriteByte('}')
	fmt.Fprintln(t.out, b.String())
}

func (t *teller) closing(took time.Duration) {
	if !t.json {
		fmt.Fprintf(t.out, "All 15 steps observed in %.1f s. Next: invited serve, or invited demo --keep to look around.\n", took.Seconds())
	}
}
