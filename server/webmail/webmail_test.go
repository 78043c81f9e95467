package webmail_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/faults"
	"invited/mail/sink/rules"
	"invited/server/webmail"
)

// post sends a form as a page of ours does.
func post(h http.Handler, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// serve returns the face over a sink that files mail to "junk@" in Junk.
func serve(t *testing.T) (*sink.Sink, func(path string) (int, string, http.Header)) {
	s, mux := open(t)
	return s, func(path string) (int, string, http.Header) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String(), w.Header()
	}
}

func open(t *testing.T) (*sink.Sink, http.Handler) {
	t.Helper()
	s, err := sink.Open(sink.Options{Dir: t.TempDir(), Judge: func(_ sink.Envelope, rcpt string, _ []byte) rules.Verdict {
		if strings.HasPrefix(rcpt, "junk@") {
			return rules.Verdict{Score: 5, SCL: 5, Hits: []rules.Hit{{Rule: "MISSING_DATE", Score: 5, Why: "it has no date", Fix: "add a Date field"}}}
		}
		return rules.Verdict{SCL: 1}
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	mux := http.NewServeMux()
	(&webmail.Handler{Sink: s, SMTP: "127.0.0.1:1025", Faults: &faults.Set{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}).Mount(mux)
	return s, mux
}

func receive(t *testing.T, s *sink.Sink, to, subject, body string) string {
	t.Helper()
	raw := "From: Ana <ana@fabrikam.example>\r\nTo: " + to + "\r\nSubject: " + subject + "\r\n\r\n" + body + "\r\n"
	id, err := s.Receive(t.Context(), sink.Envelope{From: "ana@fabrikam.example", To: []string{to}, Received: time.Now()}, []byte(raw))
	require.NoError(t, err)
	require.NoError(t, s.Indexed(t.Context(), id))
	return id
}

func TestEmptySinkSaysWhereToSend(t *testing.T) {
	_, get := serve(t)
	code, body, _ := get("/")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "127.0.0.1:1025")
}

func TestListShowsFoldersWithTheReason(t *testing.T) {
	s, get := serve(t)
	receive(t, s, "ben@contoso.example", "Hello Ben", "x")
	receive(t, s, "junk@contoso.example", "Win money", "x")

	_, all, _ := get("/")
	require.Contains(t, all, "Hello Ben")
	require.Contains(t, all, "it has no date")
	_, junk, _ := get("/?folder=Junk")
	require.NotContains(t, junk, "Hello Ben")
	require.Contains(t, junk, "Win money")
	_, mine, _ := get("/?to=ben@contoso.example")
	require.NotContains(t, mine, "Win money")
	_, found, _ := get("/?q=" + url.QueryEscape("subject:hello"))
	require.Contains(t, found, "Hello Ben")
	require.NotContains(t, found, "Win money")
}

func TestBadSearchNamesTheTerm(t *testing.T) {
	_, get := serve(t)
	code, body, _ := get("/?q=" + url.QueryEscape("larger:banana"))
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, body, "banana")
}

func TestPagesFollowTheKey(t *testing.T) {
	s, get := serve(t)
	for range 51 {
		receive(t, s, "ben@contoso.example", "One of many", "x")
	}
	_, first, _ := get("/")
	require.Equal(t, 50, strings.Count(first, `<span class="subject">One of many`))
	require.Contains(t, first, "after=")
}

func TestMessagePageExplainsAndStaysUnread(t *testing.T) {
	s, get := serve(t)
	id := receive(t, s, "junk@contoso.example", "<script>alert(1)</script>", "see https://fabrikam.example/x")
	code, body, header := get("/mail/" + id)
	require.Equal(t, http.StatusOK, code)
	require.NotContains(t, body, "<script>alert")
	require.Contains(t, body, "it has no date")
	require.Contains(t, body, "https://fabrikam.example/x")
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	c, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.False(t, c.Read, "a GET changes nothing")
	_, body, _ = get("/mail/" + id + "?view=verdict")
	require.Contains(t, body, "add a Date field")
}

func TestMissingMessageIsAPage(t *testing.T) {
	_, get := serve(t)
	for _, path := range []string{"/mail/000000000000000000000000", "/mail/..%2f..%2fetc", "/nothing"} {
		code, body, _ := get(path)
		require.Equal(t, http.StatusNotFound, code, path)
		require.Contains(t, body, "<main", path)
	}
}

func TestMessagePageOffersTheInvitation(t *testing.T) {
	s, get := serve(t)
	link := "https://invite.contoso.example/redeem?tenant=t&ticket=eyJ.e.s"
	id := receive(t, s, "ben@contoso.example", "Invitation", "see "+link+" or "+link+" or javascript:alert(1)")
	_, body, header := get("/mail/" + id)
	require.Contains(t, body, `id="redeem" href="https://invite.contoso.example/redeem?tenant=t&amp;ticket=eyJ.e.s" target="_blank" rel="noreferrer noopener"`)
	require.Equal(t, 2, strings.Count(body, `href="https://invite.contoso.example/`), "a link is listed once")
	require.Equal(t, "off", header.Get("X-DNS-Prefetch-Control"))
}

func TestOnlyTheFirstPageIsLive(t *testing.T) {
	s, get := serve(t)
	for range 51 {
		receive(t, s, "ben@contoso.example", "One of many", "x")
	}
	_, first, _ := get("/")
	require.Contains(t, first, " data-live")
	_, rest, _ := strings.Cut(first, `<a class="button second older" href="`)
	next, _, _ := strings.Cut(rest, `"`)
	_, second, _ := get(strings.ReplaceAll(next, "&amp;", "&"))
	require.Contains(t, second, "One of many")
	require.NotContains(t, second, " data-live")
	_, rest, _ = strings.Cut(second, `<a class="button second" href="`)
	previous, _, _ := strings.Cut(rest, `"`)
	_, top, _ := get(strings.ReplaceAll(previous, "&amp;", "&"))
	require.Contains(t, top, " data-live", "back at the top, the page is the first again")
}
