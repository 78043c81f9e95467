package directory

import "strings"

// The directory roles this server knows, by the template ids Entra gives them.
// Source: Graph resource directoryRoleTemplate.
const (
	GlobalAdministrator   RoleID = "62e90394-69f5-4237-9190-012177145e10"
	UserAdministrator     RoleID = "fe930be7-5e62-47db-91af-98c3a49a38b1"
	GuestInviter          RoleID = "95e79109-95c0-4d8e-aee3-d01accf2d47b"
	HelpdeskAdministrator RoleID = "729827e3-9c14-49f7-bb1b-9608f156bbb8"
)

// Role is a directory role as people see it.
type Role struct {
	ID          RoleID
	DisplayName string
	Description string // one sentence
}

// roles is every role, most powerful first.
var roles = []Role{
	{GlobalAdministrator, "Global Administrator", "May do everything in the organisation, assigning roles included."},
	{UserAdministrator, "User Administrator", "Manages users, guests, groups and who may open which app."},
	{GuestInviter, "Guest Inviter", "Invites guests, sends their invitations again and withdraws them."},
	{HelpdeskAdministrator, "Helpdesk Administrator", "Lets a guest redeem again with another account."},
}

// Roles returns every role, most powerful first.
func Roles() []Role { return append([]Role(nil), roles...) }

// RoleByName finds a role by template id or display name, ignoring case.
func RoleByName(idOrName string) (Role, bool) {
	for _, r := range roles {
		if strings.EqualFold(string(r.ID), idOrName) || strings.EqualFold(r.DisplayName, idOrName) {
			return r, true
		}
	}
	return Role{}, false
}
