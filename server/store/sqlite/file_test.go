package sqlite

import (
	"database/sql"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/store/internal/sqlstore"
	"invited/server/store/storetest"
	"invited/server/tenant"
)

// written returns the path of a closed database that holds one guest.
func written(t *testing.T) string {
	t.Helper()
	path := newPath(t)
	s, err := Open(Options{Path: path})
	require.NoError(t, err)
	fill(t, s)
	require.NoError(t, s.Close())
	return path
}

// fill stores the tenant Contoso with one guest.
func fill(t *testing.T, s *Store) {
	t.Helper()
	tn, p := storetest.NewTenant("Contoso")
	require.NoError(t, s.CreateTenant(t.Context(), tn, p))
	require.NoError(t, s.ApplyInvitation(t.Context(), storetest.NewInvitation(storetest.NewGuest(tn.ID, "guest@fabrikam.example"), 64)))
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  string
	}{
		{"a file that others may read", func(t *testing.T, path string) { require.NoError(t, os.Chmod(path, 0o644)) }, "chmod 600"},
		{"a folder that others may enter", func(t *testing.T, path string) { require.NoError(t, os.Chmod(filepath.Dir(path), 0o755)) }, "chmod 700"},
		{"a file that is no database", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("From: someone\r\nThis is a mail and by no means a database, however long one looks at it, really."+path), 0o600))
		}, "header is wrong"},
		{"a file of a few bytes", func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 50)) }, "ends after 50 bytes"},
		{"a file that was cut off", func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 8192)) }, "has 8192 bytes of"},
		{"a schema page that is damaged", func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			require.NoError(t, err)
			_, err = f.WriteAt(make([]byte, 3900), 100)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}, "restore it from a backup"},
		{"a database of a newer program", func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			require.NoError(t, err)
			_, err = db.Exec(`insert into goose_db_version (version_id, is_applied) values (99999, 1)`)
			require.NoError(t, err)
			require.NoError(t, db.Close())
		}, "schema 99999"},
		{"a folder in place of the file", func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		}, "cannot open the database"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := written(t)
			tt.spoil(t, path)
			_, err := Open(Options{Path: path})
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, filepath.Base(filepath.Dir(path)), "it names the file")
		})
	}
}

func TestFilesAreKeptFromOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing on Windows")
	}
	path := filepath.Join(t.TempDir(), "new", "odd name?#%.db")
	s := open(t, Options{Path: path})
	fill(t, s)
	for name, mode := range map[string]os.FileMode{"": 0o600, "-wal": 0o600, "-shm": 0o600} {
		info, err := os.Stat(path + name)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	info, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestClosingLeavesOneFileAndItsLock(t *testing.T) {
	path := written(t)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 2)
	info, err := os.Stat(path + lockSuffix)
	require.NoError(t, err)
	require.Zero(t, info.Size())
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestEphemeralDataIsRemoved(t *testing.T) {
	s, err := Open(Options{})
	require.NoError(t, err)
	fill(t, s)
	require.DirExists(t, s.temp)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "closing twice is harmless")
	require.NoDirExists(t, s.temp)
	tn, p := storetest.NewTenant("Late")
	require.ErrorIs(t, s.CreateTenant(t.Context(), tn, p), errClosed)
}

// TestCommittedIsInTheFiles copies what is on disk the moment a change was
// answered, as a crash would leave it, and finds the change in the copy.
func TestCommittedIsInTheFiles(t *testing.T) {
	path := newPath(t)
	s := open(t, Options{Path: path})
	fill(t, s)
	leased, err := s.ClaimMail(t.Context(), "dies", storetest.Start, time.Hour, 9)
	require.NoError(t, err)
	require.Len(t, leased, 1)
	copied := newPath(t)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(copied+suffix, b, 0o600))
	}
	found := open(t, Options{Path: copied, Now: func() time.Time { return storetest.Start }})
	users, err := found.ListUsers(t.Context(), "Contoso", tenant.UserQuery{Limit: 9})
	require.NoError(t, err)
	require.Len(t, users, 1)
	items, err := found.ClaimMail(t.Context(), "w", storetest.Start, 1, 9)
	require.NoError(t, err)
	require.Len(t, items, 1, "the lease died with its owner")
	require.Equal(t, 2, items[0].Attempt, "its attempt may have happened")
}

func TestDatabaseHasOneOwner(t *testing.T) {
	path := newPath(t)
	s, err := Open(Options{Path: path})
	require.NoError(t, err)
	fill(t, s)
	_, err = Open(Options{Path: path})
	require.ErrorContains(t, err, "another process has")
	require.ErrorContains(t, err, path)
	require.NoError(t, s.Ping(t.Context()), "the first is not disturbed")
	require.NoError(t, s.Close())
	s, err = Open(Options{Path: path})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// TestClockSetBack queues and leases under a clock that is years ahead.
func TestClockSetBack(t *testing.T) {
	path := newPath(t)
	later := storetest.Start.AddDate(10, 0, 0)
	s, err := Open(Options{Path: path, Now: func() time.Time { return later }})
	require.NoError(t, err)
	fill(t, s)
	items, err := s.ClaimMail(t.Context(), "w", later, time.Minute, 9)
	require.NoError(t, err)
	require.Len(t, items, 1)
	require.NoError(t, s.FinishMail(t.Context(), "w", []outbox.Result{{ID: items[0].ID, State: mail.Deferred, Next: later.Add(time.Hour)}}))
	require.NoError(t, s.Close())

	s = open(t, Options{Path: path, Now: func() time.Time { return storetest.Start }})
	due, ok, err := s.NextMailDue(t.Context())
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, storetest.Start.Add(sqlstore.MaxWait), due)
}
