// Package sqlstore is the SQL that the store's engines share: the schema, the
// queries, and the translation between rows and the values of the domain.
//
// The text of every statement is the same for each engine. What an engine adds
// is how a transaction is run and how due mail is locked; see [Plan] and
// [Claim]. The package opens no database, starts no transaction and knows no
// driver: [NewReader] and the plans work on a [DBTX].
//
//	queries/*.sql ──sqlc──▶ *.sql_gen.go ──▶ Reader (reads, any connection)
//	migrations/*.sql ──▶ Migrations        └▶ Plan   (writes, one transaction)
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"

	"invited/server/directory"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations returns the migration files, for goose.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// Reader answers every read of the store contract. It is safe for concurrent
// use if its connection is.
type Reader struct {
	q         *Queries
	translate func(error) error
}

// NewReader returns a reader on db. Engine errors pass through translate,
// which turns them into those of package directory.
func NewReader(db DBTX, translate func(error) error) *Reader {
	return &Reader{q: New(db), translate: translate}
}

// fail turns what a query answered into what the contract promises.
func (r *Reader) fail(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return directory.ErrNotFound
	default:
		return r.translate(err)
	}
}

// one reads one row and converts it.
func one[P, Row, T any](ctx context.Context, r *Reader, query func(context.Context, P) (Row, error), p P, convert func(Row) (T, error)) (T, error) {
	row, err := query(ctx, p)
	if err != nil {
		var none T
		return none, r.fail(err)
	}
	return convert(row)
}

// many reads rows and converts them.
func many[P, Row, T any](ctx context.Context, r *Reader, query func(context.Context, P) ([]Row, error), p P, convert func(Row) (T, error)) ([]T, error) {
	rows, err := query(ctx, p)
	if err != nil {
		return nil, r.fail(err)
	}
	list := make([]T, len(rows))
	for i, row := range rows {
		if list[i], err = convert(row); err != nil {
			return nil, err
		}
	}
	return list, nil
}
