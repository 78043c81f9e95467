package webmail_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
)

func TestFormsChangeMessages(t *testing.T) {
	tests := []struct {
		name string
		form url.Values
		held func(t *testing.T, c sink.Captured)
	}{
		{"mark read", url.Values{"do": {"read"}}, func(t *testing.T, c sink.Captured) { require.True(t, c.Read) }},
		{"move to Junk", url.Values{"do": {"junk"}}, func(t *testing.T, c sink.Captured) { require.Equal(t, sink.Junk, c.Recipients[0].Folder) }},
		{"move in one mailbox", url.Values{"do": {"junk"}, "rcpt": {"else@contoso.example"}}, func(t *testing.T, c sink.Captured) {
			require.Equal(t, sink.Inbox, c.Recipients[0].Folder, "another mailbox was named")
		}},
		{"tag", url.Values{"do": {"tag"}, "tag": {"  release  blocker "}}, func(t *testing.T, c sink.Captured) {
			require.Equal(t, []string{"release blocker"}, c.Tags)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, h := open(t)
			id := receive(t, s, "ben@contoso.example", "Hello", "x")
			tt.form["id"], tt.form["back"] = []string{id}, []string{"/?folder=Inbox"}
			w := post(h, "/mail", tt.form)
			require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
			require.Equal(t, "/?folder=Inbox", w.Header().Get("Location"))
			c, err := s.Get(t.Context(), id)
			require.NoError(t, err)
			tt.held(t, c)
		})
	}
}

func TestFormsDelete(t *testing.T) {
	s, h := open(t)
	id := receive(t, s, "ben@contoso.example", "One", "x")
	receive(t, s, "junk@contoso.example", "Two", "x")
	receive(t, s, "ben@contoso.example", "Three", "x")
	left := func() int {
		totals, err := s.Totals(t.Context())
		require.NoError(t, err)
		return totals.Messages
	}
	require.Equal(t, http.StatusSeeOther, post(h, "/mail", url.Values{"do": {"delete"}, "id": {id}}).Code)
	require.Equal(t, 2, left())
	require.Equal(t, http.StatusSeeOther, post(h, "/mail", url.Values{"do": {"delete"}, "all": {"1"}, "folder": {"Junk"}}).Code)
	require.Equal(t, 1, left(), "only what was listed is deleted")
	require.Equal(t, http.StatusSeeOther, post(h, "/mail", url.Values{"do": {"delete"}, "all": {"1"}}).Code)
	require.Zero(t, left())
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	s, h := open(t)
	receive(t, s, "ben@contoso.example", "One", "x")
	for _, path := range []string{"/mail", "/faults", "/theme"} {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("do=delete&all=1"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusForbidden, w.Code, path)
	}
	totals, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, totals.Messages)
}

func TestFormsLeadNowhereElse(t *testing.T) {
	_, h := open(t)
	for _, ref := range []string{"https://hostile.example/", "//hostile.example", "/\\hostile.example", "javascript:alert(1)", "/\thostile.example", ""} {
		w := post(h, "/theme", url.Values{"theme": {"dark"}, "back": {ref}})
		require.Equal(t, "/", w.Header().Get("Location"), ref)
	}
}

func TestFaultRules(t *testing.T) {
	_, h := open(t)
	shown := func() string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/faults", nil))
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	require.Contains(t, shown(), "all mail is accepted")
	require.Equal(t, http.StatusSeeOther, post(h, "/faults", url.Values{"do": {"preset"}, "preset": {"greylist"}}).Code)
	require.Contains(t, shown(), "greylisted")
	form := url.Values{"do": {"add"}, "stage": {"data"}, "effect": {"reply"}, "code": {"552"}, "to": {"ana@*"}, "when": {"every"}, "count": {"3"}}
	require.Equal(t, http.StatusSeeOther, post(h, "/faults", form).Code)
	require.Contains(t, shown(), "one in 3")
	for field, bad := range map[string]string{"code": "99", "count": "0", "stage": "quit"} {
		wrong := url.Values{}
		for k, v := range form {
			wrong[k] = v
		}
		wrong.Set(field, bad)
		w := post(h, "/faults", wrong)
		require.Equal(t, http.StatusBadRequest, w.Code, field)
		require.Contains(t, w.Body.String(), "ana@*", "what was typed is still there")
	}
	require.Equal(t, http.StatusSeeOther, post(h, "/faults", url.Values{"do": {"delete"}, "rule": {"1"}}).Code)
	require.NotContains(t, shown(), "greylisted")
	require.Equal(t, http.StatusSeeOther, post(h, "/faults", url.Values{"do": {"clear"}}).Code)
	require.Contains(t, shown(), "all mail is accepted")
}
