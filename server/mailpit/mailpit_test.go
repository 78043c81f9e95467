package mailpit_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/rules"
	"invited/server/mailpit"
)

// t0 is the sink's time.
var t0 = time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)

// face is the REST face over a real sink.
type face struct {
	t       testing.TB
	sink    *sink.Sink
	handler *mailpit.Handler
	url     string
	mux     *http.ServeMux
}

// judge files what is sent to a mailbox called junk in Junk.
func judge(_ sink.Envelope, rcpt string, _ []byte) rules.Verdict {
	if strings.HasPrefix(rcpt, "junk") {
		return rules.Verdict{Score: 7.5, SCL: 6, Category: "SPM", Hits: []rules.Hit{{Rule: "TEST", Score: 7.5, Why: "it is a test", Fix: "send it elsewhere"}}}
	}
	return rules.Verdict{SCL: 1, Category: "NONE"}
}

func open(t testing.TB) *face { return openWith(t, func(*mailpit.Handler) {}) }

// openWith lets change set fields of the handler.
func openWith(t testing.TB, change func(*mailpit.Handler)) *face {
	t.Helper()
	s, err := sink.Open(sink.Options{Dir: t.TempDir(), Judge: judge, Now: func() time.Time { return t0 }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	h := &mailpit.Handler{
		Sink: s, Version: "1.2.3", Now: func() time.Time { return t0.Add(time.Minute) }, Started: t0, Hosts: []string{"sink.contoso.example"},
	}
	change(h)
	mux := http.NewServeMux()
	h.Mount(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &face{t: t, sink: s, handler: h, url: srv.URL, mux: mux}
}

// receive captures a mail and waits until it is judged.
func (f *face) receive(raw string, to ...string) string {
	f.t.Helper()
	id, err := f.sink.Receive(f.t.Context(), sink.Envelope{
		From: "bounce@contoso.example", To: to, Helo: "mx.contoso.example", Remote: "127.0.0.1:4711", Received: t0,
	}, []byte(strings.ReplaceAll(raw, "\n", "\r\n")))
	require.NoError(f.t, err)
	require.NoError(f.t, f.sink.Indexed(f.t.Context(), id))
	return id
}

// plain is a small mail.
func plain(from, to, subject string) string {
	return fmt.Sprintf("From: %s\nTo: %s\nSubject: %s\nMessage-ID: <%s@contoso.example>\nDate: Sat, 21 Nov 2026 09:00:00 +0000\n\nHello %s.\n",
		from, to, subject, strings.ReplaceAll(subject, " ", "-"), to)
}

// pixel is a picture of one point.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

// rich is an invitation with a picture and two attachments.
const rich = `From: Contoso <invites@contoso.example>
To: Ana <ana@fabrikam.example>
Cc: bo@fabrikam.example
Reply-To: inviter@contoso.example
Subject: =?UTF-8?Q?Contoso_l=C3=A4dt_Sie_ein?=
Message-ID: <rich@contoso.example>
List-Unsubscribe: <https://contoso.example/block>, <mailto:block@contoso.example>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=m

--m
Content-Type: multipart/related; boundary=r

--r
Content-Type: multipart/alternative; boundary=a

--a
Content-Type: text/plain; charset=utf-8

Accept: https://invite.contoso.example/redeem?tenant=t&ticket=eyJ.e.s
Privacy: https://contoso.example/privacy
--a
Content-Type: text/html; charset=utf-8

<p onclick="alert(1)"><img src="cid:logo"><img src='cid:nothing'> <a href="https://invite.contoso.example/redeem?tenant=t&amp;ticket=eyJ.e.s">Accept</a><script>alert(1)</script></p>
--a--
--r
Content-Type: image/png
Content-ID: <logo>
Content-Disposition: inline; filename=logo.png
Content-Transfer-Encoding: base64

` + pixel + `
--r--
--m
Content-Type: text/html
Content-Disposition: attachment; filename="evil.html"

<script>alert(1)</script>
--m
Content-Type: application/pdf
Content-Disposition: attachment; filename*=UTF-8''%C3%BCber%22%0d%0aX-Evil:%201.pdf

%PDF-1.4
--m--
`

// do sends a request; header is name, value, ….
func (f *face) do(method, path, body string, header ...string) (int, string, http.Header) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	require.NoError(f.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	require.NoError(f.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	return resp.StatusCode, string(data), resp.Header
}

// get expects 200 and decodes the answer.
func (f *face) get(path string, into any) {
	f.t.Helper()
	status, body, _ := f.do("GET", path, "")
	require.Equal(f.t, http.StatusOK, status, body)
	require.NoError(f.t, json.Unmarshal([]byte(body), into), body)
}

// listed is what a list answers.
type listed struct {
	Total          int `json:"total"`
	Unread         int `json:"unread"`
	Count          int `json:"count"`
	MessagesCount  int `json:"messages_count"`
	MessagesUnread int `json:"messages_unread"`
	Start          int `json:"start"`
	Tags           []string
	Messages       []struct {
		ID, Subject string
		Read        bool
		Tags        []string
		Folder      string
	}
}

func (l listed) subjects() (s []string) {
	for _, m := range l.Messages {
		s = append(s, m.Subject)
	}
	return s
}

// names returns the members of a JSON object.
func names(t testing.TB, raw string) []string {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(raw), &members))
	return slices.Sorted(maps.Keys(members))
}

func TestTheContractsMembers(t *testing.T) {
	f := open(t)
	id := f.receive(rich, "ana@fabrikam.example")
	_, body, header := f.do("GET", "/api/v1/messages", "")
	require.Equal(t, []string{"count", "messages", "messages_count", "messages_unread", "start", "tags", "total", "unread"}, names(t, body))
	require.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	var lists struct{ Messages []json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(body), &lists))
	require.Equal(t, []string{
		"Attachments", "Bcc", "Cc", "Created", "From", "ID", "MessageID", "Read", "ReplyTo", "Size", "Snippet", "Subject", "Tags", "To", "Username",
		"folder", "recipients", "verdict",
	}, names(t, string(lists.Messages[0])))
	_, body, _ = f.do("GET", "/api/v1/message/"+id, "")
	require.Equal(t, []string{
		"Attachments", "Bcc", "Cc", "Created", "Date", "From", "HTML", "ID", "Inline", "ListUnsubscribe", "MessageID", "ReplyTo", "ReturnPath",
		"Size", "Subject", "Tags", "Text", "To", "Username", "envelope", "folder", "links", "problems", "recipients", "redeemUrl", "verdict",
	}, names(t, body))
	require.NotContains(t, body, ":null", "an empty list is [], not null")
}

func TestGetMessage(t *testing.T) {
	f := open(t)
	id := f.receive(rich, "ana@fabrikam.example", "hidden@fabrikam.example")
	type person struct{ Name, Address string }
	var m struct {
		ID, MessageID, Subject, Text, HTML, ReturnPath string
		From                                           person
		To, Cc, Bcc, ReplyTo                           []person
		Created                                        time.Time
		ListUnsubscribe                                struct {
			Header, HeaderPost, Errors string
			Links                      []string
		}
		Attachments, Inline []struct {
			PartID, FileName, ContentType, ContentID string
			Size                                     int
			Checksums                                struct{ MD5, SHA1, SHA256 string }
		}
		Folder     string
		Recipients []struct{ Address, Folder string }
		Envelope   struct {
			From string
			To   []string
		}
		Links     []struct{ URL, Text string }
		RedeemURL string
	}
	f.get("/api/v1/message/"+id, &m)
	require.Equal(t, id, m.ID)
	require.Equal(t, "rich@contoso.example", m.MessageID)
	require.Equal(t, "Contoso lädt Sie ein", m.Subject)
	require.Equal(t, person{"Contoso", "invites@contoso.example"}, m.From)
	require.Equal(t, []person{{"Ana", "ana@fabrikam.example"}}, m.To)
	require.Equal(t, []person{{"", "bo@fabrikam.example"}}, m.Cc)
	require.Equal(t, []person{{"", "hidden@fabrikam.example"}}, m.Bcc, "a recipient that no field names")
	require.Equal(t, []person{{"", "inviter@contoso.example"}}, m.ReplyTo)
	require.Equal(t, "bounce@contoso.example", m.ReturnPath)
	require.Equal(t, []string{"ana@fabrikam.example", "hidden@fabrikam.example"}, m.Envelope.To)
	require.True(t, t0.Equal(m.Created))
	require.Contains(t, m.Text, "Accept: https://invite.contoso.example/redeem")
	require.Contains(t, m.HTML, "<script>", "the HTML is as it came")
	require.Equal(t, []string{"https://contoso.example/block", "mailto:block@contoso.example"}, m.ListUnsubscribe.Links)
	require.Equal(t, "List-Unsubscribe=One-Click", m.ListUnsubscribe.HeaderPost)
	require.Equal(t, "https://invite.contoso.example/redeem?tenant=t&ticket=eyJ.e.s", m.RedeemURL)
	require.Len(t, m.Links, 3, "of the text, and with its words of the HTML")
	require.Equal(t, "Inbox", m.Folder)
	require.Len(t, m.Recipients, 2)
	require.Len(t, m.Attachments, 2)
	require.Len(t, m.Inline, 1)
	require.Equal(t, "logo", m.Inline[0].ContentID)
	require.Equal(t, "evil.html", m.Attachments[0].FileName)
	require.Len(t, m.Attachments[0].Checksums.SHA256, 64)
}

func TestReadingMarksRead(t *testing.T) {
	f := open(t)
	id := f.receive(plain("a@contoso.example", "b@fabrikam.example", "one"), "b@fabrikam.example")
	unread := func() int {
		var l listed
		f.get("/api/v1/messages", &l)
		return l.Unread
	}
	for _, path := range []string{"", "/headers", "/raw", "/verdict"} {
		status, _, _ := f.do("HEAD", "/api/v1/message/"+id+path, "")
		require.Equal(t, http.StatusOK, status)
	}
	f.do("GET", "/api/v1/message/"+id+"/raw", "")
	f.do("GET", "/api/v1/wait?to=b@fabrikam.example", "")
	require.Equal(t, 1, unread())
	f.do("GET", "/api/v1/message/"+id, "")
	require.Zero(t, unread())
}

func TestListAndSearch(t *testing.T) {
	f := open(t)
	for _, n := range []string{"one", "two", "three", "four"} {
		f.receive(plain("a@contoso.example", "b@fabrikam.example", n), "b@fabrikam.example")
	}
	tests := []struct {
		name, path string
		subjects   []string
		count      int // messages_count
	}{
		{"newest first", "/api/v1/messages", []string{"four", "three", "two", "one"}, 4},
		{"a page", "/api/v1/messages?start=1&limit=2", []string{"three", "two"}, 4},
		{"all of them, whatever the start", "/api/v1/messages?start=3&limit=0", []string{"four", "three", "two", "one"}, 4},
		{"a query is not for this address", "/api/v1/messages?query=subject:one", []string{"four", "three", "two", "one"}, 4},
		{"search", "/api/v1/search?query=subject:t", []string{"three", "two"}, 2},
		{"search, a page", "/api/v1/search?query=subject:t&limit=1&start=1", []string{"two"}, 2},
		{"a list before a date", "/api/v1/messages?before=2026-11-21", nil, 0},
		{"a search in a time zone", "/api/v1/search?query=after:2026-11-20&tz=Europe/Berlin", []string{"four", "three", "two", "one"}, 4},
		{"search finds nothing", "/api/v1/search?query=subject:none", nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l listed
			f.get(tt.path, &l)
			require.Equal(t, tt.subjects, l.subjects())
			require.Equal(t, 4, l.Total)
			require.Equal(t, tt.count, l.MessagesCount)
			require.Equal(t, len(tt.subjects), l.Count)
		})
	}
}

