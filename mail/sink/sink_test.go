package sink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/rules"
)

var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, o sink.Options) *sink.Sink {
	t.Helper()
	s, err := sink.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// junk files mail to junk@… in Junk.
func junk(_ sink.Envelope, to string, _ []byte) rules.Verdict {
	if strings.HasPrefix(to, "junk@") {
		return rules.Verdict{SCL: 9, Category: "SPM", Forced: "address", Hits: []rules.Hit{{Rule: "FORCED", Score: 9, Why: "w", Fix: "f"}}}
	}
	return rules.Verdict{SCL: 1, Category: "NONE"}
}

// note writes a message; the header may hold further lines.
func note(subject, header, body string) string {
	return "From: Ada <ada@contoso.example>\r\nTo: Jane Doe <jane@fabrikam.example>\r\nSubject: " + subject +
		"\r\nMessage-ID: <" + strings.ReplaceAll(subject, " ", ".") + "@contoso.example>\r\n" + header + "\r\n" + body + "\r\n"
}

func receive(t testing.TB, s *sink.Sink, raw string, to ...string) string {
	t.Helper()
	if len(to) == 0 {
		to = []string{"jane@fabrikam.example"}
	}
	id, err := s.Receive(context.Background(), sink.Envelope{From: "bounce@contoso.example", To: to}, []byte(raw))
	require.NoError(t, err)
	return id
}

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

func TestReceiveAndRead(t *testing.T) {
	s := open(t, sink.Options{Judge: junk, Now: func() time.Time { return t0 }})
	raw := note("Hello", "Cc: Bob <bob@fabrikam.example>\r\nReply-To: inviter@contoso.example\r\nDate: Fri, 01 May 2026 11:59:00 +0000\r\n", "the words")
	env := sink.Envelope{From: "", To: []string{"jane@fabrikam.example", "Junk@Fabrikam.example", "junk@fabrikam.example"},
		Helo: "relay", Remote: "127.0.0.1:99", TLS: true, SMTPUTF8: true, Body: "8BITMIME", SessionID: "s-1"}
	id, err := s.Receive(t.Context(), env, []byte(raw))
	require.NoError(t, err)
	require.Regexp(t, "^[0-9a-f]{24}$", id)
	require.NoError(t, s.Indexed(t.Context(), id))
	env.Received = t0

	got, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, env, got.Envelope)
	require.True(t, got.Parsed)
	require.Equal(t, "Hello", got.Subject)
	require.Equal(t, "Hello@contoso.example", got.MessageID)
	require.Equal(t, sink.Person{Name: "Ada", Address: "ada@contoso.example"}, got.From)
	require.Equal(t, []sink.Person{{Name: "Bob", Address: "bob@fabrikam.example"}}, got.Cc)
	require.Equal(t, []sink.Person{{Address: "inviter@contoso.example"}}, got.ReplyTo)
	require.Equal(t, t0.Add(-time.Minute), got.Date.UTC())
	require.Equal(t, "the words", strings.TrimSpace(got.Snippet))
	require.Equal(t, len(raw), got.Size)
	require.Len(t, got.Recipients, 2, "one mailbox gets one copy")
	require.Equal(t, sink.Inbox, got.Recipients[0].Folder)
	require.Equal(t, []string{"Junk@Fabrikam.example"}, got.Hidden())

	bytes, err := s.Raw(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, raw, string(bytes))
	for _, bad := range []string{"", "latest", "../../../../etc/passwd", "ffffffffffffffffffffffff", strings.ToUpper(id)} {
		_, err = s.Get(t.Context(), bad)
		require.ErrorIs(t, err, sink.ErrNotFound, bad)
		_, err = s.Raw(t.Context(), bad)
		require.ErrorIs(t, err, sink.ErrNotFound, bad)
	}
}

