package mailpit_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/mailpit"
)

func TestLogin(t *testing.T) {
	f := openWith(t, func(h *mailpit.Handler) { h.Login, h.Metrics = mailpit.OneLogin("ana", "sec:ret"), true })
	const right, wrong = "Basic YW5hOnNlYzpyZXQ=", "Basic YW5hOndyb25n"
	for _, path := range []string{"/api/v1/messages", "/api/v1/", "/metrics", "/view/latest.txt", "/api/v2/messages", "/api/v1/no/such"} {
		for _, header := range [][]string{nil, {"Authorization", wrong}, {"Authorization", "Bearer x"}} {
			status, body, got := f.do("GET", path, "", header...)
			require.Equal(t, 401, status, path)
			require.Contains(t, got.Get("WWW-Authenticate"), "Basic realm=")
			require.NotContains(t, body, "sec")
		}
		status, _, _ := f.do("GET", path, "", "Authorization", right)
		require.NotEqual(t, 401, status, path)
	}
	status, _, _ := f.do("POST", "/api/v1/send", "{}")
	require.Equal(t, 401, status)
	for _, probe := range []string{"/livez", "/readyz"} {
		status, _, _ := f.do("GET", probe, "")
		require.Equal(t, 200, status)
	}
}

func TestMetrics(t *testing.T) {
	f := open(t)
	status, _, _ := f.do("GET", "/metrics", "")
	require.Equal(t, 404, status, "they are off by default")
	f = openWith(t, func(h *mailpit.Handler) { h.Metrics, h.Stats = true, counts{} })
	f.send(`{"From":{"Email":"a@x.example"},"To":[{"Email":"b@y.example"}],"Tags":["two words"]}`)
	_, body, header := f.do("GET", "/metrics", "")
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", header.Get("Content-Type"))
	for _, line := range []string{
		"mailpit_messages 1", "mailpit_messages_unread 1", "mailpit_messages_deleted_total 0", "mailpit_smtp_accepted_total 7",
		"mailpit_smtp_accepted_size_bytes_total 7000", "mailpit_smtp_rejected_total 3", "mailpit_smtp_ignored_total 1",
		"mailpit_uptime_seconds 60", `mailpit_tag_messages{tag="two words"} 1`, "# TYPE mailpit_messages gauge",
	} {
		require.Contains(t, body, "\n"+line+"\n")
	}
}

func TestDescription(t *testing.T) {
	f := openWith(t, func(h *mailpit.Handler) { h.Spam = filter{} })
	_, body, header := f.do("GET", "/api/v1/", "")
	require.Contains(t, body, "/api/v1/swagger.json")
	require.Equal(t, `</api/v1/swagger.json>; rel="service-desc"`, header.Get("Link"))
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Summary    string
			Parameters []struct{ Name, In string }
		}
	}
	f.get("/api/v1/swagger.json", &doc)
	require.Equal(t, "3.1.0", doc.OpenAPI)
	require.Equal(t, []string{"delete", "get", "put"}, slices.Sorted(maps.Keys(doc.Paths["/api/v1/messages"])))
	require.Contains(t, doc.Paths, "/api/v1/message/{id}/sa-check")
	require.NotContains(t, doc.Paths, "/metrics")
	require.Len(t, doc.Paths["/api/v1/message/{id}/part/{part}/thumb"]["get"].Parameters, 2)
	for path, methods := range doc.Paths {
		require.NotContains(t, path, "$")
		for _, m := range methods {
			require.NotEmpty(t, m.Summary)
		}
	}
}

func TestRoutesThatAreNot(t *testing.T) {
	f := open(t)
	status, body, header := f.do("GET", "/api/v1/nothing", "")
	require.Equal(t, 404, status)
	require.Equal(t, "text/plain; charset=utf-8", header.Get("Content-Type"))
	require.NotEmpty(t, body)
	status, _, header = f.do("POST", "/api/v1/messages", "")
	require.Equal(t, 405, status)
	require.Equal(t, "GET, HEAD, PUT, DELETE", header.Get("Allow"))
}

