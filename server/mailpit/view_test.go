package mailpit

import (
	"mime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	sinkmime "invited/mail/sink/mime"
)

// FuzzDisposition checks that no file name of a mail gets out of its header
// field, or into a path.
func FuzzDisposition(f *testing.F) {
	for _, seed := range []string{"a.pdf", "ü\".pdf", "a\r\nX: y", `..\..\x`, "../../x", "%00", "\u202efdp.exe", "", "\xff", "a;b=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s := disposition("attachment", name)
		for i := range len(s) {
			require.True(t, s[i] >= ' ' && s[i] < 0x7f, "%q", s)
		}
		_, params, err := mime.ParseMediaType(s)
		require.NoError(t, err, "%q", s)
		require.False(t, strings.ContainsAny(params["filename"], `/\`), "%q", s)
		require.True(t, utf8.ValidString(params["filename"]))
	})
}

// FuzzPictures checks that only cid: URLs change when pictures are put in.
func FuzzPictures(f *testing.F) {
	for _, seed := range []string{`<img src="cid:a">`, `<img src=CID:a><img src=cid:ab>`, `url(cid:a)`, "cid:", "acid:a", ":::", `"cid:%61"`} {
		f.Add(seed)
	}
	m := must(sinkmime.Parse([]byte("Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n"+
		"--b\r\nContent-Type: image/png\r\nContent-ID: <a>\r\n\r\nPNG\r\n--b--\r\n"), sinkmime.Limits{}))
	f.Fuzz(func(t *testing.T, html string) {
		m := *m
		m.HTML = html
		out := withPictures(&m)
		back := strings.ReplaceAll(out, "data:image/png;base64,UE5H", "cid:a")
		if !strings.Contains(html, "%") && !strings.Contains(html, "data:") {
			require.Equal(t, strings.ToLower(html), strings.ToLower(back))
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestPicturesAreNotRepeatedWithoutEnd(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	m := must(sinkmime.Parse([]byte("Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"+
		strings.Repeat("<img src=cid:a>", 200)+"\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <a>\r\n\r\n"+big+"\r\n--b--\r\n"), sinkmime.Limits{}))
	require.Less(t, len(withPictures(m)), maxPictures+1<<20)
}

func TestHarmless(t *testing.T) {
	tests := []struct {
		contentType, charset, want string
		shown                      bool
	}{
		{"image/png", "", "image/png", true},
		{"image/svg+xml", "", "application/octet-stream", false},
		{"text/plain", "iso-8859-1", "text/plain; charset=iso-8859-1", true},
		{"text/plain", "x; y=z", "text/plain", true},
		{"text/html", "", "application/octet-stream", false},
		{"text/xml", "", "application/octet-stream", false},
		{"text/javascript", "", "application/octet-stream", false},
		{"text/calendar", "utf-8", "text/calendar; charset=utf-8", false},
		{"application/pdf", "", "application/pdf", true},
		{"application/xhtml+xml", "", "application/octet-stream", false},
		{"application/vnd.ms-excel", "", "application/vnd.ms-excel", false},
		{"application/vnd.mozilla.xul+xml", "", "application/octet-stream", false},
		{"application/vnd.a\r\nb", "", "application/octet-stream", false},
		{"audio/mpeg", "", "audio/mpeg", false},
		{"message/rfc822", "", "application/octet-stream", false},
		{"", "", "application/octet-stream", false},
	}
	for _, tt := range tests {
		t.Run(tt.contentType, func(t *testing.T) {
			got, shown := harmless(sinkmime.Part{ContentType: tt.contentType, Charset: tt.charset})
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.shown, shown)
		})
	}
}
