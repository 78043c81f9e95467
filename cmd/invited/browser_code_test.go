package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// enter types into a field that has an id.
func (p *tab) enter(id, text string) {
	p.t.Helper()
	field := chromedp.CSS("#" + id)
	p.do(func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.Clear(field), chromedp.SendKeys(field, text))
	})
}

func TestBrowserSignsInByCode(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	s.policy(t, fields{"fallback": "otp"})
	inv := s.invite(t, "ida@fabrikam.example", noMail)
	ida := b.tab("en")
	ida.open(inv.RedeemURL)
	require.Equal(t, "/redeem/code", ida.path())
	ida.inspect("code")
	ida.click("#ask")
	code, _ := s.codeFor(t, "ida@fabrikam.example", "")
	ida.inspect("code-sent")
	ida.enter("code", "0000 0000")
	require.Equal(t, http.StatusForbidden, ida.click("#check"))
	require.Equal(t, "code", eval[string](ida, `document.querySelector("[autofocus][aria-invalid]").id`), "the field at fault gets the focus")
	ida.inspect("code-wrong")
	ida.enter("code", code[:4]+" "+code[4:])
	ida.click("#check")
	require.Equal(t, "Review permissions", ida.heading())
	ida.click("#accept")
	require.Equal(t, "My Apps", ida.heading())
}

func TestBrowserBlocksInvitations(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	s.invite(t, "ida@fabrikam.example", nil)
	mail := s.await(t, "ida@fabrikam.example", "")
	ida := b.tab("de")
	ida.open(s.blockLink(t, mail.ID))
	require.Equal(t, "/block/confirm", ida.path(), "the ticket is not in the address bar")
	ida.inspect("block")
	ida.click("#block")
	require.Equal(t, "Einladungen sind gesperrt", ida.heading())
	ida.inspect("block-done")
	ida.click("#undo")
	ida.inspect("block-code")
	code, _ := s.codeFor(t, "ida@fabrikam.example", mail.ID)
	ida.enter("code", code)
	ida.click("#check")
	require.Equal(t, "Einladungen sind wieder erlaubt", ida.heading())
	ida.inspect("block-undone")
}
