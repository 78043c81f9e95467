package invite_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

func TestResendMailsANewLink(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	r.advance(29 * 24 * time.Hour)
	for i, ref := range []string{"ana@fabrikam.example", "ANA@Fabrikam.example", string(c.User.ID), string(c.Invitation.ID), c.User.UPN} {
		got, err := r.Resend(t.Context(), admin(), ref, invite.Edit{})
		require.NoError(t, err, ref)
		require.Equal(t, c.Invitation.ID, got.Invitation.ID)
		require.Equal(t, i+2, got.Invitation.Sends)
		require.NotEqual(t, c.RedeemURL, got.RedeemURL)
		require.Equal(t, r.now().Add(directory.DefaultLinkLifetime), got.Invitation.Expires, "the lifetime begins anew")
		require.Equal(t, r.now(), got.Invitation.Sent)
		require.Equal(t, got.Invitation, r.store.invitations[c.Invitation.ID])
	}
	require.Len(t, r.store.letters, 6)
	require.Equal(t, 5, r.store.count(audit.ResendInvitation))
	_, err := r.open(c.RedeemURL)
	require.NoError(t, err, "the link found late works until its own end")
}

func TestResendMaySupersede(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	r.store.policy.OnResend = directory.SupersedeLinks
	got, err := r.Resend(t.Context(), admin(), "ana@fabrikam.example", invite.Edit{})
	require.NoError(t, err)
	require.Equal(t, 2, got.User.Generation)
	_, err = r.open(c.RedeemURL)
	requireReason(t, err, problem.Gone, problem.LinkReplaced)
	require.Equal(t, mail.Canceled, r.store.deliveries[0].State)
	require.Equal(t, mail.Queued, r.store.deliveries[1].State)
	_, err = r.accept(got.RedeemURL)
	require.NoError(t, err)
}

func TestResendByState(t *testing.T) {
	tests := []struct {
		name   string
		bring  func(*rig, invite.Created)
		reason problem.Reason // empty: it works
		kind   problem.Kind
	}{
		{"pending", func(*rig, invite.Created) {}, "", 0},
		{"declined", func(r *rig, c invite.Created) {
			red, _ := r.open(c.RedeemURL)
			_, err := r.Decline(r.t.Context(), red.Claims)
			require.NoError(r.t, err)
		}, "", 0},
		{"expired", func(r *rig, _ invite.Created) { r.advance(31 * 24 * time.Hour) }, "", 0},
		{"deleted and restored", func(r *rig, c invite.Created) {
			r.store.edit(c.User.ID, func(u *directory.User) { u.Generation++ })
		}, "", 0},
		{"accepted", func(r *rig, c invite.Created) {
			_, err := r.accept(c.RedeemURL)
			require.NoError(r.t, err)
		}, problem.AlreadyAccepted, problem.Conflict},
		{"revoked", func(r *rig, c invite.Created) {
			_, err := r.Revoke(r.t.Context(), admin(), string(c.Invitation.ID))
			require.NoError(r.t, err)
		}, problem.LinkRevoked, problem.Conflict},
		{"deleted", func(r *rig, c invite.Created) {
			r.store.edit(c.User.ID, func(u *directory.User) { u.Deleted = r.now(); u.Generation++ })
		}, problem.GuestDeleted, problem.Conflict},
		{"replaced by a newer one", func(r *rig, _ invite.Created) {
			r.store.policy.OnResend = directory.SupersedeLinks
			r.invite("ana@fabrikam.example")
		}, problem.LinkReplaced, problem.Conflict},
		{"disabled", func(r *rig, c invite.Created) {
			r.store.edit(c.User.ID, func(u *directory.User) { u.Enabled = false })
		}, problem.AccountDisabled, problem.Conflict},
		{"domain blocked meanwhile", func(r *rig, _ invite.Created) { r.store.policy.BlockedDomains = []string{"fabrikam.example"} }, problem.DomainBlocked, problem.Denied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			c := r.invite("ana@fabrikam.example")
			tt.bring(r, c)
			mails := len(r.store.letters)
			got, err := r.Resend(t.Context(), admin(), string(c.Invitation.ID), invite.Edit{})
			if tt.reason != "" {
				requireReason(t, err, tt.kind, tt.reason)
				require.Len(t, r.store.letters, mails)
				return
			}
			require.NoError(t, err)
			require.Equal(t, invite.StatePending, got.Invitation.StateAt(got.User, r.now()))
			_, err = r.accept(got.RedeemURL)
			require.NoError(t, err)
		})
	}
}

func TestResendRefusesStrangersAndFloods(t *testing.T) {
	r := newRig(t)
	r.invite("ana@fabrikam.example")
	_, err := r.Resend(t.Context(), person(), "ana@fabrikam.example", invite.Edit{})
	requireReason(t, err, problem.Denied, problem.InvitesNotAllowed)
	for _, ref := range []string{"ben@fabrikam.example", "no address@", "00000000-0000-7000-8000-999999999999", "", "x#EXT#@contoso.example", string(memberM)} {
		_, err = r.Resend(t.Context(), admin(), ref, invite.Edit{})
		requireReason(t, err, problem.NotFound, problem.Missing)
	}
	r.store.policy.Limits.RecipientPer5Min = 1
	r.advance(2 * time.Minute)
	_, err = r.Resend(t.Context(), admin(), "ana@fabrikam.example", invite.Edit{})
	requireReason(t, err, problem.TooMany, problem.RateLimited)
	require.Equal(t, 3*time.Minute, problem.Of(err).RetryAfter)
}

