// Package index finds messages: it keeps what lists show and searches ask for,
// with counts, flags and full text, in one SQLite file.
//
// It holds no mail. Everything in it but the flags (read, tags, entries, folder,
// deletion) can be had again from the log of received messages, and so each
// batch of [Index.Add] carries the position up to which the log is indexed:
// rows and position are committed together, and after a crash indexing goes on
// from there. For the same reason batches are committed with synchronous
// NORMAL, which may lose the last of them when the machine stops, but never
// tears the file; what a user did is committed with FULL, because nothing else
// remembers it.
//
//	log ──Add──▶ one writer ──WAL──▶ readers: Page, Get, Totals, Mailboxes
//	user ──SetRead, SetTags, SetFolder, Delete──▶ the same writer, synced
//
// Counts are kept as rows change; no request counts a table. Full text lies in
// shards of some thousand messages, so that expiring the oldest drops tables
// instead of taking texts out of an index one by one.
//
// The package knows nothing of MIME or verdicts: summaries and verdicts are
// opaque to it.
package index

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// ErrNotFound is returned for a message or recipient that is not there.
var ErrNotFound = errors.New("index: not found")

// Options configures [Open].
type Options struct {
	Path      string       // required; the file, made with mode 0600 if it is missing
	ShardSize int          // messages of one full-text shard; 0 means 2,048
	Log       *slog.Logger // nil means none
}

// Position is where in the log a record lies or indexing stands.
type Position struct {
	Segment uint64
	Offset  int64
}

// Message is a message as it is added.
type Message struct {
	Key         int64 // orders messages; ascending from one Add to the next
	Position    Position
	Size        int // bytes of the raw message
	Received    time.Time
	MessageID   string // without angle brackets
	Attachments int
	Inline      int
	Summary     []byte // opaque; returned with the row
	Recipients  []Recipient
	Doc         Doc
}

// Recipient is the fate of a message in one mailbox.
type Recipient struct {
	Key     string // by which spellings of a mailbox compare equal
	Address string // as given
	Junk    bool   // in Junk rather than Inbox
	Verdict []byte // opaque
}

// Row is a message as it is read.
type Row struct {
	Key         int64
	Position    Position
	Size        int
	Read        bool
	Tags        []string
	Attachments int
	Summary     []byte
	Recipients  []Recipient
}

// Totals are the counts of everything. A message to several recipients counts
// once in each folder it lies in.
type Totals struct {
	Messages, Unread        int
	Inbox, Junk             int
	UnreadInbox, UnreadJunk int
	Bytes                   int64 // of raw messages
	NewestKey               int64 // 0 if there is none
}

// Mailbox are the counts of one recipient.
type Mailbox struct {
	Key, Address            string
	Inbox, Junk             int
	UnreadInbox, UnreadJunk int
}

// Index is an open index. It is safe for concurrent use.
type Index struct {
	opts  Options
	write *sql.DB // one connection
	read  *sql.DB

	mu     sync.Mutex // held by the writer
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt // of conn
	shards map[int]*sql.Stmt    // insertion into the shard being filled

	changes atomic.Int64 // grows with every write that is not an Add
	counts  countCache
}

//go:embed schema.sql
var schema string

// schemaVersion is raised when the schema changes. An index of another version
// is set aside and built again.
const schemaVersion = 2

// Open opens the index, or begins one. A file that is not an index of this
// version, or is damaged, is set aside with the suffix ".bad" and an empty
// index takes its place, at the zero [Position].
func Open(ctx context.Context, o Options) (*Index, error) {
	if o.Path == "" {
		return nil, errors.New("index: Options.Path is empty")
	}
	if o.ShardSize <= 0 {
		o.ShardSize = 2048
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ix, err := open(ctx, o)
	if !errors.Is(err, errUnusable) {
		return ix, err
	}
	o.Log.Error("index is set aside and built again", "path", o.Path, "err", err)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(o.Path+suffix, o.Path+".bad"+suffix); err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("index: %w", err)
		}
	}
	return open(ctx, o)
}

var errUnusable = errors.New("index: file cannot be used")

