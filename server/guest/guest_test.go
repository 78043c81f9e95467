package guest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/session"
)

func TestOpenLinkKeepsASessionAndDropsTheTicket(t *testing.T) {
	tests := []struct {
		name, target, cookie string
		secure               bool
	}{
		{"over http, on a laptop", "http://127.0.0.1/redeem?tenant=t1&user=i1&ticket=secret&ver=2.0", "invited_guest", false},
		{"over https", "https://invite.contoso.example/redeem?tenant=t1&user=i1&ticket=secret&ver=2.0", "__Host-invited_guest", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			w := f.do(http.MethodGet, tt.target, nil, nil)
			leadsTo(t, w, "/redeem/review")
			c := w.Result().Cookies()[0]
			require.Equal(t, tt.cookie, c.Name)
			require.Equal(t, tt.secure, c.Secure)
			require.True(t, c.HttpOnly)
			require.Equal(t, http.SameSiteLaxMode, c.SameSite)
			require.Equal(t, "/", c.Path)
			require.Empty(t, c.Domain)
			s := kept(t, w)
			require.Equal(t, session.Guest{
				ID:     "form token",
				Tenant: "t1", User: "u1", Invitation: "i1", Generation: 2, JTI: "j1", Issued: t0, CSRF: "form token", Expires: t0.Add(time.Hour),
			}, s)
			require.NotContains(t, w.Header().Get("Set-Cookie")+w.Body.String(), "secret")
			require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
			require.Equal(t, []bool{false}, f.invitations.views)
		})
	}
}

func TestOpenLinkTellsScannersApart(t *testing.T) {
	tests := []struct {
		name   string
		method string
		change func(*http.Request)
		want   bool
	}{
		{"a person's browser", http.MethodGet, func(r *http.Request) { r.Header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0)") }, false},
		{"HEAD", http.MethodHead, func(*http.Request) {}, true},
		{"a prefetch", http.MethodGet, func(r *http.Request) { r.Header.Set("Sec-Purpose", "prefetch") }, true},
		{"an old prefetch", http.MethodGet, func(r *http.Request) { r.Header.Set("Purpose", "prefetch") }, true},
		{"a headless browser", http.MethodGet, func(r *http.Request) { r.Header.Set("User-Agent", "HeadlessChrome/140") }, true},
		{"nobody in particular", http.MethodGet, func(r *http.Request) { r.Header.Del("User-Agent") }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			w := f.do(tt.method, "/redeem?ticket=x", nil, nil, tt.change)
			leadsTo(t, w, "/redeem/review")
			require.Equal(t, []bool{tt.want}, f.invitations.views)
			require.Equal(t, tt.method == http.MethodHead, len(w.Result().Cookies()) == 0, "HEAD leaves nothing behind")
		})
	}
}

func TestRefusedLinks(t *testing.T) {
	tests := []struct {
		reason problem.Reason
		kind   problem.Kind
		status int // 0: the session is kept, for "try again"
		offer  bool
	}{
		{problem.LinkInvalid, problem.NotFound, http.StatusNotFound, true},
		{problem.LinkExpired, problem.Gone, http.StatusGone, true},
		{problem.LinkReplaced, problem.Gone, http.StatusGone, true},
		{problem.LinkRevoked, problem.Gone, http.StatusGone, false},
		{problem.GuestDeleted, problem.Gone, http.StatusGone, false},
		{problem.AccountDisabled, problem.Denied, http.StatusForbidden, false},
		{problem.JITDisabled, problem.Denied, 0, false},
		{problem.HomeFederated, problem.Denied, 0, false},
		{problem.NoSignIn, problem.Denied, 0, false},
		{problem.DomainBlocked, problem.Denied, 0, false},
	}
	for _, tt := range tests {
		t.Run(string(tt.reason), func(t *testing.T) {
			f := open(t)
			refusal := &problem.Error{Kind: tt.kind, Reason: tt.reason, Detail: "private", Err: errors.New("secret cause")}
			f.invitations.openErr, f.invitations.err = refusal, refusal
			w := f.do(http.MethodGet, "/redeem?ticket=secret", nil, nil)
			if tt.status == 0 {
				leadsTo(t, w, "/redeem/review")
				w = f.do(http.MethodGet, "/redeem/review", visiting(), nil)
				refuses(t, w, http.StatusForbidden, tt.reason)
				require.Contains(t, w.Body.String(), `href="/redeem/review"`, "the same link may work later")
				return
			}
			refuses(t, w, tt.status, tt.reason)
			require.Empty(t, w.Result().Cookies())
			require.Equal(t, tt.offer, strings.Contains(w.Body.String(), `href="/redeem/new-link"`))
			require.NotContains(t, w.Body.String(), "secret")
		})
	}
}

