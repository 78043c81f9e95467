package rules

import (
	"strings"
)

// mail is an input with what several rules ask of it.
type mail struct {
	Input
	scenario   Scenario
	fields     map[string]int // how often, by lower-case name
	values     map[string]string
	fromDomain string
	lowerText  string // of the text and the words of the HTML, lower case
}

func newMail(in Input, s Scenario) *mail {
	m := &mail{Input: in, scenario: s, fields: make(map[string]int, len(in.Header)), values: make(map[string]string, len(in.Header))}
	for _, f := range in.Header {
		k := strings.ToLower(f.Name)
		// Of several values the greatest is looked at, so that their order does
		// not matter.
		if m.fields[k]++; f.Value > m.values[k] {
			m.values[k] = f.Value
		}
	}
	for _, p := range in.From {
		if _, domain, ok := cutAddress(p.Address); ok && domain > m.fromDomain {
			m.fromDomain = domain
		}
	}
	m.lowerText = strings.ToLower(in.Text)
	if in.HTMLText != "" {
		m.lowerText += "\n" + strings.ToLower(in.HTMLText)
	}
	return m
}

func (m *mail) has(name string) bool { return m.fields[strings.ToLower(name)] > 0 }

func (m *mail) get(name string) string { return m.values[strings.ToLower(name)] }

// cutAddress splits an address at its last @; the domain is in lower case.
func cutAddress(s string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return "", "", false
	}
	return s[:i], strings.ToLower(strings.TrimSuffix(s[i+1:], ".")), true
}

// within reports whether domain is parent or below it.
func within(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

// related reports whether one domain is the other or below it.
func related(a, b string) bool { return within(a, b) || within(b, a) }
