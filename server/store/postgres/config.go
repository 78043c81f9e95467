package postgres

import (
	"errors"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// parseURL reads the address of a database. What it answers never quotes the
// URL, because it may hold the password anywhere.
func parseURL(raw string) (*pgx.ConnConfig, error) {
	bad := errors.New("postgres: the URL of the database cannot be read; it has the form postgres://USER:PASSWORD@HOST:PORT/NAME, " +
		"with special characters of the password percent-encoded")
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, bad
	}
	config, err := pgx.ParseConfig(raw)
	if err != nil {
		return nil, bad
	}
	if u.Query().Get("sslmode") != "" || os.Getenv("PGSSLMODE") != "" || local(config) {
		return config, nil
	}
	// What libpq does without sslmode is to go on in the clear if anybody on
	// the way says that there is no TLS.
	q := u.Query()
	q.Set("sslmode", "verify-full")
	u.RawQuery = q.Encode()
	if config, err = pgx.ParseConfig(u.String()); err != nil {
		return nil, bad
	}
	return config, nil
}

// local says whether every server that may be connected to is on this machine.
func local(c *pgx.ConnConfig) bool {
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, h := range hosts {
		addr, err := netip.ParseAddr(h)
		if !strings.HasPrefix(h, "/") && h != "localhost" && (err != nil || !addr.IsLoopback()) {
			return false
		}
	}
	return true
}

// withTimeouts returns a copy of c whose sessions hold nothing up for ever,
// unless the URL says how long.
func withTimeouts(c *pgx.ConnConfig) *pgx.ConnConfig {
	c = c.Copy()
	for name, usual := range map[string]string{
		"application_name":                    "invited",
		"statement_timeout":                   "5s",
		"lock_timeout":                        "4s",
		"idle_in_transaction_session_timeout": "10s", // a node that hangs loses its locks
	} {
		if _, ok := c.RuntimeParams[name]; !ok {
			c.RuntimeParams[name] = usual
		}
	}
	return c
}
