package imapd_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/imapd"
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
func run(t *testing.T, dir string, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	require.NoError(t, cmd.Run(), "%s%s", out.String(), problems.String())
	return out.String()
}

// filled returns a sink with two messages of Jane's in the inbox and one in
// Junk, and where it is served.
func filled(t *testing.T) (box *sink.Sink, host, port string) {
	t.Helper()
	box = openSink(t, t.TempDir())
	deliver(t, box, tree)
	deliver(t, box, note("second mail", "", ".a dot\r\nand the end"), jane, bob)
	deliver(t, box, note("win a prize", "X-Test: junk\r\n", "x"))
	_, addr := start(t, imapd.Options{Sink: box})
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return box, host, port
}

func TestImaplib(t *testing.T) {
	python := need(t, "python3", "the Debian package python3")
	box, host, port := filled(t)
	require.Equal(t, "done\n", run(t, t.TempDir(), python, filepath.Join(wd(t), "testdata", "client.py"), host, port))
	p, err := box.List(t.Context(), sink.Query{Recipient: jane, Folder: sink.Junk})
	require.NoError(t, err)
	require.Equal(t, 2, p.Total)
}

func TestImapflow(t *testing.T) {
	node := need(t, "node", "Node.js")
	const install = "npm ci --ignore-scripts --prefix mail/sink/imapd/testdata"
	if _, err := os.Stat(filepath.Join("testdata", "node_modules", "imapflow")); err != nil {
		if os.Getenv("CI_REQUIRE_ALL") == "1" {
			t.Fatalf("imapflow is missing: %s", install)
		}
		t.Skipf("imapflow is not installed (%s), so that client is not tried", install)
	}
	box, host, port := filled(t)
	require.Equal(t, "done\n", run(t, "testdata", node, "client.mjs", host, port))
	p, err := box.List(t.Context(), sink.Query{Recipient: jane, Folder: sink.Junk})
	require.NoError(t, err)
	require.Equal(t, 2, p.Total)
}

func TestCurl(t *testing.T) {
	curl := need(t, "curl", "the Debian package curl")
	box, host, port := filled(t)
	at, dir := "imap://"+net.JoinHostPort(host, port), t.TempDir()
	ask := func(args ...string) string {
		return run(t, dir, curl, append([]string{"--silent", "--show-error", "--max-time", "20", "--user", jane + ":any"}, args...)...)
	}
	require.Equal(t, tree, ask(at+"/INBOX;UID=1"))
	require.Equal(t, "Guten T=C3=A4g", ask(at+"/INBOX;UID=1;SECTION=1.1"))
	require.Contains(t, ask(at+"/"), `\Junk) "/" "Junk"`)
	require.Equal(t, "* SEARCH 2\r\n", ask(at+"/INBOX?SUBJECT%20second"))
	require.Contains(t, ask(at, "--request", "EXAMINE Junk"), "1 EXISTS")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mail"), []byte("Subject: uploaded\r\n\r\nx\r\n"), 0o600))
	ask("--upload-file", "mail", at+"/Junk")
	p, err := box.List(t.Context(), sink.Query{Recipient: jane, Folder: sink.Junk})
	require.NoError(t, err)
	require.Equal(t, "uploaded", p.Messages[0].Subject)
}

// TestMbsync synchronises both ways, twice: the second time there is nothing
// to do, or numbers and flags did not last.
func TestMbsync(t *testing.T) {
	mbsync := need(t, "mbsync", "the Debian package isync")
	box, host, port := filled(t)
	dir := t.TempDir()
	config := fmt.Sprintf(`IMAPAccount sink
Host %s
Port %s
User %s
Pass any
SSLType None
AuthMechs PLAIN

IMAPStore far
Account sink

MaildirStore near
Path %[4]s/mail/
Inbox %[4]s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Expunge Both
Sync All
SyncState *
`, host, port, jane, dir)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "mail"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rc"), []byte(config), 0o600))
	sync := func() { run(t, dir, mbsync, "--config", "rc", "--all") }
	files := func(folder string) []string {
		found, err := filepath.Glob(filepath.Join(dir, "mail", folder, "[cn]*", "*"))
		require.NoError(t, err)
		return found
	}
	sync()
	require.Len(t, files("INBOX"), 2)
	require.Len(t, files("Junk"), 1)
	var bodies []string
	for _, f := range files("INBOX") {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		bodies = append(bodies, strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	require.Contains(t, strings.Join(bodies, ""), "\n.a dot\nand the end\n")
	before := files("INBOX")
	sync()
	require.Equal(t, before, files("INBOX"))

	name := filepath.Base(files("INBOX")[0])
	name, _, _ = strings.Cut(name, ":")
	require.NoError(t, os.Rename(files("INBOX")[0], filepath.Join(dir, "mail", "INBOX", "cur", name+":2,FS")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mail", "Junk", "new", "1.local.mail"), []byte("Subject: from the laptop\n\nx\n"), 0o600))
	sync()
	p, err := box.List(t.Context(), sink.Query{Recipient: jane})
	require.NoError(t, err)
	require.Equal(t, "from the laptop", p.Messages[0].Subject)
	require.Equal(t, sink.Junk, p.Messages[0].Recipients[0].Folder)
	read := 0
	for _, m := range p.Messages {
		if m.Read {
			read++
		}
	}
	require.Equal(t, 1, read)
	for _, f := range files("INBOX") {
		require.NoError(t, os.Remove(f))
	}
	sync()
	p, err = box.List(t.Context(), sink.Query{Recipient: jane, Folder: sink.Inbox})
	require.NoError(t, err)
	require.Zero(t, p.Total)
	p, err = box.List(t.Context(), sink.Query{Recipient: bob})
	require.NoError(t, err)
	require.Equal(t, 1, p.Total, "bob keeps his")
}

func wd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	return dir
}