func open(ctx context.Context, o Options) (*Index, error) {
	f, err := os.OpenFile(o.Path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite gives -wal and -shm the same mode
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	ix := &Index{opts: o, stmts: map[string]*sql.Stmt{}, shards: map[int]*sql.Stmt{}}
	if ix.write, err = openDB(o.Path, 1, "journal_mode(wal)", "synchronous(normal)", "cache_size(-16000)",
		"wal_autocheckpoint(4000)", "journal_size_limit(67108864)", "temp_store(memory)"); err != nil {
		return nil, err
	}
	if ix.read, err = openDB(o.Path, 4, "query_only(1)", "cache_size(-4000)", "temp_store(memory)"); err != nil {
		return nil, errors.Join(err, ix.write.Close())
	}
	if err := ix.prepare(ctx); err != nil {
		return nil, errors.Join(err, ix.Close())
	}
	return ix, nil
}

func openDB(path string, conns int, pragmas ...string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// prepare checks the file and makes the schema in an empty one.
func (ix *Index) prepare(ctx context.Context) error {
	conn, err := ix.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnusable, err)
	}
	ix.conn = conn
	var found int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&found); err != nil {
		return fmt.Errorf("%w: %w", errUnusable, err)
	}
	switch found {
	case schemaVersion:
		var one int
		if err := conn.QueryRowContext(ctx, "SELECT 1 FROM state, totals").Scan(&one); err != nil {
			return fmt.Errorf("%w: %w", errUnusable, err)
		}
		return nil
	case 0:
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE; "+schema+"; PRAGMA user_version = "+strconv.Itoa(schemaVersion)+"; COMMIT")
		if err != nil {
			return fmt.Errorf("%w: %w", errUnusable, err)
		}
		return nil
	default:
		return fmt.Errorf("%w: it has version %d", errUnusable, found)
	}
}

// Close closes the file.
func (ix *Index) Close() error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	var errs []error
	if ix.read != nil {
		errs = append(errs, ix.read.Close())
	}
	ix.forgetShards()
	for _, stmt := range ix.stmts { // SQLite does not let go of the file before
		errs = append(errs, stmt.Close())
	}
	if ix.conn != nil {
		errs = append(errs, ix.conn.Close())
	}
	if ix.write != nil {
		errs = append(errs, ix.write.Close())
	}
	return errors.Join(errs...)
}

// Checkpoint returns the position up to which the log is indexed, and the key
// of the last message that was added.
func (ix *Index) Checkpoint(ctx context.Context) (upTo Position, newest int64, err error) {
	err = ix.read.QueryRowContext(ctx, "SELECT segment, offset, newest FROM state").Scan(&upTo.Segment, &upTo.Offset, &newest)
	return upTo, newest, wrap(err)
}

// Totals returns the counts of everything.
func (ix *Index) Totals(ctx context.Context) (Totals, error) {
	var t Totals
	err := ix.read.QueryRowContext(ctx, `SELECT messages, unread, inbox, junk, unread_inbox, unread_junk, bytes,
		coalesce((SELECT max(key) FROM messages), 0) FROM totals`).
		Scan(&t.Messages, &t.Unread, &t.Inbox, &t.Junk, &t.UnreadInbox, &t.UnreadJunk, &t.Bytes, &t.NewestKey)
	return t, wrap(err)
}

// Mailboxes returns up to limit recipients that have mail, ordered by key,
// beginning after the given one.
func (ix *Index) Mailboxes(ctx context.Context, after string, limit int) ([]Mailbox, error) {
	return ix.FindMailboxes(ctx, "", after, limit)
}

// FindMailboxes is [Index.Mailboxes] for the recipients whose key contains
// part, which is in lower case.
func (ix *Index) FindMailboxes(ctx context.Context, part, after string, limit int) ([]Mailbox, error) {
	rows, err := ix.read.QueryContext(ctx, `SELECT rcpt, address, inbox, junk, unread_inbox, unread_junk
		FROM mailboxes WHERE rcpt > ?1 AND (?2 = '' OR instr(lower(rcpt), ?2) > 0) ORDER BY rcpt LIMIT ?3`, after, part, limit)
	if err != nil {
		return nil, wrap(err)
	}
	defer rows.Close()
	var boxes []Mailbox
	for rows.Next() {
		var b Mailbox
		if err := rows.Scan(&b.Key, &b.Address, &b.Inbox, &b.Junk, &b.UnreadInbox, &b.UnreadJunk); err != nil {
			return nil, wrap(err)
		}
		boxes = append(boxes, b)
	}
	return boxes, wrap(rows.Err())
}

// Tags returns the tags in use with the number of messages that carry each.
func (ix *Index) Tags(ctx context.Context) (map[string]int, error) {
	rows, err := ix.read.QueryContext(ctx, "SELECT min(tag), count(*) FROM tags GROUP BY tag")
	if err != nil {
		return nil, wrap(err)
	}
	defer rows.Close()
	tags := map[string]int{}
	for rows.Next() {
		var tag string
		var n int
		if err := rows.Scan(&tag, &n); err != nil {
			return nil, wrap(err)
		}
		tags[tag] = n
	}
	return tags, wrap(rows.Err())
}

func wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	default:
		return fmt.Errorf("index: %w", err)
	}
}

// list writes keys as a JSON array, the form in which SQL takes a list.
func list(keys []int64) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(k, 10))
	}
	b.WriteByte(']')
	return b.String()
}
