package directory

// Actor is who asks for an operation. [Actor.Authorize] says whether they may.
type Actor struct {
	Tenant      TenantID
	Application bool   // a program with application permissions, not a person
	ID          string // user id or application object id
	Name        string // UPN or application name, for the audit log
	DisplayName string // empty for applications
	Mail        string // Reply-To of their invitations; may be empty
	Guest       bool
	Roles       []RoleID // of a person
	Permissions []string // of an application, or the scopes a person consented to
	Correlation string   // request id, copied to audit events
}
