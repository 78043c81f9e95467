package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestABackupUnderLoadHasEveryAcceptedInvitation backs up a server that is
// being used, and starts another one on what comes back.
func TestABackupUnderLoadHasEveryAcceptedInvitation(t *testing.T) {
	s := startServer(t)
	var mu sync.Mutex
	var accepted []invitation
	var stop atomic.Bool
	var load sync.WaitGroup
	enough := make(chan struct{})
	for n := range 4 {
		load.Go(func() {
			for i := 0; !stop.Load(); i++ {
				var out invitation
				if err := s.admin.call(s.env, http.MethodPost, "/invited/v1/invitations", fields{"email": fmt.Sprintf("g%d@d%d-%d.example", i, n, i)}, &out); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if accepted = append(accepted, out); len(accepted) == 100 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(30 * time.Second):
	}
	mu.Lock()
	before := append([]invitation(nil), accepted...)
	mu.Unlock()
	dir := t.TempDir()
	file := filepath.Join(dir, "b")
	err := backupCmd{File: file, Data: s.cfg.Data, Sink: true}.Run(s.env)
	stop.Store(true)
	load.Wait()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(before), 100)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside the backup")

	data := filepath.Join(dir, "data")
	require.NoError(t, restoreCmd{File: file, Data: data}.Run(env{ctx: t.Context(), stdout: io.Discard}))
	cfg := ephemeralConfig(t.TempDir())
	cfg.Data = data
	a, err := newApp(context.Background(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	a.start()
	t.Cleanup(func() { require.NoError(t, a.stop()) })
	again := &testServer{app: a, env: s.env, admin: &client{base: a.URL(), token: a.localToken(), http: http.DefaultClient}}
	for _, inv := range before {
		var got invitation
		require.NoError(t, again.admin.call(s.env, http.MethodGet, "/invited/v1/invitations/"+inv.ID, nil, &got))
		require.Equal(t, inv.ID, got.ID)
	}
	// The keys came along: a link that was mailed before still works.
	link := a.URL() + before[0].RedeemURL[len(s.URL()):]
	require.Equal(t, "Review permissions", again.click(t, link).heading)
}
