package pop3d

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
)

const jane, bob = "jane@fabrikam.example", "bob@fabrikam.example"

func openSink(t testing.TB) *sink.Sink {
	t.Helper()
	s, err := sink.Open(sink.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// start serves o on a loopback port and returns its address.
func start(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	s, err := New(o)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.ErrorIs(t, <-done, ErrServerClosed)
		require.Zero(t, s.Connections())
	})
	return s, l.Addr().String()
}

func deliver(t testing.TB, s *sink.Sink, raw string, to ...string) string {
	t.Helper()
	id, err := s.Receive(context.Background(), sink.Envelope{To: to}, []byte(raw))
	require.NoError(t, err)
	require.NoError(t, s.Indexed(context.Background(), id))
	return id
}

// client is a conversation.
type client struct {
	t *testing.T
	*textproto.Conn
}

func dial(t *testing.T, addr, user string) client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	p := client{t, textproto.NewConn(c)}
	t.Cleanup(func() { _ = p.Close() })
	p.reads("+OK")
	if user != "" {
		p.says("USER "+user, "+OK")
		p.says("PASS a word with spaces", "+OK")
	}
	return p
}

func (c client) reads(want string) string {
	c.t.Helper()
	line, err := c.ReadLine()
	require.NoError(c.t, err)
	require.True(c.t, strings.HasPrefix(line, want), "%q should begin with %q", line, want)
	return line
}

func (c client) says(line, want string) string {
	c.t.Helper()
	require.NoError(c.t, c.PrintfLine("%s", line))
	return c.reads(want)
}

// body reads a reply of many lines, as it was before stuffing.
func (c client) body() string {
	c.t.Helper()
	b, err := io.ReadAll(c.DotReader())
	require.NoError(c.t, err)
	return strings.ReplaceAll(string(b), "\n", "\r\n")
}

func TestFetch(t *testing.T) {
	box := openSink(t)
	_, addr := start(t, Options{Sink: box})
	raws := []string{
		"Subject: one\r\n\r\nfirst\r\n.second\r\n..\r\nlast\r\n",
		"Subject: two\n\nbare\rends",
		"",
	}
	want := []string{raws[0], "Subject: two\r\n\r\nbare\r\nends\r\n", ""}
	var ids []string
	total := 0
	for i, raw := range raws {
		ids = append(ids, deliver(t, box, raw, jane, bob))
		total += len(want[i])
	}
	other := deliver(t, box, "Subject: junk\r\n\r\n", jane)
	require.NoError(t, box.SetFolder(t.Context(), other, jane, sink.Junk))

	c := dial(t, addr, "Jane@Fabrikam.example")
	c.says("STAT", fmt.Sprintf("+OK 3 %d", total))
	c.says("LIST", "+OK")
	var list strings.Builder
	for i, w := range want {
		fmt.Fprintf(&list, "%d %d\r\n", i+1, len(w))
	}
	require.Equal(t, list.String(), c.body())
	c.says("UIDL", "+OK")
	require.Equal(t, fmt.Sprintf("1 %s\r\n2 %s\r\n3 %s\r\n", ids[0], ids[1], ids[2]), c.body())
	c.says("UIDL 2", "+OK 2 "+ids[1])
	for i, w := range want {
		c.says(fmt.Sprintf("RETR %d", i+1), fmt.Sprintf("+OK %d octets", len(w)))
		require.Equal(t, w, c.body())
	}
	m, err := box.Get(t.Context(), ids[0])
	require.NoError(t, err)
	require.True(t, m.Read)
	for n, w := range map[int]string{0: "Subject: one\r\n\r\n", 2: "Subject: one\r\n\r\nfirst\r\n.second\r\n", 99: want[0]} {
		c.says(fmt.Sprintf("TOP 1 %d", n), "+OK")
		require.Equal(t, w, c.body())
	}
}

func TestDelete(t *testing.T) {
	box := openSink(t)
	s, addr := start(t, Options{Sink: box})
	a := deliver(t, box, "Subject: one\r\n\r\n", jane, bob)
	b := deliver(t, box, "Subject: two\r\n\r\n", jane)

	c := dial(t, addr, jane)
	c.says("DELE 1", "+OK")
	c.says("DELE 1", "-ERR")
	c.says("RETR 1", "-ERR")
	c.says("LIST 1", "-ERR")
	c.says("STAT", "+OK 1 ")
	c.says("LIST", "+OK")
	require.Equal(t, "2 16\r\n", c.body())
	c.says("RSET", "+OK")
	c.says("STAT", "+OK 2 ")
	c.says("DELE 2", "+OK")
	require.NoError(t, c.Close()) // without QUIT nothing goes

	c = dial(t, addr, jane)
	c.says("DELE 1", "+OK")
	c.says("DELE 2", "+OK")
	c.says("QUIT", "+OK")
	_, err := c.ReadLine()
	require.ErrorIs(t, err, io.EOF)
	m, err := box.Get(t.Context(), a)
	require.NoError(t, err)
	require.Len(t, m.Recipients, 1, "bob still has it")
	_, err = box.Get(t.Context(), b)
	require.ErrorIs(t, err, sink.ErrNotFound)
	c = dial(t, addr, jane)
	c.says("STAT", "+OK 0 0")
	c = dial(t, addr, bob)
	c.says("DELE 1", "+OK")
	require.NoError(t, s.Shutdown(t.Context()))
	_, err = box.Get(t.Context(), a)
	require.NoError(t, err, "a shutdown deletes nothing")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(l), ErrServerClosed)
}