// pages are the addresses that show something, with the session they need.
var pages = []struct {
	path    string
	session *session.Guest
}{
	{"/", nil}, {"/redeem/new-link", nil}, {"/signedout", nil}, {"/redeem/review", visiting()}, {"/redeem/declined", visiting()}, {"/myapps", signedIn()},
	{"/redeem/leave", signedIn(func(s *session.Guest) { s.Redirect = "https://expenses.contoso.example/start" })},
}

func TestEveryPageIsGuarded(t *testing.T) {
	for _, p := range pages {
		t.Run(p.path, func(t *testing.T) {
			f := open(t)
			w := f.do(http.MethodGet, p.path, p.session, nil)
			require.Equal(t, http.StatusOK, w.Code)
			h := w.Header()
			for _, rule := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
				require.Contains(t, h.Get("Content-Security-Policy"), rule)
			}
			require.Equal(t, "no-store", h.Get("Cache-Control"))
			require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
			require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
			require.Equal(t, "DENY", h.Get("X-Frame-Options"))
			require.Equal(t, "text/html; charset=utf-8", h.Get("Content-Type"))
			require.Equal(t, "Accept-Language", h.Get("Vary"))
			require.NotContains(t, w.Body.String(), "<script")
			require.NotContains(t, w.Body.String(), "style=")

			head := f.do(http.MethodHead, p.path, p.session, nil)
			require.Equal(t, http.StatusOK, head.Code)
			require.Empty(t, head.Body.String())
			require.Equal(t, h.Get("Content-Language"), head.Header().Get("Content-Language"))

			require.Equal(t, http.StatusMethodNotAllowed, f.do(http.MethodDelete, p.path, p.session, nil).Code)
		})
	}
}

func TestPagesFollowTheLanguageOfTheReader(t *testing.T) {
	tests := []struct {
		name, accept, tenant, want string
	}{
		{"nothing said", "", "", "en"},
		{"German", "de", "", "de"},
		{"Austrian first", "de-AT,en;q=0.5", "", "de"},
		{"one we do not speak, then the tenant's", "ja", "de", "de"},
		{"one we do not speak", "ja", "", "en"},
		{"the reader before the tenant", "en-GB", "de", "en"},
		{"nonsense", ";;;=", "", "en"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			f.handler.Language = tt.tenant
			for _, path := range []string{"/redeem/review", "/myapps"} { // a page, and a refusal
				w := f.do(http.MethodGet, path, visiting(), nil, func(r *http.Request) { r.Header.Set("Accept-Language", tt.accept) })
				require.Contains(t, w.Body.String(), `<html lang="`+tt.want+`">`)
				require.Equal(t, tt.want, w.Header().Get("Content-Language"))
			}
		})
	}
}

