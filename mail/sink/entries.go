package sink

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"invited/mail/sink/index"
	"invited/mail/sink/spool"
)

// Entry is a message as a folder of one recipient lists it to mail clients. A
// message that a client copied within the mailbox has several entries.
type Entry struct {
	UID      uint32 // ascending as entries are made; never given twice in one Listing.Validity (RFC 3501 section 2.3.1.1)
	ID       string // of the message
	Size     int    // bytes as received
	Received time.Time
	Flags    []string // \Seen is the message's Captured.Read, all others are the entry's own

	at spool.Position
}

// Listing is a folder of one recipient.
type Listing struct {
	Validity uint32 // greater if the numbers were given anew
	Next     uint32 // no entry made from now on has a smaller number
	Entries  []Entry
}

// FlagOp is what a [FlagChange] does.
type FlagOp int

// The ways to change flags.
const (
	AddFlags FlagOp = iota
	RemoveFlags
	ReplaceFlags
)

// FlagChange is a change of flags. Case does not count in them.
type FlagChange struct {
	Op    FlagOp
	Flags []string // without spaces
}

// Renumbered is an entry that was moved or copied.
type Renumbered struct{ From, To uint32 }

const seen = `\Seen`

// Settle waits until what was received before the call is listed, as most reads
// do. In a burst, when much is still to be indexed, it does not wait.
func (s *Sink) Settle(ctx context.Context) error { return s.settle(ctx) }

// Entries lists a folder of a recipient, ascending by number. A recipient
// without mail has empty folders. It does not wait for what is still to be
// indexed, because it is asked after each event; see [Sink.Settle].
func (s *Sink) Entries(ctx context.Context, recipient string, folder Folder) (Listing, error) {
	l, err := s.index.Entries(ctx, Key(recipient), folder == Junk)
	return Listing{Validity: l.Validity, Next: l.Next, Entries: entries(l.Entries)}, err
}

func entries(in []index.Entry) []Entry {
	out := make([]Entry, len(in))
	for i, e := range in {
		out[i] = Entry{UID: e.UID, ID: spool.FromKey(e.Key).String(), Size: e.Size, Received: e.Received, Flags: e.Flags, at: spool.Position(e.Position)}
		if e.Read {
			out[i].Flags = append([]string{seen}, e.Flags...)
		}
	}
	return out
}

// RawEntry returns the bytes of a message that was listed. It costs less than
// [Sink.Raw], and for a message that was deleted since then it may still succeed.
func (s *Sink) RawEntry(ctx context.Context, e Entry) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rec, err := s.spool.Read(e.at)
	if errors.Is(err, spool.ErrNotFound) || err == nil && rec.ID.String() != e.ID {
		return nil, ErrNotFound
	}
	return rec.Raw, err
}

// FlagEntries changes the flags of entries and returns those that exist, as
// they are then. Taking \Seen off or putting it on marks the message for all its
// recipients.
func (s *Sink) FlagEntries(ctx context.Context, recipient string, folder Folder, uids []uint32, c FlagChange) ([]Entry, error) {
	isSeen := func(flag string) bool { return strings.EqualFold(flag, seen) }
	named := slices.ContainsFunc(c.Flags, isSeen)
	flags := slices.DeleteFunc(slices.Clone(c.Flags), isSeen)
	ic := index.FlagChange{Add: flags}
	if named || c.Op == ReplaceFlags {
		read := named && c.Op != RemoveFlags
		ic.Read = &read
	}
	switch c.Op {
	case RemoveFlags:
		ic.Add, ic.Remove = nil, flags
	case ReplaceFlags:
		ic.Replace = true
	}
	var now []index.Entry
	err := s.change(ctx, func() (changed []int64, err error) {
		now, changed, err = s.index.SetFlags(ctx, Key(recipient), folder == Junk, uids, ic)
		return changed, err
	})
	return entries(now), err
}

// MoveEntries gives entries new numbers in a folder of the same recipient,
// which may be the one they are in. The messages lie there then, as after
// [Sink.SetFolder]. Numbers that are no entry are passed over.
func (s *Sink) MoveEntries(ctx context.Context, recipient string, from Folder, uids []uint32, to Folder) ([]Renumbered, error) {
	var moved []index.Renumbered
	err := s.change(ctx, func() (changed []int64, err error) {
		moved, changed, err = s.index.Move(ctx, Key(recipient), from == Junk, uids, to == Junk)
		return changed, err
	})
	return renumbered(moved), err
}

// CopyEntries lists messages a second time in a folder of the same recipient.
// The messages go on lying where they lay, until the entries there are removed.
func (s *Sink) CopyEntries(ctx context.Context, recipient string, from Folder, uids []uint32, to Folder) ([]Renumbered, error) {
	var copied []index.Renumbered
	err := s.change(ctx, func() (changed []int64, err error) {
		copied, changed, err = s.index.Copy(ctx, Key(recipient), from == Junk, uids, to == Junk)
		return changed, err
	})
	return renumbered(copied), err
}

func renumbered(in []index.Renumbered) []Renumbered {
	out := make([]Renumbered, len(in))
	for i, r := range in {
		out[i] = Renumbered(r)
	}
	return out
}

// RemoveEntries removes entries and returns the numbers of those that were
// there. A message without entries is no longer the recipient's, and without
// recipients it is deleted; one that is listed in the other folder only lies
// there then, as after a copy and a removal, the older way to move.
func (s *Sink) RemoveEntries(ctx context.Context, recipient string, folder Folder, uids []uint32) ([]uint32, error) {
	var removed []uint32
	var deleted []int64
	err := s.change(ctx, func() (changed []int64, err error) {
		removed, changed, deleted, err = s.index.Unlist(ctx, Key(recipient), folder == Junk, uids)
		if err == nil {
			s.publishDeleted(deleted)
		}
		return changed, err
	})
	if len(deleted) > 0 {
		s.free()
	}
	return removed, err
}
