package directory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/problem"
)

// The kinds of caller the tables name.
var actors = map[string]directory.Actor{
	"global":   {Roles: []directory.RoleID{directory.GlobalAdministrator}},
	"useradm":  {Roles: []directory.RoleID{directory.UserAdministrator}},
	"inviter":  {Roles: []directory.RoleID{directory.GuestInviter}},
	"helpdesk": {Roles: []directory.RoleID{directory.HelpdeskAdministrator}},
	"member":   {},
	"guest":    {Guest: true},
	// A guest who was made an administrator is one.
	"guestadm": {Guest: true, Roles: []directory.RoleID{directory.UserAdministrator}},
}

// everyActor is the order in which the tables list who may.
var everyActor = []string{"global", "useradm", "inviter", "helpdesk", "member", "guest", "guestadm"}

func TestAllowInvitesFrom(t *testing.T) {
	tests := []struct {
		setting directory.InvitesFrom
		action  directory.Action
		may     []string
	}{
		{directory.InvitesFromNone, directory.InviteGuest, nil},
		{directory.InvitesFromNone, directory.ResendInvitation, nil},
		{directory.InvitesFromNone, directory.InviteMember, nil},
		{directory.InvitesFromAdmins, directory.InviteGuest, []string{"global", "useradm", "inviter", "guestadm"}},
		{directory.InvitesFromAdmins, directory.ResendInvitation, []string{"global", "useradm", "inviter", "guestadm"}},
		{directory.InvitesFromAdmins, directory.InviteMember, []string{"global"}},
		{directory.InvitesFromMembers, directory.InviteGuest, []string{"global", "useradm", "inviter", "helpdesk", "member", "guestadm"}},
		{directory.InvitesFromMembers, directory.InviteMember, []string{"global"}},
		{directory.InvitesFromEveryone, directory.InviteGuest, everyActor},
		{directory.InvitesFromEveryone, directory.ResendInvitation, everyActor},
		{directory.InvitesFromEveryone, directory.InviteMember, []string{"global"}},
		{"", directory.InviteGuest, nil},
		{"sometimes", directory.InviteGuest, nil},
	}
	for _, tt := range tests {
		for _, name := range everyActor {
			t.Run(string(tt.setting)+" lets "+name+" "+string(tt.action), func(t *testing.T) {
				err := actors[name].Authorize(tt.action, directory.Policy{InvitesFrom: tt.setting})
				requireAllowed(t, contains(tt.may, name), err)
			})
		}
	}
}

func TestAuthorizePeople(t *testing.T) {
	tests := []struct {
		action directory.Action
		may    []string
	}{
		{directory.ResetRedemption, []string{"global", "useradm", "helpdesk", "guestadm"}},
		{directory.RevokeInvitation, []string{"global", "useradm", "inviter", "guestadm"}},
		{directory.ReadInvitations, []string{"global", "useradm", "inviter", "helpdesk", "guestadm"}},
		{directory.ReadUsers, []string{"global", "useradm", "inviter", "helpdesk", "member"}},
		{directory.ManageUsers, []string{"global", "useradm", "guestadm"}},
		{directory.DeleteUser, []string{"global", "useradm", "guestadm"}},
		{directory.ReadGroups, []string{"global", "useradm", "inviter", "helpdesk", "member"}},
		{directory.ManageGroups, []string{"global", "useradm", "guestadm"}},
		{directory.ReadApps, []string{"global", "useradm", "inviter", "helpdesk", "member"}},
		{directory.ManageApps, []string{"global", "useradm", "guestadm"}},
		{directory.ReadRoles, []string{"global", "useradm", "inviter", "helpdesk", "member"}},
		{directory.AssignRole, []string{"global"}},
		{directory.ReadPolicy, []string{"global", "useradm", "inviter", "helpdesk", "member"}},
		{directory.ManagePolicy, []string{"global"}},
		{directory.ReadHomes, []string{"global", "useradm", "inviter", "guestadm"}},
		{directory.ManageHomes, []string{"global"}},
		{directory.ReadAudit, []string{"global", "useradm", "guestadm"}},
		{"fly", nil},
	}
	for _, tt := range tests {
		for _, name := range everyActor {
			t.Run(name+" to "+string(tt.action), func(t *testing.T) {
				// allowInvitesFrom is of no matter to these actions.
				err := actors[name].Authorize(tt.action, directory.Policy{InvitesFrom: directory.InvitesFromNone})
				requireAllowed(t, contains(tt.may, name), err)
			})
		}
	}
}

