package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher/storetest"
)

// TestPlans holds that both databases look up each row that the writer changes, where
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
			for _, c := range []struct {
				table, statement string
				columns          int
			}{
				{"tasks", saveStatement(n), len(taskTypes) + 1},
				{"tasks", touchStatement(n), len(touchTypes)},
				{"deliveries", settleStatement(n), len(outcomeTypes)},
			} {
				explain, want, never := `EXPLAIN QUERY PLAN `, "SEARCH "+c.table+" USING INDEX sqlite_autoindex_"+c.table+"_1 ", "SCAN "+c.table
				if db.postgres {
					explain, want, never = `EXPLAIN `, "Index Scan using "+c.table+"_pkey", "Seq Scan"
				}
				plan := planOf(t, db, explain+c.statement, n*c.columns)
				if !strings.Contains(plan, want) || strings.Contains(plan, never) {
					t.Errorf("plan is\n%s\nwant %q and no %q in it", plan, want, never)
				}
			}
		})
	}
}

// texts formats n numbers from first on.
func texts(first, n int, format string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, first+i)
	}
	return list
}

// planOf explains a statement of so many parameters, in a transaction as the writer's.
func planOf(t *testing.T, db *DB, explain string, parameters int) string {
	t.Helper()
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
		}, explain, make([]any, parameters)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

// TestAtOnce holds that a transition is committed when it comes, with no wait for
// others that might share its transaction.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ownTest(t, openTest(t))
		ctx, cancel := context.WithCancel(t.Context())
		var writer sync.WaitGroup
		defer writer.Wait()
		defer cancel()
		writer.Go(func() { a.Run(ctx) })
		start := time.Now()
		for i := range 3 {
			if err := a.submit(ctx, announcement(fmt.Sprintf("msg_%d", i))); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(start); waited != 0 { // by the bubble's clock, which only timers move
			t.Errorf("three transitions waited %s for timers, want 0", waited)
		}
	})
}

// TestFrozenTransaction has a process freeze in the middle of a transaction: the
// server ends it, and so frees what it had locked, before others take the process for
// dead.
func TestFrozenTransaction(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	url := storetest.Postgres(t)
	frozen, err := Open(t.Context(), Config{URL: url, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	other, err := Open(t.Context(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = frozen.write(t.Context(), func(tx transaction) error {
		if _, err := tx.account(t.Context(), "school", 1); err != nil {
			return err
		}
		start := time.Now()
		if _, err := other.Own(t.Context(), "school"); err != nil { // which waits for the row
			return err
		}
		if waited := time.Since(start); waited < ttl/4 {
			t.Errorf("Own() of a locked account took %s, want about %s", waited, ttl/2)
		}
		_, err := tx.account(t.Context(), "school", 1)
		return err
	})
	if err == nil {
		t.Error("a transaction that was frozen for longer than it may went on")
	}
}
