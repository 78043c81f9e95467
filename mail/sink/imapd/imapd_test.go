package imapd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/imapd"
	"invited/mail/sink/rules"
)

const jane, bob = "jane@fabrikam.example", "bob@fabrikam.example"

// judge files what says so in Junk.
func judge(_ sink.Envelope, _ string, raw []byte) rules.Verdict {
	if strings.Contains(string(raw), "X-Test: junk") {
		return rules.Verdict{SCL: 9, Category: "SPM"}
	}
	return rules.Verdict{SCL: 1, Category: "NONE"}
}

func openSink(t testing.TB, dir string) *sink.Sink {
	t.Helper()
	s, err := sink.Open(sink.Options{Dir: dir, Judge: judge})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// start serves box on a loopback port and returns its address.
func start(t testing.TB, o imapd.Options) (*imapd.Server, string) {
	t.Helper()
	if o.Sink == nil {
		o.Sink = openSink(t, t.TempDir())
	}
	s, err := imapd.New(o)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.ErrorIs(t, <-done, imapd.ErrServerClosed)
		require.Zero(t, s.Connections())
	})
	return s, l.Addr().String()
}

func note(subject, header, body string) string {
	return "From: Ada Lovelace <ada@contoso.example>\r\nTo: Jane Doe <jane@fabrikam.example>\r\nSubject: " + subject +
		"\r\nDate: Fri, 01 May 2026 11:59:00 +0200\r\nMessage-ID: <" + strings.ReplaceAll(subject, " ", ".") + "@contoso.example>\r\n" +
		header + "\r\n" + body + "\r\n"
}

func deliver(t testing.TB, s *sink.Sink, raw string, to ...string) string {
	t.Helper()
	if len(to) == 0 {
		to = []string{jane}
	}
	id, err := s.Receive(context.Background(), sink.Envelope{From: "bounce@contoso.example", To: to}, []byte(raw))
	require.NoError(t, err)
	require.NoError(t, s.Indexed(context.Background(), id))
	return id
}

// login returns a client that is logged in.
func login(t testing.TB, addr, user string, o *imapclient.Options) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Login(user, "any").Wait())
	return c
}

func uidsOf(t testing.TB, c *imapclient.Client, criteria *imap.SearchCriteria) []imap.UID {
	t.Helper()
	data, err := c.UIDSearch(criteria, nil).Wait()
	require.NoError(t, err)
	return data.AllUIDs()
}

func choose(t testing.TB, c *imapclient.Client, name string) *imap.SelectData {
	t.Helper()
	data, err := c.Select(name, nil).Wait()
	require.NoError(t, err)
	return data
}

func flagsOf(t testing.TB, c *imapclient.Client, uid imap.UID) []string {
	t.Helper()
	got, err := c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{Flags: true}).Collect()
	require.NoError(t, err)
	require.Len(t, got, 1)
	var out []string
	for _, f := range got[0].Flags {
		out = append(out, strings.ToLower(string(f)))
	}
	slices.Sort(out)
	return out
}

func TestListAndStatus(t *testing.T) {
	box := openSink(t, t.TempDir())
	_, addr := start(t, imapd.Options{Sink: box})
	one := note("one", "", "x")
	deliver(t, box, one)
	deliver(t, box, note("two", "X-Test: junk\r\n", "x"))
	c := login(t, addr, "JANE@fabrikam.example", nil)
	for _, options := range []*imap.ListOptions{nil, {ReturnSpecialUse: true}, {ReturnSubscribed: true, ReturnStatus: &imap.StatusOptions{NumMessages: true}}} {
		got, err := c.List("", "*", options).Collect()
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Equal(t, "INBOX", got[0].Mailbox)
		require.Equal(t, "Junk", got[1].Mailbox)
		require.NotContains(t, got[0].Attrs, imap.MailboxAttrJunk)
		require.Contains(t, got[1].Attrs, imap.MailboxAttrJunk)
	}
	special, err := c.List("", "%", &imap.ListOptions{SelectSpecialUse: true}).Collect()
	require.NoError(t, err)
	require.Len(t, special, 1)
	got, err := c.List("", "inbox", nil).Collect()
	require.NoError(t, err)
	require.Len(t, got, 1)
	none, err := c.List("", strings.Repeat("%*", 2000)+"z", nil).Collect()
	require.NoError(t, err)
	require.Empty(t, none)

	status, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true, NumUnseen: true, UIDNext: true, UIDValidity: true, Size: true}).Wait()
	require.NoError(t, err)
	require.EqualValues(t, 1, *status.NumMessages)
	require.EqualValues(t, 1, *status.NumUnseen)
	require.EqualValues(t, len(one), *status.Size)
	require.EqualValues(t, 3, status.UIDNext)
	require.NotZero(t, status.UIDValidity)

	require.Error(t, c.Create("Other", nil).Wait())
	require.Error(t, c.Delete("Junk").Wait())
	require.Error(t, c.Rename("Junk", "Spam", nil).Wait())
	require.Error(t, c.Unsubscribe("Junk").Wait())
	require.NoError(t, c.Subscribe("Junk").Wait())
	_, err = c.Select("Archive", nil).Wait()
	require.ErrorContains(t, err, "only INBOX and Junk")
}

