package tenant

import (
	"context"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
)

// Store is the storage this package needs. Methods that find nothing return
// directory.ErrNotFound. Lists are paged by key, as in package invite.
type Store interface {
	Tenant(ctx context.Context, id directory.TenantID) (directory.Tenant, error)
	Tenants(ctx context.Context, after directory.TenantID, limit int) ([]directory.Tenant, error)
	// CreateTenant stores a tenant with its policy; ErrStale if it exists.
	CreateTenant(ctx context.Context, t directory.Tenant, p directory.Policy) error
	Policy(ctx context.Context, id directory.TenantID) (directory.Policy, error)

	User(ctx context.Context, t directory.TenantID, id directory.UserID) (directory.User, error)
	UserByUPN(ctx context.Context, t directory.TenantID, upn string) (directory.User, error)
	UserByAddress(ctx context.Context, t directory.TenantID, a mail.Address) (directory.User, error)
	ListUsers(ctx context.Context, t directory.TenantID, q UserQuery) ([]directory.User, error)

	Group(ctx context.Context, t directory.TenantID, id directory.GroupID) (directory.Group, error)
	GroupByName(ctx context.Context, t directory.TenantID, idOrName string) (directory.Group, error)
	ListGroups(ctx context.Context, t directory.TenantID, after directory.GroupID, limit int) ([]directory.Group, error)
	UserGroups(ctx context.Context, t directory.TenantID, u directory.UserID) ([]directory.Group, error)
	GroupMembers(ctx context.Context, t directory.TenantID, g directory.GroupID, after directory.UserID, limit int) ([]directory.User, error)

	App(ctx context.Context, t directory.TenantID, id directory.AppID) (directory.App, error)
	AppByName(ctx context.Context, t directory.TenantID, idOrName string) (directory.App, error)
	ListApps(ctx context.Context, t directory.TenantID, after directory.AppID, limit int) ([]directory.App, error)
	UserApps(ctx context.Context, t directory.TenantID, u directory.UserID) ([]directory.App, error)
	UserRoles(ctx context.Context, t directory.TenantID, u directory.UserID) ([]directory.RoleID, error)

	Home(ctx context.Context, t directory.TenantID, a mail.Address) (h directory.HomeTenant, account bool, err error)
	HomeByDomain(ctx context.Context, t directory.TenantID, domain string) (directory.HomeTenant, error)
	ListHomes(ctx context.Context, t directory.TenantID, after string, limit int) ([]directory.HomeTenant, error)
	HomeAccounts(ctx context.Context, t directory.TenantID, domain, after string, limit int) ([]string, error)

	// CreateApplication stores a client application. It is also part of
	// session.Store.
	CreateApplication(ctx context.Context, a directory.Application) error

	ListEvents(ctx context.Context, t directory.TenantID, q EventQuery) ([]audit.Event, error)

	// ApplyDirectory applies a change whole, durably, or not at all. It
	// returns directory.ErrStale, ErrFull or ErrBusy.
	ApplyDirectory(ctx context.Context, c directory.Change) error
}

// UserQuery selects users, by id ascending; with a prefix, by the prefixed
// field and then by id. Fields that are set are ANDed; each combination is
// served by an index.
type UserQuery struct {
	Type       directory.UserType      // exact
	State      directory.ExternalState // exact; NotExternal does not filter
	ID         directory.UserID        // exact
	UPN        string                  // exact, ignoring case
	Address    string                  // exact key of mail, other mail or proxy address
	MailPrefix string                  // ignoring case
	NamePrefix string                  // of displayName, ignoring case
	Deleted    bool                    // only soft-deleted users, instead of only live ones
	After      directory.UserID
	Limit      int // 1 to 999
}

// EventQuery selects audit events, newest first.
type EventQuery struct {
	User   directory.UserID // only events about this user
	Before string           // id of the last event of the page before
	Limit  int
}
