package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/store"
	"invited/server/store/pgtest"
	"invited/server/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// open opens a store; an empty URL is that of a new database.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.URL == "" {
		o.URL = pgtest.URL(t)
	}
	if o.MaxConns == 0 {
		o.MaxConns = 8
	}
	s, err := Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Engine{
		Open: func(t *testing.T) store.Store { return open(t, Options{}) },
		Reopen: func(t *testing.T, s store.Store) store.Store {
			require.NoError(t, s.Close())
			return open(t, Options{URL: s.(*Store).opts.URL})
		},
	})
}
