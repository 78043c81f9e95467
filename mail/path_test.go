package mail_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail"
)

func TestParsePathAccepts(t *testing.T) {
	tests := []struct {
		name, in string
		want     mail.Path
		wire     string
		utf8     bool
	}{
		{"plain", "<ana@fabrikam.example>", mail.Path{Local: "ana", Domain: "fabrikam.example"}, "ana@fabrikam.example", false},
		{"without brackets", "ana@Fabrikam.example", mail.Path{Local: "ana", Domain: "Fabrikam.example"}, "ana@Fabrikam.example", false},
		{"null sender", "<>", mail.Path{}, "", false},
		{"empty text is the null sender too", "", mail.Path{}, "", false},
		{"bare postmaster", "<postmaster>", mail.Path{Local: "postmaster"}, "postmaster", false},
		{"bare postmaster in any case", "<PostMaster>", mail.Path{Local: "PostMaster"}, "PostMaster", false},
		{"quoted local part", `<"a b"@c.example>`, mail.Path{Local: "a b", Domain: "c.example"}, `"a b"@c.example`, false},
		{"quoting without need is dropped", `<"ab"@c.example>`, mail.Path{Local: "ab", Domain: "c.example"}, "ab@c.example", false},
		{"quoted @ and bracket", `<"a@b>"@c.example>`, mail.Path{Local: "a@b>", Domain: "c.example"}, `"a@b>"@c.example`, false},
		{"quoted quotes and backslash", `<"a\"\\b"@c.example>`, mail.Path{Local: `a"\b`, Domain: "c.example"}, `"a\"\\b"@c.example`, false},
		{"dots that need quoting", `<".a..b."@c.example>`, mail.Path{Local: ".a..b.", Domain: "c.example"}, `".a..b."@c.example`, false},
		{"IPv4 literal", "<a@[192.0.2.1]>", mail.Path{Local: "a", Domain: "[192.0.2.1]"}, "a@[192.0.2.1]", false},
		{"IPv6 literal", "<a@[IPv6:2001:db8::1]>", mail.Path{Local: "a", Domain: "[IPv6:2001:db8::1]"}, "a@[IPv6:2001:db8::1]", false},
		{"source route is forgotten", "<@one.example,@two.example:a@b.example>", mail.Path{Local: "a", Domain: "b.example"}, "a@b.example", false},
		{"single label", "<root@localhost>", mail.Path{Local: "root", Domain: "localhost"}, "root@localhost", false},
		{"underscore of a container's name", "<app@my_app_1>", mail.Path{Local: "app", Domain: "my_app_1"}, "app@my_app_1", false},
		{"letters outside ASCII", "<jörg@müller.example>", mail.Path{Local: "jörg", Domain: "müller.example"}, "jörg@müller.example", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := mail.ParsePath(tt.in)
			require.NoError(t, err)
			require.Equal(t, tt.want, p)
			require.Equal(t, tt.wire, p.String())
			require.Equal(t, tt.utf8, p.NeedsSMTPUTF8())
			require.Equal(t, tt.wire == "", p.IsNull())
			require.Equal(t, tt.want.Domain == "" && tt.wire != "", p.IsPostmaster())
		})
	}
}

