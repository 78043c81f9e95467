package compose_test

import (
	"bytes"
	"flag"
	"io"
	"mime"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message"
	gomail "github.com/emersion/go-message/mail"
	"github.com/jordan-wright/email"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/compose"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name, or rewrites the file under -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test -update to create it")
	require.Equal(t, string(want), string(got))
}

// box returns a mailbox; the address must be a good one.
func box(name, address string) mail.Mailbox {
	a, err := mail.ParseAddress(address)
	if err != nil {
		panic(err)
	}
	return mail.Mailbox{Name: name, Address: a}
}

// full is a draft that uses every field.
func full() compose.Draft {
	return compose.Draft{
		MessageID:    "019abc-1.2@contoso.example",
		Date:         time.Date(2026, 11, 21, 9, 30, 15, 999, time.FixedZone("CET", 3600)),
		From:         box("Microsoft Invitations on behalf of Contoso", "invites@contoso.example"),
		ReplyTo:      box("Zoë Müller", "zoe@contoso.example"),
		To:           box("Silva, Ana", "ana@fabrikam.example"),
		Cc:           []mail.Mailbox{box("", "boss@fabrikam.example")},
		Subject:      "Zoë Müller hat Sie eingeladen, auf Anwendungen ihrer Organisation zuzugreifen – willkommen",
		Text:         "Guten Tag,\r\neine Zeile mit = und € und einem sehr langen Satz, der weit über die sechsundsiebzig Zeichen hinausgeht.\rEnde\n.\n",
		HTML:         "<!DOCTYPE html>\n<p>Guten Tag €</p>\n",
		Language:     "de",
		Unsubscribe:  "https://invites.contoso.example/block?t=" + strings.Repeat("x", 300),
		OneClick:     true,
		FeedbackID:   "invitation:0f0e:invited:contoso.example",
		Extra:        []compose.Field{{Name: "X-Invitation-ID", Value: "019abc"}, {Name: "X-Invitation-Test", Value: "sink-only"}},
		EnvelopeFrom: "bounce+1@contoso.example",
	}
}

// minimal is a draft of required fields only.
func minimal() compose.Draft {
	return compose.Draft{
		MessageID: "1@contoso.example",
		Date:      time.Date(2026, 11, 21, 9, 30, 15, 0, time.UTC),
		From:      box("", "invites@contoso.example"),
		To:        box("", "ana@fabrikam.example"),
		Subject:   "Hello",
		Text:      "Hello",
		HTML:      "<p>Hello</p>",
	}
}

func TestGolden(t *testing.T) {
	for name, d := range map[string]compose.Draft{"full.eml": full(), "minimal.eml": minimal()} {
		t.Run(name, func(t *testing.T) {
			m, err := compose.Render(d)
			require.NoError(t, err)
			golden(t, name, m.Raw)
		})
	}
}

func TestEnvelope(t *testing.T) {
	m, err := compose.Render(full())
	require.NoError(t, err)
	require.Equal(t, "bounce+1@contoso.example", m.From)
	require.Equal(t, "ana@fabrikam.example", m.To.String())
	require.Equal(t, "019abc-1.2@contoso.example", m.MessageID)

	copied := full()
	copied.Recipient = copied.Cc[0].Address
	c, err := compose.Render(copied)
	require.NoError(t, err)
	require.Equal(t, "boss@fabrikam.example", c.To.String())
	require.Equal(t, m.Raw, c.Raw, "a copy is the same mail in another envelope")
}

func TestSameDraftSameBytes(t *testing.T) {
	first, err := compose.Render(full())
	require.NoError(t, err)
	for range 50 {
		again, err := compose.Render(full())
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
	other := full()
	other.MessageID = "019abc-1.3@contoso.example"
	m, err := compose.Render(other)
	require.NoError(t, err)
	require.NotEqual(t, boundaryOf(t, first.Raw), boundaryOf(t, m.Raw), "another mail has another boundary")
}

// boundaryOf returns the boundary of a mail.
func boundaryOf(t testing.TB, raw []byte) string {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	require.NoError(t, err)
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	return params["boundary"]
}

// names returns the names of the header fields as they are spelled, in order.
func names(raw []byte) []string {
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	var out []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if line[0] != ' ' {
			name, _, _ := strings.Cut(line, ":")
			out = append(out, name)
		}
	}
	return out
}

