package index

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func start(t testing.TB, path string) *Index {
	t.Helper()
	ix, err := Open(t.Context(), Options{Path: path, ShardSize: 10, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = ix.Close() })
	return ix
}

func message(key int64, segment uint64, text string, to ...string) Message {
	m := Message{
		Key: key, Position: Position{Segment: segment, Offset: key * 100}, Size: int(key), Received: time.UnixMilli(key),
		MessageID: fmt.Sprintf("m%d", key), Summary: []byte(fmt.Sprint(key)), Doc: Doc{Subject: text, Text: text + " text"},
	}
	for _, r := range to {
		m.Recipients = append(m.Recipients, Recipient{Key: r, Address: r, Junk: strings.HasPrefix(r, "junk"), Verdict: []byte("{}")})
	}
	return m
}

// recount compares every kept count with the rows.
func recount(t *testing.T, ix *Index) {
	t.Helper()
	row := func(query string, args ...any) (n int) {
		require.NoError(t, ix.read.QueryRowContext(t.Context(), query, args...).Scan(&n))
		return n
	}
	got, err := ix.Totals(t.Context())
	require.NoError(t, err)
	in := "SELECT count(*) FROM messages m WHERE EXISTS (SELECT 1 FROM recipients r WHERE r.seq = m.seq AND r.junk = ?)"
	require.Equal(t, Totals{
		Messages: row("SELECT count(*) FROM messages"), Unread: row("SELECT count(*) FROM messages WHERE read = 0"),
		Inbox: row(in, false), Junk: row(in, true),
		UnreadInbox: row(in+" AND m.read = 0", false), UnreadJunk: row(in+" AND m.read = 0", true),
		Bytes:     int64(row("SELECT coalesce(sum(size), 0) FROM messages")),
		NewestKey: int64(row("SELECT coalesce(max(key), 0) FROM messages")),
	}, got)
	boxes, err := ix.Mailboxes(t.Context(), "", 1000)
	require.NoError(t, err)
	require.Len(t, boxes, row("SELECT count(DISTINCT rcpt) FROM recipients"))
	at := "SELECT count(*) FROM recipients r JOIN messages m ON m.seq = r.seq WHERE r.rcpt = ? AND r.junk = ?"
	for _, b := range boxes {
		require.Equal(t, Mailbox{
			Key: b.Key, Address: b.Address, Inbox: row(at, b.Key, false), Junk: row(at, b.Key, true),
			UnreadInbox: row(at+" AND m.read = 0", b.Key, false), UnreadJunk: row(at+" AND m.read = 0", b.Key, true),
		}, b)
	}
	require.Zero(t, row(`SELECT count(*) FROM segments s WHERE live <> (SELECT count(*) FROM messages WHERE segment = s.segment)`))
	for _, table := range []string{"bodies", "recipients", "tags"} {
		require.Zero(t, row("SELECT count(*) FROM "+table+" WHERE seq NOT IN (SELECT seq FROM messages)"), table)
	}
	require.Zero(t, row("SELECT count(*) FROM messages m WHERE tagged <> (SELECT count(*) FROM tags WHERE seq = m.seq)"))
}

