package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func add(t testing.TB, s *Spool, raw string) (ID, Position) {
	t.Helper()
	id, pos, err := s.Append(context.Background(), []byte(`{"from":"a@x.example"}`), []byte(raw))
	require.NoError(t, err)
	return id, pos
}

func end(s *Spool) Position {
	p, _ := s.End()
	return p
}

// all returns the raw bytes of every record, in order, and checks that ids
// ascend.
func all(t testing.TB, s *Spool) []string {
	t.Helper()
	var raws []string
	var last ID
	for p := (Position{}); ; {
		rec, next, err := s.Next(p)
		if errors.Is(err, io.EOF) {
			return raws
		}
		require.NoError(t, err)
		require.Positive(t, bytes.Compare(rec.ID[:], last[:]), "ids ascend")
		last, p = rec.ID, next
		raws = append(raws, string(rec.Raw))
	}
}

func TestAppendAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, Options{Dir: dir, SegmentSize: 200})
	var want []string
	var positions []Position
	for i := range 20 {
		raw := fmt.Sprintf("message %d\r\n", i)
		id, pos := add(t, s, raw)
		rec, err := s.Read(pos)
		require.NoError(t, err)
		require.Equal(t, id, rec.ID)
		require.Equal(t, `{"from":"a@x.example"}`, string(rec.Envelope))
		require.Equal(t, raw, string(rec.Raw))
		want, positions = append(want, raw), append(positions, pos)
	}
	require.Equal(t, want, all(t, s))
	require.Greater(t, len(s.Segments()), 3, "small segments roll")

	_, err := Open(Options{Dir: dir})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, s.Close())
	_, _, err = s.Append(t.Context(), nil, nil)
	require.ErrorIs(t, err, ErrClosed)

	s = open(t, Options{Dir: dir, SegmentSize: 200})
	require.Equal(t, want, all(t, s), "everything is there after reopening")
	first := s.Segments()[0]
	require.NoError(t, s.Remove(first))
	require.ErrorIs(t, s.Remove(first), ErrNotFound)
	require.Error(t, s.Remove(s.Segments()[len(s.Segments())-1]), "the newest segment stays")
	_, err = s.Read(positions[0])
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, want[len(want)-3:], all(t, s)[len(all(t, s))-3:])

	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), e.Name())
	}
}

func TestIDsAscendWhenTheClockGoesBack(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, SegmentSize: 1, Now: func() time.Time { return now }})
	first, _ := add(t, s, "a")
	now = now.Add(-time.Hour)
	second, _ := add(t, s, "b")
	for _, n := range s.Segments()[:len(s.Segments())-1] {
		require.NoError(t, s.Remove(n))
	}
	require.NoError(t, s.Close())
	s = open(t, Options{Dir: dir, Now: func() time.Time { return now.AddDate(-10, 0, 0) }})
	third, _ := add(t, s, "c")
	require.Less(t, first.String(), second.String())
	require.Less(t, second.String(), third.String())
	require.Len(t, third.String(), 24)

	got, err := ParseID(third.String())
	require.NoError(t, err)
	require.Equal(t, third, got)
	require.Equal(t, third, FromKey(third.Key()))
	for _, bad := range []string{"", "zz", third.String()[:23], third.String()[:23] + "g", "000000000000000000000001", "../../../etc/passwd12345"} {
		_, err := ParseID(bad)
		require.ErrorIs(t, err, ErrNotFound, bad)
	}
}

func TestWaitingCallersShareOneSync(t *testing.T) {
	syncs, hold := atomic.Int64{}, make(chan struct{})
	s := open(t, Options{Dir: t.TempDir()})
	s.active.file = &faulty{file: s.active.file, sync: func() error { syncs.Add(1); <-hold; return nil }}
	var wg sync.WaitGroup
	wg.Go(func() { add(t, s, "first") })
	require.Eventually(t, func() bool { return syncs.Load() == 1 }, 5*time.Second, time.Millisecond)
	for i := range 63 {
		wg.Go(func() { add(t, s, fmt.Sprint(i)) })
	}
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.waiting) == 63
	}, 5*time.Second, time.Millisecond)
	close(hold)
	wg.Wait()
	require.Len(t, all(t, s), 64)
	require.EqualValues(t, 2, syncs.Load())
}

