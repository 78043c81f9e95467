package mime_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink/mime"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestCorpus reads each odd mail of testdata/mail and compares all of it with
// the .want file beside it.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/mail/*.eml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			m, err := mime.Parse(raw, mime.Limits{})
			require.NoError(t, err)
			got, err := json.MarshalIndent(m, "", " ")
			require.NoError(t, err)
			want := strings.TrimSuffix(file, ".eml") + ".want"
			if *update {
				require.NoError(t, os.WriteFile(want, append(got, '\n'), 0o644))
			}
			golden, err := os.ReadFile(want)
			require.NoError(t, err, "run go test -update to create it")
			require.Equal(t, string(golden), string(got)+"\n")

			s, err := mime.Summary(raw)
			require.NoError(t, err)
			require.Equal(t, m.Header, s.Header)
			require.Equal(t, m.From, s.From)
			require.Equal(t, m.Subject, s.Subject)
			require.Equal(t, m.Snippet, s.Snippet)
			require.Len(t, s.Parts, len(m.Parts))
			require.Len(t, s.Attachments, len(m.Attachments))
		})
	}
}

func TestContent(t *testing.T) {
	raw, err := os.ReadFile("testdata/mail/04-inner-boundary-missing.eml")
	require.NoError(t, err)
	m, err := mime.Parse(raw, mime.Limits{})
	require.NoError(t, err)
	p, ok := m.Part("2")
	require.True(t, ok)
	require.Equal(t, "%PDF-", string(p.Content()))
	require.Equal(t, 5, p.Size)
	require.Equal(t, "_.._etc_a.pdf", p.FileName)
	_, ok = m.Part("9")
	require.False(t, ok)
}

// TestBombs holds that cost grows with size, not with shape.
func TestBombs(t *testing.T) {
	nested := func(depth int) string {
		var b strings.Builder
		b.WriteString("From: a@b.example\r\n")
		for i := range depth {
			bound := strings.Repeat("x", i%40+1) + strings.Repeat("y", i/40)
			b.WriteString("Content-Type: multipart/mixed; boundary=" + bound + "\r\n\r\n--" + bound + "\r\n")
		}
		b.WriteString("\r\ndeep\r\n")
		return b.String()
	}
	head := "From: a@b.example\r\nSubject: bomb\r\nContent-Type: "
	tests := []struct {
		name   string
		raw    string
		limit  string // part of the error; empty if none
		parts  int    // at least
		defect string
	}{
		{"multiparts nested 5,000 deep", nested(5000), "deeper than 20", 20, ""},
		{"multiparts nested 19 deep", nested(19), "", 20, "last boundary"},
		{"a hundred thousand parts", head + "multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n\r\n", 100_000), "more than 1000 parts", 1000, ""},
		{"a hundred thousand lines that are nearly the boundary", head + "multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + strings.Repeat("--c\r\n", 100_000), "", 2, ""},
		{"twenty thousand parameters", head + "text/plain" + strings.Repeat(";\r\n a=b", 20_000) + "\r\n\r\nx", "", 1, "more than 100 parameters"},
		{"twenty thousand RFC 2231 pieces", head + "text/plain" + strings.Repeat("; n*0*=utf-8''%41", 20_000) + "\r\n\r\nx", "", 1, "more than 100 parameters"},
		{"a header line of a megabyte", "Subject: " + strings.Repeat("x", 1<<20) + "\r\n\r\nx", "", 1, "larger than 262144 bytes"},
		{"a header of a hundred thousand lines", strings.Repeat("a:\r\n", 100_000) + "\r\nx", "", 1, "more than 1000 header fields"},
		{"a header line folded a hundred thousand times", "Subject: x\r\n" + strings.Repeat(" \r\n", 100_000) + "\r\nx", "", 1, ""},
		{"encoded-words that never end", "Subject: " + strings.Repeat("=?x?Q?", 40_000) + "?=\r\n\r\nx", "", 1, ""},
		{"a boundary of a megabyte", head + "multipart/mixed; boundary=" + strings.Repeat("b", 1<<20) + "\r\n\r\nx", "", 1, ""},
		{"addresses without end", "To: " + strings.Repeat("a,", 40_000) + "\r\n\r\nx", "", 1, "more than 1000 addresses"},
		{"comments without end", "To: " + strings.Repeat("(", 60_000) + "\r\n\r\nx", "", 1, ""},
		{"colons without end", "To: " + strings.Repeat("a", 30_000) + "@" + strings.Repeat(":", 30_000) + "\r\n\r\nx", "", 1, ""},
		{"tags without end", head + "text/html\r\n\r\n" + strings.Repeat("<a href=http://x.example/", 100_000), "", 1, ""},
		{"open anchors without end", head + "text/html\r\n\r\n" + strings.Repeat("<a href=http://x.example/>t", 100_000), "", 1, ""},
		{"links without end", head + "text/plain\r\n\r\n" + strings.Repeat("http://x.example/)))))))) ", 100_000), "", 1, ""},
		{"one link without end", head + "text/plain\r\n\r\n" + strings.Repeat("http://x.example", 100_000), "", 1, ""},
		{"escapes without end", head + "text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.Repeat("=", 1<<20), "", 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			m, err := mime.Parse([]byte(tt.raw), mime.Limits{})
			took := time.Since(start)
			t.Logf("%d bytes took %v", len(tt.raw), took)
			require.Less(t, took, 5*time.Second)
			if tt.limit == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, mime.ErrTooComplex)
				require.ErrorContains(t, err, tt.limit)
			}
			require.GreaterOrEqual(t, len(m.Parts), tt.parts)
			if tt.defect != "" {
				require.Contains(t, strings.Join(m.Problems, "\n"), tt.defect)
			}
			_, err = mime.Summary([]byte(tt.raw))
			require.Equal(t, tt.limit != "", err != nil)
		})
	}
}