func TestFoldersAndCounts(t *testing.T) {
	s := open(t, sink.Options{Judge: junk})
	a := receive(t, s, note("one", "", ""), "jane@fabrikam.example", "junk@fabrikam.example")
	b := receive(t, s, note("two", "", ""), "JANE@fabrikam.example")
	receive(t, s, note("three", "", ""), "junk@fabrikam.example")
	totals := func() sink.Totals {
		got, err := s.Totals(t.Context())
		require.NoError(t, err)
		got.Bytes = 0
		return got
	}
	folders := func() []sink.Mailbox {
		got, err := s.Folders(t.Context(), "", 0)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, sink.Totals{Messages: 3, Unread: 3, Inbox: 2, Junk: 2}, totals())
	require.Equal(t, []sink.Mailbox{
		{Address: "jane@fabrikam.example", Inbox: 2, Unread: 2},
		{Address: "junk@fabrikam.example", Junk: 2, Unread: 2},
	}, folders())
	require.Equal(t, []string{"three", "one"}, search(t, s, "folder:junk"))
	require.Equal(t, []string{"two"}, search(t, s, "-folder:junk"))

	p, err := s.List(t.Context(), sink.Query{Recipient: "Jane@Fabrikam.Example", Folder: sink.Inbox})
	require.NoError(t, err)
	require.Equal(t, 2, p.Total)
	require.Equal(t, b, p.Messages[0].ID)

	require.NoError(t, s.SetRead(t.Context(), []string{a, "no-such-id"}, true))
	require.NoError(t, s.SetFolder(t.Context(), a, "Jane@fabrikam.example", sink.Junk))
	require.ErrorIs(t, s.SetFolder(t.Context(), a, "bob@fabrikam.example", sink.Junk), sink.ErrNotFound)
	require.Equal(t, sink.Totals{Messages: 3, Unread: 2, Inbox: 1, Junk: 2}, totals())
	require.Equal(t, []sink.Mailbox{
		{Address: "jane@fabrikam.example", Inbox: 1, Junk: 1, Unread: 1},
		{Address: "junk@fabrikam.example", Junk: 2, Unread: 1},
	}, folders())
	got, where, ok, err := s.Filed(t.Context(), "one@contoso.example", "JANE@fabrikam.example")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, a, got.ID)
	require.Equal(t, sink.Junk, where.Folder)
	require.False(t, where.Verdict.Junk(), "moving does not change the verdict")
	_, _, ok, err = s.Filed(t.Context(), "one@contoso.example", "bob@fabrikam.example")
	require.NoError(t, err)
	require.False(t, ok)

	require.NoError(t, s.SetTags(t.Context(), []string{a, b}, []string{"Late", "late", "x"}))
	tags, err := s.Tags(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int{"Late": 2, "x": 2}, tags)
	require.NoError(t, s.RenameTag(t.Context(), "LATE", "early"))
	require.ErrorIs(t, s.RenameTag(t.Context(), "late", "x"), sink.ErrNotFound)
	require.Equal(t, []string{"two", "one"}, search(t, s, "tag:EARLY is:tagged"))

	require.NoError(t, s.Delete(t.Context(), []string{a}))
	require.Equal(t, sink.Totals{Messages: 2, Unread: 2, Inbox: 1, Junk: 1}, totals())
	_, err = s.Get(t.Context(), a)
	require.ErrorIs(t, err, sink.ErrNotFound)
	require.NoError(t, s.DeleteAll(t.Context()))
	require.Equal(t, sink.Totals{}, totals())
	require.Empty(t, folders())
	require.Empty(t, search(t, s, "two"))
	receive(t, s, note("after", "", ""))
	require.Equal(t, []string{"after"}, search(t, s, "AFTER"))
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
		{"bo", []string{"Quarterly report", "Invitation", "Files"}[:0]},
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
		{"OR", nil},
		{`a"b`, nil},
		{"*", nil},
		{"this", []string{"Files"}},
		{"'; DROP TABLE messages; --", nil},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			if tt.query == "bo" || tt.query == "50% -bo" || tt.query == "OR" || tt.query == "*" {
				want := map[string][]string{
					"bo": all, "OR": nil, "*": nil, "50% -bo": nil, // bounce@, board, Bob
				}[tt.query]
				if tt.query == "OR" {
					want = []string{"Quarterly report"} // rep(or)t, board, f(or)
				}
				require.Equal(t, want, search(t, s, tt.query))
				return
			}
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

