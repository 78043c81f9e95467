package letters_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"mime"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/jordan-wright/email"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/letters"
	"invited/server/problem"
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

// address returns a good address.
func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// data is a letter that says everything.
func data() invite.LetterData {
	cc := address("boss@fabrikam.example")
	return invite.LetterData{
		Tenant: directory.Tenant{
			ID: "0193a0b0-0000-7000-8000-000000000001", DisplayName: "Contoso", PrimaryDomain: "contoso.example",
			InitialDomain: "contoso.onmicrosoft.example", PrivacyURL: "https://contoso.example/privacy",
		},
		Guest: directory.User{DisplayName: "Guest of the tenant"},
		Invitation: invite.Invitation{
			ID: "0193a0b0-0000-7000-8000-000000000002", Email: address("ana@fabrikam.example"), DisplayName: "Guest, Invited",
			RedirectURL: "https://projects.contoso.example/", Message: "Hello,\nsee you in the project room.",
			CC: &cc, CCName: "Boß", InviterID: "1", InviterName: "Inviter of Contoso", InviterMail: "inviter@contoso.example",
			Expires: time.Date(2026, 12, 21, 8, 30, 0, 0, time.UTC),
		},
		RedeemURL: "http://127.0.0.1:8080/redeem?tenant=0193a0b0-0000-7000-8000-000000000001&user=0193a0b0-0000-7000-8000-000000000002&ticket=" + strings.Repeat("eyJhbGciOi.", 40) + "&ver=2.0",
		Send:      1,
		Now:       time.Date(2026, 11, 21, 8, 30, 0, 0, time.UTC),
	}
}

// emulator returns a writer as the emulator has it.
func emulator(t testing.TB, change ...func(*letters.Options)) *letters.Writer {
	t.Helper()
	o := letters.Options{Emulator: true}
	for _, c := range change {
		c(&o)
	}
	w, err := letters.New(o)
	require.NoError(t, err)
	return w
}

// mailOf is a mail as the standard library and others read it.
type mailOf struct {
	netmail.Header
	subject    string
	from       *netmail.Address
	text, html string
}

// write renders a letter and reads it back.
func write(t testing.TB, w *letters.Writer, l invite.LetterData) (mail.Message, mailOf) {
	t.Helper()
	m, err := w.Invitation(t.Context(), l)
	require.NoError(t, err)
	std, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
	require.NoError(t, err)
	subject, err := new(mime.WordDecoder).DecodeHeader(std.Header.Get("Subject"))
	require.NoError(t, err)
	from, err := netmail.ParseAddress(std.Header.Get("From"))
	require.NoError(t, err)
	wright, err := email.NewEmailFromReader(bytes.NewReader(m.Raw))
	require.NoError(t, err)
	return m, mailOf{std.Header, subject, from, string(wright.Text), string(wright.HTML)}
}

func TestGolden(t *testing.T) {
	block := func(o *letters.Options) {
		o.BlockURL = func(invite.LetterData) string { return "https://invites.contoso.example/block?t=1" }
	}
	tests := []struct {
		name, file string
		options    func(*letters.Options)
		change     func(*invite.LetterData)
	}{
		{"everything", "full.eml", block, func(*invite.LetterData) {}},
		{"German, by an application", "application.de.eml", func(*letters.Options) {}, func(l *invite.LetterData) {
			l.Invitation.Language = "de-DE"
			l.Invitation.InviterName, l.Invitation.InviterMail, l.Invitation.CC = "", "", nil
		}},
		{"own sender through a relay", "relay.eml", func(o *letters.Options) {
			o.Emulator, o.SenderName, o.SenderAddress = false, "{tenant} by Example Invites", "invites@mail.example"
			o.EnvelopeFrom, o.Brand = "bounce+{id}@mail.example", "Example Invites"
		}, func(l *invite.LetterData) { l.Send = 3 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := data()
			tt.change(&l)
			m, _ := write(t, emulator(t, tt.options), l)
			golden(t, tt.file, m.Raw)
		})
	}
}

