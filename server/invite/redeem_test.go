package invite_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

func TestOpenHasNoEffect(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	tries, events := r.store.tries, len(r.store.events)
	for range 20 {
		red, err := r.open(c.RedeemURL)
		require.NoError(t, err)
		require.Equal(t, invite.StatePending, red.State)
		require.Equal(t, "Contoso", red.Tenant.DisplayName)
		require.Equal(t, c.User.ID, red.Guest.ID)
		require.Equal(t, c.Invitation.ID, red.Invitation.ID)
		require.Equal(t, directory.MethodLink, red.SignIn.Method)
		again, err := r.Resume(t.Context(), red.Claims)
		require.NoError(t, err)
		require.Equal(t, red, again)
	}
	require.Equal(t, tries, r.store.tries)
	require.Len(t, r.store.events, events)
}

func TestForgedTicketsReadNothing(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	tenant, id, _ := follow(t, c.RedeemURL)
	reads := r.store.reads
	for _, ticket := range []string{"", "ours", "theirs.{}", strings.Repeat("x", 1<<16)} {
		_, err := r.Open(t.Context(), tenant, id, ticket)
		requireReason(t, err, problem.Gone, problem.LinkInvalid)
		require.Equal(t, "This link is not valid.", problem.Of(err).Detail, "one answer for all")
	}
	require.Equal(t, reads, r.store.reads)
}

func TestTicketsDoNotFitOtherURLs(t *testing.T) {
	r := newRig(t)
	ana, ben := r.invite("ana@fabrikam.example"), r.invite("ben@fabrikam.example")
	tenant, id, ticket := follow(t, ana.RedeemURL)
	_, other, _ := follow(t, ben.RedeemURL)
	_, err := r.Open(t.Context(), "tenant-other", id, ticket)
	requireReason(t, err, problem.Gone, problem.WrongTenant)
	_, err = r.Open(t.Context(), tenant, other, ticket)
	requireReason(t, err, problem.Gone, problem.LinkInvalid)
	_, err = r.Open(t.Context(), "", "", ticket)
	require.NoError(t, err, "the ticket says it all")

	// A row that says otherwise than the ticket.
	red, err := r.open(ana.RedeemURL)
	require.NoError(t, err)
	for name, edit := range map[string]func(*invite.Claims){
		"another tenant":          func(c *invite.Claims) { c.Tenant = "tenant-other" },
		"somebody's invitation":   func(c *invite.Claims) { c.Invitation = ben.Invitation.ID },
		"an invitation of nobody": func(c *invite.Claims) { c.Invitation = "none" },
	} {
		c := red.Claims
		edit(&c)
		_, err = r.Resume(t.Context(), c)
		require.True(t, problem.Has(err, problem.LinkInvalid), name)
		_, err = r.Accept(t.Context(), c, directory.MethodLink)
		require.True(t, problem.Has(err, problem.LinkInvalid), name)
	}
	c := red.Claims
	c.User = "purged"
	_, err = r.Resume(t.Context(), c)
	requireReason(t, err, problem.Gone, problem.GuestDeleted)
}

