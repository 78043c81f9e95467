package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server is a running program for tests, on loopback ports the system picked.
type testServer struct {
	*app
	env   env
	admin *client // the local credential
	sink  *client
}

// startServer builds and starts the whole program in this process.
func startServer(t testing.TB, change ...func(*config)) *testServer {
	t.Helper()
	cfg := ephemeralConfig(t.TempDir())
	cfg.Password, cfg.Secret = "correct horse battery staple", "a secret that is long enough for tests"
	for _, f := range change {
		f(&cfg)
	}
	ctx := context.Background()
	a, err := newApp(ctx, cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	a.start()
	t.Cleanup(func() { require.NoError(t, a.stop()) })
	hc := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return &testServer{
		app: a, env: env{ctx: ctx, stdout: io.Discard, stderr: io.Discard},
		admin: &client{base: a.URL(), token: a.localToken(), http: hc}, sink: &client{base: a.SinkURL(), http: hc},
	}
}

// as returns a client with the rights of a person.
func (s *testServer) as(t testing.TB, upn string) *client {
	t.Helper()
	var out struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, s.admin.call(s.env, http.MethodPost, "/invited/v1/token", fields{"as": upn}, &out))
	return &client{base: s.URL(), token: out.Token, http: s.admin.http}
}

// invite invites an address and returns the answer.
func (s *testServer) invite(t testing.TB, address string, more fields) invitation {
	t.Helper()
	body := fields{"email": address}
	for k, v := range more {
		body[k] = v
	}
	var out invitation
	require.NoError(t, s.admin.call(s.env, http.MethodPost, "/invited/v1/invitations", body, &out))
	return out
}

// await waits for a mail to an address, newer than after.
func (s *testServer) await(t testing.TB, to, after string) caught {
	t.Helper()
	data, status, err := s.sink.send(s.env, http.MethodGet, "/api/v1/wait?"+url.Values{"to": {to}, "after": {after}, "timeout": {"20s"}}.Encode(), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "no mail to %s", to)
	var c caught
	require.NoError(t, json.Unmarshal(data, &c))
	return c
}

// diagnosis returns the reason diagnosis gives for a guest.
func (s *testServer) diagnosis(t testing.TB, address string) diagnosis {
	t.Helper()
	var d diagnosis
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/guests/"+url.PathEscape(address)+"/diagnosis", nil, &d))
	return d
}

// click opens a link as a person does.
func (s *testServer) click(t testing.TB, link string) *person {
	t.Helper()
	p := newPerson()
	require.NoError(t, p.open(s.env, link))
	return p
}

func TestTheWholeChain(t *testing.T) {
	s := startServer(t)
	inv := s.invite(t, "ana@fabrikam.example", fields{"displayName": "Ana", "groups": []string{"Partners"}, "apps": []string{"Expenses"}})
	require.True(t, inv.NewUser)
	mail := s.await(t, "ana@fabrikam.example", "")
	require.Equal(t, "Inbox", mail.Folder)
	require.Contains(t, mail.From.Name, "on behalf of Contoso")
	require.Equal(t, inv.RedeemURL, mail.RedeemURL, "the mail carries the link the API returned")
	require.Equal(t, "mail_delivered", s.diagnosis(t, "ana@fabrikam.example").Reason)

	ana := s.click(t, mail.RedeemURL)
	require.Equal(t, "Review permissions", ana.heading)
	require.NotContains(t, ana.body, "ticket", "no page carries the ticket")
	require.NoError(t, ana.submit(s.env, "/redeem/accept"))
	require.Equal(t, "My Apps", ana.heading)
	require.Contains(t, ana.body, "Expenses")
	require.Equal(t, "complete", s.diagnosis(t, "ana@fabrikam.example").Reason)

	again := s.click(t, mail.RedeemURL)
	require.Equal(t, "My Apps", again.heading, "the link is the guest's way back")
}

func TestCancelAndChangeOfMind(t *testing.T) {
	s := startServer(t)
	inv := s.invite(t, "ben@fabrikam.example", fields{"sendMessage": false})
	ben := s.click(t, inv.RedeemURL)
	require.NoError(t, ben.submit(s.env, "/redeem/cancel"))
	require.Contains(t, ben.heading, "did not accept")
	require.Equal(t, "consent_declined", s.diagnosis(t, "ben@fabrikam.example").Reason)
	require.NoError(t, ben.open(s.env, inv.RedeemURL))
	require.NoError(t, ben.submit(s.env, "/redeem/accept"))
	require.Equal(t, "My Apps", ben.heading)
	require.Contains(t, ben.body, "There are no apps to show")
	require.Equal(t, "no_apps", s.diagnosis(t, "ben@fabrikam.example").Reason)
}