func TestHeaderOrder(t *testing.T) {
	m, err := compose.Render(full())
	require.NoError(t, err)
	require.Equal(t, []string{
		"Date", "From", "Reply-To", "To", "Cc", "Subject", "Message-ID", "MIME-Version", "Content-Type", "Content-Language",
		"Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID", "X-Invitation-ID", "X-Invitation-Test",
	}, names(m.Raw))
	m, err = compose.Render(minimal())
	require.NoError(t, err)
	require.Equal(t, []string{"Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type", "Auto-Submitted"}, names(m.Raw))
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name, field string
		change      func(*compose.Draft)
	}{
		{"line break in the subject", "Subject", func(d *compose.Draft) { d.Subject = "a\r\nBcc: v@evil.example" }},
		{"bare line feed in the subject", "Subject", func(d *compose.Draft) { d.Subject = "a\nb" }},
		{"next line U+0085 in the subject", "Subject", func(d *compose.Draft) { d.Subject = "a\u0085b" }},
		{"line separator in the subject", "Subject", func(d *compose.Draft) { d.Subject = "a\u2028b" }},
		{"NUL in the subject", "Subject", func(d *compose.Draft) { d.Subject = "a\x00b" }},
		{"subject that is not UTF-8", "Subject", func(d *compose.Draft) { d.Subject = "a\xff" }},
		{"blank subject", "Subject", func(d *compose.Draft) { d.Subject = " " }},
		{"subject over 4 KiB", "Subject", func(d *compose.Draft) { d.Subject = strings.Repeat("a ", 2100) }},
		{"line break in the sender's name", "From.Name", func(d *compose.Draft) { d.From.Name = "Evil\r\nBcc: v@evil.example" }},
		{"line break in the recipient's name", "To.Name", func(d *compose.Draft) { d.To.Name = "a\rb" }},
		{"line break in the name to reply to", "ReplyTo.Name", func(d *compose.Draft) { d.ReplyTo.Name = "a\nb" }},
		{"line break in a copy's name", "Cc.Name", func(d *compose.Draft) { d.Cc[0].Name = "a\nb" }},
		{"address made by hand", "To", func(d *compose.Draft) { d.To.Address.Local = "x\r\nRCPT" }},
		{"no sender", "From", func(d *compose.Draft) { d.From = mail.Mailbox{} }},
		{"name to reply to without address", "ReplyTo", func(d *compose.Draft) { d.ReplyTo.Address = mail.Address{} }},
		{"no date", "Date", func(d *compose.Draft) { d.Date = time.Time{} }},
		{"no message id", "MessageID", func(d *compose.Draft) { d.MessageID = "" }},
		{"message id without domain name", "MessageID", func(d *compose.Draft) { d.MessageID = "1@localhost" }},
		{"message id with brackets", "MessageID", func(d *compose.Draft) { d.MessageID = "<1@contoso.example>" }},
		{"no text", "Text", func(d *compose.Draft) { d.Text = "" }},
		{"no HTML", "Text", func(d *compose.Draft) { d.HTML = "" }},
		{"language with a space", "Language", func(d *compose.Draft) { d.Language = "de en" }},
		{"feedback id with a line break", "FeedbackID", func(d *compose.Draft) { d.FeedbackID = "a\r\nb" }},
		{"block link that is a script", "Unsubscribe", func(d *compose.Draft) { d.Unsubscribe = "javascript:alert(1)" }},
		{"block link with a bracket", "Unsubscribe", func(d *compose.Draft) { d.Unsubscribe = "https://a.example/>,<https://b.example" }},
		{"one click over http", "OneClick", func(d *compose.Draft) { d.Unsubscribe = "http://a.example/" }},
		{"one click without link", "OneClick", func(d *compose.Draft) { d.Unsubscribe = "" }},
		{"field that is not ours", "Extra", func(d *compose.Draft) { d.Extra[0].Name = "Bcc" }},
		{"field name with a line break", "Extra", func(d *compose.Draft) { d.Extra[0].Name = "X-A\r\nBcc" }},
		{"field twice", "x-invitation-id", func(d *compose.Draft) { d.Extra[1].Name = "X-INVITATION-ID" }},
		{"field with a line break", "X-Invitation-ID", func(d *compose.Draft) { d.Extra[0].Value = "a\r\nBcc: b" }},
		{"empty field", "X-Invitation-ID", func(d *compose.Draft) { d.Extra[0].Value = " " }},
		{"word that no line can hold", "X-Invitation-ID", func(d *compose.Draft) { d.Extra[0].Value = strings.Repeat("a", 1000) }},
		{"envelope sender with a line break", "EnvelopeFrom", func(d *compose.Draft) { d.EnvelopeFrom = "a@b.example\r\nRCPT" }},
		{"recipient made by hand", "Recipient", func(d *compose.Draft) { d.Recipient = mail.Address{Local: "a b", Domain: "c.example"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := full()
			tt.change(&d)
			m, err := compose.Render(d)
			require.Zero(t, m)
			var e *compose.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, strings.ToLower(tt.field), strings.ToLower(e.Field))
			require.Equal(t, -1, strings.IndexFunc(e.Error(), unicode.IsControl))
		})
	}
}

