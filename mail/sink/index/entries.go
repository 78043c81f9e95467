package index

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// Entry is a message as one folder of a mailbox lists it. A message that was
// copied within a mailbox has several.
type Entry struct {
	UID      uint32 // ascending as entries are made; never given twice in one Listing.Validity
	Key      int64  // of the message
	Position Position
	Size     int
	Received time.Time
	Read     bool     // of the message: for all its entries
	Flags    []string // of this entry, as they were first spelled
}

// Listing is one folder of a mailbox.
type Listing struct {
	Validity uint32 // greater if the numbers were given anew
	Next     uint32 // no entry made from now on has a smaller number
	Entries  []Entry
}

// FlagChange is what happens to the flags of entries.
type FlagChange struct {
	Replace     bool // the flags become exactly Add
	Add, Remove []string
	Read        *bool // of the messages; nil leaves it
}

// Renumbered is an entry that was moved or copied.
type Renumbered struct{ From, To uint32 }

const entriesFrom = ` FROM recipients r CROSS JOIN messages m ON m.seq = r.seq LEFT JOIN entries e ON e.seq = r.seq AND e.n = r.n
	WHERE r.rcpt = ? AND coalesce(e.junk, r.junk) = ?`

// Entries lists a folder, ascending by number.
func (ix *Index) Entries(ctx context.Context, recipient string, junk bool) (Listing, error) {
	var l Listing
	err := ix.view(ctx, func(v *view) error {
		if err := v.tx.QueryRowContext(ctx, "SELECT began, seq + 1 FROM state").Scan(&l.Validity, &l.Next); err != nil {
			return wrap(err)
		}
		return v.each(ctx, `SELECT coalesce(e.uid, r.seq) AS number, m.key, m.segment, m.offset, m.size, m.received, m.read, coalesce(e.flags, '')`+
			entriesFrom+" ORDER BY number", []any{recipient, junk}, func(rows *sql.Rows) error {
			e, err := scanEntry(rows)
			l.Entries = append(l.Entries, e)
			return err
		})
	})
	return l, err
}

func scanEntry(rows *sql.Rows, more ...any) (Entry, error) {
	var e Entry
	var received int64
	var flags string
	err := rows.Scan(append([]any{&e.UID, &e.Key, &e.Position.Segment, &e.Position.Offset, &e.Size, &received, &e.Read, &flags}, more...)...)
	e.Received = time.UnixMilli(received)
	e.Flags = strings.Fields(flags)
	return e, err
}

// place is an entry in a transaction.
type place struct {
	Entry
	seq, n int64
	kept   bool // it has a row of its own
}

// places returns the entries of a folder that have the given numbers.
func (t *tx) places(ctx context.Context, recipient string, junk bool, uids []uint32) []*place {
	wanted := make([]int64, len(uids))
	for i, uid := range uids {
		wanted[i] = int64(uid)
	}
	var found []*place
	t.each(ctx, `SELECT coalesce(e.uid, r.seq) AS number, m.key, m.segment, m.offset, m.size, m.received, m.read, coalesce(e.flags, ''),
		r.seq, r.n, e.uid IS NOT NULL`+entriesFrom+` AND number IN (SELECT value FROM json_each(?)) ORDER BY number`,
		[]any{recipient, junk, list(wanted)}, func(rows *sql.Rows) (err error) {
			p := &place{}
			p.Entry, err = scanEntry(rows, &p.seq, &p.n, &p.kept)
			found = append(found, p)
			return err
		})
	return found
}

// keep gives an entry a row of its own.
func (t *tx) keep(ctx context.Context, p *place, junk bool) {
	t.exec(ctx, "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", p.seq, p.n, p.UID, junk, strings.Join(p.Flags, " "))
	p.kept = true
}

// number gives out the next number.
func (t *tx) number(ctx context.Context) (uid uint32) {
	t.exec(ctx, "UPDATE state SET seq = seq + 1")
	t.one(ctx, "SELECT seq FROM state", nil, &uid)
	return uid
}

