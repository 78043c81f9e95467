package mailpit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/mailpit"
)

// send posts a body and returns the id it was captured under.
func (f *face) send(body string) string {
	f.t.Helper()
	status, answer, _ := f.do("POST", "/api/v1/send", body)
	require.Equal(f.t, 200, status, answer)
	var out struct{ ID string }
	require.NoError(f.t, json.Unmarshal([]byte(answer), &out))
	return out.ID
}

func TestSend(t *testing.T) {
	f := open(t)
	id := f.send(`{
		"From": {"Name": "Ana, \"the\" Ü", "Email": "ana@fabrikam.example"},
		"To": [{"Email": "ben@contoso.example"}, {"Name": "Carla", "Email": "carla@localhost"}],
		"Bcc": ["hidden@contoso.example", "ben@contoso.example"],
		"Subject": "Grüße",
		"Text": "line\r\nline\n.\n",
		"HTML": "<b>hé</b>",
		"Headers": {"X-One": "1", "Message-ID": "<own@fabrikam.example>", "X-Long": "` + strings.Repeat("word ", 60) + `"},
		"Unknown": true
	}`)
	var m struct {
		MessageID, Subject, Text, HTML, ReturnPath string
		From                                       struct{ Name, Address string }
		To, Bcc                                    []struct{ Name, Address string }
		Envelope                                   struct{ To []string }
		Problems                                   []string
	}
	f.get("/api/v1/message/"+id, &m)
	require.Equal(t, `Ana, "the" Ü`, m.From.Name)
	require.Equal(t, "Grüße", m.Subject)
	require.Equal(t, "own@fabrikam.example", m.MessageID)
	require.Equal(t, "ana@fabrikam.example", m.ReturnPath)
	require.Equal(t, []string{"ben@contoso.example", "carla@localhost", "hidden@contoso.example"}, m.Envelope.To)
	require.Equal(t, "hidden@contoso.example", m.Bcc[0].Address)
	require.Equal(t, "line\r\nline\r\n.\r\n", m.Text)
	require.Equal(t, "<b>hé</b>", m.HTML)
	require.Empty(t, m.Problems)

	_, raw, _ := f.do("GET", "/api/v1/message/"+id+"/raw", "")
	require.NotContains(t, raw, "hidden@")
	require.NotContains(t, strings.ReplaceAll(raw, "\r\n", ""), "\n")
	for line := range strings.SplitSeq(raw, "\r\n") {
		require.LessOrEqual(t, len(line), 998)
	}
	_, err := netmail.ReadMessage(strings.NewReader(raw))
	require.NoError(t, err)
}

func TestSendWithoutWords(t *testing.T) {
	f := open(t)
	id := f.send(`{"From":{"Email":"a@x.example"},"Bcc":["b@y.example"]}`)
	var m struct {
		Text, Subject, MessageID string
		To                       []any
	}
	f.get("/api/v1/message/"+id, &m)
	require.Empty(t, m.Subject)
	require.Empty(t, m.To)
	require.True(t, strings.HasSuffix(m.MessageID, "@x.example"), m.MessageID)
}

func TestSendRefuses(t *testing.T) {
	f := openWith(t, func(h *mailpit.Handler) { h.MaxSend = 1 << 20 })
	const people = `"From":{"Email":"a@x.example"},"To":[{"Email":"b@y.example"}]`
	many := strings.TrimSuffix(strings.Repeat(`"c@y.example",`, 101), ",")
	tests := []struct {
		name, body string
		status     int
		text       string
	}{
		{"no body", ``, 400, "JSON"},
		{"no sender", `{"To":[{"Email":"b@y.example"}]}`, 400, "From"},
		{"no recipient", `{"From":{"Email":"a@x.example"}}`, 400, "recipient"},
		{"a sender that is none", `{"From":{"Email":"a b"},"To":[{"Email":"b@y.example"}]}`, 400, "From"},
		{"a recipient that breaks the line", `{"From":{"Email":"a@x.example"},"To":[{"Email":"b@y.example>\r\nX: y"}]}`, 400, "To"},
		{"a name that breaks the line", `{"From":{"Email":"a@x.example","Name":"a\r\nBcc: c@z.example"},"To":[{"Email":"b@y.example"}]}`, 400, "line break"},
		{"a subject that breaks the line", `{` + people + `,"Subject":"a\nb"}`, 400, "line break"},
		{"a field that breaks the line", `{` + people + `,"Headers":{"X-A":"a\r\nBcc: c@z.example"}}`, 400, "line break"},
		{"a field whose name is none", `{` + people + `,"Headers":{"X A":"a"}}`, 400, "no name"},
		{"a field that another member sets", `{` + people + `,"Headers":{"subject":"a"}}`, 400, "must not set"},
		{"X-Tags beside Tags", `{` + people + `,"Headers":{"X-Tags":"a"},"Tags":["b"]}`, 400, "must not set"},
		{"a tag that is none", `{` + people + `,"Tags":["<b>"]}`, 400, "no tag"},
		{"an attachment that is not base64", `{` + people + `,"Attachments":[{"Content":"%%%","Filename":"a"}]}`, 400, "not base64"},
		{"a data: URL that is not base64", `{` + people + `,"Attachments":[{"Content":"data:text/plain,abc"}]}`, 400, "base64"},
		{"an attachment of several parts", `{` + people + `,"Attachments":[{"Content":"YQ==","ContentType":"multipart/mixed; boundary=a"}]}`, 400, "ContentType"},
		{"an attachment whose type breaks the line", `{` + people + `,"Attachments":[{"Content":"YQ==","ContentType":"a/b\r\nX: y"}]}`, 400, "line break"},
		{"too many recipients", `{` + people + `,"Bcc":[` + many + `]}`, 400, "100 are the most"},
		{"too large a mail", `{` + people + `,"Text":"` + strings.Repeat("ä", 300_000) + `"}`, 413, "1 MB"},
		{"too large a body", `{` + people + `,"Text":"` + strings.Repeat("a", 2<<20) + `"}`, 413, "1 MB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, answer, header := f.do("POST", "/api/v1/send", tt.body)
			require.Equal(t, tt.status, status, answer)
			require.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
			var out struct{ Error string }
			require.NoError(t, json.Unmarshal([]byte(answer), &out))
			require.Contains(t, out.Error, tt.text)
		})
	}
	var l listed
	f.get("/api/v1/messages", &l)
	require.Zero(t, l.Total)
}

