package index

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Page is a part of what a query finds.
type Page struct {
	Rows          []Row
	Total, Unread int // of the query without Older, Newer, Offset and Limit
	More          bool
}

// Page returns the messages q asks for, and how many there are in all.
func (ix *Index) Page(ctx context.Context, q Query) (Page, error) {
	var p Page
	changes := ix.changes.Load() // before the snapshot: a count is never kept as newer than it is
	err := ix.view(ctx, func(v *view) error {
		one := q
		if q.Limit > 0 {
			one.Limit++
		}
		seqs, err := v.find(ctx, one)
		if err != nil {
			return err
		}
		if q.Limit > 0 && len(seqs) > q.Limit {
			seqs, p.More = seqs[:q.Limit], true
		}
		if p.Rows, err = v.rows(ctx, seqs); err != nil {
			return err
		}
		if !p.More && q.Offset == 0 && q.Older == 0 && q.Newer == 0 { // all of them are here
			for _, r := range p.Rows {
				if p.Total++; !r.Read {
					p.Unread++
				}
			}
			return nil
		}
		if q.Uncounted && !q.plain() {
			return nil
		}
		p.Total, p.Unread, err = ix.count(ctx, v, q, changes)
		return err
	})
	return p, err
}

// Find returns the rows q asks for, without counting.
func (ix *Index) Find(ctx context.Context, q Query) ([]Row, error) {
	var found []Row
	err := ix.view(ctx, func(v *view) error {
		seqs, err := v.find(ctx, q)
		if err == nil {
			found, err = v.rows(ctx, seqs)
		}
		return err
	})
	return found, err
}

// Keys returns the keys of all messages q asks for, in its order.
func (ix *Index) Keys(ctx context.Context, q Query) ([]int64, error) {
	var keys []int64
	err := ix.view(ctx, func(v *view) error {
		seqs, err := v.find(ctx, q)
		if err != nil {
			return err
		}
		return v.each(ctx, "SELECT key FROM messages WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq "+q.order(),
			[]any{list(seqs)}, func(rows *sql.Rows) error {
				var key int64
				err := rows.Scan(&key)
				keys = append(keys, key)
				return err
			})
	})
	return keys, err
}

// Get returns one message.
func (ix *Index) Get(ctx context.Context, key int64) (Row, error) {
	var row Row
	err := ix.view(ctx, func(v *view) error {
		var seq int64
		if err := v.tx.QueryRowContext(ctx, "SELECT seq FROM messages WHERE key = ?", key).Scan(&seq); err != nil {
			return wrap(err)
		}
		rows, err := v.rows(ctx, []int64{seq})
		if err == nil {
			row = rows[0]
		}
		return err
	})
	return row, err
}

// Rows returns messages by key, oldest first. Those that do not exist are
// missing.
func (ix *Index) Rows(ctx context.Context, keys []int64) ([]Row, error) {
	var found []Row
	err := ix.view(ctx, func(v *view) error {
		var seqs []int64
		err := v.each(ctx, "SELECT seq FROM messages WHERE key IN (SELECT value FROM json_each(?)) ORDER BY seq",
			[]any{list(keys)}, func(rows *sql.Rows) error {
				var seq int64
				err := rows.Scan(&seq)
				seqs = append(seqs, seq)
				return err
			})
		if err == nil {
			found, err = v.rows(ctx, seqs)
		}
		return err
	})
	return found, err
}

// view is one snapshot of the index.
type view struct{ tx *sql.Tx }

func (ix *Index) view(ctx context.Context, fn func(*view) error) error {
	tx, err := ix.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return wrap(err)
	}
	defer func() { _ = tx.Rollback() }()
	return fn(&view{tx: tx})
}

func (v *view) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := v.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return wrap(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return wrap(err)
		}
	}
	return wrap(rows.Err())
}

func (q *Query) order() string {
	if q.Oldest {
		return "ASC"
	}
	return "DESC"
}

// source is a table expression that yields messages as m, with the conditions
// that belong to it.
type source struct {
	from  string
	seq   string // the column to order by
	where []string
	args  []any
	last  int64 // of a shard: the last message in it
}