func TestFormsNeedTheirToken(t *testing.T) {
	for _, path := range []string{"/redeem/signin", "/redeem/accept", "/redeem/cancel", "/signout"} {
		t.Run(path, func(t *testing.T) {
			f := open(t)
			for _, form := range []url.Values{{}, {"csrf": {""}}, {"csrf": {"wrong"}}} {
				refuses(t, f.do(http.MethodPost, path, signedIn(), form), http.StatusForbidden, problem.CrossSite)
			}
			none := signedIn(func(s *session.Guest) { s.CSRF = "" })
			refuses(t, f.do(http.MethodPost, path, none, url.Values{"csrf": {""}}), http.StatusForbidden, problem.CrossSite)
			big := url.Values{"csrf": {"form token"}, "x": {strings.Repeat("x", 17<<10)}}
			refuses(t, f.do(http.MethodPost, path, signedIn(), big), http.StatusBadRequest, problem.BadInput)
			require.Empty(t, f.invitations.accepted)
			require.Zero(t, f.invitations.declined)
		})
	}
}

func TestPagesNeedASession(t *testing.T) {
	for _, tt := range []struct{ method, path string }{
		{http.MethodGet, "/redeem/review"}, {http.MethodGet, "/redeem/signin"}, {http.MethodGet, "/redeem/declined"}, {http.MethodGet, "/redeem/leave"},
		{http.MethodGet, "/myapps"}, {http.MethodPost, "/redeem/signin"}, {http.MethodPost, "/redeem/accept"}, {http.MethodPost, "/redeem/cancel"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			f := open(t)
			var form url.Values
			if tt.method == http.MethodPost {
				form = url.Values{"csrf": {"form token"}}
			}
			refuses(t, f.do(tt.method, tt.path, nil, form), http.StatusUnauthorized, problem.SessionExpired)
			forged := f.do(tt.method, tt.path, nil, form, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "invited_guest", Value: "!"}) })
			refuses(t, forged, http.StatusUnauthorized, problem.SessionExpired)
		})
	}
	for _, path := range []string{"/myapps", "/redeem/leave"} {
		refuses(t, open(t).do(http.MethodGet, path, visiting(), nil), http.StatusUnauthorized, problem.SessionExpired)
	}
}

// atHome is a guest whose own organisation signs them in.
func atHome(f *face) {
	f.invitations.red.SignIn = directory.Decision{
		Method: directory.MethodHome, Home: &directory.HomeTenant{Domain: "fabrikam.example", DisplayName: "Fabrikam"}, JustInTime: true,
	}
}

func TestSignInAtHome(t *testing.T) {
	f := open(t)
	atHome(f)
	leadsTo(t, f.do(http.MethodGet, "/redeem/review", visiting(), nil), "/redeem/signin")
	leadsTo(t, f.post("/redeem/accept", visiting()), "/redeem/signin")
	require.Empty(t, f.invitations.accepted, "nobody accepts before signing in")

	w := f.do(http.MethodGet, "/redeem/signin", visiting(), nil)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "Fabrikam")
	require.Contains(t, w.Body.String(), "Continue as ana@fabrikam.example")
	f.invitations.red.SignIn.Home.DisplayName = ""
	require.Contains(t, f.do(http.MethodGet, "/redeem/signin", visiting(), nil).Body.String(), "belongs to fabrikam.example")

	w = f.post("/redeem/signin", visiting())
	leadsTo(t, w, "/redeem/review")
	s := kept(t, w)
	require.Equal(t, directory.MethodHome, s.Method)
	leadsTo(t, f.do(http.MethodGet, "/redeem/signin", &s, nil), "/redeem/review")
	f.post("/redeem/accept", &s)
	require.Equal(t, []directory.Method{directory.MethodHome}, f.invitations.accepted)
}

func TestSignInIsRefusedWhenNobodyCan(t *testing.T) {
	f := open(t)
	f.invitations.red.SignIn = directory.Decision{Reason: problem.NoSignIn}
	w := f.post("/redeem/signin", visiting())
	refuses(t, w, http.StatusForbidden, problem.NoSignIn)
	require.Contains(t, w.Body.String(), "mailto:?subject=", "the guest can write to their administrator")
	require.Contains(t, w.Body.String(), "ana@fabrikam.example")
}

