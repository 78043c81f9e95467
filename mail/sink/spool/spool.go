// Package spool is an append-only log of received messages on disk.
//
// A record is an envelope and the raw bytes, both opaque. [Spool.Append]
// answers once the record is on stable storage; callers that arrive together
// share one write and one fdatasync:
//
//	Append ─┐                    ┌─▶ answer
//	Append ─┼─▶ waiting ──write──┤
//	Append ─┘     one fdatasync ─┴─▶ answer
//
// Records lie in segment files of about 64 MiB. [Open] looks through the last
// one and cuts off what a crash left half-written; nothing that was answered is
// ever cut. A segment goes as a whole, when its owner says that none of its
// records is needed ([Spool.Remove]).
//
// The package does not look inside records, keeps no list of them and forgets
// nothing by itself: finding, judging and expiring are the owner's.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// The errors callers may meet. All others are of the operating system.
var (
	ErrFull     = errors.New("spool: no space left on the device")
	ErrTooLarge = errors.New("spool: record is larger than 64 MiB")
	ErrNotFound = errors.New("spool: no such record")
	ErrDamaged  = errors.New("spool: record does not match its checksum")
	ErrClosed   = errors.New("spool: closed")
	ErrLocked   = errors.New("spool: directory is in use by another process")
)

// Limits of one record and defaults.
const (
	MaxRecord          = 64 << 20 // bytes of envelope and message together
	DefaultSegmentSize = 64 << 20
	maxBatch           = 8 << 20 // bytes written before one fdatasync
)

// Options configures [Open].
type Options struct {
	Dir         string           // required; made with mode 0700 if it is missing
	SegmentSize int64            // a new segment begins when this many bytes are reached; 0 means DefaultSegmentSize
	Now         func() time.Time // nil means time.Now
	Log         *slog.Logger     // nil means none
}

// Position is where a record lies. The zero value is before every record.
type Position struct {
	Segment uint64
	Offset  int64
}

// Before reports whether p lies before q.
func (p Position) Before(q Position) bool {
	return p.Segment < q.Segment || p.Segment == q.Segment && p.Offset < q.Offset
}

// Record is one message as it was appended.
type Record struct {
	ID       ID
	Position Position
	Envelope []byte
	Raw      []byte
}

// Spool is an open log. It is safe for concurrent use.
type Spool struct {
	opts Options
	root *os.Root
	lock *os.File

	mu      sync.Mutex
	waiting []*request
	closed  bool
	wake    chan struct{} // capacity 1: something waits, or the spool closes
	done    chan struct{} // closed when the writer has ended

	segMu    sync.RWMutex
	segments []*segment // ascending; the last one is written to
	stored   ID         // of the newest record on stable storage

	// The writer's own.
	active *segment // the one written to
	number uint64   // the highest segment number ever used
	last   ID       // the last one given
	buf    []byte
}

// Open opens the log in o.Dir, or begins one, and repairs its tail. The
// directory is locked until [Spool.Close].
func Open(o Options) (*Spool, error) {
	if o.Dir == "" {
		return nil, errors.New("spool: Options.Dir is empty")
	}
	if o.SegmentSize <= 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{opts: o, root: root, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if err := s.open(); err != nil {
		_ = s.closeFiles() // what made opening fail is reported
		return nil, err
	}
	go s.write()
	return s, nil
}

func (s *Spool) open() error {
	lock, err := lockDir(s.root)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := s.load(); err != nil {
		return err
	}
	if s.active == nil {
		err = s.roll()
	}
	if s.last.Key() > 0 {
		s.stored = s.last
	}
	return err
}

// Append stores a record and returns its id and position once it is on stable
// storage. Records get ascending ids in the order in which they are stored.
//
// ctx is looked at only before the record is handed over; from then on it will
// be stored, and the slices are not to be changed until Append returns. The
// error is [ErrFull] if the device has no room, and nothing of the record is
// left behind then.
func (s *Spool) Append(ctx context.Context, envelope, raw []byte) (ID, Position, error) {
	if err := ctx.Err(); err != nil {
		return ID{}, Position{}, err
	}
	if len(envelope)+len(raw) > MaxRecord {
		return ID{}, Position{}, ErrTooLarge
	}
	r := requests.Get().(*request)
	defer requests.Put(r)
	r.envelope, r.raw, r.sum = envelope, raw, checksum(envelope, raw)
	defer func() { r.envelope, r.raw = nil, nil }()

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ID{}, Position{}, ErrClosed
	}
	s.waiting = append(s.waiting, r)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-r.done
	return r.id, r.pos, r.err
}

// End returns the position after the newest stored record, and the id of that
// record; the zero id if there never was one.
func (s *Spool) End() (Position, ID) {
	s.segMu.RLock()
	defer s.segMu.RUnlock()
	g := s.segments[len(s.segments)-1]
	return Position{Segment: g.number, Offset: g.end}, s.stored
}

// Segments returns the numbers of the segments, ascending. The last one is
// being written to.
func (s *Spool) Segments() []uint64 {
	s.segMu.RLock()
	defer s.segMu.RUnlock()
	numbers := make([]uint64, len(s.segments))
	for i, g := range s.segments {
		numbers[i] = g.number
	}
	return numbers
}

// Remove deletes a segment with all its records. The one being written to
// cannot be removed; an unknown one is ErrNotFound.
func (s *Spool) Remove(number uint64) error {
	s.segMu.Lock()
	i := s.find(number)
	if i < 0 {
		s.segMu.Unlock()
		return ErrNotFound
	}
	if i == len(s.segments)-1 {
		s.segMu.Unlock()
		return fmt.Errorf("spool: segment %d is being written to", number)
	}
	g := s.segments[i]
	s.segments = slices.Delete(slices.Clone(s.segments), i, i+1)
	s.segMu.Unlock()

	_ = g.file.Close()
	if err := s.root.Remove(segmentName(number)); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// Close waits for the records that were handed over, then closes the files.
func (s *Spool) Close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if already {
		return nil
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-s.done
	return s.closeFiles()
}

func (s *Spool) closeFiles() error {
	s.segMu.Lock()
	defer s.segMu.Unlock()
	var errs []error
	for _, g := range s.segments {
		errs = append(errs, g.file.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(append(errs, s.root.Close())...)
}

// find returns the index of segment number, or -1. The caller holds segMu.
func (s *Spool) find(number uint64) int {
	i, ok := slices.BinarySearchFunc(s.segments, number, func(g *segment, n uint64) int {
		switch {
		case g.number < n:
			return -1
		case g.number > n:
			return 1
		}
		return 0
	})
	if !ok {
		return -1
	}
	return i
}