func TestGenerations(t *testing.T) {
	tests := []struct {
		name, inviter      string
		generation         int
		from, address, sub string
	}{
		{"the first names the inviter", "Inviter", 1, "Inviter from Contoso (via Microsoft)", "invites@microsoft.com", "You're invited to the Contoso organization"},
		{"the first without inviter", "", 1, "Microsoft Invitations", "invites@microsoft.com", "You're invited to the Contoso organization"},
		{"the second is the default", "Inviter", 0, "Microsoft Invitations on behalf of Contoso", "invites@microsoft.com", "Inviter invited you to access applications within their organization"},
		{"the second without inviter names the tenant", "", 2, "Microsoft Invitations on behalf of Contoso", "invites@microsoft.com", "Contoso invited you to access applications within their organization"},
		{"the third comes from the tenant's domain", "Inviter", 3, "Microsoft Invitations on behalf of contoso.example", "invites@contoso.onmicrosoft.example", "Inviter invited you to collaborate with contoso.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := data()
			l.Invitation.InviterName = tt.inviter
			m, got := write(t, emulator(t, func(o *letters.Options) { o.Generation = tt.generation }), l)
			require.Equal(t, tt.from, got.from.Name)
			require.Equal(t, tt.address, got.from.Address)
			require.Equal(t, tt.sub, got.subject)
			require.Equal(t, tt.address, m.From, "the envelope sender is that of From")
			require.Equal(t, "ana@fabrikam.example", m.To.String())
		})
	}
}

func TestLanguage(t *testing.T) {
	tests := []struct {
		name, message, guest, tenant, want string
	}{
		{"nothing set", "", "", "", "en"},
		{"of the tenant", "", "", "de-DE", "de"},
		{"of the guest before the tenant", "", "en-GB", "de-DE", "en"},
		{"of the message before all", "de", "en-GB", "en-US", "de"},
		{"one without texts is passed over", "fr-FR", "de-AT", "", "de"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := data()
			l.Invitation.Language, l.Guest.PreferredLanguage, l.Tenant.Language = tt.message, tt.guest, tt.tenant
			_, got := write(t, emulator(t), l)
			require.Equal(t, tt.want, got.Get("Content-Language"))
			require.Contains(t, got.html, `<html lang="`+tt.want+`"`)
		})
	}
}

func TestPersonalMessage(t *testing.T) {
	tests := []struct {
		name, inviter, mail string
		shown               bool
	}{
		{"of a person with mail", "Inviter", "inviter@contoso.example", true},
		{"of an application", "", "", false},
		{"of a person without mail", "Inviter", "", false},
		{"of a person whose mail is no address", "Inviter", "inviter", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := data()
			l.Invitation.InviterName, l.Invitation.InviterMail = tt.inviter, tt.mail
			_, got := write(t, emulator(t), l)
			for _, part := range []string{got.text, got.html} {
				require.Equal(t, tt.shown, strings.Contains(part, "see you in the project room"))
			}
			require.Equal(t, tt.shown, got.Get("Reply-To") != "")
		})
	}
}

func TestHeader(t *testing.T) {
	l := data()
	m, got := write(t, emulator(t), l)
	require.Equal(t, "0193a0b0-0000-7000-8000-000000000002.1@microsoft.com", m.MessageID)
	require.Equal(t, "<"+m.MessageID+">", got.Get("Message-ID"))
	require.Equal(t, "Sat, 21 Nov 2026 08:30:00 +0000", got.Get("Date"))
	require.Equal(t, string(l.Invitation.ID), got.Get("X-Invitation-ID"))
	require.Equal(t, "sink-only", got.Get("X-Invitation-Test"))
	require.Equal(t, "auto-generated", got.Get("Auto-Submitted"))
	require.Equal(t, `"Inviter of Contoso" <inviter@contoso.example>`, got.Get("Reply-To"))
	require.Equal(t, `"Guest, Invited" <ana@fabrikam.example>`, got.Get("To"))
	require.Equal(t, "=?utf-8?q?Bo=C3=9F?= <boss@fabrikam.example>", got.Get("Cc"))
	require.Equal(t, "invitation:0193a0b0-0000-7000-8000-000000000001:invited:microsoft.com", got.Get("Feedback-ID"))
	require.Empty(t, got.Get("List-Unsubscribe"))
	require.Contains(t, got.text, l.RedeemURL)
	require.Contains(t, got.html, strings.ReplaceAll(l.RedeemURL, "&", "&amp;"))

	l.Send = 2
	second, _ := write(t, emulator(t), l)
	require.NotEqual(t, m.MessageID, second.MessageID, "a resend is another mail")

	l.Invitation.DisplayName = ""
	_, got = write(t, emulator(t), l)
	require.Equal(t, `"Guest of the tenant" <ana@fabrikam.example>`, got.Get("To"))
	l.Guest.DisplayName = "bad\nname"
	_, got = write(t, emulator(t), l)
	require.Equal(t, "ana@fabrikam.example", got.Get("To"), "no name is better than no mail")
}

