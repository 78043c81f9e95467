package spool

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
)

// request is one record on its way to the disk.
type request struct {
	envelope, raw []byte
	sum           uint32
	done          chan struct{} // capacity 1

	id  ID
	pos Position
	err error
}

func (r *request) size() int64 { return headerSize + int64(len(r.envelope)) + int64(len(r.raw)) }

var requests = sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }}

// write is the only goroutine that writes. It takes whatever waits, stores it
// with one fdatasync, and answers.
func (s *Spool) write() {
	defer close(s.done)
	var batch []*request
	for {
		s.mu.Lock()
		batch, s.waiting = s.waiting, batch[:0]
		closed := s.closed
		s.mu.Unlock()
		if len(batch) == 0 {
			if closed {
				return
			}
			<-s.wake
			continue
		}
		for rest := batch; len(rest) > 0; {
			n := s.cut(rest)
			err := s.store(rest[:n])
			for _, r := range rest[:n] {
				r.err = err
				r.done <- struct{}{}
			}
			rest = rest[n:]
		}
		clear(batch)
	}
}

// cut returns how many requests go into the next write: at least one, and not
// more than the segment and maxBatch have room for.
func (s *Spool) cut(batch []*request) int {
	room := int64(maxBatch)
	if g := s.active; !g.spoilt {
		room = min(room, s.opts.SegmentSize-g.end)
	}
	size := int64(0)
	for i, r := range batch {
		if size += r.size(); size > room && i > 0 {
			return i
		}
	}
	return len(batch)
}

// store writes batch behind the last record and syncs. After an error nothing
// of it is left.
func (s *Spool) store(batch []*request) error {
	g := s.active
	if g.spoilt || g.end > headSize && g.end+batch[0].size() > s.opts.SegmentSize {
		if err := s.roll(); err != nil {
			return err
		}
		g = s.active
	}
	end, last, err := s.put(g, batch)
	s.last = last // even if it failed: no id is given twice
	if err == nil {
		err = g.file.Sync()
	}
	if err != nil {
		s.undo(g, err)
		return full(err)
	}
	s.segMu.Lock()
	g.end, s.stored = end, last
	s.segMu.Unlock()
	return nil
}

// put writes the records of batch and fills in their ids and positions.
func (s *Spool) put(g *segment, batch []*request) (end int64, last ID, err error) {
	off, at, last, now := g.end, g.end, s.last, s.opts.Now()
	buf := s.buf[:0]
	flush := func() {
		if err == nil {
			err = writeFull(g.file, buf, at)
		}
		at += int64(len(buf))
		buf = buf[:0]
	}
	for _, r := range batch {
		last = nextID(last, now)
		r.id, r.pos = last, Position{Segment: g.number, Offset: off}
		off += r.size()
		h := header{id: last, envelope: len(r.envelope), raw: len(r.raw), sum: r.sum}
		buf = append(h.append(buf, g.head.mark), r.envelope...)
		if len(r.raw) > 1<<20 { // not worth copying
			flush()
			if err == nil {
				err = writeFull(g.file, r.raw, at)
			}
			at += int64(len(r.raw))
			continue
		}
		if buf = append(buf, r.raw...); len(buf) > 1<<20 {
			flush()
		}
	}
	flush()
	s.buf = buf
	return off, last, err
}

// undo takes a failed write back. If the failure was not a full disk, or cannot
// be taken back, nothing more goes into the segment: after a failed sync nobody
// knows what the kernel still holds.
func (s *Spool) undo(g *segment, cause error) {
	err := g.file.Truncate(g.end)
	if err == nil && errors.Is(full(cause), ErrFull) {
		return
	}
	s.opts.Log.Error("spool leaves a segment after a failed write", "id", g.number, "err", errors.Join(cause, err))
	s.segMu.Lock()
	g.spoilt = true
	s.segMu.Unlock()
}

func writeFull(w io.WriterAt, b []byte, off int64) error {
	if len(b) == 0 {
		return nil
	}
	n, err := w.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// full tells a full disk from other failures.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w (%w)", ErrFull, err)
	}
	return fmt.Errorf("spool: %w", err)
}