func TestFlagsAndNumbersLast(t *testing.T) {
	dir := t.TempDir()
	run := func(fn func(box *sink.Sink, c *imapclient.Client)) {
		box := openSink(t, dir)
		s, addr := start(t, imapd.Options{Sink: box})
		fn(box, login(t, addr, jane, nil))
		require.NoError(t, s.Shutdown(t.Context()))
		require.NoError(t, box.Close())
	}
	var before *imap.SelectData
	run(func(box *sink.Sink, c *imapclient.Client) {
		deliver(t, box, note("one", "", "x"), jane, bob)
		deliver(t, box, note("two", "", "x"))
		before = choose(t, c, "INBOX")
		require.EqualValues(t, 2, before.NumMessages)
		require.Contains(t, before.PermanentFlags, imap.FlagWildcard)
		stored, err := c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDraft, "$Forwarded"}}, nil).Collect()
		require.NoError(t, err)
		require.Len(t, stored, 1)
		require.Len(t, stored[0].Flags, 5)
		stored, err = c.Store(imap.UIDSetNum(1, 2, 77), &imap.StoreFlags{Op: imap.StoreFlagsDel, Silent: true, Flags: []imap.Flag{imap.FlagDraft}}, nil).Collect()
		require.NoError(t, err)
		require.Empty(t, stored)
		_, err = c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{`\Invented`}}, nil).Collect()
		require.Error(t, err)
		p, err := box.List(t.Context(), sink.Query{})
		require.NoError(t, err)
		require.True(t, p.Messages[1].Read, "\\Seen is the sink's read")
	})
	run(func(_ *sink.Sink, c *imapclient.Client) {
		after := choose(t, c, "INBOX")
		require.Equal(t, before.UIDValidity, after.UIDValidity)
		require.Equal(t, before.UIDNext, after.UIDNext)
		require.Equal(t, []string{"$forwarded", `\answered`, `\flagged`, `\seen`}, flagsOf(t, c, 1))
		require.Empty(t, flagsOf(t, c, 2))
		stored, err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsSet, Flags: []imap.Flag{"Work"}}, nil).Collect()
		require.NoError(t, err)
		require.Len(t, stored, 1)
		require.Equal(t, []string{"work"}, flagsOf(t, c, 1))
	})
}

