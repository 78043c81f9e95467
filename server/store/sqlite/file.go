package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"invited/server/store/internal/sqlstore"
)

// readers is how many connections read. More would not be faster: each read is
// short and keeps a core busy.
const readers = 4

// header is how every SQLite file begins.
const header = "SQLite format 3\x00"

// prepareFolder creates the folder of the database with a mode that keeps
// others out, or refuses the one that is there.
func prepareFolder(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("sqlite: cannot create the folder of the database: %w", err)
	}
	return private(dir, 0o700)
}

// prepareFile does the same for the file.
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: cannot open the database: %w", err)
	}
	defer f.Close()
	if err := private(path, 0o600); err != nil {
		return err
	}
	return checkHeader(f, path)
}

// private refuses a file that anybody but its owner may use.
func private(path string, mode fs.FileMode) error {
	if runtime.GOOS == "windows" { // modes say nothing there
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if got := info.Mode().Perm(); got&^mode != 0 {
		return fmt.Errorf("sqlite: %s has mode %04o, so others can reach it; run: chmod %o %s", path, got, mode, path)
	}
	return nil
}

// checkHeader tells apart at a glance what a damaged file would make the
// engine say later and less clearly. An empty file is a new database.
func checkHeader(f *os.File, path string) error {
	const hint = "restore it from a backup, or move it away to begin anew"
	head := make([]byte, 100)
	n, err := io.ReadFull(f, head)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("sqlite: %s is damaged: it ends after %d bytes; %s", path, n, hint)
	case err != nil:
		return fmt.Errorf("sqlite: cannot read the database: %w", err)
	case string(head[:len(header)]) != header:
		return fmt.Errorf("sqlite: %s is damaged, or not a database: its header is wrong; %s", path, hint)
	}
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		return nil // the size in the header is not the last word
	}
	page := int64(binary.BigEndian.Uint16(head[16:]))
	if page == 1 {
		page = 65536
	}
	pages := int64(binary.BigEndian.Uint32(head[28:]))
	fresh := binary.BigEndian.Uint32(head[24:]) == binary.BigEndian.Uint32(head[92:])
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("sqlite: cannot read the database: %w", err)
	}
	if fresh && info.Size() < page*pages {
		return fmt.Errorf("sqlite: %s is damaged: it has %d bytes of %d; %s", path, info.Size(), page*pages, hint)
	}
	return nil
}

// dsn spells a connection to path with the pragmas of its kind. It waits for
// the lock of another process for as long as busy.
func dsn(path string, query url.Values, busy time.Duration, pragmas ...string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	abs = filepath.ToSlash(abs)
	if !strings.HasPrefix(abs, "/") {
		abs = "/" + abs // a drive letter
	}
	query["_pragma"] = append([]string{"foreign_keys(on)", "temp_store(memory)", "trusted_schema(off)"}, pragmas...)
	query.Set("_busy_timeout", strconv.FormatInt(busy.Milliseconds(), 10))
	query.Set("_dqs", "0")
	return (&url.URL{Scheme: "file", Path: abs, RawQuery: query.Encode()}).String(), nil
}

// openWrite opens the one connection that writes. Ephemeral data is not
// synced: it ends with the process.
func openWrite(path string, ephemeral bool, o Options) (*sql.DB, error) {
	sync := "synchronous(full)"
	if ephemeral {
		sync = "synchronous(off)"
	}
	pragmas := []string{
		"page_size(4096)",
		"journal_mode(wal)",
		sync,
		"wal_autocheckpoint(4000)", // 16 MB: many writes of one page become one
		"journal_size_limit(33554432)",
		"cache_size(-8000)", // KiB
	}
	if o.maxPages > 0 {
		pragmas = append(pragmas, "max_page_count("+strconv.Itoa(o.maxPages)+")")
	}
	name, err := dsn(path, url.Values{}, cmp.Or(o.busy, busyTimeout), pragmas...)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	db.SetMaxOpenConns(1)
	db.SetConnMaxLifetime(0)
	return db, nil
}

func openRead(path string) (*sql.DB, error) {
	name, err := dsn(path, url.Values{"mode": {"ro"}}, busyTimeout, "cache_size(-2000)", "query_only(on)")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	db.SetMaxOpenConns(readers)
	db.SetMaxIdleConns(readers)
	return db, nil
}

// migrate brings the schema up to date, and refuses a database that a newer
// program has written.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sqlstore.Migrations(), goose.WithLogger(goose.NopLogger()),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("sqlite: migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("sqlite: %s cannot be read; if it is damaged, restore it from a backup: %w", path, translate(err))
	}
	if have > want {
		return fmt.Errorf("sqlite: %s has schema %d, this program knows up to %d: use the newer program that wrote it, or a backup made before",
			path, have, want)
	}
	if have == want {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("sqlite: cannot bring %s from schema %d to %d: %w", path, have, want, translate(err))
	}
	return nil
}
