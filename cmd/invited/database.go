package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"invited/server/store"
	"invited/server/store/postgres"
	"invited/server/store/sqlite"
)

// openStore opens the database that --database names. Errors never tell its
// password. committed is told of each commit, where one goroutine makes them.
func (c config) openStore(ctx context.Context, log *slog.Logger, now func() time.Time, committed func(int, time.Duration)) (store.Store, error) {
	path, isFile := strings.CutPrefix(c.Database, "sqlite:")
	switch {
	case c.Database == "":
		return openSQLite(sqlite.Options{Path: filepath.Join(c.Data, "invited.db"), Log: log, Now: now, Committed: committed})
	case isFile && path != "":
		return openSQLite(sqlite.Options{Path: path, Log: log, Now: now, Committed: committed})
	case strings.HasPrefix(c.Database, "postgres:"), strings.HasPrefix(c.Database, "postgresql:"):
		s, err := postgres.Open(ctx, postgres.Options{URL: c.Database, Log: log, Now: now, MaxConns: c.DBConns})
		if err != nil {
			return nil, &exitError{exitFailed, "--database: " + err.Error()}
		}
		return s, nil
	}
	shown := "…"
	if u, err := url.Parse(c.Database); err == nil {
		shown = u.Redacted()
	}
	return nil, &exitError{exitUsage, fmt.Sprintf("--database %q must be sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME", shown)}
}

func openSQLite(o sqlite.Options) (store.Store, error) {
	s, err := sqlite.Open(o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// alone calls f while no other node on the same database is in it, if the
// store can be shared at all.
func alone(ctx context.Context, s store.Store, f func() error) error {
	if shared, ok := s.(interface {
		Alone(ctx context.Context, f func() error) error
	}); ok {
		return shared.Alone(ctx, f)
	}
	return f()
}

// wakes passes on what other nodes say of the queue, until ctx ends.
func (a *app) wakes(ctx context.Context) error {
	shared, ok := a.store.(interface{ Wakes() <-chan struct{} })
	if !ok {
		return nil
	}
	for {
		select {
		case <-shared.Wakes():
			a.worker.Wake()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