// TestTornTail cuts a log at every byte: whatever was answered before that byte
// is back, and the log goes on.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	var raws []string
	var ends []int64
	for i := range 4 {
		raw := string(bytes.Repeat([]byte{byte('a' + i)}, i*5))
		add(t, s, raw)
		raws, ends = append(raws, raw), append(ends, end(s).Offset)
	}
	require.NoError(t, s.Close())
	name := segmentName(1)
	whole, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	tail := []struct {
		name string
		make func(n int) []byte
	}{
		{"nothing", func(int) []byte { return nil }},
		{"zeros", func(n int) []byte { return make([]byte, n) }},
		{"noise", func(n int) []byte {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
			return b
		}},
	}
	for _, tt := range tail {
		t.Run("followed by "+tt.name, func(t *testing.T) {
			for cut := headSize; cut <= len(whole); cut++ {
				dir := t.TempDir()
				data := append(bytes.Clone(whole[:cut]), tt.make(len(whole)-cut)...)
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
				s, err := Open(Options{Dir: dir})
				require.NoError(t, err)
				n := 0
				for n < len(ends) && ends[n] <= int64(cut) {
					n++
				}
				require.Equal(t, len(raws[:n]), len(all(t, s)), "cut at %d", cut)
				add(t, s, "goes on")
				require.Equal(t, append(append([]string{}, raws[:n]...), "goes on"), all(t, s), "cut at %d", cut)
				require.NoError(t, s.Close())
			}
		})
	}
	t.Run("within the head of a new segment", func(t *testing.T) {
		for cut := range headSize {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), whole, 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, segmentName(2)), whole[:cut], 0o600))
			s, err := Open(Options{Dir: dir})
			require.NoError(t, err)
			require.Equal(t, raws, all(t, s))
			require.NoError(t, s.Close())
		}
	})
}

func TestDamageCostsOneRecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	add(t, s, "first")
	_, hit := add(t, s, "second")
	_, last := add(t, s, "third")
	require.NoError(t, s.Close())
	path := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for off := hit.Offset; off < last.Offset; off++ {
		data := bytes.Clone(whole)
		data[off] ^= 0x40
		require.NoError(t, os.WriteFile(path, data, 0o600))
		s, err := Open(Options{Dir: dir})
		require.NoError(t, err)
		require.Equal(t, []string{"first", "third"}, all(t, s), "byte %d", off)
		_, err = s.Read(hit)
		require.ErrorIs(t, err, ErrDamaged)
		require.NoError(t, s.Close())
	}
}

func TestMailCannotPassForARecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	forged := header{id: newID(1 << 60), raw: 3, sum: checksum(nil, []byte("bad"))}.append(nil, mark{})
	add(t, s, "first")
	_, hit := add(t, s, string(forged)+"bad")
	add(t, s, "third")
	require.NoError(t, s.Close())
	path := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	whole[hit.Offset+20]++
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	s = open(t, Options{Dir: dir})
	require.Equal(t, []string{"first", "third"}, all(t, s))
}

// faulty is a file that fails on demand.
type faulty struct {
	file
	write func(b []byte, off int64) (int, error)
	sync  func() error
	trunc func(int64) error
}

func (f *faulty) WriteAt(b []byte, off int64) (int, error) {
	if f.write != nil {
		return f.write(b, off)
	}
	return f.file.WriteAt(b, off)
}

func (f *faulty) Sync() error {
	if f.sync != nil {
		return f.sync()
	}
	return f.file.Sync()
}

func (f *faulty) Truncate(n int64) error {
	if f.trunc != nil {
		return f.trunc(n)
	}
	return f.file.Truncate(n)
}