func TestRevoke(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	for range 2 {
		inv, err := r.Revoke(t.Context(), admin(), "ana@fabrikam.example")
		require.NoError(t, err)
		require.Equal(t, r.store.invitations[c.Invitation.ID], inv)
		require.Equal(t, t0, inv.Revoked)
	}
	require.Equal(t, 1, r.store.count(audit.RevokeInvitation), "revoking twice is one revocation")
	require.Equal(t, mail.Canceled, r.store.deliveries[0].State)
	_, err = r.open(c.RedeemURL)
	requireReason(t, err, problem.Gone, problem.LinkRevoked)
	_, err = r.Accept(t.Context(), red.Claims, red.SignIn.Method)
	requireReason(t, err, problem.Gone, problem.LinkRevoked)

	again := r.invite("ana@fabrikam.example")
	require.Equal(t, c.User.ID, again.User.ID)
	_, err = r.open(c.RedeemURL)
	requireReason(t, err, problem.Gone, problem.LinkRevoked)
	_, err = r.accept(again.RedeemURL)
	require.NoError(t, err)
}

func TestRevokeTakesNewerLinksOfTheSameGenerationAlong(t *testing.T) {
	r := newRig(t)
	first := r.invite("ana@fabrikam.example")
	second := r.invite("ana@fabrikam.example")
	_, err := r.Revoke(t.Context(), admin(), string(first.Invitation.ID))
	require.NoError(t, err)
	for _, c := range []invite.Created{first, second} {
		_, err := r.open(c.RedeemURL)
		requireReason(t, err, problem.Gone, problem.LinkRevoked)
	}
}

func TestRevokeByState(t *testing.T) {
	tests := []struct {
		name   string
		bring  func(*rig, invite.Created)
		reason problem.Reason
	}{
		{"expired", func(r *rig, _ invite.Created) { r.advance(31 * 24 * time.Hour) }, ""},
		{"accepted", func(r *rig, c invite.Created) {
			_, err := r.accept(c.RedeemURL)
			require.NoError(r.t, err)
		}, problem.AlreadyAccepted},
		{"deleted", func(r *rig, c invite.Created) {
			r.store.edit(c.User.ID, func(u *directory.User) { u.Deleted = r.now() })
		}, problem.GuestDeleted},
		{"replaced", func(r *rig, _ invite.Created) {
			r.store.policy.OnResend = directory.SupersedeLinks
			r.invite("ana@fabrikam.example")
		}, problem.LinkReplaced},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			c := r.invite("ana@fabrikam.example")
			tt.bring(r, c)
			_, err := r.Revoke(t.Context(), admin(), string(c.Invitation.ID))
			if tt.reason == "" {
				require.NoError(t, err)
				return
			}
			requireReason(t, err, problem.Conflict, tt.reason)
		})
	}
}

func TestRequestNewLinkTellsStrangersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ana := r.invite("ana@fabrikam.example")
		ben := r.invite("ben@fabrikam.example")
		_, err := r.accept(ben.RedeemURL)
		require.NoError(t, err)
		cyd := r.invite("cyd@fabrikam.example")
		_, err = r.Revoke(t.Context(), admin(), string(cyd.Invitation.ID))
		require.NoError(t, err)
		r.advance(31 * 24 * time.Hour)

		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		mails := len(r.store.letters)
		for _, a := range []string{"stranger@fabrikam.example", "ben@fabrikam.example", "cyd@fabrikam.example", "admin@contoso.example", "no address", "ana@fabrikam.example"} {
			require.NoError(t, r.RequestNewLink(t.Context(), contoso, a), a)
			synctest.Wait()
		}
		require.Len(t, r.store.letters, mails+1, "only who is invited and has not redeemed gets a mail")
		l := r.store.letters[mails]
		require.Equal(t, "ana@fabrikam.example", l.Message.To.String())
		require.Equal(t, string(ana.User.ID), l.Inviter, "the inviter's limits are not touched")
		require.Equal(t, "guest", r.store.events[len(r.store.events)-1].Actor)
		_, err = r.accept(string(l.Message.Raw))
		require.NoError(t, err)
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestRequestNewLinkNeverBlocks(t *testing.T) {
	r := newRig(t)
	for range 1000 {
		require.NoError(t, r.RequestNewLink(t.Context(), contoso, "ana@fabrikam.example"))
	}
	require.Zero(t, r.store.reads)
}

func TestResendWithAnotherMessage(t *testing.T) {
	r := newRig(t)
	c, err := r.Create(t.Context(), admin(), invite.Request{Email: "ana@fabrikam.example", SendMessage: true, Message: "Call now"})
	require.NoError(t, err)
	text, none, bad := "Welcome", "", "a\x00b"

	got, err := r.Resend(t.Context(), admin(), "ana@fabrikam.example", invite.Edit{Message: &text})
	require.NoError(t, err)
	require.Equal(t, c.Invitation.ID, got.Invitation.ID, "it stays the same invitation")
	require.Equal(t, "Welcome", got.Invitation.Message)
	require.Equal(t, 2, got.Invitation.Sends)

	got, err = r.Resend(t.Context(), admin(), "ana@fabrikam.example", invite.Edit{Message: &none})
	require.NoError(t, err)
	require.Empty(t, got.Invitation.Message)

	_, err = r.Resend(t.Context(), admin(), "ana@fabrikam.example", invite.Edit{Message: &bad})
	require.True(t, problem.Is(err, problem.Invalid))
}