func TestTimeBudgetEndsTheWalkAndKeepsWhatWasRead(t *testing.T) {
	now := time.Unix(0, 0)
	clock := func() time.Time {
		now = now.Add(time.Second)
		return now
	}
	raw := "Subject: kept\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n--c\r\n--c\r\n", 5000)
	m, err := mime.Parse([]byte(raw), mime.Limits{Parts: 1 << 20, Now: clock})
	require.ErrorIs(t, err, mime.ErrTooComplex)
	require.ErrorContains(t, err, "longer than 2s")
	require.Equal(t, "kept", m.Subject)
	require.NotEmpty(t, m.Parts)
	require.Less(t, len(m.Parts), 5000)
}

// FuzzParse checks what the sink relies on: no bytes make the walker panic,
// pass its budget, or hand out text and names that are not safe to show.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/mail/*.eml")
	require.NoError(f, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 100<<10 {
			return
		}
		start := time.Now()
		m, err := mime.Parse(raw, mime.Limits{})
		require.Less(t, time.Since(start), 2*time.Second)
		if err != nil {
			require.ErrorIs(t, err, mime.ErrTooComplex)
		}
		require.LessOrEqual(t, len(m.Parts), 1000)
		require.LessOrEqual(t, len(m.Links), 1000)
		for _, s := range []string{m.Text, m.HTML, m.HTMLText, m.Snippet, m.Subject} {
			require.Equal(t, strings.ToValidUTF8(s, ""), s)
		}
		require.NotContains(t, m.Subject, "\n")
		for _, p := range m.Parts {
			require.NotContains(t, p.FileName, "/")
			require.NotContains(t, p.FileName, `\`)
			if !p.Multipart() {
				require.Len(t, p.Content(), p.Size, p.Encoding)
			}
		}
		_, _ = mime.Summary(raw)
	})
}

func twentyKB() []byte {
	row := "<tr><td style=3D\"font-family:'Segoe UI',Arial;font-size:14px;color:#333\">You have been invited by M=C3=BCller=\r\n. <a href=3D\"https://contoso.example/redeem?x=3D1\">Accept invitation</a></td></tr>\r\n"
	return []byte("From: Contoso <invites@contoso.example>\r\nTo: Guest <sink@fabrikam.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
		"Date: Thu, 21 Nov 2024 10:00:00 +0000\r\nMessage-ID: <1@contoso.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"b\"\r\n\r\n" +
		"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		strings.Repeat("Hello https://contoso.example/redeem?x=3D1 there\r\n", 20) +
		"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<table>" +
		strings.Repeat(row, 100) + "</table>\r\n--b--\r\n")
}

func BenchmarkParse20kB(b *testing.B) {
	raw := twentyKB()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mime.Parse(raw, mime.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSummary20kB(b *testing.B) {
	raw := twentyKB()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mime.Summary(raw); err != nil {
			b.Fatal(err)
		}
	}
}
