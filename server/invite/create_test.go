package invite_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

func TestCreateAddsAPendingGuest(t *testing.T) {
	r := newRig(t)
	c, err := r.Create(t.Context(), admin(), invite.Request{
		Email: "Ana@fabrikam.example", DisplayName: "Ana", RedirectURL: "https://app.contoso.example", SendMessage: true,
		Message: "Hi,\r\nwelcome", Language: "de-DE", CC: "boss@fabrikam.example", CCName: "Boss",
		Groups: []string{"partners", "group-projects"}, Roles: []string{"Guest Inviter"}, Apps: []string{"Expenses"},
	})
	require.NoError(t, err)
	require.True(t, c.NewUser)
	require.NotEqual(t, string(c.User.ID), string(c.Invitation.ID), "the guest and the invitation have different ids")

	u := r.store.users[c.User.ID]
	require.Equal(t, "Ana_fabrikam.example#EXT#@contoso.onmicrosoft.example", u.UPN)
	require.Equal(t, "Ana_fabrikam.example#EXT#", u.MailNickname)
	require.Equal(t, []string{"SMTP:Ana@fabrikam.example"}, u.ProxyAddresses)
	require.Equal(t, []string{"Ana@fabrikam.example"}, u.OtherMails)
	require.Equal(t, directory.Pending, u.State)
	require.Equal(t, t0, u.StateChanged)
	require.Equal(t, "Invitation", u.CreationType)
	require.Equal(t, directory.Guest, u.Type)
	require.True(t, u.Enabled)
	require.Equal(t, []directory.UserID{globalA}, u.Sponsors)
	require.Equal(t, string(globalA), u.InvitedBy)

	inv := r.store.invitations[c.Invitation.ID]
	require.Equal(t, "https://app.contoso.example/", inv.RedirectURL)
	require.Equal(t, "Hi,\nwelcome", inv.Message)
	require.Equal(t, "de-DE", inv.Language)
	require.Equal(t, "boss@fabrikam.example", inv.CC.String())
	require.Equal(t, "Ada Admin", inv.InviterName)
	require.Equal(t, "admin@contoso.example", inv.InviterMail)
	require.Equal(t, 1, inv.Sends)
	require.Equal(t, t0.Add(directory.DefaultLinkLifetime), inv.Expires)

	require.True(t, r.store.members[directory.Membership{Group: "group-partners", User: u.ID}])
	require.True(t, r.store.members[directory.Membership{Group: "group-projects", User: u.ID}])
	require.True(t, r.store.roles[directory.RoleAssignment{Role: directory.GuestInviter, User: u.ID}])
	require.Equal(t, []directory.AppID{"app-expenses"}, r.store.appsOf[u.ID])

	require.Equal(t, []audit.Activity{
		audit.AddUser, audit.InviteExternal, audit.AddSponsor, audit.AddMember, audit.AddMember, audit.AddRoleMember, audit.AssignApp,
	}, r.store.activities(u.ID))
	for _, e := range r.store.events {
		require.Equal(t, "request-1", e.Correlation)
		require.Equal(t, "admin@contoso.example", e.ActorName)
		require.Equal(t, "Ana@fabrikam.example", e.TargetName)
	}

	require.Len(t, r.store.letters, 2)
	l, copied := r.store.letters[0], r.store.letters[1]
	require.Equal(t, c.RedeemURL, string(l.Message.Raw))
	require.Equal(t, "boss@fabrikam.example", copied.Message.To.String())
	require.NotContains(t, string(copied.Message.Raw), "ticket", "the link is the guest's credential")
	require.Equal(t, "ana@fabrikam.example", l.LimitKey)
	require.Equal(t, string(globalA), l.Inviter)
	require.EqualValues(t, 1, r.woken.Load())
	require.Equal(t, 1, r.store.applies, "everything is one change")
}

func TestCreateWithoutMail(t *testing.T) {
	r := newRig(t)
	c, err := r.Create(t.Context(), app(directory.PermInvite), invite.Request{Email: "ana@fabrikam.example"})
	require.NoError(t, err)
	require.NotEmpty(t, c.RedeemURL)
	require.Empty(t, r.store.letters)
	require.Zero(t, c.Invitation.Sends)
	require.True(t, c.Invitation.Sent.IsZero())
	require.Zero(t, r.woken.Load())
	require.Empty(t, c.User.Sponsors, "an application sponsors nobody")
	require.Empty(t, c.Invitation.InviterName)
	require.Equal(t, "ana", c.User.DisplayName)
	require.Empty(t, c.Invitation.DisplayName)
	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, invite.StatePending, red.State)
}