// requireWellFormed checks what holds for every mail we write: CRLF line ends
// only, no line over the hard limit, no 8-bit, no folded line of spaces.
func requireWellFormed(t testing.TB, raw []byte) {
	t.Helper()
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		require.LessOrEqual(t, len(line), 998)
		require.Equal(t, -1, bytes.IndexAny(line, "\r\n"), "bare CR or LF in %q", line)
		for _, c := range line {
			require.Less(t, c, byte(0x7f))
		}
	}
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		require.NotEmpty(t, bytes.TrimSpace(line))
	}
}

// body is what a reader shows of a part: line ends of one kind.
func body(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// requireReadBack checks that three readers that are not ours see the draft.
func requireReadBack(t testing.TB, d compose.Draft, raw []byte) {
	t.Helper()
	std, err := netmail.ReadMessage(bytes.NewReader(raw))
	require.NoError(t, err)
	subject, err := new(mime.WordDecoder).DecodeHeader(std.Header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, d.Subject, subject)
	for name, want := range map[string]mail.Mailbox{"From": d.From, "To": d.To, "Reply-To": d.ReplyTo} {
		if want.IsZero() {
			require.Empty(t, std.Header.Get(name))
			continue
		}
		got, err := std.Header.AddressList(name)
		require.NoError(t, err)
		require.Equal(t, []*netmail.Address{{Name: want.Name, Address: want.Address.String()}}, got)
	}
	date, err := std.Header.Date()
	require.NoError(t, err)
	require.Equal(t, d.Date.Unix(), date.Unix())

	entity, err := message.Read(bytes.NewReader(raw))
	require.NoError(t, err)
	id, err := (&gomail.Header{Header: entity.Header}).MessageID()
	require.NoError(t, err)
	require.Equal(t, d.MessageID, id)
	mr := entity.MultipartReader()
	require.NotNil(t, mr)
	for _, want := range []string{d.Text, d.HTML} {
		part, err := mr.NextPart()
		require.NoError(t, err)
		got, err := io.ReadAll(part.Body)
		require.NoError(t, err)
		require.Equal(t, body(want), body(string(got)))
	}
	_, err = mr.NextPart()
	require.ErrorIs(t, err, io.EOF)

	wright, err := email.NewEmailFromReader(bytes.NewReader(raw))
	require.NoError(t, err)
	require.Equal(t, d.Subject, wright.Subject)
	require.Equal(t, body(d.Text), body(string(wright.Text)))
	require.Equal(t, body(d.HTML), body(string(wright.HTML)))
}

func TestOthersReadOurMail(t *testing.T) {
	tests := []struct {
		name   string
		change func(*compose.Draft)
	}{
		{"every field", func(*compose.Draft) {}},
		{"only required fields", func(d *compose.Draft) { *d = minimal() }},
		{"names that need quoting", func(d *compose.Draft) { d.From.Name = `O'Neill "Tip" \ (Boss), <x>` }},
		{"names that look like encoded-words", func(d *compose.Draft) { d.To.Name = "=?utf-8?q?evil=40x.example?=" }},
		{"long ASCII name", func(d *compose.Draft) { d.From.Name = strings.Repeat("Contoso Ltd ", 20) + "x" }},
		{"long name outside ASCII", func(d *compose.Draft) { d.From.Name = strings.Repeat("株式会社コントソ ", 20) + "x" }},
		{"long ASCII subject", func(d *compose.Draft) { d.Subject = strings.Repeat("word ", 300) + "end" }},
		{"subject of one long word", func(d *compose.Draft) { d.Subject = strings.Repeat("a", 1200) }},
		{"subject with two spaces", func(d *compose.Draft) { d.Subject = strings.Repeat("word  word ", 30) + "end" }},
		{"subject that looks like an encoded-word", func(d *compose.Draft) { d.Subject = "=?utf-8?q?x?=" }},
		{"subject with emoji", func(d *compose.Draft) { d.Subject = strings.Repeat("👩‍👩‍👧 ", 30) + "x" }},
		{"text of one endless line", func(d *compose.Draft) { d.Text = strings.Repeat("https://a.example/?x=", 300) }},
		{"text that looks like a boundary", func(d *compose.Draft) { d.Text = "--=_\n--=_x--\n.\nFrom x\n" }},
		{"text with every kind of line end", func(d *compose.Draft) { d.Text = "a\rb\nc\r\nd\n\re" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := full()
			tt.change(&d)
			m, err := compose.Render(d)
			require.NoError(t, err)
			requireWellFormed(t, m.Raw)
			requireReadBack(t, d, m.Raw)
		})
	}
}

// FuzzBuildInvitation checks that no text of a draft can add, remove or
// change a header field: the mail, read by the standard library, has exactly
// the fields it should have, and reads back as the draft.
func FuzzBuildInvitation(f *testing.F) {
	f.Add("Contoso", "Ana", "Hello", "Text", "<p>x</p>", "019abc")
	f.Add("Evil\r\nBcc: v@evil.example", "a\nb", "x\u2028y", "t", "h", "v\r\n\r\nbody")
	f.Add("Müller, Zoë", `"a" <b@c>`, "=?utf-8?q?x?=", "--=_x--\r\n.\r\n", "\r\n\r\n", "a b")
	f.Add(strings.Repeat("long ", 40), strings.Repeat("ö", 200), strings.Repeat("x", 1000), "\x00", "\xff", strings.Repeat("y", 900))
	f.Add(" a ", "a  b", "\t", "\r\r\n", "=\r\n", "~")
	f.Fuzz(func(t *testing.T, from, to, subject, text, html, extra string) {
		d := full()
		d.From.Name, d.To.Name, d.Subject, d.Text, d.HTML, d.Extra[0].Value = from, to, subject, text, html, extra
		m, err := compose.Render(d)
		if err != nil {
			return
		}
		requireWellFormed(t, m.Raw)
		std, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
		require.NoError(t, err)
		var got []string
		for name, values := range std.Header {
			require.Len(t, values, 1, name)
			got = append(got, name)
		}
		slices.Sort(got)
		require.Equal(t, []string{
			"Auto-Submitted", "Cc", "Content-Language", "Content-Type", "Date", "Feedback-Id", "From", "List-Unsubscribe",
			"List-Unsubscribe-Post", "Message-Id", "Mime-Version", "Reply-To", "Subject", "To", "X-Invitation-Id", "X-Invitation-Test",
		}, got)
		require.True(t, utf8.ValidString(subject))
		requireReadBack(t, d, m.Raw)
	})
}

func BenchmarkRender(b *testing.B) {
	d := full()
	d.Text = strings.Repeat("A line of plain text with a few words – and one dash in it.\n", 25)
	d.HTML = strings.Repeat("<p style=\"margin:0;color:#1b1a19\">A line of text with a few words – and one dash in it.</p>\n", 80)
	b.ReportAllocs()
	b.SetBytes(int64(len(d.Text) + len(d.HTML)))
	for b.Loop() {
		if _, err := compose.Render(d); err != nil {
			b.Fatal(err)
		}
	}
}
