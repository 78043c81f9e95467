package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"invited/server/store/internal/sqlstore"
)

// collated is the migrations with the one thing said that other engines take
// for granted: text compares byte by byte. Without it, lists would come in the
// order of the database's locale, and prefixes would be no ranges.
type collated struct{ fs.FS }

// textColumn is a column of type text where it is defined: on a line of its
// own, or after "add column".
var textColumn = regexp.MustCompile(`(?mi)^(\s+\w+\s+text|[^-\n]*\sadd column \w+ +text)\b`)

// Open opens a file; a migration is rewritten.
func (c collated) Open(name string) (fs.File, error) {
	f, err := c.FS.Open(name)
	if err != nil || path.Ext(name) != ".sql" {
		return f, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return file{f, bytes.NewReader(textColumn.ReplaceAll(text, []byte(`$1 collate "C"`)))}, nil
}

// file is an open file with other content.
type file struct {
	fs.File
	text *bytes.Reader
}

// Read reads the other content.
func (f file) Read(p []byte) (int, error) { return f.text.Read(p) }

// migrate brings the schema up to date. Nodes that start together wait for the
// one that came first. It has a connection of its own, because a migration may
// take longer than any statement of ours.
func migrate(ctx context.Context, c *pgx.ConnConfig, o Options) error {
	db := stdlib.OpenDB(*c)
	defer db.Close()
	db.SetMaxOpenConns(2) // one holds the lock
	if err := checkServer(ctx, &steady{db: db, patience: o.patience}); err != nil {
		return err
	}
	for _, set := range sets {
		if err := set.up(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

// set is a sequence of migrations with the table that remembers how far it is.
type set struct {
	files fs.FS
	table string
}

// sets are the schema that all engines share, and what only this one needs.
var sets = []set{
	{collated{sqlstore.Migrations()}, "goose_db_version"},
	{ownMigrations(), "goose_postgres_version"},
}

//go:embed migrations/*.sql
var files embed.FS

func ownMigrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// up brings a set up to date.
func (m set) up(ctx context.Context, db *sql.DB) error {
	p, err := m.provider(db)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("postgres: cannot bring the schema up to date: %w", translate(err))
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("postgres: the schema's version cannot be read: %w", translate(err))
	}
	if have > want {
		return fmt.Errorf("postgres: the database has schema %d, this program knows up to %d: use the newer program that wrote it", have, want)
	}
	return nil
}

// provider returns the migrations of db, to be run under a lock that the server
// drops with the connection.
func (m set) provider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300), lock.WithUnlockTimeout(1, 10)) // seconds, times
	if err != nil {
		return nil, fmt.Errorf("postgres: migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, m.files, goose.WithLogger(goose.NopLogger()),
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker), goose.WithTableName(m.table))
	if err != nil {
		return nil, fmt.Errorf("postgres: migrations: %w", err)
	}
	return p, nil
}

// checkServer refuses what the schema cannot live in. It is the first to
// connect, and waits a little for a server that is just starting.
func checkServer(ctx context.Context, db sqlstore.DBTX) error {
	var encoding string
	if err := db.QueryRowContext(ctx, "show server_encoding").Scan(&encoding); err != nil {
		return fmt.Errorf("postgres: cannot connect: %w", translate(err))
	}
	if encoding != "UTF8" {
		return fmt.Errorf("postgres: the database has the encoding %s; create one with UTF8", encoding)
	}
	return nil
}
