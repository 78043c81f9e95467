package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	codes "modernc.org/sqlite/lib"
)

// owner is the lock that makes this process the only one to have a database
// open. It ends with the process, however that ends.
//
// It is the engine's own lock on a second file, which stays empty: the engine
// knows how to lock on every system, and the database itself stays free for
// tools that read it or back it up.
type owner struct {
	db   *sql.DB
	conn *sql.Conn
}

// lockSuffix names the lock file after the database.
const lockSuffix = "-lock"

// own locks the database at path, or refuses at once.
func own(path string) (*owner, error) {
	name, err := dsn(path+lockSuffix, url.Values{}, 0, "cache_size(-16)")
	if err != nil {
		return nil, err
	}
	// Created here for the mode, and only if it is missing: on many systems
	// closing a file drops the locks that this process has on it.
	f, err := os.OpenFile(path+lockSuffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("sqlite: cannot create the lock file: %w", err)
	}
	o := &owner{}
	if o.db, err = sql.Open("sqlite", name); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	ctx := context.Background()
	if o.conn, err = o.db.Conn(ctx); err == nil {
		_, err = o.conn.ExecContext(ctx, "begin exclusive")
	}
	if err == nil {
		return o, nil
	}
	_ = o.release()
	if code(err)&0xff == codes.SQLITE_BUSY {
		return nil, fmt.Errorf("sqlite: another process has %s open; stop it, or choose another data directory", path)
	}
	return nil, fmt.Errorf("sqlite: cannot lock %s: %w", path, err)
}

// release lets others have the database. The file stays: removing it would let
// two processes lock two files of one name.
func (o *owner) release() error {
	var errs []error
	if o.conn != nil {
		errs = append(errs, o.conn.Close())
	}
	return errors.Join(append(errs, o.db.Close())...)
}