func TestAcceptLeadsWhereTheInvitationLeads(t *testing.T) {
	tests := []struct{ name, redirect, want string }{
		{"nowhere in particular", "", "/myapps"},
		{"My Apps of this server", "http://example.com/myapps", "/myapps"},
		{"a page of this server, with a query", "http://example.com/start?a=1&b=2", "/start?a=1&b=2"},
		{"another host", "https://expenses.contoso.example/", "/redeem/leave"},
		{"this host, another scheme", "https://example.com/myapps", "/redeem/leave"},
		{"this host, another port", "http://example.com:81/myapps", "/redeem/leave"},
		{"a host hidden in the path", "http://example.com//evil.example/", "/redeem/leave"},
		{"no URL", "http://[", "/myapps"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			f.invitations.red.Invitation.RedirectURL = tt.redirect
			w := f.post("/redeem/accept", visiting())
			leadsTo(t, w, tt.want)
			s := kept(t, w)
			require.True(t, s.SignedIn)
			require.True(t, s.JustAccepted)
			require.Equal(t, tt.redirect, s.Redirect)
			require.Equal(t, []directory.Method{directory.MethodLink}, f.invitations.accepted)
		})
	}
}

func TestAcceptedGuestsComeBack(t *testing.T) {
	f := open(t)
	f.invitations.red.State = invite.StateAccepted
	w := f.do(http.MethodGet, "/redeem/review", visiting(), nil)
	leadsTo(t, w, "/myapps")
	require.False(t, kept(t, w).JustAccepted)
	require.Empty(t, f.invitations.accepted, "a GET accepts nothing")
	w = f.post("/redeem/accept", visiting())
	leadsTo(t, w, "/myapps")
	require.False(t, kept(t, w).JustAccepted)
}

func TestFailuresOfTheServiceArePages(t *testing.T) {
	for _, path := range []string{"/redeem/accept", "/redeem/cancel"} {
		f := open(t)
		f.invitations.err = &problem.Error{Kind: problem.Gone, Reason: problem.LinkRevoked}
		refuses(t, f.post(path, visiting()), http.StatusGone, problem.LinkRevoked)
	}
	for _, path := range []string{"/myapps", "/redeem/leave", "/redeem/declined"} {
		f := open(t)
		f.invitations.err = errors.New("private cause")
		w := f.do(http.MethodGet, path, signedIn(func(s *session.Guest) { s.Redirect = "https://a.example/" }), nil)
		refuses(t, w, http.StatusInternalServerError, problem.Busy)
		require.NotContains(t, w.Body.String(), "private")
	}
	f := open(t)
	f.handler.Cookies = cookies{broken: true}
	require.Equal(t, http.StatusInternalServerError, f.do(http.MethodGet, "/redeem?ticket=x", nil, nil).Code)
	f.invitations.red.SignIn.Method = directory.MethodHome
	require.Equal(t, http.StatusInternalServerError, f.post("/redeem/signin", visiting()).Code)
	f.invitations.red.SignIn.Method = directory.MethodLink
	require.Equal(t, http.StatusInternalServerError, f.post("/redeem/accept", visiting()).Code)
}

func TestCancel(t *testing.T) {
	f := open(t)
	leadsTo(t, f.post("/redeem/cancel", visiting()), "/redeem/declined")
	require.Equal(t, 1, f.invitations.declined)
	require.Contains(t, f.do(http.MethodGet, "/redeem/declined", visiting(), nil).Body.String(), `href="/redeem/review"`)
}

func TestLeaveNamesTheHost(t *testing.T) {
	f := open(t)
	w := f.do(http.MethodGet, "/redeem/leave", signedIn(func(s *session.Guest) { s.Redirect = "https://expenses.contoso.example/start?a=1" }), nil)
	require.Contains(t, w.Body.String(), `href="https://expenses.contoso.example/start?a=1"`)
	require.Contains(t, w.Body.String(), "Go to expenses.contoso.example")
	leadsTo(t, f.do(http.MethodGet, "/redeem/leave", signedIn(), nil), "/myapps")
}