// TestCountsAreTrue does at random what can be done and counts again.
func TestCountsAreTrue(t *testing.T) {
	ix := start(t, filepath.Join(t.TempDir(), "index.db"))
	r := rand.New(rand.NewPCG(1, 2))
	people := []string{"jane", "bob", "junk1", "junk2"}
	next := int64(1)
	some := func() (keys []int64) {
		for range r.IntN(6) {
			keys = append(keys, 1+r.Int64N(next))
		}
		return keys
	}
	ctx := t.Context()
	for range 300 {
		var err error
		switch r.IntN(9) {
		case 0, 1, 2:
			var batch []Message
			for range r.IntN(8) {
				batch = append(batch, message(next, uint64(next/20), "word", people[:r.IntN(len(people)+1)]...))
				next++
			}
			err = ix.Add(ctx, batch, Position{Segment: uint64(next / 20), Offset: next})
		case 3:
			_, err = ix.SetRead(ctx, some(), r.IntN(2) == 0)
		case 4:
			_, err = ix.SetTags(ctx, some(), []string{"a", "B", "b"}[:r.IntN(4)])
		case 5:
			_, err = ix.SetFolder(ctx, 1+r.Int64N(next), people[r.IntN(len(people))], r.IntN(2) == 0)
			if err != nil {
				require.ErrorIs(t, err, ErrNotFound)
				err = nil
			}
		case 6:
			_, err = ix.Delete(ctx, some())
		case 7:
			_, err = ix.Expire(ctx, 40, 1<<40, 5)
		case 8:
			if r.IntN(20) == 0 {
				err = ix.Clear(ctx, Position{Segment: uint64(next / 20), Offset: next})
			}
		}
		require.NoError(t, err)
		recount(t, ix)
		p, err := ix.Page(ctx, Query{Conds: []Cond{{Fields: Anywhere, Value: "word"}}, Limit: 1000})
		require.NoError(t, err)
		totals, err := ix.Totals(ctx)
		require.NoError(t, err)
		require.Equal(t, []int{totals.Messages, totals.Messages, totals.Unread}, []int{len(p.Rows), p.Total, p.Unread})
	}
}

func TestCheckpointGoesWithTheRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	ix := start(t, path)
	ctx := t.Context()
	require.NoError(t, ix.Add(ctx, []Message{message(5, 1, "a", "jane")}, Position{1, 500}))
	broken := message(6, 1, "b", "jane")
	broken.Recipients = append(broken.Recipients, Recipient{Key: "x", Verdict: nil}) // verdict is NOT NULL
	require.Error(t, ix.Add(ctx, []Message{broken}, Position{1, 600}))
	at, newest, err := ix.Checkpoint(ctx)
	require.NoError(t, err)
	require.Equal(t, Position{1, 500}, at)
	require.EqualValues(t, 5, newest)
	recount(t, ix)
	require.NoError(t, ix.Add(ctx, []Message{message(5, 1, "a again", "jane"), message(7, 2, "c", "jane")}, Position{2, 700}))
	keys, err := ix.Keys(ctx, Query{})
	require.NoError(t, err)
	require.Equal(t, []int64{7, 5}, keys, "what is there is not added again")

	dead, err := ix.Dead(ctx, []uint64{0, 1, 2})
	require.NoError(t, err)
	require.Equal(t, []uint64{0}, dead)
	_, err = ix.Delete(ctx, []int64{5, 7})
	require.NoError(t, err)
	dead, err = ix.Dead(ctx, []uint64{0, 1, 2, 3})
	require.NoError(t, err)
	require.Equal(t, []uint64{0, 1}, dead, "the segment being indexed is not dead")

	require.NoError(t, ix.Add(ctx, []Message{message(8, 2, "d"), message(9, 3, "e")}, Position{9, 9}))
	require.NoError(t, ix.Retain(ctx, []uint64{3, 4}, Position{4, 40}))
	keys, err = ix.Keys(ctx, Query{})
	require.NoError(t, err)
	require.Equal(t, []int64{9}, keys, "a message without its log is gone")
	at, _, err = ix.Checkpoint(ctx)
	require.NoError(t, err)
	require.Equal(t, Position{4, 40}, at)
	recount(t, ix)
	require.NoError(t, ix.Close())
	_, err = os.Stat(path + "-wal")
	require.ErrorIs(t, err, os.ErrNotExist, "closing leaves one file")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestShardsGoWithTheirMessages(t *testing.T) {
	ix := start(t, filepath.Join(t.TempDir(), "index.db"))
	ctx := t.Context()
	for key := int64(1); key <= 95; key++ {
		require.NoError(t, ix.Add(ctx, []Message{message(key, 1, fmt.Sprintf("common n%02d", key), "jane")}, Position{1, key}))
	}
	shards := func() (n int) {
		require.NoError(t, ix.read.QueryRowContext(ctx, "SELECT count(*) FROM shards").Scan(&n))
		return n
	}
	require.Equal(t, 10, shards())
	find := func(q Query, text string) []int64 {
		q.Conds = append(q.Conds, Cond{Fields: Subject, Value: text})
		keys, err := ix.Keys(ctx, q)
		require.NoError(t, err)
		return keys
	}
	require.Equal(t, []int64{95, 94, 93}, find(Query{Limit: 3}, "common"))
	require.Equal(t, []int64{80, 79}, find(Query{Limit: 2, Offset: 15}, "common"), "across shards")
	require.Equal(t, []int64{41, 42, 43}, find(Query{Limit: 3, Newer: 40, Oldest: true}, "common"))
	require.Equal(t, []int64{39, 38}, find(Query{Limit: 2, Older: 40}, "common"))
	require.Equal(t, []int64{7}, find(Query{}, "N07"))
	expired, err := ix.Expire(ctx, 31, 1<<40, 1000)
	require.NoError(t, err)
	require.Len(t, expired, 64)
	require.Equal(t, 4, shards())
	require.Empty(t, find(Query{}, "n07"))
	require.Empty(t, find(Query{}, "n64"))
	require.NoError(t, ix.Clear(ctx, Position{1, 96}))
	require.Zero(t, shards())
	require.NoError(t, ix.Add(ctx, []Message{message(200, 1, "later")}, Position{1, 200}))
	require.Equal(t, []int64{200}, find(Query{}, "later"))
	recount(t, ix)
}

