package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"invited/mail/outbox"
	"invited/server/directory"
	"invited/server/store/pgtest"
	"invited/server/store/storetest"
)

func TestErrorsNeverTellThePassword(t *testing.T) {
	const secret = "s3cr3t-w0rd"
	for _, tt := range []struct{ name, url string }{
		{"nobody listens", "postgres://u:" + secret + "@127.0.0.1:1/db"},
		{"no socket", "postgres://u:" + secret + "@/db?host=/nonexistent"},
		{"another scheme", "mysql://u:" + secret + "@h/db"},
		{"a bad escape", "postgres://u:" + secret + "%zz@h/db"},
		{"a bad port", "postgres://u:" + secret + "@h:port/db"},
		{"a bad parameter", "postgres://u:" + secret + "@h/db?sslmode=perhaps"},
		{"the password as a parameter", "postgres://h/db?password=" + secret + "&sslmode=perhaps"},
		{"keywords", "host=h user=u password=" + secret},
		{"the password alone", secret},
		{"a file that is missing", "postgres://u:" + secret + "@h/db?sslmode=verify-full&sslrootcert=/nonexistent"},
		{"nothing", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			_, err := Open(t.Context(), Options{URL: tt.url, Log: slog.New(slog.NewTextHandler(&log, nil)), patience: time.Millisecond})
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, log.String(), secret)
			for e := err; e != nil; e = errors.Unwrap(e) {
				require.NotContains(t, e.Error(), secret)
			}
		})
	}
}

func TestTLSIsTheDefaultOffThisMachine(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		verified  bool
		clear     bool
	}{
		{name: "another machine", url: "postgres://u@db.contoso.example/x", verified: true},
		{name: "one of several", url: "postgres://u@127.0.0.1,db.contoso.example/x", verified: true},
		{name: "loopback", url: "postgres://u@127.0.0.1/x", clear: true},
		{name: "a socket", url: "postgres://u@/x?host=/run/postgresql", clear: true},
		{name: "as the operator says", url: "postgres://u@db.contoso.example/x?sslmode=disable", clear: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseURL(tt.url)
			require.NoError(t, err)
			verified := c.TLSConfig != nil && !c.TLSConfig.InsecureSkipVerify && c.TLSConfig.ServerName != ""
			inClear := c.TLSConfig == nil
			for _, f := range c.Fallbacks {
				verified = verified && f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify
				inClear = inClear || f.TLSConfig == nil
			}
			require.Equal(t, tt.verified, verified)
			require.Equal(t, tt.clear, inClear)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	exec := func(t *testing.T, url, statement string) {
		t.Helper()
		db, err := sql.Open("pgx", url)
		require.NoError(t, err)
		defer db.Close()
		_, err = db.Exec(statement)
		require.NoError(t, err)
	}
	t.Run("a schema that a newer program has written", func(t *testing.T) {
		s := open(t, Options{})
		exec(t, s.opts.URL, "insert into goose_db_version (version_id, is_applied) values (9999, true)")
		_, err := Open(t.Context(), Options{URL: s.opts.URL})
		require.ErrorContains(t, err, "newer program")
	})
	t.Run("a database that is not in UTF-8", func(t *testing.T) {
		url := pgtest.URL(t)
		exec(t, url, "create database "+strings.TrimPrefix(databaseOf(t, url), "/")+"_ascii encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0")
		t.Cleanup(func() { exec(t, url, "drop database "+databaseOf(t, url)+"_ascii") })
		_, err := Open(t.Context(), Options{URL: strings.Replace(url, databaseOf(t, url), databaseOf(t, url)+"_ascii", 1)})
		require.ErrorContains(t, err, "UTF8")
	})
}

func databaseOf(t *testing.T, url string) string {
	t.Helper()
	c, err := parseURL(url)
	require.NoError(t, err)
	return c.Database
}

// TestTextComparesByByte holds that every column of the schema that all engines
// share is collated alike, those of later migrations too.
func TestTextComparesByByte(t *testing.T) {
	s := open(t, Options{})
	rows, err := s.db.QueryContext(t.Context(), `select table_name || '.' || column_name, coalesce(collation_name, 'default')
		from information_schema.columns where table_schema = 'public' and data_type in ('text', 'character varying') and table_name not like 'goose%'`)
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var column, collation string
		require.NoError(t, rows.Scan(&column, &collation))
		require.Equal(t, "C", collation, column)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, n, 100)
}

// TestMigrationsGoBothWays runs the schema up, down and up again.
func TestMigrationsGoBothWays(t *testing.T) {
	s := open(t, Options{})
	db := stdlib.OpenDB(*s.config)
	defer db.Close()
	for _, set := range sets {
		p, err := set.provider(db)
		require.NoError(t, err)
		_, err = p.DownTo(t.Context(), 0)
		require.NoError(t, err)
	}
	var tables int
	require.NoError(t, db.QueryRow(`select count(*) from pg_tables where schemaname = 'public' and tablename not like 'goose%'`).Scan(&tables))
	require.Zero(t, tables)
	for _, set := range sets {
		require.NoError(t, set.up(t.Context(), db))
	}
}

