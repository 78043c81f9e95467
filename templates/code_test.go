package templates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCodeMail(t *testing.T) {
	full := CodeMail{
		Organization: "Contoso <b>", Domain: "contoso.example", Code: "01234567", Purpose: "redeem", Lifetime: 10 * time.Minute,
		Recipient: "ana@fabrikam.example", Brand: "Invited",
	}
	for _, lang := range Languages() {
		for _, purpose := range []string{"redeem", "unblock"} {
			t.Run(lang+" "+purpose, func(t *testing.T) {
				m := full
				m.Purpose = purpose
				got, err := m.Render(lang)
				require.NoError(t, err)
				require.Contains(t, got.Text, "\n    0123 4567\n")
				require.Contains(t, got.Text, "10 ")
				p := read(t, got.HTML)
				require.Equal(t, lang, p.lang)
				require.Empty(t, p.links, "a code comes without a link")
				require.NotContains(t, got.Text, "://")
				require.NotRegexp(t, `\[(mail|reason)\.`, got.Subject+got.Text+got.HTML)
				require.Equal(t, sameWords(got.Text, InvitationMail{}), p.words, "text and HTML must say the same")
			})
		}
	}
	for name, spoil := range map[string]func(*CodeMail){
		"no code": func(m *CodeMail) { m.Code = "" }, "no purpose": func(m *CodeMail) { m.Purpose = "" }, "no lifetime": func(m *CodeMail) { m.Lifetime = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			m := full
			spoil(&m)
			_, err := m.Render("en")
			require.Error(t, err)
		})
	}
}
