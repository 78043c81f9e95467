package imapd

import (
	"errors"
	"io"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"invited/mail/sink"
)

// message is the mail a client reads, kept for its next command: clients ask
// for one part after the other, and for long ones piece by piece.
type message struct {
	id   string
	tree *part
}

// read returns the tree of a message.
func (s *session) read(e sink.Entry) (*part, error) {
	if s.last.id == e.ID {
		return s.last.tree, nil
	}
	raw, err := s.srv.opts.Sink.RawEntry(s.srv.ctx, e)
	if err != nil {
		return nil, err
	}
	s.last = message{id: e.ID, tree: parse(raw)}
	return s.last.tree, nil
}

// errExpunged ends a FETCH that met messages which are gone (RFC 5530).
var errExpunged = refuse("EXPUNGEISSUED", "some of the messages have been deleted")

// Fetch serves FETCH.
func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	v := s.view
	if marks(o) && !v.readOnly {
		if err := s.markSeen(set); err != nil {
			return err
		}
	}
	lost := false
	err := v.each(set, func(seq uint32, it *item) error {
		var tree *part
		if o.Envelope || o.BodyStructure != nil || len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize) > 0 {
			var err error
			if tree, err = s.read(it.Entry); errors.Is(err, sink.ErrNotFound) {
				lost = true
				return nil
			} else if err != nil {
				return err
			}
		}
		return fetch(w.CreateMessage(seq), it, tree, o)
	})
	if err == nil && lost {
		return errExpunged
	}
	return err
}

// marks reports whether a FETCH reads in the sense of \Seen.
func marks(o *imap.FetchOptions) bool {
	for _, b := range o.BodySection {
		if !b.Peek {
			return true
		}
	}
	for _, b := range o.BinarySection {
		if !b.Peek {
			return true
		}
	}
	return false
}

func (s *session) markSeen(set imap.NumSet) error {
	var unseen []uint32
	_ = s.view.each(set, func(_ uint32, it *item) error {
		if !it.has(imap.FlagSeen) && !it.gone {
			unseen = append(unseen, it.UID)
		}
		return nil
	})
	if len(unseen) == 0 {
		return nil
	}
	return s.flag(unseen, sink.FlagChange{Flags: []string{string(imap.FlagSeen)}}, true)
}

// fetch writes what was asked for of one message. The writer holds a lock until
// it is closed.
func fetch(w *imapserver.FetchResponseWriter, it *item, tree *part, o *imap.FetchOptions) (err error) {
	defer func() { err = errors.Join(err, w.Close()) }()
	if o.UID {
		w.WriteUID(imap.UID(it.UID))
	}
	if o.Flags {
		w.WriteFlags(imapFlags(it.Flags))
		it.tell = false
	}
	if o.InternalDate {
		w.WriteInternalDate(it.Received.UTC())
	}
	if o.RFC822Size {
		w.WriteRFC822Size(int64(it.Size))
	}
	if o.Envelope {
		w.WriteEnvelope(tree.envelope())
	}
	if o.BodyStructure != nil {
		w.WriteBodyStructure(tree.structure())
	}
	for _, b := range o.BodySection {
		out := tree.section(b)
		if err := write(w.WriteBodySection(b, int64(len(out))), out); err != nil {
			return err
		}
	}
	for _, b := range o.BinarySection {
		out := cut(tree.decoded(b.Part), b.Partial)
		if err := write(w.WriteBinarySection(b, int64(len(out))), out); err != nil {
			return err
		}
	}
	for _, b := range o.BinarySectionSize {
		w.WriteBinarySectionSize(b, uint32(len(tree.decoded(b.Part))))
	}
	return nil
}

func write(w io.WriteCloser, b []byte) error {
	_, err := w.Write(b)
	return errors.Join(err, w.Close())
}