func TestErrorsOfTheServer(t *testing.T) {
	server := func(code string) error { return &pgconn.PgError{Code: code} }
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"a taken key", server("23505"), directory.ErrStale},
		{"a reference to what is gone", server("23503"), directory.ErrStale},
		{"the disk is full", server("53100"), directory.ErrFull},
		{"serialization failure", server("40001"), directory.ErrBusy},
		{"deadlock", server("40P01"), directory.ErrBusy},
		{"a lock that took too long", server("55P03"), directory.ErrBusy},
		{"a statement that took too long", server("57014"), directory.ErrBusy},
		{"shutting down", server("57P01"), directory.ErrBusy},
		{"starting up", server("57P03"), directory.ErrBusy},
		{"too many connections", server("53300"), directory.ErrBusy},
		{"a primary that no longer is one", server("25006"), directory.ErrBusy},
		{"connection failure", server("08006"), directory.ErrBusy},
		{"the connection ended", io.ErrUnexpectedEOF, directory.ErrBusy},
		{"the connection was reset", &net.OpError{Op: "read", Err: errors.New("reset")}, directory.ErrBusy},
	} {
		t.Run(tt.name, func(t *testing.T) { require.ErrorIs(t, translate(tt.err), tt.want) })
	}
	for _, own := range []error{server("42601"), server("28P01"), sql.ErrNoRows, context.Canceled} {
		require.Equal(t, own, translate(own), "no promise of the contract")
	}
	require.NoError(t, translate(nil))
}

func TestLockedTableIsBusy(t *testing.T) {
	s := open(t, Options{URL: pgtest.URL(t) + "&lock_timeout=50", patience: time.Second})
	fill(t, s)
	other := open(t, Options{URL: s.opts.URL})
	locking, err := other.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = locking.Exec("lock table users in exclusive mode")
	require.NoError(t, err)
	c := storetest.NewInvitation(storetest.NewGuest("Contoso", "guest@fabrikam.example"), 8)
	require.ErrorIs(t, s.ApplyInvitation(t.Context(), c), directory.ErrBusy)
	_, err = s.User(t.Context(), "Contoso", c.NewUsers[0].ID)
	require.ErrorIs(t, err, directory.ErrNotFound, "reading goes on")
	require.NoError(t, locking.Rollback())
	require.NoError(t, s.ApplyInvitation(t.Context(), c))
}

func TestFullPoolIsBusy(t *testing.T) {
	s := open(t, Options{MaxConns: 1, patience: 50 * time.Millisecond})
	tn, p := storetest.NewTenant("Contoso")
	conn, err := s.db.Conn(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, s.CreateTenant(t.Context(), tn, p), directory.ErrBusy)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.CreateTenant(ctx, tn, p), context.Canceled, "who gave up is told so")
	require.NoError(t, conn.Close())
	require.NoError(t, s.CreateTenant(t.Context(), tn, p))
}

// TestForeignTextIsStored holds that no text that people send is refused by the
// server's idea of text.
func TestForeignTextIsStored(t *testing.T) {
	s := open(t, Options{})
	fill(t, s)
	u := storetest.NewGuest("Contoso", "guest@fabrikam.example")
	u.DisplayName = "a\x00b\xff"
	require.NoError(t, s.ApplyDirectory(t.Context(), directory.Change{Tenant: "Contoso", NewUsers: []directory.User{u}}))
	got, err := s.User(t.Context(), "Contoso", u.ID)
	require.NoError(t, err)
	require.Equal(t, "a\uFFFDb\uFFFD", got.DisplayName)
	_, err = s.UserByUPN(t.Context(), "Contoso", "no\x00body")
	require.ErrorIs(t, err, directory.ErrNotFound)
}

func TestOldIsDropped(t *testing.T) {
	s := open(t, Options{Now: func() time.Time { return time.Now().Add(DefaultKeepBodies + time.Hour) }})
	fill(t, s)
	send(t, s, "sent@fabrikam.example", storetest.Start)
	items := claimed(t, s, "w", storetest.Start)
	require.NoError(t, s.FinishMail(t.Context(), "w", storetest.Delivered(items)))
	open := send(t, s, "open@fabrikam.example", storetest.Start)

	count := func() (n int) {
		require.NoError(t, s.db.QueryRow("select count(*) from applied_changes").Scan(&n))
		return n
	}
	require.Equal(t, 3, count(), "one for each change")
	n, err := s.sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 3, count(), "somebody may be in doubt about them")
	require.NoError(t, s.forgetChanges(t.Context(), time.Now().Add(time.Minute)))
	require.Zero(t, count())

	items = claimed(t, s, "w", storetest.Start)
	require.Len(t, items, 1, "an open mail keeps its bytes")
	require.Equal(t, open.Mail[0].Message, items[0].Message)
}

var _ outbox.Renewer = (*Store)(nil)