func TestLinksThatNoLongerWorkSayWhy(t *testing.T) {
	s := startServer(t, func(c *config) { c.Clock = true })
	refused := func(t *testing.T, link, reason string) {
		t.Helper()
		p := s.click(t, link)
		require.Contains(t, p.body, ">"+reason+"</code>", "%s: %s", p.url, p.heading)
		require.GreaterOrEqual(t, p.status, 400)
	}
	post := func(t *testing.T, path string) {
		t.Helper()
		require.NoError(t, s.admin.call(s.env, http.MethodPost, path, fields{}, nil))
	}

	revoked := s.invite(t, "a@fabrikam.example", fields{"sendMessage": false})
	post(t, "/invited/v1/guests/a@fabrikam.example/revoke")
	refused(t, revoked.RedeemURL, "link_revoked")

	deleted := s.invite(t, "b@fabrikam.example", fields{"sendMessage": false})
	require.NoError(t, s.admin.call(s.env, http.MethodDelete, "/v1.0/users/"+deleted.UserID, nil, nil))
	refused(t, deleted.RedeemURL, "guest_deleted")

	mangled := s.invite(t, "c@fabrikam.example", fields{"sendMessage": false})
	refused(t, strings.Replace(mangled.RedeemURL, "ticket=eyJ", "ticket=eyK", 1), "link_invalid")
	refused(t, s.URL()+"/redeem", "link_invalid")
	refused(t, strings.Replace(mangled.RedeemURL, "tenant=", "tenant=x", 1), "wrong_organisation")

	expired := s.invite(t, "d@fabrikam.example", fields{"sendMessage": false})
	require.NoError(t, s.admin.call(s.env, http.MethodPost, "/invited/v1/clock", fields{"advance": "721h"}, nil))
	refused(t, expired.RedeemURL, "link_expired")
	post(t, "/invited/v1/guests/d@fabrikam.example/resend")
	fresh := s.await(t, "d@fabrikam.example", "")
	require.Equal(t, "Review permissions", s.click(t, fresh.RedeemURL).heading)
}

func TestGuestsCannotSkipOrForgeSteps(t *testing.T) {
	s := startServer(t)
	inv := s.invite(t, "eve@fabrikam.example", fields{"sendMessage": false})
	eve := s.click(t, inv.RedeemURL)

	err := eve.do(s.env, http.MethodPost, s.URL()+"/redeem/accept", url.Values{"csrf": {"wrong"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, eve.status)

	err = newPerson().do(s.env, http.MethodPost, s.URL()+"/redeem/accept", url.Values{"csrf": {""}})
	require.NoError(t, err)
	stranger := s.click(t, s.URL()+"/myapps")
	require.Equal(t, http.StatusUnauthorized, stranger.status)

	state := s.diagnosis(t, "eve@fabrikam.example").State
	require.Equal(t, "pending", state)
}

func TestNewLinkIsMailedToTheInvitedAddressOnly(t *testing.T) {
	s := startServer(t)
	s.invite(t, "fay@fabrikam.example", nil)
	first := s.await(t, "fay@fabrikam.example", "")
	ask := func(address string) *person {
		p := s.click(t, s.URL()+"/redeem/new-link")
		require.NoError(t, p.do(s.env, http.MethodPost, s.URL()+"/redeem/new-link", url.Values{"address": {address}}))
		return p
	}
	known, stranger := ask("fay@fabrikam.example"), ask("nobody@fabrikam.example")
	require.Equal(t, known.status, stranger.status)
	require.Equal(t, strings.ReplaceAll(known.body, "fay", "nobody"), stranger.body, "strangers cannot tell who is invited")
	second := s.await(t, "fay@fabrikam.example", first.ID)
	require.NotEqual(t, first.RedeemURL, second.RedeemURL)
}

func TestUnknownPathsAndMethodsArePages(t *testing.T) {
	s := startServer(t)
	tests := []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/nothing/here", http.StatusNotFound},
		{http.MethodDelete, "/myapps", http.StatusMethodNotAllowed},
		{http.MethodGet, "/redeem/accept", http.StatusMethodNotAllowed},
	}
	for _, tt := range tests {
		p := newPerson()
		require.NoError(t, p.do(s.env, tt.method, s.URL()+tt.path, nil), "%s %s", tt.method, tt.path)
		require.Equal(t, tt.status, p.status, "%s %s", tt.method, tt.path)
		require.NotEmpty(t, p.heading)
	}
}
