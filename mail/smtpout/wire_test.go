package smtpout

import (
	"bufio"
	"bytes"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
)

func TestCanonical(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"canonical", "a\r\nb\r\n", "a\r\nb\r\n"},
		{"no end", "a\r\nb", "a\r\nb\r\n"},
		{"bare LF", "a\nb\n", "a\r\nb\r\n"},
		{"bare CR", "a\rb\r", "a\r\nb\r\n"},
		{"CR CR LF", "a\r\r\nb\r\n", "a\r\n\r\nb\r\n"},
		{"LF CR", "a\n\rb\r\n", "a\r\n\r\nb\r\n"},
		{"empty lines", "\r\n\r\n", "\r\n\r\n"},
		{"smuggling with LF", "a\n.\nMAIL FROM:<x@y>\r\n", "a\r\n.\r\nMAIL FROM:<x@y>\r\n"},
		{"smuggling with CR", "x\r.\ry\r\n", "x\r\n.\r\ny\r\n"},
		{"CR at the very end", "a\r\n\r", "a\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, string(canonical([]byte(tt.in))))
		})
	}
	raw := []byte("a\r\nb\r\n")
	require.Same(t, &raw[0], &canonical(raw)[0], "nothing is copied if nothing changes")
}

// stuffSeeds are bodies that have broken somebody's dot-stuffing.
var stuffSeeds = []string{
	"a", ".", "..", ".\r\n", "\r\n.", "a\r\n.\r\n", "a\n.\n", "a\r.\r", "x\r\n.\r\r\ny", "\r\n.\n.\r.\r\n", "a\r\n..\r\n...\r\n", ".\x00.\r\n.ü",
	"\r", "\n", "\r\r\n", "a\r\r\n.\r\n", strings.Repeat(".\r\n", 100),
}

// modelStuff is what the standard library writes for a body whose bare CRs have
// been replaced; it repairs bare LFs itself.
func modelStuff(t *testing.T, raw []byte) string {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	d := textproto.NewWriter(w).DotWriter()
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	raw = bytes.ReplaceAll(raw, []byte("\r"), []byte("\n"))
	_, err := d.Write(raw)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	return b.String()
}

func TestStuffAgreesWithTheStandardLibrary(t *testing.T) {
	for _, s := range stuffSeeds {
		require.Equal(t, modelStuff(t, []byte(s)), string(appendStuffed(nil, canonical([]byte(s)))), "%q", s)
	}
}

// FuzzStuff checks that any body goes out as the standard library would send it,
// ends exactly once, and comes back as it was meant.
func FuzzStuff(f *testing.F) {
	for _, s := range stuffSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 {
			return
		}
		body := canonical(raw)
		require.True(t, isCanonical(body))
		wire := appendStuffed([]byte("x"), body)[1:]
		require.Equal(t, modelStuff(t, raw), string(wire))
		require.True(t, bytes.HasPrefix(wire, []byte(".\r\n")) == false && bytes.Index(wire, []byte("\r\n.\r\n")) == len(wire)-5)
		back, err := io.ReadAll(textproto.NewReader(bufio.NewReader(bytes.NewReader(wire))).DotReader())
		require.NoError(t, err)
		require.Equal(t, strings.ReplaceAll(string(body), "\r\n", "\n"), string(back))
	})
}

func read(s string) (reply, error) {
	r := replyReader{br: bufio.NewReader(strings.NewReader(s))}
	return r.read()
}

func TestReadReply(t *testing.T) {
	long := strings.Repeat("x", 6000)
	tests := []struct {
		name, in string
		code     int
		text     string
		err      string
	}{
		{name: "one line", in: "250 Ok\r\n", code: 250, text: "Ok"},
		{name: "several lines", in: "250-a\r\n250-b\r\n250 c\r\n", code: 250, text: "a\nb\nc"},
		{name: "LF alone", in: "250-a\n250 b\n", code: 250, text: "a\nb"},
		{name: "no text", in: "250\r\n", code: 250},
		{name: "empty text", in: "250 \r\n", code: 250},
		{name: "8-bit text and NUL", in: "550 \xff\x00\r\n", code: 550, text: "\xff\x00"},
		{name: "a line longer than the buffer", in: "250-" + long + "\r\n250 b\r\n", code: 250, text: long[:4092] + "\nb"},
		{name: "codes differ", in: "250-a\r\n550 b\r\n", err: "not an SMTP reply"},
		{name: "no code", in: "hello\r\n", err: `"hello"`},
		{name: "code out of range", in: "150 x\r\n", err: "not an SMTP reply"},
		{name: "code too long", in: "2500 x\r\n", err: "not an SMTP reply"},
		{name: "code too short", in: "25\r\n", err: "not an SMTP reply"},
		{name: "empty line", in: "\r\n", err: "not an SMTP reply"},
		{name: "HTTP", in: "HTTP/1.1 400 Bad Request\r\n", err: "not an SMTP reply"},
		{name: "nothing", in: "", err: "EOF"},
		{name: "cut off within a line", in: "250 Ok", err: "unexpected EOF"},
		{name: "cut off between lines", in: "250-Ok\r\n", err: "unexpected EOF"},
		{name: "too many lines", in: strings.Repeat("250-x\r\n", 20000), err: "64 KiB"},
		{name: "one endless line", in: "250 " + strings.Repeat("x", 100<<10), err: "64 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := read(tt.in)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.code, r.code)
			require.Equal(t, tt.text, string(r.text))
		})
	}
}