func TestMyApps(t *testing.T) {
	f := open(t)
	require.Contains(t, f.do(http.MethodGet, "/myapps", signedIn(), nil).Body.String(), "There are no apps to show")
	f.invitations.apps = []directory.App{
		{DisplayName: "Expenses", Homepage: "https://expenses.contoso.example/"}, {DisplayName: "Wiki"},
		{DisplayName: "Trap", Homepage: "javascript:alert(1)"}, {DisplayName: "Plans"},
	}
	w := f.do(http.MethodGet, "/myapps", signedIn(func(s *session.Guest) { s.JustAccepted = true }), nil)
	require.Contains(t, w.Body.String(), `href="https://expenses.contoso.example/"`)
	require.Contains(t, w.Body.String(), "You accepted the invitation")
	require.NotContains(t, w.Body.String(), "javascript:")
}

func TestSignOut(t *testing.T) {
	f := open(t)
	w := f.post("/signout", signedIn())
	leadsTo(t, w, "/signedout")
	c := w.Result().Cookies()[0]
	require.Equal(t, "invited_guest", c.Name)
	require.Negative(t, c.MaxAge)
	leadsTo(t, f.post("/signout", nil), "/signedout")
}

func TestNewLinkAnswersStrangersLikeGuests(t *testing.T) {
	f := open(t)
	ask := func(form url.Values) *httptest.ResponseRecorder {
		return f.do(http.MethodPost, "/redeem/new-link", nil, form)
	}
	known, stranger := ask(url.Values{"address": {" ana@fabrikam.example "}}), ask(url.Values{"address": {"nobody@fabrikam.example"}, "tenant": {"t2"}})
	require.Equal(t, http.StatusOK, known.Code)
	require.Equal(t, known.Code, stranger.Code)
	require.Equal(t, known.Body.String(), stranger.Body.String())
	require.Equal(t, []string{"t1 ana@fabrikam.example", "t2 nobody@fabrikam.example"}, f.invitations.newLinks)

	w := ask(url.Values{"address": {`<script>"@`}})
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), `aria-invalid="true"`)
	require.NotContains(t, w.Body.String(), "<script>")
	require.Equal(t, http.StatusBadRequest, ask(url.Values{"address": {strings.Repeat("a", 20<<10)}}).Code)
	require.Len(t, f.invitations.newLinks, 2)

	f.invitations.err = &problem.Error{Kind: problem.TooMany, Reason: problem.RateLimited, RetryAfter: 90 * time.Second}
	w = ask(url.Values{"address": {"ana@fabrikam.example"}})
	refuses(t, w, http.StatusTooManyRequests, problem.RateLimited)
	require.Equal(t, "90", w.Header().Get("Retry-After"))
}

func TestNewLinkRemembersTheOrganisation(t *testing.T) {
	f := open(t)
	other := signedIn(func(s *session.Guest) { s.Tenant = "t9" })
	require.Contains(t, f.do(http.MethodGet, "/redeem/new-link", other, nil).Body.String(), `name="tenant" value="t9"`)
	require.Contains(t, f.do(http.MethodGet, "/redeem/new-link", nil, nil).Body.String(), `name="tenant" value="t1"`)
}

func TestWhatNobodyServesIsAPage(t *testing.T) {
	f := open(t)
	w := httptest.NewRecorder()
	f.handler.NotFound().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/nothing", nil))
	refuses(t, w, http.StatusNotFound, problem.Missing)
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")

	w = httptest.NewRecorder()
	f.handler.WriteError(w, httptest.NewRequest(http.MethodPost, "/redeem/accept", nil), &problem.Error{Kind: problem.Denied, Reason: problem.CrossSite})
	refuses(t, w, http.StatusForbidden, problem.CrossSite)
}
