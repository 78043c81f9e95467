package pop3d

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
)

// need returns the path of a program, and skips the test if the machine has
// none, unless everything is required.
func need(t *testing.T, program, from string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("CI_REQUIRE_ALL") == "1" {
		t.Fatalf("%s is missing: install %s", program, from)
	}
	t.Skipf("%s is not installed on this machine (%s), so that client is not tried", program, from)
	return ""
}

// run runs a program and returns what it prints.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	require.NoError(t, cmd.Run(), "%s%s", out.String(), problems.String())
	return out.String()
}

const dotted = "From: Ada <ada@contoso.example>\r\nSubject: one\r\n\r\n.dot\r\n..\r\nend\r\n"

func filled(t *testing.T) (box *sink.Sink, host, port string) {
	t.Helper()
	box = openSink(t)
	deliver(t, box, dotted, jane)
	deliver(t, box, "Subject: two\n\nx", jane, bob)
	_, addr := start(t, Options{Sink: box})
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return box, host, port
}

func TestPoplib(t *testing.T) {
	python := need(t, "python3", "the Debian package python3")
	box, host, port := filled(t)
	require.Equal(t, "done\n", run(t, python, filepath.Join("testdata", "client.py"), host, port))
	p, err := box.List(t.Context(), sink.Query{Recipient: jane})
	require.NoError(t, err)
	require.Equal(t, 1, p.Total)
}

func TestCurl(t *testing.T) {
	curl := need(t, "curl", "the Debian package curl")
	box, host, port := filled(t)
	at := "pop3://" + net.JoinHostPort(host, port)
	ask := func(args ...string) string {
		return run(t, curl, append([]string{"--silent", "--show-error", "--max-time", "20", "--user", jane + ":any"}, args...)...)
	}
	require.Equal(t, "1 64\r\n2 19\r\n", ask(at+"/"))
	require.Equal(t, dotted, ask(at+"/1"))
	ask("--head", "--request", "DELE", at+"/2")
	p, err := box.List(t.Context(), sink.Query{Recipient: jane})
	require.NoError(t, err)
	require.Equal(t, 1, p.Total)
}