func TestCreateRefuses(t *testing.T) {
	long := strings.Repeat("a", 257)
	tests := []struct {
		name   string
		actor  directory.Actor
		edit   func(*invite.Request)
		policy func(*directory.Policy)
		kind   problem.Kind
		reason problem.Reason
		field  string
		says   string
	}{
		{"caller without a role", person(), nil, nil, problem.Denied, problem.InvitesNotAllowed, "", "Guest invitations not allowed for your company"},
		{"nobody may invite", admin(), nil, func(p *directory.Policy) { p.InvitesFrom = directory.InvitesFromNone }, problem.Denied, problem.InvitesNotAllowed, "", ""},
		{"application without permission", app(directory.PermUserRead), nil, nil, problem.Denied, problem.RoleRequired, "", "User.Invite.All"},
		{"member by Guest Inviter", person(directory.GuestInviter), func(r *invite.Request) { r.UserType = directory.Member }, nil, problem.Denied, problem.RoleRequired, "", "Global Administrator"},
		{"member by application", app(directory.PermInvite), func(r *invite.Request) { r.UserType = directory.Member }, nil, problem.Denied, problem.RoleRequired, "", ""},
		{"groups by Guest Inviter", person(directory.GuestInviter), func(r *invite.Request) { r.Groups = []string{"Partners"} }, nil, problem.Denied, problem.RoleRequired, "", "User Administrator"},
		{"roles by User Administrator", person(directory.UserAdministrator), func(r *invite.Request) { r.Roles = []string{"Guest Inviter"} }, nil, problem.Denied, problem.RoleRequired, "", "Global Administrator"},
		{"apps by Guest Inviter", person(directory.GuestInviter), func(r *invite.Request) { r.Apps = []string{"Expenses"} }, nil, problem.Denied, problem.RoleRequired, "", ""},
		{"unknown tenant", directory.Actor{Tenant: "other", Application: true, Permissions: directory.AllPermissions()}, nil, nil, problem.NotFound, problem.Missing, "", ""},

		{"no address", admin(), func(r *invite.Request) { r.Email = "" }, nil, problem.Invalid, problem.BadAddress, "invitedUserEmailAddress", "empty"},
		{"no @", admin(), func(r *invite.Request) { r.Email = "ana" }, nil, problem.Invalid, problem.BadAddress, "invitedUserEmailAddress", "@"},
		{"line break in the address", admin(), func(r *invite.Request) { r.Email = "ana@fabrikam.example\r\nBcc: x@y.example" }, nil, problem.Invalid, problem.BadAddress, "invitedUserEmailAddress", ""},
		{"character Entra refuses", admin(), func(r *invite.Request) { r.Email = "a!b@fabrikam.example" }, nil, problem.Invalid, problem.BadAddress, "invitedUserEmailAddress", "!"},
		{"unknown user type", admin(), func(r *invite.Request) { r.UserType = "Friend" }, nil, problem.Invalid, problem.BadInput, "invitedUserType", ""},
		{"own domain", admin(), func(r *invite.Request) { r.Email = "new@contoso.example" }, nil, problem.Invalid, problem.VerifiedDomain, "invitedUserEmailAddress", "email address is a verified domain of this directory"},
		{"initial domain", admin(), func(r *invite.Request) { r.Email = "new@contoso.onmicrosoft.example" }, nil, problem.Invalid, problem.VerifiedDomain, "invitedUserEmailAddress", "verified domain"},
		{"internal user by mail", admin(), func(r *invite.Request) { r.Email = "ADMIN@contoso.example" }, nil, problem.Invalid, problem.AlreadyInDirectory, "invitedUserEmailAddress", "object ID: user-admin."},
		{"internal user by UPN", admin(), func(r *invite.Request) { r.Email = "member@contoso.example" }, nil, problem.Invalid, problem.AlreadyInDirectory, "invitedUserEmailAddress", "object ID: user-member."},
		{"domain not allowed", admin(), nil, func(p *directory.Policy) { p.AllowedDomains = []string{"litware.example"} }, problem.Denied, problem.DomainBlocked, "invitedUserEmailAddress", "fabrikam.example"},
		{"domain blocked", admin(), nil, func(p *directory.Policy) { p.BlockedDomains = []string{"fabrikam.example"} }, problem.Denied, problem.DomainBlocked, "invitedUserEmailAddress", ""},

		{"name too long", admin(), func(r *invite.Request) { r.DisplayName = long }, nil, problem.Invalid, problem.BadInput, "invitedUserDisplayName", "256"},
		{"line break in the name", admin(), func(r *invite.Request) { r.DisplayName = "Ana\r\nBcc: x@y.example" }, nil, problem.Invalid, problem.BadInput, "invitedUserDisplayName", "control"},
		{"line separator in the name", admin(), func(r *invite.Request) { r.DisplayName = "Ana\u2028Bcc" }, nil, problem.Invalid, problem.BadInput, "invitedUserDisplayName", ""},
		{"next line in the name", admin(), func(r *invite.Request) { r.DisplayName = "Ana\u0085Bcc" }, nil, problem.Invalid, problem.BadInput, "invitedUserDisplayName", ""},
		{"override in the name", admin(), func(r *invite.Request) { r.DisplayName = "Ana\u202egpj" }, nil, problem.Invalid, problem.BadInput, "invitedUserDisplayName", ""},
		{"line break in the name of the copy", admin(), func(r *invite.Request) { r.CC, r.CCName = "b@fabrikam.example", "B\n" }, nil, problem.Invalid, problem.BadInput, "ccRecipients", ""},
		{"copy without an address", admin(), func(r *invite.Request) { r.CCName = "B" }, nil, problem.Invalid, problem.BadInput, "ccRecipients", "no address"},
		{"copy to nonsense", admin(), func(r *invite.Request) { r.CC = "b" }, nil, problem.Invalid, problem.BadAddress, "ccRecipients", "ccRecipients"},
		{"message too long", admin(), func(r *invite.Request) { r.Message = strings.Repeat("ä", invite.MaxMessage+1) }, nil, problem.Invalid, problem.BadInput, "customizedMessageBody", "4000"},
		{"control character in the message", admin(), func(r *invite.Request) { r.Message = "a\x1b[31m" }, nil, problem.Invalid, problem.BadInput, "customizedMessageBody", "control"},
		{"message that is not text", admin(), func(r *invite.Request) { r.Message = "a\xff" }, nil, problem.Invalid, problem.BadInput, "customizedMessageBody", "UTF-8"},
		{"no language tag", admin(), func(r *invite.Request) { r.Language = "Klingon language" }, nil, problem.Invalid, problem.BadInput, "messageLanguage", "en-US"},
		{"redirect over http", admin(), func(r *invite.Request) { r.RedirectURL = "http://app.contoso.example" }, nil, problem.Invalid, problem.BadRedirect, "inviteRedirectUrl", "https"},
		{"redirect to a host that is not listed", admin(), func(r *invite.Request) { r.RedirectURL = "https://evil.example" }, func(p *directory.Policy) { p.RedirectHosts = []string{"app.contoso.example"} }, problem.Invalid, problem.BadRedirect, "inviteRedirectUrl", ""},

		{"unknown group", admin(), func(r *invite.Request) { r.Groups = []string{"Partners", "Pirates"} }, nil, problem.Invalid, problem.UnknownAssignment, "groups", `"Pirates"`},
		{"unknown role", admin(), func(r *invite.Request) { r.Roles = []string{"Emperor"} }, nil, problem.Invalid, problem.UnknownAssignment, "roles", `"Emperor"`},
		{"unknown app", admin(), func(r *invite.Request) { r.Apps = []string{"Doom"} }, nil, problem.Invalid, problem.UnknownAssignment, "apps", `"Doom"`},
		{"too many groups", admin(), func(r *invite.Request) { r.Groups = make([]string, 21) }, nil, problem.Invalid, problem.BadInput, "groups", "20"},
		{"unknown sponsor", admin(), func(r *invite.Request) { r.Sponsors = []directory.UserID{"nobody"} }, nil, problem.Invalid, problem.BadInput, "invitedUserSponsors", `"nobody"`},
		{"too many sponsors", admin(), func(r *invite.Request) { r.Sponsors = make([]directory.UserID, 6) }, nil, problem.Invalid, problem.BadInput, "invitedUserSponsors", "5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			if tt.policy != nil {
				tt.policy(&r.store.policy)
			}
			q := ask("ana@fabrikam.example")
			if tt.edit != nil {
				tt.edit(&q)
			}
			_, err := r.Create(t.Context(), tt.actor, q)
			requireReason(t, err, tt.kind, tt.reason)
			require.Equal(t, tt.field, problem.Of(err).Field)
			require.Contains(t, problem.Of(err).Detail, tt.says)
			require.Zero(t, r.store.tries, "nothing is written")
		})
	}
}

