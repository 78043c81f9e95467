package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// noMail is an invitation whose link is handed over by the test.
var noMail = fields{"sendMessage": false}

// home records a home organisation.
func (s *testServer) home(t testing.TB, domain string, more fields) {
	t.Helper()
	body := fields{"displayName": "Woodgrove", "signIn": "simulated"}
	for k, v := range more {
		body[k] = v
	}
	require.NoError(t, s.admin.call(s.env, http.MethodPut, "/invited/v1/homes/"+domain, body, nil))
}

func TestBrowserFromTheMailToMyApps(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	s.invite(t, "ana@fabrikam.example", fields{"displayName": "Ana", "apps": []string{"Expenses"}, "message": "Welcome to the project. The plan is in Expenses."})
	mail := s.await(t, "ana@fabrikam.example", "")

	ana := b.tab("en")
	ana.open(s.SinkURL())
	ana.inspect("inbox")
	ana.click("a.mail")
	require.Equal(t, mail.Subject, ana.heading())
	ana.inspect("mail")
	link := eval[string](ana, `document.querySelector("#redeem").href`)
	require.Equal(t, mail.RedeemURL, link, "the page offers the mail's link")

	require.Equal(t, http.StatusOK, ana.open(link))
	require.Equal(t, "Review permissions", ana.heading())
	require.Equal(t, "/redeem/review", ana.path(), "the ticket is not in the address bar")
	ana.inspect("review")
	require.Equal(t, http.StatusOK, ana.click("#accept"))
	require.Equal(t, "My Apps", ana.heading())
	require.Contains(t, ana.text("main"), "Expenses")
	ana.inspect("myapps")
	require.Equal(t, "complete", s.diagnosis(t, "ana@fabrikam.example").Reason)

	require.Equal(t, http.StatusOK, ana.click("#signout"))
	require.Equal(t, "You are signed out", ana.heading())
	ana.inspect("signedout")
	require.Equal(t, http.StatusUnauthorized, ana.open(s.URL()+"/myapps"))
	ana.inspect("refused-session")
}

func TestBrowserCancelAndAcceptLater(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	inv := s.invite(t, "ben@fabrikam.example", noMail)
	ben := b.tab("en")
	ben.open(inv.RedeemURL)
	ben.click("#cancel")
	require.Equal(t, "You did not accept", ben.heading())
	ben.inspect("declined")
	ben.click("a.button")
	require.Equal(t, "Review permissions", ben.heading())
	ben.click("#accept")
	require.Contains(t, ben.text("main"), "There are no apps to show")
	ben.inspect("myapps-none")
}

func TestBrowserSignsInAtHome(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	s.home(t, "woodgrove.example", fields{"allowEmailVerifiedUsers": true})
	inv := s.invite(t, "cleo@woodgrove.example", noMail)
	cleo := b.tab("en")
	cleo.open(inv.RedeemURL)
	require.Equal(t, "/redeem/signin", cleo.path())
	cleo.inspect("signin")
	cleo.click("#continue")
	require.Equal(t, "Review permissions", cleo.heading())
	cleo.click("#accept")
	require.Equal(t, "/myapps", cleo.path())
}

func TestBrowserSaysWhereItLeads(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	inv := s.invite(t, "dora@fabrikam.example", fields{"sendMessage": false, "redirectUrl": "https://expenses.contoso.example/start?from=invitation"})
	dora := b.tab("en")
	dora.open(inv.RedeemURL)
	dora.click("#accept")
	require.Equal(t, "/redeem/leave", dora.path())
	require.Contains(t, dora.text("main"), "expenses.contoso.example")
	require.Equal(t, "https://expenses.contoso.example/start?from=invitation", eval[string](dora, `document.querySelector("#go").href`))
	dora.inspect("leave")
	dora.click("a.button.second")
	require.Equal(t, "My Apps", dora.heading())
}

