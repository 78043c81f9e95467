package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"invited/mail/sink/index"
	"invited/mail/sink/spool"
)

// DefaultLimit is how many messages a [Page] has if the query does not say.
const DefaultLimit = 50

// Query asks for messages. The zero value asks for all, newest first. Searches
// come from [ParseQuery].
type Query struct {
	Recipient string // only messages to this envelope recipient
	Folder    Folder // only messages in this folder, of Recipient if set, else of any
	After     string // page: messages listed after (older than) this id
	Newer     string // page: the messages just newer than this id instead, newest first
	Start     int    // page: messages passed over
	Limit     int    // page: 0 means DefaultLimit, negative no limit

	// Uncounted leaves Total and Unread of a search 0: who only turns pages
	// need not wait until everything is counted.
	Uncounted bool

	conds []index.Cond
}

func (q Query) index() (index.Query, error) {
	iq := index.Query{Conds: q.conds, Offset: max(q.Start, 0), Limit: q.Limit}
	switch {
	case q.Limit == 0:
		iq.Limit = DefaultLimit
	case q.Limit < 0:
		iq.Limit = 0
	}
	if q.Recipient != "" {
		iq.Recipient = Key(q.Recipient)
	}
	switch q.Folder {
	case Inbox:
		iq.Folder = index.OnlyInbox
	case Junk:
		iq.Folder = index.OnlyJunk
	}
	if q.After != "" {
		id, err := spool.ParseID(q.After)
		if err != nil {
			return iq, ErrNotFound
		}
		iq.Older = id.Key()
	}
	if q.Newer != "" {
		id, err := spool.ParseID(q.Newer)
		if err != nil {
			return iq, ErrNotFound
		}
		iq.Newer, iq.Oldest = id.Key(), true
	}
	iq.Uncounted = q.Uncounted
	return iq, nil
}

// Page is a part of a list.
type Page struct {
	Messages      []Captured // newest first
	Total, Unread int        // of the query, all pages together
	Next          string     // value of Query.After for the next page; empty on the last one
}

// List returns the messages q asks for, newest first. What was received before
// the call is in it, unless so much arrives that indexing is behind.
func (s *Sink) List(ctx context.Context, q Query) (Page, error) {
	iq, err := q.index()
	if err != nil {
		return Page{}, err
	}
	if err := s.settle(ctx); err != nil {
		return Page{}, err
	}
	found, err := s.index.Page(ctx, iq)
	if err != nil {
		return Page{}, err
	}
	p := Page{Total: found.Total, Unread: found.Unread, Messages: make([]Captured, len(found.Rows))}
	for i, row := range found.Rows {
		p.Messages[i] = captured(row)
	}
	if q.Newer != "" { // found oldest first; the message they are newer than follows them
		slices.Reverse(p.Messages)
		found.More = true
	}
	if n := len(p.Messages); found.More && n > 0 {
		p.Next = p.Messages[n-1].ID
	}
	return p, nil
}

// Match returns the ids of all messages q asks for, newest first, whatever its
// page.
func (s *Sink) Match(ctx context.Context, q Query) ([]string, error) {
	q.After, q.Start, q.Limit = "", 0, -1
	iq, err := q.index()
	if err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	keys, err := s.index.Keys(ctx, iq)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(keys))
	for i, key := range keys {
		ids[i] = spool.FromKey(key).String()
	}
	return ids, nil
}

// Get returns one message. It does not mark it read.
func (s *Sink) Get(ctx context.Context, id string) (Captured, error) {
	row, err := s.row(ctx, id)
	if err != nil {
		return Captured{}, err
	}
	return captured(row), nil
}

// Raw returns the bytes of a message as they were received.
func (s *Sink) Raw(ctx context.Context, id string) ([]byte, error) {
	rec, err := s.record(ctx, id)
	return rec.Raw, err
}

// Transcript returns what the client and the server said, as the listener wrote
// it down; empty if the message came in another way.
func (s *Sink) Transcript(ctx context.Context, id string) (string, error) {
	rec, err := s.record(ctx, id)
	if err != nil {
		return "", err
	}
	var e Envelope
	if err := json.Unmarshal(rec.Envelope, &e); err != nil {
		return "", fmt.Errorf("sink: the envelope of %s: %w", id, err)
	}
	return strings.ReplaceAll(e.Transcript, TranscriptID, id), nil
}

// record reads a message from the log.
func (s *Sink) record(ctx context.Context, id string) (spool.Record, error) {
	row, err := s.row(ctx, id)
	if err != nil {
		return spool.Record{}, err
	}
	rec, err := s.spool.Read(spool.Position(row.Position))
	if errors.Is(err, spool.ErrNotFound) {
		return spool.Record{}, ErrNotFound
	}
	return rec, err
}

