package dkim_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Other people's programs judge our signatures.

// program returns the path of a program, or skips the test: on a machine that
// must have everything it fails.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	missing(t, name+" is not installed (Debian: "+pkg+")")
	return ""
}

func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI_REQUIRE_ALL") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// spoil changes a byte of the body.
func spoil(signed string) string { return strings.Replace(signed, "Review", "review", 1) }

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// TestOpenDKIMVerifies asks opendkim, which reads keys from a file in its test
// mode. (opendkim-testmsg is no use here: it knows no keys but those of the
// DNS, and signs with SHA-1.)
func TestOpenDKIMVerifies(t *testing.T) {
	opendkim := program(t, "opendkim", "opendkim")
	s := newSigner(t, false)
	published := ""
	for _, r := range s.Records() {
		published += r.Name + " " + r.Value + "\n"
	}
	conf := write(t, "opendkim.conf", "Mode v\nTestPublicKeys "+write(t, "keys", published)+"\n")
	verify := func(mail string) string {
		out, err := exec.Command(opendkim, "-x", conf, "-t", write(t, "mail.eml", mail), "-vv").CombinedOutput()
		t.Logf("%v: %s", err, out)
		return string(out)
	}
	signed := sign(t, s)
	require.Contains(t, verify(signed), "verification (s=s1, d=contoso.example, 2048-bit key) succeeded")
	require.NotContains(t, verify(spoil(signed)), "succeeded")
	require.NotContains(t, verify("From: Bank <bank@bank.example>\r\n"+signed), "succeeded")
}

// dkimpy verifies each signature of the mail on standard input; the records
// are the arguments.
const dkimpy = `
import sys, dkim
records = {n.encode() + b".": v.encode() for n, v in zip(sys.argv[1::2], sys.argv[2::2])}
raw = sys.stdin.buffer.read()
for i in range(2):
    try:
        print(dkim.DKIM(raw, minkey=2048).verify(idx=i, dnsfunc=lambda name, timeout=5: records.get(name)))
    except dkim.ValidationError:
        print(False)
`

func TestDKIMPyVerifies(t *testing.T) {
	python := ""
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(candidate, "-c", "import dkim, nacl").Run() == nil {
			python = candidate
			break
		}
	}
	if python == "" {
		missing(t, "dkimpy is not installed (Debian: python3-dkim and python3-nacl)")
	}
	s := newSigner(t, true)
	args := []string{"-c", dkimpy}
	for _, r := range s.Records() {
		args = append(args, r.Name, r.Value)
	}
	verify := func(mail string) string {
		cmd := exec.Command(python, args...)
		cmd.Stdin = strings.NewReader(mail)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.Join(strings.Fields(string(out)), " ")
	}
	signed := sign(t, s)
	require.Equal(t, "True True", verify(signed))
	require.Equal(t, "False False", verify(spoil(signed)))
	require.Equal(t, "False False", verify("Subject: Pay now\r\n"+signed))
}
