package storetest

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pushwatch/watcher"
)

// testAmend changes what a task was registered with.
func testAmend(t *testing.T, b *bench) {
	db := b.db
	next := b.register("class")[0]
	key := next.Key
	next.Version++
	next.Labels = map[string]string{"course": "math-3b"}
	next.ExpectedStopAt = time.UnixMicro(1795371365000000)
	next.Memory.Overdue = true
	must(t, db.Amend(t.Context(), next))
	got, err := db.Task(t.Context(), key)
	if err != nil || !maps.Equal(got.Labels, next.Labels) || !got.ExpectedStopAt.Equal(next.ExpectedStopAt) || !got.Memory.Overdue || got.Version != next.Version {
		t.Errorf("Task after Amend = %+v, %v, want %+v", got, err, next)
	}
	wantError(t, "Amend of an older version", db.Amend(t.Context(), next), watcher.ErrConflict)
	b.remove(next)
	next.Version += 2
	wantError(t, "Amend of a removed task", db.Amend(t.Context(), next), watcher.ErrConflict)
}

// testBlind announces blindness and sight, and reads what is still blind.
func testBlind(t *testing.T, b *bench) {
	account := b.own("school")
	since := time.UnixMicro(1795371365000000).UTC()
	announce := func(n int, kind watcher.EventType, subject, app string) {
		t.Helper()
		body := fmt.Sprintf(`{"id":"msg_%d","subject":%q,"type":%q,"time":"2026-11-22T18:16:05Z","timestamp":"2026-11-22T18:16:05Z","data":{"sdk_app_id":%s,"since":%q,"tasks":7}}`,
			n, subject, kind, app, since.Format(time.RFC3339Nano))
		b.announce(account, watcher.Event{ID: fmt.Sprintf("msg_%d", n), Type: kind, Account: "school", ObservedAt: since, Body: []byte(body)})
	}
	announce(1, watcher.WatcherBlind, "school", "null")
	announce(2, watcher.WatcherBlind, "school/5", "5")
	announce(3, watcher.WatcherSighted, "school", "null")
	announce(4, watcher.DeliveryExhausted, "hook", "null")
	announce(5, watcher.WatcherBlind, "school/6", "6")
	announce(6, watcher.WatcherSighted, "school/6", "6")
	got, err := account.Blind(t.Context())
	want := watcher.Blindness{SDKAppID: 5, Since: since, Tasks: 7}
	if err != nil || len(got) != 1 || got[0].SDKAppID != 5 || !got[0].Since.Equal(since) || got[0].Tasks != 7 {
		t.Errorf("Blind = %v, %v, want %v alone", got, err, want)
	}
}

// testLearned keeps what was learnt, for the owner alone to write.
func testLearned(t *testing.T, b *bench) {
	first := b.own("school")
	if got, err := first.Learned(t.Context()); err != nil || got != nil {
		t.Errorf("Learned at first = %q, %v, want nothing", got, err)
	}
	must(t, first.SaveLearned(t.Context(), []byte(`{"a":1}`)))
	second := b.own("school")
	if got, err := second.Learned(t.Context()); err != nil || string(got) != `{"a":1}` {
		t.Errorf("Learned = %q, %v, want what was saved", got, err)
	}
	wantError(t, "SaveLearned of a former owner", first.SaveLearned(t.Context(), []byte(`{}`)), watcher.ErrFenced)
}