func TestRestartContinues(t *testing.T) {
	dir := t.TempDir()
	s, err := sink.Open(sink.Options{Dir: dir, Judge: junk})
	require.NoError(t, err)
	a := receive(t, s, note("first", "", ""))
	b := receive(t, s, note("second", "", ""))
	require.NoError(t, s.SetRead(t.Context(), []string{a}, true))
	require.NoError(t, s.SetFolder(t.Context(), a, "jane@fabrikam.example", sink.Junk))
	require.NoError(t, s.Delete(t.Context(), []string{b}))
	require.NoError(t, s.Close())
	_, err = s.Receive(t.Context(), sink.Envelope{}, nil)
	require.ErrorIs(t, err, sink.ErrClosed)
	require.NoError(t, s.Close(), "closing twice is nothing")

	s, err = sink.Open(sink.Options{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, []string{"first"}, search(t, s, "is:read folder:junk"))
	require.Equal(t, []string{"first"}, search(t, s, ""), "what was deleted stays deleted")
	require.NoError(t, s.DeleteAll(t.Context()))
	require.NoError(t, s.Close())

	s, err = sink.Open(sink.Options{Dir: dir})
	require.NoError(t, err)
	require.Empty(t, search(t, s, ""))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = s.Wait(ctx, sink.Query{}, "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, s.Close())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.db"), []byte(strings.Repeat("damaged", 1000)), 0o600))
	s = open(t, sink.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	require.Equal(t, []string{"second", "first"}, search(t, s, ""), "a lost index is built from the log")
	require.Empty(t, search(t, s, "is:read"))
}

// TestKill takes copies of the directory at arbitrary moments, as a crash
// would leave it, and checks that a sink opened on each has every message that
// had been accepted by then, once.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	s := open(t, sink.Options{Dir: dir})
	var mu sync.Mutex
	var accepted []string
	var senders sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		senders.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id, err := s.Receive(context.Background(), sink.Envelope{To: []string{"jane@fabrikam.example"}},
					[]byte(note(fmt.Sprintf("m %d %d", i, n), "", "")))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				accepted = append(accepted, id)
				mu.Unlock()
			}
		})
	}
	for range 5 {
		require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(accepted) > 50 }, 10*time.Second, time.Millisecond)
		mu.Lock()
		want := append([]string{}, accepted...)
		mu.Unlock()
		copied := t.TempDir()
		copySink(t, dir, copied)
		again, err := sink.Open(sink.Options{Dir: copied, MaxMessages: 1 << 20})
		require.NoError(t, err)
		p, err := again.List(t.Context(), sink.Query{Limit: -1})
		require.NoError(t, err)
		if p.Total < len(want) { // much to be indexed: reads do not wait for all of it
			require.NoError(t, again.Indexed(t.Context(), want[len(want)-1]))
			p, err = again.List(t.Context(), sink.Query{Limit: -1})
			require.NoError(t, err)
		}
		seen := map[string]int{}
		for _, m := range p.Messages {
			seen[m.ID]++
			require.Equal(t, 1, seen[m.ID])
		}
		for _, id := range want {
			require.Equal(t, 1, seen[id], id)
		}
		require.NoError(t, again.Close())
	}
	close(stop)
	senders.Wait()
}

// copySink copies a sink's files: the index first, so that it may only be
// behind the log. The index is copied as SQLite finds it after a crash, the
// log without its last bytes at times.
func copySink(t *testing.T, from, to string) {
	t.Helper()
	// The index cannot be copied consistently while it is written to; a crash
	// of the process leaves it whole, so the copy does without it.
	require.NoError(t, os.MkdirAll(filepath.Join(to, "spool"), 0o700))
	names, err := filepath.Glob(filepath.Join(from, "spool", "*.spool"))
	require.NoError(t, err)
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, "spool", filepath.Base(name)), append(b, "torn"...), 0o600))
	}
}

