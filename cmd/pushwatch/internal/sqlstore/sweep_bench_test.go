package sqlstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/watcher"
)

// BenchmarkSweep drops 200,000 old events, their deliveries and their 20,000 tasks as the
// daemon does, while an account saves changes. It reports how long these take meanwhile,
// which bounds how long a sweep keeps others from writing, and how long they take alone.
func BenchmarkSweep(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": sqliteURL, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				benchmarkSweep(b, url(b))
			}
			b.ReportMetric(0, "ns/op") // see the others
		})
	}
}

func benchmarkSweep(b *testing.B, url string) {
	const tasks, events, step = 20_000, 10, 500
	db := open(b, url)
	defer db.Close()
	a, stop := owner(b, db)
	defer stop()
	live := register(b, db, 0, 200)
	fillOld(b, url, tasks, events)

	var rows int
	var swept sync.WaitGroup
	done := make(chan struct{})
	begun := time.Now()
	swept.Go(func() {
		defer close(done)
		for {
			n, err := db.Sweep(b.Context(), time.Now().Add(-24*time.Hour), step)
			if err != nil {
				b.Error(err)
			}
			if rows += n; n == 0 || err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // a tenth of the daemon's pause
		}
	})
	beside := saveUntil(b, a, live, done)
	swept.Wait()
	if rows < tasks*events {
		b.Fatalf("%d rows were dropped, want at least %d", rows, tasks*events)
	}
	b.ReportMetric(float64(rows)/time.Since(begun).Seconds(), "rows/s")
	alone := make(chan struct{})
	time.AfterFunc(10*time.Second, func() { close(alone) })
	for name, took := range map[string][]time.Duration{"beside": beside, "alone": saveUntil(b, a, live, alone)} {
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b.ReportMetric(ms(took[len(took)/2]), "median-ms-"+name)
		b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms-"+name)
		b.ReportMetric(ms(took[len(took)-1]), "most-ms-"+name)
	}
}

// saveUntil saves changes until done is closed, and returns how long each took, the
// shortest first.
func saveUntil(b *testing.B, a *sqlstore.Account, live []watcher.Task, done <-chan struct{}) (took []time.Duration) {
	for i := 0; ; i++ {
		select {
		case <-done:
			slices.Sort(took)
			return took
		default:
		}
		start := time.Now()
		move(b, a, &live[i%len(live)])
		took = append(took, time.Since(start))
		time.Sleep(5 * time.Millisecond)
	}
}

// owner returns an account whose writer runs until stop.
func owner(b *testing.B, db *sqlstore.DB) (a *sqlstore.Account, stop func()) {
	a, err := db.Own(b.Context(), "school")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() { a.Run(ctx) })
	return a, func() { cancel(); writer.Wait() }
}

// fillOld writes tasks that ended long ago, with their events, each delivered. It flushes them
// to the disk, so that no later commit waits for that.
func fillOld(b *testing.B, url string, tasks, events int) {
	db := raw(b, url)
	series := `WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d)`
	old := time.Now().Add(-48 * time.Hour).UnixMicro()
	for _, statement := range []string{
		fmt.Sprintf(series+` INSERT INTO tasks (sdk_app_id, task_id, account, state, labels, registered_at, ended_at, version, sequence, memory)
			SELECT 1400000001, 'old' || n, 'school', 'stopped', '{"course":"math"}', %d, %[2]d + n, 1, %d, '{}' FROM s`, tasks, old, events),
		fmt.Sprintf(series+` INSERT INTO events (shard, number, id, type, subject, sdk_app_id, task_id, sequence, at, body)
			SELECT 1, 10000000 + n, 'msg_old' || n, 'push.changed', '1400000001/old' || (n / %d + 1), 1400000001, 'old' || (n / %[2]d + 1), n %% %[2]d, %d + n, '%s' FROM s`,
			tasks*events-1, events, old, fmt.Sprintf("%500s", "body")),
		fmt.Sprintf(series+` INSERT INTO deliveries (shard, id, position, event, notifier, state, attempts, last_error, log, created_at, settled_at)
			SELECT 1, 10000000 + n, 10000000 + n, 10000000 + n, 'classroom', 'delivered', 1, '', '{}', %d, %[2]d + n FROM s`, tasks*events-1, old),
		`UPDATE accounts SET last_event = 20000000, last_delivery = 20000000`,
	} {
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	flush := `PRAGMA wal_checkpoint(TRUNCATE)`
	if strings.HasPrefix(url, "postgres") {
		flush = `CHECKPOINT`
	}
	if _, err := db.ExecContext(b.Context(), flush); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}