// refusals are the ways a link fails, each with what to do to the tenant first
// and the link that then fails.
var refusals = []struct {
	name, reason string
	forward      bool // the page has a text for the guest's administrator
	link         func(t *testing.T, s *testServer) string
}{
	{"mangled", "link_invalid", false, func(t *testing.T, s *testServer) string {
		return strings.Replace(s.invite(t, "m@fabrikam.example", noMail).RedeemURL, "ticket=eyJ", "ticket=eyK", 1)
	}},
	{"wrong organisation", "wrong_organisation", false, func(t *testing.T, s *testServer) string {
		return strings.Replace(s.invite(t, "w@fabrikam.example", noMail).RedeemURL, "tenant=", "tenant=x", 1)
	}},
	{"revoked", "link_revoked", false, func(t *testing.T, s *testServer) string {
		inv := s.invite(t, "r@fabrikam.example", noMail)
		s.post(t, "/invited/v1/guests/r@fabrikam.example/revoke", fields{})
		return inv.RedeemURL
	}},
	{"guest deleted", "guest_deleted", false, func(t *testing.T, s *testServer) string {
		inv := s.invite(t, "d@fabrikam.example", noMail)
		require.NoError(t, s.admin.call(s.env, http.MethodDelete, "/v1.0/users/"+inv.UserID, nil, nil))
		return inv.RedeemURL
	}},
	{"guest disabled", "account_disabled", false, func(t *testing.T, s *testServer) string {
		inv := s.invite(t, "off@fabrikam.example", noMail)
		require.NoError(t, s.admin.call(s.env, http.MethodPatch, "/v1.0/users/"+inv.UserID, fields{"accountEnabled": false}, nil))
		return inv.RedeemURL
	}},
	{"replaced", "link_replaced", false, func(t *testing.T, s *testServer) string {
		s.policy(t, fields{"onResend": "supersede"})
		inv := s.invite(t, "old@fabrikam.example", noMail)
		s.post(t, "/invited/v1/guests/old@fabrikam.example/resend", fields{})
		return inv.RedeemURL
	}},
	{"home blocks just-in-time accounts", "jit_disabled", true, func(t *testing.T, s *testServer) string {
		s.home(t, "woodgrove.example", nil)
		return s.invite(t, "dana@woodgrove.example", noMail).RedeemURL
	}},
	{"home is federated", "home_federated", true, func(t *testing.T, s *testServer) string {
		s.home(t, "tailspin.example", fields{"federated": true, "allowEmailVerifiedUsers": true})
		return s.invite(t, "finn@tailspin.example", noMail).RedeemURL
	}},
	{"nobody can sign in", "no_sign_in", true, func(t *testing.T, s *testServer) string {
		s.policy(t, fields{"fallback": "none"})
		return s.invite(t, "nora@nowhere.example", noMail).RedeemURL
	}},
	{"domain blocked since", "domain_blocked", false, func(t *testing.T, s *testServer) string {
		inv := s.invite(t, "gil@blocked.example", noMail)
		s.policy(t, fields{"blockedDomains": []string{"blocked.example"}})
		return inv.RedeemURL
	}},
	{"expired", "link_expired", false, func(t *testing.T, s *testServer) string {
		inv := s.invite(t, "late@fabrikam.example", noMail)
		s.post(t, "/invited/v1/clock", fields{"advance": "721h"})
		return inv.RedeemURL
	}},
}

// post calls a verb of the API.
func (s *testServer) post(t testing.TB, path string, body fields) {
	t.Helper()
	require.NoError(t, s.admin.call(s.env, http.MethodPost, path, body, nil))
}

// policy changes what the tenant allows.
func (s *testServer) policy(t testing.TB, change fields) {
	t.Helper()
	require.NoError(t, s.admin.call(s.env, http.MethodPut, "/invited/v1/policy", change, nil))
}

func TestBrowserRefusalsNameReasonAndRemedy(t *testing.T) {
	b := startBrowser(t)
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, func(c *config) { c.Clock = true })
			guest := b.tab("en")
			guest.t = t
			require.GreaterOrEqual(t, guest.open(tt.link(t, s)), 400)
			require.Equal(t, tt.reason, guest.text("#reason"))
			require.NotEmpty(t, guest.text("#remedy"))
			require.Equal(t, tt.forward, eval[bool](guest, `!!document.querySelector("#forward")`))
			if tt.forward {
				require.Contains(t, guest.text("#forward"), "Contoso")
			}
			guest.inspect("refused-" + tt.reason)
		})
	}
}

func TestBrowserRefusalsWithoutALink(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	guest := b.tab("en")
	require.Equal(t, http.StatusOK, guest.open(s.URL()+"/"))
	guest.inspect("start")
	require.Equal(t, http.StatusNotFound, guest.open(s.URL()+"/nothing"))
	guest.inspect("refused-not-found")

	require.Equal(t, http.StatusOK, guest.open(s.URL()+"/redeem/new-link"))
	guest.inspect("newlink")
	guest.do(func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("#address"), "a..b@fabrikam.example"))
	})
	require.Equal(t, http.StatusBadRequest, guest.click("#send"))
	// Chromium moves the focus after the page has loaded.
	require.Eventually(t, func() bool { return eval[string](guest, `document.activeElement.id`) == "address" },
		10*time.Second, 20*time.Millisecond, "the field at fault has the focus")
	guest.inspect("newlink-bad")
	guest.do(func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.Clear(chromedp.CSS("#address")), chromedp.SendKeys(chromedp.CSS("#address"), "ana@fabrikam.example"))
	})
	require.Equal(t, http.StatusOK, guest.click("#send"))
	guest.inspect("newlink-sent")
}

// press presses keys that do not lead to another page.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.do(func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.KeyEvent(keys)) })
}

