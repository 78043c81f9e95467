package index

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Fields is a set of the fields of a [Doc].
type Fields uint8

// The fields, and the sets that searches use.
const (
	From Fields = 1 << iota
	To
	Cc
	Bcc
	ReplyTo
	Subject
	MessageID
	Text

	Addressed = From | To | Cc | Bcc | ReplyTo
	Anywhere  = Addressed | Subject | Text
)

// columns are the fields in the order of their bits.
var columns = []string{"sender", "rcpt_to", "rcpt_cc", "rcpt_bcc", "reply_to", "subject", "msgid", "body"}

func (f Fields) columns() []string {
	var in []string
	for i, c := range columns {
		if f&(1<<i) != 0 {
			in = append(in, c)
		}
	}
	return in
}

// Cond is one condition. Exactly one of the fields besides Not is set; the
// constructors below make them.
type Cond struct {
	Not bool

	Fields Fields // one of them contains Value
	Value  string
	Exact  string // message id, compared whole

	Tag    string
	Is     Property
	Before time.Time // received before
	After  time.Time // received at or after
	Larger int64     // bytes; the message is larger
	Below  int64     // bytes; the message is smaller
}

// Property is a yes or no of a message.
type Property string

// The properties.
const (
	Read           Property = "read"
	Tagged         Property = "tagged"
	HasAttachments Property = "attachments"
	HasInline      Property = "inline"
	InInbox        Property = "inbox" // of some recipient
	InJunk         Property = "junk"
)

var properties = map[Property]string{
	Read: "m.read <> 0", Tagged: "m.tagged > 0", HasAttachments: "m.attachments > 0", HasInline: "m.inline > 0",
	InInbox: "m.inbox > 0", InJunk: "m.junk > 0",
}

// Query asks for messages for which all conditions hold.
type Query struct {
	Conds     []Cond
	Recipient string // key of a mailbox that has the message; empty for any
	Folder    Folder // where that mailbox, or some mailbox, has it

	Older  int64 // messages with a smaller key; 0 for all
	Newer  int64 // messages with a larger key
	Oldest bool  // oldest first instead of newest first
	Offset int
	Limit  int // 0 for none

	Uncounted bool // a page of a search need not know how many there are
}

// Folder restricts a query to one of the folders.
type Folder uint8

// The restrictions.
const (
	AnyFolder Folder = iota
	OnlyInbox
	OnlyJunk
)

// plain reports that nothing is asked for but a mailbox or a folder: such
// queries are counted already.
func (q *Query) plain() bool { return len(q.Conds) == 0 }

// countKey names what is counted, apart from the page.
func (q *Query) countKey() string {
	b, _ := json.Marshal(struct { // strings, numbers and times: cannot fail
		Conds     []Cond
		Recipient string
		Folder    Folder
	}{q.Conds, q.Recipient, q.Folder})
	return string(b)
}

// filter is a query in SQL. It speaks of the table messages as m.
type filter struct {
	match string // of the full-text shards; empty if they are not needed
	not   []negation
	where []string
	args  []any
}

func (f *filter) add(not bool, sql string, args ...any) {
	if not {
		sql = "NOT (" + sql + ")"
	}
	f.where = append(f.where, sql)
	f.args = append(f.args, args...)
}

// filter translates all of q but the mailbox, the bounds and the page.
func (q *Query) filter() filter {
	var f filter
	var match []string
	for _, c := range q.Conds {
		if c.Fields == 0 {
			f.addPlain(c)
			continue
		}
		value := Fold(c.Value)
		if value == "" {
			continue
		}
		grams := trigrams(value)
		if len(grams) > 0 {
			candidates := "{" + strings.Join(c.Fields.columns(), " ") + "} : (" + strings.Join(grams, " AND ") + ")"
			if c.Not {
				f.not = append(f.not, negation{match: candidates, cond: c, value: value})
				continue
			}
			match = append(match, "("+candidates+")")
		}
		if len(grams) != 1 {
			f.addContains(c.Not, c.Fields, value)
		}
	}
	f.match = strings.Join(match, " AND ")
	return f
}

func (f *filter) addPlain(c Cond) {
	switch {
	case c.Exact != "":
		f.add(c.Not, "m.message_id = ? AND m.message_id <> ''", c.Exact)
	case c.Tag != "":
		f.add(c.Not, "m.seq IN (SELECT seq FROM tags WHERE tag = ?)", c.Tag)
	case c.Is == Read && c.Not:
		f.add(false, "m.read = 0") // as the index of unread messages says it
	case c.Is != "":
		f.add(c.Not, properties[c.Is])
	case !c.Before.IsZero():
		f.add(c.Not, "m.received < ?", c.Before.UnixMilli())
	case !c.After.IsZero():
		f.add(c.Not, "m.received >= ?", c.After.UnixMilli())
	case c.Larger > 0:
		f.add(c.Not, "m.size > ?", c.Larger)
	case c.Below > 0:
		f.add(c.Not, "m.size < ?", c.Below)
	}
}

// negation is a text that must not be contained. It needs the shards too.
type negation struct {
	match string // finds all that contain it, and some that do not
	cond  Cond
	value string
}

// addContains looks into the texts themselves.
func (f *filter) addContains(not bool, fields Fields, value string) {
	sql, args := contains(fields, value)
	f.add(not, sql, args...)
}

func contains(fields Fields, value string) (sql string, args []any) {
	var tests []string
	for _, column := range fields.columns() {
		tests = append(tests, "instr(b."+column+", ?) > 0")
		args = append(args, value)
	}
	return "EXISTS (SELECT 1 FROM bodies b WHERE b.seq = m.seq AND (" + strings.Join(tests, " OR ") + "))", args
}

// maxTrigrams bounds the lists that are intersected for one term: a few that
// lie apart leave hardly more candidates than all of them.
const maxTrigrams = 6

// trigrams returns the terms by which texts that contain value are found,
// quoted; none if value is shorter than three characters.
func trigrams(value string) []string {
	runes := []rune(value)
	var all []string
	for i := 0; i+3 <= len(runes); i++ {
		all = append(all, `"`+strings.ReplaceAll(string(runes[i:i+3]), `"`, `""`)+`"`)
	}
	n := len(all)
	if n <= maxTrigrams {
		return all
	}
	some := make([]string, maxTrigrams)
	for i := range some {
		some[i] = all[i*(n-1)/(maxTrigrams-1)]
	}
	return some
}

// mailbox translates Recipient and Folder for messages as m.
func (q *Query) mailbox() (where []string, args []any) {
	switch {
	case q.Recipient != "" && q.Folder == AnyFolder:
		return []string{"EXISTS (SELECT 1 FROM recipients r WHERE r.rcpt = ? AND r.seq = m.seq)"}, []any{q.Recipient}
	case q.Recipient != "":
		return []string{"EXISTS (SELECT 1 FROM recipients r WHERE r.rcpt = ? AND r.seq = m.seq AND r.junk = ?)"},
			[]any{q.Recipient, q.Folder == OnlyJunk}
	case q.Folder == OnlyInbox:
		return []string{properties[InInbox]}, nil
	case q.Folder == OnlyJunk:
		return []string{properties[InJunk]}, nil
	}
	return nil, nil
}

// names reports that a message id is asked for, which has an index of its own.
func (q *Query) names() bool {
	return slices.ContainsFunc(q.Conds, func(c Cond) bool { return c.Exact != "" && !c.Not })
}
