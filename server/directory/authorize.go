package directory

import (
	"fmt"
	"slices"
	"strings"

	"invited/server/problem"
)

// Action is something an [Actor] may ask for.
type Action string

// The actions.
const (
	InviteGuest      Action = "invite a guest"
	InviteMember     Action = "invite a member"
	ResetRedemption  Action = "reset a redemption"
	ResendInvitation Action = "resend an invitation"
	RevokeInvitation Action = "revoke an invitation"
	ReadInvitations  Action = "read invitations"
	ReadUsers        Action = "read users"
	ManageUsers      Action = "change users"
	DeleteUser       Action = "delete and restore users"
	ReadGroups       Action = "read groups"
	ManageGroups     Action = "change groups and their members"
	ReadApps         Action = "read apps"
	ManageApps       Action = "change apps and who may open them"
	ReadRoles        Action = "read role assignments"
	AssignRole       Action = "assign roles"
	ReadPolicy       Action = "read policies"
	ManagePolicy     Action = "change policies"
	ReadHomes        Action = "read home organisations"
	ManageHomes      Action = "change home organisations"
	ReadAudit        Action = "read the audit log"
)

// The permissions of applications, and scopes of people, that open an action.
// Source: Microsoft Graph permissions reference, by name.
const (
	PermInvite        = "User.Invite.All"
	PermUserRead      = "User.Read.All"
	PermUserWrite     = "User.ReadWrite.All"
	PermGroupRead     = "Group.Read.All"
	PermGroupWrite    = "Group.ReadWrite.All"
	PermMemberWrite   = "GroupMember.ReadWrite.All"
	PermAppRead       = "Application.Read.All"
	PermAppWrite      = "Application.ReadWrite.All"
	PermAppAssign     = "AppRoleAssignment.ReadWrite.All"
	PermRoleRead      = "RoleManagement.Read.Directory"
	PermRoleWrite     = "RoleManagement.ReadWrite.Directory"
	PermPolicyRead    = "Policy.Read.All"
	PermPolicyWrite   = "Policy.ReadWrite.Authorization"
	PermAuditRead     = "AuditLog.Read.All"
	PermDirectoryRead = "Directory.Read.All"
	PermDirectory     = "Directory.ReadWrite.All"
)

// AllPermissions returns every permission the rules know.
func AllPermissions() []string {
	return []string{
		PermInvite, PermUserRead, PermUserWrite, PermGroupRead, PermGroupWrite, PermMemberWrite, PermAppRead, PermAppWrite,
		PermAppAssign, PermRoleRead, PermRoleWrite, PermPolicyRead, PermPolicyWrite, PermAuditRead, PermDirectoryRead, PermDirectory,
	}
}

// A rule says who may do one thing. People need one of the roles, unless every
// member may; programs need one of the permissions.
type rule struct {
	roles       []RoleID
	members     bool // any member may, without a role
	permissions []string
}

var (
	admins   = []RoleID{GlobalAdministrator, UserAdministrator}
	inviters = []RoleID{GlobalAdministrator, UserAdministrator, GuestInviter}
	helpers  = []RoleID{GlobalAdministrator, UserAdministrator, HelpdeskAdministrator}
	owner    = []RoleID{GlobalAdministrator}
)

// rules is the whole of who may do what, apart from allowInvitesFrom.
//
// PermDirectory opens policies and home organisations too, which Entra keeps
// behind permissions of their own: the application a new tenant starts with
// should be able to set up a test without asking for more.
var rules = map[Action]rule{
	InviteGuest:      {inviters, false, []string{PermInvite, PermUserWrite, PermDirectory}},
	InviteMember:     {owner, false, []string{PermDirectory}},
	ResetRedemption:  {helpers, false, []string{PermUserWrite, PermDirectory}},
	ResendInvitation: {inviters, false, []string{PermInvite, PermUserWrite, PermDirectory}},
	RevokeInvitation: {inviters, false, []string{PermInvite, PermUserWrite, PermDirectory}},
	ReadInvitations:  {append(slices.Clone(inviters), HelpdeskAdministrator), false, []string{PermInvite, PermUserRead, PermUserWrite, PermDirectoryRead, PermDirectory}},
	ReadUsers:        {nil, true, []string{PermUserRead, PermUserWrite, PermDirectoryRead, PermDirectory}},
	ManageUsers:      {admins, false, []string{PermUserWrite, PermDirectory}},
	DeleteUser:       {admins, false, []string{PermUserWrite, PermDirectory}},
	ReadGroups:       {nil, true, []string{PermGroupRead, PermGroupWrite, PermMemberWrite, PermDirectoryRead, PermDirectory}},
	ManageGroups:     {admins, false, []string{PermGroupWrite, PermMemberWrite, PermDirectory}},
	ReadApps:         {nil, true, []string{PermAppRead, PermAppWrite, PermAppAssign, PermDirectoryRead, PermDirectory}},
	ManageApps:       {admins, false, []string{PermAppWrite, PermAppAssign, PermDirectory}},
	ReadRoles:        {nil, true, []string{PermRoleRead, PermRoleWrite, PermDirectoryRead, PermDirectory}},
	AssignRole:       {owner, false, []string{PermRoleWrite}},
	ReadPolicy:       {nil, true, []string{PermPolicyRead, PermPolicyWrite, PermDirectoryRead, PermDirectory}},
	ManagePolicy:     {owner, false, []string{PermPolicyWrite, PermDirectory}},
	ReadHomes:        {inviters, false, []string{PermUserRead, PermPolicyRead, PermDirectoryRead, PermDirectory}},
	ManageHomes:      {owner, false, []string{PermPolicyWrite, PermDirectory}},
	ReadAudit:        {admins, false, []string{PermAuditRead, PermDirectory}},
}

