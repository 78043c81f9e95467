package spool

import (
	"errors"
	"io"
	"os"
)

// Read returns the record at p. It is ErrNotFound if the segment is gone or p
// lies behind the last record, and ErrDamaged if what lies there is not a whole
// record.
func (s *Spool) Read(p Position) (Record, error) {
	g, ok := s.segmentAt(p.Segment, true)
	if !ok || p.Offset < headSize || p.Offset >= g.end {
		return Record{}, ErrNotFound
	}
	rec, _, err := g.read(p.Offset)
	if errors.Is(err, os.ErrClosed) {
		return Record{}, ErrNotFound
	}
	return rec, err
}

// Next returns the first record at or after p, in the order of storing, and
// the position after it. It is io.EOF when there is none yet. Damaged records
// and removed segments are passed over.
func (s *Spool) Next(p Position) (Record, Position, error) {
	for {
		g, ok := s.segmentAt(p.Segment, false)
		if !ok {
			return Record{}, p, io.EOF
		}
		if g.number != p.Segment {
			p = Position{Segment: g.number}
		}
		rec, next, err := g.next(p.Offset)
		switch {
		case err == nil:
			return rec, Position{Segment: g.number, Offset: next}, nil
		case errors.Is(err, io.EOF) && g.newest:
			return Record{}, p, io.EOF
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			p = Position{Segment: g.number + 1}
		default:
			return Record{}, p, err
		}
	}
}

// view is a segment as it was at one moment, safe to read from.
type view struct {
	segment
	newest bool
}

// segmentAt returns the segment with the number, or with exact unset the first
// one from it on.
func (s *Spool) segmentAt(number uint64, exact bool) (view, bool) {
	s.segMu.RLock()
	defer s.segMu.RUnlock()
	for i, g := range s.segments {
		if g.number == number || !exact && g.number > number {
			return view{segment: *g, newest: i == len(s.segments)-1}, true
		}
	}
	return view{}, false
}
