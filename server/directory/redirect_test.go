package directory_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/problem"
)

func TestCheckRedirect(t *testing.T) {
	anywhere := directory.Policy{}
	listed := directory.Policy{RedirectHosts: []string{"app.contoso.example", "*.apps.contoso.example"}}
	tests := []struct {
		name string
		raw  string
		p    directory.Policy
		want string // empty: refused
	}{
		{"https", "https://app.contoso.example/start?a=b#c", anywhere, "https://app.contoso.example/start?a=b#c"},
		{"bare host gets a path", "https://app.contoso.example", anywhere, "https://app.contoso.example/"},
		{"host and scheme in capitals", "HTTPS://App.Contoso.EXAMPLE/", anywhere, "https://app.contoso.example/"},
		{"port", "https://app.contoso.example:8443/", anywhere, "https://app.contoso.example:8443/"},
		{"international host", "https://müller.example/", anywhere, "https://xn--mller-kva.example/"},
		{"this machine by name", "http://localhost:8080/x", anywhere, "http://localhost:8080/x"},
		{"this machine by IPv4", "http://127.0.0.1/", anywhere, "http://127.0.0.1/"},
		{"this machine by IPv6", "http://[::1]:8080/", anywhere, "http://[::1]:8080/"},
		{"listed host", "https://app.contoso.example/", listed, "https://app.contoso.example/"},
		{"listed subdomain", "https://one.apps.contoso.example/", listed, "https://one.apps.contoso.example/"},
		{"encoded slash in the path stays in the path", "https://app.contoso.example/%2f%2fevil.example", listed, "https://app.contoso.example/%2f%2fevil.example"},

		{"empty", "", anywhere, ""},
		{"relative", "/myapps", anywhere, ""},
		{"scheme-relative", "//evil.example/", anywhere, ""},
		{"three slashes", "https:///evil.example/", anywhere, ""},
		{"no slashes", "https:evil.example", anywhere, ""},
		{"one slash", "https:/evil.example", anywhere, ""},
		{"plain http", "http://app.contoso.example/", anywhere, ""},
		{"http to a name that begins like this machine", "http://localhost.evil.example/", anywhere, ""},
		{"http to a name that begins like an address", "http://127.0.0.1.evil.example/", anywhere, ""},
		{"http to an address in one number", "http://2130706433/", anywhere, ""},
		{"script", "javascript:alert(1)", anywhere, ""},
		{"script with a host", "javascript://app.contoso.example/%0aalert(1)", anywhere, ""},
		{"data", "data:text/html,hello", anywhere, ""},
		{"file", "file:///etc/passwd", anywhere, ""},
		{"user name", "https://app.contoso.example@evil.example/", anywhere, ""},
		{"user name and password", "https://a:b@evil.example/", anywhere, ""},
		{"user name with an encoded slash", "https://app.contoso.example%2f@evil.example/", anywhere, ""},
		{"encoded slash in the host", "https://app.contoso.example%2f.evil.example/", anywhere, ""},
		{"backslash for slash", `https:\\evil.example`, anywhere, ""},
		{"backslash before @", `https://evil.example\@app.contoso.example/`, anywhere, ""},
		{"line break", "https://app.contoso.example/\r\nLocation: https://evil.example/", anywhere, ""},
		{"tab inside the scheme", "ht\ttps://evil.example/", anywhere, ""},
		{"leading space", " https://app.contoso.example/", anywhere, ""},
		{"NUL", "https://app.contoso.example/\x00", anywhere, ""},
		{"right-to-left override", "https://app.contoso.example/\u202e", anywhere, ""},
		{"fullwidth solidus in the host", "https://app.contoso.example／evil.example/", anywhere, ""},
		{"empty port", "https://app.contoso.example:/", anywhere, ""},
		{"port out of range", "https://app.contoso.example:99999/", anywhere, ""},
		{"trailing dot", "https://app.contoso.example./", anywhere, ""},
		{"IPv6 zone", "https://[fe80::1%25eth0]/", anywhere, ""},
		{"too long", "https://app.contoso.example/" + strings.Repeat("a", directory.MaxRedirectURL), anywhere, ""},
		{"host that is not listed", "https://evil.example/", listed, ""},
		{"host that ends like a listed one", "https://evilapp.contoso.example/", listed, ""},
		{"suffix without the dot", "https://evilapps.contoso.example/", listed, ""},
		{"the parent of a wildcard", "https://apps.contoso.example/", listed, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := directory.CheckRedirect(tt.raw, tt.p)
			require.Equal(t, tt.want, got)
			if tt.want != "" {
				require.NoError(t, err)
				return
			}
			p := problem.Of(err)
			require.Equal(t, problem.BadRedirect, p.Reason)
			require.Equal(t, "inviteRedirectUrl", p.Field)
		})
	}
}

// FuzzCheckRedirect checks what redirecting relies on: what is accepted is
// absolute, names a host, carries nobody's name, and is accepted again as is.
func FuzzCheckRedirect(f *testing.F) {
	for _, seed := range []string{"https://a.example", "http://localhost:1/x?y#z", "https:evil", "//evil", `https://a\@b`, "https://[::1%25a]/", "https://ＡＢ.example/%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := directory.CheckRedirect(raw, directory.Policy{})
		if err != nil {
			return
		}
		u, err := url.Parse(got)
		require.NoError(t, err)
		require.Contains(t, []string{"https", "http"}, u.Scheme)
		require.NotEmpty(t, u.Hostname())
		require.Nil(t, u.User)
		require.Empty(t, u.Opaque)
		require.False(t, strings.ContainsAny(got, "\r\n\t \\"), got)
		again, err := directory.CheckRedirect(got, directory.Policy{})
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