func TestSameLetterSameBytes(t *testing.T) {
	w := emulator(t)
	first, err := w.Invitation(t.Context(), data())
	require.NoError(t, err)
	for range 50 {
		again, err := emulator(t).Invitation(t.Context(), data())
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
}

func TestCopy(t *testing.T) {
	w := emulator(t)
	m, err := w.Invitation(t.Context(), data())
	require.NoError(t, err)
	c, ok, err := w.Copy(t.Context(), data())
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "boss@fabrikam.example", c.To.String())
	require.NotEqual(t, m.MessageID, c.MessageID)
	_, sent := write(t, w, data())
	link := data().RedeemURL
	require.Contains(t, sent.text, link)
	parsed, err := email.NewEmailFromReader(bytes.NewReader(c.Raw))
	require.NoError(t, err)
	for _, part := range []string{string(parsed.Text), string(parsed.HTML)} {
		require.NotContains(t, part, link, "the link is the guest's credential")
		require.NotContains(t, part, "ticket=")
		require.Contains(t, part, data().Invitation.Email.String(), "it says who has the link")
	}

	l := data()
	l.Invitation.CC = nil
	_, ok, err = w.Copy(t.Context(), l)
	require.NoError(t, err)
	require.False(t, ok)
}

func TestBlockLink(t *testing.T) {
	for url, post := range map[string]string{
		"https://invites.contoso.example/block?t=1": "List-Unsubscribe=One-Click",
		"http://127.0.0.1:8080/block?t=1":           "",
	} {
		t.Run(url, func(t *testing.T) {
			w := emulator(t, func(o *letters.Options) { o.BlockURL = func(invite.LetterData) string { return url } })
			_, got := write(t, w, data())
			require.Equal(t, "<"+url+">", got.Get("List-Unsubscribe"))
			require.Equal(t, post, got.Get("List-Unsubscribe-Post"))
			require.Contains(t, got.text, url)
		})
	}
}

func TestRelay(t *testing.T) {
	own := func(o *letters.Options) { *o = letters.Options{SenderAddress: "invites@mail.example"} }
	l := data()
	l.Now = time.Time{}
	w := emulator(t, own, func(o *letters.Options) {
		o.EnvelopeFrom, o.MessageIDDomain, o.Now = "bounce+{id}@mail.example", "id.mail.example", func() time.Time { return data().Now }
	})
	m, got := write(t, w, l)
	require.Equal(t, "Contoso", got.from.Name)
	require.Equal(t, "invites@mail.example", got.from.Address)
	require.Equal(t, "bounce+0193a0b0-0000-7000-8000-000000000002.1@mail.example", m.From)
	require.True(t, strings.HasSuffix(m.MessageID, "@id.mail.example"))
	require.Equal(t, "Sat, 21 Nov 2026 08:30:00 +0000", got.Get("Date"))
	require.Empty(t, got.Get("X-Invitation-Test"))
	require.Contains(t, got.text, "Delivered by mail.example.")
	require.NotContains(t, strings.ToLower(string(m.Raw)), "microsoft", "the brand never leaves the machine")
}

