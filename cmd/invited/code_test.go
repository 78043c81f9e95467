package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shownCode is a code as the mail shows it.
var shownCode = regexp.MustCompile(`\b(\d{4}) (\d{4})\b`)

// codeFor waits for a mail with a code, newer than after.
func (s *testServer) codeFor(t testing.TB, to, after string) (code, id string) {
	t.Helper()
	c := s.await(t, to, after)
	data, _, err := s.sink.send(s.env, http.MethodGet, "/api/v1/message/"+c.ID, nil)
	require.NoError(t, err)
	var m struct{ Text, HTML string }
	require.NoError(t, json.Unmarshal(data, &m))
	found := shownCode.FindStringSubmatch(m.Text)
	require.NotNil(t, found, m.Text)
	require.NotContains(t, m.Text+m.HTML, "://", "no link")
	return found[1] + found[2], c.ID
}

// fill sends the form that leads to path with a code.
func (p *person) fill(t testing.TB, e env, path, code string) {
	t.Helper()
	m := formToken.FindStringSubmatch(p.body)
	require.NotNil(t, m, p.heading)
	require.Contains(t, p.body, `action="`+path+`"`)
	target := *p.url
	target.Path, target.RawQuery = path, ""
	require.NoError(t, p.do(e, http.MethodPost, target.String(), url.Values{"csrf": {m[1]}, "code": {code}}))
}

func TestSigningInByMailedCode(t *testing.T) {
	s := startServer(t)
	s.policy(t, fields{"fallback": "otp"})
	s.invite(t, "ana@fabrikam.example", nil)
	link := s.await(t, "ana@fabrikam.example", "")
	ana := s.click(t, link.RedeemURL)
	require.Equal(t, "Sign in with a code", ana.heading)
	require.NoError(t, ana.submit(s.env, "/redeem/code/new"))
	code, first := s.codeFor(t, "ana@fabrikam.example", link.ID)

	ana.fill(t, s.env, "/redeem/code", "00000000")
	require.Equal(t, http.StatusForbidden, ana.status)
	require.Contains(t, ana.body, ">code_wrong</code>")
	other := s.click(t, link.RedeemURL)
	require.NoError(t, other.submit(s.env, "/redeem/code/new"))
	_, _ = s.codeFor(t, "ana@fabrikam.example", first)
	other.fill(t, s.env, "/redeem/code", code)
	require.Contains(t, other.body, ">code_wrong</code>", "a code is good in the browser that asked")

	ana.fill(t, s.env, "/redeem/code", code)
	require.Equal(t, "Review permissions", ana.heading)
	require.NoError(t, ana.submit(s.env, "/redeem/accept"))
	require.Equal(t, "My Apps", ana.heading)

	again := s.click(t, link.RedeemURL)
	require.Equal(t, "Sign in with a code", again.heading, "coming back takes a new code")

	deliveries := struct {
		Value []struct{ Kind, State string }
	}{}
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/guests/ana@fabrikam.example/diagnosis", nil, nil))
	var inv invitation
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/invitations/ana@fabrikam.example", nil, &inv))
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/invitations/"+inv.ID+"/deliveries", nil, &deliveries))
	require.Len(t, deliveries.Value, 3)
	require.Equal(t, "invitation", deliveries.Value[0].Kind)
	require.Equal(t, "code", deliveries.Value[1].Kind)
}

func TestRedeemingByCodeWithoutABrowser(t *testing.T) {
	s := startServer(t)
	s.policy(t, fields{"fallback": "otp"})
	inv := s.invite(t, "ana@fabrikam.example", fields{"sendMessage": false})
	u, err := url.Parse(inv.RedeemURL)
	require.NoError(t, err)
	ticket := u.Query().Get("ticket")
	guest := &client{base: s.URL(), http: s.admin.http}
	var asked struct{ Email, Session string }
	require.NoError(t, guest.call(s.env, http.MethodPost, "/invited/v1/redemptions/codes", fields{"ticket": ticket}, &asked))
	code, _ := s.codeFor(t, "ana@fabrikam.example", "")
	require.Error(t, guest.call(s.env, http.MethodPost, "/invited/v1/redemptions", fields{"ticket": ticket, "accept": true}, nil))
	var out struct{ State string }
	require.NoError(t, guest.call(s.env, http.MethodPost, "/invited/v1/redemptions",
		fields{"ticket": ticket, "accept": true, "session": asked.Session, "code": code}, &out))
	require.Equal(t, "accepted", out.State)
}

