package graph

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"invited/server/problem"
)

// A token is a piece of a $filter.
type token struct {
	kind tokenKind
	text string // as written; of a string, its value
	at   int    // byte offset
}

type tokenKind uint8

const (
	end tokenKind = iota
	word
	str
	number // everything that starts with a digit: dates
	punct  // one of ( ) , / :
)

// describe names a token for people.
func (t token) describe() string {
	switch t.kind {
	case end:
		return "the end"
	case str:
		return "the text " + quote(shorten(t.text))
	default:
		return "'" + shorten(t.text) + "'"
	}
}

func shorten(s string) string {
	const longest = 40
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}

// lex splits a $filter into tokens; the last is end.
func lex(s string) ([]token, error) {
	var out []token
	for i := 0; i < len(s); {
		c := s[i]
		if c == ' ' || c == '\t' {
			i++
			continue
		}
		t := token{kind: word, at: i}
		next := i + 1
		switch {
		case strings.IndexByte("(),/:", c) >= 0:
			t.kind = punct
		case c == '\'':
			value, after, ok := lexString(s, i)
			if !ok {
				return nil, badFilter(i, "the text that starts here has no closing quote; write a quote inside a text twice")
			}
			out = append(out, token{str, value, i})
			i = after
			continue
		case isDigit(c):
			t.kind = number
			next = span(s, next, "+-:.")
		case isWord(c), c == '$', c == '@':
			next = span(s, next, ".")
		default:
			r, _ := utf8.DecodeRuneInString(s[i:])
			return nil, badFilter(i, fmt.Sprintf("%q means nothing here; text stands in single quotes", r))
		}
		t.text = s[i:next]
		out = append(out, t)
		i = next
	}
	return append(out, token{end, "", len(s)}), nil
}

// span returns where a run of word characters, and of those in more, ends.
func span(s string, from int, more string) int {
	for from < len(s) && (isWord(s[from]) || strings.IndexByte(more, s[from]) >= 0) {
		from++
	}
	return from
}

// lexString reads a quoted text that starts at i.
func lexString(s string, i int) (value string, next int, ok bool) {
	var b strings.Builder
	for j := i + 1; j < len(s); j++ {
		if s[j] != '\'' {
			b.WriteByte(s[j])
			continue
		}
		if j+1 < len(s) && s[j+1] == '\'' {
			b.WriteByte('\'')
			j++
			continue
		}
		return b.String(), j + 1, true
	}
	return "", 0, false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || c == '_'
}

// badFilter returns the problem of a $filter that breaks a rule at a byte.
func badFilter(at int, rule string) error {
	return problem.BadField("graph.parseFilter", "$filter", fmt.Sprintf("Invalid filter clause: %s (at position %d).", rule, at+1))
}
