package sqlstore_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify"
	"pushwatch/watcher"
)

// each runs a benchmark on both databases, which hold tasks already.
func each(b *testing.B, run func(b *testing.B, db *sqlstore.DB, a *sqlstore.Account, tasks []watcher.Task)) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": sqliteURL, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := open(b, url(b))
			defer db.Close()
			a, err := db.Own(b.Context(), "school")
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			var writer sync.WaitGroup
			defer writer.Wait()
			defer cancel()
			writer.Go(func() { a.Run(ctx) })
			run(b, db, a, register(b, db, 0, 50_000))
		})
	}
}

// register registers n tasks, 10,000 a call, with ids from first on.
func register(b testing.TB, db *sqlstore.DB, first, n int) []watcher.Task {
	var all []watcher.Task
	for from := first; from < first+n; from += 10_000 {
		asked := make([]watcher.Task, min(10_000, first+n-from))
		for i := range asked {
			asked[i] = watcher.Task{
				Key: watcher.Key{SDKAppID: 1400000001, TaskID: fmt.Sprintf("ghucnligqtgtvk%d", from+i)}, Account: "school",
				Labels: map[string]string{"course": "math-3b"}, RegisteredAt: time.Now(),
			}
		}
		tasks, err := db.Register(b.Context(), asked, false)
		if err != nil {
			b.Fatal(err)
		}
		for _, x := range tasks {
			all = append(all, x.Task)
		}
	}
	return all
}

// change makes the next change of a task, with one event to one notifier.
func change(t *watcher.Task) watcher.Change {
	t.Version++
	t.Sequence++
	e := watcher.Event{
		ID: fmt.Sprintf("msg_%s-%d", t.TaskID, t.Sequence), Type: watcher.PushChanged, Key: t.Key, Account: t.Account,
		Sequence: t.Sequence, ObservedAt: time.Now(), Notifiers: []string{"classroom"},
	}
	e.Body = watcher.NewEnvelope("test", e.ID, e.Type, e.Key.String(), e.ObservedAt, watcher.TaskData{Sequence: e.Sequence}).Encode()
	return watcher.Change{Task: *t, Events: []watcher.Event{e}}
}

// move saves the next change of a task.
func move(b testing.TB, a *sqlstore.Account, t *watcher.Task) {
	if err := a.Save(b.Context(), change(t)); err != nil {
		b.Error(err)
	}
}

func BenchmarkSave(b *testing.B) {
	each(b, func(b *testing.B, _ *sqlstore.DB, a *sqlstore.Account, tasks []watcher.Task) {
		for b.Loop() {
			move(b, a, &tasks[0])
		}
	})
}

// BenchmarkTransaction is transactions of so many changes. How many the writer puts
// into one is as many as come meanwhile: see BenchmarkSaveTogether.
func BenchmarkTransaction(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("changes=%d", size), func(b *testing.B) {
			each(b, func(b *testing.B, _ *sqlstore.DB, a *sqlstore.Account, tasks []watcher.Task) {
				next := 0
				for b.Loop() {
					changes := make([]watcher.Change, size)
					for i := range changes {
						changes[i] = change(&tasks[next%len(tasks)])
						next++
					}
					if err := a.SaveTogether(b.Context(), changes); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "changes/s")
			})
		})
	}
}

// BenchmarkSaveTogether is many callers, each of which saves one change after the
// other: the writer commits together what has gathered meanwhile.
func BenchmarkSaveTogether(b *testing.B) {
	for _, callers := range []int{16, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			each(b, func(b *testing.B, _ *sqlstore.DB, a *sqlstore.Account, tasks []watcher.Task) {
				var next atomic.Int64
				b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
				b.ResetTimer() // the database has been started and filled
				b.RunParallel(func(pb *testing.PB) {
					t := &tasks[next.Add(1)-1]
					for pb.Next() {
						move(b, a, t)
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
			})
		})
	}
}

// BenchmarkSettle settles 100 deliveries a turn, which are made outside its time.
func BenchmarkSettle(b *testing.B) {
	const batch = 100
	each(b, func(b *testing.B, _ *sqlstore.DB, a *sqlstore.Account, tasks []watcher.Task) {
		var last int64
		for b.Loop() {
			b.StopTimer()
			var all sync.WaitGroup
			for i := range batch {
				all.Go(func() { move(b, a, &tasks[i]) })
			}
			all.Wait()
			list, err := a.Pending(b.Context(), "classroom", last, batch)
			if err != nil || len(list) != batch {
				b.Fatalf("%d deliveries, %v, want %d", len(list), err, batch)
			}
			last = list[batch-1].ID
			outcomes := make([]notify.Outcome, batch)
			for i, d := range list {
				outcomes[i] = notify.Outcome{ID: d.ID, Position: d.Position, State: notify.Delivered, Attempts: 1, Attempt: notify.Attempt{At: time.Now(), Status: 200}}
			}
			b.StartTimer()
			if err := a.Settle(b.Context(), outcomes); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "outcomes/s")
	})
}

// BenchmarkRegister registers 10,000 tasks a turn.
func BenchmarkRegister(b *testing.B) {
	each(b, func(b *testing.B, db *sqlstore.DB, _ *sqlstore.Account, tasks []watcher.Task) {
		next := len(tasks)
		for b.Loop() {
			register(b, db, next, 10_000)
			next += 10_000
		}
	})
}
