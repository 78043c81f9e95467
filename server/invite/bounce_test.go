package invite_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/dsn"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

// hostID is a tenant id of the form that real ones have.
const hostID = directory.TenantID("0193a0b0-0000-7000-8000-00000000c0de")

// unknownUser is the report that there is no such mailbox.
const unknownUser = "From: MAILER-DAEMON@mx.fabrikam.example\r\nSubject: failure notice\r\n\r\n<somebody.else@fabrikam.example>: 550 5.1.1 unknown user\r\n"

// moved makes the tenant of a rig one whose id is a UUID, as real ones are.
func moved(r *rig) directory.Actor {
	r.store.tenant.ID, r.store.policy.Tenant = hostID, hostID
	a := admin()
	a.Tenant = hostID
	return a
}

// mailed invites an address and returns where its bounces come back to.
func mailed(r *rig, actor directory.Actor, email string) string {
	r.t.Helper()
	c, err := r.Create(r.t.Context(), actor, ask(email))
	require.NoError(r.t, err)
	for i, d := range r.store.deliveries {
		if d.Invitation == c.Invitation.ID && d.State == mail.Queued {
			r.store.deliveries[i].State = mail.Delivered
			return invite.BouncePrefix + invite.BounceID(hostID, d.ID) + "@contoso.example"
		}
	}
	return ""
}

func TestABounceIsMatchedByItsAddressAlone(t *testing.T) {
	r := newRig(t)
	actor := moved(r)
	to := mailed(r, actor, "ana@fabrikam.example")
	for _, other := range []string{
		"", "bounce@contoso.example", "bounce+@contoso.example", "bounce+x@contoso.example", "ana@fabrikam.example", strings.Replace(to, "+", "-", 1), "x" + to,
		invite.BouncePrefix + invite.BounceID(hostID, "0193a0b0-0000-7000-8000-00000000ffff") + "@contoso.example",
		strings.Replace(to, "@", "0@", 1),
	} {
		b, err := r.ReceiveBounce(t.Context(), other, []byte(unknownUser))
		require.NoError(t, err, other)
		require.False(t, b.Known, other)
	}
	b, err := r.ReceiveBounce(t.Context(), to, []byte("Subject: thanks\r\n\r\nSee you there.\r\n"))
	require.NoError(t, err)
	require.False(t, b.Known, "an answer is no report")
	require.Zero(t, r.store.count(audit.EmailBounced))

	b, err = r.ReceiveBounce(t.Context(), strings.ToUpper(to), []byte(unknownUser))
	require.NoError(t, err)
	require.True(t, b.Known && b.Suppressed, "mail systems may change the case")
	require.Equal(t, mail.Bounced, b.State)
	require.Contains(t, r.store.suppressions, "ana@fabrikam.example", "whom we mailed, not whom the report names")
	require.Len(t, r.store.suppressions, 1)
	_, err = r.ReceiveBounce(t.Context(), to, []byte(unknownUser))
	require.NoError(t, err)
	require.Equal(t, 1, r.store.count(audit.EmailBounced), "the same report twice counts once")
}

func TestSuppressedAddressesAreNotMailed(t *testing.T) {
	r := newRig(t)
	actor := moved(r)
	_, err := r.ReceiveBounce(t.Context(), mailed(r, actor, "ana@fabrikam.example"), []byte(unknownUser))
	require.NoError(t, err)
	letters := len(r.store.letters)

	require.Empty(t, mailed(r, actor, "a.na+b@fabrikam.example"), "in no spelling")
	require.Len(t, r.store.letters, letters)
	require.Equal(t, 1, r.store.count(audit.EmailSuppressed))
	p, err := r.Preflight(t.Context(), actor, "ana@fabrikam.example")
	require.NoError(t, err)
	require.Equal(t, problem.RecipientSuppressed, p.Reason)

	r.advance(invite.SuppressionLifetime)
	require.NotEmpty(t, mailed(r, actor, "ana@fabrikam.example"), "it ends by itself")
}

func TestWhoMaySuppress(t *testing.T) {
	r := newRig(t)
	actor := moved(r)
	to := mailed(r, actor, "ana@fabrikam.example")
	inviter := person(directory.GuestInviter)
	inviter.Tenant = hostID
	_, err := r.Suppress(t.Context(), inviter, "ana@fabrikam.example", "", 0)
	requireReason(t, err, problem.Denied, problem.RoleRequired)
	_, err = r.ReceiveOwnBounce(t.Context(), inviter, to, []byte(unknownUser))
	requireReason(t, err, problem.Denied, problem.RoleRequired)
	requireReason(t, r.Lift(t.Context(), inviter, "ana@fabrikam.example"), problem.Denied, problem.RoleRequired)

	foreign := invite.BouncePrefix + invite.BounceID("0193a0b0-0000-7000-8000-00000000beef", "0193a0b0-0000-7000-8000-000000000001") + "@contoso.example"
	b, err := r.ReceiveOwnBounce(t.Context(), actor, foreign, []byte(unknownUser))
	require.NoError(t, err)
	require.False(t, b.Known, "of another tenant")

	_, err = r.Suppress(t.Context(), actor, "ana", "", 0)
	requireReason(t, err, problem.Invalid, problem.BadAddress)
	_, err = r.Suppress(t.Context(), actor, "ana@fabrikam.example", "", -time.Second)
	require.Equal(t, "expires", problem.Of(err).Field)
	_, err = r.Suppress(t.Context(), actor, "ana@fabrikam.example", "two\r\nlines", 0)
	require.Equal(t, "detail", problem.Of(err).Field)
	_, err = r.Suppress(t.Context(), actor, "ana@fabrikam.example", "left", 0)
	require.NoError(t, err)
	list, err := r.Suppressions(t.Context(), inviter, "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, invite.CauseManual, list[0].Cause)
	require.NoError(t, r.Lift(t.Context(), actor, "ana@fabrikam.example"))
	requireReason(t, r.Lift(t.Context(), actor, "ana@fabrikam.example"), problem.NotFound, problem.Missing)
}

// FuzzReceiveBounce checks that no address but the right one is known.
func FuzzReceiveBounce(f *testing.F) {
	r := newRig(f)
	to := mailed(r, moved(r), "ana@fabrikam.example")
	for _, seed := range []string{to, strings.ToUpper(to), "bounce+", "bounce+@", to[:30], "bounce+\x00@x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := r.ReceiveBounce(t.Context(), s, []byte(unknownUser))
		require.NoError(t, err)
		local, _, _ := strings.Cut(strings.ToLower(s), "@")
		want, _, _ := strings.Cut(to, "@")
		require.Equal(t, local == want, b.Known)
		require.Equal(t, b.Report.Kind == dsn.NotReport, b.Delivery == "", "only what looks like ours is read")
	})
}
