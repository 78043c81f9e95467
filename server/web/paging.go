package web

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"invited/server/problem"
)

// MaxTop is the most rows one page may hold.
const MaxTop = 999

// Query returns the parameters of the query string. A string that does not
// parse is a problem, not half an answer.
func Query(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &problem.Error{
			Op: "web.Query", Kind: problem.Invalid, Reason: problem.BadInput, Field: "query", Err: err,
			Detail: "The query string does not parse; percent-encode what stands in names and values.",
		}
	}
	for name, values := range q {
		if strings.HasPrefix(name, "$") && len(values) > 1 {
			return nil, problem.BadField("web.Query", name, name+" is given twice; give it once.")
		}
	}
	return q, nil
}

// Top returns $top, or standard if it is absent.
func Top(q url.Values, standard int) (int, error) {
	value := q.Get("$top")
	if value == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > MaxTop {
		return 0, problem.BadField("web.Top", "$top", fmt.Sprintf("$top must be a whole number from 1 to %d.", MaxTop))
	}
	return n, nil
}

// Page tokens are opaque to clients: version, eight bytes that bind the token
// to its list and filter, and the key of the last row. They are not secret and
// not signed: whoever forges one only chooses where a page starts.
const (
	tokenVersion = 1
	scopeBytes   = 8
	maxKey       = 320
)

// SkipToken returns the token for the page that starts after key. Scope names
// the list and everything that selects its rows.
func SkipToken(scope, key string) string {
	sum := sha256.Sum256([]byte(scope))
	raw := make([]byte, 0, 1+scopeBytes+len(key))
	raw = append(raw, tokenVersion)
	raw = append(raw, sum[:scopeBytes]...)
	raw = append(raw, key...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// SkipKey returns the key in $skiptoken, or nothing if it is absent. A token
// of another list, of another filter or of nobody is a problem.
func SkipKey(q url.Values, scope string) (string, error) {
	token := q.Get("$skiptoken")
	if token == "" {
		return "", nil
	}
	bad := problem.BadField("web.SkipKey", "$skiptoken",
		"$skiptoken does not belong to this list and filter; follow the link to the next page as it was given, or start again without it.")
	if len(token) > base64.RawURLEncoding.EncodedLen(1+scopeBytes+maxKey) {
		return "", bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= 1+scopeBytes || raw[0] != tokenVersion {
		return "", bad
	}
	sum := sha256.Sum256([]byte(scope))
	if string(raw[1:1+scopeBytes]) != string(sum[:scopeBytes]) {
		return "", bad
	}
	key := string(raw[1+scopeBytes:])
	for i := range len(key) {
		if key[i] < 0x21 || key[i] > 0x7e {
			return "", bad
		}
	}
	return key, nil
}

// NextLink returns the absolute URL of the page that token starts: the
// request's own, its other parameters untouched.
func NextLink(r *http.Request, token string) string {
	var b strings.Builder
	b.WriteString(Origin(r))
	b.WriteString(r.URL.EscapedPath())
	sep := byte('?')
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(name); part == "" || err != nil || plain == "$skiptoken" {
			continue
		}
		b.WriteByte(sep)
		b.WriteString(part)
		sep = '&'
	}
	b.WriteByte(sep)
	b.WriteString("$skiptoken=")
	b.WriteString(token)
	return b.String()
}
