package mail_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"invited/mail"
)

func TestParseAddressAccepts(t *testing.T) {
	tests := []struct {
		name, in, want, display string
	}{
		{"plain", "ana@fabrikam.example", "ana@fabrikam.example", "ana@fabrikam.example"},
		{"case of the local part is kept, of the domain not", "Ana.Silva@Fabrikam.EXAMPLE", "Ana.Silva@fabrikam.example", "Ana.Silva@fabrikam.example"},
		{"suffix that the sink routes on", "guest+junk@fabrikam.example", "guest+junk@fabrikam.example", "guest+junk@fabrikam.example"},
		{"every character of atext", "!#$%&'*+-/=?^_`{|}~@fabrikam.example", "!#$%&'*+-/=?^_`{|}~@fabrikam.example", "!#$%&'*+-/=?^_`{|}~@fabrikam.example"},
		{"U-label", "jo@müller.example", "jo@xn--mller-kva.example", "jo@müller.example"},
		{"decomposed U-label is composed", "jo@mu\u0308ller.example", "jo@xn--mller-kva.example", "jo@müller.example"},
		{"A-label", "jo@xn--mller-kva.example", "jo@xn--mller-kva.example", "jo@müller.example"},
		{"upper-case A-label", "jo@XN--MLLER-KVA.example", "jo@xn--mller-kva.example", "jo@müller.example"},
		{"sharp s is a letter of its own", "jo@straße.example", "jo@xn--strae-oqa.example", "jo@straße.example"},
		{"Japanese", "jo@例え.example", "jo@xn--r8jz45g.example", "jo@例え.example"},
		{"homograph stays in A-label form on display", "jo@ex\u0430mple.example", "jo@xn--exmple-4nf.example", "jo@xn--exmple-4nf.example"},
		{"64 bytes before the @", strings.Repeat("a", 64) + "@b.example", strings.Repeat("a", 64) + "@b.example", strings.Repeat("a", 64) + "@b.example"},
		{"one-letter labels", "a@b.c", "a@b.c", "a@b.c"},
		{"digits before the last label", "a@1.2.example", "a@1.2.example", "a@1.2.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := mail.ParseAddress(tt.in)
			require.NoError(t, err)
			require.Equal(t, tt.want, a.String())
			require.Equal(t, tt.display, a.Display())
			require.NoError(t, err)
		})
	}
}

func TestParseAddressRefuses(t *testing.T) {
	long := strings.Repeat("a", 61)
	tests := []struct {
		name, in, rule string
	}{
		{"nothing", "", "empty"},
		{"only spaces", "   ", "space"},
		{"space before", " a@b.example", "begins or ends"},
		{"space inside", "a b@c.example", "holds a space"},
		{"no-break space", "a\u00a0b@c.example", "holds a space"},
		{"no @", "ana.fabrikam.example", "no @"},
		{"two @", "a@b@c.example", "more than one @"},
		{"no local part", "@b.example", "before the @"},
		{"no domain", "a@", "after the @"},
		{"single label", "a@localhost", "no dot"},
		{"trailing dot", "a@b.example.", "ends in a dot"},
		{"address literal", "a@[127.0.0.1]", "IP address"},
		{"IPv4 address as domain", "a@127.0.0.1", "ends in a number"},
		{"quoted local part", `"a b"@c.example`, "quoted"},
		{"display name", "Ana <ana@b.example>", "display name"},
		{"brackets only", "<ana@b.example>", "angle brackets"},
		{"comment", "a(x)@b.example", "comment"},
		{"two addresses", "a@b.example,c@d.example", "comma"},
		{"group", "team: a@b.example;", "comma or semicolon"},
		{"dot at the start", ".a@b.example", "dot at its start"},
		{"dot at the end", "a.@b.example", "dot at its start or end"},
		{"two dots", "a..b@c.example", "two dots"},
		{"local part over 64 bytes", strings.Repeat("a", 65) + "@b.example", "longer than 64"},
		{"address over 254 bytes", "a@" + strings.Repeat(long+".", 4) + "example.example", "longer than 2"},
		{"label over 63 bytes", "a@" + strings.Repeat("b", 64) + ".example", "longer than 63"},
		{"over 320 bytes", strings.Repeat("a", 321), "320"},
		{"empty label", "a@b..example", "empty"},
		{"hyphen at the start of a label", "a@-b.example", "domain"},
		{"hyphen at the end of a label", "a@b-.example", "hyphen"},
		{"reserved hyphens", "a@ab--c.example", "domain"},
		{"underscore in the domain", "a@b_c.example", "domain"},
		{"broken A-label", "a@xn--a.example", "domain"},
		{"line break", "a@b.example\r\nRCPT TO:<c@d.example>", "control"},
		{"bare line feed", "a\n@b.example", "control"},
		{"NUL", "a\x00@b.example", "control"},
		{"next line U+0085", "a\u0085@b.example", "control"},
		{"line separator U+2028", "a\u2028@b.example", "control"},
		{"right-to-left override", "a\u202e@b.example", "direction"},
		{"zero-width space in the domain", "a@b\u200b.example", "invisible"},
		{"byte order mark", "\ufeffa@b.example", "invisible"},
		{"tag character", "a@b\U000e0041.example", "invisible"},
		{"not UTF-8", "a\xff@b.example", "UTF-8"},
		{"letters outside ASCII before the @", "jörg@b.example", "outside ASCII"},
		{"mixed direction in one label", "a@\u05d0b.example", "domain"},
		{"full-width @", "a\uff20b.example", "no @"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := mail.ParseAddress(tt.in)
			require.Zero(t, a)
			var e *mail.AddressError
			require.ErrorAs(t, err, &e)
			require.Contains(t, e.Rule, tt.rule)
			require.NotEmpty(t, e.Remedy)
			for _, text := range []string{e.Error(), e.Detail()} {
				require.Contains(t, text, e.Rule)
				require.Equal(t, -1, strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }), "unprintable in %q", text)
			}
		})
	}
}