func TestPlusAddressesAreForTheEmulator(t *testing.T) {
	emulator := newRig(t)
	emulator.invite("ana+junk@fabrikam.example")

	service := newRig(t, func(o *invite.Options) { o.Mode.Emulator = false })
	_, err := service.Create(t.Context(), admin(), ask("ana+junk@fabrikam.example"))
	requireReason(t, err, problem.Invalid, problem.BadAddress)

	q := ask("ana@fabrikam.example")
	q.DisplayName = "call me at ana@evil.example"
	_, err = service.Create(t.Context(), admin(), q)
	requireReason(t, err, problem.Invalid, problem.BadInput)
}

func TestCreateForAPendingGuestIsAResend(t *testing.T) {
	r := newRig(t)
	first := r.invite("ana@fabrikam.example")
	second := r.invite("ANA@fabrikam.example")
	require.False(t, second.NewUser)
	require.Equal(t, first.User.ID, second.User.ID)
	require.NotEqual(t, first.Invitation.ID, second.Invitation.ID)
	require.NotEqual(t, first.RedeemURL, second.RedeemURL)
	require.Len(t, r.store.letters, 2)
	require.Equal(t, []audit.Activity{audit.AddUser, audit.InviteExternal, audit.AddSponsor, audit.InviteExternal}, r.store.activities(first.User.ID))
	for _, c := range []invite.Created{first, second} {
		_, err := r.open(c.RedeemURL)
		require.NoError(t, err, "both links work")
	}
}

