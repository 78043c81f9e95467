package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/problem"
	"invited/server/web"
)

func TestTop(t *testing.T) {
	tests := []struct {
		value string
		want  int // 0: refused
	}{
		{"", 100}, {"1", 1}, {"999", 999}, {"0", 0}, {"-1", 0}, {"1000", 0}, {"ten", 0}, {"1e2", 0}, {"99999999999999999999", 0},
	}
	for _, tt := range tests {
		t.Run("top "+tt.value, func(t *testing.T) {
			q := url.Values{}
			if tt.value != "" {
				q.Set("$top", tt.value)
			}
			n, err := web.Top(q, 100)
			require.Equal(t, tt.want, n)
			if tt.want == 0 {
				require.Equal(t, "$top", problem.Of(err).Field)
			}
		})
	}
}

func TestSkipToken(t *testing.T) {
	token := web.SkipToken("users|userType eq 'Guest'", "0190d4c0")
	tests := []struct{ name, token, scope, want string }{
		{"comes back under its own scope", token, "users|userType eq 'Guest'", "0190d4c0"},
		{"is refused under another filter", token, "users|", ""},
		{"is refused when cut", token[:8], "users|userType eq 'Guest'", ""},
		{"is refused when not ours", "not!base64", "users|", ""},
		{"is refused with padding", token + "=", "users|userType eq 'Guest'", ""},
		{"is refused when very long", strings.Repeat("A", 5000), "users|", ""},
		{"is refused with control characters in the key", web.SkipToken("s", "a\nb"), "s", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := web.SkipKey(url.Values{"$skiptoken": {tt.token}}, tt.scope)
			require.Equal(t, tt.want, key)
			if tt.want == "" {
				require.Equal(t, "$skiptoken", problem.Of(err).Field)
			}
		})
	}
	key, err := web.SkipKey(url.Values{}, "users")
	require.NoError(t, err)
	require.Empty(t, key)
}

func TestQueryRefusesWhatDoesNotParse(t *testing.T) {
	for _, raw := range []string{"$filter=%zz", "$top=1&$top=2", "a;b=1"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = raw
		_, err := web.Query(r)
		require.True(t, problem.Is(err, problem.Invalid), raw)
	}
}

func TestNextLink(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/v1.0/users?$filter=userType%20eq%20%27Guest%27&%24skiptoken=old&$top=2", nil)
	r.Host = "127.0.0.1:8080"
	require.Equal(t, "http://127.0.0.1:8080/v1.0/users?$filter=userType%20eq%20%27Guest%27&$top=2&$skiptoken=new", web.NextLink(r, "new"))
	r = httptest.NewRequest(http.MethodGet, "/v1.0/users", nil)
	require.Equal(t, "http://example.com/v1.0/users?$skiptoken=new", web.NextLink(r, "new"))
}

// FuzzSkipKey checks that any token is either refused or gives back a key that
// makes the same token.
func FuzzSkipKey(f *testing.F) {
	f.Add("")
	f.Add(web.SkipToken("users", "0190d4c0-0000-7000-8000-000000000001"))
	f.Fuzz(func(t *testing.T, token string) {
		key, err := web.SkipKey(url.Values{"$skiptoken": {token}}, "users")
		if err == nil && token != "" {
			require.Equal(t, token, web.SkipToken("users", key))
		}
	})
}
