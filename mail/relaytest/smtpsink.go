package relaytest

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// SMTPSink starts Postfix's smtp-sink, which knows nothing of us, and
// returns its URL. The flags -q, -Q, -r and -f make it fail at the commands they
// name. Without it the test is skipped, or fails if CI_REQUIRE_ALL is 1.
func SMTPSink(t testing.TB, flags ...string) string {
	t.Helper()
	path := "/usr/sbin/smtp-sink"
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("smtp-sink"); err != nil {
			if os.Getenv("CI_REQUIRE_ALL") == "1" {
				t.Fatal("smtp-sink is missing: install Debian's postfix package")
			}
			t.Skip("smtp-sink, which comes with Debian's postfix package, is not installed")
		}
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // smtp-sink cannot choose a port itself
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	var said strings.Builder
	args := append([]string{"-c"}, flags...)
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	cmd := exec.CommandContext(context.Background(), path, append(args, addr, "200")...)
	cmd.Stderr, cmd.Stdout = &said, io.Discard
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			return false
		}
		_ = nc.Close()
		return true
	}, 5*time.Second, 5*time.Millisecond, "smtp-sink does not listen")
	return "smtp://" + addr
}
