package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"invited/mail/sink/index"
	"invited/mail/sink/mime"
	"invited/mail/sink/rules"
	"invited/mail/sink/spool"
)

// The errors callers may meet besides those of the operating system and of ctx.
var (
	ErrFull     = spool.ErrFull     // no room on the disk; nothing was stored
	ErrTooLarge = spool.ErrTooLarge // more than 64 MiB
	ErrNotFound = errors.New("sink: no such message")
	ErrClosed   = errors.New("sink: closed")
)

// Defaults of [Options].
const (
	DefaultMaxMessages = 5000
	DefaultMaxBytes    = 2 << 30
)

// Options configures [Open]. The zero value is a sink in a temporary directory.
type Options struct {
	Dir         string // empty: a temporary directory, removed by Close
	MaxMessages int    // the oldest beyond are deleted; 0 means DefaultMaxMessages
	MaxBytes    int64  // of raw messages, likewise; 0 means DefaultMaxBytes

	// Judge files a message for one of its recipients. Nil files everything
	// in Inbox without a verdict. It runs within the parse budget.
	Judge func(e Envelope, recipient string, raw []byte) rules.Verdict
	// JudgeAll takes the place of Judge if it is set: it returns a verdict for
	// each of e.To. It is handed Parsed.Message, which it must not change, so
	// that the message is read only once; nil if Parse gave none.
	JudgeAll func(e Envelope, raw []byte, m *mime.Message) []rules.Verdict

	Parse       func(raw []byte) (Parsed, error) // nil means ParseMIME
	ParseBudget time.Duration                    // for parsing and judging one message; 0 means 2 s

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means none
}

func (o Options) withDefaults() Options {
	if o.MaxMessages <= 0 {
		o.MaxMessages = DefaultMaxMessages
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Judge == nil {
		o.Judge = func(Envelope, string, []byte) rules.Verdict { return rules.Verdict{SCL: 1, Category: "NONE"} }
	}
	if o.Parse == nil {
		o.Parse = ParseMIME
	}
	if o.ParseBudget <= 0 {
		o.ParseBudget = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Sink is an open sink. It is safe for concurrent use.
type Sink struct {
	opts      Options
	temporary string // directory to remove
	spool     *spool.Spool
	index     *index.Index
	parser    *parser

	closing  sync.RWMutex // held for reading while a message is stored
	closed   bool
	stop     chan struct{}
	stopped  chan struct{}
	arrived  chan struct{} // capacity 1: there is something to index
	urgent   chan struct{} // capacity 1: somebody waits for it
	received atomic.Int64  // since Open
	examined atomic.Int64

	// mu orders what happens to the index with the events that tell of it.
	mu      sync.Mutex
	subs    map[*subscription]struct{}
	cleared index.Position // messages before it are not to be indexed

	progress progress
}

// Open opens the sink in o.Dir, or begins one, and goes on indexing where it
// stopped.
func Open(o Options) (*Sink, error) {
	s := &Sink{
		opts: o.withDefaults(), stop: make(chan struct{}), stopped: make(chan struct{}),
		arrived: make(chan struct{}, 1), urgent: make(chan struct{}, 1), subs: map[*subscription]struct{}{},
	}
	s.progress.changed = make(chan struct{})
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	go s.work()
	return s, nil
}

func (s *Sink) open() (err error) {
	dir := s.opts.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "sink-"); err != nil {
			return fmt.Errorf("sink: %w", err)
		}
		s.temporary = dir
	}
	segment := min(int64(spool.DefaultSegmentSize), max(s.opts.MaxBytes/8, 1<<20))
	s.spool, err = spool.Open(spool.Options{
		Dir: filepath.Join(dir, "spool"), SegmentSize: segment, Now: s.opts.Now, Log: s.opts.Log,
	})
	if err != nil {
		return err
	}
	ctx := context.Background()
	s.index, err = index.Open(ctx, index.Options{Path: filepath.Join(dir, "index.db"), Log: s.opts.Log})
	if err != nil {
		return err
	}
	end, _ := s.spool.End()
	if err := s.index.Retain(ctx, s.spool.Segments(), index.Position(end)); err != nil {
		return err
	}
	done, newest, err := s.index.Checkpoint(ctx)
	if err != nil {
		return err
	}
	s.progress.set(newest)
	s.cleared = done
	s.parser = newParser(s.opts)
	return nil
}

// Close refuses new messages, indexes those that were received, and closes the
// files.
func (s *Sink) Close() error {
	s.closing.Lock()
	already := s.closed
	s.closed = true
	s.closing.Unlock()
	if already {
		return nil
	}
	close(s.stop)
	<-s.stopped
	s.mu.Lock()
	for sub := range s.subs {
		s.end(sub)
	}
	s.mu.Unlock()
	return s.release()
}

func (s *Sink) release() error {
	var errs []error
	if s.parser != nil {
		s.parser.close()
	}
	if s.index != nil {
		errs = append(errs, s.index.Close())
	}
	if s.spool != nil {
		errs = append(errs, s.spool.Close())
	}
	if s.temporary != "" {
		errs = append(errs, os.RemoveAll(s.temporary))
	}
	return errors.Join(errs...)
}

// Receive stores a message and returns its id. When it returns nil, message
// and envelope are on stable storage: they will be listed even if the machine
// stops now. The error is [ErrFull] if there is no room, and nothing was stored
// then; with any other error nothing was promised. The bytes of raw are kept as
// they are.
//
// ctx is looked at only at the beginning. A zero e.Received becomes now.
func (s *Sink) Receive(ctx context.Context, e Envelope, raw []byte) (id string, err error) {
	if e.Received.IsZero() {
		e.Received = s.opts.Now()
	}
	envelope, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("sink: %w", err)
	}
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return "", ErrClosed
	}
	stored, _, err := s.spool.Append(ctx, envelope, raw)
	if err != nil {
		return "", err
	}
	s.received.Add(1)
	signal(s.arrived)
	return stored.String(), nil
}

// signal tells a channel of capacity 1 that there is something to do.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
