package index

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// uids lists a folder's numbers.
func uids(t *testing.T, ix *Index, recipient string, junk bool) []uint32 {
	t.Helper()
	l, err := ix.Entries(t.Context(), recipient, junk)
	require.NoError(t, err)
	var out []uint32
	for _, e := range l.Entries {
		require.Less(t, e.UID, l.Next)
		out = append(out, e.UID)
	}
	require.True(t, slices.IsSorted(out))
	return out
}

func TestEntriesLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	ix, ctx := start(t, path), t.Context()
	require.NoError(t, ix.Add(ctx, []Message{message(1, 0, "a", "jane", "bob"), message(2, 0, "b", "jane"), message(3, 0, "c", "jane")}, Position{Offset: 1}))
	require.Equal(t, []uint32{1, 2, 3}, uids(t, ix, "jane", false))

	yes := true
	now, changed, err := ix.SetFlags(ctx, "jane", false, []uint32{1, 2, 9}, FlagChange{Add: []string{`\Flagged`, "Work"}, Read: &yes})
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2}, changed)
	require.Equal(t, []string{"Work", `\Flagged`}, now[0].Flags)
	require.True(t, now[1].Read)
	_, changed, err = ix.SetFlags(ctx, "jane", false, []uint32{1}, FlagChange{Add: []string{"WORK"}})
	require.NoError(t, err)
	require.Empty(t, changed, "case does not count")
	_, _, err = ix.SetFlags(ctx, "jane", false, []uint32{2}, FlagChange{Replace: true, Add: []string{"work", "New"}})
	require.NoError(t, err)

	moved, _, err := ix.Move(ctx, "jane", false, []uint32{1}, true)
	require.NoError(t, err)
	require.Equal(t, []Renumbered{{From: 1, To: 4}}, moved)
	copied, _, err := ix.Copy(ctx, "jane", false, []uint32{2}, true)
	require.NoError(t, err)
	require.Equal(t, []Renumbered{{From: 2, To: 5}}, copied)
	_, err = ix.SetFolder(ctx, 3, "jane", true)
	require.NoError(t, err)
	require.Equal(t, []uint32{2}, uids(t, ix, "jane", false))
	require.Equal(t, []uint32{4, 5, 6}, uids(t, ix, "jane", true))
	require.Equal(t, []uint32{1}, uids(t, ix, "bob", false), "another mailbox has its own")
	recount(t, ix)

	before, err := ix.Entries(ctx, "jane", true)
	require.NoError(t, err)
	require.NoError(t, ix.Close())
	ix = start(t, path)
	after, err := ix.Entries(ctx, "jane", true)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, []string{"New", "Work"}, after.Entries[1].Flags)
	require.NotZero(t, after.Validity)

	_, changed, deleted, err := ix.Unlist(ctx, "jane", false, []uint32{2})
	require.NoError(t, err)
	require.Equal(t, []int64{2}, changed)
	require.Empty(t, deleted)
	row, err := ix.Get(ctx, 2)
	require.NoError(t, err)
	require.True(t, row.Recipients[0].Junk, "what is left of it is in Junk")
	_, changed, deleted, err = ix.Unlist(ctx, "jane", true, []uint32{4, 5})
	require.NoError(t, err)
	require.Equal(t, []int64{1}, changed, "bob still has it")
	require.Equal(t, []int64{2}, deleted)
	row, err = ix.Get(ctx, 1)
	require.NoError(t, err)
	require.Len(t, row.Recipients, 1)
	_, err = ix.SetFolder(ctx, 1, "bob", true)
	require.NoError(t, err)
	require.NoError(t, ix.Add(ctx, []Message{message(4, 0, "d", "jane")}, Position{Offset: 2}))
	require.Equal(t, []uint32{8}, uids(t, ix, "jane", false), "no number is given twice")
	recount(t, ix)
}

// TestEntriesAreTrue does at random what mail clients and others do.
func TestEntriesAreTrue(t *testing.T) {
	ix, ctx := start(t, filepath.Join(t.TempDir(), "index.db")), t.Context()
	r := rand.New(rand.NewPCG(3, 4))
	people := []string{"jane", "bob", "junk1"}
	next := int64(1)
	for range 400 {
		who, in, to := people[r.IntN(len(people))], r.IntN(2) == 0, r.IntN(2) == 0
		var some []uint32
		for _, uid := range uids(t, ix, who, in) {
			if r.IntN(4) == 0 {
				some = append(some, uid)
			}
		}
		var err error
		switch r.IntN(9) {
		case 0, 1, 2:
			err = ix.Add(ctx, []Message{message(next, uint64(next/20), "word", people[:1+r.IntN(len(people))]...)}, Position{Segment: uint64(next / 20), Offset: next})
			next++
		case 3:
			_, _, err = ix.SetFlags(ctx, who, in, some, FlagChange{Replace: r.IntN(3) == 0, Add: []string{"a", "B", "b"}[:r.IntN(4)], Remove: []string{"A"}, Read: &to})
		case 4:
			_, _, err = ix.Move(ctx, who, in, some, to)
		case 5:
			_, _, err = ix.Copy(ctx, who, in, some[:min(len(some), 2)], to)
		case 6:
			_, _, _, err = ix.Unlist(ctx, who, in, some)
		case 7:
			if _, err = ix.SetFolder(ctx, 1+r.Int64N(next), who, to); err != nil {
				require.ErrorIs(t, err, ErrNotFound)
				err = nil
			}
		case 8:
			_, err = ix.Expire(ctx, 30, 1<<40, 3)
		}
		require.NoError(t, err)
		recount(t, ix)
		var lost int
		require.NoError(t, ix.read.QueryRowContext(ctx, `SELECT
			(SELECT count(*) FROM entries e WHERE NOT EXISTS (SELECT 1 FROM recipients r WHERE r.seq = e.seq AND r.n = e.n)) +
			(SELECT count(*) FROM recipients r WHERE EXISTS (SELECT 1 FROM entries e WHERE e.seq = r.seq AND e.n = r.n)
				AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.seq = r.seq AND e.n = r.n AND e.junk = r.junk)) +
			(SELECT count(*) - count(DISTINCT uid || '/' || n) FROM entries)`).Scan(&lost))
		require.Zero(t, lost, "an entry without a message, or a message that its folder does not list")
	}
}
