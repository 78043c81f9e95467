package sink_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
)

func search(t testing.TB, s *sink.Sink, text string) []string {
	t.Helper()
	q, err := sink.ParseQuery(text)
	require.NoError(t, err, text)
	q.Limit = -1
	p, err := s.List(context.Background(), q)
	require.NoError(t, err, text)
	require.Equal(t, len(p.Messages), p.Total, text)
	unread := 0
	var subjects []string
	for _, m := range p.Messages {
		subjects = append(subjects, m.Subject)
		if !m.Read {
			unread++
		}
	}
	require.Equal(t, unread, p.Unread, text)
	return subjects
}

func TestSearch(t *testing.T) {
	now := t0
	s := open(t, sink.Options{Now: func() time.Time { return now }})
	receive(t, s, note("Quarterly report", "Cc: Bob <bob@fabrikam.example>\r\n", "numbers for the board, 50% more")) // May 1
	now = now.AddDate(0, 0, 1)
	old := receive(t, s, note("Invitation", "Reply-To: help@contoso.example\r\nContent-Type: text/html; charset=utf-8\r\n",
		"<style>p{color:red}</style><p>You have been <b>invited</b> to Größe"), "jane@fabrikam.example", "blind@fabrikam.example")
	now = now.AddDate(0, 0, 1)
	receive(t, s, note("Files", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n",
		"--b\r\n\r\nsee \"this\"\r\n--b\r\nContent-Type: text/csv; name=results.csv\r\nContent-Disposition: attachment; filename=results.csv\r\n\r\n"+
			strings.Repeat("1,2\r\n", 500)+"--b--"))
	require.NoError(t, s.SetRead(t.Context(), []string{old}, true))
	require.NoError(t, s.SetTags(t.Context(), []string{old}, []string{"On hold"}))

	all := []string{"Files", "Invitation", "Quarterly report"}
	tests := []struct {
		query string
		want  []string
	}{
		{"", all},
		{"report", []string{"Quarterly report"}},
		{"uarterl", []string{"Quarterly report"}},
		{"REPORT board", []string{"Quarterly report"}},
		{"report invited", nil},
		{`"quarterly  report"`, []string{"Quarterly report"}},
		{`"report quarterly"`, nil},
		{`"for the board"`, []string{"Quarterly report"}},
		{"-report", []string{"Files", "Invitation"}},
		{"!report -invited", []string{"Files"}},
		{`-"been invited"`, []string{"Files", "Quarterly report"}},
		{"jane -report", []string{"Files", "Invitation"}},
		{"größe", []string{"Invitation"}},
		{"GRÖSSE", nil},
		{"color:red", nil},
		{"50%", []string{"Quarterly report"}},
		{"50% -bo", nil},
		{"bo", all}, // bounce@…: two characters are looked for too
		{"qu", []string{"Quarterly report"}},
		{"results.csv", []string{"Files"}},
		{"bounce@contoso.example", all},
		{"from:ada", all},
		{"from:jane", nil},
		{"to:jane@fabrikam.example", all},
		{`to:"Jane Doe"`, all},
		{"-to:jane", nil},
		{"cc:bob", []string{"Quarterly report"}},
		{"bcc:blind", []string{"Invitation"}},
		{"reply-to:help", []string{"Invitation"}},
		{"addressed:help", []string{"Invitation"}},
		{"addressed:bob", []string{"Quarterly report"}},
		{"subject:invit", []string{"Invitation"}},
		{`subject:"invitation"`, []string{"Invitation"}},
		{"message-id:<Files@contoso.example>", []string{"Files"}},
		{`tag:"on hold"`, []string{"Invitation"}},
		{`-tag:"On Hold"`, []string{"Files", "Quarterly report"}},
		{"tag:hold", nil},
		{"is:read", []string{"Invitation"}},
		{"is:unread", []string{"Files", "Quarterly report"}},
		{"-is:read", []string{"Files", "Quarterly report"}},
		{"-is:unread", []string{"Invitation"}},
		{"is:tagged", []string{"Invitation"}},
		{"has:attachment", []string{"Files"}},
		{"-has:attachments", []string{"Invitation", "Quarterly report"}},
		{"has:inline", nil},
		{"before:2026-05-02", []string{"Quarterly report"}},
		{"after:2026-05-02", []string{"Files", "Invitation"}},
		{"after:2026/05/02 before:2026-05-03T00:00", []string{"Invitation"}},
		{`after:"2026-05-03 11:00"`, []string{"Files"}},
		{"larger:2k", []string{"Files"}},
		{"smaller:2KB", []string{"Invitation", "Quarterly report"}},
		{"larger:1mb", nil},
		{"folder:inbox", all},
		{"folder:Junk", nil},
		{"http://nowhere", nil},
		{"OR", []string{"Quarterly report"}}, // no operator
		{`a"b`, nil},
		{"*", nil},
		{"this", []string{"Files"}},
		{"'; DROP TABLE messages; --", nil},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			got := search(t, s, tt.query)
			if tt.want == nil {
				require.Empty(t, got)
				return
			}
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want, search(t, s, tt.query), "and again, from the kept count")
		})
	}
}