// blockLink returns the link to block invitations that a mail offers.
func (s *testServer) blockLink(t testing.TB, id string) string {
	t.Helper()
	data, _, err := s.sink.send(s.env, http.MethodGet, "/api/v1/message/"+id+"/raw", nil)
	require.NoError(t, err)
	header := strings.ReplaceAll(string(data), "\r\n ", "")
	link := regexp.MustCompile(`List-Unsubscribe: <([^>]+)>`).FindStringSubmatch(header)
	require.NotNil(t, link, "the mail offers it")
	require.Contains(t, header, "Auto-Submitted: auto-generated")
	require.NotContains(t, header, "List-Unsubscribe-Post", "one click takes https")
	return link[1]
}

func TestBlockingFutureInvitations(t *testing.T) {
	s := startServer(t)
	s.invite(t, "bea@fabrikam.example", nil)
	mail := s.await(t, "bea@fabrikam.example", "")
	link := s.blockLink(t, mail.ID)

	bea := s.click(t, link)
	require.Equal(t, "Block invitations", bea.heading)
	require.NotContains(t, bea.url.String()+bea.body, "ticket=")
	require.NoError(t, bea.submit(s.env, "/block/confirm"))
	require.Equal(t, "Invitations are blocked", bea.heading)

	again := s.invite(t, "bea@fabrikam.example", nil)
	require.NotEmpty(t, again.RedeemURL, "inviting is answered as always")
	var deliveries struct{ Value []struct{ State string } }
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/invitations/"+again.ID+"/deliveries", nil, &deliveries))
	require.Equal(t, "suppressed", deliveries.Value[0].State)
	require.Equal(t, "recipient_blocked", s.diagnosis(t, "bea@fabrikam.example").Reason)

	require.NoError(t, bea.submit(s.env, "/block/code"))
	code, id := s.codeFor(t, "bea@fabrikam.example", mail.ID)
	bea.fill(t, s.env, "/block/undo", code)
	require.Equal(t, "Invitations are allowed again", bea.heading)
	s.invite(t, "bea@fabrikam.example", nil)
	s.await(t, "bea@fabrikam.example", id)

	resp, err := http.PostForm(link, url.Values{"List-Unsubscribe": {"One-Click"}})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "recipient_blocked", s.diagnosis(t, "bea@fabrikam.example").Reason)
}

func TestTooManyBrokenLinks(t *testing.T) {
	s := startServer(t, func(c *config) { c.LinkTries = 3 })
	inv := s.invite(t, "ana@fabrikam.example", fields{"sendMessage": false})
	for range 3 {
		require.Equal(t, http.StatusGone, s.click(t, s.URL()+"/redeem?ticket=broken").status)
	}
	resp, err := http.Get(s.URL() + "/redeem?ticket=broken")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	require.Equal(t, "Review permissions", s.click(t, inv.RedeemURL).heading, "a link that verifies is never turned away")
}

// TestStrangersLearnNothing holds that asking for a new link takes the same work
// and gives the same answer for everybody: what differs is done afterwards.
func TestStrangersLearnNothing(t *testing.T) {
	s := startServer(t)
	s.invite(t, "pending@fabrikam.example", nil)
	done := s.invite(t, "accepted@fabrikam.example", fields{"sendMessage": false})
	require.NoError(t, s.click(t, done.RedeemURL).submit(s.env, "/redeem/accept"))
	ask := func(address string) (string, time.Duration) {
		p := newPerson()
		best := time.Hour
		for range 15 {
			began := time.Now()
			require.NoError(t, p.do(s.env, http.MethodPost, s.URL()+"/redeem/new-link", url.Values{"address": {address}}))
			best = min(best, time.Since(began))
		}
		return fmt.Sprint(p.status, strings.ReplaceAll(p.body, strings.Split(address, "@")[0], "x")), best
	}
	answer, usual := ask("nobody@fabrikam.example")
	for _, address := range []string{"pending@fabrikam.example", "accepted@fabrikam.example", "admin@contoso.example"} {
		got, took := ask(address)
		require.Equal(t, answer, got, address)
		require.InDelta(t, usual.Seconds(), took.Seconds(), 0.010, address)
	}
}

