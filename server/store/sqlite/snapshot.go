package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// Contents is how much a database holds.
type Contents struct {
	Invitations int
	Users       int
	OpenMail    int // queued, deferred or being sent
}

// Snapshot copies the database at path to a new file of mode 0600, as it was at
// one moment. It may be in use: nobody waits for it, and it for nobody. It
// works for any SQLite database.
func Snapshot(ctx context.Context, path, to string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	// Created here for the mode; the engine takes an empty file for none.
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := openOther(path, "rw") // "ro" could not read what is only in the WAL after a crash
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "vacuum into ?", to)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("sqlite: cannot copy %s: %w", path, err)
	}
	if f, err = os.OpenFile(to, os.O_RDWR, 0); err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Check reads the whole of a database that nobody uses, and says what it holds
// or what is wrong with it.
func Check(ctx context.Context, path string) (Contents, error) {
	var c Contents
	db, err := openOther(path, "ro")
	if err != nil {
		return c, err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, "pragma integrity_check(1)").Scan(&verdict); err != nil {
		return c, fmt.Errorf("sqlite: %s cannot be read: %w", path, err)
	}
	if verdict != "ok" {
		return c, fmt.Errorf("sqlite: %s is damaged: %s", path, verdict)
	}
	rows, err := db.QueryContext(ctx, "pragma foreign_key_check")
	if err != nil {
		return c, err
	}
	broken := rows.Next()
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return c, err
	}
	if broken {
		return c, fmt.Errorf("sqlite: %s is damaged: a row refers to one that is missing", path)
	}
	err = db.QueryRowContext(ctx, "select (select count(*) from invitations), (select count(*) from users), (select count(*) from deliveries where due_at is not null)").
		Scan(&c.Invitations, &c.Users, &c.OpenMail)
	if err != nil {
		return c, fmt.Errorf("sqlite: %s is not a database of this program: %w", path, err)
	}
	return c, nil
}

// openOther opens a database beside whoever owns it.
func openOther(path, mode string) (*sql.DB, error) {
	name, err := dsn(path, url.Values{"mode": {mode}}, busyTimeout)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}