func TestCreateForAPendingGuestMaySupersede(t *testing.T) {
	r := newRig(t)
	r.store.policy.OnResend = directory.SupersedeLinks
	first := r.invite("ana@fabrikam.example")
	second := r.invite("ana@fabrikam.example")
	_, err := r.open(first.RedeemURL)
	requireReason(t, err, problem.Gone, problem.LinkReplaced)
	_, err = r.open(second.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, mail.Canceled, r.store.deliveries[0].State)
	require.Equal(t, mail.Queued, r.store.deliveries[1].State)
}

func TestCreateForAnAcceptedGuestMailsNothing(t *testing.T) {
	r := newRig(t)
	first := r.invite("ana@fabrikam.example")
	_, err := r.accept(first.RedeemURL)
	require.NoError(t, err)
	q := ask("ana@fabrikam.example")
	q.Groups = []string{"Partners"}
	again, err := r.Create(t.Context(), admin(), q)
	require.NoError(t, err)
	require.Equal(t, first.User.ID, again.User.ID)
	require.NotEmpty(t, again.RedeemURL)
	require.Equal(t, invite.StateAccepted, again.Invitation.StateAt(again.User, r.now()))
	require.Len(t, r.store.letters, 1)
	require.True(t, r.store.members[directory.Membership{Group: "group-partners", User: first.User.ID}])
	red, err := r.open(again.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, invite.StateAccepted, red.State, "the new link is a way back, too")
}

func TestCreateForADisabledGuest(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	r.store.edit(c.User.ID, func(u *directory.User) { u.Enabled = false })
	_, err := r.Create(t.Context(), admin(), ask("ana@fabrikam.example"))
	requireReason(t, err, problem.Invalid, problem.AccountDisabled)
	require.Contains(t, problem.Of(err).Detail, "object ID: "+string(c.User.ID)+", but the account is blocked from signing in.")
}

func TestCreateAfterDeletionMakesANewGuest(t *testing.T) {
	r := newRig(t)
	first := r.invite("ana@fabrikam.example")
	r.store.edit(first.User.ID, func(u *directory.User) { u.Deleted = r.now(); u.Generation++ })
	second := r.invite("ana@fabrikam.example")
	require.True(t, second.NewUser)
	require.NotEqual(t, first.User.ID, second.User.ID)
}