// FuzzSend checks that whatever is sent, nothing of it becomes a header line
// of its own.
func FuzzSend(f *testing.F) {
	f.Add("Ana", "a@x.example", "b@y.example", "Subject", "X-A", "value", "file.txt")
	f.Add("a\r\nEvil: 1", `"a b"@x.example`, "b@[127.0.0.1]", "=?utf-8?q?=0D=0AEvil:?=", "x-a", "\u2028", "a\"b;c")
	f.Add("é", "é@x.example", "b@é.example", "a\x00", "Evil", "1", "../../é")
	fc := open(f)
	f.Fuzz(func(t *testing.T, name, from, to, subject, field, value, file string) {
		body, err := json.Marshal(map[string]any{
			"From": map[string]string{"Name": name, "Email": from}, "To": []any{map[string]string{"Email": to}},
			"Subject": subject, "Headers": map[string]string{field: value},
			"Attachments": []any{map[string]string{"Filename": file, "Content": "YQ==", "ContentID": name}},
		})
		require.NoError(t, err)
		w := httptest.NewRecorder()
		fc.mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/send", strings.NewReader(string(body))))
		if w.Code != 200 {
			require.Equal(t, 400, w.Code, w.Body)
			return
		}
		var out struct{ ID string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
		raw, err := fc.sink.Raw(t.Context(), out.ID)
		require.NoError(t, err)
		m, err := netmail.ReadMessage(strings.NewReader(string(raw)))
		require.NoError(t, err, "%q", raw)
		known := map[string]bool{"Date": true, "From": true, "To": true, "Subject": true, "Message-Id": true, "Mime-Version": true, "Content-Type": true}
		for name := range m.Header {
			require.True(t, known[name] || strings.EqualFold(name, field), "%q", raw)
		}
		require.NoError(t, fc.sink.DeleteAll(t.Context()))
	})
}

func TestThumbnails(t *testing.T) {
	f := open(t)
	tests := []struct {
		name, kind, content string
		white               bool // at the middle
	}{
		{"a small picture stands in the middle", "image/png", picture(t, 10, 10), false},
		{"a large one is cut to size", "image/png", picture(t, 1000, 300), false},
		{"a tall one too", "image/png", picture(t, 20, 900), false},
		{"a wrong type does not matter", "application/pdf", picture(t, 200, 200), false},
		{"no picture is white", "image/png", "YWJj", true},
		{"one that is cut off is white", "image/png", picture(t, 200, 200)[:80], true},
		{"one that unfolds too far is white", "image/png", pngHeader(20_000, 10), true},
		{"one of too many points is white", "image/png", pngHeader(9_000, 9_000), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.send(fmt.Sprintf(`{"From":{"Email":"a@x.example"},"To":[{"Email":"b@y.example"}],"Text":"x",
				"Attachments":[{"Filename":"p","ContentType":%q,"Content":%q}]}`, tt.kind, tt.content))
			status, body, header := f.do("GET", "/api/v1/message/latest/part/2/thumb", "")
			require.Equal(t, 200, status, body)
			require.Equal(t, "image/jpeg", header.Get("Content-Type"))
			red, green := middle(t, body)
			require.Equal(t, tt.white, red > 0xf000 && green > 0xf000, "%x %x", red, green)
		})
	}
	status, _, _ := f.do("GET", "/api/v1/message/latest/part/9/thumb", "")
	require.Equal(t, 404, status)
}