func (s *Sink) row(ctx context.Context, id string) (index.Row, error) {
	key, err := s.key(id)
	if err != nil {
		return index.Row{}, err
	}
	if err := s.reach(ctx, key); err != nil {
		return index.Row{}, err
	}
	row, err := s.index.Get(ctx, key)
	return row, missing(err)
}

func missing(err error) error {
	if errors.Is(err, index.ErrNotFound) {
		return ErrNotFound
	}
	return err
}

// Totals are the counts of the whole sink. A message with recipients in both
// folders counts in both.
type Totals struct {
	Messages, Unread int
	Inbox, Junk      int
	Bytes            int64 // of raw messages
}

// Totals returns the counts. They are kept, not counted.
func (s *Sink) Totals(ctx context.Context) (Totals, error) {
	if err := s.settle(ctx); err != nil {
		return Totals{}, err
	}
	t, err := s.index.Totals(ctx)
	return Totals{Messages: t.Messages, Unread: t.Unread, Inbox: t.Inbox, Junk: t.Junk, Bytes: t.Bytes}, err
}

// Mailbox is one envelope recipient with the messages it has.
type Mailbox struct {
	Address string // as it was first given
	Inbox   int
	Junk    int
	Unread  int
}

// Folders returns up to limit mailboxes that have mail, in the order of their
// addresses, beginning after the given address. A limit of 0 means 100.
func (s *Sink) Folders(ctx context.Context, after string, limit int) ([]Mailbox, error) {
	return s.FindFolders(ctx, "", after, limit)
}

// FindFolders is [Sink.Folders] for the mailboxes whose address contains part,
// in any case.
func (s *Sink) FindFolders(ctx context.Context, part, after string, limit int) ([]Mailbox, error) {
	if limit <= 0 {
		limit = 100
	}
	if after != "" {
		after = Key(after)
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	boxes, err := s.index.FindMailboxes(ctx, strings.ToLower(part), after, limit)
	out := make([]Mailbox, len(boxes))
	for i, b := range boxes {
		out[i] = Mailbox{Address: b.Address, Inbox: b.Inbox, Junk: b.Junk, Unread: b.UnreadInbox + b.UnreadJunk}
	}
	return out, err
}

// Tags returns the tags in use and how many messages carry each.
func (s *Sink) Tags(ctx context.Context) (map[string]int, error) { return s.index.Tags(ctx) }

// Wait returns the first message q asks for that is newer than afterID. With
// an empty afterID it returns the newest one there is, and if there is none the
// first to arrive. What was received before the call counts as being there. It
// waits until ctx ends and then returns ctx.Err(). The page of q is not used.
func (s *Sink) Wait(ctx context.Context, q Query, afterID string) (Captured, error) {
	q.After, q.Start, q.Limit = "", 0, 1
	iq, err := q.index()
	if err != nil {
		return Captured{}, err
	}
	if afterID != "" {
		id, err := spool.ParseID(afterID)
		if err != nil {
			return Captured{}, ErrNotFound
		}
		iq.Newer, iq.Oldest = id.Key(), true
	}
	s.progress.waiters.Add(1)
	defer s.progress.waiters.Add(-1)
	_, last := s.spool.End()
	if err := s.reach(ctx, last.Key()); err != nil {
		return Captured{}, err
	}
	for {
		seen, changed := s.progress.get() // before looking: what comes later is looked at next time
		rows, err := s.index.Find(ctx, iq)
		if err != nil || len(rows) > 0 {
			if ctx.Err() != nil {
				return Captured{}, ctx.Err()
			}
			if err != nil {
				return Captured{}, err
			}
			return captured(rows[0]), nil
		}
		iq.Newer, iq.Oldest = max(iq.Newer, seen), true
		select {
		case <-changed:
		case <-ctx.Done():
			return Captured{}, ctx.Err()
		case <-s.stopped:
			return Captured{}, ErrClosed
		}
	}
}

// Filed returns the newest message with the Message-ID that the recipient was
// sent, and where it lies; false if there is none.
func (s *Sink) Filed(ctx context.Context, messageID, recipient string) (Captured, Recipient, bool, error) {
	if messageID == "" {
		return Captured{}, Recipient{}, false, nil
	}
	if err := s.settle(ctx); err != nil {
		return Captured{}, Recipient{}, false, err
	}
	key := Key(recipient)
	rows, err := s.index.Find(ctx, index.Query{Conds: []index.Cond{{Exact: messageID}}, Recipient: key, Limit: 1})
	if err != nil || len(rows) == 0 {
		return Captured{}, Recipient{}, false, err
	}
	c := captured(rows[0])
	for _, r := range c.Recipients {
		if Key(r.Address) == key {
			return c, r, true, nil
		}
	}
	return Captured{}, Recipient{}, false, nil
}
