package session

import (
	"context"

	"invited/server/directory"
)

// Store is the storage this package needs. Methods that find nothing return
// directory.ErrNotFound.
type Store interface {
	Application(ctx context.Context, t directory.TenantID, clientID string) (directory.Application, error)
	CreateApplication(ctx context.Context, a directory.Application) error
	UserByUPN(ctx context.Context, t directory.TenantID, upn string) (directory.User, error)
	User(ctx context.Context, t directory.TenantID, id directory.UserID) (directory.User, error)
	UserRoles(ctx context.Context, t directory.TenantID, u directory.UserID) ([]directory.RoleID, error)
}
