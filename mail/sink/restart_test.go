package sink_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
)

func TestRestartContinues(t *testing.T) {
	dir := t.TempDir()
	s, err := sink.Open(sink.Options{Dir: dir, Judge: junk})
	require.NoError(t, err)
	a := receive(t, s, note("first", "", ""))
	b := receive(t, s, note("second", "", ""))
	require.NoError(t, s.SetRead(t.Context(), []string{a}, true))
	require.NoError(t, s.SetFolder(t.Context(), a, "jane@fabrikam.example", sink.Junk))
	require.NoError(t, s.Delete(t.Context(), []string{b}))
	require.NoError(t, s.Close())
	_, err = s.Receive(t.Context(), sink.Envelope{}, nil)
	require.ErrorIs(t, err, sink.ErrClosed)
	require.NoError(t, s.Close(), "closing twice is nothing")

	s, err = sink.Open(sink.Options{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, []string{"first"}, search(t, s, "is:read folder:junk"))
	require.Equal(t, []string{"first"}, search(t, s, ""), "what was deleted stays deleted")
	require.NoError(t, s.DeleteAll(t.Context()))
	require.NoError(t, s.Close())

	s, err = sink.Open(sink.Options{Dir: dir})
	require.NoError(t, err)
	require.Empty(t, search(t, s, ""))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = s.Wait(ctx, sink.Query{}, "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, s.Close())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.db"), []byte(strings.Repeat("damaged", 1000)), 0o600))
	s = open(t, sink.Options{Dir: dir})
	require.Equal(t, []string{"second", "first"}, search(t, s, ""), "a lost index is built from the log")
	require.Empty(t, search(t, s, "is:read"))
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	s := open(t, sink.Options{Dir: dir})
	var mu sync.Mutex
	var accepted []string
	var senders sync.WaitGroup
	todo := make(chan string, 100)
	for range 4 {
		senders.Go(func() {
			for subject := range todo {
				id, err := s.Receive(context.Background(), sink.Envelope{To: []string{"jane@fabrikam.example"}}, []byte(note(subject, "", "")))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				accepted = append(accepted, id)
				mu.Unlock()
			}
		})
	}
	for round := range 5 {
		for i := range 100 {
			todo <- fmt.Sprintf("m %d %d", round, i)
		}
		require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(accepted) > 100*round+20 }, 10*time.Second, 100*time.Microsecond)
		mu.Lock()
		want := append([]string{}, accepted...)
		mu.Unlock()
		copied := t.TempDir()
		copySink(t, dir, copied)
		again, err := sink.Open(sink.Options{Dir: copied})
		require.NoError(t, err)
		require.NoError(t, again.Indexed(t.Context(), slices.Max(want)))
		p, err := again.List(t.Context(), sink.Query{Limit: -1})
		require.NoError(t, err)
		require.Len(t, p.Messages, p.Total)
		seen := map[string]int{}
		for _, m := range p.Messages {
			seen[m.ID]++
			require.Equal(t, 1, seen[m.ID])
		}
		for _, id := range want {
			require.Equal(t, 1, seen[id], id)
		}
		require.NoError(t, again.Close())
	}
	close(todo)
	senders.Wait()
}

// copySink copies the log, with a torn tail, and at every call but the first
// an index that is behind it.
func copySink(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(to, "spool"), 0o700))
	if old := filepath.Join(from, "old.db"); fileExists(old) {
		copyFile(t, old, filepath.Join(to, "index.db"), "")
	}
	names, err := filepath.Glob(filepath.Join(from, "spool", "*.spool"))
	require.NoError(t, err)
	for _, name := range names {
		copyFile(t, name, filepath.Join(to, "spool", filepath.Base(name)), "torn")
	}
	// What an index of this moment has: built from the copy by opening it.
	s, err := sink.Open(sink.Options{Dir: to})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	copyFile(t, filepath.Join(to, "index.db"), filepath.Join(from, "old.db"), "")
}

func fileExists(name string) bool { _, err := os.Stat(name); return err == nil }

func copyFile(t *testing.T, from, to, more string) {
	t.Helper()
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, append(b, more...), 0o600))
}

func TestRetention(t *testing.T) {
	dir := t.TempDir()
	s := open(t, sink.Options{Dir: dir, MaxMessages: 1000, MaxBytes: 9 << 20})
	var last string
	body := strings.Repeat("0123456789abcdef\r\n", 1<<20/18)
	for i := range 30 {
		last = receive(t, s, note(fmt.Sprint("big", i), "", body))
	}
	require.NoError(t, s.Indexed(t.Context(), last))
	require.Eventually(t, func() bool {
		totals, err := s.Totals(t.Context())
		require.NoError(t, err)
		files, err := filepath.Glob(filepath.Join(dir, "spool", "*.spool"))
		require.NoError(t, err)
		return totals.Messages == 8 && totals.Bytes <= 9<<20 && len(files) <= 10
	}, 5*time.Second, time.Millisecond)
	require.Equal(t, "big29", search(t, s, "")[0], "the oldest went")

	s = open(t, sink.Options{MaxMessages: 100})
	for i := range 1000 {
		last = receive(t, s, note(fmt.Sprint("small", i), "", ""))
	}
	require.NoError(t, s.Indexed(t.Context(), last))
	require.Eventually(t, func() bool {
		totals, err := s.Totals(t.Context())
		require.NoError(t, err)
		return totals == sink.Totals{Messages: 100, Unread: 100, Inbox: 100, Bytes: totals.Bytes}
	}, 5*time.Second, time.Millisecond)
	require.Len(t, search(t, s, "small9"), 100)
}