func TestMarkAndDeleteBySearch(t *testing.T) {
	f := open(t)
	var ids []string
	for _, n := range []string{"red one", "red two", "blue one"} {
		ids = append(ids, f.receive(plain("a@contoso.example", "b@fabrikam.example", n), "b@fabrikam.example"))
	}
	read := func() (s []string) {
		var l listed
		f.get("/api/v1/messages", &l)
		for _, m := range l.Messages {
			if m.Read {
				s = append(s, m.Subject)
			}
		}
		return s
	}
	mark := func(body string) {
		status, answer, _ := f.do("PUT", "/api/v1/messages", body)
		require.Equal(t, 200, status, answer)
		require.Equal(t, "ok", answer)
	}
	mark(`{"Read":true,"Search":"subject:red"}`)
	require.Equal(t, []string{"red two", "red one"}, read())
	mark(`{"Read":true}`)
	require.Len(t, read(), 3)
	mark(`{"Read":false,"IDs":["` + ids[0] + `"]}`)
	require.Equal(t, []string{"blue one", "red two"}, read())

	status, answer, _ := f.do("DELETE", "/api/v1/search?query=subject:red", "")
	require.Equal(t, 200, status, answer)
	var l listed
	f.get("/api/v1/messages", &l)
	require.Equal(t, []string{"blue one"}, l.subjects())
}