func TestUnusableFileIsSetAside(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, path string)
	}{
		{"not a database", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 500)), 0o600))
		}},
		{"another version", func(t *testing.T, path string) {
			ix := start(t, path)
			_, err := ix.conn.ExecContext(t.Context(), "PRAGMA user_version = 99")
			require.NoError(t, err)
			require.NoError(t, ix.Close())
		}},
		{"a database of somebody else", func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), "CREATE TABLE x (y); PRAGMA user_version = 1")
			require.NoError(t, err)
			require.NoError(t, db.Close())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "index.db")
			tt.make(t, path)
			ix := start(t, path)
			at, _, err := ix.Checkpoint(context.Background())
			require.NoError(t, err)
			require.Zero(t, at)
			_, err = os.Stat(path + ".bad")
			require.NoError(t, err)
		})
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"  A\r\n\tb  C ":               "a b c",
		"GRÖSSE Ångström":              "grösse ångström",
		"a\x00b":                       "a b",
		"bad \xff\xfe bytes":           "bad bytes",
		strings.Repeat("x", MaxText+1): strings.Repeat("x", MaxText),
	} {
		require.Equal(t, want, Fold(in))
	}
}

// FuzzPage checks that no search text breaks the query, and that a message is
// found by every part of its text.
func FuzzPage(f *testing.F) {
	ix, err := Open(f.Context(), Options{Path: filepath.Join(f.TempDir(), "index.db")})
	require.NoError(f, err)
	f.Cleanup(func() { _ = ix.Close() })
	var key int64
	for _, seed := range []string{"Hello world", "\"quoted\" {a b} : NEAR(x y)", "a*b^c", "ﬀﬁ İstanbul", "\x00\xff", "日本語のメール", "  ", "ab", "100%_x'"} {
		f.Add(seed, 1, 4)
	}
	f.Fuzz(func(t *testing.T, text string, from, length int) {
		key++
		require.NoError(t, ix.Add(context.Background(), []Message{message(key, 1, text)}, Position{1, key}))
		runes := []rune(Fold(text))
		if len(runes) == 0 {
			return
		}
		from = ((from % len(runes)) + len(runes)) % len(runes)
		length = min(max(length, 1), len(runes)-from)
		part := string(runes[from : from+length])
		if strings.TrimSpace(part) != part {
			return
		}
		for _, not := range []bool{false, true} {
			p, err := ix.Page(context.Background(), Query{Conds: []Cond{{Not: not, Fields: Subject, Value: part}}, Newer: key - 1, Limit: 5})
			require.NoError(t, err)
			require.Len(t, p.Rows, map[bool]int{false: 1, true: 0}[not], "%q in %q", part, text)
		}
	})
}
