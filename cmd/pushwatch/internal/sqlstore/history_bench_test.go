package sqlstore_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/watcher"
)

// BenchmarkRareEvents reads the only event of a type among very many others: the
// page from the oldest event on, and the newest ones.
func BenchmarkRareEvents(b *testing.B) {
	const events = 20 // of each of 50,000 tasks
	each(b, func(b *testing.B, db *sqlstore.DB, a *sqlstore.Account, tasks []watcher.Task) {
		rare := watcher.NewEnvelope("test", "msg_rare", watcher.WatcherBlind, "school", tasks[0].RegisteredAt, struct{}{})
		fill(b, a, tasks, events)
		if err := a.Announce(b.Context(), watcher.Event{ID: "msg_rare", Type: watcher.WatcherBlind, ObservedAt: tasks[0].RegisteredAt, Body: rare.Encode()}); err != nil {
			b.Fatal(err)
		}
		for name, query := range map[string]watcher.EventQuery{
			"one":    {Types: []watcher.EventType{watcher.WatcherBlind}},
			"some":   {Types: []watcher.EventType{watcher.WatcherBlind, watcher.WatcherSighted}},
			"newest": {Types: []watcher.EventType{watcher.WatcherBlind}, Newest: true},
		} {
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					page, err := db.Events(b.Context(), query)
					if err != nil || len(page.Events) != 1 {
						b.Fatalf("Events(%+v) = %d events, %v, want one", query, len(page.Events), err)
					}
				}
			})
		}
	})
}

// fill saves so many events of each task.
func fill(b *testing.B, a *sqlstore.Account, tasks []watcher.Task, events int) {
	b.Helper()
	const together = 100
	for some := range slices.Chunk(tasks, together) {
		var all sync.WaitGroup
		for _, t := range some {
			all.Go(func() {
				t.Version++
				t.Sequence += int64(events)
				change := watcher.Change{Task: t}
				for n := range int64(events) {
					e := watcher.Event{ID: fmt.Sprintf("msg_%s-%d", t.TaskID, n+1), Type: watcher.PushException, Key: t.Key, Account: t.Account, Sequence: n + 1, ObservedAt: t.RegisteredAt}
					e.Body = watcher.NewEnvelope("test", e.ID, e.Type, e.Key.String(), e.ObservedAt, watcher.TaskData{Sequence: e.Sequence}).Encode()
					change.Events = append(change.Events, e)
				}
				if err := a.Save(b.Context(), change); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
}
