package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/problem"
	"invited/server/session"
	"invited/server/tenant"
	"invited/server/web"
	"invited/tokens"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	tenantID  = "11111111-1111-7111-8111-111111111111"
	requestID = "33333333-3333-7333-8333-333333333333"
)

// fake is the services behind the face.
type fake struct {
	id, secret, issuer string
	fail               error
}

func (f *fake) ClientCredentials(_ context.Context, t directory.TenantID, id, secret, issuer string) (string, time.Duration, error) {
	f.id, f.secret, f.issuer = id, secret, issuer
	switch {
	case f.fail != nil:
		return "", 0, f.fail
	case t != tenantID || id != "client":
		return "", 0, refusedBySession("unauthorized_client", 700016)
	case secret != "s3cret+/=":
		return "", 0, refusedBySession("invalid_client", 7000215)
	}
	return "a.b.c", time.Hour, nil
}

func refusedBySession(name string, code int) error {
	return &problem.Error{
		Op: "fake", Kind: problem.Unauthenticated, Reason: problem.TokenInvalid, Detail: fmt.Sprintf("AADSTS%d: No.", code),
		Err: &session.Refusal{OAuth: name, Code: code},
	}
}

func (f *fake) TenantByName(_ context.Context, name string) (directory.Tenant, error) {
	if strings.EqualFold(name, tenantID) || strings.EqualFold(name, "contoso.example") {
		return directory.Tenant{ID: tenantID}, nil
	}
	return directory.Tenant{}, &problem.Error{Op: "fake", Kind: problem.NotFound, Reason: problem.Missing, Detail: "No such tenant."}
}

func (f *fake) Sole(context.Context) (directory.Tenant, error) {
	return directory.Tenant{ID: tenantID}, nil
}

type keys string

func (k keys) JWKS() ([]byte, error) {
	if k == "" {
		return nil, errors.New("no keys")
	}
	return []byte(`{"keys":[{"kid":"` + string(k) + `"}]}`), nil
}

func (f *fake) face(notFound http.Handler) http.Handler {
	h := &Handler{
		Sessions: f, Tenants: f, AccessKeys: keys("access"), TicketKeys: keys("ticket"), NotFound: notFound,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, Log: slog.New(slog.DiscardHandler),
	}
	mux := http.NewServeMux()
	mux.Handle("/v1.0/", http.NotFoundHandler()) // another face: the patterns must not clash
	mux.Handle("GET /redeem", http.NotFoundHandler())
	h.Mount(mux)
	return web.RequestIDs(func() string { return requestID })(mux)
}

func (f *fake) call(method, url, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Host = "127.0.0.1:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.face(nil).ServeHTTP(w, r)
	return w
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Indent(&b, got, "", "  "), "%s", got)
	b.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test -update to create it")
	require.Equal(t, string(want), b.String())
}

func TestShapes(t *testing.T) {
	tests := []struct{ name, method, url, body, golden string }{
		{"a token", "POST", "/contoso.example/oauth2/v2.0/token", "grant_type=client_credentials&client_id=client&client_secret=s3cret%2B%2F%3D&scope=https://graph.microsoft.com/.default", "token.json"},
		{"a discovery document", "GET", "/" + tenantID + "/v2.0/.well-known/openid-configuration", "", "configuration.json"},
		{"the same under a domain", "GET", "/CONTOSO.example/v2.0/.well-known/openid-configuration", "", "configuration.json"},
		{"the same under common", "GET", "/common/v2.0/.well-known/openid-configuration", "", "configuration.json"},
		{"keys of access tokens", "GET", "/" + tenantID + "/discovery/v2.0/keys", "", "access_keys.json"},
		{"keys of access tokens under common", "GET", "/common/discovery/v2.0/keys", "", "access_keys.json"},
		{"keys of tickets", "GET", "/.well-known/jwks.json", "", "ticket_keys.json"},
		{"an instance", "GET", "/common/discovery/instance?api-version=1.1&authorization_endpoint=https://127.0.0.1:8080/contoso.example/oauth2/v2.0/authorize", "", "instance.json"},
		{"an environment", "GET", "/metadata/endpoints?api-version=2022-09-01", "", "endpoints.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := (&fake{}).call(tt.method, tt.url, tt.body)
			require.Equal(t, 200, w.Code, "%s", w.Body)
			golden(t, tt.golden, w.Body.Bytes())
			if tt.method == "POST" {
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			}
			if strings.Contains(tt.golden, "keys") {
				require.Equal(t, "public, max-age=300", w.Header().Get("Cache-Control"))
			}
		})
	}
}

