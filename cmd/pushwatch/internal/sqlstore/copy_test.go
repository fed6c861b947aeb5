package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify"
	"pushwatch/watcher"
)

// copyWays are the directions of a copy that people need.
var copyWays = []struct {
	name     string
	from, to func(testing.TB) string
}{
	{"sqlite to postgres", sqliteURL, storetest.Postgres},
	{"postgres to sqlite", storetest.Postgres, sqliteURL},
}

// copyTasks is how many tasks fillStore makes: more than one transaction of a copy.
const copyTasks = 5_000

// fillStore writes something to every table, hard to copy where that is possible.
func fillStore(t testing.TB, url string) {
	t.Helper()
	db := open(t, url)
	defer db.Close()
	school, err := db.Own(t.Context(), "school")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Own(t.Context(), "collège \U0001F393"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	defer writer.Wait()
	defer cancel()
	writer.Go(func() { school.Run(ctx) })

	tasks := register(t, db, 0, copyTasks)
	odd := watcher.Task{Key: watcher.Key{SDKAppID: 1<<53 + 1, TaskID: "Zz_-0"}, Account: "school", RegisteredAt: time.Now(),
		Labels: map[string]string{"quote": `'"\` + "\n\u202e\u00e9"}}
	if _, err := db.Register(t.Context(), []watcher.Task{odd}, false); err != nil {
		t.Fatal(err)
	}
	var moves sync.WaitGroup
	for i := range 300 {
		moves.Go(func() {
			for range 3 {
				move(t, school, &tasks[i])
			}
		})
	}
	moves.Wait()
	pending, err := school.Pending(t.Context(), "classroom", 0, 300)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []notify.Outcome
	for i, d := range pending {
		state := []notify.State{notify.Delivered, notify.Dead}[i%2]
		outcomes = append(outcomes, notify.Outcome{ID: d.ID, Position: d.Position, State: state, Attempts: 1,
			Attempt: notify.Attempt{At: time.Now(), Status: 500, Error: "no \u00e4nswer", Duration: time.Second}})
	}
	if err := school.Settle(t.Context(), outcomes); err != nil {
		t.Fatal(err)
	}
	if err := school.SaveCheckpoint(t.Context(), checkpoint(tasks)); err != nil {
		t.Fatal(err)
	}
	if err := school.SaveLearned(t.Context(), []byte(`{"curve":[1,2.5]}`)); err != nil {
		t.Fatal(err)
	}
	if err := db.SaveNotifier(t.Context(), notify.NotifierRecord{Notifier: "classroom", Version: 1, State: notify.Gone, Reason: "410", ChangedAt: time.Now()}, 0); err != nil {
		t.Fatal(err)
	}
	exec(t, url, `INSERT INTO members (name, since, beat_at, accounts) VALUES ('dead', 1, 2, '["school"]')`)
	exec(t, url, `INSERT INTO notes (shard, number, sdk_app_id, task_id, urgent) VALUES (1, 0, 1400000001, 'a', 1)`)
}

// checkpoint says that tasks were polled just now.
func checkpoint(tasks []watcher.Task) *watcher.Checkpoint {
	now := time.Now()
	c := watcher.NewCheckpoint(now, len(tasks))
	for _, t := range tasks {
		c.Add(t.Key, now, now)
	}
	return c
}

// raw opens a database past the package under test.
func raw(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, url = "sqlite", path
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// contents are all rows of all tables, as texts, by table, but for those of running
// processes.
func contents(t testing.TB, url string) map[string][]string {
	t.Helper()
	db := raw(t, url)
	list := `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	if strings.HasPrefix(url, "sqlite:") {
		list = `SELECT name FROM sqlite_schema WHERE type = 'table'`
	}
	all := make(map[string][]string)
	for _, table := range rowsOf(t, db, list) {
		table = strings.Trim(table, "[]")
		if !strings.HasPrefix(table, "goose_") && !strings.HasPrefix(table, "sqlite_") && table != "members" && table != "notes" {
			all[table] = rowsOf(t, db, `SELECT * FROM `+table)
			slices.Sort(all[table])
		}
	}
	return all
}

func rowsOf(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(values))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// exec changes a database by hand.
func exec(t testing.TB, url, statement string) {
	t.Helper()
	if _, err := raw(t, url).ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// copyAll copies a store, and calls report, if it is set, each time that Copy does.
func copyAll(ctx context.Context, from, to string, report func(sqlstore.Progress)) ([]sqlstore.CopiedTable, error) {
	if report == nil {
		report = func(sqlstore.Progress) {}
	}
	return sqlstore.Copy(ctx, sqlstore.Config{URL: from}, sqlstore.Config{URL: to}, report)
}

// holdCopy checks that two databases have the same rows, and what was said of them.
func holdCopy(t *testing.T, from, to string, copied []sqlstore.CopiedTable) {
	t.Helper()
	there, here := contents(t, from), contents(t, to)
	if len(there) != len(here) || len(there) != len(copied) {
		t.Errorf("%d tables were copied to %d, and %d were named", len(there), len(here), len(copied))
	}
	for table, want := range there {
		if got := here[table]; !slices.Equal(got, want) {
			t.Errorf("table %s has %d rows, want the %d of the source", table, len(got), len(want))
		}
		if !slices.Contains(copied, sqlstore.CopiedTable{Name: table, Rows: int64(len(want))}) {
			t.Errorf("the copied tables are %v, want %s with %d rows among them", copied, table, len(want))
		}
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	for _, way := range copyWays {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			from, to := way.from(t), way.to(t)
			fillStore(t, from)
			for table, rows := range contents(t, from) {
				if len(rows) == 0 {
					t.Errorf("table %s of the source is empty: fillStore should write to it", table)
				}
			}
			var last sqlstore.Progress
			copied, err := copyAll(t.Context(), from, to, func(p sqlstore.Progress) {
				if p.Rows < last.Rows && p.Comparing == last.Comparing || p.Rows > p.Total {
					t.Errorf("progress %+v follows %+v", p, last)
				}
				last = p
			})
			if err != nil {
				t.Fatal(err)
			}
			if !last.Comparing || last.Total < copyTasks {
				t.Errorf("last progress = %+v, want it to be that of the comparison", last)
			}
			holdCopy(t, from, to, copied)
			if _, err := copyAll(t.Context(), from, to, nil); !errors.Is(err, sqlstore.ErrNotEmpty) {
				t.Errorf("Copy() onto a complete copy = %v, want %v", err, sqlstore.ErrNotEmpty)
			}
			if copied, err = copyAll(t.Context(), to, way.from(t), nil); err != nil || len(copied) == 0 {
				t.Errorf("Copy() back = %v, %v", copied, err)
			}
		})
	}
}

// TestCopyLater has a table and a column that a later version may have.
func TestCopyLater(t *testing.T) {
	t.Parallel()
	from, to := sqliteURL(t), storetest.Postgres(t)
	for _, url := range []string{from, to} {
		open(t, url).Close()
		exec(t, url, `CREATE TABLE later (a TEXT NOT NULL, b BIGINT NOT NULL, c TEXT, PRIMARY KEY (b, a))`)
		exec(t, url, `ALTER TABLE notifiers ADD COLUMN later BIGINT`)
	}
	exec(t, from, `INSERT INTO later VALUES ('b', 1, NULL), ('a', 2, 'ü'), ('a', 1, '')`)
	exec(t, from, `INSERT INTO notifiers (name, version, state, reason, changed_at, later) VALUES ('n', 1, 'active', '', 0, 7)`)
	copied, err := copyAll(t.Context(), from, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	holdCopy(t, from, to, copied)

	exec(t, from, `ALTER TABLE notifiers ADD COLUMN by_hand BIGINT`)
	if _, err := copyAll(t.Context(), from, storetest.Postgres(t), nil); err == nil || !strings.Contains(err.Error(), "differ") {
		t.Errorf("Copy() to other tables = %v, want an error", err)
	}
}

// TestCopyInterrupted stops a copy again and again, at any of its steps.
func TestCopyInterrupted(t *testing.T) {
	t.Parallel()
	for _, way := range copyWays {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			from, to := way.from(t), way.to(t)
			fillStore(t, from)
			var reached int64
			for round := 1; ; round++ {
				ctx, cancel := context.WithCancel(t.Context())
				steps := 1 + rand.IntN(4*round)
				first := true
				copied, err := copyAll(ctx, from, to, func(p sqlstore.Progress) {
					if first && p.Rows < reached {
						t.Errorf("round %d begins with %d rows, want the %d that were there", round, p.Rows, reached)
					}
					first = false
					if !p.Comparing {
						reached = p.Rows
					}
					if steps--; steps == 0 {
						cancel()
					}
				})
				cancel()
				if err == nil {
					holdCopy(t, from, to, copied)
					break
				}
				if round > 100 {
					t.Fatalf("Copy() gets nowhere: %v", err)
				}
				if err := openError(t, to); !errors.Is(err, sqlstore.ErrUnfinished) {
					t.Errorf("Open() of a part of a copy = %v, want %v", err, sqlstore.ErrUnfinished)
				}
			}
			open(t, to).Close()
		})
	}
}

// interrupt begins a copy that ends before it is complete.
func interrupt(t *testing.T, from, to string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := copyAll(ctx, from, to, func(p sqlstore.Progress) {
		if p.Rows > 0 {
			cancel()
		}
	}); err == nil {
		t.Fatal("the copy was complete before it was interrupted")
	}
}

// TestCopyAnew has a daemon run on the source after a copy was interrupted.
func TestCopyAnew(t *testing.T) {
	t.Parallel()
	from, to := sqliteURL(t), storetest.Postgres(t)
	fillStore(t, from)
	interrupt(t, from, to)
	db := open(t, from)
	if _, err := db.Own(t.Context(), "school"); err != nil {
		t.Fatal(err)
	}
	exec(t, from, `DELETE FROM deliveries WHERE state = 'dead'`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	copied, err := copyAll(t.Context(), from, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	holdCopy(t, from, to, copied)
}

func TestCopyRefused(t *testing.T) {
	t.Parallel()
	from, to, other := sqliteURL(t), storetest.Postgres(t), sqliteURL(t)
	fillStore(t, from)
	fillStore(t, other)
	interrupt(t, from, to)
	if _, err := copyAll(t.Context(), other, to, nil); !errors.Is(err, sqlstore.ErrNotEmpty) || !strings.Contains(err.Error(), from) {
		t.Errorf("Copy() onto the part of another's copy = %v, want %v that names %s", err, sqlstore.ErrNotEmpty, from)
	}
	if _, err := copyAll(t.Context(), to, sqliteURL(t), nil); !errors.Is(err, sqlstore.ErrUnfinished) {
		t.Errorf("Copy() of a part = %v, want %v", err, sqlstore.ErrUnfinished)
	}
	db := open(t, other)
	defer db.Close()
	if _, err := copyAll(t.Context(), other, sqliteURL(t), nil); !errors.Is(err, sqlstore.ErrLocked) {
		t.Errorf("Copy() of a database in use = %v, want %v", err, sqlstore.ErrLocked)
	}
}

// TestCopyWhileOwned has others write to the source while it is copied.
func TestCopyWhileOwned(t *testing.T) {
	t.Parallel()
	from := storetest.Postgres(t)
	fillStore(t, from)
	db := open(t, from)
	defer db.Close()

	school, err := db.Own(t.Context(), "school")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- school.Run(t.Context()) }()
	to := sqliteURL(t)
	if _, err := copyAll(t.Context(), from, to, nil); err != nil {
		t.Fatal(err)
	}
	if err := school.SaveCheckpoint(t.Context(), checkpoint(register(t, db, 0, 1))); !errors.Is(err, watcher.ErrFenced) {
		t.Errorf("a write by the owner from before the copy = %v, want %v", err, watcher.ErrFenced)
	}
	if err := <-ended; !errors.Is(err, watcher.ErrFenced) {
		t.Errorf("Run() of the owner from before the copy = %v, want %v", err, watcher.ErrFenced)
	}

	exec(t, from, `INSERT INTO members (name, since, beat_at, accounts) VALUES ('alive', 1, 9000000000000000, '[]')`)
	if _, err := copyAll(t.Context(), from, sqliteURL(t), nil); !errors.Is(err, sqlstore.ErrLocked) || !strings.Contains(err.Error(), "replica alive") {
		t.Errorf("Copy() beside a replica = %v, want %v that names it", err, sqlstore.ErrLocked)
	}
	exec(t, from, `DELETE FROM members WHERE name = 'alive'`)

	for name, write := range map[string]func(){
		"a new owner": func() {
			if _, err := db.Own(t.Context(), "school"); err != nil {
				t.Error(err)
			}
		},
		"a registration": func() { register(t, db, rand.IntN(1<<40), 1) },
	} {
		to := sqliteURL(t)
		once := sync.OnceFunc(write)
		if _, err := copyAll(t.Context(), from, to, func(p sqlstore.Progress) {
			if p.Table == "tasks" && p.Comparing {
				once()
			}
		}); !errors.Is(err, sqlstore.ErrChanged) {
			t.Errorf("Copy() beside %s = %v, want %v", name, err, sqlstore.ErrChanged)
		}
		copied, err := copyAll(t.Context(), from, to, nil)
		if err != nil {
			t.Errorf("Copy() again after %s = %v", name, err)
		}
		holdCopy(t, from, to, copied)
	}
}

// BenchmarkCopy copies 50,000 tasks.
func BenchmarkCopy(b *testing.B) {
	for _, way := range copyWays {
		b.Run(strings.ReplaceAll(way.name, " ", "_"), func(b *testing.B) {
			from := way.from(b)
			db := open(b, from)
			if _, err := db.Own(b.Context(), "school"); err != nil {
				b.Fatal(err)
			}
			register(b, db, 0, 50_000)
			db.Close()
			for b.Loop() {
				if _, err := copyAll(b.Context(), from, way.to(b), nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*50_000/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
