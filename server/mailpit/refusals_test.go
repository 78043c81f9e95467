package mailpit_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
)

func TestBadRequests(t *testing.T) {
	f := open(t)
	f.receive(plain("a@contoso.example", "b@fabrikam.example", "one"), "b@fabrikam.example")
	tests := []struct {
		name, method, path, body string
		status                   int
		text                     string
	}{
		{"search without query", "GET", "/api/v1/search", "", 400, "Error: no search query"},
		{"search with an empty query", "GET", "/api/v1/search?query=%20", "", 400, "Error: no search query"},
		{"delete without query", "DELETE", "/api/v1/search", "", 400, "Error: no search query"},
		{"a start that is no number", "GET", "/api/v1/messages?start=x", "", 400, "start"},
		{"a negative limit", "GET", "/api/v1/messages?limit=-1", "", 400, "limit"},
		{"a query string that does not parse", "GET", "/api/v1/search?query=%zz", "", 400, "query string"},
		{"no such message", "GET", "/api/v1/message/000000000000000000ffffff", "", 404, "404 page not found"},
		{"an id that is none", "GET", "/api/v1/message/..%2f..%2fetc%2fpasswd", "", 404, "404 page not found"},
		{"no such part", "GET", "/api/v1/message/latest/part/9.9", "", 404, "404 page not found"},
		{"nothing newest", "GET", "/api/v1/message/latest?query=subject:none", "", 404, "Message not found"},
		{"no such source", "GET", "/api/v1/message/zzz/raw", "", 404, "404 page not found"},
		{"no such headers", "GET", "/api/v1/message/zzz/headers", "", 404, "404 page not found"},
		{"marking without a body", "PUT", "/api/v1/messages", "", 400, "empty"},
		{"marking by both", "PUT", "/api/v1/messages", `{"Read":true,"IDs":["a"],"Search":"x"}`, 400, "exclude"},
		{"tagging nothing", "PUT", "/api/v1/tags", `{"Tags":["a"]}`, 400, "IDs"},
		{"a tag that is none", "PUT", "/api/v1/tags", `{"Tags":["<b>"],"IDs":["a"]}`, 400, "tag"},
		{"moving to nowhere", "PUT", "/api/v1/message/latest/folder", `{"folder":"Spam"}`, 400, "Inbox or Junk"},
		{"moving for a stranger", "PUT", "/api/v1/message/latest/folder", `{"folder":"Junk","recipient":"x@y.example"}`, 404, "recipient"},
		{"moving what is not there", "PUT", "/api/v1/message/zzz/folder", `{"folder":"Junk"}`, 404, "404"},
		{"the verdict for a stranger", "GET", "/api/v1/message/latest/verdict?recipient=x@y.example", "", 404, "recipient"},
		{"too many folders", "GET", "/api/v1/folders?limit=1001", "", 400, "limit"},
		{"a misspelt parameter of wait", "GET", "/api/v1/wait?too=b@fabrikam.example", "", 400, `"too" is no parameter`},
		{"waiting twice for to", "GET", "/api/v1/wait?to=a&to=b", "", 400, "twice"},
		{"waiting for no time", "GET", "/api/v1/wait?timeout=soon", "", 400, "timeout"},
		{"waiting for a negative time", "GET", "/api/v1/wait?timeout=-1s", "", 400, "timeout"},
		{"waiting after nothing", "GET", "/api/v1/wait?after=latest", "", 400, "after"},
		{"waiting after an id that cannot be", "GET", "/api/v1/wait?after=ffffffffffffffffffffffff", "", 400, "after"},
		{"waiting in a folder that is none", "GET", "/api/v1/wait?folder=Spam", "", 400, "folder"},
		{"a search that does not parse", "GET", "/api/v1/search?query=before:yesterdayish", "", 400, "before:yesterdayish"},
		{"a list before no date", "GET", "/api/v1/messages?before=x", "", 400, "before"},
		{"no such time zone", "GET", "/api/v1/search?query=before:2026-01-01&tz=../../etc/passwd", "", 400, "tz"},
		{"a view of another kind", "GET", "/view/latest.exe", "", 404, "404"},
		{"no HTML to view", "GET", "/view/latest.html", "", 404, "404"},
		{"a body over 5 MB", "DELETE", "/api/v1/messages", strings.Repeat(" ", 5<<20+1), 413, "5 MB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body, header := f.do(tt.method, tt.path, tt.body)
			require.Equal(t, tt.status, status, body)
			require.Contains(t, body, tt.text)
			require.Equal(t, "text/plain; charset=utf-8", header.Get("Content-Type"))
			require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		})
	}
	var l listed
	f.get("/api/v1/messages", &l)
	require.Equal(t, 1, l.Total, "none of this deleted anything")
}