func TestParseQueryRefuses(t *testing.T) {
	for query, detail := range map[string]string{
		`"open`:                   "not closed",
		`subject:"open`:           "not closed",
		"to:":                     "no value",
		`to:""`:                   "no value",
		"is:new":                  "read, unread and tagged",
		"has:fun":                 "attachment and inline",
		"folder:sent":             "inbox and junk",
		"before:yesterday":        "no date",
		"after:0000-00-00":        "no date",
		"larger:many":             "no size",
		"smaller:0":               "no size",
		"larger:1e400":            "no size",
		"larger:-3":               "no size",
		strings.Repeat("ab ", 60): "at most 50",
		strings.Repeat("x", 5000): "4,096",
	} {
		_, err := sink.ParseQuery(query)
		var qe *sink.QueryError
		require.ErrorAs(t, err, &qe, query)
		require.ErrorContains(t, err, detail, query)
	}
	q, err := sink.ParseQueryIn("before:2026-05-01", time.FixedZone("", 3600))
	require.NoError(t, err)
	require.NotZero(t, q)
}

func TestPages(t *testing.T) {
	s := open(t, sink.Options{})
	var ids []string
	for i := range 25 {
		ids = append([]string{receive(t, s, note(fmt.Sprintf("n %d", i), "", "body"))}, ids...)
	}
	for _, text := range []string{"", "body", "-nothing", "to:jane"} {
		q, err := sink.ParseQuery(text)
		require.NoError(t, err)
		q.Limit = 10
		var got []string
		for {
			p, err := s.List(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, 25, p.Total)
			for _, m := range p.Messages {
				got = append(got, m.ID)
			}
			if q.After = p.Next; p.Next == "" {
				break
			}
		}
		require.Equal(t, ids, got, text)
		q = sink.Query{Start: 20}
		p, err := s.List(t.Context(), q)
		require.NoError(t, err)
		require.Len(t, p.Messages, 5)
		require.Equal(t, ids[20], p.Messages[0].ID)
		match, err := s.Match(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, ids, match)
	}
	_, err := s.List(t.Context(), sink.Query{After: "nonsense"})
	require.ErrorIs(t, err, sink.ErrNotFound)
}

func FuzzParseQuery(f *testing.F) {
	s, err := sink.Open(sink.Options{})
	require.NoError(f, err)
	f.Cleanup(func() { _ = s.Close() })
	receive(f, s, note("Hello", "", "the words"))
	for _, seed := range []string{"", "a", `"a b" -c !d`, "to:x from:y subject:\"z z\"", "is:read has:inline before:2026-01-01",
		"larger:1k smaller:2m tag:x folder:junk", `{a} : "b`, "NEAR(a b)", "col:abc*", "^abc", "\x00abc", "\xff\xfeabc", `""`, "- !", "-\"x\"", "ﬀﬀﬀ", "İİİ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := sink.ParseQuery(text)
		if err != nil {
			var qe *sink.QueryError
			require.ErrorAs(t, err, &qe)
			return
		}
		_, err = s.List(context.Background(), q)
		require.NoError(t, err)
	})
}
