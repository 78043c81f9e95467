package smtpd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/faults"
	"invited/mail/sink/smtpd"
)

// captured is a message the fake sink took.
type captured struct {
	env sink.Envelope
	raw []byte
}

// fakeSink keeps messages in memory. It refuses some recipients.
type fakeSink struct {
	mu   sync.Mutex
	list []captured
}

func (f *fakeSink) Receive(_ context.Context, e sink.Envelope, raw []byte) (string, error) {
	switch {
	case strings.HasPrefix(e.To[0], "full@"):
		return "", fmt.Errorf("fake: %w", sink.ErrFull)
	case strings.HasPrefix(e.To[0], "broken@"):
		return "", errors.New("fake: broken")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, captured{e, raw})
	return fmt.Sprintf("id-%d", len(f.list)), nil
}

func (f *fakeSink) all() []captured {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]captured(nil), f.list...)
}

// start serves o on a loopback port and returns its address.
func start(t testing.TB, o smtpd.Options) (*smtpd.Server, string) {
	t.Helper()
	return startBy(t, o, (*smtpd.Server).Serve)
}

func startBy(t testing.TB, o smtpd.Options, serve func(*smtpd.Server, net.Listener) error) (*smtpd.Server, string) {
	t.Helper()
	s, err := smtpd.New(o)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- serve(s, l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		require.ErrorIs(t, <-done, smtpd.ErrServerClosed)
	})
	return s, l.Addr().String()
}

// dial connects and sets a deadline for the whole test.
func dial(t testing.TB, addr string) (net.Conn, *textproto.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c, textproto.NewReader(bufio.NewReader(c))
}

// TestDialogue plays the files of testdata/dialogue:
//
//	WITH: lmtp | login USER PASSWORD | required | fault STAGE CODE   of the server; a fault is the first of each pair
//	C: text     the client sends text and CRLF (Go escapes)
//	RAW: text   the client sends text as it is
//	LONG: n     the client sends n letters
//	HALF        the client closes its side
//	S: text     the next line of the server begins with text; EOF: it closes
//	S*: code    the server sends a multi-line reply of that code
//	STORED: from > to,to "raw"   in the end, one line for each message kept
func TestDialogue(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogue/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			script, err := os.ReadFile(file)
			require.NoError(t, err)
			box := &fakeSink{}
			o := smtpd.Options{
				Sink: box, Hostname: "mx.contoso.example", MaxMessageBytes: 2000, MaxRecipients: 3, MaxLineLength: 1000, MaxErrors: 6, MaxCommands: 20,
				Faults: &faults.Set{}, IdleTimeout: 300 * time.Millisecond, CommandTimeout: 300 * time.Millisecond,
			}
			addr := startWith(t, o, string(script))
			play(t, addr, string(script), box)
		})
	}
}

// startWith serves o as the WITH lines of a dialogue say.
func startWith(t *testing.T, o smtpd.Options, script string) string {
	t.Helper()
	serve := (*smtpd.Server).Serve
	for line := range strings.Lines(script) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "WITH: ")
		if !ok {
			continue
		}
		words := strings.Fields(rest)
		switch words[0] {
		case "lmtp":
			serve = (*smtpd.Server).ServeLMTP
		case "login":
			logins, err := smtpd.ParseLogins([]byte(words[1] + ":" + words[2]))
			require.NoError(t, err)
			o.Login = logins.Match
		case "required":
			o.RequireAuth = true
		case "fault":
			code, err := strconv.Atoi(words[2])
			require.NoError(t, err)
			o.Faults, err = faults.New([]faults.Rule{{Stage: faults.Stage(words[1]), Code: code, First: 1}})
			require.NoError(t, err)
		default:
			t.Fatal(line)
		}
	}
	_, addr := startBy(t, o, serve)
	return addr
}

