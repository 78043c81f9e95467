package invite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

func TestPreflight(t *testing.T) {
	home := func(r *rig, h directory.HomeTenant) {
		h.Tenant, h.Domain = contoso, "fabrikam.example"
		r.store.homes[h.Domain] = h
	}
	tests := []struct {
		name                  string
		email                 string
		set                   func(r *rig)
		actor                 directory.Actor
		invitable, redeemable bool
		reason                problem.Reason
		method                directory.Method
		checks                int
	}{
		{name: "a stranger", invitable: true, redeemable: true, method: directory.MethodLink, checks: 7},
		{name: "a stranger who needs a code", set: func(r *rig) { r.store.policy.Fallback = directory.FallbackOTP }, invitable: true, redeemable: true, method: directory.MethodOTP, checks: 7},
		{name: "nobody would sign in", set: func(r *rig) { r.store.policy.Fallback = directory.FallbackNone }, invitable: true, reason: problem.NoSignIn, checks: 7},
		{name: "home blocks just-in-time accounts", set: func(r *rig) { home(r, directory.HomeTenant{}) }, invitable: true, reason: problem.JITDisabled, checks: 7},
		{name: "home is federated", set: func(r *rig) { home(r, directory.HomeTenant{AllowEmailVerifiedUsers: true, Federated: true}) }, invitable: true, reason: problem.HomeFederated, checks: 7},
		{name: "home blocks, under the current rules", set: func(r *rig) { home(r, directory.HomeTenant{}); r.store.policy.Rules = directory.RulesCurrent }, invitable: true, redeemable: true, method: directory.MethodLink, checks: 7},
		{name: "home would make the account", set: func(r *rig) { home(r, directory.HomeTenant{AllowEmailVerifiedUsers: true}) }, invitable: true, redeemable: true, method: directory.MethodHome, checks: 7},
		{name: "no address", email: "nonsense", reason: problem.BadAddress, checks: 2},
		{name: "an address of the tenant itself", email: "new@contoso.example", reason: problem.VerifiedDomain, method: directory.MethodLink, checks: 7},
		{name: "a member's", email: "admin@contoso.example", reason: problem.AlreadyInDirectory, method: directory.MethodLink, checks: 7},
		{name: "a domain on the list", set: func(r *rig) { r.store.policy.BlockedDomains = []string{"fabrikam.example"} }, reason: problem.DomainBlocked, method: directory.MethodLink, checks: 7},
		{name: "too many mails", set: func(r *rig) {
			r.invite("ana@fabrikam.example")
			r.store.policy.Limits = directory.Limits{RecipientPerDay: 1}
		}, reason: problem.RateLimited, method: directory.MethodLink, checks: 7},
		{name: "a pending guest", set: func(r *rig) { r.invite("ana@fabrikam.example") }, invitable: true, redeemable: true, method: directory.MethodLink, checks: 7},
		{name: "an accepted guest", set: func(r *rig) { _, _ = r.accept(r.invite("ana@fabrikam.example").RedeemURL) }, invitable: true, redeemable: true, method: directory.MethodLink, checks: 7},
		{name: "a disabled guest", set: func(r *rig) {
			r.store.edit(r.invite("ana@fabrikam.example").User.ID, func(u *directory.User) { u.Enabled = false })
		}, reason: problem.AccountDisabled, method: directory.MethodLink, checks: 7},
		{name: "who blocked invitations", set: func(r *rig) {
			r.store.blocks[invite.BlockKey(r.invite("ana@fabrikam.example").Invitation.Email)] = r.now()
		}, invitable: true, redeemable: true, reason: problem.RecipientBlocked, method: directory.MethodLink, checks: 7},
		{name: "asked by who may not invite", actor: person(), email: "ana@fabrikam.example", set: func(r *rig) { r.invite("ana@fabrikam.example") }, reason: problem.InvitesNotAllowed, checks: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			if tt.set != nil {
				tt.set(r)
			}
			if tt.email == "" {
				tt.email = "ana@fabrikam.example"
			}
			if tt.actor.ID == "" {
				tt.actor = admin()
			}
			letters, applies := len(r.store.letters), r.store.applies
			p, err := r.Preflight(t.Context(), tt.actor, tt.email)
			require.NoError(t, err)
			require.Equal(t, tt.reason, p.Reason, p.Detail)
			require.Equal(t, tt.invitable, p.Invitable)
			require.Equal(t, tt.redeemable, p.Redeemable)
			require.Equal(t, tt.method, p.SignIn.Method)
			require.Len(t, p.Checks, tt.checks)
			require.Len(t, r.store.letters, letters)
			require.Equal(t, applies, r.store.applies, "looking ahead changes nothing")

			_, err = r.Create(t.Context(), tt.actor, ask(tt.email))
			require.Equal(t, tt.invitable, err == nil, "inviting does what was said: %v", err)
			if err != nil {
				require.Equal(t, tt.reason, problem.Of(err).Reason)
			}
		})
	}
}

func TestPreflightTranslatesWhatTheStoreSays(t *testing.T) {
	for _, method := range []string{"Tenant", "Policy", "UserByAddress", "MailCounts", "Blocked", "Home"} {
		r := newRig(t)
		r.store.breakMethod(method, errDisk)
		_, err := r.Preflight(t.Context(), admin(), "ana@fabrikam.example")
		require.True(t, problem.Is(err, problem.Internal), method)
	}
}
