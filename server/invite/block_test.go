package invite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

// withOptOuts gives mails a link to block. Its tickets begin with "block.".
func withOptOuts(o *invite.Options) {
	withCodes(o)
	o.OptOuts = blockPaper{paper{o.Now}}
}

// blockPaper is paper for another purpose.
type blockPaper struct{ paper }

func (p blockPaper) Issue(c invite.Claims) (string, error) {
	s, err := p.paper.Issue(c)
	return "block." + s, err
}

func (p blockPaper) Verify(ticket string) (invite.Claims, error) {
	if len(ticket) < 6 || ticket[:6] != "block." {
		return invite.Claims{}, invite.ErrTicketInvalid
	}
	return p.paper.Verify(ticket[6:])
}

// optOut is the ticket to block in the mail of an invitation.
func (r *rig) optOut(c invite.Created) string {
	r.t.Helper()
	ticket := r.OptOut(invite.LetterData{Tenant: r.store.tenant, Guest: c.User, Invitation: c.Invitation, Now: r.now()})
	require.NotEmpty(r.t, ticket)
	return ticket
}

func TestBlockingHoldsBackWhatComesLater(t *testing.T) {
	r := newRig(t, withOptOuts)
	first := r.invite("ana.b@fabrikam.example")
	b, err := r.OpenBlock(t.Context(), r.optOut(first))
	require.NoError(t, err)
	require.False(t, b.Blocked())
	require.Zero(t, r.store.count(audit.EmailUnsubscribed), "opening the link does nothing")

	for range 2 {
		b, err = r.Block(t.Context(), b.Claims)
		require.NoError(t, err)
		require.True(t, b.Blocked())
	}
	require.Equal(t, 1, r.store.count(audit.EmailUnsubscribed), "blocking twice is one event")
	require.Equal(t, mail.Canceled, r.store.deliveries[0].State, "mail that waits is withdrawn")

	letters := len(r.store.letters)
	again := r.invite("ana.b+tag@fabrikam.example") // the same person
	require.NotEmpty(t, again.RedeemURL)
	_, err = r.Resend(t.Context(), admin(), "ana.b@fabrikam.example", invite.Edit{})
	require.NoError(t, err)
	other := r.invite("anab@fabrikam.example")
	require.Len(t, r.store.letters, letters+1, "only the other person gets mail")
	require.Equal(t, other.User.ID, r.store.letters[letters].User)
	require.Equal(t, 2, r.store.count(audit.EmailNotSent))

	ds, err := r.Deliveries(t.Context(), admin(), again.Invitation.ID)
	require.NoError(t, err)
	require.Equal(t, mail.Suppressed, ds[0].State)
	d, err := r.Diagnose(t.Context(), admin(), string(again.Invitation.ID))
	require.NoError(t, err)
	require.Equal(t, problem.RecipientBlocked, d.Reason)

	_, err = r.accept(first.RedeemURL)
	require.NoError(t, err, "a link that was mailed goes on working")
}

func TestUndoingABlock(t *testing.T) {
	r := newRig(t, withOptOuts)
	c := r.invite("ana@fabrikam.example")
	b, err := r.OpenBlock(t.Context(), r.optOut(c))
	require.NoError(t, err)
	_, err = r.AskUnblockCode(t.Context(), b.Claims, "session")
	require.NoError(t, err)
	require.Len(t, r.store.letters, 1, "nothing is blocked, so nothing is mailed")
	_, err = r.Block(t.Context(), b.Claims)
	require.NoError(t, err)

	_, err = r.AskUnblockCode(t.Context(), b.Claims, "session")
	require.NoError(t, err)
	code := r.lastCode()
	_, err = r.Unblock(t.Context(), b.Claims, "session", another(code), "net")
	requireReason(t, err, problem.Denied, problem.CodeWrong)
	_, err = r.Unblock(t.Context(), b.Claims, "another", code, "net")
	requireReason(t, err, problem.Denied, problem.CodeUsedUp)
	r.store.policy.Fallback = directory.FallbackOTP
	_, err = r.TryCode(t.Context(), b.Claims, "session", code, "net")
	requireReason(t, err, problem.Denied, problem.CodeUsedUp)
	b, err = r.Unblock(t.Context(), b.Claims, "session", code, "net")
	require.NoError(t, err)
	require.False(t, b.Blocked())
	require.Equal(t, 1, r.store.count(audit.EmailSubscribed))
	letters := len(r.store.letters)
	r.invite("ana@fabrikam.example")
	require.Len(t, r.store.letters, letters+1)
}

func TestLinksToBlockAreAPurposeOfTheirOwn(t *testing.T) {
	r := newRig(t, withOptOuts)
	c := r.invite("ana@fabrikam.example")
	_, _, ticket := follow(t, c.RedeemURL)
	reads := r.store.reads
	for _, wrong := range []string{"", "x", ticket, r.optOut(c) + "x"} {
		_, err := r.OpenBlock(t.Context(), wrong)
		requireReason(t, err, problem.Gone, problem.LinkInvalid)
	}
	_, err := r.Open(t.Context(), contoso, "", r.optOut(c))
	requireReason(t, err, problem.Gone, problem.LinkInvalid)
	require.Equal(t, reads, r.store.reads, "a forged link reads nothing")

	r.store.users = map[directory.UserID]directory.User{}
	_, err = r.OpenBlock(t.Context(), r.optOut(c))
	requireReason(t, err, problem.Gone, problem.LinkInvalid)
	none := newRig(t)
	require.Empty(t, none.OptOut(invite.LetterData{}))
	_, err = none.OpenBlock(t.Context(), "block.x")
	requireReason(t, err, problem.Gone, problem.LinkInvalid)
}
