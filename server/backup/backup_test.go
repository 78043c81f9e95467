package backup_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/backup"
)

func packed(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "keys"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.db"), bytes.Repeat([]byte("data"), 1000), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys", "k"), nil, 0o600))
	var b bytes.Buffer
	list, err := backup.Pack(&b, dir, "1.2", time.Unix(1e9, 0))
	require.NoError(t, err)
	require.Len(t, list.Files, 2)
	return b.Bytes()
}

func TestWhatWasPackedComesBack(t *testing.T) {
	dir := t.TempDir()
	list, err := backup.Unpack(bytes.NewReader(packed(t)), dir)
	require.NoError(t, err)
	require.Equal(t, "1.2", list.Version)
	data, err := os.ReadFile(filepath.Join(dir, "a.db"))
	require.NoError(t, err)
	require.Len(t, data, 4000)
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "keys"), func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		return nil
	}))
}

func TestADamagedArchiveIsRefused(t *testing.T) {
	good := packed(t)
	for _, n := range []int{0, 1, 10, len(good) / 2, len(good) - 1} {
		_, err := backup.Unpack(bytes.NewReader(good[:n]), t.TempDir())
		require.ErrorIs(t, err, backup.ErrDamaged, "cut to %d bytes", n)
	}
	for i := 10; i < len(good); i += 7 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x20
		_, err := backup.Unpack(bytes.NewReader(bad), t.TempDir())
		require.Error(t, err, "byte %d", i)
	}
}

// archive makes one by hand.
func archive(t testing.TB, list backup.List, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	head, err := json.Marshal(list)
	require.NoError(t, err)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "invited-backup.json", Size: int64(len(head)), Mode: 0o600, Typeflag: tar.TypeReg}))
	_, err = w.Write(head)
	require.NoError(t, err)
	for _, h := range entries {
		require.NoError(t, w.WriteHeader(&h))
	}
	require.NoError(t, w.Close())
	require.NoError(t, zip.Close())
	return b.Bytes()
}

const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestAnArchiveThatWouldLeaveItsFolderIsRefused(t *testing.T) {
	for _, name := range []string{"../evil", "/etc/evil", "a/../../evil", "", ".", "a//b"} {
		data := archive(t, backup.List{Format: 1, Files: []backup.File{{Name: name, SHA256: nothing}}}, tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600})
		_, err := backup.Unpack(bytes.NewReader(data), t.TempDir())
		require.ErrorIs(t, err, backup.ErrDamaged, "%q", name)
	}
	link := archive(t, backup.List{Format: 1, Files: []backup.File{{Name: "a", SHA256: nothing}}}, tar.Header{Name: "a", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink})
	_, err := backup.Unpack(bytes.NewReader(link), t.TempDir())
	require.ErrorIs(t, err, backup.ErrDamaged)
	more := archive(t, backup.List{Format: 1}, tar.Header{Name: "a", Typeflag: tar.TypeReg})
	_, err = backup.Unpack(bytes.NewReader(more), t.TempDir())
	require.ErrorIs(t, err, backup.ErrDamaged)
	newer := archive(t, backup.List{Format: 2})
	_, err = backup.Unpack(bytes.NewReader(newer), t.TempDir())
	require.ErrorIs(t, err, backup.ErrDamaged)
}

// FuzzUnpack checks that no archive panics or writes outside its folder.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, backup.List{Format: 1, Files: []backup.File{{Name: "a", SHA256: nothing}}}, tar.Header{Name: "a", Typeflag: tar.TypeReg}))
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, data []byte) {
		above := t.TempDir()
		dir := filepath.Join(above, "in")
		require.NoError(t, os.Mkdir(dir, 0o700))
		_, _ = backup.Unpack(bytes.NewReader(data), dir)
		entries, err := os.ReadDir(above)
		require.NoError(t, err)
		require.Len(t, entries, 1)
	})
}