func TestAuthorizeApplications(t *testing.T) {
	const (
		invite = directory.PermInvite
		users  = directory.PermUserWrite
		groups = directory.PermGroupWrite
		dir    = directory.PermDirectory
	)
	tests := []struct {
		action directory.Action
		may    []string
		not    []string
	}{
		{directory.InviteGuest, []string{invite, users, dir}, []string{groups, directory.PermUserRead, directory.PermDirectoryRead}},
		{directory.InviteMember, []string{dir}, []string{invite, users, groups}},
		{directory.ResetRedemption, []string{users, dir}, []string{invite, groups}},
		{directory.ResendInvitation, []string{invite, users, dir}, []string{groups}},
		{directory.RevokeInvitation, []string{invite, users, dir}, []string{groups}},
		{directory.ReadInvitations, []string{invite, users, dir, directory.PermUserRead}, []string{groups}},
		{directory.ReadUsers, []string{users, dir, directory.PermUserRead, directory.PermDirectoryRead}, []string{invite, groups}},
		{directory.ManageUsers, []string{users, dir}, []string{invite, directory.PermUserRead}},
		{directory.DeleteUser, []string{users, dir}, []string{invite, directory.PermUserRead}},
		{directory.ReadGroups, []string{groups, dir, directory.PermGroupRead}, []string{invite, users}},
		{directory.ManageGroups, []string{groups, dir, directory.PermMemberWrite}, []string{invite, directory.PermGroupRead}},
		{directory.ReadApps, []string{dir, directory.PermAppRead}, []string{invite}},
		{directory.ManageApps, []string{dir, directory.PermAppAssign}, []string{invite, directory.PermAppRead}},
		{directory.ReadRoles, []string{dir, directory.PermRoleRead}, []string{invite}},
		{directory.AssignRole, []string{directory.PermRoleWrite}, []string{invite, users, groups, dir}},
		{directory.ReadPolicy, []string{dir, directory.PermPolicyRead}, []string{invite}},
		{directory.ManagePolicy, []string{dir, directory.PermPolicyWrite}, []string{invite, directory.PermPolicyRead}},
		{directory.ReadHomes, []string{dir, directory.PermUserRead}, []string{invite}},
		{directory.ManageHomes, []string{dir, directory.PermPolicyWrite}, []string{invite, users}},
		{directory.ReadAudit, []string{dir, directory.PermAuditRead}, []string{invite, users}},
	}
	for _, tt := range tests {
		t.Run(string(tt.action), func(t *testing.T) {
			for _, p := range tt.may {
				app := directory.Actor{Application: true, Permissions: []string{p}}
				// Entra applies allowInvitesFrom to people only.
				require.NoError(t, app.Authorize(tt.action, directory.Policy{InvitesFrom: directory.InvitesFromNone}), p)
			}
			for _, p := range append(tt.not, "") {
				app := directory.Actor{Application: true, Permissions: []string{p}, Roles: []directory.RoleID{directory.GlobalAdministrator}}
				err := app.Authorize(tt.action, directory.Policy{InvitesFrom: directory.InvitesFromEveryone})
				require.True(t, problem.Has(err, problem.RoleRequired), p)
			}
			require.NoError(t, directory.Actor{Application: true, Permissions: directory.AllPermissions()}.Authorize(tt.action, directory.Policy{}))
		})
	}
}

func TestScopesNarrowWhatAPersonMay(t *testing.T) {
	p := directory.Policy{InvitesFrom: directory.InvitesFromAdmins}
	admin := actors["global"]
	admin.Permissions = []string{directory.PermUserRead}
	require.NoError(t, admin.Authorize(directory.ReadUsers, p))
	err := admin.Authorize(directory.InviteGuest, p)
	require.True(t, problem.Has(err, problem.RoleRequired))
	require.Contains(t, problem.Of(err).Detail, directory.PermInvite, "the remedy names the scope")

	member := actors["member"]
	member.Permissions = directory.AllPermissions()
	require.Error(t, member.Authorize(directory.ManageUsers, p), "a scope does not replace a role")
}

func TestWhoHoldsARoleIsTouchedByGlobalAdministratorsOnly(t *testing.T) {
	held := []directory.RoleID{directory.GuestInviter}
	require.NoError(t, actors["global"].AuthorizeOver(held, directory.Policy{}))
	require.NoError(t, actors["useradm"].AuthorizeOver(nil, directory.Policy{}))
	require.True(t, problem.Is(actors["useradm"].AuthorizeOver(held, directory.Policy{}), problem.Denied))
	app := directory.Actor{Application: true, Permissions: []string{directory.PermDirectory}}
	require.True(t, problem.Is(app.AuthorizeOver(held, directory.Policy{}), problem.Denied))
}

func TestRoleByName(t *testing.T) {
	for _, name := range []string{"Guest Inviter", "guest inviter", string(directory.GuestInviter)} {
		r, ok := directory.RoleByName(name)
		require.True(t, ok, name)
		require.Equal(t, directory.GuestInviter, r.ID)
	}
	_, ok := directory.RoleByName("Emperor")
	require.False(t, ok)
	require.Len(t, directory.Roles(), 4)
}

// requireAllowed checks that err is nil if want says so, else a Denied problem
// with a reason and a sentence.
func requireAllowed(t *testing.T, want bool, err error) {
	t.Helper()
	if want {
		require.NoError(t, err)
		return
	}
	p := problem.Of(err)
	require.Equal(t, problem.Denied, p.Kind)
	require.NotEqual(t, problem.NoReason, p.Reason)
	require.NotEmpty(t, p.Detail)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
