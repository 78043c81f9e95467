package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startLogged is startServer with an admin listener and the whole log.
func startLogged(t *testing.T) (*testServer, *lockedBuffer) {
	t.Helper()
	cfg := ephemeralConfig(t.TempDir())
	cfg.Password, cfg.Secret = "correct horse battery staple", "a secret that is long enough for tests"
	cfg.Admin = "127.0.0.1:0"
	log := &lockedBuffer{}
	a, err := newApp(context.Background(), cfg, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	require.NoError(t, err)
	a.start()
	t.Cleanup(func() { require.NoError(t, a.stop()) })
	hc := &http.Client{Timeout: 30 * time.Second}
	return &testServer{
		app: a, env: env{ctx: context.Background(), stdout: io.Discard, stderr: io.Discard},
		admin: &client{base: a.URL(), token: a.localToken(), http: hc}, sink: &client{base: a.SinkURL(), http: hc},
	}, log
}

// fetch returns the body at an address.
func fetch(t *testing.T, address string) (int, string) {
	t.Helper()
	resp, err := http.Get(address)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

// TestNothingSecretIsTold runs invitations all the way, good and bad, and looks
// for what opens doors in everything that tells of them.
func TestNothingSecretIsTold(t *testing.T) {
	s, log := startLogged(t)
	inv := s.invite(t, "ana@fabrikam.example", fields{"displayName": "Ana"})
	mail := s.await(t, "ana@fabrikam.example", "")
	ana := s.click(t, mail.RedeemURL)
	require.NoError(t, ana.submit(s.env, "/redeem/accept"))
	s.click(t, mail.RedeemURL) // a second time

	bo := s.invite(t, "bo@fabrikam.example", nil)
	s.await(t, "bo@fabrikam.example", "")
	require.NoError(t, s.admin.call(s.env, http.MethodPost, "/invited/v1/invitations/"+bo.ID+"/revoke", nil, nil))
	s.click(t, bo.RedeemURL)       // revoked
	s.click(t, bo.RedeemURL+"xyz") // mangled
	wrong := &client{base: s.URL(), token: "not-a-token-of-ours", http: s.admin.http}
	require.Error(t, wrong.call(s.env, http.MethodGet, "/invited/v1/invitations", nil, nil))
	person := s.as(t, "admin@contoso.example")
	require.NoError(t, person.call(s.env, http.MethodGet, "/invited/v1/invitations", nil, nil))

	_, metrics := fetch(t, s.adminURL()+"/metrics")
	_, page := fetch(t, s.adminURL()+"/debug/")
	var events struct {
		Value []map[string]any `json:"value"`
	}
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/invitations/"+inv.ID+"/events", nil, &events))
	audit, _, err := s.admin.send(s.env, http.MethodGet, "/invited/v1/invitations/"+bo.ID+"/events", nil)
	require.NoError(t, err)
	told := map[string]string{"log": log.String(), "metrics": metrics, "page": page, "audit": string(audit)}
	require.NotEmpty(t, told["log"])
	require.NotEmpty(t, events.Value)

	secrets := map[string]string{
		"password": s.cfg.Password, "client secret": s.cfg.Secret, "local token": s.localToken(), "wrong token": wrong.token, "access token": person.token,
	}
	for name, link := range map[string]string{"ana": mail.RedeemURL, "bo": bo.RedeemURL} {
		u, err := url.Parse(link)
		require.NoError(t, err)
		segments := strings.Split(u.Query().Get("ticket"), ".")
		require.Len(t, segments, 3)
		secrets["claims of "+name], secrets["signature of "+name] = segments[1], segments[2]
	}
	for where, text := range told {
		for what, secret := range secrets {
			require.NotContains(t, text, secret, "%s in the %s", what, where)
		}
	}
	for _, where := range []string{"metrics", "page"} {
		require.NotContains(t, told[where], "fabrikam", "an address in the %s", where)
	}

	// Every change of state is one line with the request and the invitation.
	for _, want := range []string{`"op":"Invite external user"`, `"op":"Redeem external user invite"`, `"op":"Revoke invitation"`, `"msg":"mail delivered"`} {
		found := false
		for line := range strings.Lines(told["log"]) {
			if strings.Contains(line, want) {
				found = true
				require.Regexp(t, `"id":"[^"]+","ref":"[0-9a-f-]{36}"`, line)
			}
		}
		require.True(t, found, want)
	}
}

func TestMetricsTellWhatHappened(t *testing.T) {
	s, _ := startLogged(t)
	s.invite(t, "ana@fabrikam.example", nil)
	mail := s.await(t, "ana@fabrikam.example", "")
	require.NoError(t, s.click(t, mail.RedeemURL).submit(s.env, "/redeem/accept"))
	s.click(t, mail.RedeemURL[:len(mail.RedeemURL)-30])
	var text string
	require.Eventually(t, func() bool { // the result of the attempt follows the mail
		_, text = fetch(t, s.adminURL()+"/metrics")
		return strings.Contains(text, `invited_mail_attempts_total{outcome="delivered"} 1`)
	}, 10*time.Second, 5*time.Millisecond)
	for _, line := range []string{
		`invited_events_total{activity="Invite external user",result="success"} 1`,
		`invited_redemptions_total{reason="complete"} 1`,
		`invited_redemptions_total{reason="link_invalid"} 1`,
		`invited_captures_total{outcome="accepted"} 1`,
		`invited_http_requests_total{face="web",route="GET /redeem",status="303"}`,
		`invited_store_commit_seconds_count `,
		`invited_store_commit_changes_bucket{le="1"} `,
		`# TYPE invited_queue_messages gauge`,
		`# TYPE invited_queue_oldest_seconds gauge`,
		`invited_build_info{version=`,
	} {
		require.Contains(t, text, line)
	}
	_, page := fetch(t, s.adminURL()+"/debug/")
	require.Contains(t, page, s.SMTPAddr())
	require.Contains(t, page, "invited_mail_attempts_total")
}

func TestOnlyTheAdminListenerShowsTheInside(t *testing.T) {
	s, _ := startLogged(t)
	for _, path := range []string{"/metrics", "/debug/", "/debug/pprof/", "/debug/pprof/heap"} {
		code, _ := fetch(t, s.adminURL()+path)
		require.Equal(t, http.StatusOK, code, path)
		code, _ = fetch(t, s.URL()+path)
		require.Equal(t, http.StatusNotFound, code, path)
	}
	for _, path := range []string{"/debug/", "/debug/pprof/"} { // the sink has /metrics of its own, as Mailpit does
		code, _ := fetch(t, s.SinkURL()+path)
		require.Equal(t, http.StatusNotFound, code, path)
	}
	// A page elsewhere that has its own name lead here gets nothing.
	req, err := http.NewRequest(http.MethodGet, s.adminURL()+"/debug/pprof/heap", nil)
	require.NoError(t, err)
	req.Host = "evil.example"
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.NotEqual(t, http.StatusOK, resp.StatusCode)
}

func TestTheAdminListenerIsForThisMachine(t *testing.T) {
	cfg := ephemeralConfig(t.TempDir())
	cfg.Admin = "0.0.0.0:0"
	_, err := newApp(context.Background(), cfg, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "--admin 0.0.0.0:0")
	_, err = os.Stat(filepath.Join(cfg.Data, "invited.db"))
	require.ErrorIs(t, err, os.ErrNotExist, "nothing was begun")
}

func TestEveryMetricIsDocumented(t *testing.T) {
	s, _ := startLogged(t)
	_, text := fetch(t, s.adminURL()+"/metrics")
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	require.NoError(t, err)
	count := 0
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			count++
			name, _, _ = strings.Cut(name, " ")
			require.Contains(t, string(guide), "`"+name+"`")
		}
	}
	require.Greater(t, count, 15)
}
