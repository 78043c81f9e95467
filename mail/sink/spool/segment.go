package spool

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// file is what a segment needs of an [os.File]; tests put failing ones here.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// segment is one file of the log.
type segment struct {
	number uint64
	file   file
	head   head
	end    int64 // end of what is on stable storage
	spoilt bool  // nothing more may be written to it
}

const (
	suffix   = ".spool"
	setAside = ".bad"
)

func segmentName(number uint64) string { return fmt.Sprintf("%012d%s", number, suffix) }

func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, ok && err == nil && segmentName(n) == name
}

// openFile is replaced in tests.
var openFile = func(root *os.Root, name string, flag int) (file, error) {
	f, err := root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return dataFile{f}, nil
}

// load opens the segments that are there and repairs the last one.
func (s *Spool) load() error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	for _, e := range entries { // sorted by name, so by number
		number, ok := segmentNumber(strings.TrimSuffix(e.Name(), setAside))
		if !ok || !e.Type().IsRegular() {
			continue
		}
		s.number = max(s.number, number)
		if strings.HasSuffix(e.Name(), setAside) {
			continue
		}
		g, err := s.openSegment(number)
		if errors.Is(err, errHead) {
			err = s.dropHeadless(e)
		}
		if err != nil {
			return fmt.Errorf("spool: segment %d: %w", number, err)
		}
		if g != nil {
			s.segments = append(s.segments, g)
		}
	}
	if len(s.segments) == 0 {
		return nil
	}
	s.active = s.segments[len(s.segments)-1]
	return s.repair(s.active)
}

// dropHeadless clears a file away whose head cannot be read. One that is no
// longer than a head was being made when the machine stopped and holds nothing.
func (s *Spool) dropHeadless(e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	if info.Size() <= headSize {
		return s.root.Remove(e.Name())
	}
	s.opts.Log.Error("spool segment without a head is set aside", "id", e.Name())
	return s.root.Rename(e.Name(), e.Name()+setAside)
}

func (s *Spool) openSegment(number uint64) (*segment, error) {
	f, err := openFile(s.root, segmentName(number), os.O_RDWR)
	if err != nil {
		return nil, err
	}
	b := make([]byte, headSize)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		_ = f.Close()
		return nil, err
	}
	h, err := decodeHead(b)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	info, err := s.root.Stat(segmentName(number))
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &segment{number: number, file: f, head: h, end: info.Size()}, nil
}

// repair looks through the newest segment, learns the last id, and cuts off
// what follows the last whole record: an append that was never answered.
func (s *Spool) repair(g *segment) error {
	s.last = newID(g.head.floor)
	size, off := g.end, int64(headSize)
	for {
		rec, next, err := g.next(off)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("spool: segment %d: %w", g.number, err)
		}
		if rec.Position.Offset != off {
			s.opts.Log.Error("spool has a damaged stretch", "id", g.number, "from", off, "to", rec.Position.Offset)
		}
		s.last, off = rec.ID, next
	}
	if off == size {
		return nil
	}
	s.opts.Log.Warn("spool cuts a torn tail", "id", g.number, "from", off, "to", size)
	if err := g.file.Truncate(off); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	g.end = off
	return g.file.Sync()
}

// roll begins a new segment.
func (s *Spool) roll() error {
	g := &segment{number: s.number + 1, end: headSize, head: head{floor: s.last.Key()}}
	_, _ = rand.Read(g.head.mark[:]) // never fails
	name := segmentName(g.number)
	f, err := openFile(s.root, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return full(err)
	}
	g.file = f
	if err := errors.Join(writeFull(f, g.head.encode(), 0), f.Sync(), syncDir(s.root)); err != nil {
		_ = f.Close()
		_ = s.root.Remove(name)
		return full(err)
	}
	s.active, s.number = g, g.number
	s.segMu.Lock()
	s.segments = append(s.segments[:len(s.segments):len(s.segments)], g)
	s.segMu.Unlock()
	return nil
}

// next returns the first whole record at or after off, and where it ends.
// Damaged bytes are passed over. At the end it returns io.EOF.
func (g *segment) next(off int64) (Record, int64, error) {
	off = max(off, headSize)
	for off < g.end {
		rec, next, err := g.read(off)
		if err == nil {
			return rec, next, nil
		}
		if !errors.Is(err, ErrDamaged) {
			return Record{}, 0, err
		}
		if off, err = g.seek(off + 1); err != nil {
			return Record{}, 0, err
		}
	}
	return Record{}, 0, io.EOF
}

// read returns the record at off.
func (g *segment) read(off int64) (Record, int64, error) {
	var b [headerSize]byte
	if off+headerSize > g.end {
		return Record{}, 0, ErrDamaged
	}
	if _, err := g.file.ReadAt(b[:], off); err != nil {
		return Record{}, 0, err
	}
	h, ok := decodeHeader(b[:], g.head.mark)
	if !ok || off+h.size() > g.end {
		return Record{}, 0, ErrDamaged
	}
	body := make([]byte, h.envelope+h.raw)
	if _, err := g.file.ReadAt(body, off+headerSize); err != nil {
		return Record{}, 0, err
	}
	rec := Record{
		ID: h.id, Position: Position{Segment: g.number, Offset: off},
		Envelope: body[:h.envelope:h.envelope], Raw: body[h.envelope:],
	}
	if checksum(rec.Envelope, rec.Raw) != h.sum {
		return Record{}, 0, ErrDamaged
	}
	return rec, off + h.size(), nil
}

// seek returns where the segment's mark next stands at or after off.
func (g *segment) seek(off int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for off+headerSize <= g.end {
		n, err := g.file.ReadAt(buf[:min(int64(len(buf)), g.end-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.Index(buf[:n], g.head.mark[:]); i >= 0 {
			return off + int64(i), nil
		}
		if n < len(g.head.mark) {
			break
		}
		off += int64(n - len(g.head.mark) + 1)
	}
	return g.end, nil
}
