package guest_test

import (
	"net/http"
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

// byCode is a guest who signs in by a mailed code.
func byCode(t *testing.T) *face {
	t.Helper()
	f := open(t)
	f.invitations.red.SignIn.Method = directory.MethodOTP
	return f
}

// asking is the session of a guest who may ask for a code.
func asking(change ...func(*session.Guest)) *session.Guest {
	s := visiting()
	s.ID = "session 1"
	for _, f := range change {
		f(s)
	}
	return s
}

func TestACodeIsMailedOnlyWhenAskedFor(t *testing.T) {
	f := byCode(t)
	leadsTo(t, f.do(http.MethodGet, "/redeem/review", asking(), nil), "/redeem/code")
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		w := f.do(method, "/redeem/code", asking(), nil)
		require.Equal(t, http.StatusOK, w.Code)
		require.NotContains(t, w.Body.String(), `name="code"`, "there is none yet")
	}
	require.Empty(t, f.invitations.asked, "a GET mails nothing")
	require.Equal(t, http.StatusMethodNotAllowed, f.do(http.MethodGet, "/redeem/code/new", asking(), nil).Code)
	refuses(t, f.do(http.MethodPost, "/redeem/code/new", asking(), url.Values{}), http.StatusForbidden, problem.CrossSite)
	require.Empty(t, f.invitations.asked)

	w := f.post("/redeem/code/new", asking())
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, []string{"session 1"}, f.invitations.asked)
	require.Contains(t, w.Body.String(), `autocomplete="one-time-code"`)
	require.Contains(t, w.Body.String(), "ana@fabrikam.example")
}

func TestARightCodeSignsIn(t *testing.T) {
	f := byCode(t)
	w := f.do(http.MethodPost, "/redeem/code", asking(), url.Values{"csrf": {"form token"}, "code": {"1234 5678"}})
	leadsTo(t, w, "/redeem/review")
	require.Equal(t, []string{"session 1 1234 5678 192.0.2.1"}, f.invitations.tried)
	s := kept(t, w)
	require.Equal(t, directory.MethodOTP, s.Method)
	leadsTo(t, f.do(http.MethodGet, "/redeem/code", &s, nil), "/redeem/review")
	require.Contains(t, f.do(http.MethodGet, "/redeem/review", &s, nil).Body.String(), "/redeem/accept")
	leadsTo(t, f.post("/redeem/accept", &s), "/myapps")
	require.Equal(t, []directory.Method{directory.MethodOTP}, f.invitations.accepted)
}

func TestNothingGoesRoundTheCode(t *testing.T) {
	f := byCode(t)
	leadsTo(t, f.post("/redeem/accept", asking()), "/redeem/code")
	leadsTo(t, f.post("/redeem/signin", asking()), "/redeem/review")
	home := asking(func(s *session.Guest) { s.Method = directory.MethodHome })
	leadsTo(t, f.post("/redeem/accept", home), "/redeem/code")
	refuses(t, f.post("/redeem/accept", asking(func(s *session.Guest) { s.Purpose = "block" })), http.StatusUnauthorized, problem.SessionExpired)
	require.Empty(t, f.invitations.accepted)

	f.invitations.red.SignIn.Method = directory.MethodOIDC
	refuses(t, f.post("/redeem/accept", asking()), http.StatusForbidden, problem.NoSignIn)
	require.Empty(t, f.invitations.accepted, "a method without a page signs nobody in")
}

func TestWrongCodesSayWhatIsLeft(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		reason problem.Reason
		text   string
	}{
		{"wrong", &problem.Error{Kind: problem.Denied, Reason: problem.CodeWrong, Err: invite.TriesLeft(3)}, http.StatusForbidden, problem.CodeWrong, "3 tries are left."},
		{"wrong before the last", &problem.Error{Kind: problem.Denied, Reason: problem.CodeWrong, Err: invite.TriesLeft(1)}, http.StatusForbidden, problem.CodeWrong, "One try is left."},
		{"no code at all", &problem.Error{Kind: problem.Invalid, Reason: problem.CodeWrong}, http.StatusBadRequest, problem.CodeWrong, "eight digits"},
		{"used up", &problem.Error{Kind: problem.Denied, Reason: problem.CodeUsedUp}, http.StatusForbidden, problem.CodeUsedUp, "Ask for a new code"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := byCode(t)
			f.invitations.codeErr = tt.err
			w := f.do(http.MethodPost, "/redeem/code", asking(), url.Values{"csrf": {"form token"}, "code": {"0"}})
			refuses(t, w, tt.status, tt.reason)
			require.Contains(t, w.Body.String(), tt.text)
			require.Contains(t, w.Body.String(), `action="/redeem/code/new"`, "another can be had")
			require.Empty(t, w.Result().Cookies())
		})
	}
	f := byCode(t)
	f.invitations.codeErr = &problem.Error{Kind: problem.TooMany, Reason: problem.TooManyTries, RetryAfter: 90 * time.Second}
	w := f.do(http.MethodPost, "/redeem/code", asking(), url.Values{"csrf": {"form token"}, "code": {"0"}})
	refuses(t, w, http.StatusTooManyRequests, problem.TooManyTries)
	require.Equal(t, "90", w.Header().Get("Retry-After"))
}

func TestTheSameLinkGoesOnWithTheSameSession(t *testing.T) {
	f := byCode(t)
	w := f.do(http.MethodGet, "/redeem?ticket=x", asking(), nil)
	require.Equal(t, "session 1", kept(t, w).ID, "the code that was asked for is still good")
	w = f.do(http.MethodGet, "/redeem?ticket=x", asking(func(s *session.Guest) { s.Invitation = "another" }), nil)
	require.Equal(t, "form token", kept(t, w).ID)
}

