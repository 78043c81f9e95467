package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "invited"

// layers lists every package by the layer it lives in. A package may import
// only lower layers; siblings do not know each other.
var layers = [][]string{
	0: {"mail", "mail/relaytest", "tokens", "templates", "server/problem", "server/audit", "mail/dkim", "mail/sink/rules", "mail/sink/scenario", "mail/sink/faults", "mail/sink/mime", "mail/sink/spool", "mail/sink/index"},
	1: {"server/directory", "server/web", "server/metrics", "server/backup", "server/devca", "mail/compose", "mail/dsn", "mail/outbox", "mail/smtpout", "mail/sink"},
	2: {"server/invite", "server/tenant", "server/session", "mail/sink/smtpd", "mail/sink/engine", "mail/sink/imapd", "mail/sink/pop3d"},
	3: {
		"server/graph", "server/oauth", "server/api", "server/guest", "server/portal", "server/mailpit", "server/webmail",
		"server/letters", "server/bulk", "server/store", "server/store/internal/sqlstore", "server/store/pgtest", "mail/sinktest",
	},
	4: {"server", "server/store/sqlite", "server/store/postgres", "server/store/storetest", "server/doctor"},
	5: {"cmd/invited"},
}

// walls names the folders a folder never imports, whatever the layer.
var walls = map[string][]string{
	"tokens":    {"mail", "templates", "server", "cmd"},
	"mail":      {"server", "tokens", "cmd"},
	"templates": {"mail", "tokens", "server", "cmd"},
	"server":    {"cmd"},
}

// pure packages are the domain: they do not depend on the impure ones, not
// even through others.
var (
	pure   = []string{"mail", "tokens", "server/directory", "server/invite", "server/tenant", "server/problem", "server/audit"}
	impure = []string{"net/http", "database/sql", "crypto/tls", "html/template", "log/slog"}
)

type listedPackage struct {
	ImportPath, Doc string
	Imports, Deps   []string
}

func TestLayers(t *testing.T) {
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if layerOf(name) < 0 {
			t.Errorf("%s is in no layer: add it to the table in this file", name)
		}
		if !strings.HasPrefix(p.Doc, "Package ") && !strings.HasPrefix(p.Doc, "Command ") {
			t.Errorf("%s has no package comment", name)
		}
		for _, imp := range p.Imports {
			lower, ours := strings.CutPrefix(imp, module+"/")
			if ours && (layerOf(lower) >= layerOf(name) || slices.Contains(walls[folder(name)], folder(lower))) {
				t.Errorf("%s must not import %s", name, lower)
			}
		}
		if !slices.Contains(pure, name) {
			continue
		}
		for _, dep := range p.Deps {
			if slices.Contains(impure, dep) {
				t.Errorf("%s must not depend on %s", name, dep)
			}
		}
	}
}

// layerOf returns the layer of a package, or -1 if it has none.
func layerOf(name string) int {
	for i, packages := range layers {
		if slices.Contains(packages, name) {
			return i
		}
	}
	return -1
}

// folder returns the first element of a package path.
func folder(name string) string {
	first, _, _ := strings.Cut(name, "/")
	return first
}

// listPackages asks the go command for every package of the module. Generated
// code has no package comment of its own and belongs to its parent.
func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Doc,Imports,Deps", "../../...").Output()
	require.NoError(t, err)
	var all []listedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			require.NoError(t, err)
		}
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}