func TestLatest(t *testing.T) {
	f := open(t)
	f.receive(plain("a@contoso.example", "b@fabrikam.example", "red"), "b@fabrikam.example")
	blue := f.receive(plain("a@contoso.example", "b@fabrikam.example", "blue"), "b@fabrikam.example")
	for path, subject := range map[string]string{"": "blue", "?query=subject:red": "red"} {
		var m struct{ Subject string }
		f.get("/api/v1/message/latest"+path, &m)
		require.Equal(t, subject, m.Subject)
		_, raw, _ := f.do("GET", "/api/v1/message/latest/raw"+path, "")
		require.Contains(t, raw, "Subject: "+subject+"\r\n")
		var h map[string][]string
		f.get("/api/v1/message/latest/headers"+path, &h)
		require.Equal(t, []string{subject}, h["Subject"])
		_, text, _ := f.do("GET", "/view/latest.txt"+path, "")
		require.Contains(t, text, "Hello")
	}
	status, _, header := f.do("GET", "/view/latest", "")
	require.Equal(t, http.StatusFound, status)
	require.Equal(t, "/view/"+blue, header.Get("Location"))
	status, _, header = f.do("GET", "/view/"+blue, "")
	require.Equal(t, http.StatusFound, status)
	require.Equal(t, "/mail/"+blue, header.Get("Location"))
	status, _, _ = f.do("GET", "/view/zzz", "")
	require.Equal(t, http.StatusNotFound, status)
}

