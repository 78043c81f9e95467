package dsn_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"invited/mail/dsn"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// corpus returns the reports of testdata, by name.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.eml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	out := map[string][]byte{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		out[strings.TrimSuffix(f, ".eml")] = []byte(strings.ReplaceAll(string(raw), "\n", "\r\n"))
	}
	return out
}

func TestCorpus(t *testing.T) {
	for name, raw := range corpus(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			r := dsn.Parse(raw)
			got, err := json.MarshalIndent(map[string]any{"report": r, "suppress": r.Suppress(), "delayed": r.Delayed()}, "", "  ")
			require.NoError(t, err)
			got = append(got, '\n')
			if *update {
				require.NoError(t, os.WriteFile(name+".want", got, 0o644))
			}
			want, err := os.ReadFile(name + ".want")
			require.NoError(t, err, "run go test -update to create it")
			require.Equal(t, string(want), string(got))
		})
	}
}

func TestSuppress(t *testing.T) {
	tests := []struct {
		name string
		r    dsn.Report
		want bool
	}{
		{"no such mailbox", dsn.Report{Kind: dsn.Permanent, Status: "5.1.1"}, true},
		{"no such domain", dsn.Report{Kind: dsn.Permanent, Status: "5.1.2"}, true},
		{"not authorised", dsn.Report{Kind: dsn.Permanent, Status: "5.7.1"}, true},
		{"a complaint", dsn.Report{Kind: dsn.Complaint}, true},
		{"our own address is wrong", dsn.Report{Kind: dsn.Permanent, Status: "5.1.8"}, false},
		{"mailbox full", dsn.Report{Kind: dsn.Permanent, Status: "5.2.2"}, false},
		{"another policy", dsn.Report{Kind: dsn.Permanent, Status: "5.7.26"}, false},
		{"given up after waiting", dsn.Report{Kind: dsn.Transient, Status: "4.4.1"}, false},
		{"nothing", dsn.Report{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, tt.r.Suppress()) })
	}
}

// FuzzParse checks that whatever strangers send gives texts that may be stored
// and shown, and a kind that fits its status.
func FuzzParse(f *testing.F) {
	for _, raw := range corpus(f) {
		f.Add(raw)
	}
	f.Add([]byte("Subject: Undeliverable\r\n\r\n550 "))
	f.Add([]byte("Content-Type: message/delivery-status\r\n\r\nAction: failed\r\n :\r\nStatus: 5"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := dsn.Parse(raw)
		for _, s := range []string{r.Recipient, r.Action, r.Status, r.Diagnostic, r.Reporter, r.EnvelopeID} {
			require.True(t, utf8.ValidString(s))
			require.LessOrEqual(t, len(s), 1000)
			require.NotContains(t, s, "\r")
			require.NotContains(t, s, "\n")
			require.NotContains(t, s, "\x00")
		}
		switch r.Kind {
		case dsn.NotReport:
			require.Zero(t, r)
		case dsn.Permanent:
			require.True(t, strings.HasPrefix(r.Status, "5."), r.Status)
		}
		require.Equal(t, r, dsn.Parse(raw), "the same bytes, the same report")
	})
}