func TestInvitable(t *testing.T) {
	tests := []struct {
		name, in  string
		allowPlus bool
		rule      string // empty: invitable
	}{
		{name: "letters, dot, hyphen inside, underscore", in: "_a.b-c_@d.example"},
		{name: "plus is refused", in: "a+b@c.example", rule: "holds +"},
		{name: "plus is taken when the sink routes on it", in: "a+junk@c.example", allowPlus: true},
		{name: "plus does not open the door for others", in: "a+b#c@d.example", allowPlus: true, rule: "holds #"},
		{name: "apostrophe", in: "o'neill@c.example", rule: "holds '"},
		{name: "slash", in: "a/b@c.example", rule: "holds /"},
		{name: "hyphen first", in: "-a@c.example", rule: "begins or ends"},
		{name: "hyphen last", in: "a-@c.example", rule: "begins or ends"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := mail.ParseAddress(tt.in)
			require.NoError(t, err)
			err = a.Invitable(tt.allowPlus)
			if tt.rule == "" {
				require.NoError(t, err)
				return
			}
			var e *mail.AddressError
			require.ErrorAs(t, err, &e)
			require.Contains(t, e.Rule, tt.rule)
		})
	}
	for _, c := range "~!#$%^&*+={}/|'?`" {
		a, err := mail.ParseAddress("a" + string(c) + "b@c.example")
		require.NoError(t, err)
		require.Equal(t, c != '`', a.Invitable(false) != nil, "%q", c)
	}
	require.Error(t, mail.Address{}.Invitable(true))
}

func TestKeys(t *testing.T) {
	tests := []struct {
		name, in, key, limit string
	}{
		{"plain", "ana@b.example", "ana@b.example", "ana@b.example"},
		{"case", "Ana@B.example", "ana@b.example", "ana@b.example"},
		{"plus tag and dots count as one mailbox", "A.na+x.y@b.example", "a.na+x.y@b.example", "ana@b.example"},
		{"nothing but a tag", "+x@b.example", "+x@b.example", "+x@b.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := mail.ParseAddress(tt.in)
			require.NoError(t, err)
			require.Equal(t, tt.key, a.Key())
			require.Equal(t, tt.limit, a.LimitKey())
		})
	}
	require.Empty(t, mail.Address{}.LimitKey())
	require.Empty(t, mail.Address{}.String())
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name, in string
		want     []mail.Warning
	}{
		{"ASCII", "a@fabrikam.example", nil},
		{"one alphabet with accents", "a@müller.example", nil},
		{"Russian word", "a@вода.example", nil},
		{"Japanese mixes three scripts by nature", "a@例えば-カタカナ.example", nil},
		{"Cyrillic a in a Latin word", "a@ex\u0430mple.example", []mail.Warning{mail.MixedScript}},
		{"Cyrillic letters that all look Latin", "a@\u0440\u0430\u0443\u0440\u0430.example", []mail.Warning{mail.Confusable}},
		{"Greek omicron in a Latin word", "a@g\u03bfogle.example", []mail.Warning{mail.MixedScript}},
		{"one odd label of each kind", "a@ex\u0430m.\u0440\u0430.example", []mail.Warning{mail.MixedScript, mail.Confusable}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := mail.ParseAddress(tt.in)
			require.NoError(t, err)
			require.Equal(t, tt.want, a.Warnings())
		})
	}
}

// FuzzParseAddress checks the property the rest of the program leans on:
// whatever ParseAddress accepts survives a round trip and cannot break out of
// a header line or an SMTP command.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{
		"jane@fabrikam.example", `"a b"@x.example`, "a@[127.0.0.1]", "a@b\r\nRCPT TO:<c@d>", "guest+junk@fabrikam.example",
		"jo@müller.example", "jo@XN--MLLER-KVA.example", "jo@ex\u0430mple.example", "a@b\u200b.example", "Ana <a@b.example>",
		"a@b。example", "a@ａｂ.example", "a@straße.example", "a@xn--.example", "a@-b.example", "a@faß.example", "a@1.2.3.4",
		"a(c)@b.example", "a@b.example,", "=?utf-8?q?evil=40x.example?= <a@b.example>", "a@\u05d0\u05d1.example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := mail.ParseAddress(s)
		if err != nil {
			var e *mail.AddressError
			require.True(t, errors.As(err, &e))
			require.NotEmpty(t, e.Rule)
			require.NotContains(t, e.Detail(), "\n")
			return
		}
		wire := a.String()
		require.LessOrEqual(t, len(wire), 254)
		for _, c := range []byte(wire) {
			require.True(t, c > ' ' && c <= '~', "%q", wire)
		}
		again, err := mail.ParseAddress(wire)
		require.NoError(t, err, "accepted %q but not its own String %q", s, a)
		require.Equal(t, a, again)
		path, err := mail.ParsePath("<" + wire + ">")
		require.NoError(t, err, "%q is no path", wire)
		require.Equal(t, wire, path.String())
		shown, err := mail.ParseAddress(a.Display())
		require.NoError(t, err, "accepted %q but not what it displays %q", s, a.Display())
		require.Equal(t, a, shown)
		require.Contains(t, a.LimitKey(), "@"+a.Domain)
	})
}

func BenchmarkParseAddress(b *testing.B) {
	for _, in := range []string{"ana.silva@fabrikam.example", "jo@müller.example"} {
		b.Run(in, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := mail.ParseAddress(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
