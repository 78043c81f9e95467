// Package faults decides, reproducibly, when the sink misbehaves: which
// command of which transaction is refused, delayed or cut off.
//
// A fault is asked for by the recipient's address or by a list of [Rule]:
//
//	bounce+550+no_such_guest@x.example   RCPT is answered "550 no such guest"
//	bounce+data+451@x.example            the dot is answered 451
//	delay+3s@x.example, slow+3s@…        RCPT waits three seconds
//	drop@x.example, drop+data@x.example  the connection is closed
//
// The package counts and matches; it speaks no protocol and uses no chance:
// the same dialogue meets the same faults. Where a share of the commands is to
// fail ([Set.SetChance]), every nth does. Only [Rule].Rate looks at the clock.
package faults

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Stage is the command at which a fault happens.
type Stage string

// The stages.
const (
	Auth Stage = "auth" // AUTH, when the password is due
	Mail Stage = "mail" // MAIL
	Rcpt Stage = "rcpt" // RCPT
	Data Stage = "data" // the dot, or the last chunk: nothing is stored
)

// MaxDelay bounds a delay, so that a sink under test cannot be tied up by an
// address.
const MaxDelay = 5 * time.Minute

// Fault is what to do instead of saying 250.
type Fault struct {
	Code  int           // 400 to 599; 0: only Delay
	Text  string        // of the reply; never empty if Code is set
	Drop  bool          // close without a reply
	Delay time.Duration // before anything else
}

// Enhanced returns the RFC 3463 status that goes with the code.
func (f Fault) Enhanced() [3]int {
	switch f.Code {
	case 421:
		return [3]int{4, 3, 2}
	case 450, 451:
		return [3]int{4, 2, 0}
	case 452:
		return [3]int{4, 3, 1}
	case 550, 551:
		return [3]int{5, 1, 1}
	case 454:
		return [3]int{4, 7, 0}
	case 530:
		return [3]int{5, 7, 0}
	case 535:
		return [3]int{5, 7, 8}
	case 552:
		return [3]int{5, 2, 2}
	case 553:
		return [3]int{5, 1, 3}
	case 554:
		return [3]int{5, 7, 1}
	}
	return [3]int{f.Code / 100, 0, 0}
}

// Rule asks for a fault. Of First, Every and Rate at most one may be set; none
// means always.
type Rule struct {
	Stage Stage         // required
	From  string        // glob over the reverse-path, "*" matches any text; empty matches all; at AUTH there is none
	To    string        // glob over the forward-path; at AUTH and MAIL there is none, so it must be empty
	Code  int           // 400 to 599
	Text  string        // of the reply; empty means a standard one
	Drop  bool          // close without a reply
	Delay time.Duration // at most MaxDelay
	First int           // the first n attempts of each sender and recipient: greylisting
	Every int           // each nth match
	Rate  int           // all but n matches of each Per: a rate limit
	Per   time.Duration // 0 means a minute; with Rate only
}

// validate names the field at fault.
func (r Rule) validate() error {
	switch {
	case r.Stage != Auth && r.Stage != Mail && r.Stage != Rcpt && r.Stage != Data:
		return fmt.Errorf("stage %q is none of auth, mail, rcpt, data", r.Stage)
	case r.Stage == Auth && r.From != "":
		return errors.New("from is set, but at stage auth there is no sender yet")
	case (r.Stage == Auth || r.Stage == Mail) && r.To != "":
		return fmt.Errorf("to is set, but at stage %s there is no recipient yet", r.Stage)
	}
	if err := r.validateCount(); err != nil {
		return err
	}
	return r.validateEffect()
}

func (r Rule) validateCount() error {
	set := 0
	for _, n := range []int{r.First, r.Every, r.Rate} {
		if n < 0 {
			return errors.New("first, every and rate must not be negative")
		}
		if n > 0 {
			set++
		}
	}
	switch {
	case set > 1:
		return errors.New("of first, every and rate one may be set")
	case r.Per < 0 || r.Per > 0 && r.Rate == 0:
		return errors.New("per is set without rate, or negative")
	}
	return nil
}