func TestCreateFindsAnotherUPNIfTheUsualIsTaken(t *testing.T) {
	r := newRig(t)
	first := r.invite("ana@fabrikam.example")
	r.store.edit(first.User.ID, func(u *directory.User) {
		u.Mail, u.OtherMails, u.ProxyAddresses = "ana@litware.example", nil, []string{"SMTP:ana@litware.example"}
	})
	second := r.invite("ana@fabrikam.example")
	require.True(t, second.NewUser)
	require.Contains(t, second.User.UPN, "ana_fabrikam.example_")
	require.Contains(t, second.User.UPN, "#EXT#@contoso.onmicrosoft.example")
}

func TestCreateDecidesAgainWhenStale(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	tries := 0
	r.store.before = func(int, invite.Change) error {
		if tries++; tries < 5 {
			r.store.edit(c.User.ID, func(u *directory.User) { u.JobTitle = "Buyer" })
		}
		return nil
	}
	second := r.invite("ana@fabrikam.example")
	require.Equal(t, 5, tries)
	require.Equal(t, "Buyer", r.store.users[second.User.ID].JobTitle, "the other writer's change survives")
	require.Len(t, r.store.letters, 2)

	r.store.before = func(int, invite.Change) error { return directory.ErrStale }
	_, err := r.Create(t.Context(), admin(), ask("ana@fabrikam.example"))
	requireReason(t, err, problem.Unavailable, problem.Busy)
	require.NotZero(t, problem.Of(err).RetryAfter)
}

func TestCreateTranslatesWhatTheStoreSays(t *testing.T) {
	tests := []struct {
		err    error
		kind   problem.Kind
		reason problem.Reason
	}{
		{directory.ErrFull, problem.Full, problem.StorageFull},
		{directory.ErrBusy, problem.Unavailable, problem.Busy},
		{errDisk, problem.Internal, problem.NoReason},
	}
	for _, tt := range tests {
		r := newRig(t)
		r.store.before = func(int, invite.Change) error { return tt.err }
		_, err := r.Create(t.Context(), admin(), ask("ana@fabrikam.example"))
		requireReason(t, err, tt.kind, tt.reason)
		require.NotContains(t, problem.Of(err).Detail, "sector")
	}
	r := newRig(t)
	for _, method := range []string{"Tenant", "Policy", "UserByAddress", "MailCounts"} {
		r.store.fail = map[string]error{method: errDisk}
		_, err := r.Create(t.Context(), admin(), ask("ana@fabrikam.example"))
		require.ErrorIs(t, err, errDisk, method)
	}
	r.store.fail, r.pen.fail = nil, errDisk
	_, err := r.Create(t.Context(), admin(), ask("ana@fabrikam.example"))
	requireReason(t, err, problem.Internal, problem.NoReason)
	require.Zero(t, r.store.tries)
}

func TestSendingLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits directory.Limits
		emails []string // all but the last go through
		after  time.Duration
		wait   time.Duration
	}{
		{"mailbox in five minutes", directory.Limits{RecipientPer5Min: 1}, []string{"ana@fabrikam.example", "ana@fabrikam.example"}, time.Minute, 4 * time.Minute},
		{"mailbox in another spelling", directory.Limits{RecipientPer5Min: 1}, []string{"ana.b@fabrikam.example", "AnaB+x@fabrikam.example"}, time.Minute, 4 * time.Minute},
		{"mailbox in a day", directory.Limits{RecipientPerDay: 1}, []string{"ana@fabrikam.example", "ana@fabrikam.example"}, time.Hour, 23 * time.Hour},
		{"domain", directory.Limits{DomainPerHour: 1}, []string{"ana@fabrikam.example", "ben@fabrikam.example"}, time.Minute, 10 * time.Minute},
		{"inviter in a minute", directory.Limits{InviterPerMinute: 1}, []string{"ana@fabrikam.example", "ben@litware.example"}, time.Second, time.Minute},
		{"inviter in a day", directory.Limits{InviterPerDay: 2}, []string{"ana@fabrikam.example", "ben@litware.example", "cyd@litware.example"}, time.Hour, time.Hour},
		{"organisation", directory.Limits{TenantPerDay: 1}, []string{"ana@fabrikam.example", "ben@litware.example"}, time.Hour, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.store.policy.Limits = tt.limits
			last := len(tt.emails) - 1
			for _, e := range tt.emails[:last] {
				r.invite(e)
			}
			r.advance(tt.after)
			_, err := r.Create(t.Context(), admin(), ask(tt.emails[last]))
			requireReason(t, err, problem.TooMany, problem.RateLimited)
			require.Equal(t, tt.wait, problem.Of(err).RetryAfter)

			q := ask(tt.emails[last])
			q.SendMessage = false
			_, err = r.Create(t.Context(), admin(), q)
			require.NoError(t, err, "without mail there is no limit")
		})
	}
}

