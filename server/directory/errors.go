package directory

import "errors"

// Errors a store answers with. They are not for people: services turn them
// into problems.
var (
	// ErrNotFound: no such row in this tenant.
	ErrNotFound = errors.New("directory: not found")
	// ErrStale: the change was made from a state that is no longer current;
	// read again and decide anew.
	ErrStale = errors.New("directory: stale")
	// ErrFull: the disk or a quota is full; nothing was stored.
	ErrFull = errors.New("directory: storage full")
	// ErrBusy: no lock or connection was free in time; nothing was stored.
	ErrBusy = errors.New("directory: busy")
)
