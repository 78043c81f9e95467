package sink

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"invited/mail/sink/index"
)

// QueryError says what is wrong with a search.
type QueryError struct {
	Term   string // as written
	Detail string // a clause that says why, for people
}

func (e *QueryError) Error() string { return fmt.Sprintf("sink: search term %q: %s", e.Term, e.Detail) }

// ParseQuery reads a search in Mailpit's syntax, with dates in UTC.
//
// Words and "quoted phrases" must all be contained somewhere: in an address or
// name, the subject, the text or the name of an attachment. Case does not count,
// and parts of words match. A term with - or ! before it must not hold. Terms:
//
//	from: to: cc: bcc: reply-to: subject: message-id:   that field contains
//	addressed:                                          one of the five address fields does
//	tag:                                                the whole tag
//	is:read is:unread is:tagged has:attachment has:inline
//	before:DATE after:DATE                              received
//	larger:SIZE smaller:SIZE                            bytes, or with k, kb, m, mb
//	folder:inbox folder:junk                            ours
//
// A word with another prefix is a word. The error is a [*QueryError].
func ParseQuery(search string) (Query, error) { return ParseQueryIn(search, time.UTC) }

// ParseQueryIn is [ParseQuery] with dates in the given time zone.
func ParseQueryIn(search string, zone *time.Location) (Query, error) {
	if len(search) > maxSearch {
		return Query{}, &QueryError{Term: search[:20] + "…", Detail: "a search is at most 4,096 bytes"}
	}
	var q Query
	for rest := strings.TrimSpace(search); rest != ""; rest = strings.TrimSpace(rest) {
		var t term
		var err error
		if t, rest, err = nextTerm(rest); err != nil {
			return Query{}, err
		}
		if err := q.add(t, zone); err != nil {
			return Query{}, err
		}
		if len(q.conds) > maxTerms {
			return Query{}, &QueryError{Term: t.written, Detail: "a search has at most 50 terms"}
		}
	}
	return q, nil
}

const (
	maxSearch = 4096
	maxTerms  = 50
)

// term is one term of a search.
type term struct {
	written string
	not     bool
	key     string // lower-case, without colon; empty for a word or phrase
	value   string
}

// nextTerm takes one term off the beginning of s, which has no space before it.
func nextTerm(s string) (t term, rest string, err error) {
	full := s
	if len(s) > 1 && (s[0] == '-' || s[0] == '!') && s[1] != ' ' {
		t.not, s = true, s[1:]
	}
	if i := strings.IndexAny(s, ": \t\r\n\""); i > 0 && s[i] == ':' && terms[strings.ToLower(s[:i])] != nil {
		t.key, s = strings.ToLower(s[:i]), s[i+1:]
	}
	if strings.HasPrefix(s, `"`) {
		value, after, closed := strings.Cut(s[1:], `"`)
		if !closed {
			return t, "", &QueryError{Term: full, Detail: "the quotation mark is not closed"}
		}
		t.value, rest = value, after
	} else {
		end := strings.IndexAny(s, " \t\r\n")
		if end < 0 {
			end = len(s)
		}
		t.value, rest = s[:end], s[end:]
	}
	t.written = strings.TrimSpace(full[:len(full)-len(rest)])
	return t, rest, nil
}

// terms are the keys and what becomes of their values.
var terms map[string]func(q *Query, t term, zone *time.Location) error

func init() {
	terms = map[string]func(*Query, term, *time.Location) error{
		"from": contains(index.From), "to": contains(index.To), "cc": contains(index.Cc), "bcc": contains(index.Bcc),
		"reply-to": contains(index.ReplyTo), "addressed": contains(index.Addressed),
		"subject": contains(index.Subject), "message-id": contains(index.MessageID),
		"tag": addTag, "is": addIs, "has": addHas, "folder": addFolder,
		"before": addDate, "after": addDate, "larger": addSize, "smaller": addSize,
	}
}

func (q *Query) add(t term, zone *time.Location) error {
	if t.key == "" {
		if strings.TrimSpace(t.value) != "" {
			q.conds = append(q.conds, index.Cond{Not: t.not, Fields: index.Anywhere, Value: t.value})
		}
		return nil
	}
	if strings.TrimSpace(t.value) == "" {
		return &QueryError{Term: t.written, Detail: "it has no value"}
	}
	return terms[t.key](q, t, zone)
}

