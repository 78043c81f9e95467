package mail_test

import (
	"mime"
	netmail "net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"invited/mail"
)

func TestMailboxString(t *testing.T) {
	ana := mail.Address{Local: "ana", Domain: "fabrikam.example"}
	tests := []struct {
		name, in, want string
	}{
		{"no name", "", "ana@fabrikam.example"},
		{"plain", "Ana Silva", `"Ana Silva" <ana@fabrikam.example>`},
		{"comma", "Silva, Ana", `"Silva, Ana" <ana@fabrikam.example>`},
		{"quotes and backslash", `An"a\`, `"An\"a\\" <ana@fabrikam.example>`},
		{"another address in the name", "boss@contoso.example", `"boss@contoso.example" <ana@fabrikam.example>`},
		{"accents", "Zoë Müller", "=?utf-8?q?Zo=C3=AB_M=C3=BCller?= <ana@fabrikam.example>"},
		{"looks like an encoded-word", "=?utf-8?q?evil?=", "=?utf-8?q?=3D=3Futf-8=3Fq=3Fevil=3F=3D?= <ana@fabrikam.example>"},
		{"line break cannot break out", "A\r\nBcc: v@evil.example", "=?utf-8?q?A=0D=0ABcc=3A_v=40evil=2Eexample?= <ana@fabrikam.example>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mail.Mailbox{Name: tt.in, Address: ana}.String()
			require.Equal(t, tt.want, got)
			std, err := netmail.ParseAddress(got)
			require.NoError(t, err)
			require.Equal(t, tt.in, std.Name)
			require.Equal(t, ana.String(), std.Address)
		})
	}
}

func TestValidName(t *testing.T) {
	tests := []struct {
		name, in, rule string // rule empty: valid
	}{
		{"empty", "", ""},
		{"plain", "Ana Silva", ""},
		{"120 letters outside ASCII", strings.Repeat("ä", 120), ""},
		{"Vietnamese, decomposed", "Nguye\u0302\u0303n", ""},
		{"family emoji needs joiners", "👩\u200d👩\u200d👧", ""},
		{"Arabic", "فاطمة", ""},
		{"ideographic space", "山田\u3000花子", ""},
		{"121 characters", strings.Repeat("ä", 121), "longer than 120"},
		{"line feed", "a\nb", "control"},
		{"tab", "a\tb", "control"},
		{"C1 control", "a\u0085b", "control"},
		{"line separator", "a\u2028b", "control"},
		{"paragraph separator", "a\u2029b", "control"},
		{"right-to-left override", "a\u202egpj.exe", "direction"},
		{"isolate", "a\u2066b", "direction"},
		{"zero-width space", "a\u200bb", "invisible"},
		{"soft hyphen", "a\u00adb", "invisible"},
		{"Hangul filler", "\u3164", "invisible"},
		{"200 combining marks", "a" + strings.Repeat("\u0301", 200), "longer than 120"},
		{"20 combining marks", "a" + strings.Repeat("\u0301", 20), "accents"},
		{"encoded-word", "=?utf-8?q?x?=", "=?"},
		{"not UTF-8", "a\xffb", "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := mail.ValidName(tt.in, 120)
			if tt.rule == "" {
				require.NoError(t, err)
				return
			}
			var e *mail.NameError
			require.ErrorAs(t, err, &e)
			require.Contains(t, e.Rule, tt.rule)
			require.NotContains(t, e.Detail(), "\n")
		})
	}
}

// FuzzEncodeWords checks that encoded-words fit their lines and are read back
// as what went in by the standard library.
func FuzzEncodeWords(f *testing.F) {
	for _, seed := range []string{"Zoë Müller", "=?utf-8?q?x?=", strings.Repeat("日本語", 40), "a\r\nb", "a_b=c?d", " x ", "👩‍👩‍👧"} {
		f.Add(seed, 9)
		f.Add(seed, -87)
	}
	f.Fuzz(func(t *testing.T, s string, used int) {
		if s == "" || !utf8.ValidString(s) {
			return
		}
		got := mail.EncodeWords(s, used)
		for word := range strings.SplitSeq(got, " ") {
			require.LessOrEqual(t, len(word), 75)
		}
		back, err := new(mime.WordDecoder).DecodeHeader(got)
		require.NoError(t, err)
		require.Equal(t, s, back)
	})
}