// sources returns where to look for q, in its order: the full-text shards if
// there is text to find, else the mailbox or all messages.
func (v *view) sources(ctx context.Context, q *Query, f *filter) ([]source, error) {
	where, args := q.mailbox()
	if f.match == "" && len(f.not) == 0 {
		if q.Recipient == "" || q.names() {
			return []source{{from: "messages m", seq: "m.seq", where: where, args: args}}, nil
		}
		s := source{
			from: "recipients i CROSS JOIN messages m ON m.seq = i.seq", seq: "i.seq",
			where: []string{"i.rcpt = ?"}, args: []any{q.Recipient},
		}
		if q.Folder != AnyFolder {
			s.where, s.args = append(s.where, "i.junk = ?"), append(s.args, q.Folder == OnlyJunk)
		}
		return []source{s}, nil
	}
	var found []source
	err := v.each(ctx, "SELECT shard, first, last FROM shards ORDER BY shard "+q.order(), nil, func(rows *sql.Rows) error {
		var n int
		var first, last int64
		if err := rows.Scan(&n, &first, &last); err != nil {
			return err
		}
		t := shardTable(n)
		s := source{from: "messages m", seq: "m.seq", last: last}
		if f.match != "" {
			s.from, s.seq = t+" CROSS JOIN messages m ON m.seq = "+t+".rowid", t+".rowid"
			s.where, s.args = []string{t + " MATCH ?"}, []any{f.match}
		} else {
			s.where, s.args = []string{"m.seq BETWEEN ? AND ?"}, []any{first, last}
		}
		for _, n := range f.not {
			test, args := contains(n.cond.Fields, n.value)
			s.where = append(s.where, "NOT (m.seq IN (SELECT rowid FROM "+t+" WHERE "+t+" MATCH ?) AND "+test+")")
			s.args = append(append(s.args, n.match), args...)
		}
		s.where, s.args = append(s.where, where...), append(s.args, args...)
		found = append(found, s)
		return nil
	})
	return found, err
}

// statement joins a source, the filter and the bounds.
func (s *source) statement(what string, f *filter, bounds []string, args []any) (string, []any) {
	where := slices.Concat(s.where, bounds, f.where)
	query := "SELECT " + what + " FROM " + s.from
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query, slices.Concat(s.args, args, f.args)
}

// bounds translates Older and Newer.
func (q *Query) bounds(seq string) (where []string, args []any) {
	if q.Older > 0 {
		where = append(where, seq+" < coalesce((SELECT min(seq) FROM messages WHERE key >= ?), 1 << 62)")
		args = append(args, q.Older)
	}
	if q.Newer > 0 {
		where = append(where, seq+" > coalesce((SELECT max(seq) FROM messages WHERE key <= ?), 0)")
		args = append(args, q.Newer)
	}
	return where, args
}