func TestFailedLinksAreCounted(t *testing.T) {
	f := open(t)
	f.invitations.openErr = &problem.Error{Kind: problem.Gone, Reason: problem.LinkInvalid}
	refuses(t, f.do(http.MethodGet, "/redeem?ticket=x", nil, nil), http.StatusGone, problem.LinkInvalid)
	refuses(t, f.do(http.MethodGet, "/block?ticket=x", nil, nil), http.StatusGone, problem.LinkInvalid)
	refuses(t, f.do(http.MethodPost, "/block?ticket=x", nil, url.Values{"List-Unsubscribe": {"One-Click"}}), http.StatusGone, problem.LinkInvalid)
	require.Equal(t, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, f.invitations.failed)
}

// blockPages is the face of somebody who followed the link to block.
func blockPages(t *testing.T) *face {
	t.Helper()
	f := open(t)
	red := pending(t)
	f.invitations.block = invite.Blocking{Claims: red.Claims, Tenant: red.Tenant, Invitation: red.Invitation}
	return f
}

// withBlock adds the cookie of the pages to block.
func withBlock(t *testing.T, change ...func(*session.Guest)) func(*http.Request) {
	t.Helper()
	s := asking(append(change, func(s *session.Guest) {
		if s.Purpose == "" {
			s.Purpose = "block"
		}
	})...)
	value, err := cookies{}.SealCookie(*s)
	require.NoError(t, err)
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "invited_guest_block", Value: value}) }
}

func TestBlockingTakesAPost(t *testing.T) {
	f := blockPages(t)
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		require.Equal(t, http.StatusSeeOther, f.do(method, "/block?ticket=x", nil, nil).Code)
	}
	w := f.do(http.MethodGet, "/block?ticket=x", nil, nil)
	leadsTo(t, w, "/block/confirm")
	s := kept(t, w)
	require.Equal(t, "block", s.Purpose)
	require.Equal(t, "invited_guest_block", w.Result().Cookies()[0].Name, "the session of redeeming stays")

	w = f.do(http.MethodGet, "/block/confirm", nil, nil, withBlock(t))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `action="/block/confirm"`)
	require.NotContains(t, w.Body.String(), "ticket")
	require.Zero(t, f.invitations.blocked, "no GET blocks anything")

	refuses(t, f.do(http.MethodPost, "/block/confirm", nil, url.Values{}, withBlock(t)), http.StatusForbidden, problem.CrossSite)
	refuses(t, f.do(http.MethodPost, "/block/confirm", asking(), url.Values{"csrf": {"form token"}}), http.StatusUnauthorized, problem.SessionExpired)
	wrong := withBlock(t, func(s *session.Guest) { s.Purpose = "other" })
	refuses(t, f.do(http.MethodPost, "/block/confirm", nil, url.Values{"csrf": {"form token"}}, wrong), http.StatusUnauthorized, problem.SessionExpired)
	require.Zero(t, f.invitations.blocked)

	leadsTo(t, f.do(http.MethodPost, "/block/confirm", nil, url.Values{"csrf": {"form token"}}, withBlock(t)), "/block/confirm")
	require.Equal(t, 1, f.invitations.blocked)
	require.Contains(t, f.do(http.MethodGet, "/block/confirm", nil, nil, withBlock(t)).Body.String(), `action="/block/code"`)
}

func TestUndoingABlockTakesACode(t *testing.T) {
	f := blockPages(t)
	form := url.Values{"csrf": {"form token"}, "code": {"12345678"}}
	w := f.do(http.MethodPost, "/block/code", nil, form, withBlock(t))
	require.NotContains(t, w.Body.String(), `name="code"`, "nothing is blocked")

	f.invitations.block.Since = t0
	w = f.do(http.MethodPost, "/block/code", nil, form, withBlock(t))
	require.Contains(t, w.Body.String(), `action="/block/undo"`)
	f.invitations.codeErr = &problem.Error{Kind: problem.Denied, Reason: problem.CodeWrong, Err: invite.TriesLeft(4)}
	w = f.do(http.MethodPost, "/block/undo", nil, form, withBlock(t))
	refuses(t, w, http.StatusForbidden, problem.CodeWrong)
	require.Contains(t, w.Body.String(), `action="/block/code"`)
	f.invitations.codeErr = nil
	w = f.do(http.MethodPost, "/block/undo", nil, form, withBlock(t))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "may invite")
	require.Equal(t, "session 1 12345678 192.0.2.1", f.invitations.tried[1])
}

func TestOneClickOfAMailProgram(t *testing.T) {
	f := blockPages(t)
	w := f.do(http.MethodPost, "/block?ticket=x", nil, url.Values{"List-Unsubscribe": {"One-Click"}})
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Result().Cookies())
	multipart := "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n"
	w = f.do(http.MethodPost, "/block?ticket=x", nil, nil, func(r *http.Request) {
		*r = *mustRequest(t, "/block?ticket=x", multipart)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	})
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, 2, f.invitations.blocked)
	refuses(t, f.do(http.MethodPost, "/block?ticket=x", nil, url.Values{}), http.StatusBadRequest, problem.BadInput)
	require.Equal(t, 2, f.invitations.blocked)
}

func mustRequest(t *testing.T, target, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	require.NoError(t, err)
	r.RemoteAddr = "192.0.2.1:1"
	return r
}