func TestRefusals(t *testing.T) {
	home := func(r *rig, edit func(*directory.HomeTenant)) {
		h := directory.HomeTenant{Tenant: contoso, Domain: "fabrikam.example", AllowEmailVerifiedUsers: true, SignIn: directory.SignInSimulated}
		edit(&h)
		r.store.homes[h.Domain] = h
	}
	tests := []struct {
		name    string
		bring   func(*rig, invite.Created)
		kind    problem.Kind
		reason  problem.Reason
		state   invite.State
		audited bool
	}{
		{"expired", func(r *rig, _ invite.Created) { r.advance(31 * 24 * time.Hour) }, problem.Gone, problem.LinkExpired, invite.StateExpired, false},
		{"expires at this moment", func(r *rig, _ invite.Created) { r.advance(30 * 24 * time.Hour) }, problem.Gone, problem.LinkExpired, invite.StateExpired, false},
		{"deleted", func(r *rig, c invite.Created) {
			r.store.edit(c.User.ID, func(u *directory.User) { u.Deleted = r.now(); u.Generation++ })
		}, problem.Gone, problem.GuestDeleted, invite.StateDeleted, false},
		{"deleted and restored", func(r *rig, c invite.Created) {
			r.store.edit(c.User.ID, func(u *directory.User) { u.Generation++ })
		}, problem.Gone, problem.LinkReplaced, invite.StateReplaced, false},
		{"disabled", func(r *rig, c invite.Created) {
			r.store.edit(c.User.ID, func(u *directory.User) { u.Enabled = false })
		}, problem.Denied, problem.AccountDisabled, invite.StatePending, true},
		{"domain blocked since", func(r *rig, _ invite.Created) { r.store.policy.BlockedDomains = []string{"fabrikam.example"} }, problem.Denied, problem.DomainBlocked, invite.StatePending, true},
		{"home blocks just-in-time accounts", func(r *rig, _ invite.Created) {
			home(r, func(h *directory.HomeTenant) { h.AllowEmailVerifiedUsers = false })
		}, problem.Denied, problem.JITDisabled, invite.StatePending, true},
		{"home is federated", func(r *rig, _ invite.Created) {
			home(r, func(h *directory.HomeTenant) { h.Federated = true })
		}, problem.Denied, problem.HomeFederated, invite.StatePending, true},
		{"nobody signs in", func(r *rig, _ invite.Created) { r.store.policy.Fallback = directory.FallbackNone }, problem.Denied, problem.NoSignIn, invite.StatePending, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			c := r.invite("ana@fabrikam.example")
			open, err := r.open(c.RedeemURL)
			require.NoError(t, err)
			tt.bring(r, c)

			red, err := r.open(c.RedeemURL)
			requireReason(t, err, tt.kind, tt.reason)
			require.Equal(t, tt.state, red.State)
			require.Equal(t, "Contoso", red.Tenant.DisplayName, "the page can say whose invitation it is")
			require.Equal(t, c.User.ID, red.Guest.ID)
			require.Zero(t, r.store.count(audit.RefuseRedeem), "opening a link writes nothing")

			_, err = r.Accept(t.Context(), open.Claims, open.SignIn.Method)
			requireReason(t, err, tt.kind, tt.reason)
			_, err = r.Decline(t.Context(), open.Claims)
			requireReason(t, err, tt.kind, tt.reason)
			require.Zero(t, r.store.count(audit.RedeemInvite))
			require.Equal(t, directory.Pending, r.store.users[c.User.ID].State)
			if !tt.audited {
				require.Zero(t, r.store.count(audit.RefuseRedeem))
				return
			}
			require.Equal(t, 1, r.store.count(audit.RefuseRedeem))
			e := r.store.events[len(r.store.events)-1]
			require.Equal(t, audit.Failure, e.Result)
			require.Equal(t, string(tt.reason), e.Reason)
			require.Equal(t, string(c.User.ID), e.Target)
		})
	}
}

func TestAccept(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	r.advance(time.Hour)
	red, err := r.accept(c.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, invite.StateAccepted, red.State)
	u := r.store.users[c.User.ID]
	require.Equal(t, directory.Accepted, u.State)
	require.Equal(t, r.now(), u.StateChanged)
	require.Equal(t, []directory.Identity{{SignInType: "federated", Issuer: "mail", IssuerAssignedID: "ana@fabrikam.example"}}, u.Identities)
	require.Equal(t, r.now(), r.store.invitations[c.Invitation.ID].Accepted)
	require.Equal(t, []audit.Activity{audit.AddUser, audit.InviteExternal, audit.AddSponsor, audit.UpdateUser, audit.RedeemInvite}, r.store.activities(u.ID))
	require.Equal(t, u, red.Guest)

	r.advance(time.Hour)
	again, err := r.accept(c.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, red, again, "the same answer")
	require.Equal(t, 1, r.store.count(audit.RedeemInvite))
	_, err = r.Decline(t.Context(), red.Claims)
	requireReason(t, err, problem.Conflict, problem.AlreadyAccepted)
}