// tabTo presses Tab until the element with this id has the focus, and checks
// that the focus can be seen on the way.
func (p *tab) tabTo(id string) {
	p.t.Helper()
	for range 20 {
		p.press(kb.Tab)
		at := eval[struct {
			ID      string `json:"id"`
			Outline string `json:"outline"`
		}](p, `({id: document.activeElement.id, outline: getComputedStyle(document.activeElement).outlineStyle})`)
		require.NotEqual(p.t, "none", at.Outline, "the focus on %q cannot be seen", at.ID)
		if at.ID == id {
			return
		}
	}
	p.t.Fatalf("Tab does not reach %q", id)
}

func TestBrowserKeyboardOnly(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	s.home(t, "woodgrove.example", fields{"allowEmailVerifiedUsers": true})
	s.invite(t, "kim@woodgrove.example", nil)
	mail := s.await(t, "kim@woodgrove.example", "")
	kim := b.tab("en")
	enter := chromedp.KeyEvent(kb.Enter)

	kim.open(s.SinkURL())
	kim.tabTo("mail-" + mail.ID)
	kim.load(enter)
	require.Equal(t, mail.Subject, kim.heading())
	kim.tabTo("redeem")
	kim.open(mail.RedeemURL) // Enter opens it in a tab of its own, which TestBrowserOpensLinksOfTheMail shows

	kim.press(kb.Tab)
	require.Equal(t, "skip", eval[string](kim, `document.activeElement.className`), "the first stop skips to the content")
	kim.tabTo("continue")
	kim.load(enter)
	kim.tabTo("accept")
	kim.load(enter)
	require.Equal(t, "My Apps", kim.heading())
	kim.tabTo("signout")
	kim.load(enter)
	require.Equal(t, "You are signed out", kim.heading())
}

func TestBrowserWithoutJavaScript(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	s.home(t, "woodgrove.example", fields{"allowEmailVerifiedUsers": true})
	inv := s.invite(t, "lea@woodgrove.example", nil)
	s.await(t, "lea@woodgrove.example", "")
	lea := b.tab("en")
	call(lea, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})

	lea.open(s.SinkURL())
	lea.click("a.mail")
	require.Contains(t, lea.heading(), "Contoso")
	lea.open(inv.RedeemURL)
	lea.click("#continue")
	lea.click("#cancel")
	lea.click("a.button")
	lea.click("#accept")
	require.Equal(t, "My Apps", lea.heading())
	lea.click("#signout")
	require.Equal(t, "You are signed out", lea.heading())
}

func TestBrowserSpeaksGerman(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	s.home(t, "woodgrove.example", nil)
	inv := s.invite(t, "mia@fabrikam.example", fields{"language": "de"})
	s.await(t, "mia@fabrikam.example", "")
	refused := s.invite(t, "dana@woodgrove.example", noMail)
	mia := b.tab("de-AT,de;q=0.9,en;q=0.5")
	german := func(heading string) {
		t.Helper()
		require.Equal(t, heading, mia.heading())
		require.Equal(t, "de", eval[string](mia, `document.documentElement.lang`))
	}
	mia.open(s.SinkURL())
	german("Alle E-Mails")
	mia.inspect("de-inbox")
	mia.click("a.mail")
	mia.inspect("de-mail")
	mia.open(inv.RedeemURL)
	german("Berechtigungen prüfen")
	mia.inspect("de-review")
	mia.click("#accept")
	german("Meine Apps")
	mia.inspect("de-myapps")
	mia.open(refused.RedeemURL)
	require.Equal(t, "jit_disabled", mia.text("#reason"))
	mia.inspect("de-refused-jit_disabled")
}

func TestBrowserScannersConsumeNothing(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	inv := s.invite(t, "zoe@fabrikam.example", nil)
	mail := s.await(t, "zoe@fabrikam.example", "")
	var tabs []*tab
	for range 4 {
		scanner := b.tab("en")
		require.Equal(t, http.StatusOK, scanner.open(mail.RedeemURL))
		tabs = append(tabs, scanner)
	}
	for _, scanner := range tabs {
		// The page's scripts, if it has any, run on while the scanner watches.
		linger(time.Second)
		for _, link := range eval[[]string](scanner, `[...document.links].map(a => a.href).filter(h => h.startsWith(location.origin))`) {
			scanner.open(link)
		}
	}
	require.Equal(t, "pending", s.diagnosis(t, "zoe@fabrikam.example").State)
	var events struct {
		Value []struct {
			Action string `json:"action"`
		} `json:"value"`
	}
	require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/invitations/"+url.PathEscape(inv.ID)+"/events", nil, &events))
	for _, e := range events.Value {
		require.NotContains(t, e.Action, "accept")
		require.NotContains(t, e.Action, "decline")
	}

	zoe := b.tab("en")
	zoe.open(mail.RedeemURL)
	zoe.click("#accept")
	require.Equal(t, "My Apps", zoe.heading(), "the link still works for the person")
}