func TestAnswer(t *testing.T) {
	tests := []struct {
		name string
		code int
		text string
		want mail.Attempt
	}{
		{"enhanced", 550, "5.1.1 No such user", mail.Attempt{Enhanced: "5.1.1", Text: "No such user", Permanent: true}},
		{"on every line", 550, "5.1.1 No such\n5.1.1 user", mail.Attempt{Enhanced: "5.1.1", Text: "No such\nuser", Permanent: true}},
		{"three digits each", 554, "5.111.999 x", mail.Attempt{Enhanced: "5.111.999", Text: "x", Permanent: true}},
		{"alone", 250, "2.0.0", mail.Attempt{Enhanced: "2.0.0"}},
		{"of another class than the code", 450, "5.1.1 x", mail.Attempt{Text: "5.1.1 x"}},
		{"a version number", 450, "4.2.1.7 x", mail.Attempt{Text: "4.2.1.7 x"}},
		{"none", 450, "Later", mail.Attempt{Text: "Later"}},
		{"control characters and broken UTF-8", 450, "a\x00b\x1b\xffc", mail.Attempt{Text: "a b \uFFFDc"}},
		{"our credentials", 535, "5.7.8 no", mail.Attempt{Enhanced: "5.7.8", Text: "no"}},
		{"our missing credentials", 530, "5.7.0 no", mail.Attempt{Enhanced: "5.7.0", Text: "no"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Code, tt.want.Stage = tt.code, mail.StageRcpt
			require.Equal(t, tt.want, answer(mail.StageRcpt, reply{tt.code, []byte(tt.text)}))
		})
	}
	require.Len(t, answer(mail.StageRcpt, reply{250, []byte(strings.Repeat("x", 5000))}).Text, 1024)
	require.LessOrEqual(t, len(answer(mail.StageRcpt, reply{250, bytes.Repeat([]byte("\xff "), 2000)}).Text), 1024)
}

// FuzzReply checks that whatever a relay says is read within bounds, and that
// what is kept of it can be stored and shown.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 Ok\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 no\n", "250", "HTTP/1.1 200\r\n", "250-\r\n250\r\n", "554 \xff\x00\r\n", "25\r\n", "\n", "450-4.2.2 a\r\n450 4.2.2 b\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := read(s)
		if err != nil {
			return
		}
		require.Contains(t, s, "\n", "a reply ends with a line end")
		require.True(t, r.code >= 200 && r.code <= 599)
		require.LessOrEqual(t, len(r.text), maxReply)
		a := answer(mail.StageRcpt, r)
		require.LessOrEqual(t, len(a.Text), maxText)
		require.NotContains(t, a.Text, "\x00")
		require.NotContains(t, a.Text, "\r")
		require.Equal(t, strings.ToValidUTF8(a.Text, "?"), a.Text)
		require.Equal(t, a.Permanent, r.code/100 == 5 && r.code != 530 && r.code != 535)
		_ = parseCaps(string(r.text))
	})
}

func TestParseCaps(t *testing.T) {
	c := parseCaps("relay.example greets you\nPIPELINING\nsize 1000\n8bitmime\nSMTPUTF8\nCHUNKING\nSTARTTLS\nauth plain LOGIN\n\nX-NEW thing")
	require.Equal(t, caps{pipelining: true, chunking: true, eightBit: true, utf8: true, startTLS: true, size: true, max: 1000, auth: []string{"PLAIN", "LOGIN"}}, c)
	require.Equal(t, caps{}, parseCaps("PIPELINING"), "the first line is a greeting")
	require.Equal(t, caps{size: true}, parseCaps("hi\nSIZE 99999999999999999999999").withoutMax())
}

func (c caps) withoutMax() caps { c.max = 0; return c }

func TestASCII(t *testing.T) {
	for n := range 20 {
		b := bytes.Repeat([]byte("a"), n)
		require.True(t, ascii(b))
		for i := range b {
			b[i] = 0x80
			require.False(t, ascii(b))
			b[i] = 'a'
		}
	}
}

func TestTimeoutsHaveDefaults(t *testing.T) {
	got := Timeouts{Rcpt: time.Second}.withDefaults()
	require.Equal(t, Timeouts{10 * time.Second, 30 * time.Second, 30 * time.Second, 30 * time.Second, time.Second, 60 * time.Second, 120 * time.Second, 300 * time.Second}, got)
}

func BenchmarkStuff(b *testing.B) {
	body := bytes.Repeat([]byte("<p style=\"color:#333\">.. a line of an ordinary mail, some seventy bytes</p>\r\n"), 256)
	b.SetBytes(int64(len(body)))
	var out []byte
	for b.Loop() {
		out = appendStuffed(out[:0], canonical(body))
	}
}
