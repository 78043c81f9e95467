package letters_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/invite"
	"invited/server/letters"
)

// signer marks what it signs.
type signer struct{}

func (signer) Sign(raw []byte) ([]byte, error) {
	return append([]byte("X-Signed: yes\r\n"), raw...), nil
}

func TestCodeMailHasTheCodeAndNoLink(t *testing.T) {
	l := data()
	l.Invitation.Language = "de"
	w := emulator(t, func(o *letters.Options) {
		o.Sign = signer{}
		o.BlockURL = func(invite.LetterData) string { return "https://invite.contoso.example/block?ticket=x" }
	})
	m, err := w.Code(t.Context(), invite.CodeData{
		ID: "0193a0b0-0000-7000-8000-000000000009", Tenant: l.Tenant, Guest: l.Guest, Invitation: l.Invitation, Code: "01234567",
		Purpose: invite.ToRedeem, Lifetime: 10 * time.Minute, Now: l.Now,
	})
	require.NoError(t, err)
	require.Equal(t, l.Invitation.Email, m.To)
	raw := string(m.Raw)
	require.Contains(t, raw, "X-Signed: yes\r\n")
	require.Contains(t, raw, "Auto-Submitted: auto-generated\r\n")
	require.Contains(t, raw, "Message-ID: <code.0193a0b0-0000-7000-8000-000000000009@microsoft.com>\r\n")
	require.Contains(t, raw, "0123 4567")
	require.Contains(t, raw, "Content-Language: de")
	for _, absent := range []string{"List-Unsubscribe", "Reply-To", "\r\nCc:", "ticket", "href", "://"} {
		require.NotContains(t, raw, absent)
	}
}

func TestInvitationsOfferToBlock(t *testing.T) {
	tests := []struct {
		name, url string
		oneClick  bool
	}{
		{"over https, in one click", "https://invite.contoso.example/block?ticket=x", true},
		{"over http, by a page only", "http://127.0.0.1:8080/block?ticket=x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := emulator(t, func(o *letters.Options) { o.BlockURL = func(invite.LetterData) string { return tt.url } })
			m, err := w.Invitation(t.Context(), data())
			require.NoError(t, err)
			require.Contains(t, string(m.Raw), "List-Unsubscribe: <"+tt.url+">")
			if tt.oneClick {
				require.Contains(t, string(m.Raw), "List-Unsubscribe-Post: List-Unsubscribe=One-Click")
			} else {
				require.NotContains(t, string(m.Raw), "List-Unsubscribe-Post")
			}
		})
	}
}