// find returns the row numbers of a page.
func (v *view) find(ctx context.Context, q Query) ([]int64, error) {
	f := q.filter()
	sources, err := v.sources(ctx, &q, &f)
	if err != nil {
		return nil, err
	}
	want := -1
	if q.Limit > 0 {
		want = q.Offset + q.Limit
	}
	var seqs []int64
	for _, s := range sources {
		left := want
		if want >= 0 {
			if left -= len(seqs); left <= 0 {
				break
			}
		}
		where, args := q.bounds(s.seq)
		query, args := s.statement("m.seq", &f, where, args)
		query += fmt.Sprintf(" ORDER BY %s %s LIMIT %d", s.seq, q.order(), left)
		err := v.each(ctx, query, args, func(rows *sql.Rows) error {
			var seq int64
			err := rows.Scan(&seq)
			seqs = append(seqs, seq)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return seqs[min(q.Offset, len(seqs)):], nil
}

// rows returns messages by number, in the order given.
func (v *view) rows(ctx context.Context, seqs []int64) ([]Row, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	found := make([]Row, len(seqs))
	at := make(map[int64]*Row, len(seqs))
	for i, seq := range seqs {
		at[seq] = &found[i]
	}
	wanted := []any{list(seqs)}
	tagged := false
	err := v.each(ctx, `SELECT m.seq, m.key, m.segment, m.offset, m.size, m.read, m.tagged, m.attachments, b.summary
		FROM json_each(?) j CROSS JOIN messages m ON m.seq = j.value CROSS JOIN bodies b ON b.seq = m.seq`, wanted,
		func(rows *sql.Rows) error {
			var seq int64
			var tags int
			var r Row
			err := rows.Scan(&seq, &r.Key, &r.Position.Segment, &r.Position.Offset, &r.Size, &r.Read, &tags, &r.Attachments, &r.Summary)
			tagged = tagged || tags > 0
			*at[seq] = r
			return err
		})
	if err != nil {
		return nil, err
	}
	err = v.each(ctx, `SELECT r.seq, r.rcpt, r.address, r.junk, r.verdict
		FROM json_each(?) j CROSS JOIN recipients r ON r.seq = j.value ORDER BY r.seq, r.n`, wanted, func(rows *sql.Rows) error {
		var seq int64
		var r Recipient
		err := rows.Scan(&seq, &r.Key, &r.Address, &r.Junk, &r.Verdict)
		at[seq].Recipients = append(at[seq].Recipients, r)
		return err
	})
	if err != nil || !tagged {
		return found, err
	}
	err = v.each(ctx, `SELECT t.seq, t.tag FROM json_each(?) j CROSS JOIN tags t ON t.seq = j.value ORDER BY t.seq, t.tag`,
		wanted, func(rows *sql.Rows) error {
			var seq int64
			var tag string
			err := rows.Scan(&seq, &tag)
			at[seq].Tags = append(at[seq].Tags, tag)
			return err
		})
	return found, err
}

// count returns how many messages q finds. Mailboxes and folders are counted
// as they change; what a search finds is counted once, and from then on only
// what was added is, until something changes otherwise.
func (ix *Index) count(ctx context.Context, v *view, q Query, changes int64) (total, unread int, err error) {
	if q.plain() {
		return v.counted(ctx, q)
	}
	var newest int64
	if err := v.tx.QueryRowContext(ctx, "SELECT seq FROM state").Scan(&newest); err != nil {
		return 0, 0, wrap(err)
	}
	key := q.countKey()
	c, _ := ix.counts.get(key, changes)
	f := q.filter()
	sources, err := v.sources(ctx, &q, &f)
	if err != nil {
		return 0, 0, err
	}
	if c.upTo < newest {
		for _, s := range sources {
			if s.last > 0 && s.last <= c.upTo {
				continue
			}
			query, args := s.statement("count(*), coalesce(sum(m.read = 0), 0)", &f, []string{s.seq + " > ?"}, []any{c.upTo})
			var n, u int
			if err := v.tx.QueryRowContext(ctx, query, args...).Scan(&n, &u); err != nil {
				return 0, 0, wrap(err)
			}
			c.total += n
			c.unread += u
		}
		c.upTo = newest
		ix.counts.put(key, changes, c)
	}
	return c.total, c.unread, nil
}

// counted reads the kept count of a mailbox, a folder or everything.
func (v *view) counted(ctx context.Context, q Query) (total, unread int, err error) {
	from, args := "totals", []any(nil)
	all, allUnread := "messages", "unread"
	if q.Recipient != "" {
		from, args = "mailboxes WHERE rcpt = ?", []any{q.Recipient}
		all, allUnread = "inbox + junk", "unread_inbox + unread_junk"
	}
	what := map[Folder]string{
		AnyFolder: all + ", " + allUnread,
		OnlyInbox: "inbox, unread_inbox",
		OnlyJunk:  "junk, unread_junk",
	}[q.Folder]
	err = v.tx.QueryRowContext(ctx, "SELECT "+what+" FROM "+from, args...).Scan(&total, &unread)
	if err == sql.ErrNoRows {
		return 0, 0, nil
	}
	return total, unread, wrap(err)
}

// countCache keeps the counts of the last searches.
type countCache struct {
	mu      sync.Mutex
	changes int64
	counts  map[string]searchCount
}

type searchCount struct {
	total, unread int
	upTo          int64 // seq
}

func (c *countCache) get(key string, changes int64) (searchCount, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes {
		return searchCount{}, false
	}
	n, ok := c.counts[key]
	return n, ok
}

func (c *countCache) put(key string, changes int64, n searchCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if changes < c.changes {
		return
	}
	if changes > c.changes || len(c.counts) >= 64 || c.counts == nil {
		c.changes, c.counts = changes, map[string]searchCount{}
	}
	c.counts[key] = n
}
