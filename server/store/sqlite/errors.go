package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"invited/server/directory"
)

// code returns the result code of an engine error, extended, and 0 for others.
func code(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code()
	}
	return 0
}

// translate turns an engine error into the one the contract names. Other
// errors pass.
//
// A violated key means that the change was decided on a state that is gone: an
// address was taken, a group deleted, an id used.
func translate(err error) error {
	c := code(err)
	switch c & 0xff {
	case codes.SQLITE_FULL:
		return fmt.Errorf("%w: %w", directory.ErrFull, err)
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", directory.ErrBusy, err)
	}
	switch c {
	case codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY, codes.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", directory.ErrStale, err)
	case codes.SQLITE_IOERR_SHMSIZE, codes.SQLITE_IOERR_SHMMAP, codes.SQLITE_IOERR_WRITE:
		// The WAL's index cannot grow, or a quota cut a write short.
		return fmt.Errorf("%w: %w", directory.ErrFull, err)
	}
	return err
}

// endsTransaction says whether the engine may have rolled back more than the
// statement that failed.
func endsTransaction(err error) bool {
	switch code(err) & 0xff {
	case codes.SQLITE_FULL, codes.SQLITE_IOERR, codes.SQLITE_NOMEM, codes.SQLITE_BUSY, codes.SQLITE_INTERRUPT,
		codes.SQLITE_CORRUPT, codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN:
		return true
	}
	return false
}
