package doctor_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/doctor"
)

// result finds a check by name.
func result(t *testing.T, all []doctor.Result, name string) doctor.Result {
	t.Helper()
	for _, r := range all {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no check %q in %v", name, all)
	return doctor.Result{}
}

func TestExamineDataDirectory(t *testing.T) {
	private := filepath.Join(t.TempDir(), "private")
	require.NoError(t, os.Mkdir(private, 0o700))
	open := filepath.Join(t.TempDir(), "open")
	require.NoError(t, os.Mkdir(open, 0o700))
	require.NoError(t, os.Chmod(open, 0o755))
	leaky := filepath.Join(t.TempDir(), "leaky")
	require.NoError(t, os.Mkdir(leaky, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(leaky, "key"), nil, 0o600))
	require.NoError(t, os.Chmod(filepath.Join(leaky, "key"), 0o644))

	tests := []struct {
		name, dir, check string
		ok               bool
		remedy           string
	}{
		{"a private directory is fine", private, "data directory", true, ""},
		{"a readable directory is named with its remedy", open, "data directory", false, "chmod 700 " + open},
		{"a missing directory says how to make one", "/nonexistent/invited", "data directory", false, "--data"},
		{"a readable key is named with its remedy", leaky, "file modes", false, "chmod 600 " + filepath.Join(leaky, "key")},
		{"there is space", private, "disk space", true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := result(t, doctor.Examine(t.Context(), doctor.Target{Data: tt.dir}), tt.check)
			require.Equal(t, tt.ok, r.OK, r.Detail)
			require.Contains(t, r.Remedy, tt.remedy)
			require.NotEmpty(t, r.Detail)
		})
	}
	left, err := os.ReadDir(private)
	require.NoError(t, err)
	require.Empty(t, left, "the doctor leaves nothing behind")
}

func TestExamineServers(t *testing.T) {
	healthy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	defer healthy.Close()
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer sick.Close()
	greeter := func(line string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte(line))
				c.Close()
			}
		}()
		return l.Addr().String()
	}
	target := doctor.Target{Data: t.TempDir(), Server: healthy.URL, Sink: sick.URL, SMTP: greeter("220 hello\r\n")}
	all := doctor.Examine(t.Context(), target)
	require.True(t, result(t, all, "server").OK)
	require.False(t, result(t, all, "sink").OK)
	require.True(t, result(t, all, "SMTP").OK)

	target.SMTP = greeter("SSH-2.0-x\r\n")
	r := result(t, doctor.Examine(t.Context(), target), "SMTP")
	require.False(t, r.OK)
	require.True(t, strings.Contains(r.Detail, "SSH-2.0"), r.Detail)
}
