package index

import (
	"context"
	"database/sql"
)

// UpdateVerdicts hands the verdict of each recipient of a message to fn and
// keeps what it returns; nil leaves it. It is ErrNotFound if there is no such
// message. It is not durable by itself: what is lost can be found out again.
func (ix *Index) UpdateVerdicts(ctx context.Context, key int64, fn func(verdict []byte) []byte) error {
	err := ix.update(ctx, false, func(t *tx) error {
		type row struct {
			seq     int64
			n       int
			verdict []byte
		}
		var rows []row
		t.each(ctx, "SELECT r.seq, r.n, r.verdict FROM recipients r JOIN messages m ON m.seq = r.seq WHERE m.key = ?", []any{key}, func(from *sql.Rows) error {
			var r row
			err := from.Scan(&r.seq, &r.n, &r.verdict)
			rows = append(rows, r)
			return err
		})
		if t.err == nil && len(rows) == 0 {
			return ErrNotFound
		}
		for _, r := range rows {
			if verdict := fn(r.verdict); verdict != nil {
				t.exec(ctx, "UPDATE recipients SET verdict = ? WHERE seq = ? AND n = ?", verdict, r.seq, r.n)
			}
		}
		return t.err
	})
	ix.changes.Add(1)
	return err
}