func TestParsePathRefuses(t *testing.T) {
	tests := []struct {
		name, in, rule string
	}{
		{"no domain", "<ana>", "no domain"},
		{"nothing after the @", "<ana@>", "neither a domain"},
		{"nothing before the @", "<@fabrikam.example>", "source route"},
		{"empty quotes", `<""@c.example>`, "before the @"},
		{"closing bracket missing", "<ana@b.example", "bracket"},
		{"parameters behind the bracket", "<a@b.example> SIZE=1", "bracket"},
		{"second path", "<a@b.example><c@d.example>", "domain"},
		{"parameter injected into the domain", "<a@b.example NOTIFY=NEVER>", "domain"},
		{"space", "<a b@c.example>", "quoting"},
		{"dot at the end", "<a.@c.example>", "dot"},
		{"unclosed quotes", `<"a@c.example>`, "not closed"},
		{"backslash at the end", `<"a\`, "bracket"},
		{"text behind the quotes", `<"a"b@c.example>`, "no domain"},
		{"local part over 64 bytes", "<" + strings.Repeat("a", 65) + "@b.example>", "longer than 64"},
		{"1,500 bytes", "<" + strings.Repeat("a", 1500) + "@b.example>", "longer than 1,024"},
		{"NUL", "<a\x00@b.example>", "control"},
		{"bare CR", "<a\r@b.example>", "control"},
		{"tab in quotes", "<\"a\tb\"@c.example>", "control"},
		{"right-to-left override", "<a\u202e@b.example>", "direction"},
		{"no-break space", "<a\u00a0b@c.example>", "space"},
		{"not UTF-8", "<\xe4@b.example>", "UTF-8"},
		{"IPv4 literal out of range", "<a@[300.0.0.1]>", "domain"},
		{"literal not closed", "<a@[192.0.2.1>", "domain"},
		{"IPv6 without its tag", "<a@[::1]>", "domain"},
		{"trailing dot", "<a@b.example.>", "domain"},
		{"route without colon", "<@one.example a@b.example>", "route"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mail.ParsePath(tt.in)
			var e *mail.PathError
			require.ErrorAs(t, err, &e)
			require.Contains(t, e.Rule, tt.rule)
			require.NotContains(t, e.Error(), "\r")
		})
	}
}

func TestUnquotedPath(t *testing.T) {
	tests := []struct {
		name, in, wire string
		bad            bool
	}{
		{name: "plain", in: "a@b.example", wire: "a@b.example"},
		{name: "null sender", in: "", wire: ""},
		{name: "bare postmaster", in: "postmaster", wire: "postmaster"},
		{name: "space is quoted again", in: "a b@c.example", wire: `"a b"@c.example`},
		{name: "@ is quoted again", in: "a@b@c.example", wire: `"a@b"@c.example`},
		{name: "quotes and backslash are escaped again", in: `a"\b@c.example`, wire: `"a\"\\b"@c.example`},
		{name: "brackets cannot break out", in: "x> NOTIFY=NEVER RCPT <y@c.example", wire: `"x> NOTIFY=NEVER RCPT <y"@c.example`},
		{name: "line break", in: "a\r\nb@c.example", bad: true},
		{name: "no domain", in: "ana", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := mail.UnquotedPath(tt.in)
			require.Equal(t, tt.bad, err != nil, "%v", err)
			require.Equal(t, tt.wire, p.String())
			if err == nil && p.Domain != "" {
				again, err := mail.ParsePath("<" + p.String() + ">")
				require.NoError(t, err)
				require.Equal(t, p, again)
			}
		})
	}
}

// FuzzParsePath checks that an accepted path, written out again, is read as
// the same path and cannot end an SMTP command or a path early.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{
		"<>", "<postmaster>", "<a@b.example>", `<"a b"@c.example>`, `<"a\"\\>"@c.example>`, "<@one,@two:a@b.example>",
		"<a@[IPv6:::1]>", "<a@[tag:x]>", "<jörg@müller.example>", "<a@b>\r\nDATA", "a@b@c", `"\`, "<@:a@b>", "<a@b.example", "@0:",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) (mail.Path, error){mail.ParsePath, mail.UnquotedPath} {
			p, err := parse(s)
			if err != nil {
				var e *mail.PathError
				require.True(t, errors.As(err, &e))
				continue
			}
			wire := p.String()
			require.False(t, strings.ContainsAny(wire, "\r\n\x00"))
			again, err := mail.ParsePath("<" + wire + ">")
			require.NoError(t, err, "accepted %q but not its own String %q", s, wire)
			require.Equal(t, p, again)
		}
	})
}

func BenchmarkParsePath(b *testing.B) {
	for _, in := range []string{"<ana.silva@fabrikam.example>", `<"ana silva"@fabrikam.example>`} {
		b.Run(in, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := mail.ParsePath(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
