package index

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
)

// tx is the transaction the writer is in. Its statements are prepared once;
// after the first error the others do nothing.
type tx struct {
	ix  *Index
	err error
}

func (t *tx) stmt(ctx context.Context, query string) *sql.Stmt {
	if s := t.ix.stmts[query]; s != nil || t.err != nil {
		return s
	}
	s, err := t.ix.conn.PrepareContext(ctx, query)
	if err != nil {
		t.err = wrap(err)
		return nil
	}
	t.ix.stmts[query] = s
	return s
}

func (t *tx) exec(ctx context.Context, query string, args ...any) int64 {
	s := t.stmt(ctx, query)
	if t.err != nil {
		return 0
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		t.err = wrap(err)
		return 0
	}
	n, _ := res.RowsAffected()
	return n
}

// one reads a single row.
func (t *tx) one(ctx context.Context, query string, args []any, into ...any) {
	s := t.stmt(ctx, query)
	if t.err == nil {
		t.err = wrap(s.QueryRowContext(ctx, args...).Scan(into...))
	}
}

// each reads rows with scan.
func (t *tx) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) {
	s := t.stmt(ctx, query)
	if t.err != nil {
		return
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		t.err = wrap(err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			t.err = wrap(err)
			return
		}
	}
	t.err = wrap(rows.Err())
}

// update runs fn in a transaction. A durable one has reached the disk when
// update returns, together with everything before it.
func (ix *Index) update(ctx context.Context, durable bool, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // what has begun is finished
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if durable {
		if _, err := ix.conn.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
			return wrap(err)
		}
		defer func() { _, _ = ix.conn.ExecContext(ctx, "PRAGMA synchronous = NORMAL") }()
	}
	if _, err := ix.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return wrap(err)
	}
	err := fn(&tx{ix: ix})
	if err == nil {
		_, err = ix.conn.ExecContext(ctx, "COMMIT")
		err = wrap(err)
	}
	if err != nil {
		_, _ = ix.conn.ExecContext(ctx, "ROLLBACK")
		ix.forgetShards()
	}
	return err
}

// change is a durable update that invalidates what was counted before.
func (ix *Index) change(ctx context.Context, fn func(*tx) error) error {
	defer ix.changes.Add(1)
	return ix.update(ctx, true, fn)
}

// Add adds messages and moves the checkpoint in one transaction. A message
// whose key is not above every key added before is passed over: it is already
// there, or was deleted.
func (ix *Index) Add(ctx context.Context, messages []Message, upTo Position) error {
	return ix.update(ctx, false, func(t *tx) error {
		var seq, newest int64
		var shard int
		t.one(ctx, "SELECT seq, newest, shard FROM state", nil, &seq, &newest, &shard)
		var sum tally
		texts := make([]text, 0, len(messages))
		for i := range messages {
			m := &messages[i]
			if m.Key <= newest {
				continue
			}
			newest = m.Key
			seq++
			shard = t.room(ctx, shard, seq)
			texts = append(texts, text{shard, t.insert(ctx, seq, m)})
			sum.add(1, &counted{segment: m.Position.Segment, size: int64(m.Size), recipients: m.Recipients})
		}
		t.fill(ctx, texts)
		t.exec(ctx, "UPDATE state SET segment = ?, offset = ?, seq = ?, newest = ?, shard = ?",
			int64(upTo.Segment), upTo.Offset, seq, newest, shard)
		return sum.save(ctx, t)
	})
}