func TestPreflightVerb(t *testing.T) {
	s := startServer(t)
	require.NoError(t, s.admin.call(s.env, http.MethodPut, "/invited/v1/homes/litware.example", fields{"allowEmailVerifiedUsers": false}, nil))
	require.NoError(t, s.writeLocalCredential())
	say := func(address string, more ...string) (string, int) {
		var out bytes.Buffer
		e := s.env
		e.stdout = &out
		code := run(e, append([]string{"preflight", address, "--data", s.cfg.Data}, more...))
		return out.String(), code
	}
	text, code := say("ana@fabrikam.example")
	require.Equal(t, exitOK, code, text)
	require.Contains(t, text, "can be invited and can sign in")
	require.Contains(t, text, "Signs in by link")
	text, code = say("ana@litware.example")
	require.Equal(t, exitDenied, code)
	require.Contains(t, text, "could not sign in")
	require.Contains(t, text, "AllowEmailVerifiedUsers")
	text, code = say("new@contoso.example", "--output", "json")
	require.Equal(t, exitDenied, code)
	var p preflight
	require.NoError(t, json.Unmarshal([]byte(text), &p))
	require.False(t, p.Invitable)
	require.Equal(t, "verified_domain", p.Reason)
	s.policy(t, fields{"rules": "current"})
	text, code = say("ana@litware.example")
	require.Equal(t, exitOK, code, text)
}

func TestMovingAGuestToAnotherAddress(t *testing.T) {
	s := startServer(t)
	first := s.invite(t, "eva@fabrikam.example", fields{"groups": []string{"Partners"}, "sendMessage": false})
	require.NoError(t, s.click(t, first.RedeemURL).submit(s.env, "/redeem/accept"))
	reset := fields{"email": "eva@litware.example"}
	err := s.admin.call(s.env, http.MethodPost, "/invited/v1/guests/"+first.UserID+"/reset", reset, nil)
	require.ErrorContains(t, err, "The email you're using to invite this user doesn't match any emails on the user object. Please add this email to the user object and try again.")

	require.NoError(t, s.admin.call(s.env, http.MethodPatch, "/v1.0/users/"+first.UserID, fields{"otherMails": []string{"eva@fabrikam.example", "eva@litware.example"}}, nil))
	var moved invitation
	require.NoError(t, s.admin.call(s.env, http.MethodPost, "/invited/v1/guests/"+first.UserID+"/reset", reset, &moved))
	require.Equal(t, first.UserID, moved.UserID)
	require.Equal(t, http.StatusGone, s.click(t, first.RedeemURL).status)
	mail := s.await(t, "eva@litware.example", "")
	eva := s.click(t, mail.RedeemURL)
	require.NoError(t, eva.submit(s.env, "/redeem/accept"))
	require.Equal(t, "My Apps", eva.heading)
	require.Equal(t, "no_apps", s.diagnosis(t, "eva@litware.example").Reason)
	var user struct {
		UPN        string `json:"userPrincipalName"`
		Mail       string
		Identities []struct{ IssuerAssignedID string }
	}
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/v1.0/users/"+first.UserID+"?$select=userPrincipalName,mail,identities", nil, &user))
	require.Contains(t, user.UPN, "eva_fabrikam.example#EXT#", "the UPN stays")
	require.Equal(t, "eva@litware.example", user.Identities[0].IssuerAssignedID)
}

func TestLinksKeepToThePolicy(t *testing.T) {
	s := startServer(t, func(c *config) { c.Clock = true })
	keep := s.invite(t, "kit@fabrikam.example", noMail)
	s.post(t, "/invited/v1/guests/kit@fabrikam.example/resend", fields{})
	require.Equal(t, "Review permissions", s.click(t, keep.RedeemURL).heading, "links of one generation all work")
	s.policy(t, fields{"onResend": "supersede", "linkLifetime": "0s"})
	s.post(t, "/invited/v1/guests/kit@fabrikam.example/resend", fields{})
	require.Contains(t, s.click(t, keep.RedeemURL).body, ">link_replaced</code>")
	ever := s.invite(t, "eve@fabrikam.example", noMail)
	s.post(t, "/invited/v1/clock", fields{"advance": "87600h"})
	require.Equal(t, "Review permissions", s.click(t, ever.RedeemURL).heading, "0 is for ever")
	require.Error(t, s.admin.call(s.env, http.MethodPut, "/invited/v1/policy", fields{"linkLifetime": "10s"}, nil))
	require.Error(t, s.admin.call(s.env, http.MethodPut, "/invited/v1/policy", fields{"onResend": "sometimes"}, nil))
}