func TestJunkIsSeenEverywhere(t *testing.T) {
	box := openSink(t, t.TempDir())
	_, addr := start(t, imapd.Options{Sink: box})
	a, b := deliver(t, box, note("one", "", "x"), jane, bob), deliver(t, box, note("two", "", "x"))
	folder := func(id string) sink.Folder {
		m, err := box.Get(t.Context(), id)
		require.NoError(t, err)
		return m.Recipients[0].Folder
	}
	c := login(t, addr, jane, nil)
	choose(t, c, "INBOX")
	moved, err := c.Move(imap.UIDSetNum(1), "Junk").Wait()
	require.NoError(t, err)
	require.Equal(t, "1", moved.SourceUIDs.String())
	require.Equal(t, "3", moved.DestUIDs.String())
	require.Equal(t, sink.Junk, folder(a))
	m, err := box.Get(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, sink.Inbox, m.Recipients[1].Folder, "for the other recipient it stays")

	copied, err := c.Copy(imap.SeqSetNum(1), "Junk").Wait() // the older way to move
	require.NoError(t, err)
	require.Equal(t, "4", copied.DestUIDs.String())
	require.Equal(t, sink.Inbox, folder(b))
	_, err = c.Store(imap.UIDSetNum(2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect()
	require.NoError(t, err)
	gone, err := c.Expunge().Collect()
	require.NoError(t, err)
	require.Equal(t, []uint32{1}, gone)
	require.Equal(t, sink.Junk, folder(b))
	require.EqualValues(t, 2, choose(t, c, "Junk").NumMessages)

	require.NoError(t, box.SetFolder(t.Context(), a, jane, sink.Inbox)) // as the web page does
	data := choose(t, c, "INBOX")
	require.EqualValues(t, 1, data.NumMessages)
	require.Equal(t, []imap.UID{5}, uidsOf(t, c, &imap.SearchCriteria{}))
}

func TestExpungeIsForOneRecipient(t *testing.T) {
	box := openSink(t, t.TempDir())
	_, addr := start(t, imapd.Options{Sink: box})
	id := deliver(t, box, note("one", "", "x"), jane, bob)
	deliver(t, box, note("two", "", "x"))
	remove := func(c *imapclient.Client, uid imap.UID) {
		choose(t, c, "INBOX")
		_, err := c.Store(imap.SeqSet{{Start: 1}}, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect()
		require.NoError(t, err)
		_, err = c.UIDExpunge(imap.UIDSetNum(uid)).Collect()
		require.NoError(t, err)
	}
	c := login(t, addr, jane, nil)
	remove(c, 1)
	require.Equal(t, []imap.UID{2}, uidsOf(t, c, &imap.SearchCriteria{}), "only what was named goes")
	m, err := box.Get(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, m.Recipients, 1)
	remove(login(t, addr, bob, nil), 1)
	_, err = box.Get(t.Context(), id)
	require.ErrorIs(t, err, sink.ErrNotFound)

	_, err = c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	require.NoError(t, err)
	_, err = c.Expunge().Collect()
	require.ErrorContains(t, err, "EXAMINE")
	require.NoError(t, c.UnselectAndExpunge().Wait(), "CLOSE removes nothing then")
	require.EqualValues(t, 1, choose(t, c, "INBOX").NumMessages)
	require.NoError(t, c.UnselectAndExpunge().Wait())
	require.Zero(t, choose(t, c, "INBOX").NumMessages)
}

func TestAppend(t *testing.T) {
	box := openSink(t, t.TempDir())
	_, addr := start(t, imapd.Options{Sink: box, MaxLiteral: 5000})
	c := login(t, addr, jane, nil)
	raw := "Subject: kept\n\nX-Test: junk bare line ends stay"
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w := c.Append("INBOX", int64(len(raw)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagFlagged, imap.FlagSeen}, Time: at})
	_, err := io.WriteString(w, raw)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	data, err := w.Wait()
	require.NoError(t, err)
	choose(t, c, "INBOX")
	got, err := c.Fetch(imap.UIDSetNum(data.UID), &imap.FetchOptions{
		Flags: true, InternalDate: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{{}},
	}).Collect()
	require.NoError(t, err)
	require.Equal(t, raw, string(got[0].BodySection[0].Bytes))
	require.EqualValues(t, len(raw), got[0].RFC822Size)
	require.True(t, at.Equal(got[0].InternalDate))
	require.Len(t, got[0].Flags, 2)

	require.Contains(t, talk(t, addr, "a LOGIN x@x.example p\r\nb APPEND INBOX {5001}\r\nc NOOP\r\n", "c "), "b NO [TOOBIG]")
}

func TestIdleTells(t *testing.T) {
	box := openSink(t, t.TempDir())
	_, addr := start(t, imapd.Options{Sink: box})
	first := deliver(t, box, note("one", "", "x"))
	news := make(chan string, 1000)
	c := login(t, addr, jane, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				news <- fmt.Sprint("exists ", *d.NumMessages)
			}
		},
		Expunge: func(seq uint32) { news <- fmt.Sprint("expunge ", seq) },
		Fetch: func(m *imapclient.FetchMessageData) {
			b, _ := m.Collect()
			news <- fmt.Sprint("flags ", b.SeqNum, " ", len(b.Flags))
		},
	}})
	choose(t, c, "INBOX")
	idle, err := c.Idle()
	require.NoError(t, err)
	second := deliver(t, box, note("two", "", "x"))
	require.Equal(t, "exists 2", <-news)
	deliver(t, box, note("three", "", "x"), bob)
	require.NoError(t, box.SetRead(t.Context(), []string{second}, true))
	require.Equal(t, "flags 2 1", <-news)
	require.NoError(t, box.SetFolder(t.Context(), second, jane, sink.Junk))
	require.Equal(t, "expunge 2", <-news)
	require.NoError(t, box.Delete(t.Context(), []string{first}))
	require.Equal(t, "expunge 1", <-news)
	require.NoError(t, idle.Close())
	require.NoError(t, idle.Wait())

	for range 200 { // more than is told one by one
		deliver(t, box, note("many", "", "x"))
	}
	require.NoError(t, c.Noop().Wait())
	require.Equal(t, "exists 200", <-news)
	require.NoError(t, box.DeleteAll(t.Context()))
	require.NoError(t, c.Noop().Wait())
	for i := 200; i > 0; i-- {
		require.Equal(t, fmt.Sprint("expunge ", i), <-news)
	}
}