// SetFlags changes the flags of entries. It returns the entries that exist, as
// they are then, and the keys of the messages that differ from before.
func (ix *Index) SetFlags(ctx context.Context, recipient string, junk bool, uids []uint32, c FlagChange) (now []Entry, changed []int64, err error) {
	err = ix.change(ctx, func(t *tx) error {
		var read []int64
		for _, p := range t.places(ctx, recipient, junk, uids) {
			flags := c.apply(p.Flags)
			differs := !slices.Equal(flags, p.Flags)
			if differs {
				p.Flags = flags
				t.keep(ctx, p, junk)
			}
			if c.Read != nil && p.Read != *c.Read {
				p.Read, differs = *c.Read, true
				read = append(read, p.Key)
			}
			if differs {
				changed = append(changed, p.Key)
			}
			now = append(now, p.Entry)
		}
		if len(read) > 0 {
			t.setRead(ctx, read, *c.Read)
		}
		return t.err
	})
	return now, slices.Compact(changed), err
}

func (c *FlagChange) apply(flags []string) []string {
	has := func(in []string, flag string) bool {
		return slices.ContainsFunc(in, func(f string) bool { return strings.EqualFold(f, flag) })
	}
	var out []string
	for _, f := range flags {
		if c.Replace && has(c.Add, f) || !c.Replace && !has(c.Remove, f) {
			out = append(out, f)
		}
	}
	for _, f := range c.Add {
		if !has(out, f) {
			out = append(out, f)
		}
	}
	slices.Sort(out)
	return out
}

// setRead marks messages and returns the keys of those that changed.
func (t *tx) setRead(ctx context.Context, keys []int64, read bool) (changed []int64) {
	var sum tally
	for _, m := range t.load(ctx, keys) {
		if m.read == read {
			continue
		}
		sum.add(-1, m)
		m.read = read
		sum.add(1, m)
		t.exec(ctx, "UPDATE messages SET read = ? WHERE seq = ?", read, m.seq)
		changed = append(changed, m.key)
	}
	_ = sum.save(ctx, t)
	return changed
}

// Move gives entries new numbers in a folder of the same mailbox, which may be
// the one they are in. The message lies in that folder then.
func (ix *Index) Move(ctx context.Context, recipient string, from bool, uids []uint32, to bool) (moved []Renumbered, changed []int64, err error) {
	err = ix.change(ctx, func(t *tx) error {
		var sum tally
		for _, p := range t.places(ctx, recipient, from, uids) {
			old := p.UID
			if p.kept {
				t.exec(ctx, "DELETE FROM entries WHERE seq = ? AND n = ? AND uid = ?", p.seq, p.n, old)
			}
			p.UID = t.number(ctx)
			t.keep(ctx, p, to)
			moved, changed = append(moved, Renumbered{From: old, To: p.UID}), append(changed, p.Key)
			for _, m := range t.load(ctx, []int64{p.Key}) {
				if i := m.at(recipient); i >= 0 && m.recipients[i].Junk != to {
					t.refile(ctx, &sum, m, i, to)
				}
			}
		}
		return sum.save(ctx, t)
	})
	return moved, slices.Compact(changed), err
}

// Copy lists messages a second time, in a folder of the same mailbox. The
// message goes on lying where it lay.
func (ix *Index) Copy(ctx context.Context, recipient string, from bool, uids []uint32, to bool) (copied []Renumbered, changed []int64, err error) {
	err = ix.change(ctx, func(t *tx) error {
		for _, p := range t.places(ctx, recipient, from, uids) {
			if !p.kept {
				t.keep(ctx, p, from)
			}
			old := p.UID
			p.UID = t.number(ctx)
			t.keep(ctx, p, to)
			copied, changed = append(copied, Renumbered{From: old, To: p.UID}), append(changed, p.Key)
		}
		return t.err
	})
	return copied, slices.Compact(changed), err
}

