package guest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/guest"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/session"
	"invited/server/web"
)

var t0 = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// invitations answers with what a test put in, and keeps what it was asked.
type invitations struct {
	red     invite.Redemption
	openErr error // of Open
	err     error // of everything else
	apps    []directory.App

	views    []bool // automated?
	accepted []directory.Method
	declined int
	newLinks []string // tenant and address

	block   invite.Blocking
	failed  []string // networks that links failed from
	codeErr error    // of TryCode and Unblock
	asked   []string // sessions that asked for a code
	tried   []string // session, code and network of tries
	blocked int
}

func (f *invitations) AskCode(_ context.Context, _ invite.Claims, session string) (invite.Redemption, error) {
	f.asked = append(f.asked, session)
	return f.red, f.err
}

func (f *invitations) TryCode(_ context.Context, _ invite.Claims, session, code, from string) (invite.Redemption, error) {
	f.tried = append(f.tried, session+" "+code+" "+from)
	return f.red, f.codeErr
}

func (f *invitations) FailedLink(from string, refusal error) error {
	f.failed = append(f.failed, from)
	return refusal
}

func (f *invitations) OpenBlock(context.Context, string) (invite.Blocking, error) {
	return f.block, f.openErr
}

func (f *invitations) ResumeBlock(context.Context, invite.Claims) (invite.Blocking, error) {
	return f.block, f.err
}

func (f *invitations) Block(context.Context, invite.Claims) (invite.Blocking, error) {
	f.blocked++
	f.block.Since = t0
	return f.block, f.err
}

func (f *invitations) AskUnblockCode(_ context.Context, _ invite.Claims, session string) (invite.Blocking, error) {
	f.asked = append(f.asked, session)
	return f.block, f.err
}

func (f *invitations) Unblock(_ context.Context, _ invite.Claims, session, code, from string) (invite.Blocking, error) {
	f.tried = append(f.tried, session+" "+code+" "+from)
	if f.codeErr == nil {
		f.block.Since = time.Time{}
	}
	return f.block, f.codeErr
}

func (f *invitations) Open(_ context.Context, _ directory.TenantID, _, _ string) (invite.Redemption, error) {
	return f.red, f.openErr
}

func (f *invitations) Resume(context.Context, invite.Claims) (invite.Redemption, error) {
	return f.red, f.err
}

func (f *invitations) Accept(_ context.Context, _ invite.Claims, m directory.Method) (invite.Redemption, error) {
	f.accepted = append(f.accepted, m)
	red := f.red
	red.State = invite.StateAccepted
	return red, f.err
}

func (f *invitations) Decline(context.Context, invite.Claims) (invite.Redemption, error) {
	f.declined++
	return f.red, f.err
}

func (f *invitations) Viewed(_ invite.Claims, automated bool) { f.views = append(f.views, automated) }

func (f *invitations) RequestNewLink(_ context.Context, t directory.TenantID, address string) error {
	f.newLinks = append(f.newLinks, string(t)+" "+address)
	return f.err
}

func (f *invitations) MyApps(context.Context, directory.TenantID, directory.UserID) ([]directory.App, directory.User, directory.Tenant, error) {
	return f.apps, directory.User{Mail: "ana@fabrikam.example"}, f.red.Tenant, f.err
}

// cookies writes sessions as they are: what the seal is worth is tested where
// it is made.
type cookies struct{ broken bool }

func (c cookies) SealCookie(s session.Guest) (string, error) {
	if c.broken {
		return "", context.DeadlineExceeded
	}
	data, err := json.Marshal(s)
	return base64.RawURLEncoding.EncodeToString(data), err
}

func (cookies) OpenCookie(value string) (s session.Guest, err error) {
	data, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return s, err
	}
	err = json.Unmarshal(data, &s)
	return s, err
}

// face is the guest's face over fakes.
type face struct {
	t           *testing.T
	invitations *invitations
	handler     *guest.Handler
	mux         *http.ServeMux
}

// pending is what a good link leads to: the mailed link signs Ana in.
func pending(t testing.TB) invite.Redemption {
	address, err := mail.ParseAddress("ana@fabrikam.example")
	require.NoError(t, err)
	return invite.Redemption{
		Claims:     invite.Claims{Tenant: "t1", User: "u1", Invitation: "i1", Generation: 2, JTI: "j1", Issued: t0},
		Tenant:     directory.Tenant{ID: "t1", DisplayName: "Contoso", PrimaryDomain: "contoso.example"},
		Invitation: invite.Invitation{ID: "i1", Email: address},
		State:      invite.StatePending,
		SignIn:     directory.Decision{Method: directory.MethodLink},
	}
}

func open(t *testing.T) *face {
	t.Helper()
	f := &face{t: t, invitations: &invitations{red: pending(t)}, mux: http.NewServeMux()}
	f.handler = &guest.Handler{
		Invitations: f.invitations, Cookies: cookies{}, Tenant: "t1", Now: func() time.Time { return t0 },
		NewCSRF: func() string { return "form token" }, Log: slog.New(slog.DiscardHandler),
	}
	f.handler.Mount(f.mux)
	return f
}

// signedIn is the session of a guest who has accepted.
func signedIn(change ...func(*session.Guest)) *session.Guest {
	s := session.Guest{Tenant: "t1", User: "u1", Invitation: "i1", Generation: 2, CSRF: "form token", SignedIn: true, Expires: t0.Add(time.Hour)}
	for _, f := range change {
		f(&s)
	}
	return &s
}

// visiting is the session of a guest who has only followed the link.
func visiting() *session.Guest { return signedIn(func(s *session.Guest) { s.SignedIn = false }) }

// do sends a request, with a session if there is one.
func (f *face) do(method, target string, s *session.Guest, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("User-Agent", "Mozilla/5.0")
	for _, c := range change {
		c(r)
	}
	if s != nil {
		value, err := cookies{}.SealCookie(*s)
		require.NoError(f.t, err)
		name := "invited_guest"
		if web.Scheme(r) == "https" {
			name = "__Host-invited_guest"
		}
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w
}

// post sends a form with the right form token.
func (f *face) post(target string, s *session.Guest) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do(http.MethodPost, target, s, url.Values{"csrf": {"form token"}})
}

// kept returns the session an answer left in the browser.
func kept(t testing.TB, w *httptest.ResponseRecorder) session.Guest {
	t.Helper()
	all := w.Result().Cookies()
	require.Len(t, all, 1)
	s, err := cookies{}.OpenCookie(all[0].Value)
	require.NoError(t, err)
	return s
}

// leadsTo holds that an answer sends the browser on.
func leadsTo(t testing.TB, w *httptest.ResponseRecorder, where string) {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	require.Equal(t, where, w.Header().Get("Location"))
}

// refuses holds that an answer is a page with a reason.
func refuses(t testing.TB, w *httptest.ResponseRecorder, status int, reason problem.Reason) {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body)
	require.Contains(t, w.Body.String(), ">"+string(reason)+"</code>")
	require.Contains(t, w.Body.String(), "<h1>")
}
