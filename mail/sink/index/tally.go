package index

import "context"

// tally is by how much counts change in one transaction.
type tally struct {
	totals   Totals
	boxes    map[string]*Mailbox
	segments map[uint64]int
}

// counted is what of a message the counts depend on.
type counted struct {
	seq, key   int64
	segment    uint64
	size       int64
	read       bool
	recipients []Recipient // Key, Address and Junk
}

func (m *counted) folders() (inbox, junk int) {
	for _, r := range m.recipients {
		if r.Junk {
			junk++
		} else {
			inbox++
		}
	}
	return inbox, junk
}

// add counts m in (sign 1) or out (sign -1). A change is out, then in.
func (t *tally) add(sign int, m *counted) {
	if t.boxes == nil {
		t.boxes, t.segments = map[string]*Mailbox{}, map[uint64]int{}
	}
	unread := 0
	if !m.read {
		unread = sign
	}
	t.totals.Messages += sign
	t.totals.Unread += unread
	t.totals.Bytes += int64(sign) * m.size
	t.segments[m.segment] += sign
	inbox, junk := m.folders()
	if inbox > 0 {
		t.totals.Inbox += sign
		t.totals.UnreadInbox += unread
	}
	if junk > 0 {
		t.totals.Junk += sign
		t.totals.UnreadJunk += unread
	}
	for _, r := range m.recipients {
		b := t.boxes[r.Key]
		if b == nil {
			b = &Mailbox{Address: r.Address}
			t.boxes[r.Key] = b
		}
		if r.Junk {
			b.Junk += sign
			b.UnreadJunk += unread
		} else {
			b.Inbox += sign
			b.UnreadInbox += unread
		}
	}
}

// save writes the changes.
func (t *tally) save(ctx context.Context, tx *tx) error {
	d := t.totals
	tx.exec(ctx, `UPDATE totals SET messages = messages + ?, unread = unread + ?, inbox = inbox + ?, junk = junk + ?,
		unread_inbox = unread_inbox + ?, unread_junk = unread_junk + ?, bytes = bytes + ?`,
		d.Messages, d.Unread, d.Inbox, d.Junk, d.UnreadInbox, d.UnreadJunk, d.Bytes)
	for key, b := range t.boxes {
		if b.Inbox == 0 && b.Junk == 0 && b.UnreadInbox == 0 && b.UnreadJunk == 0 {
			continue
		}
		tx.exec(ctx, `INSERT INTO mailboxes VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (rcpt) DO UPDATE SET
			inbox = inbox + excluded.inbox, junk = junk + excluded.junk,
			unread_inbox = unread_inbox + excluded.unread_inbox, unread_junk = unread_junk + excluded.unread_junk`,
			key, b.Address, b.Inbox, b.Junk, b.UnreadInbox, b.UnreadJunk)
		if b.Inbox+b.Junk < 0 {
			tx.exec(ctx, "DELETE FROM mailboxes WHERE rcpt = ? AND inbox = 0 AND junk = 0", key)
		}
	}
	for segment, n := range t.segments {
		if n != 0 {
			tx.exec(ctx, "INSERT INTO segments VALUES (?, ?) ON CONFLICT (segment) DO UPDATE SET live = live + excluded.live",
				int64(segment), n)
		}
	}
	return tx.err
}