func TestWhatCannotBeParsedIsListed(t *testing.T) {
	outer := t
	release := make(chan struct{})
	defer close(release)
	o := sink.Options{ParseBudget: 50 * time.Millisecond, Judge: func(e sink.Envelope, to string, raw []byte) rules.Verdict {
		if bytes.Contains(raw, []byte("judge panics")) {
			panic("no opinion")
		}
		return junk(e, to, raw)
	}}
	o.Parse = func(raw []byte) (sink.Parsed, error) {
		switch {
		case bytes.HasPrefix(raw, []byte("panic")):
			panic("boom")
		case bytes.HasPrefix(raw, []byte("hang")):
			<-release
		case bytes.HasPrefix(raw, []byte("error")):
			return sink.Parsed{Subject: "half"}, errors.New("the header ends too soon")
		}
		return sink.ParseMIME(raw)
	}
	s := open(t, o)
	tests := []struct{ raw, problem string }{
		{"panic here", "parser failed: boom"},
		{"hang 1", "longer than 50ms"},
		{"hang 2", "longer than 50ms"},
		{"hang 3", "longer than 50ms"},
		{"hang 4", "longer than 50ms"},
		{"plain, while four parsers hang", "earlier messages keep the parser busy"},
		{"error", "the header ends too soon"},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			if tt.raw == "error" {
				s = open(outer, o)
			}
			id := receive(t, s, tt.raw, "junk@fabrikam.example")
			m, err := s.Get(t.Context(), id)
			require.NoError(t, err)
			require.False(t, m.Parsed)
			require.Contains(t, m.ParseError, tt.problem)
			raw, err := s.Raw(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, tt.raw, string(raw))
			p, err := s.List(t.Context(), sink.Query{Recipient: "junk@fabrikam.example", Limit: 1})
			require.NoError(t, err)
			require.Equal(t, id, p.Messages[0].ID)
		})
	}
	id := receive(t, s, note("x", "", "judge panics"))
	m, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.True(t, m.Parsed)
	require.Equal(t, rules.Verdict{}, m.Recipients[0].Verdict)

	for _, raw := range []string{"", "\r\n", "no header at all", "\x00\xff\xfe", "Content-Type: multipart/mixed\r\n\r\nno boundary"} {
		id := receive(t, s, raw)
		got, err := s.Raw(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, raw, string(got))
		_, err = s.Get(t.Context(), id)
		require.NoError(t, err)
	}
	require.Len(t, search(t, s, "has:attachment"), 0)
	require.Len(t, search(t, s, "\"no header at all\""), 1)
}

func TestWait(t *testing.T) {
	s := open(t, sink.Options{Judge: junk})
	q, err := sink.ParseQuery("subject:wanted")
	require.NoError(t, err)
	type answer struct {
		m   sink.Captured
		err error
	}
	wait := func(q sink.Query, after string) <-chan answer {
		c := make(chan answer, 1)
		go func() {
			m, err := s.Wait(context.Background(), q, after)
			c <- answer{m, err}
		}()
		return c
	}
	early := wait(q, "")
	receive(t, s, note("other", "", ""))
	first := receive(t, s, note("wanted", "", ""))
	got := <-early
	require.NoError(t, got.err)
	require.Equal(t, first, got.m.ID)

	second := receive(t, s, note("wanted", "", ""))
	third := receive(t, s, note("wanted", "", ""))
	got = <-wait(q, first)
	require.Equal(t, second, got.m.ID, "the first one after")
	got = <-wait(q, "")
	require.Equal(t, third, got.m.ID, "the newest, without an id to follow")

	q.Recipient, q.Folder = "junk@fabrikam.example", sink.Junk
	late := wait(q, third)
	receive(t, s, note("wanted", "", ""), "jane@fabrikam.example")
	fourth := receive(t, s, note("wanted", "", ""), "junk@fabrikam.example")
	require.Equal(t, fourth, (<-late).m.ID)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = s.Wait(ctx, q, fourth)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	closed := wait(q, fourth)
	require.NoError(t, s.Close())
	require.Error(t, (<-closed).err)
}

