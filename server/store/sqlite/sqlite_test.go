package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/store"
	"invited/server/store/storetest"
)

// newPath returns a path in a folder that only its owner may use.
func newPath(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	return filepath.Join(dir, "invited.db")
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStore(t *testing.T) {
	t.Run("in a file", func(t *testing.T) {
		storetest.Run(t, storetest.Engine{
			Open: func(t *testing.T) store.Store { return open(t, Options{Path: newPath(t)}) },
			Reopen: func(t *testing.T, s store.Store) store.Store {
				require.NoError(t, s.Close())
				return open(t, Options{Path: s.(*Store).opts.Path})
			},
		})
	})
	t.Run("ephemeral", func(t *testing.T) {
		storetest.Run(t, storetest.Engine{Open: func(t *testing.T) store.Store { return open(t, Options{}) }})
	})
}