// inviteActions are the actions that allowInvitesFrom governs.
var inviteActions = []Action{InviteGuest, InviteMember, ResendInvitation}

// Authorize returns nil if a may do op in its tenant, else a Denied problem
// that names what is missing. Programs are judged by permissions alone: Entra
// applies allowInvitesFrom to people only.
func (a Actor) Authorize(op Action, p Policy) error {
	r, known := rules[op]
	switch {
	case !known:
		return denied(problem.RoleRequired, fmt.Sprintf("Nobody may %s.", op))
	case a.Application:
		return r.program(a, op)
	case len(a.Permissions) > 0 && !holdsAny(a.Permissions, r.permissions):
		return denied(problem.RoleRequired, fmt.Sprintf("To %s, the access token needs one of the scopes %s.", op, strings.Join(r.permissions, ", ")))
	case slices.Contains(inviteActions, op):
		return r.invite(a, op, p)
	case r.members && !a.Guest, holdsAny(a.Roles, r.roles):
		return nil
	default:
		return r.needsRole(op)
	}
}

// program judges an application.
func (r rule) program(a Actor, op Action) error {
	if holdsAny(a.Permissions, r.permissions) {
		return nil
	}
	return denied(problem.RoleRequired,
		fmt.Sprintf("Insufficient privileges to complete the operation. To %s, the application needs one of the permissions %s.", op, strings.Join(r.permissions, ", ")))
}

// invitesFrom says who may invite besides nobody at all.
var invitesFrom = map[InvitesFrom]struct{ roles, members, guests bool }{
	InvitesFromNone:     {},
	InvitesFromAdmins:   {roles: true},
	InvitesFromMembers:  {roles: true, members: true},
	InvitesFromEveryone: {roles: true, members: true, guests: true},
}

// invite judges a person by allowInvitesFrom and by role. Inviting a member
// needs the role of the rule whatever allowInvitesFrom says.
func (r rule) invite(a Actor, op Action, p Policy) error {
	may := invitesFrom[p.InvitesFrom]
	allowed := may.roles && holdsAny(a.Roles, inviters) ||
		may.members && !a.Guest ||
		may.guests && a.Guest
	if !allowed {
		return denied(problem.InvitesNotAllowed,
			"Guest invitations not allowed for your company. Contact your company administrator for more details.")
	}
	if op == InviteMember && !holdsAny(a.Roles, r.roles) {
		return r.needsRole(op)
	}
	return nil
}

// needsRole is the refusal of a person who lacks a role.
func (r rule) needsRole(op Action) error {
	if len(r.roles) == 0 {
		return denied(problem.RoleRequired, fmt.Sprintf("Guests may not %s.", op))
	}
	names := make([]string, len(r.roles))
	for i, id := range r.roles {
		role, _ := RoleByName(string(id))
		names[i] = role.DisplayName
	}
	return denied(problem.RoleRequired,
		fmt.Sprintf("Insufficient privileges to complete the operation. To %s, one of these roles is needed: %s.", op, strings.Join(names, ", ")))
}

// AuthorizeOver returns nil if a may change or delete a user who holds the
// given roles. Who holds a role is only touched by those who may assign roles:
// otherwise a weaker administrator could lock a stronger one out.
func (a Actor) AuthorizeOver(held []RoleID, p Policy) error {
	if len(held) == 0 {
		return nil
	}
	if a.Authorize(AssignRole, p) == nil {
		return nil
	}
	return denied(problem.RoleRequired, "The user holds a directory role. Only a Global Administrator may change such a user.")
}

// denied returns a Denied problem.
func denied(reason problem.Reason, detail string) error {
	return &problem.Error{Op: "directory.Authorize", Kind: problem.Denied, Reason: reason, Detail: detail}
}

// holdsAny reports whether have contains one of want.
func holdsAny[T comparable](have, want []T) bool {
	return slices.ContainsFunc(want, func(w T) bool { return slices.Contains(have, w) })
}
