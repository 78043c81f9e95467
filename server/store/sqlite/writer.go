package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"invited/server/store/internal/sqlstore"
)

// maxBatch bounds how many changes share one commit, and with it how long the
// first of them waits for the last.
const maxBatch = 256

// writer owns the one connection that writes. Changes that wait while a commit
// is being synced form the next batch, so the batch grows with the load and
// with the slowness of the disk, and a lone caller waits for nobody.
//
//	BEGIN IMMEDIATE
//	  SAVEPOINT · change 1 · RELEASE
//	  SAVEPOINT · change 2 fails · ROLLBACK TO · RELEASE     alone
//	COMMIT ──▶ answer 1: nil, answer 2: its error
type writer struct {
	conn *preparedConn
	jobs chan *job
	done chan struct{}
	told func(changes int, took time.Duration) // of each commit; may be nil

	mu     sync.RWMutex // held for reading while sending to jobs
	closed bool
}

// job is one change on its way through the writer.
type job struct {
	run    func(ctx context.Context, db sqlstore.DBTX) error
	state  atomic.Int32
	answer chan error
	err    error // of run
}

// The states of a job. Only a waiting one can be withdrawn.
const (
	waiting int32 = iota
	started
	withdrawn
)

var errClosed = errors.New("sqlite: the store is closed")

func startWriter(db *sql.DB, told func(int, time.Duration)) (*writer, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, translate(err)
	}
	w := &writer{
		conn: &preparedConn{conn: conn, stmts: map[string]*sql.Stmt{}},
		jobs: make(chan *job, maxBatch),
		done: make(chan struct{}),
		told: told,
	}
	go w.loop()
	return w, nil
}

// do runs a change in a transaction and returns after it is committed, or
// rolled back because of the error it returns. If ctx ends before the change
// has begun, it never begins; once begun, it is carried through.
func (w *writer) do(ctx context.Context, run func(context.Context, sqlstore.DBTX) error) error {
	j := &job{run: run, answer: make(chan error, 1)}
	if err := w.enqueue(ctx, j); err != nil {
		return err
	}
	select {
	case err := <-j.answer:
		return err
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, withdrawn) {
			return ctx.Err()
		}
		return <-j.answer
	}
}

func (w *writer) enqueue(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close waits until the accepted changes are done.
func (w *writer) close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.jobs)
	}
	w.mu.Unlock()
	<-w.done
	return w.conn.Close()
}

func (w *writer) loop() {
	defer close(w.done)
	batch := make([]*job, 0, maxBatch)
	for j := range w.jobs {
		batch = append(batch[:0], j)
		w.gather(&batch)
		w.commit(batch)
		clear(batch)
	}
}

// gather adds what waits already.
func (w *writer) gather(batch *[]*job) {
	for len(*batch) < maxBatch {
		select {
		case j, ok := <-w.jobs:
			if !ok {
				return
			}
			*batch = append(*batch, j)
		default:
			return
		}
	}
}

// commit runs a batch in one transaction and answers everyone in it.
func (w *writer) commit(batch []*job) {
	ctx, begin := context.Background(), time.Now()
	fatal := w.exec(ctx, "begin immediate")
	begun := batch[:0]
	for _, j := range batch {
		if !j.state.CompareAndSwap(waiting, started) {
			continue
		}
		begun = append(begun, j)
		if fatal == nil {
			fatal = w.apply(ctx, j)
		}
	}
	if fatal == nil {
		fatal = w.exec(ctx, "commit")
	}
	if fatal != nil {
		// The engine may have rolled back by itself; then this is refused.
		_ = w.exec(ctx, "rollback")
	}
	if w.told != nil && len(begun) > 0 {
		w.told(len(begun), time.Since(begin))
	}
	for _, j := range begun {
		if fatal != nil && j.err == nil {
			j.err = fatal
		}
		j.answer <- translate(j.err)
	}
}

// apply runs one change under a savepoint. The error it returns is not that of
// the change: it says that the whole transaction is lost.
func (w *writer) apply(ctx context.Context, j *job) error {
	if err := w.exec(ctx, "savepoint change"); err != nil {
		return err
	}
	j.err = w.guarded(ctx, j)
	if j.err == nil {
		return w.exec(ctx, "release change")
	}
	if endsTransaction(j.err) {
		return j.err
	}
	if err := w.exec(ctx, "rollback to change"); err != nil {
		return err
	}
	return w.exec(ctx, "release change")
}

// guarded turns a panic of a change into its error, so that it takes down
// neither the writer nor the changes beside it.
func (w *writer) guarded(ctx context.Context, j *job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("sqlite: panic in a change: %v\n%s", p, debug.Stack())
		}
	}()
	return j.run(ctx, w.conn)
}

func (w *writer) exec(ctx context.Context, statement string) error {
	_, err := w.conn.ExecContext(ctx, statement)
	return err
}
