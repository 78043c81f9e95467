// Package store joins the storage that the server's packages ask for into the
// one contract an engine has to keep.
//
// What an engine must promise is written as tests in package storetest.
package store

import (
	"context"

	"invited/mail/outbox"
	"invited/server/invite"
	"invited/server/session"
	"invited/server/tenant"
)

// Store is everything an engine implements. It is safe for concurrent use.
//
// A method that changes something returns only after the change is on stable
// storage. It returns directory.ErrFull if there is no space and
// directory.ErrBusy if no lock was free in time; then nothing was stored.
type Store interface {
	invite.Store
	tenant.Store
	session.Store
	outbox.Store
	outbox.Renewer
	outbox.Postponer
	outbox.Meter

	// Ping reports whether the engine can serve.
	Ping(ctx context.Context) error
	// Close releases the engine. Work that was accepted is finished first.
	Close() error
}
