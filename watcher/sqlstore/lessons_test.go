package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
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
			type statement struct {
				table, alias, text string
				args               []any
			}
			nulls := func(columns int) []any { return make([]any, n*columns) }
			statements := []statement{
				{"tasks", "tasks", saveStatement(n), nulls(len(taskTypes) + 1)},
				{"tasks", "tasks", touchStatement(n), nulls(len(touchTypes))},
				{"deliveries", "deliveries", settleStatement(n), nulls(len(outcomeTypes))},
			}
			for _, k := range kinds {
				keys := slices.Repeat([]any{1, map[string]any{"BIGINT": 1, "TEXT": "task1"}[k.types[1]]}, n)
				statements = append(statements, statement{k.table, "r", k.dropStatement(n), append(keys, k.ages(1)...)})
			}
			for _, c := range statements {
				explain, want, never := `EXPLAIN QUERY PLAN `, "SEARCH "+c.alias+" USING INDEX sqlite_autoindex_"+c.table+"_", "SCAN "+c.alias
				if db.postgres {
					explain, want, never = `EXPLAIN `, "Index Scan using "+c.table+"_pkey", "Seq Scan"
				}
				plan := planOf(t, db, explain+c.text, c.args)
				if !strings.Contains(plan, want) || strings.Contains(plan, never) {
					t.Errorf("plan is\n%s\nwant %q and no %q in it", plan, want, never)
				}
			}
		})
	}
}

// TestSweepWaits has rows be old and of no use when they are found, and locked by who
// brings them back: they stay.
func TestSweepWaits(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *DB{"sqlite": openTest, "postgres": openPostgresTest} {
		for what, c := range map[string]struct {
			row   string
			bring func(context.Context, transaction) error
			table string
		}{
			"replay": {
				`INSERT INTO deliveries (shard, id, position, event, notifier, state, attempts, last_error, log, created_at, settled_at)
					VALUES (1, 1, 1, 1, 'n', 'delivered', 1, '', '', 1, 1)`,
				func(ctx context.Context, tx transaction) error {
					_, _, err := tx.replay(ctx, 1, notify.Selection{ID: notify.DeliveryID{Shard: 1, ID: 1}}, 0)
					return err
				}, "deliveries",
			},
			"reopen": {
				`INSERT INTO tasks (sdk_app_id, task_id, account, state, labels, registered_at, ended_at, version, sequence, memory)
					VALUES (1, 'a', 'school', 'stopped', '{}', 1, 1, 1, 1, '{}')`,
				func(ctx context.Context, tx transaction) error {
					asked := watcher.Task{Key: watcher.Key{SDKAppID: 1, TaskID: "a"}, Account: "school", RegisteredAt: time.Now()}
					return tx.insertTasks(ctx, []watcher.Task{begin(asked, watcher.Task{Version: 1})})
				}, "tasks",
			},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				db := open(t)
				ownTest(t, db)
				if _, err := db.writer.Exec(c.row); err != nil {
					t.Fatal(err)
				}
				var sweeper sync.WaitGroup
				err := db.write(t.Context(), func(tx transaction) error {
					if err := c.bring(t.Context(), tx); err != nil {
						return err
					}
					sweeper.Go(func() {
						if n, err := db.Sweep(t.Context(), time.Now(), 10); n != 0 || err != nil {
							t.Errorf("Sweep() = %d, %v, want 0", n, err)
						}
					})
					return awaitWaiting(db)
				})
				if err != nil {
					t.Fatal(err)
				}
				sweeper.Wait()
				var left int
				if err := db.reader.QueryRow(`SELECT COUNT(*) FROM ` + c.table).Scan(&left); err != nil || left != 1 {
					t.Errorf("%d %s are left, %v, want 1", left, c.table, err)
				}
			})
		}
	}
}

// TestSweepLooks has nothing be there to drop, while another writes: that is found out
// without its waiting for the writer, or having others wait.
func TestSweepLooks(t *testing.T) {
	db := openTest(t)
	err := db.write(t.Context(), func(tx transaction) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n, err := db.Sweep(ctx, time.Now(), 10)
		if n != 0 {
			t.Errorf("Sweep() of nothing = %d, want 0", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// awaitWaiting returns when somebody waits for what a transaction has locked.
func awaitWaiting(db *DB) error {
	for {
		waiting := db.writer.Stats().WaitCount // for the one connection
		if db.postgres {
			if err := db.reader.QueryRow(`SELECT COUNT(*) FROM pg_locks WHERE NOT granted`).Scan(&waiting); err != nil {
				return err
			}
		}
		if waiting > 0 {
			return nil
		}
		time.Sleep(time.Millisecond)
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

// planOf explains a statement, in a transaction as the writer's.
func planOf(t *testing.T, db *DB, explain string, args []any) string {
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
		}, explain, args...)
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

// TestSettleOrder has two accounts' writers save the standings of two notifiers, which
// their outcomes bring in opposite orders, again and again at the same time.
func TestSettleOrder(t *testing.T) {
	t.Parallel()
	db := openPostgresTest(t)
	var writers sync.WaitGroup
	for i, names := range [][]string{{"m", "n"}, {"n", "m"}} {
		a, err := db.Own(t.Context(), names[0])
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			for round := range 200 {
				var outcomes []notify.Outcome
				for _, name := range names {
					outcomes = append(outcomes, notify.Outcome{ID: 1, State: notify.Dead, Standing: &notify.Standing{
						Notifier: name, Version: int64(2*round + i), State: notify.Gone, ChangedAt: time.Now(),
					}})
				}
				if err := a.commit(t.Context(), []*request{{outcomes: outcomes, done: make(chan struct{})}}); err != nil {
					t.Errorf("commit() of %v among others = %v", names, err)
					return
				}
			}
		})
	}
	writers.Wait()
}

// TestSilentDatabase has a connection die unnoticed: whoever reads is told before long.
func TestSilentDatabase(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.Postgres(t))
	proxy.Open(t)
	db := openURL(t, proxy.URL)
	a := ownTest(t, db)
	key := watcher.Key{SDKAppID: 1, TaskID: "a"}
	if _, err := a.Task(t.Context(), key); !errors.Is(err, watcher.ErrNoTask) {
		t.Fatalf("Task() = %v, want %v", err, watcher.ErrNoTask)
	}
	db.patience = 100 * time.Millisecond
	proxy.Slow(time.Hour)
	for name, read := range map[string]func() error{
		"Task": func() error { _, err := a.Task(t.Context(), key); return err },
		"Body": func() error { _, err := a.Body(t.Context(), 1); return err },
		"Live": func() error { return a.Live(t.Context(), func(watcher.Task) error { return nil }) },
	} {
		if err := read(); !errors.Is(err, errSilent) {
			t.Errorf("%s() of a silent database = %v, want %v", name, err, errSilent)
		}
	}
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