func TestLoginEndpointHasNoTrailingSlash(t *testing.T) {
	var out endpointsJSON
	require.NoError(t, json.Unmarshal((&fake{}).call("GET", "/metadata/endpoints", "").Body.Bytes(), &out))
	require.Equal(t, "http://127.0.0.1:8080", out.Authentication.LoginEndpoint)
}

func TestClientsAuthenticate(t *testing.T) {
	const grant = "grant_type=client_credentials"
	const secret = "s3cret%2B%2F%3D"
	basic := func(user, password string) []string {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.SetBasicAuth(user, password)
		return []string{"Authorization", r.Header.Get("Authorization")}
	}
	tests := []struct {
		name, body string
		header     []string
		status     int
	}{
		{"in the body", grant + "&client_id=client&client_secret=" + secret, nil, 200},
		{"by header", grant, basic("client", secret), 200},
		{"by header, id in the body too", grant + "&client_id=client", basic("client", secret), 200},
		{"with fields of other libraries", grant + "&client_id=client&client_secret=" + secret + "&x-client-SKU=msal&client_info=1", nil, 200},
		{"with a wrong secret", grant + "&client_id=client&client_secret=x", nil, 401},
		{"with a wrong id", grant + "&client_id=x&client_secret=" + secret, nil, 400},
		{"by a wrong header", grant, basic("client", "x"), 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{}
			w := f.call("POST", "/"+tenantID+"/oauth2/v2.0/token?client_secret=ignored", tt.body, tt.header...)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			require.Equal(t, "http://127.0.0.1:8080/"+tenantID+"/v2.0", f.issuer)
			require.Equal(t, tt.status == 401 && tt.header != nil, w.Header().Get("WWW-Authenticate") != "")
		})
	}
}

