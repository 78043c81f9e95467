// Package pgtest gives tests a PostgreSQL server that is thrown away.
//
// It starts Debian's or anybody's PostgreSQL from a temporary folder, as a user
// that is not root, reachable by nobody else: on a Unix socket in that folder.
// It is not for production, and downloads nothing.
//
//	TestMain ─▶ Main ─▶ tests ─▶ URL: a new database on the one server
//	                        └──▶ Start: a server of the test's own, to be broken
//
// With INVITED_TEST_POSTGRES=URL the databases are made on that server.
package pgtest

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// EnvURL names the variable with the URL of a server to use.
const EnvURL = "INVITED_TEST_POSTGRES"

// errNone says that there is nothing to run.
var errNone = errors.New("there is no PostgreSQL here: install Debian's package postgresql, or set " + EnvURL)

// shared is the server of one test program.
var shared = sync.OnceValues(func() (*Cluster, error) {
	if given := os.Getenv(EnvURL); given != "" {
		return &Cluster{url: given}, nil
	}
	return start()
})

// started says that shared has to be stopped.
var started atomic.Bool

// Main runs the tests of a program and stops the server that they shared.
func Main(m *testing.M) {
	status := m.Run()
	if started.Load() {
		if c, err := shared(); err == nil {
			c.stop()
		}
	}
	os.Exit(status)
}

// URL returns the URL of a new, empty database, dropped after the test.
func URL(t testing.TB) string {
	t.Helper()
	started.Store(true)
	c, err := shared()
	need(t, err)
	return c.NewDatabase(t)
}

// need fails or skips the test if there is no server.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, errNone) && os.Getenv("CI_REQUIRE_ALL") != "1":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}

// Cluster is a running server.
type Cluster struct {
	url string // of a database to connect to first
	dir string // empty: somebody else runs it
	bin string
	seq atomic.Int64
}

// Start starts a server for one test, which may break it.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c, err := start()
	need(t, err)
	t.Cleanup(c.stop)
	return c
}

// NewDatabase creates a database and returns its URL. It is dropped after the
// test, with whatever still uses it.
func (c *Cluster) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("invited_test_%d_%d", os.Getpid(), c.seq.Add(1))
	if err := c.exec("create database " + name + " encoding 'UTF8' template template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.exec("drop database if exists " + name + " with (force)"); err != nil && c.dir == "" {
			t.Error(err)
		}
	})
	u, err := url.Parse(c.url)
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	u.Path = "/" + name
	return u.String()
}

func (c *Cluster) exec(statement string) error {
	db, err := sql.Open("pgx", c.url)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(context.Background(), statement)
	return err
}

// start makes a server in a new folder.
func start() (_ *Cluster, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	// Not t.TempDir: the path of a socket has at most 107 bytes.
	dir, err := os.MkdirTemp("", "invited-pg-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, dir: dir}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	if err := giveAway(dir); err != nil {
		return nil, err
	}
	if err := c.run("initdb", "-D", c.data(), "-U", "invited", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"); err != nil {
		return nil, err
	}
	settings := "listen_addresses = ''\nunix_socket_directories = '" + dir + "'\nmax_connections = 200\nshared_buffers = 64MB\n" +
		"max_wal_size = 1GB\ndeadlock_timeout = 200ms\n"
	conf, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if _, err := conf.WriteString(settings); err != nil {
		return nil, errors.Join(err, conf.Close())
	}
	if err := conf.Close(); err != nil {
		return nil, err
	}
	if err := c.control("start"); err != nil {
		return nil, err
	}
	c.url = "postgres://invited@/postgres?host=" + url.QueryEscape(dir)
	return c, nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Restart stops the server, without letting it finish anything, and starts it
// again, as "pg_ctl restart -m immediate" does.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	if err := c.control("restart", "-m", "immediate"); err != nil {
		t.Fatal(err)
	}
}

// control runs pg_ctl and waits until it has done what it was told.
func (c *Cluster) control(arguments ...string) error {
	return c.run("pg_ctl", append(arguments, "-w", "-s", "-D", c.data(), "-l", filepath.Join(c.dir, "log"))...)
}

// stop stops the server and removes it.
func (c *Cluster) stop() {
	if c.dir == "" {
		return
	}
	_ = c.control("stop", "-m", "immediate")
	_ = os.RemoveAll(c.dir)
}

func (c *Cluster) run(program string, arguments ...string) error {
	cmd := exec.CommandContext(context.Background(), filepath.Join(c.bin, program), arguments...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	asOther(cmd)
	// A server keeps what it inherits: a pipe would never be closed.
	out, err := os.CreateTemp("", "invited-pg-out-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		return fmt.Errorf("%s: %w\n%s%s", program, err, text, log)
	}
	return nil
}

// binaries returns the folder of the newest PostgreSQL.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian keeps them off the PATH
	if len(found) == 0 {
		return "", errNone
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return filepath.Dir(found[len(found)-1]), nil
}
