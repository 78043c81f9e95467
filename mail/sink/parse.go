package sink

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"invited/mail/sink/mime"
	"invited/mail/sink/rules"
)

// Parsed is what a parser makes of a message.
type Parsed struct {
	MessageID            string // without angle brackets
	From                 Person
	To, Cc, Bcc, ReplyTo []Person
	Subject              string
	Date                 time.Time
	Snippet              string
	Text                 string // what the body can be found by
	Attachments, Inline  int
	AttachmentNames      []string
	Message              *mime.Message // for Options.JudgeAll; may be nil
}

// maxFindable bounds Parsed.Text, in bytes; the index takes less.
const maxFindable = 256 << 10

// ParseMIME reads a message with [mime.Parse]. A result beside an error holds
// what was understood.
func ParseMIME(raw []byte) (Parsed, error) {
	m, err := mime.Parse(raw, mime.Limits{})
	if m == nil {
		return Parsed{}, err
	}
	p := Parsed{
		Message:   m,
		MessageID: m.MessageID, To: persons(m.To), Cc: persons(m.Cc), Bcc: persons(m.Bcc), ReplyTo: persons(m.ReplyTo),
		Subject: m.Subject, Date: m.Date, Snippet: m.Snippet,
		Text: m.HTMLText, Attachments: len(m.Attachments), Inline: len(m.Inline),
	}
	if p.Text == "" {
		p.Text = m.Text
	}
	if len(p.Text) > maxFindable {
		p.Text = strings.ToValidUTF8(p.Text[:maxFindable], "")
	}
	if len(m.From) > 0 {
		p.From = Person(m.From[0])
	}
	for _, parts := range [][]mime.Part{m.Attachments, m.Inline} {
		for _, part := range parts {
			if part.FileName != "" {
				p.AttachmentNames = append(p.AttachmentNames, part.FileName)
			}
		}
	}
	return p, err
}

func persons(in []mime.Person) []Person {
	out := make([]Person, len(in))
	for i, p := range in {
		out[i] = Person(p)
	}
	return out
}

// What a message may cost, besides Options.ParseBudget.
const (
	maxParsed    = 32 << 20 // bytes; larger messages are listed raw
	maxAbandoned = 4        // parsers that ran out of their budget and still run
)

// opinion is what is found out about one message outside the worker.
type opinion struct {
	parsed   Parsed
	verdicts []rules.Verdict // one per recipient; missing ones are zero
	problem  string          // why the message is shown raw
}

// parser parses and judges in a goroutine of its own, so that a message that
// takes too long can be left behind.
type parser struct {
	opts      Options
	jobs      chan job
	timer     *time.Timer
	abandoned atomic.Int64
	once      sync.Once
}

type job struct {
	envelope Envelope
	raw      []byte
	out      chan opinion // capacity 1
}

func newParser(o Options) *parser {
	p := &parser{opts: o, timer: time.NewTimer(time.Hour)}
	p.begin()
	return p
}

func (p *parser) begin() {
	p.jobs = make(chan job)
	go func(jobs <-chan job) {
		for j := range jobs {
			j.out <- p.examine(j)
		}
	}(p.jobs)
}

func (p *parser) close() { p.once.Do(func() { close(p.jobs) }) }

// run returns the opinion on a message within the budget. Only the worker
// calls it.
func (p *parser) run(e Envelope, raw []byte) opinion {
	switch {
	case len(raw) > maxParsed:
		return opinion{problem: "the message is larger than 32 MiB"}
	case p.abandoned.Load() >= maxAbandoned:
		return opinion{problem: "earlier messages keep the parser busy"}
	}
	j := job{envelope: e, raw: raw, out: make(chan opinion, 1)}
	p.jobs <- j
	p.timer.Reset(p.opts.ParseBudget)
	select {
	case o := <-j.out:
		return o
	case <-p.timer.C:
	}
	// The goroutine ends after this job; another one takes over.
	close(p.jobs)
	p.abandoned.Add(1)
	go func() { <-j.out; p.abandoned.Add(-1) }()
	p.begin()
	return opinion{problem: fmt.Sprintf("parsing took longer than %v", p.opts.ParseBudget)}
}

func (p *parser) examine(j job) (o opinion) {
	if err := guard(func() (err error) {
		o.parsed, err = p.opts.Parse(j.raw)
		return err
	}); err != nil {
		o.problem = err.Error()
	}
	if p.opts.JudgeAll != nil {
		if err := guard(func() error {
			o.verdicts = p.opts.JudgeAll(j.envelope, j.raw, o.parsed.Message)
			return nil
		}); err != nil {
			p.opts.Log.Error("message cannot be judged", "err", err)
		}
		return o
	}
	o.verdicts = make([]rules.Verdict, len(j.envelope.To))
	for i, to := range j.envelope.To {
		if err := guard(func() error {
			o.verdicts[i] = p.opts.Judge(j.envelope, to, j.raw)
			return nil
		}); err != nil {
			o.verdicts[i] = rules.Verdict{}
			p.opts.Log.Error("message cannot be judged", "to", to, "err", err)
		}
	}
	return o
}

var errPanic = errors.New("sink: parser failed")

// guard turns a panic into an error.
func guard(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return fn()
}