func contains(fields index.Fields) func(*Query, term, *time.Location) error {
	return func(q *Query, t term, _ *time.Location) error {
		value := t.value
		if fields == index.MessageID {
			value = strings.Trim(value, "<>")
		}
		q.conds = append(q.conds, index.Cond{Not: t.not, Fields: fields, Value: value})
		return nil
	}
}

// addTag never fails: any tag may be asked for.
func addTag(q *Query, t term, _ *time.Location) error { //nolint:unparam // one of a table of functions that may fail
	q.conds = append(q.conds, index.Cond{Not: t.not, Tag: t.value})
	return nil
}

func addIs(q *Query, t term, _ *time.Location) error {
	switch strings.ToLower(t.value) {
	case "read":
		q.conds = append(q.conds, index.Cond{Not: t.not, Is: index.Read})
	case "unread":
		q.conds = append(q.conds, index.Cond{Not: !t.not, Is: index.Read})
	case "tagged":
		q.conds = append(q.conds, index.Cond{Not: t.not, Is: index.Tagged})
	default:
		return &QueryError{Term: t.written, Detail: "is: knows read, unread and tagged"}
	}
	return nil
}

func addHas(q *Query, t term, _ *time.Location) error {
	switch strings.ToLower(t.value) {
	case "attachment", "attachments":
		q.conds = append(q.conds, index.Cond{Not: t.not, Is: index.HasAttachments})
	case "inline", "inlines":
		q.conds = append(q.conds, index.Cond{Not: t.not, Is: index.HasInline})
	default:
		return &QueryError{Term: t.written, Detail: "has: knows attachment and inline"}
	}
	return nil
}

func addFolder(q *Query, t term, _ *time.Location) error {
	folder, in := Inbox, index.InInbox
	switch strings.ToLower(t.value) {
	case "inbox":
	case "junk":
		folder, in = Junk, index.InJunk
	default:
		return &QueryError{Term: t.written, Detail: "folder: knows inbox and junk"}
	}
	if t.not || q.Folder != "" {
		q.conds = append(q.conds, index.Cond{Not: t.not, Is: in})
		return nil
	}
	q.Folder = folder
	return nil
}

// dateLayouts are the forms of a date, with the time zone of the search unless
// they carry their own.
var dateLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04",
	"2006-01-02 15:04:05 -0700", time.RFC1123Z, time.RFC1123,
	"2006-01-02", "2006/01/02", "01/02/2006", "1/2/2006", "20060102", "2006-01", "2006",
	"2 Jan 2006", "2 January 2006", "Jan 2, 2006", "January 2, 2006", "Jan 2 2006",
}

func addDate(q *Query, t term, zone *time.Location) error {
	at, ok := parseDate(t.value, zone)
	if !ok {
		return &QueryError{Term: t.written, Detail: "it is no date; write it as 2026-05-31 or 2026-05-31T14:00"}
	}
	c := index.Cond{Not: t.not, Before: at}
	if t.key == "after" {
		c = index.Cond{Not: t.not, After: at}
	}
	q.conds = append(q.conds, c)
	return nil
}

func parseDate(s string, zone *time.Location) (time.Time, bool) {
	s = strings.TrimSpace(s)
	for _, layout := range dateLayouts {
		if at, err := time.ParseInLocation(layout, s, zone); err == nil && at.Year() > 0 {
			return at, true
		}
	}
	if len(s) == 10 || len(s) == 13 { // Unix seconds or milliseconds
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
			if len(s) == 10 {
				n *= 1000
			}
			return time.UnixMilli(n), true
		}
	}
	return time.Time{}, false
}

func addSize(q *Query, t term, _ *time.Location) error {
	n, ok := parseSize(t.value)
	if !ok {
		return &QueryError{Term: t.written, Detail: "it is no size; write it as 500, 20k or 3mb"}
	}
	c := index.Cond{Not: t.not, Larger: n}
	if t.key == "smaller" {
		c = index.Cond{Not: t.not, Below: n}
	}
	q.conds = append(q.conds, c)
	return nil
}

// parseSize reads a number of bytes, greater than zero.
func parseSize(s string) (int64, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	unit := 1.0
	for _, u := range []struct {
		suffix string
		unit   float64
	}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"k", 1 << 10}, {"m", 1 << 20}, {"b", 1}} {
		if digits, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = digits, u.unit
			break
		}
	}
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n <= 0 || n*unit < 1 || n*unit > 1<<50 {
		return 0, false
	}
	return int64(n * unit), true
}
