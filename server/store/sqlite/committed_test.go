package sqlite

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/store/storetest"
)

func TestCommitsAreTold(t *testing.T) {
	var commits, changes atomic.Int64
	s, err := Open(Options{Committed: func(n int, took time.Duration) {
		commits.Add(1)
		changes.Add(int64(n))
		require.Positive(t, took)
	}})
	require.NoError(t, err)
	before := changes.Load()
	tenant, policy := storetest.NewTenant("Contoso")
	require.NoError(t, s.CreateTenant(t.Context(), tenant, policy))
	require.NoError(t, s.Close())
	require.EqualValues(t, 1, changes.Load()-before)
	require.LessOrEqual(t, commits.Load(), changes.Load())
}