func TestFailures(t *testing.T) {
	broken := errors.New("input/output error")
	tests := []struct {
		name     string
		fault    func(f *faulty)
		err      error
		segments int // after going on
	}{
		{"a full disk leaves nothing behind and the segment goes on", func(f *faulty) {
			f.write = func(b []byte, off int64) (int, error) {
				n, _ := f.file.WriteAt(b[:len(b)/2], off)
				return n, syscall.ENOSPC
			}
		}, ErrFull, 1},
		{"a full disk noticed by the sync is a full disk", func(f *faulty) { f.sync = func() error { return syscall.ENOSPC } }, ErrFull, 1},
		{"a quota is a full disk", func(f *faulty) {
			f.write = func([]byte, int64) (int, error) { return 0, syscall.EDQUOT }
		}, ErrFull, 1},
		{"after a failed sync another segment begins", func(f *faulty) { f.sync = func() error { return broken } }, broken, 2},
		{"what cannot be taken back is left behind", func(f *faulty) {
			f.sync = func() error { return broken }
			f.trunc = func(int64) error { return broken }
		}, broken, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, Options{Dir: dir})
			add(t, s, "before")
			good := s.active.file
			f := &faulty{file: good}
			tt.fault(f)
			s.active.file = f
			_, _, err := s.Append(t.Context(), nil, []byte("lost"))
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, []string{"before"}, all(t, s))
			*f = faulty{file: good}
			add(t, s, "after")
			require.Equal(t, []string{"before", "after"}, all(t, s))
			require.Len(t, s.Segments(), tt.segments)
			require.NoError(t, s.Close())
			s = open(t, Options{Dir: dir})
			require.Subset(t, all(t, s), []string{"before", "after"})
		})
	}
}

func TestRefusals(t *testing.T) {
	_, err := Open(Options{})
	require.ErrorContains(t, err, "Options.Dir")
	s := open(t, Options{Dir: t.TempDir()})
	_, _, err = s.Append(t.Context(), nil, make([]byte, MaxRecord+1))
	require.ErrorIs(t, err, ErrTooLarge)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = s.Append(ctx, nil, nil)
	require.ErrorIs(t, err, context.Canceled)
	big := string(bytes.Repeat([]byte("x"), 3<<20))
	_, pos := add(t, s, big)
	rec, err := s.Read(pos)
	require.NoError(t, err)
	require.Equal(t, big, string(rec.Raw))
	_, err = s.Read(end(s))
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.Read(Position{Segment: 1, Offset: pos.Offset + 1})
	require.ErrorIs(t, err, ErrDamaged)
}

// memory is a segment file that cannot be written.
type memory struct{ *bytes.Reader }

func (memory) WriteAt([]byte, int64) (int, error) { return 0, syscall.EROFS }
func (memory) Truncate(int64) error               { return syscall.EROFS }
func (memory) Sync() error                        { return nil }
func (memory) Close() error                       { return nil }

// FuzzSegment checks that any bytes behind a head are read to their end, record
// by record, each lying behind the one before and whole.
func FuzzSegment(f *testing.F) {
	m := mark{1, 2, 3, 4, 5, 6, 7, 8}
	rec := header{id: newID(1<<50 + 1), envelope: 2, raw: 3, sum: checksum([]byte("{}"), []byte("abc"))}.append(nil, m)
	rec = append(rec, "{}abc"...)
	f.Add([]byte{})
	f.Add(rec)
	f.Add(rec[:len(rec)-1])
	f.Add(append(bytes.Clone(rec), rec...))
	f.Add(append(append(bytes.Clone(rec), "damage"...), rec...))
	f.Add(append(bytes.Clone(rec), header{id: newID(1), raw: MaxRecord}.append(nil, m)...))
	f.Add(m[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := decodeHead(b)
		require.True(t, err == nil || errors.Is(err, errHead))
		whole := append(head{mark: m}.encode(), b...)
		g := &segment{number: 1, file: memory{bytes.NewReader(whole)}, head: head{mark: m}, end: int64(len(whole))}
		for off := int64(headSize); ; {
			rec, next, err := g.next(off)
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
			require.GreaterOrEqual(t, rec.Position.Offset, off)
			require.Equal(t, next, rec.Position.Offset+headerSize+int64(len(rec.Envelope)+len(rec.Raw)))
			again, _, err := g.read(rec.Position.Offset)
			require.NoError(t, err)
			require.Equal(t, rec, again)
			off = next
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("20kB by %d callers", callers), func(b *testing.B) {
			s := open(b, Options{Dir: b.TempDir()})
			raw := bytes.Repeat([]byte("0123456789abcde\n"), 20<<10/16)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						_, _, err := s.Append(context.Background(), []byte("{}"), raw)
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
		})
	}
}