func TestRenameAndDeleteTags(t *testing.T) {
	f := open(t)
	f.send(`{"From":{"Email":"a@x.example"},"To":[{"Email":"b@y.example"}],"Tags":["red","blue"]}`)
	tests := []struct {
		name, method, tag, body string
		status                  int
		left                    []string
	}{
		{"to a name that exists", "PUT", "red", `{"Name":"blue"}`, 400, []string{"blue", "red"}},
		{"to no name", "PUT", "red", `{"Name":" "}`, 400, []string{"blue", "red"}},
		{"to a name that is none", "PUT", "red", `{"Name":"<b>"}`, 400, []string{"blue", "red"}},
		{"without a body", "PUT", "red", ``, 400, []string{"blue", "red"}},
		{"a tag that nobody carries", "PUT", "green", `{"Name":"yellow"}`, 400, []string{"blue", "red"}},
		{"a tag", "PUT", "red", `{"Name":"two words"}`, 200, []string{"blue", "two words"}},
		{"to itself", "PUT", "blue", `{"Name":"blue"}`, 200, []string{"blue", "two words"}},
		{"deleting a tag that nobody carries", "DELETE", "red", ``, 400, []string{"blue", "two words"}},
		{"deleting", "DELETE", "two%20words", ``, 200, []string{"blue"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, answer, _ := f.do(tt.method, "/api/v1/tags/"+tt.tag, tt.body)
			require.Equal(t, tt.status, status, answer)
			var tags []string
			f.get("/api/v1/tags", &tags)
			require.Equal(t, tt.left, tags)
		})
	}
}

// hogMail is a message as MailHog's clients read it.
type hogMail struct {
	ID      string
	From    struct{ Mailbox, Domain, Params string }
	To      []struct{ Mailbox, Domain string }
	Content struct {
		Headers map[string][]string
		Body    string
		Size    int
	}
	MIME *struct{ Parts []hogPart }
	Raw  struct {
		From, Data, Helo string
		To               []string
	}
}

type hogPart struct {
	Headers map[string][]string
	Body    string
	MIME    *struct{ Parts []hogPart }
}

func TestMailHog(t *testing.T) {
	f := open(t)
	f.receive(plain("a@x.example", "b@y.example", "one"), "b@y.example")
	id := f.receive(rich, "ana@fabrikam.example", "hidden@fabrikam.example")
	type page struct {
		Total, Count, Start int
		Items               []hogMail
	}
	var p page
	f.get("/api/v2/messages", &p)
	require.Equal(t, []int{2, 2, 0}, []int{p.Total, p.Count, p.Start})
	m := p.Items[0]
	require.Equal(t, id, m.ID)
	require.Equal(t, "contoso.example", m.From.Domain)
	require.Len(t, m.To, 2)
	require.Equal(t, []string{"m"}, []string{strings.TrimPrefix(m.Content.Headers["Content-Type"][0], "multipart/mixed; boundary=")})
	require.True(t, strings.HasPrefix(m.Content.Body, "--m\r\n"))
	require.True(t, strings.HasPrefix(m.Raw.Data, "From: Contoso"))
	require.Equal(t, "mx.contoso.example", m.Raw.Helo)
	require.Len(t, m.MIME.Parts, 3)
	related := m.MIME.Parts[0].MIME.Parts
	require.Len(t, related, 2)
	require.Len(t, related[0].MIME.Parts, 2)
	require.Equal(t, pixel, related[1].Body, "in its transfer encoding")
	require.Equal(t, []string{"base64"}, related[1].Headers["Content-Transfer-Encoding"])
	require.Nil(t, p.Items[1].MIME)
	require.Contains(t, p.Items[1].Content.Body, "Hello b@y.example.")

	tests := []struct {
		query    string
		subjects int
	}{
		{"kind=from&query=contoso.example", 1}, {"kind=to&query=b@y.example", 1}, {"kind=containing&query=hello+b", 1},
		{"kind=containing&query=nothing", 0}, {"kind=to&query=y.example&start=1", 0}, {"kind=to&query=example&limit=1", 1},
	}
	for _, tt := range tests {
		var p page
		f.get("/api/v2/search?"+tt.query, &p)
		require.Equal(t, tt.subjects, p.Count, tt.query)
		require.NotNil(t, p.Items)
	}
	for _, bad := range []string{"", "?kind=to", "?kind=subject&query=x", "?kind=to&query=x&limit=-1"} {
		status, _, _ := f.do("GET", "/api/v2/search"+bad, "")
		require.Equal(t, 400, status, bad)
	}
	var one hogMail
	f.get("/api/v1/messages/"+id, &one)
	require.Equal(t, m, one)
	_, raw, header := f.do("GET", "/api/v1/messages/"+id+"/download", "")
	require.Equal(t, m.Raw.Data, raw)
	require.Equal(t, `attachment; filename="`+id+`.eml"`, header.Get("Content-Disposition"))
	var l struct{ Unread int }
	_, body, _ := f.do("GET", "/api/v1/messages", "")
	require.NoError(t, json.Unmarshal([]byte(body), &l))
	require.Equal(t, 2, l.Unread, "reading as MailHog does marks nothing read")
}
