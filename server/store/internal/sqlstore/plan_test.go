package sqlstore_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"invited/server/store/internal/sqlstore"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// mayReadTenant names the queries that may reach rows by the tenant alone,
// because it has one.
var mayReadTenant = map[string]bool{
	"policy":       true,
	"updatePolicy": true,
}

// maySort names the queries that may sort what they found, because there is
// little of it.
var maySort = map[string]bool{
	"userApps":     true, // the apps of one user, by app
	"listOpenMail": true, // what is open at the time
}

// TestQueryPlans holds that nothing scans: every query reaches its rows by an
// index, and every list comes out of one in order. The plans are kept in
// testdata/plans.txt, so that a change of one is seen in review.
func TestQueryPlans(t *testing.T) {
	db := newDatabase(t)
	queries := generatedQueries(t)
	require.Greater(t, len(queries), 80)
	var golden strings.Builder
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		fmt.Fprintf(&golden, "%s\n", name)
		for _, line := range explain(t, db, queries[name]) {
			fmt.Fprintf(&golden, "    %s\n", line)
			if strings.HasPrefix(line, "SCAN") && line != "SCAN counted" { // that is what a limited count has found
				t.Errorf("%s reads a whole table: %s", name, line)
			}
			if strings.HasSuffix(line, "(tenant=?)") && !mayReadTenant[name] {
				t.Errorf("%s reads all of a tenant: %s", name, line)
			}
			if strings.Contains(line, "USE TEMP B-TREE") && !maySort[name] {
				t.Errorf("%s sorts instead of following an index: %s", name, line)
			}
			if strings.Contains(line, "AUTOMATIC") {
				t.Errorf("%s lacks an index: %s", name, line)
			}
		}
	}
	path := filepath.Join("testdata", "plans.txt")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(golden.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test -update to create it")
	require.Equal(t, string(want), golden.String())
}

// TestTenantLeads holds that every key and index begins with the tenant, but
// for those named here.
func TestTenantLeads(t *testing.T) {
	db := newDatabase(t)
	rows, err := db.Query(`select m.name, i.name, c.name from sqlite_schema m, pragma_index_list(m.name) i, pragma_index_info(i.name) c
		where m.type = 'table' and c.seqno = 0 and m.name not like 'goose%' and m.name not like 'sqlite%'`)
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var table, index, first string
		require.NoError(t, rows.Scan(&table, &index, &first))
		if table == "tenants" || index == "deliveries_due" {
			continue
		}
		require.Equal(t, "tenant", first, "%s of %s", index, table)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, n, 30)
}

// TestReferencesAreIndexed holds that every foreign key has an index that leads
// with its columns: without one, deleting what it refers to scans the table.
func TestReferencesAreIndexed(t *testing.T) {
	db := newDatabase(t)
	rows, err := db.Query(`select m.name, f.id, group_concat(f."from") from sqlite_schema m, pragma_foreign_key_list(m.name) f
		where m.type = 'table' group by 1, 2`)
	require.NoError(t, err)
	references := map[[2]string]bool{}
	for rows.Next() {
		var table, columns string
		var id int
		require.NoError(t, rows.Scan(&table, &id, &columns))
		references[[2]string{table, columns}] = false
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(references), 15)
	indexes, err := db.Query(`select m.name, group_concat(c.name) from sqlite_schema m, pragma_index_list(m.name) i, pragma_index_info(i.name) c
		where m.type = 'table' group by m.name, i.name`)
	require.NoError(t, err)
	for indexes.Next() {
		var table, columns string
		require.NoError(t, indexes.Scan(&table, &columns))
		for ref := range references {
			if ref[0] == table && strings.HasPrefix(columns+",", ref[1]+",") {
				references[ref] = true
			}
		}
	}
	require.NoError(t, indexes.Err())
	for ref, indexed := range references {
		require.True(t, indexed, "%s (%s)", ref[0], ref[1])
	}
}

// TestMigrationsGoBothWays runs the schema up, down and up again.
func TestMigrationsGoBothWays(t *testing.T) {
	db := newDatabase(t)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sqlstore.Migrations(), goose.WithLogger(goose.NopLogger()))
	require.NoError(t, err)
	_, err = p.DownTo(context.Background(), 0)
	require.NoError(t, err)
	var tables int
	require.NoError(t, db.QueryRow(`select count(*) from sqlite_schema where type = 'table' and name not like 'goose%' and name not like 'sqlite%'`).Scan(&tables))
	require.Zero(t, tables)
	_, err = p.Up(context.Background())
	require.NoError(t, err)
}

func newDatabase(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "plans.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.SetMaxOpenConns(1)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sqlstore.Migrations(), goose.WithLogger(goose.NopLogger()))
	require.NoError(t, err)
	_, err = p.Up(context.Background())
	require.NoError(t, err)
	return db
}

// generatedQueries reads the statements from the generated code, so that none
// can be forgotten.
func generatedQueries(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*_gen.go")
	require.NoError(t, err)
	queries := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING || !strings.HasPrefix(lit.Value, "`-- name: ") {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			require.NoError(t, err)
			queries[strings.Fields(text)[2]] = text
			return true
		})
	}
	return queries
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// explain returns the plan of a statement. The parameters are bound to nothing:
// the plan depends on the text alone.
func explain(t *testing.T, db *sql.DB, text string) []string {
	t.Helper()
	n := 0
	for _, m := range parameter.FindAllStringSubmatch(text, -1) {
		i, _ := strconv.Atoi(m[1])
		n = max(n, i)
	}
	rows, err := db.Query("explain query plan "+text, make([]any, n)...)
	require.NoError(t, err, text)
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var line string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &line))
		plan = append(plan, line)
	}
	require.NoError(t, rows.Err())
	return plan
}