func TestHeadersAndSource(t *testing.T) {
	f := open(t)
	raw := "received: by b\nRECEIVED: by a\nSubject: =?UTF-8?Q?=C3=A4?=\nX-Long: one\n two\n\nbody\n"
	id := f.receive(raw, "b@fabrikam.example")
	var h map[string][]string
	f.get("/api/v1/message/"+id+"/headers", &h)
	require.Equal(t, map[string][]string{
		"Received": {"by b", "by a"}, "Subject": {"=?UTF-8?Q?=C3=A4?="}, "X-Long": {"one two"},
	}, h)
	_, body, header := f.do("GET", "/api/v1/message/"+id+"/raw?dl=1", "")
	require.Equal(t, strings.ReplaceAll(raw, "\n", "\r\n"), body)
	require.Equal(t, `attachment; filename="`+id+`.eml"`, header.Get("Content-Disposition"))
	require.Equal(t, "text/plain; charset=utf-8", header.Get("Content-Type"))
}

func TestParts(t *testing.T) {
	f := open(t)
	id := f.receive(rich, "ana@fabrikam.example")
	png, err := base64.StdEncoding.DecodeString(pixel)
	require.NoError(t, err)
	tests := []struct {
		name, part, contentType, disposition, body string
	}{
		{"a picture is shown", "1.2", "image/png", `inline; filename="logo.png"`, string(png)},
		{"a page is saved, as no page", "2", "application/octet-stream", `attachment; filename="evil.html"`, "<script>alert(1)</script>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body, header := f.do("GET", "/api/v1/message/"+id+"/part/"+tt.part, "")
			require.Equal(t, 200, status)
			require.Equal(t, tt.contentType, header.Get("Content-Type"))
			require.Equal(t, tt.disposition, header.Get("Content-Disposition"))
			require.Equal(t, tt.body, strings.TrimRight(body, "\r\n"))
			require.Contains(t, header.Get("Content-Security-Policy"), "sandbox")
		})
	}
	t.Run("a name cannot leave its header", func(t *testing.T) {
		_, _, header := f.do("GET", "/api/v1/message/"+id+"/part/3", "")
		require.Equal(t, "application/pdf", header.Get("Content-Type"))
		require.Empty(t, header.Get("X-Evil"))
		require.NotContains(t, header.Get("Content-Disposition"), "\n")
		require.Contains(t, header.Get("Content-Disposition"), "filename*=UTF-8''%C3%BCber")
	})
	t.Run("a node of the tree is no part", func(t *testing.T) {
		status, _, _ := f.do("GET", "/api/v1/message/"+id+"/part/1", "")
		require.Equal(t, 404, status)
	})
}