func TestRefusals(t *testing.T) {
	box := openSink(t)
	deliver(t, box, "Subject: one\r\n\r\n", jane)
	_, addr := start(t, Options{Sink: box})
	c := dial(t, addr, "")
	c.says("STAT", "-ERR log in first")
	c.says("PASS x", "-ERR USER comes first")
	c.says("USER jane", "-ERR [AUTH]")
	c.says("CAPA", "+OK")
	require.Contains(t, c.body(), "UIDL\r\n")
	c.says("user "+jane, "+OK")
	c.says("pass", "+OK")
	for _, line := range []string{"USER x@y", "RETR", "RETR 0", "RETR 2", "RETR -1", "RETR +1"} {
		c.says(line, "-ERR")
	}
	c.says("NOOP", "+OK")
	for _, line := range []string{"TOP 1", "TOP 1 x", "LIST 1 1", "RETR 99999999999999999999", "LIST x", "", "XYZZY", "R\x00TR 1"} {
		c.says(line, "-ERR")
	}
	c.says("DELE x", "-ERR")
	c.says("DELE 0", "-ERR")
	_, err := c.ReadLine()
	require.ErrorIs(t, err, io.EOF, "ten in a row are enough")
	_, err = New(Options{})
	require.ErrorContains(t, err, "Options.Sink")
}

func TestLimits(t *testing.T) {
	box := openSink(t)
	tests := []struct {
		name, say, want string
		options         Options
	}{
		{"an endless line", strings.Repeat("a", 3000), "-ERR the line is too long", Options{}},
		{"a long line", "PASS " + strings.Repeat("a", 600) + "\r\n", "-ERR the line is too long", Options{}},
		{"time to log in", "NOOP\r\n", "-ERR [SYS/TEMP] the time is over", Options{LoginTimeout: 50 * time.Millisecond}},
		{"idleness", "USER a@b\r\nPASS x\r\n", "-ERR [SYS/TEMP] the time is over", Options{IdleTimeout: 50 * time.Millisecond}},
		{"HTTP", "GET / HTTP/1.1\r\nQUIT\r\n", "-ERR unknown command", Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Sink = box
			_, addr := start(t, tt.options)
			c := dial(t, addr, "")
			go func() { _, _ = io.WriteString(c.W, tt.say); _ = c.W.Flush() }()
			var last string
			for {
				line, err := c.ReadLine()
				if err != nil {
					break
				}
				last = line
			}
			require.Equal(t, tt.want, last)
		})
	}
	t.Run("connections", func(t *testing.T) {
		_, addr := start(t, Options{Sink: box, MaxConnections: 1})
		dial(t, addr, jane)
		second, err := textproto.Dial("tcp", addr)
		require.NoError(t, err)
		line, err := second.ReadLine()
		require.NoError(t, err)
		require.Contains(t, line, "too many connections")
	})
}

// FuzzParse holds that a line means one thing: what it is read as reads the
// same again, and numbers are numbers.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"USER jane@fabrikam.example", "PASS a b", "RETR 1", "TOP 1 20", "list", "RETR -1", "  ", "DELE 1\x00", "QUIT "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c := parse(line)
		if c.verb == "" {
			require.Empty(t, c.args)
			return
		}
		require.Equal(t, strings.ToUpper(c.verb), c.verb)
		require.Equal(t, c, parse(strings.TrimRight(c.verb+" "+c.args, " ")))
		if n, ok := c.numbers(1, 2); ok {
			require.Equal(t, n, mustNumbers(t, fmt.Sprint(n)))
		}
	})
}

func mustNumbers(t *testing.T, s string) []int {
	n, ok := command{args: strings.Trim(s, "[]")}.numbers(1, 2)
	require.True(t, ok)
	return n
}

// FuzzSend holds that a client's dot reader returns what is announced.
func FuzzSend(f *testing.F) {
	for _, seed := range []string{"", "a", ".\r\n", "a\n.b\r\n..\r", "\r\r\n", "x\r\n.\r\nQUIT\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		text := lines(raw)
		require.Equal(t, text, lines(text), "a second time changes nothing")
		r := bufio.NewReader(strings.NewReader(string(stuff(text)) + "after"))
		got, err := textproto.NewReader(r).ReadDotBytes()
		require.NoError(t, err)
		require.Equal(t, strings.ReplaceAll(string(text), "\r\n", "\n"), string(got))
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "after", string(rest))
		for n := range 3 {
			require.True(t, strings.HasPrefix(string(text), string(top(text, n))))
		}
	})
}
