package postgres

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"invited/server/directory"
)

// Result codes of the server, from Appendix A of PostgreSQL's manual.
const (
	readOnlyTransaction  = "25006" // we still talk to what used to be the primary
	foreignKeyViolation  = "23503"
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	undefinedFunction    = "42883"
	featureNotSupported  = "0A000"
	diskFull             = "53100"
	tooManyConnections   = "53300"
	lockNotAvailable     = "55P03"
	queryCanceled        = "57014" // by statement_timeout
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	cannotConnectNow     = "57P03"
	idleSessionTimeout   = "57P05"
)

// code returns the server's result code; empty if the error is not the
// server's.
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// lost says whether the connection is gone, or was never had: another one may
// serve.
func lost(err error) bool {
	switch c := code(err); c {
	case adminShutdown, crashShutdown, cannotConnectNow, idleSessionTimeout, tooManyConnections, readOnlyTransaction:
		return true
	case "":
	default:
		return strings.HasPrefix(c, "08")
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	for _, e := range []error{driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}

// conflict says whether a transaction failed only because of another one.
func conflict(err error) bool {
	c := code(err)
	return c == serializationFailure || c == deadlockDetected
}

// translate turns an engine error into the one the contract names. Other
// errors pass.
//
// A violated key means that the change was decided on a state that is gone: an
// address was taken, a group deleted, an id used.
func translate(err error) error {
	switch c := code(err); {
	case err == nil:
		return nil
	case c == uniqueViolation, c == foreignKeyViolation:
		return fmt.Errorf("%w: %w", directory.ErrStale, err)
	case c == diskFull:
		return fmt.Errorf("%w: %w", directory.ErrFull, err)
	case c == lockNotAvailable, c == queryCanceled, conflict(err), lost(err):
		return fmt.Errorf("%w: %w", directory.ErrBusy, err)
	}
	return err
}