func TestNewNamesTheOptionAtFault(t *testing.T) {
	tests := []struct {
		name, want string
		options    letters.Options
	}{
		{"no sender", "SenderAddress", letters.Options{}},
		{"sender that is no address", "SenderAddress", letters.Options{SenderAddress: "x"}},
		{"sender's name with a line break", "SenderName", letters.Options{Emulator: true, SenderName: "a\nb"}},
		{"brand with a control character", "Brand", letters.Options{Emulator: true, Brand: "a\x00"}},
		{"generation", "Generation", letters.Options{Emulator: true, Generation: 4}},
		{"domain of the message id", "MessageIDDomain", letters.Options{Emulator: true, MessageIDDomain: "localhost"}},
		{"envelope", "EnvelopeFrom", letters.Options{Emulator: true, EnvelopeFrom: "a b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := letters.New(tt.options)
			require.ErrorContains(t, err, "Options."+tt.want)
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name, field string
		kind        problem.Kind
		change      func(*invite.LetterData)
	}{
		{"tenant's name breaks the header", "organization.displayName", problem.Invalid, func(l *invite.LetterData) { l.Tenant.DisplayName = "Con\r\nBcc: v@evil.example" }},
		{"address made by hand", "invitedUserEmailAddress", problem.Invalid, func(l *invite.LetterData) { l.Invitation.Email.Local = "a b" }},
		{"no link", "", problem.Internal, func(l *invite.LetterData) { l.RedeemURL = "" }},
		{"invitation id that is no id", "", problem.Internal, func(l *invite.LetterData) { l.Invitation.ID = "a b" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := data()
			tt.change(&l)
			_, err := emulator(t).Invitation(t.Context(), l)
			p := problem.Of(err)
			require.Equal(t, tt.kind, p.Kind)
			require.Equal(t, tt.field, p.Field)
			require.NotContains(t, p.Detail, "\n")
		})
	}
}

func TestGoMessageReadsTheLetter(t *testing.T) {
	m, _ := write(t, emulator(t), data())
	e, err := message.Read(bytes.NewReader(m.Raw))
	require.NoError(t, err)
	var kinds []string
	require.NoError(t, e.Walk(func(_ []int, part *message.Entity, err error) error {
		require.NoError(t, err)
		kind, _, err := part.Header.ContentType()
		require.NoError(t, err)
		kinds = append(kinds, kind)
		if strings.HasPrefix(kind, "multipart/") {
			return nil // its body is the parts that follow
		}
		_, err = io.Copy(io.Discard, part.Body)
		return err
	}))
	require.Equal(t, []string{"multipart/alternative", "text/plain", "text/html"}, kinds)
}

func BenchmarkInvitation(b *testing.B) {
	w, l := emulator(b), data()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Invitation(b.Context(), l); err != nil {
			b.Fatal(err)
		}
	}
}

// stamp is a signer that can be told from any other.
type stamp struct{ err error }

// Sign implements letters.Signer.
func (s stamp) Sign(raw []byte) ([]byte, error) {
	return append([]byte("X-Stamp: yes\r\n"), raw...), s.err
}

func TestEveryLetterIsSigned(t *testing.T) {
	plain := emulator(t)
	w := emulator(t, func(o *letters.Options) { o.Sign = stamp{} })
	want, err := plain.Invitation(t.Context(), data())
	require.NoError(t, err)
	got, err := w.Invitation(t.Context(), data())
	require.NoError(t, err)
	require.Equal(t, "X-Stamp: yes\r\n"+string(want.Raw), string(got.Raw))
	cc, ok, err := w.Copy(t.Context(), data())
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, strings.HasPrefix(string(cc.Raw), "X-Stamp: yes\r\n"))

	w = emulator(t, func(o *letters.Options) { o.Sign = stamp{err: errors.New("the key is gone")} })
	_, err = w.Invitation(t.Context(), data())
	require.Equal(t, problem.Internal, problem.Of(err).Kind)
	require.NotContains(t, problem.Of(err).Detail, "gone")
}
