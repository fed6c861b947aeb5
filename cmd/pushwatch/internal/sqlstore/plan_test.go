package sqlstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// TestPlans checks that both databases look up each row that the writer changes, where
// they would easily read through all of them: SQLite where a statement lists its
// keys, and PostgreSQL while it has no statistics of rows that are new.
func TestPlans(t *testing.T) {
	t.Parallel()
	const rows, n = 10_000, 100
	insertTasks := func(from int) string {
		return `INSERT INTO tasks (sdk_app_id, task_id, account, state, labels, registered_at, version, sequence, memory) VALUES ` +
			strings.Join(texts(from, n, "(1400000001, 'task%d', 'school', 'pushing', '{}', 1, 1, 0, '{}')"), ", ")
	}
	insertDeliveries := func(from int) string {
		return `INSERT INTO deliveries (shard, id, position, event, notifier, state, attempts, last_error, log, created_at) VALUES ` +
			strings.Join(texts(from, n, "(1, %[1]d, %[1]d, %[1]d, 'classroom', 'pending', 0, '', '', 1)"), ", ")
	}
	for name, open := range map[string]func(*testing.T) *DB{"sqlite": openTest, "postgres": openPostgresTest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			err := db.write(t.Context(), func(tx transaction) error {
				for from := 0; from < rows; from += n {
					for _, insert := range []string{insertTasks(from), insertDeliveries(from)} {
						if _, err := tx.exec(t.Context(), insert); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			type statement struct {
				table, alias, text string
				args               []any
			}
			statements := []statement{
				{"tasks", "tasks", withRows(saveStatement, n, append(encodeTask(new(watcher.Task)), 0)...), make([]any, n*16)},
				{"deliveries", "deliveries", withRows(settleStatement, n, encodeOutcome(1, notify.Outcome{})...), make([]any, n*11)},
			}
			for _, k := range sweepTables {
				keys := slices.Repeat([]any{1, map[string]any{"BIGINT": 1, "TEXT": "task1"}[k.types[1]]}, n)
				statements = append(statements, statement{k.name, "r", k.dropStatement(n), append(keys, k.ages(1)...)})
			}
			for _, c := range statements {
				want, never := "SEARCH "+c.alias+" USING INDEX sqlite_autoindex_"+c.table+"_", "SCAN "+c.alias
				if db.postgres {
					want, never = "Index Scan using "+c.table+"_pkey", "Seq Scan"
				}
				plan := planOf(t, db, c.text, c.args)
				if !strings.Contains(plan, want) || strings.Contains(plan, never) {
					t.Errorf("plan is\n%s\nwant %q and no %q in it", plan, want, never)
				}
			}
		})
	}
}

// TestAheadPlan checks that both databases find what deliveries wait for by the events
// of their tasks, and never among all that is pending.
func TestAheadPlan(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *DB{"sqlite": openTest, "postgres": openPostgresTest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			plan := planOf(t, db, withRows(aheadStatement, 100, 1, 1), make([]any, 200))
			for _, never := range []string{"SCAN d", "SCAN e", "SCAN f", "SCAN p", "deliveries_pending", "Seq Scan"} {
				if strings.Contains(plan, never) {
					t.Errorf("plan is\n%s\nwant no %q in it", plan, never)
				}
			}
			if !strings.Contains(plan, "deliveries_event") {
				t.Errorf("plan is\n%s\nwant deliveries_event in it", plan)
			}
		})
	}
}

// TestLabelPlan checks that labels are dropped by their key, and that the tasks with one
// are read in the order of the key.
func TestLabelPlan(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *DB{"sqlite": openTest, "postgres": openPostgresTest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			const n = 100
			for statement, args := range map[string][]any{
				withRows(dropLabelsStatement+noSuchTask, n, 1, 1, "a"):                           make([]any, 3*n),
				`SELECT 1 FROM task_labels WHERE label = ? ORDER BY sdk_app_id, task_id LIMIT ?`: {1, labelMost},
			} {
				want, never := "SEARCH task_labels USING PRIMARY KEY", []string{"SCAN task_labels", "SCAN t ", "TEMP B-TREE"}
				if db.postgres {
					want, never = "task_labels_pkey", []string{"Seq Scan"}
				}
				plan := planOf(t, db, statement, args)
				if !strings.Contains(plan, want) || slices.ContainsFunc(never, func(n string) bool { return strings.Contains(plan, n) }) {
					t.Errorf("plan is\n%s\nwant %q and none of %q in it", plan, want, never)
				}
			}
		})
	}
}

// withRows returns a statement for n rows like the given one.
func withRows(statement string, n int, row ...any) string {
	return fmt.Sprintf(statement, values(n, typesOf(row)...))
}

// planOf is how the database would run a statement in a transaction, as the writer's.
func planOf(t *testing.T, db *DB, statement string, args []any) string {
	t.Helper()
	explain := `EXPLAIN QUERY PLAN `
	if db.postgres {
		explain = `EXPLAIN `
	}
	var plan []string
	err := db.write(t.Context(), func(tx transaction) error {
		return tx.each(t.Context(), func(scan scanner) error {
			var line string
			dest := []any{&line}
			if !db.postgres {
				dest = []any{new(any), new(any), new(any), &line}
			}
			err := scan(dest...)
			plan = append(plan, line)
			return err
		}, explain+statement, args...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

// texts formats n numbers from first on.
func texts(first, n int, format string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, first+i)
	}
	return list
}