func TestDelete(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		left       []string
	}{
		{"one", `{"IDs":["$two"]}`, 200, []string{"three", "one"}},
		{"in lower case, as the web client writes", `{"ids":["$two","$one"]}`, 200, []string{"three"}},
		{"an id that is not there", `{"IDs":["000000000000000000ffffff"]}`, 200, []string{"three", "two", "one"}},
		{"everything, by no body", ``, 200, nil},
		{"everything, by an empty object", `{}`, 200, nil},
		{"everything, by an empty list", `{"IDs":[]}`, 200, nil},
		{"cut off", `{"IDs":["$two"`, 400, []string{"three", "two", "one"}},
		{"not JSON", `IDs=$two`, 400, []string{"three", "two", "one"}},
		{"a bare list", `["$two"]`, 400, []string{"three", "two", "one"}},
		{"null", `null`, 400, []string{"three", "two", "one"}},
		{"a misspelt member", `{"ID":["$two"]}`, 400, []string{"three", "two", "one"}},
		{"one id instead of a list", `{"IDs":"$two"}`, 400, []string{"three", "two", "one"}},
		{"numbers", `{"IDs":[1]}`, 400, []string{"three", "two", "one"}},
		{"two objects", `{"IDs":["$two"]}{}`, 400, []string{"three", "two", "one"}},
		{"trailing dirt", `{}x`, 400, []string{"three", "two", "one"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			body := tt.body
			for _, n := range []string{"one", "two", "three"} {
				id := f.receive(plain("a@contoso.example", "b@fabrikam.example", n), "b@fabrikam.example")
				body = strings.ReplaceAll(body, "$"+n, id)
			}
			status, answer, _ := f.do("DELETE", "/api/v1/messages", body)
			require.Equal(t, tt.status, status, answer)
			if tt.status == 200 {
				require.Equal(t, "ok", answer)
			}
			var l listed
			f.get("/api/v1/messages", &l)
			require.Equal(t, tt.left, l.subjects())
		})
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	f := open(t)
	f.receive(plain("a@contoso.example", "b@fabrikam.example", "one"), "b@fabrikam.example")
	tests := []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"a program", "GET", "/api/v1/messages", nil, 200},
		{"our own page", "PUT", "/api/v1/messages", []string{"Origin", f.url, "Sec-Fetch-Site", "same-origin"}, 200},
		{"another page deletes", "DELETE", "/api/v1/messages", []string{"Origin", "https://evil.example"}, 403},
		{"another page deletes, without Origin", "DELETE", "/api/v1/messages", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another page of the same site deletes", "DELETE", "/api/v1/messages", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"a sandboxed page deletes", "DELETE", "/api/v1/messages", []string{"Origin", "null"}, 403},
		{"another port deletes", "DELETE", "/api/v1/messages", []string{"Origin", "http://127.0.0.1:1"}, 403},
		{"another page marks", "PUT", "/api/v1/messages", []string{"Origin", "https://evil.example"}, 403},
		{"another page moves", "PUT", "/api/v1/message/latest/folder", []string{"Origin", "https://evil.example"}, 403},
		{"another page reads", "GET", "/api/v1/messages", []string{"Origin", "https://evil.example"}, 403},
		{"another page waits", "GET", "/api/v1/wait", []string{"Origin", "https://evil.example"}, 403},
		{"a foreign name for us", "GET", "/api/v1/messages", []string{"Host", "evil.example"}, 403},
		{"a foreign name with our port", "DELETE", "/api/v1/messages", []string{"Host", "evil.example:8025"}, 403},
		{"a name that begins like ours", "GET", "/api/v1/messages", []string{"Host", "localhost.evil.example"}, 403},
		{"the configured name", "GET", "/api/v1/messages", []string{"Host", "sink.contoso.example:8025"}, 200},
		{"localhost", "GET", "/api/v1/messages", []string{"Host", "localhost:8025"}, 200},
		{"IPv6 loopback", "GET", "/api/v1/messages", []string{"Host", "[::1]:8025"}, 200},
		{"a foreign name views", "GET", "/view/latest.txt", []string{"Host", "evil.example"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := ""
			if tt.method == "PUT" {
				body = `{"Read":false}`
			}
			status, answer, header := f.do(tt.method, tt.path, body, tt.header...)
			require.Equal(t, tt.status, status, answer)
			require.Empty(t, header.Get("Access-Control-Allow-Origin"))
		})
	}
	var l listed
	f.get("/api/v1/messages", &l)
	require.Equal(t, 1, l.Total, "none of this deleted anything")
}

// FuzzDeleteBody checks what a client's whole mailbox hangs on: only a body
// that is empty, or one JSON object without ids, deletes everything.
func FuzzDeleteBody(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"IDs":[]}`, `{"IDs":["x"]}`, `{"ID":[]}`, `[]`, `null`, `{"IDs":`, "\ufeff{}", `{"IDs":null}`, `{"IDs":[""]}`} {
		f.Add(seed)
	}
	fc := open(f)
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		totals, err := fc.sink.Totals(t.Context())
		require.NoError(t, err)
		if totals.Messages == 0 {
			_, err := fc.sink.Receive(t.Context(), sink.Envelope{To: []string{"b@fabrikam.example"}, Received: t0}, []byte("Subject: x\r\n\r\nx\r\n"))
			require.NoError(t, err)
		}
		r := httptest.NewRequest(http.MethodDelete, "http://localhost/api/v1/messages", strings.NewReader(body))
		fc.mux.ServeHTTP(w, r)
		totals, err = fc.sink.Totals(t.Context())
		require.NoError(t, err)
		if totals.Messages > 0 {
			return
		}
		require.Equal(t, 200, w.Code)
		body = strings.TrimSpace(strings.TrimPrefix(body, "\ufeff"))
		if body == "" {
			return
		}
		var in struct{ IDs []string }
		require.NoError(t, json.Unmarshal([]byte(body), &in), "%q deleted everything", body)
		require.True(t, strings.HasPrefix(body, "{"))
	})
}
