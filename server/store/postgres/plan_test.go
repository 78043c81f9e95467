package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// maySort names the queries that may sort what they found, because it is
// little.
var maySort = map[string]bool{
	"userApps":     true, // the apps of one user
	"listOpenMail": true, // what is open
	"claim":        true, // what was just leased
}

// mayReadTenant names the queries that may reach rows by the tenant alone,
// because it has one.
var mayReadTenant = map[string]bool{"policy": true, "updatePolicy": true}

// TestQueryPlans holds that no query reads a whole table, or all of a tenant,
// once there are many rows: each reaches its rows by an index, and each list
// comes out of one in order.
//
// The server runs a statement by a plan that fits all parameters, unless plans
// for the parameters at hand come out cheaper. A plan that it does not choose
// may be as bad as it likes.
func TestQueryPlans(t *testing.T) {
	s := open(t, Options{})
	conn, err := s.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	many(t, conn)
	queries := generatedQueries(t)
	require.Greater(t, len(queries), 80)
	queries["claim"], queries["forget"] = claim, forget
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		values := prepare(t, conn, name, queries[name])
		exec(t, conn, "set plan_cache_mode = force_generic_plan")
		generic := explain(t, conn, name, values)
		bad := faults(name, generic)
		if len(bad) == 0 {
			continue
		}
		exec(t, conn, "set plan_cache_mode = force_custom_plan")
		custom := explain(t, conn, name, values)
		require.Less(t, custom["Total Cost"], generic["Total Cost"], "%s: %v", name, bad)
		require.Empty(t, faults(name, custom))
	}
}

// faults returns what is wrong with a plan.
func faults(name string, plan node) (bad []string) {
	walk(plan, func(n node) {
		kind, relation := fmt.Sprint(n["Node Type"]), n["Relation Name"]
		cond, _ := n["Index Cond"].(string)
		switch {
		case kind == "Seq Scan":
			bad = append(bad, fmt.Sprintf("%s reads all of %v", name, relation))
		case (kind == "Sort" || kind == "Incremental Sort") && !maySort[name]:
			bad = append(bad, fmt.Sprintf("%s sorts by %v instead of following an index", name, n["Sort Key"]))
		case !strings.HasPrefix(kind, "Index") || mayReadTenant[name]:
		case onlyTenant.MatchString(cond), cond == "" && n["Index Name"] != "deliveries_due": // the queue, in order
			bad = append(bad, fmt.Sprintf("%s reads all of a tenant in %v: %s", name, relation, cond))
		}
	})
	return bad
}

var onlyTenant = regexp.MustCompile(`^\((\w+\.)?tenant = [^()]+\)$`)

type node map[string]any

// walk calls f for a node of a plan and those below it.
func walk(n node, f func(node)) {
	f(n)
	below, _ := n["Plans"].([]any)
	for _, b := range below {
		walk(node(b.(map[string]any)), f)
	}
}

var tenantParameter = regexp.MustCompile(`tenant = \$(\d+)`)

// prepare prepares a statement and returns parameters such as it may get.
func prepare(t *testing.T, conn *sql.Conn, name, text string) string {
	t.Helper()
	exec(t, conn, `prepare "`+name+`" as `+text)
	var types string
	require.NoError(t, conn.QueryRowContext(t.Context(), "select parameter_types::text from pg_prepared_statements where name = $1", name).Scan(&types))
	var values []string
	if types = strings.Trim(types, "{}"); types == "" {
		return ""
	}
	for i, kind := range strings.Split(types, ",") {
		value := map[string]string{"text": "'00010000'", "bytea": `'\x00'`, "uuid": "'" + firstID(time.Unix(1, 0)).String() + "'"}[kind]
		if m := tenantParameter.FindStringSubmatch(text); m != nil && m[1] == strconv.Itoa(i+1) {
			value = "'t00000002'"
		}
		if value == "" {
			value = "50"
		}
		values = append(values, value)
	}
	return "(" + strings.Join(values, ", ") + ")"
}

// explain returns the plan of a prepared statement.
func explain(t *testing.T, conn *sql.Conn, name, values string) node {
	t.Helper()
	var raw string
	require.NoError(t, conn.QueryRowContext(t.Context(), `explain (format json) execute "`+name+`"`+values).Scan(&raw), name)
	var plans []struct{ Plan node }
	require.NoError(t, json.Unmarshal([]byte(raw), &plans))
	return plans[0].Plan
}

func exec(t testing.TB, conn *sql.Conn, statement string) {
	t.Helper()
	_, err := conn.ExecContext(context.Background(), statement)
	require.NoError(t, err, statement)
}

// rowsOf is how many rows a table gets that is not named here.
const rowsOf = 20_000

var rowsOfTable = map[string]int{"tenants": 2000, "policies": 2000, "groups": 5000, "apps": 5000, "applications": 5000, "homes": 5000}

// valueOf is what a column holds in row g, if it is not made from its type.
var valueOf = map[string]string{
	"tenant":         "'t' || lpad((g % 20)::text, 8, '0')",
	"due_at":         "case when g / 20 % 20 = 0 then g end",
	"live":           "(g / 20 % 10 > 0)::int",
	"canceled":       "0",
	"accepted_at":    "case when g % 3 = 0 then g else 0 end",
	"revoked_at":     "case when g % 5 = 0 then g else 0 end",
	"user_type":      "'type' || g % 2",
	"external_state": "'state' || g % 3",
	"state":          "case g / 20 % 20 when 0 then 'queued' when 1 then 'failed' when 2 then 'canceled' else 'delivered' end",
	"holder":         "case when g / 20 % 10 > 0 then '' else lpad(g::text, 8, '0') end",
}

// many fills every table, with columns that go with each other by their names.
func many(t *testing.T, conn *sql.Conn) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), `select table_name, column_name, data_type from information_schema.columns
		where table_schema = 'public' and table_name not like 'goose%' order by table_name, ordinal_position`)
	require.NoError(t, err)
	columns := map[string][][2]string{}
	for rows.Next() {
		var table, column, kind string
		require.NoError(t, rows.Scan(&table, &column, &kind))
		columns[table] = append(columns[table], [2]string{column, kind})
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(columns), 15)

	exec(t, conn, "set session_replication_role = replica") // without the references
	exec(t, conn, "set statement_timeout = 0")
	for table, list := range columns {
		var names, values []string
		for _, c := range list {
			value, ok := valueOf[c[0]]
			switch {
			case ok && table != "policies":
			case c[1] == "bigint":
				value = "g"
			case c[1] == "bytea":
				value = `'\x00'::bytea`
			case c[1] == "uuid":
				value = "gen_random_uuid()"
			default:
				value = "lpad(g::text, 8, '0')"
			}
			names, values = append(names, c[0]), append(values, value)
		}
		n := rowsOf
		if few, ok := rowsOfTable[table]; ok {
			n = few
		}
		exec(t, conn, fmt.Sprintf("insert into %s (%s) select %s from generate_series(1, %d) g", table, strings.Join(names, ", "), strings.Join(values, ", "), n))
	}
	exec(t, conn, "set session_replication_role = origin")
	exec(t, conn, "analyze")
}

// generatedQueries reads the statements from the generated code, so that none
// can be forgotten.
func generatedQueries(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../internal/sqlstore/*_gen.go")
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
