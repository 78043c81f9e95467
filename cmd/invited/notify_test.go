package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheServiceManagerHearsWhenAServerIsReadyAndWhenItStops(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify") // short: names of sockets are
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	if runtime.GOOS == "linux" {
		path = "@invited-" + filepath.Base(dir)
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	require.NoError(t, socket.SetReadDeadline(time.Now().Add(20*time.Second)))
	t.Setenv("NOTIFY_SOCKET", path)
	hear := func() string {
		b := make([]byte, 512)
		n, err := socket.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var out strings.Builder
	ended := make(chan error, 1)
	cfg := ephemeralConfig(t.TempDir())
	go func() { ended <- serve(env{ctx: ctx, stdout: &out, stderr: io.Discard}, cfg) }()
	require.Contains(t, hear(), "READY=1")
	c, err := readCredential(cfg.Data)
	require.NoError(t, err)
	code, _ := fetch(t, c.Server+"/readyz")
	require.Equal(t, 200, code, "ready means ready")
	stop()
	require.Contains(t, hear(), "STOPPING=1")
	require.NoError(t, <-ended)
}