// TestDialogueHasEveryCode holds that each code of RFC 5321 section 4.2.3, and
// of RFC 4954, is in a dialogue, but for those a sink cannot mean.
func TestDialogueHasEveryCode(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogue/*.txt")
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(b)
	}
	for _, code := range []int{
		// not 211 and 251: there is no system status, and nothing is forwarded
		214, 220, 221, 235, 250, 252, 334, 354, 421, 450, 451, 452, 454, 455,
		500, 501, 502, 503, 504, 530, 535, 550, 551, 552, 553, 554, 555,
	} {
		require.Regexp(t, fmt.Sprintf(`(?m)^S\*?: %d`, code), all.String())
	}
}

func play(t *testing.T, addr, script string, box *fakeSink) {
	conn, r := dial(t, addr)
	send := func(s string) {
		_, err := conn.Write([]byte(s))
		require.NoError(t, err)
	}
	var stored []string
	for n, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		at := fmt.Sprintf("line %d: %s", n+1, line)
		kind, text, _ := strings.Cut(line, ":")
		text = strings.TrimPrefix(text, " ")
		switch {
		case line == "", line[0] == '#', kind == "WITH":
		case kind == "C":
			send(unescape(t, text) + "\r\n")
		case kind == "RAW":
			send(unescape(t, text))
		case kind == "LONG":
			size, err := strconv.Atoi(text)
			require.NoError(t, err, at)
			send(strings.Repeat("x", size))
		case kind == "HALF":
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		case line == "S: EOF":
			got, err := r.ReadLine()
			require.ErrorIs(t, err, io.EOF, "%s, got %q", at, got)
		case kind == "S":
			got, err := r.ReadLine()
			require.NoError(t, err, at)
			require.True(t, strings.HasPrefix(got, text), "%s, got %q", at, got)
		case kind == "S*":
			got, err := r.ReadLine()
			for ; err == nil && strings.HasPrefix(got, text+"-"); got, err = r.ReadLine() {
			}
			require.NoError(t, err, at)
			require.True(t, strings.HasPrefix(got, text+" "), "%s, got %q", at, got)
		case kind == "STORED":
			stored = append(stored, text)
		default:
			t.Fatal(at)
		}
	}
	var got []string
	for _, c := range box.all() {
		got = append(got, fmt.Sprintf("%s > %s %q", c.env.From, strings.Join(c.env.To, ","), c.raw))
	}
	require.Equal(t, stored, got)
}

func unescape(t *testing.T, s string) string {
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	require.NoError(t, err, s)
	return out
}

// deliver opens a transaction on an open session and sends body after the 354.
func deliver(t testing.TB, c net.Conn, r *textproto.Reader, body string) (code int, text string, err error) {
	t.Helper()
	_, err = io.WriteString(c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
	require.NoError(t, err)
	for _, want := range []int{250, 250, 354} {
		_, _, err := r.ReadResponse(want)
		require.NoError(t, err)
	}
	_, err = io.WriteString(c, body)
	require.NoError(t, err)
	return r.ReadResponse(0)
}

func hello(t testing.TB, addr string) (net.Conn, *textproto.Reader) {
	t.Helper()
	c, r := dial(t, addr)
	_, _, err := r.ReadResponse(220)
	require.NoError(t, err)
	_, err = io.WriteString(c, "EHLO client.example\r\n")
	require.NoError(t, err)
	_, _, err = r.ReadResponse(250)
	require.NoError(t, err)
	return c, r
}

// TestSmuggling sends each look-alike of the end of a body, and behind it a
// second message. The sink must see one message, whole.
func TestSmuggling(t *testing.T) {
	const second = "MAIL FROM:<evil@b.example>\r\nRCPT TO:<v@d.example>\r\nDATA\r\nforged\r\n"
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\n.\r", "\r.\r", "\r.\r\n", "\r.\n", "\r\n.\x00\r\n", "\r\n\x00.\r\n", "\r\n. \r\n", "\r\n.\t\r\n", "\n\r\n.\n", "\r\r\n.\r\r\n", "\n.\n\n", "\r\n.\r\r\n", "\x85.\x85",
	} {
		t.Run(strconv.Quote(end), func(t *testing.T) {
			box := &fakeSink{}
			_, addr := start(t, smtpd.Options{Sink: box})
			c, r := hello(t, addr)
			code, _, err := deliver(t, c, r, "first"+end+second+"\r\n.\r\n")
			require.NoError(t, err)
			require.Equal(t, 250, code)
			got := box.all()
			require.Len(t, got, 1)
			require.Equal(t, "a@b.example", got[0].env.From)
			require.Contains(t, string(got[0].raw), "forged")
			_, err = io.WriteString(c, "NOOP\r\n")
			require.NoError(t, err)
			_, _, err = r.ReadResponse(250)
			require.NoError(t, err, "the session is in step")
		})
	}
}

// TestEndAfterCR holds that CR CRLF . CRLF, which contains the canonical end,
// ends the body: a server that misses it hangs.
func TestEndAfterCR(t *testing.T) {
	box := &fakeSink{}
	_, addr := start(t, smtpd.Options{Sink: box})
	c, r := hello(t, addr)
	code, _, err := deliver(t, c, r, "x\r\r\n.\r\n")
	require.NoError(t, err)
	require.Equal(t, 250, code)
	require.Equal(t, "x\r\r\n", string(box.all()[0].raw))
}

// TestBodySplitAnywhere sends one body in two packets, split at every place.
func TestBodySplitAnywhere(t *testing.T) {
	const wire = "..a\r\n\r\n..\r\n.b\r\n\r\n.\r\n"
	const want = ".a\r\n\r\n.\r\nb\r\n\r\n"
	box := &fakeSink{}
	_, addr := start(t, smtpd.Options{Sink: box})
	for i := 1; i < len(wire); i++ {
		c, r := hello(t, addr)
		_, err := io.WriteString(c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
		require.NoError(t, err)
		for _, code := range []int{250, 250, 354} {
			_, _, err := r.ReadResponse(code)
			require.NoError(t, err)
		}
		for _, piece := range []string{wire[:i], wire[i:]} {
			_, err = io.WriteString(c, piece)
			require.NoError(t, err)
		}
		_, _, err = r.ReadResponse(250)
		require.NoError(t, err)
		got := box.all()
		require.Equal(t, want, string(got[len(got)-1].raw), "split at %d", i)
		require.NoError(t, c.Close())
	}
}

func TestEnvelope(t *testing.T) {
	box := &fakeSink{}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	_, addr := start(t, smtpd.Options{Sink: box, Now: func() time.Time { return now }, NewID: func() string { return "s1" }})
	c, r := hello(t, addr)
	_, err := io.WriteString(c, "AUTH PLAIN AGphbmUAc2VjcmV0\r\nMAIL FROM:<a@b.example> SMTPUTF8 BODY=8bitmime\r\nRCPT TO:<\"x\\\"y\"@d.example>\r\nDATA\r\n")
	require.NoError(t, err)
	for _, want := range []int{235, 250, 250, 354} {
		_, _, err := r.ReadResponse(want)
		require.NoError(t, err)
	}
	_, err = io.WriteString(c, "x\r\n.\r\n")
	require.NoError(t, err)
	_, _, err = r.ReadResponse(250)
	require.NoError(t, err)
	env := box.all()[0].env
	require.NotEmpty(t, env.Transcript)
	env.Transcript = ""
	require.Equal(t, sink.Envelope{
		From: "a@b.example", To: []string{`"x\"y"@d.example`}, Helo: "client.example", Remote: c.LocalAddr().String(),
		User: "jane", SMTPUTF8: true, Body: "8BITMIME", Received: now, SessionID: "s1",
	}, env)
}

func TestNewNamesTheOptionAtFault(t *testing.T) {
	_, err := smtpd.New(smtpd.Options{})
	require.ErrorContains(t, err, "Options.Sink")
	_, err = smtpd.New(smtpd.Options{Sink: &fakeSink{}, MaxErrors: -1})
	require.ErrorContains(t, err, "Options.MaxErrors")
}

func TestConnectionLimits(t *testing.T) {
	tests := []struct {
		name string
		o    smtpd.Options
	}{
		{"of all clients", smtpd.Options{MaxConnections: 2}},
		{"of one loopback address", smtpd.Options{MaxPerLoopback: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Sink = &fakeSink{}
			s, addr := start(t, tt.o)
			first, _ := hello(t, addr)
			hello(t, addr)
			_, r := dial(t, addr)
			_, _, err := r.ReadResponse(421)
			require.NoError(t, err)
			_, err = r.ReadLine()
			require.ErrorIs(t, err, io.EOF)

			require.NoError(t, first.Close())
			require.Eventually(t, func() bool { return s.Connections() < 2 }, 5*time.Second, time.Millisecond)
			hello(t, addr)
		})
	}
}

func TestShutdown(t *testing.T) {
	t.Run("idle clients are told, messages under way are finished", func(t *testing.T) {
		box := &fakeSink{}
		s, addr := start(t, smtpd.Options{Sink: box})
		_, idle := hello(t, addr)
		c, busy := hello(t, addr)
		_, err := io.WriteString(c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
		require.NoError(t, err)
		for _, want := range []int{250, 250, 354} {
			_, _, err := busy.ReadResponse(want)
			require.NoError(t, err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(t.Context()) }()
		_, _, err = idle.ReadResponse(421)
		require.NoError(t, err)
		_, err = io.WriteString(c, "x\r\n.\r\n")
		require.NoError(t, err)
		_, _, err = busy.ReadResponse(250)
		require.NoError(t, err)
		_, _, err = busy.ReadResponse(421)
		require.NoError(t, err)
		require.NoError(t, <-done)
		require.Len(t, box.all(), 1)
	})
	t.Run("what does not end in time is closed", func(t *testing.T) {
		s, addr := start(t, smtpd.Options{Sink: &fakeSink{}})
		c, r := hello(t, addr)
		_, err := io.WriteString(c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
		require.NoError(t, err)
		for _, want := range []int{250, 250, 354} {
			_, _, err := r.ReadResponse(want)
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
		_, err = io.Copy(io.Discard, c)
		_ = err // a reset or an end: either way it is over
		require.Eventually(t, func() bool { return s.Connections() == 0 }, 5*time.Second, time.Millisecond)
	})
}

// TestIdleConnections holds that a thousand clients that say nothing do not
// keep one more from being served.
func TestIdleConnections(t *testing.T) {
	box := &fakeSink{}
	_, addr := start(t, smtpd.Options{Sink: box})
	for range 1000 {
		_, r := dial(t, addr)
		_, _, err := r.ReadResponse(220)
		require.NoError(t, err)
	}
	began := time.Now()
	c, r := hello(t, addr)
	code, _, err := deliver(t, c, r, "x\r\n.\r\n")
	require.NoError(t, err)
	require.Equal(t, 250, code)
	require.Less(t, time.Since(began), time.Second)
}

// model is the definition of a body, as slow and plain as possible.
func model(wire []byte) (body, rest []byte, ok bool) {
	start := true // at the beginning of a line
	for i := 0; i < len(wire); i++ {
		if start && wire[i] == '.' {
			if bytes.HasPrefix(wire[i:], []byte(".\r\n")) {
				return body, wire[i+3:], true
			}
			start = false
			continue
		}
		body = append(body, wire[i])
		start = wire[i] == '\n' && i > 0 && wire[i-1] == '\r'
	}
	return nil, nil, false
}

// FuzzData compares bodies, as they come through a real connection, with the
// model, and with net/textproto's reader where that is as strict.
func FuzzData(f *testing.F) {
	for _, seed := range []string{"", "x", ".", "..\r\n.\r\n", "a\r\n.b\r\n", "\r\r\n.\r\n", "\n.\n", "a\n.\r\nb\r\n.\r\n", ".\r\nMAIL", "\r.\r\n"} {
		f.Add([]byte(seed))
	}
	box := &fakeSink{}
	_, addr := start(f, smtpd.Options{Sink: box})
	f.Fuzz(func(t *testing.T, wire []byte) {
		wire = append(bytes.Clone(wire), "\r\n.\r\n"...)
		want, rest, ok := model(wire)
		require.True(t, ok)
		if !strings.Contains(strings.ReplaceAll(string(wire), "\r\n", ""), "\n") && !strings.Contains(strings.ReplaceAll(string(wire), "\r\n", ""), "\r") {
			dot, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(wire))).ReadDotBytes()
			require.NoError(t, err)
			require.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), string(dot))
		}
		c, r := hello(t, addr)
		before := len(box.all())
		code, text, err := deliver(t, c, r, string(wire[:len(wire)-len(rest)]))
		require.NoError(t, err)
		require.Equal(t, 250, code, text)
		require.NoError(t, c.Close())
		got := box.all()
		require.Len(t, got, before+1)
		require.Equal(t, string(want), string(got[before].raw))
		box.mu.Lock()
		box.list = nil
		box.mu.Unlock()
	})
}

// FuzzDialogue sends any bytes as a dialogue. The server must keep answering
// others, must store only what was ended by CRLF.CRLF or by chunk sizes, and
// every path it stores must be fit for a log.
func FuzzDialogue(f *testing.F) {
	files, err := filepath.Glob("testdata/dialogue/*.txt")
	require.NoError(f, err)
	for _, file := range files {
		script, err := os.ReadFile(file)
		require.NoError(f, err)
		var b strings.Builder
		for _, line := range strings.Split(string(script), "\n") {
			if text, ok := strings.CutPrefix(line, "C: "); ok {
				b.WriteString(text + "\r\n")
			}
			if text, ok := strings.CutPrefix(line, "RAW: "); ok {
				if s, err := strconv.Unquote(`"` + text + `"`); err == nil {
					b.WriteString(s)
				}
			}
		}
		f.Add([]byte(b.String()))
	}
	box := &fakeSink{}
	s, addr := start(f, smtpd.Options{Sink: box, CommandTimeout: time.Second, IdleTimeout: time.Second})
	f.Fuzz(func(t *testing.T, wire []byte) {
		c, _ := dial(t, addr)
		_, _ = c.Write(wire)
		_ = c.(*net.TCPConn).CloseWrite()
		out, _ := io.ReadAll(c)
		_ = c.Close()
		require.True(t, bytes.HasPrefix(out, []byte("220 ")))
		for _, m := range box.all() {
			for _, p := range append(m.env.To, m.env.From) {
				require.NotContains(t, p, "\r")
				require.NotContains(t, p, "\n")
				require.NotContains(t, p, "\x00")
			}
		}
		box.mu.Lock()
		box.list = nil
		box.mu.Unlock()
		require.Eventually(t, func() bool { return s.Connections() == 0 }, 5*time.Second, time.Millisecond)
	})
}