// insert adds the rows of a message and returns its number and texts.
func (t *tx) insert(ctx context.Context, seq int64, m *Message) []any {
	c := counted{recipients: m.Recipients}
	inbox, junk := c.folders()
	t.exec(ctx, `INSERT INTO messages (seq, key, segment, offset, size, received, attachments, inline, inbox, junk, message_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		seq, m.Key, int64(m.Position.Segment), m.Position.Offset, m.Size, m.Received.UnixMilli(),
		m.Attachments, m.Inline, inbox, junk, m.MessageID)
	texts := append([]any{seq}, m.Doc.fold()...)
	t.exec(ctx, "INSERT INTO bodies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", append(texts[:len(texts):len(texts)], m.Summary)...)
	for i, r := range m.Recipients {
		t.exec(ctx, "INSERT INTO recipients VALUES (?, ?, ?, ?, ?, ?)", seq, i, r.Key, r.Address, r.Junk, r.Verdict)
	}
	return texts
}

// load returns what is counted of the messages with the given keys.
func (t *tx) load(ctx context.Context, keys []int64) []*counted {
	var found []*counted
	bySeq := map[int64]*counted{}
	wanted := []any{list(keys)}
	t.each(ctx, `SELECT seq, key, segment, size, read FROM messages
		WHERE key IN (SELECT value FROM json_each(?)) ORDER BY seq`, wanted, func(rows *sql.Rows) error {
		m := &counted{}
		found, bySeq[m.seq] = append(found, m), m
		err := rows.Scan(&m.seq, &m.key, &m.segment, &m.size, &m.read)
		bySeq[m.seq] = m
		return err
	})
	t.each(ctx, `SELECT seq, rcpt, address, junk FROM recipients WHERE seq IN
		(SELECT seq FROM messages WHERE key IN (SELECT value FROM json_each(?))) ORDER BY seq, n`, wanted, func(rows *sql.Rows) error {
		var seq int64
		var r Recipient
		err := rows.Scan(&seq, &r.Key, &r.Address, &r.Junk)
		if m := bySeq[seq]; m != nil {
			m.recipients = append(m.recipients, r)
		}
		return err
	})
	return found
}

// SetRead marks messages and returns the keys of those that changed.
func (ix *Index) SetRead(ctx context.Context, keys []int64, read bool) (changed []int64, err error) {
	err = ix.change(ctx, func(t *tx) error {
		changed = t.setRead(ctx, keys, read)
		return t.err
	})
	return changed, err
}

// SetTags gives messages exactly these tags and returns the keys of those that
// exist.
func (ix *Index) SetTags(ctx context.Context, keys []int64, tags []string) (changed []int64, err error) {
	err = ix.change(ctx, func(t *tx) error {
		for _, m := range t.load(ctx, keys) {
			t.exec(ctx, "DELETE FROM tags WHERE seq = ?", m.seq)
			for _, tag := range tags {
				t.exec(ctx, "INSERT OR IGNORE INTO tags VALUES (?, ?)", m.seq, tag)
			}
			t.exec(ctx, "UPDATE messages SET tagged = (SELECT count(*) FROM tags WHERE seq = ?1) WHERE seq = ?1", m.seq)
			changed = append(changed, m.key)
		}
		return t.err
	})
	return changed, err
}

// RenameTag renames a tag wherever it is used; an empty new name takes it off.
// It returns the keys of the messages that carried it, and ErrNotFound if there
// are none.
func (ix *Index) RenameTag(ctx context.Context, old, renamed string) (changed []int64, err error) {
	err = ix.change(ctx, func(t *tx) error {
		var seqs []int64
		t.each(ctx, "SELECT m.seq, m.key FROM tags g JOIN messages m ON m.seq = g.seq WHERE g.tag = ? ORDER BY m.seq",
			[]any{old}, func(rows *sql.Rows) error {
				var seq, key int64
				err := rows.Scan(&seq, &key)
				seqs, changed = append(seqs, seq), append(changed, key)
				return err
			})
		if t.err == nil && len(seqs) == 0 {
			return ErrNotFound
		}
		t.exec(ctx, "DELETE FROM tags WHERE tag = ?", old)
		for _, seq := range seqs {
			if renamed != "" {
				t.exec(ctx, "INSERT OR IGNORE INTO tags VALUES (?, ?)", seq, renamed)
			}
			t.exec(ctx, "UPDATE messages SET tagged = (SELECT count(*) FROM tags WHERE seq = ?1) WHERE seq = ?1", seq)
		}
		return t.err
	})
	return changed, err
}

// SetFolder moves a message within one mailbox and reports whether it lay in
// the other folder. It is ErrNotFound if the mailbox does not have it.
func (ix *Index) SetFolder(ctx context.Context, key int64, recipient string, junk bool) (moved bool, err error) {
	err = ix.change(ctx, func(t *tx) error {
		found := t.load(ctx, []int64{key})
		if t.err != nil || len(found) == 0 {
			return cmpErr(t.err, ErrNotFound)
		}
		m := found[0]
		i := m.at(recipient)
		if i < 0 {
			return ErrNotFound
		}
		if m.recipients[i].Junk == junk {
			return nil
		}
		moved = true
		var sum tally
		t.refile(ctx, &sum, m, i, junk)
		t.relist(ctx, m.seq, recipient, junk)
		return sum.save(ctx, t)
	})
	return moved, err
}

// Delete deletes messages for good and returns the keys of those that existed.
func (ix *Index) Delete(ctx context.Context, keys []int64) (deleted []int64, err error) {
	err = ix.change(ctx, func(t *tx) error {
		deleted = t.remove(ctx, t.load(ctx, keys))
		return t.err
	})
	return deleted, err
}

// Expire deletes the oldest messages until no more than maxMessages and
// maxBytes are left, at most limit at once, and returns their keys. It is not
// durable by itself: whoever removes the log's records expires again.
func (ix *Index) Expire(ctx context.Context, maxMessages int, maxBytes int64, limit int) (deleted []int64, err error) {
	err = ix.update(ctx, false, func(t *tx) error {
		var messages int
		var bytes int64
		t.one(ctx, "SELECT messages, bytes FROM totals", nil, &messages, &bytes)
		var keys []int64
		if messages > maxMessages || bytes > maxBytes {
			t.each(ctx, "SELECT key, size FROM messages ORDER BY seq LIMIT ?", []any{limit}, func(rows *sql.Rows) error {
				var key, size int64
				err := rows.Scan(&key, &size)
				if messages > maxMessages || bytes > maxBytes {
					keys = append(keys, key)
					messages--
					bytes -= size
				}
				return err
			})
		}
		if len(keys) > 0 {
			deleted = t.remove(ctx, t.load(ctx, keys))
		}
		return t.err
	})
	if len(deleted) > 0 {
		ix.changes.Add(1)
	}
	return deleted, err
}

// remove deletes rows and the shards that have no live message any more.
func (t *tx) remove(ctx context.Context, messages []*counted) (keys []int64) {
	var sum tally
	for _, m := range messages {
		sum.add(-1, m)
		for _, table := range []string{"messages", "bodies", "recipients", "entries", "tags"} {
			t.exec(ctx, "DELETE FROM "+table+" WHERE seq = ?", m.seq)
		}
		keys = append(keys, m.key)
	}
	_ = sum.save(ctx, t)
	t.dropShards(ctx)
	return keys
}

// Clear deletes everything that was received before upTo, indexed or not, and
// moves the checkpoint there.
func (ix *Index) Clear(ctx context.Context, upTo Position) error {
	return ix.change(ctx, func(t *tx) error {
		for _, table := range []string{"messages", "bodies", "recipients", "entries", "tags", "mailboxes", "segments"} {
			t.exec(ctx, "DELETE FROM "+table)
		}
		t.exec(ctx, `UPDATE totals SET messages = 0, unread = 0, inbox = 0, junk = 0, unread_inbox = 0, unread_junk = 0, bytes = 0`)
		t.exec(ctx, "UPDATE shards SET held = ?", t.ix.opts.ShardSize) // the next message begins a new one
		t.dropShards(ctx)
		t.exec(ctx, "UPDATE state SET segment = ?, offset = ?", int64(upTo.Segment), upTo.Offset)
		return t.err
	})
}

// Retain deletes the messages whose segment of the log is gone, and brings a
// checkpoint that lies behind the end of the log back to it.
func (ix *Index) Retain(ctx context.Context, segments []uint64, end Position) error {
	return ix.update(ctx, false, func(t *tx) error {
		present := make([]int64, len(segments))
		for i, n := range segments {
			present[i] = int64(n)
		}
		var keys []int64
		t.each(ctx, "SELECT key FROM messages WHERE segment NOT IN (SELECT value FROM json_each(?))",
			[]any{list(present)}, func(rows *sql.Rows) error {
				var key int64
				err := rows.Scan(&key)
				keys = append(keys, key)
				return err
			})
		if len(keys) > 0 {
			t.ix.opts.Log.Warn("index drops messages whose log is gone", "count", len(keys))
			t.remove(ctx, t.load(ctx, keys))
		}
		t.exec(ctx, "DELETE FROM segments WHERE segment NOT IN (SELECT value FROM json_each(?))", list(present))
		t.exec(ctx, "UPDATE state SET segment = ?1, offset = ?2 WHERE segment > ?1 OR segment = ?1 AND offset > ?2",
			int64(end.Segment), end.Offset)
		return t.err
	})
}

// Dead returns which of the given segments of the log hold no message that is
// listed or still to be indexed.
func (ix *Index) Dead(ctx context.Context, segments []uint64) (dead []uint64, err error) {
	for _, n := range segments {
		var is bool
		err := ix.read.QueryRowContext(ctx, `SELECT segment > ?1 AND coalesce((SELECT live FROM segments WHERE segment = ?1), 0) = 0
			FROM state`, int64(n)).Scan(&is)
		if err != nil {
			return nil, wrap(err)
		}
		if is {
			dead = append(dead, n)
		}
	}
	return dead, nil
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// shardTable names the table of a full-text shard.
func shardTable(n int) string { return "text_" + strconv.Itoa(n) }

// room returns the shard the message seq goes into, beginning one if the last
// is full, and notes that it holds it.
func (t *tx) room(ctx context.Context, shard int, seq int64) int {
	if shard > 0 && t.exec(ctx, "UPDATE shards SET last = ?, held = held + 1 WHERE shard = ? AND held < ?",
		seq, shard, t.ix.opts.ShardSize) > 0 {
		return shard
	}
	t.ix.forgetShards()
	shard++
	t.execOnce(ctx, fmt.Sprintf(`CREATE VIRTUAL TABLE %s USING fts5(sender, rcpt_to, rcpt_cc, rcpt_bcc, reply_to, subject, msgid, body,
		content='', detail='column', tokenize='trigram')`, shardTable(shard)))
	t.exec(ctx, "INSERT INTO shards VALUES (?, ?, ?, 1)", shard, seq, seq)
	return shard
}

func (t *tx) execOnce(ctx context.Context, query string) {
	if t.err != nil {
		return
	}
	_, err := t.ix.conn.ExecContext(ctx, query)
	t.err = wrap(err)
}

// text is what goes into a shard: row number and columns.
type text struct {
	shard  int
	values []any
}

// fill puts texts into their shards, one after the other with nothing between:
// other statements make FTS5 write out what it has gathered.
func (t *tx) fill(ctx context.Context, texts []text) {
	for _, x := range texts {
		if t.err != nil {
			return
		}
		s := t.ix.shards[x.shard]
		if s == nil {
			var err error
			s, err = t.ix.conn.PrepareContext(ctx, "INSERT INTO "+shardTable(x.shard)+
				" (rowid, sender, rcpt_to, rcpt_cc, rcpt_bcc, reply_to, subject, msgid, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
			if err != nil {
				t.err = wrap(err)
				return
			}
			t.ix.shards[x.shard] = s
		}
		_, err := s.ExecContext(ctx, x.values...)
		t.err = wrap(err)
	}
}

// dropShards drops the shards none of whose messages is left. What is deleted
// out of a shard that lives on stays in its index, found by nobody, because
// results are joined with the messages.
func (t *tx) dropShards(ctx context.Context) {
	var dead []int
	t.each(ctx, `SELECT shard FROM shards WHERE held >= ? AND NOT EXISTS
		(SELECT 1 FROM messages WHERE seq BETWEEN first AND last)`, []any{t.ix.opts.ShardSize}, func(rows *sql.Rows) error {
		var n int
		err := rows.Scan(&n)
		dead = append(dead, n)
		return err
	})
	for _, n := range dead {
		t.ix.forgetShards()
		t.execOnce(ctx, "DROP TABLE "+shardTable(n))
		t.exec(ctx, "DELETE FROM shards WHERE shard = ?", n)
	}
}

// forgetShards closes the statements that hold on to shard tables.
func (ix *Index) forgetShards() {
	for n, s := range ix.shards {
		_ = s.Close()
		delete(ix.shards, n)
	}
}