func TestRefusals(t *testing.T) {
	const token = "/" + tenantID + "/oauth2/v2.0/token"
	const good = "grant_type=client_credentials&client_id=client&client_secret=x"
	tests := []struct {
		name, method, url, body string
		header                  []string
		fail                    error
		status                  int
		err                     string
		code                    int
		says                    string
	}{
		{name: "a wrong secret", method: "POST", url: token, body: good, status: 401, err: "invalid_client", code: 7000215, says: "AADSTS7000215: No. Trace ID: "},
		{name: "a wrong client id", method: "POST", url: token, body: "grant_type=client_credentials&client_id=x&client_secret=x", status: 400, err: "unauthorized_client", code: 700016, says: "AADSTS700016: No."},
		{name: "no grant type", method: "POST", url: token, body: "client_id=a", status: 400, err: "invalid_request", code: 900144, says: "'grant_type'"},
		{name: "another grant type", method: "POST", url: token, body: "grant_type=password", status: 400, err: "unsupported_grant_type", code: 70003, says: "'password'"},
		{name: "no client id", method: "POST", url: token, body: "grant_type=client_credentials", status: 400, err: "invalid_request", code: 900144, says: "'client_id'"},
		{name: "no secret", method: "POST", url: token, body: "grant_type=client_credentials&client_id=a", status: 401, err: "invalid_client", code: 7000216, says: "client_secret"},
		{name: "an assertion", method: "POST", url: token, body: "grant_type=client_credentials&client_id=a&client_assertion_type=x", status: 401, err: "invalid_client", code: 7000215, says: "assertions"},
		{name: "a delegated scope", method: "POST", url: token, body: good + "&scope=User.Read", status: 400, err: "invalid_scope", code: 1002012, says: "'User.Read'"},
		{name: "two scopes", method: "POST", url: token, body: good + "&scope=a/.default+b/.default", status: 400, err: "invalid_scope", code: 1002012, says: ".default"},
		{name: "a parameter twice", method: "POST", url: token, body: good + "&client_id=b", status: 400, err: "invalid_request", code: 900561, says: "'client_id' is given twice"},
		{name: "JSON", method: "POST", url: token, body: "{}", header: []string{"Content-Type", "application/json"}, status: 400, err: "invalid_request", code: 900561, says: "application/x-www-form-urlencoded"},
		{name: "a body that does not parse", method: "POST", url: token, body: "a=%zz", status: 400, err: "invalid_request", code: 900561, says: "parse"},
		{name: "a large body", method: "POST", url: token, body: strings.Repeat("a", maxForm+1), status: 400, err: "invalid_request", code: 900561, says: "64 KiB"},
		{name: "both ways to authenticate", method: "POST", url: token, body: good, header: []string{"Authorization", "Basic YTpi"}, status: 400, err: "invalid_request", code: 900561, says: "twice"},
		{name: "two ids", method: "POST", url: token, body: "grant_type=client_credentials&client_id=x", header: []string{"Authorization", "Basic YTpi"}, status: 400, err: "invalid_request", code: 900561, says: "differs"},
		{name: "a bearer token", method: "POST", url: token, body: good, header: []string{"Authorization", "Bearer x"}, status: 400, err: "invalid_request", code: 900561, says: "Basic"},
		{name: "an unknown tenant", method: "POST", url: "/nobody.example/oauth2/v2.0/token", body: good, status: 400, err: "invalid_request", code: 90002, says: "Tenant 'nobody.example' not found"},
		{name: "an unknown tenant's document", method: "GET", url: "/nobody.example/v2.0/.well-known/openid-configuration", status: 400, err: "invalid_request", code: 90002, says: "No such tenant"},
		{name: "a token by GET", method: "GET", url: token, status: 405, err: "invalid_request", code: 900561, says: "POST only"},
		{name: "nothing", method: "GET", url: "/nothing/here", status: 404, err: "invalid_request", code: 900561, says: "nothing at this address"},
		{name: "an endpoint that does not parse", method: "GET", url: "/common/discovery/instance?authorization_endpoint=%3A", status: 400, err: "invalid_request", code: 900561, says: "authorization_endpoint"},
		{name: "too many tries", method: "POST", url: token, body: good, fail: &problem.Error{Kind: problem.TooMany, Detail: "Wait.", RetryAfter: time.Minute}, status: 429, err: "temporarily_unavailable", code: 90055, says: "Wait."},
		{name: "a store that is busy", method: "POST", url: token, body: good, fail: &problem.Error{Kind: problem.Unavailable, Detail: "Wait."}, status: 503, err: "temporarily_unavailable", code: 90033, says: "Wait."},
		{name: "a bug", method: "POST", url: token, body: good, fail: errors.New("secret cause"), status: 500, err: "server_error", code: 90000, says: "internal error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := (&fake{fail: tt.fail}).call(tt.method, tt.url, tt.body, append([]string{"client-request-id", requestID}, tt.header...)...)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			var e errorJSON
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
			require.Equal(t, tt.err, e.Error)
			require.Equal(t, []int{tt.code}, e.Codes)
			require.Contains(t, e.Description, tt.says)
			require.NotContains(t, e.Description, "secret cause")
			require.Equal(t, "2026-01-02 03:04:05Z", e.Timestamp)
			require.Equal(t, requestID, e.Trace)
			require.Equal(t, requestID, e.Correlation)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		})
	}
}

func TestUnknownPathsCanBeSomebodyElses(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	tests := []struct {
		name, method, url string
		status            int
	}{
		{"nothing of ours", "GET", "/pages/x", http.StatusTeapot},
		{"a method of ours", "GET", "/a/oauth2/v2.0/token", http.StatusMethodNotAllowed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			(&fake{}).face(page).ServeHTTP(w, httptest.NewRequest(tt.method, tt.url, nil))
			require.Equal(t, tt.status, w.Code)
		})
	}
}

func TestKeysThatCannotBeReadAreOurFault(t *testing.T) {
	err := writeKeys(httptest.NewRecorder(), keys(""))
	require.True(t, problem.Is(err, problem.Internal))
}

// FuzzToken checks that no form and no header is our fault.
func FuzzToken(f *testing.F) {
	f.Add("grant_type=client_credentials&client_id=a&client_secret=b", "")
	f.Add("%zz", "Basic YTpi")
	f.Add("grant_type=client_credentials", "Basic "+"%%%")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		w := (&fake{}).call("POST", "/common/oauth2/v2.0/token", body, "Authorization", authorization, "Content-Type", "application/x-www-form-urlencoded")
		require.Contains(t, []int{200, 400, 401}, w.Code, "%s", w.Body)
		require.True(t, json.Valid(w.Body.Bytes()))
	})
}

// The services are what this face asks for.
var (
	_ Sessions = (*session.Service)(nil)
	_ Tenants  = (*tenant.Service)(nil)
	_ Keys     = (*tokens.Keyring)(nil)
)
