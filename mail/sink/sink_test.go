package sink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
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

	stored, err := s.Raw(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, raw, string(stored))
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

// TestKill copies the directory at arbitrary moments, as a crash would leave
// it, and checks that a sink opened on each copy has every message that had
// been accepted by then, once. The index it finds is an earlier one.
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

// FuzzParseQuery checks that any search is either refused with a QueryError or
// answered.
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