func TestReset(t *testing.T) {
	r := newRig(t)
	first := r.invite("ana@fabrikam.example")
	_, err := r.accept(first.RedeemURL)
	require.NoError(t, err)
	r.store.edit(first.User.ID, func(u *directory.User) { u.OtherMails = append(u.OtherMails, "ana@litware.example") })
	upn := r.store.users[first.User.ID].UPN
	r.advance(time.Hour)

	q := ask("ana@litware.example")
	q.ResetRedemption, q.User = true, first.User.ID
	c, err := r.Create(t.Context(), person(directory.HelpdeskAdministrator), q)
	require.NoError(t, err)
	require.False(t, c.NewUser)
	u := r.store.users[first.User.ID]
	require.Equal(t, directory.Pending, u.State)
	require.Equal(t, r.now(), u.StateChanged)
	require.Equal(t, 2, u.Generation)
	require.Equal(t, upn, u.UPN)
	require.Equal(t, 1, r.store.count(audit.InviteReset))

	_, err = r.open(first.RedeemURL)
	requireReason(t, err, problem.Gone, problem.LinkReplaced)
	red, err := r.accept(c.RedeemURL)
	require.NoError(t, err)
	require.Equal(t, "ana@litware.example", red.Guest.Identities[0].IssuerAssignedID)
	require.Equal(t, 2, r.store.count(audit.RedeemInvite))
}

func TestResetRefuses(t *testing.T) {
	tests := []struct {
		name   string
		actor  directory.Actor
		edit   func(*rig, *invite.Request)
		kind   problem.Kind
		reason problem.Reason
		says   string
	}{
		{"Guest Inviter", person(directory.GuestInviter), nil, problem.Denied, problem.RoleRequired, "Helpdesk Administrator"},
		{"no user", admin(), func(_ *rig, q *invite.Request) { q.User = "" }, problem.Invalid, problem.BadInput, "invitedUser"},
		{"unknown user", admin(), func(_ *rig, q *invite.Request) { q.User = "nobody" }, problem.NotFound, problem.Missing, "invitedUser"},
		{"deleted user", admin(), func(r *rig, q *invite.Request) {
			r.store.edit(q.User, func(u *directory.User) { u.Deleted = r.now() })
		}, problem.NotFound, problem.Missing, ""},
		{"member", admin(), func(_ *rig, q *invite.Request) { q.User = memberM }, problem.Invalid, problem.BadInput, "not a guest"},
		{"disabled guest", admin(), func(r *rig, q *invite.Request) {
			r.store.edit(q.User, func(u *directory.User) { u.Enabled = false })
		}, problem.Invalid, problem.AccountDisabled, "blocked from signing in"},
		{"foreign address", admin(), func(_ *rig, q *invite.Request) { q.Email = "ana@litware.example" }, problem.Invalid, problem.BadAddress,
			"The email you're using to invite this user doesn't match any emails on the user object. Please add this email to the user object and try again."},
		{"blocked domain", admin(), func(r *rig, _ *invite.Request) { r.store.policy.BlockedDomains = []string{"fabrikam.example"} }, problem.Denied, problem.DomainBlocked, ""},
		{"guest with a role, by an application", app(directory.PermUserWrite), func(r *rig, q *invite.Request) {
			r.store.roles[directory.RoleAssignment{Role: directory.GuestInviter, User: q.User}] = true
		}, problem.Denied, problem.RoleRequired, "directory role"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			c := r.invite("ana@fabrikam.example")
			q := ask("ana@fabrikam.example")
			q.ResetRedemption, q.User = true, c.User.ID
			if tt.edit != nil {
				tt.edit(r, &q)
			}
			before := r.store.applies
			_, err := r.Create(t.Context(), tt.actor, q)
			requireReason(t, err, tt.kind, tt.reason)
			require.Contains(t, problem.Of(err).Detail, tt.says)
			require.Equal(t, before, r.store.applies)
		})
	}
}