func TestViews(t *testing.T) {
	f := open(t)
	id := f.receive(rich, "ana@fabrikam.example")
	status, body, header := f.do("GET", "/view/"+id+".html", "")
	require.Equal(t, 200, status)
	require.Contains(t, body, `<img src="data:image/png;base64,`+pixel+`">`)
	require.Contains(t, body, `<img src='cid:nothing'>`)
	require.Contains(t, body, `<base target="_blank">`, "no page but ours is shown in the frame")
	policy := header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "img-src data: cid:")
	require.Contains(t, policy, "style-src 'unsafe-inline'")
	require.True(t, strings.HasSuffix(policy, "; sandbox allow-popups allow-popups-to-escape-sandbox"), policy)
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	require.Equal(t, "no-referrer", header.Get("Referrer-Policy"))

	_, text, header := f.do("GET", "/view/"+id+".txt", "")
	require.Contains(t, text, "Privacy: https://contoso.example/privacy")
	require.Equal(t, "text/plain; charset=utf-8", header.Get("Content-Type"))
}

func TestTagging(t *testing.T) {
	f := open(t)
	id := f.receive(plain("a@contoso.example", "b@fabrikam.example", "one"), "b@fabrikam.example")
	put := func(tags string) {
		status, body, _ := f.do("PUT", "/api/v1/tags", `{"Tags":`+tags+`,"IDs":["`+id+`"]}`)
		require.Equal(t, 200, status, body)
	}
	put(`["red","two words"]`)
	var tags []string
	f.get("/api/v1/tags", &tags)
	require.Equal(t, []string{"red", "two words"}, tags)
	var l listed
	f.get("/api/v1/messages", &l)
	require.ElementsMatch(t, []string{"red", "two words"}, l.Messages[0].Tags)
	require.Equal(t, tags, l.Tags)
	put(`[]`)
	f.get("/api/v1/tags", &tags)
	require.Empty(t, tags)
}

func TestInformation(t *testing.T) {
	f := open(t)
	f.receive(plain("a@contoso.example", "b@fabrikam.example", "one"), "b@fabrikam.example")
	var info struct {
		Version, LatestVersion string
		Messages, Unread       int
		DatabaseSize           int64
		RuntimeStats           struct{ Uptime, Memory int64 }
	}
	f.get("/api/v1/info", &info)
	require.Equal(t, "1.2.3", info.Version)
	require.Equal(t, 1, info.Messages)
	require.Equal(t, int64(60), info.RuntimeStats.Uptime)
	require.Positive(t, info.RuntimeStats.Memory)
	require.Positive(t, info.DatabaseSize)
	var ui struct{ MessageRelay struct{ Enabled bool } }
	f.get("/api/v1/webui", &ui)
	require.False(t, ui.MessageRelay.Enabled)
	for _, probe := range []string{"/livez", "/readyz"} {
		status, body, _ := f.do("GET", probe, "", "Host", "10.0.0.7:8025")
		require.Equal(t, 200, status)
		require.Empty(t, body)
	}
	status, body, _ := f.do("OPTIONS", "/api/v1/messages", "")
	require.Equal(t, 200, status)
	require.Empty(t, body)
}

func TestViewsNeverConnectAhead(t *testing.T) {
	f := open(t)
	id := f.receive("From: a@hostile.example\nSubject: x\nMIME-Version: 1.0\nContent-Type: text/html\n\n"+
		`<IFRAME src=//hostile.example></iframe><frameset><frame src=//hostile.example></frameset><svg><style><link rel=preconnect href=//hostile.example>`, "ana@fabrikam.example")
	status, body, header := f.do("GET", "/view/"+id+".html", "")
	require.Equal(t, 200, status)
	require.Equal(t, "off", header.Get("X-DNS-Prefetch-Control"))
	require.Contains(t, body, `<x-IFRAME src=//hostile.example></x-iframe><x-frameset><x-frame src`)
	require.Contains(t, body, `<x-link rel=preconnect`)
}
