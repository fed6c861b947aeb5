package sqlstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/watcher"
)

// mix registers n tasks in an order that is neither that of their ids nor that of
// their registrations, the first of them the newest. Every second one has the label
// of a common group, and every thousandth a rare one.
func mix(t testing.TB, db *sqlstore.DB, n int) {
	t.Helper()
	begin := time.Now()
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	for chunk := range slices.Chunk(order, 10_000) {
		tasks := make([]watcher.Task, len(chunk))
		for i, n := range chunk {
			group := []string{"common", "other"}[n%2]
			if n%1000 == 999 {
				group = "rare"
			}
			tasks[i] = watcher.Task{
				Key: watcher.Key{SDKAppID: 1400000001, TaskID: fmt.Sprintf("t%06d", n)}, Account: "school",
				Labels: map[string]string{"course": fmt.Sprintf("math-%d", n%300), "group": group}, RegisteredAt: begin.Add(-time.Duration(n) * time.Second),
			}
		}
		if _, err := db.Register(t.Context(), tasks, false); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLabels looks for labels, common and rare, among more tasks than are looked at
// in their order, a page at a time.
func TestLabels(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"sqlite": sqliteURL, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			const n = 5000
			db := open(t, url(t))
			defer db.Close()
			mix(t, db, n)
			for group, want := range map[string]int{"common": n / 2, "rare": n / 1000, "none": 0} {
				for _, newest := range []bool{true, false} {
					var got []string
					q := watcher.TaskQuery{Labels: map[string]string{"group": group}, States: []watcher.State{watcher.Registered}, SDKAppID: 1400000001, Newest: newest, Limit: 3}
					if want > n/10 {
						q.Limit = n / 10
					}
					for {
						page, err := db.Tasks(t.Context(), q)
						if err != nil {
							t.Fatal(err)
						}
						for _, task := range page {
							if task.Labels["group"] != group {
								t.Errorf("task %s with labels %v found in group %s", task.Key, task.Labels, group)
							}
							got = append(got, task.TaskID)
						}
						if len(page) < q.Limit {
							break
						}
						last := page[len(page)-1]
						q.After = watcher.TaskMark{Key: last.Key, RegisteredAt: last.RegisteredAt}
					}
					// The ids rise with the age of the registrations.
					if len(got) != want || !slices.IsSorted(got) || len(slices.Compact(got)) != want {
						t.Errorf("group %s, newest first %t: %d tasks %.200q, want %d in order", group, newest, len(got), got, want)
					}
				}
			}
		})
	}
}

// TestLabelMigration opens a database whose tasks were registered before labels had a
// table of their own.
func TestLabelMigration(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"sqlite": sqliteURL, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 5000 // more than are read at a time
			url := url(t)
			db := open(t, url)
			mix(t, db, n)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			exec(t, url, `DROP TABLE task_labels`)
			exec(t, url, `DELETE FROM goose_db_version WHERE version_id = 9`)
			db = open(t, url)
			defer db.Close()
			for _, newest := range []bool{true, false} {
				found, err := db.Tasks(t.Context(), watcher.TaskQuery{Labels: map[string]string{"group": "rare"}, Newest: newest})
				if err != nil || len(found) != n/1000 {
					t.Errorf("Tasks() with a rare label = %d tasks, %v, want %d", len(found), err, n/1000)
				}
			}
		})
	}
}

// BenchmarkLabels looks for labels among 100,000 tasks, as soon as they are registered,
// when PostgreSQL knows little of them, and after ANALYZE, which it does by itself within a
// minute.
func BenchmarkLabels(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": sqliteURL, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			url := url(b)
			db := open(b, url)
			defer db.Close()
			mix(b, db, 100_000)
			b.Run("fresh", func(b *testing.B) { benchmarkLabels(b, db) })
			exec(b, url, "ANALYZE")
			b.Run("analyzed", func(b *testing.B) { benchmarkLabels(b, db) })
		})
	}
}

func benchmarkLabels(b *testing.B, db *sqlstore.DB) {
	for _, group := range []string{"common", "rare", "none"} {
		for order, newest := range map[string]bool{"newest": true, "by key": false} {
			b.Run(group+"/"+order, func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					start := time.Now()
					if _, err := db.Tasks(b.Context(), watcher.TaskQuery{Labels: map[string]string{"group": group}, Newest: newest, Limit: 51}); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-µs")
			})
		}
	}
}