func (r Rule) validateEffect() error {
	switch {
	case r.Code != 0 && (r.Code < 400 || r.Code > 599):
		return fmt.Errorf("code %d is not between 400 and 599", r.Code)
	case r.Code == 0 && !r.Drop && r.Delay == 0:
		return errors.New("none of code, drop, delay is set")
	case r.Code != 0 && r.Drop:
		return errors.New("code and drop exclude each other")
	case r.Delay < 0 || r.Delay > MaxDelay:
		return fmt.Errorf("delay %v is not between 0 and %v", r.Delay, MaxDelay)
	case strings.ContainsFunc(r.Text, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return errors.New("text holds control characters")
	}
	return nil
}

// Limits of a [Set].
const (
	maxCounted = 10_000 // pairs of sender and recipient that are remembered
	maxRules   = 1000
)

// Set decides about faults. It is safe for concurrent use; its zero value and
// nil know the addresses only.
type Set struct {
	Now func() time.Time // of [Rule].Rate; nil means time.Now; not to be changed once in use

	mu     sync.Mutex
	rules  []Rule
	state  []counter // per rule
	chance map[Stage]chance
}

// counter is what a rule has seen.
type counter struct {
	n     map[string]int // attempts by pair, or all under ""
	since time.Time      // when the period of Rate began
}

// chance is a share of the commands at a stage.
type chance struct{ code, percent, sum int }

// New returns a set of rules, or an error that names the rule at fault.
func New(rules []Rule) (*Set, error) {
	s := &Set{}
	return s, s.Replace(rules)
}

// Replace exchanges the rules and forgets what was counted. On error nothing
// changes.
func (s *Set) Replace(rules []Rule) error {
	if len(rules) > maxRules {
		return fmt.Errorf("faults: %d rules are more than %d", len(rules), maxRules)
	}
	for i, r := range rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("faults: rule %d: %w", i+1, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append([]Rule(nil), rules...)
	s.state = make([]counter, len(rules))
	for i := range s.state {
		s.state[i].n = map[string]int{}
	}
	return nil
}

// Rules returns the rules in force.
func (s *Set) Rules() []Rule {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Rule{}, s.rules...)
}

// Chance returns the code with which percent of the commands at a stage are
// answered that no rule has answered. A percent of 0 is off.
func (s *Set) Chance(stage Stage) (code, percent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chance[stage].code, s.chance[stage].percent
}

// SetChance sets it. The failures are spread evenly: of 25 percent every
// fourth command fails, the fourth being the first. A code that is not 400 to
// 599, or a percent that is not 0 to 100, switches it off.
func (s *Set) SetChance(stage Stage, code, percent int) {
	if code < 400 || code > 599 || percent < 0 || percent > 100 {
		percent = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chance == nil {
		s.chance = map[Stage]chance{}
	}
	s.chance[stage] = chance{code: code, percent: percent}
}

// Check tells whether the command at stage meets a fault. Addresses come
// first, then the rules in order, of which the first match wins, then the share
// of [Set.SetChance]. from and to are empty at Auth, and to at Mail.
func (s *Set) Check(stage Stage, from, to string) (Fault, bool) {
	if f, at, ok := FromAddress(to); ok && at == stage {
		return f, true
	}
	if s == nil {
		return Fault{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.rules {
		if r.Stage != stage || !glob(r.From, from) || !glob(r.To, to) || !s.due(i, from, to) {
			continue
		}
		return Fault{Code: r.Code, Text: text(r.Code, r.Text), Drop: r.Drop, Delay: r.Delay}, true
	}
	c := s.chance[stage]
	if c.percent == 0 {
		return Fault{}, false
	}
	c.sum += c.percent
	unlucky := c.sum >= 100
	if unlucky {
		c.sum -= 100
	}
	s.chance[stage] = c
	return Fault{Code: c.code, Text: text(c.code, "")}, unlucky
}

// due counts a match of rule i and tells whether it is one that fails.
func (s *Set) due(i int, from, to string) bool {
	r, c := s.rules[i], &s.state[i]
	switch {
	case r.First > 0:
		key := strings.ToLower(from + ">" + to)
		if _, known := c.n[key]; !known && len(c.n) >= maxCounted {
			return false
		}
		c.n[key]++
		return c.n[key] <= r.First
	case r.Every > 0:
		c.n[""]++
		return c.n[""]%r.Every == 0
	case r.Rate > 0:
		per := r.Per
		if per == 0 {
			per = time.Minute
		}
		if now := s.now(); c.since.IsZero() || now.Sub(c.since) >= per || now.Before(c.since) {
			c.since, c.n[""] = now, 0
		}
		c.n[""]++
		return c.n[""] > r.Rate
	}
	return true
}

func (s *Set) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// FromAddress reads the fault that a recipient's address asks for, and where.
func FromAddress(address string) (f Fault, at Stage, ok bool) {
	local, _, _ := strings.Cut(address, "@")
	if strings.ContainsFunc(local, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return Fault{}, "", false // its text would be part of a reply
	}
	words := strings.Split(local, "+")
	kind, words := strings.ToLower(words[0]), words[1:]
	at = Rcpt
	if len(words) > 0 && (strings.EqualFold(words[0], string(Rcpt)) || strings.EqualFold(words[0], string(Data))) {
		at, words = Stage(strings.ToLower(words[0])), words[1:]
	}
	switch {
	case kind == "drop" && len(words) == 0:
		return Fault{Drop: true}, at, true
	case (kind == "delay" || kind == "slow") && len(words) == 1:
		d, err := time.ParseDuration(words[0])
		return Fault{Delay: d}, at, err == nil && d > 0 && d <= MaxDelay
	case kind == "bounce" && len(words) > 0:
		code, err := strconv.Atoi(words[0])
		if err != nil || code < 400 || code > 599 {
			return Fault{}, "", false
		}
		return Fault{Code: code, Text: text(code, strings.ReplaceAll(strings.Join(words[1:], " "), "_", " "))}, at, true
	}
	return Fault{}, "", false
}

// text returns what a reply says.
func text(code int, asked string) string {
	switch {
	case asked != "" || code == 0:
		return asked
	case code == 421:
		return "try again later, closing"
	case code < 500:
		return "not now, try again later"
	default:
		return "refused for this test"
	}
}

// glob matches s against a pattern in which * stands for any text, in any
// case. An empty pattern matches all.
func glob(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	pieces := strings.Split(strings.ToLower(pattern), "*")
	s = strings.ToLower(s)
	last := len(pieces) - 1
	if last == 0 {
		return s == pieces[0]
	}
	s, ok := strings.CutPrefix(s, pieces[0])
	if !ok {
		return false
	}
	for _, p := range pieces[1:last] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, pieces[last])
}