func TestBlockingADomainLeavesAcceptedGuestsAlone(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	_, err := r.accept(c.RedeemURL)
	require.NoError(t, err)
	r.store.policy.BlockedDomains = []string{"fabrikam.example"}
	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, invite.StateAccepted, red.State)
}

func TestAnExpiredLinkIsAWayBackOnlyWithAnotherProof(t *testing.T) {
	r := newRig(t)
	byLink := r.invite("ana@litware.example")
	atHome := r.invite("ana@fabrikam.example")
	r.store.homes["fabrikam.example"] = directory.HomeTenant{Domain: "fabrikam.example"}
	r.store.accounts["ana@fabrikam.example"] = true
	for _, c := range []invite.Created{byLink, atHome} {
		_, err := r.accept(c.RedeemURL)
		require.NoError(t, err)
	}
	r.advance(365 * 24 * time.Hour)
	_, err := r.open(byLink.RedeemURL)
	requireReason(t, err, problem.Gone, problem.LinkExpired)
	red, err := r.open(atHome.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, invite.StateAccepted, red.State)
	require.Equal(t, directory.MethodHome, red.SignIn.Method)
}

func TestLinksMayLiveForEver(t *testing.T) {
	r := newRig(t)
	r.store.policy.LinkLifetime = 0
	c := r.invite("ana@fabrikam.example")
	require.True(t, c.Invitation.Expires.IsZero())
	r.advance(50 * 365 * 24 * time.Hour)
	_, err := r.accept(c.RedeemURL)
	require.NoError(t, err)
}

func TestAcceptCreatesTheAccountAtHomeJustInTime(t *testing.T) {
	r := newRig(t)
	r.store.homes["fabrikam.example"] = directory.HomeTenant{Domain: "fabrikam.example", AllowEmailVerifiedUsers: true}
	c := r.invite("ana@fabrikam.example")
	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	require.True(t, red.SignIn.JustInTime)
	require.Empty(t, r.store.accounts, "looking creates no account")

	red, err = r.Accept(t.Context(), red.Claims, directory.MethodHome)
	require.NoError(t, err)
	require.True(t, r.store.accounts["ana@fabrikam.example"])
	require.Equal(t, "ExternalAzureAD", red.Guest.Identities[0].Issuer)
	again, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, red, again)

	// Blocking further accounts leaves those that exist alone.
	r.store.homes["fabrikam.example"] = directory.HomeTenant{Domain: "fabrikam.example"}
	_, err = r.open(c.RedeemURL)
	require.NoError(t, err)
}

func TestAcceptRefusesAnotherProofThanAskedFor(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	r.store.homes["fabrikam.example"] = directory.HomeTenant{Domain: "fabrikam.example"}
	r.store.accounts["ana@fabrikam.example"] = true
	for _, m := range []directory.Method{red.SignIn.Method, directory.MethodOTP, ""} {
		_, err = r.Accept(t.Context(), red.Claims, m)
		requireReason(t, err, problem.Denied, problem.SessionExpired)
	}
	require.Equal(t, directory.Pending, r.store.users[c.User.ID].State)
}

func TestDecline(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	for range 2 {
		got, err := r.Decline(t.Context(), red.Claims)
		require.NoError(t, err)
		require.Equal(t, invite.StateDeclined, got.State)
	}
	require.Equal(t, 1, r.store.count(audit.DeclineInvite))
	got, err := r.accept(c.RedeemURL)
	require.NoError(t, err, "the guest may change their mind")
	require.Equal(t, invite.StateAccepted, got.State)
}