func TestEventsComeInOrder(t *testing.T) {
	s := open(t, sink.Options{Judge: junk})
	events, cancel := s.Subscribe()
	var ids []string
	for i := range 20 {
		ids = append(ids, receive(t, s, note(fmt.Sprint("n", i), "", "")))
	}
	for _, id := range ids {
		e := <-events
		require.Equal(t, sink.New, e.Type)
		require.Equal(t, id, e.ID)
		require.Equal(t, id, e.Message.ID)
	}
	require.NoError(t, s.SetRead(t.Context(), ids[:1], true))
	require.NoError(t, s.SetRead(t.Context(), ids[:1], true), "nothing changes, nothing is told")
	require.NoError(t, s.SetTags(t.Context(), ids[1:2], []string{"a"}))
	require.NoError(t, s.Delete(t.Context(), ids[:2]))
	require.NoError(t, s.DeleteAll(t.Context()))
	e := <-events
	require.True(t, e.Type == sink.Update && e.ID == ids[0] && e.Message.Read)
	e = <-events
	require.True(t, e.Type == sink.Update && e.ID == ids[1])
	require.Equal(t, []string{"a"}, e.Message.Tags)
	require.Equal(t, sink.Event{Type: sink.Deleted, ID: ids[0]}, <-events)
	require.Equal(t, sink.Event{Type: sink.Deleted, ID: ids[1]}, <-events)
	require.Equal(t, sink.Truncate, (<-events).Type)
	cancel()
	_, more := <-events
	require.False(t, more)
	cancel()

	slow, _ := s.Subscribe()
	var last string
	for i := range 1200 {
		last = receive(t, s, note(fmt.Sprint("n", i), "", ""))
	}
	require.NoError(t, s.Indexed(t.Context(), last))
	var got []sink.Event
	for e := range slow {
		got = append(got, e)
	}
	require.Equal(t, sink.Dropped, got[len(got)-1].Type)
	require.Len(t, got, 1025)
}

func TestRetention(t *testing.T) {
	dir := t.TempDir()
	s := open(t, sink.Options{Dir: dir, MaxMessages: 1000, MaxBytes: 9 << 20})
	var last string
	body := strings.Repeat("0123456789abcdef\r\n", 1<<20/18)
	for i := range 30 {
		last = receive(t, s, note(fmt.Sprint("big", i), "", body))
	}
	require.NoError(t, s.Indexed(t.Context(), last))
	require.Eventually(t, func() bool {
		totals, err := s.Totals(t.Context())
		require.NoError(t, err)
		files, err := filepath.Glob(filepath.Join(dir, "spool", "*.spool"))
		require.NoError(t, err)
		return totals.Messages == 8 && totals.Bytes <= 9<<20 && len(files) <= 10
	}, 5*time.Second, time.Millisecond)
	require.Equal(t, "big29", search(t, s, "")[0], "the oldest went")

	s = open(t, sink.Options{MaxMessages: 100})
	for i := range 1000 {
		last = receive(t, s, note(fmt.Sprint("small", i), "", ""))
	}
	require.NoError(t, s.Indexed(t.Context(), last))
	require.Eventually(t, func() bool {
		totals, err := s.Totals(t.Context())
		require.NoError(t, err)
		return totals == sink.Totals{Messages: 100, Unread: 100, Inbox: 100, Bytes: totals.Bytes}
	}, 5*time.Second, time.Millisecond)
	require.Len(t, search(t, s, "small9"), 100)
}

// FuzzParseQuery checks that any search is either refused with a QueryError or
// answered.
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

func TestVerdictSurvivesTheIndex(t *testing.T) {
	s := open(t, sink.Options{Judge: junk, Log: slog.New(slog.DiscardHandler)})
	id := receive(t, s, note("x", "", ""), "junk@fabrikam.example")
	m, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	want := junk(sink.Envelope{}, "junk@fabrikam.example", nil)
	a, err := json.Marshal(want)
	require.NoError(t, err)
	b, err := json.Marshal(m.Recipients[0].Verdict)
	require.NoError(t, err)
	require.JSONEq(t, string(a), string(b))
	require.Equal(t, sink.Junk, m.Recipients[0].Folder)
}