// TestFetchDoesNotShift holds that sequence numbers keep their meaning while
// the client may not be told of deletions.
func TestFetchDoesNotShift(t *testing.T) {
	box := openSink(t, t.TempDir())
	_, addr := start(t, imapd.Options{Sink: box})
	first := deliver(t, box, note("one", "", "x"))
	deliver(t, box, note("two", "", "x"))
	c := login(t, addr, jane, nil)
	choose(t, c, "INBOX")
	require.NoError(t, box.Delete(t.Context(), []string{first}))
	got, err := c.Fetch(imap.SeqSetNum(2), &imap.FetchOptions{Envelope: true}).Collect()
	require.NoError(t, err)
	require.Equal(t, "two", got[0].Envelope.Subject)
	got, err = c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{Envelope: true}).Collect()
	require.NoError(t, err)
	require.Equal(t, "one", got[0].Envelope.Subject, "it is there until the client is told")
	require.NoError(t, c.Noop().Wait())
	got, err = c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{Envelope: true}).Collect()
	require.NoError(t, err)
	require.Equal(t, "two", got[0].Envelope.Subject)
}

func TestAuthenticatePlain(t *testing.T) {
	_, addr := start(t, imapd.Options{})
	for name, lines := range map[string]string{
		"with an initial response": "a AUTHENTICATE PLAIN AGphbmVAeC5leGFtcGxlAHB3\r\n",
		"asked for":                "a AUTHENTICATE PLAIN\r\nAGphbmVAeC5leGFtcGxlAHB3\r\n",
		"LOGIN with literals":      "a LOGIN {14}\r\njane@x.example {2+}\r\npw\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, talk(t, addr, lines, "a "), "a OK")
		})
	}
	require.Contains(t, talk(t, addr, "a LOGIN jane pw\r\n", "a "), "a NO [AUTHENTICATIONFAILED]")
}

// talk says lines and returns the answers up to the one that begins with tag,
// or to the end.
func talk(t testing.TB, addr, lines, tag string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	go func() { _, _ = io.WriteString(c, lines) }()
	var all strings.Builder
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		all.WriteString(line)
		if err != nil || strings.HasPrefix(line, tag) {
			return all.String()
		}
	}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name, say, want string
	}{
		{"an endless line", strings.Repeat("a", 9000), "* BYE the limit of a command"},
		{"a long line", "a LOGIN x@x.example " + strings.Repeat("a", 9000) + "\r\n", "* BYE the limit of a command"},
		{"a literal that does not wait", "a LOGIN {5000+}\r\n", "* BYE the limit of a command"},
		{"a literal too long to buffer", "a LOGIN {5000}\r\n", "* BYE the limit of a command"},
		{"many literals", "a LOGIN x@x.example p\r\nb SEARCH " + strings.Repeat("TEXT {4096+}\r\n"+strings.Repeat("x", 4096)+" ", 30), "* BYE the limit of a command"},
		{"many commands", strings.Repeat("a NOOP\r\n", 20_000) + "z LOGOUT\r\n", "z OK"},
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "* BYE"},
	}
	_, addr := start(t, imapd.Options{MaxLiteral: 100_000})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tag, _, _ := strings.Cut(tt.want, "[")
			require.Contains(t, talk(t, addr, tt.say, strings.TrimSuffix(tag, "the limit of a command")), tt.want)
		})
	}
	t.Run("time to log in", func(t *testing.T) {
		_, addr := start(t, imapd.Options{LoginTimeout: 50 * time.Millisecond})
		require.Contains(t, talk(t, addr, "a NOOP\r\n", "* BYE"), "the time to log in is over")
	})
	t.Run("connections", func(t *testing.T) {
		_, addr := start(t, imapd.Options{MaxConnections: 1})
		c := login(t, addr, jane, nil)
		require.Contains(t, talk(t, addr, "", "* BYE"), "too many connections")
		require.NoError(t, c.Logout().Wait())
	})
}

func TestShutdown(t *testing.T) {
	s, addr := start(t, imapd.Options{})
	c := login(t, addr, jane, nil)
	choose(t, c, "INBOX")
	idle, err := c.Idle()
	require.NoError(t, err)
	require.NoError(t, s.Shutdown(t.Context()))
	require.Error(t, idle.Wait())
	require.Zero(t, s.Connections())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(l), imapd.ErrServerClosed)
	_, err = imapd.New(imapd.Options{})
	require.ErrorContains(t, err, "Options.Sink")
}