func TestFortyAcceptsAreOne(t *testing.T) {
	r := newRig(t)
	r.store.homes["fabrikam.example"] = directory.HomeTenant{Domain: "fabrikam.example", AllowEmailVerifiedUsers: true}
	c := r.invite("ana@fabrikam.example")
	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)

	// Nobody applies before everybody has decided.
	const n = 40
	var decided sync.WaitGroup
	decided.Add(n)
	r.store.before = func(try int, _ invite.Change) error {
		if try <= n+1 {
			decided.Done()
			decided.Wait()
		}
		return nil
	}
	answers := make([]invite.Redemption, n)
	errs := make([]error, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { answers[i], errs[i] = r.Accept(context.Background(), red.Claims, directory.MethodHome) })
	}
	done.Wait()
	for i := range n {
		require.NoError(t, errs[i])
		require.Equal(t, answers[0], answers[i])
	}
	require.Equal(t, 1, r.store.count(audit.RedeemInvite))
	require.Equal(t, 1, r.store.count(audit.UpdateUser))
	require.Equal(t, invite.StateAccepted, answers[0].State)
}

func TestAnAnswerIsOneMoment(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	once := false
	r.store.onRead = func(method string) {
		if method != "Invitation" || once {
			return
		}
		once = true // somebody accepts between reading the guest and the invitation
		_, err := r.accept(c.RedeemURL)
		require.NoError(t, err)
	}
	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, invite.StateAccepted, red.State)
	require.Equal(t, directory.Accepted, red.Guest.State)
	again, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, again, red)
}

func TestMyApps(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	_, _, _, err := r.MyApps(t.Context(), contoso, c.User.ID)
	requireReason(t, err, problem.Denied, problem.LinkOpened)
	_, err = r.accept(c.RedeemURL)
	require.NoError(t, err)
	apps, u, tenant, err := r.MyApps(t.Context(), contoso, c.User.ID)
	require.NoError(t, err)
	require.Empty(t, apps)
	require.Equal(t, c.User.ID, u.ID)
	require.Equal(t, "Contoso", tenant.DisplayName)

	q := ask("ana@fabrikam.example")
	q.Apps = []string{"Expenses"}
	_, err = r.Create(t.Context(), admin(), q)
	require.NoError(t, err)
	apps, _, _, err = r.MyApps(t.Context(), contoso, c.User.ID)
	require.NoError(t, err)
	require.Len(t, apps, 1)

	r.store.edit(c.User.ID, func(u *directory.User) { u.Enabled = false })
	_, _, _, err = r.MyApps(t.Context(), contoso, c.User.ID)
	requireReason(t, err, problem.Denied, problem.AccountDisabled)
	r.store.edit(c.User.ID, func(u *directory.User) { u.Deleted = r.now() })
	_, _, _, err = r.MyApps(t.Context(), contoso, c.User.ID)
	requireReason(t, err, problem.Gone, problem.GuestDeleted)
	_, _, _, err = r.MyApps(t.Context(), contoso, "nobody")
	requireReason(t, err, problem.Gone, problem.GuestDeleted)
}

func TestViewsAreStoredEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.invite("ana@fabrikam.example")
		red, err := r.open(c.RedeemURL)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()

		for range 3 {
			r.Viewed(red.Claims, true)
			r.advance(time.Minute)
		}
		r.Viewed(red.Claims, false)
		require.Zero(t, r.store.seen(c.Invitation.ID))
		d, err := r.Get(t.Context(), admin(), "ana@fabrikam.example")
		require.NoError(t, err)
		want := invite.Views{Count: 1, Automated: 3, First: t0, Last: t0.Add(3 * time.Minute)}
		require.Equal(t, want, d.Views, "what is not stored yet counts")

		r.store.breakMethod("AddViews", errDisk)
		<-time.After(1500 * time.Millisecond)
		synctest.Wait()
		require.Zero(t, r.store.seen(c.Invitation.ID))
		r.store.breakMethod("AddViews", nil)
		<-time.After(time.Second)
		synctest.Wait()
		require.Equal(t, want, r.store.seen(c.Invitation.ID))

		r.Viewed(red.Claims, false)
		cancel()
		require.NoError(t, <-ended)
		require.Equal(t, 2, r.store.seen(c.Invitation.ID).Count, "the end of Run stores the rest")
	})
}