// Unlist removes entries. With the last entry of a mailbox the message leaves
// it, and with the last mailbox it is deleted. If entries are left in the other
// folder only, the message lies there then.
func (ix *Index) Unlist(ctx context.Context, recipient string, junk bool, uids []uint32) (removed []uint32, changed, deleted []int64, err error) {
	err = ix.change(ctx, func(t *tx) error {
		for _, p := range t.places(ctx, recipient, junk, uids) {
			removed = append(removed, p.UID)
			if t.unlist(ctx, p, recipient, junk) {
				deleted = append(deleted, p.Key)
			} else {
				changed = append(changed, p.Key)
			}
		}
		return t.err
	})
	changed = slices.DeleteFunc(slices.Compact(changed), func(key int64) bool { return slices.Contains(deleted, key) })
	return removed, changed, deleted, err
}

func (t *tx) unlist(ctx context.Context, p *place, recipient string, junk bool) (deleted bool) {
	t.exec(ctx, "DELETE FROM entries WHERE seq = ? AND n = ? AND uid = ?", p.seq, p.n, p.UID)
	var here, there int
	t.one(ctx, "SELECT coalesce(sum(junk = ?3), 0), coalesce(sum(junk <> ?3), 0) FROM entries WHERE seq = ?1 AND n = ?2",
		[]any{p.seq, p.n, junk}, &here, &there)
	found := t.load(ctx, []int64{p.Key})
	if t.err != nil || len(found) == 0 || here > 0 {
		return false
	}
	m := found[0]
	i := m.at(recipient)
	var sum tally
	switch {
	case i < 0:
		return false
	case there > 0:
		if m.recipients[i].Junk == junk {
			t.refile(ctx, &sum, m, i, !junk)
		}
	case len(m.recipients) == 1:
		t.remove(ctx, found)
		return true
	default:
		sum.add(-1, m)
		m.recipients = slices.Delete(m.recipients, i, i+1)
		sum.add(1, m)
		in, out := m.folders()
		t.exec(ctx, "DELETE FROM recipients WHERE seq = ? AND n = ?", p.seq, p.n)
		t.exec(ctx, "UPDATE messages SET inbox = ?, junk = ? WHERE seq = ?", in, out, p.seq)
	}
	_ = sum.save(ctx, t)
	return false
}

// refile changes the folder in which the i-th recipient has m, and counts it.
func (t *tx) refile(ctx context.Context, sum *tally, m *counted, i int, junk bool) {
	sum.add(-1, m)
	m.recipients[i].Junk = junk
	sum.add(1, m)
	in, out := m.folders()
	t.exec(ctx, "UPDATE recipients SET junk = ? WHERE seq = ? AND rcpt = ?", junk, m.seq, m.recipients[i].Key)
	t.exec(ctx, "UPDATE messages SET inbox = ?, junk = ? WHERE seq = ?", in, out, m.seq)
}

// relist makes the entries of a mailbox follow a message that was put into
// another folder: one is left, with a new number unless it was there before.
func (t *tx) relist(ctx context.Context, seq int64, recipient string, junk bool) {
	p := &place{seq: seq}
	t.one(ctx, "SELECT n FROM recipients WHERE seq = ? AND rcpt = ?", []any{seq, recipient}, &p.n)
	there := false
	t.each(ctx, "SELECT junk, flags FROM entries WHERE seq = ? AND n = ? ORDER BY uid", []any{seq, p.n}, func(rows *sql.Rows) error {
		var at bool
		var flags string
		err := rows.Scan(&at, &flags)
		there = there || at == junk
		p.Flags = strings.Fields(flags)
		return err
	})
	t.exec(ctx, "DELETE FROM entries WHERE seq = ? AND n = ? AND junk <> ?", seq, p.n, junk)
	if !there {
		p.UID = t.number(ctx)
		t.keep(ctx, p, junk)
	}
}

// at returns which of the recipients has the given key, or -1.
func (m *counted) at(recipient string) int {
	return slices.IndexFunc(m.recipients, func(r Recipient) bool { return r.Key == recipient })
}
