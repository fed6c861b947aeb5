package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/storetest"
)

func openTest(t *testing.T) *DB {
	t.Helper()
	return openURL(t, "sqlite:"+filepath.Join(t.TempDir(), "pushwatch.db"))
}

func openPostgresTest(t *testing.T) *DB {
	t.Helper()
	return openURL(t, storetest.Postgres(t))
}

func openURL(t *testing.T, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func ownTest(t *testing.T, db *DB) *Account {
	t.Helper()
	a, err := db.Own(t.Context(), "school")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func announcement(id string) *request {
	return &request{
		events:   []watcher.Event{{ID: id, Type: watcher.WatcherBlind, ObservedAt: time.Now(), Notifiers: []string{"n"}, Body: []byte("{}")}},
		subjects: []string{"school"}, done: make(chan struct{}),
	}
}

// TestSynchronous holds what keeps a SQLite commit on the disk: FULL.
func TestSynchronous(t *testing.T) {
	var got int
	if err := openTest(t).writer.QueryRow(`PRAGMA synchronous`).Scan(&got); err != nil || got != 2 {
		t.Errorf("PRAGMA synchronous of the writing connection = %d, %v, want 2", got, err)
	}
}

// TestGroup has writes queue up before the writer is there: it puts all of them
// into one transaction, in their order.
func TestGroup(t *testing.T) {
	a := ownTest(t, openTest(t))
	var groups [][]notify.Delivery
	a.Subscribe(func(news []notify.Delivery) { groups = append(groups, news) })
	const n = groupWeight / 3 // each is a request, an event and a delivery
	var last *request
	for i := range n {
		last = announcement(fmt.Sprintf("msg_%d", i))
		a.queue <- last
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
	<-last.done
	cancel()
	writer.Wait()
	if len(groups) != 1 || len(groups[0]) != n {
		t.Fatalf("%d writes went into %d groups, want one", n, len(groups))
	}
	for i, d := range groups[0] {
		if want := fmt.Sprintf("msg_%d", i); d.EventID != want {
			t.Errorf("delivery %d is of %s, want %s", i, d.EventID, want)
		}
	}
}

// TestUnknownOutcome has a transaction commit although its writer was told of an
// error: the next one finds what the subscriber has missed, in order and once.
func TestUnknownOutcome(t *testing.T) {
	a := ownTest(t, openTest(t))
	var told []string
	a.Subscribe(func(news []notify.Delivery) {
		for _, d := range news {
			told = append(told, d.EventID)
		}
	})
	lost := *a // writes as a would, but a is not told
	lost.subscriber, lost.told = func([]notify.Delivery) {}, new(atomic.Int64)
	for _, step := range []struct {
		by    *Account
		group []*request
		want  []string
	}{
		{a, []*request{announcement("msg_1")}, []string{"msg_1"}},
		{&lost, []*request{announcement("msg_2"), announcement("msg_3")}, []string{"msg_1"}},
		{a, []*request{announcement("msg_4")}, []string{"msg_1", "msg_2", "msg_3", "msg_4"}},
		{&lost, []*request{announcement("msg_5")}, []string{"msg_1", "msg_2", "msg_3", "msg_4"}},
		{a, nil, []string{"msg_1", "msg_2", "msg_3", "msg_4", "msg_5"}},
		{a, nil, []string{"msg_1", "msg_2", "msg_3", "msg_4", "msg_5"}},
	} {
		lost.told.Store(max(lost.told.Load(), a.told.Load()))
		if err := step.by.commit(t.Context(), step.group); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(told, step.want) {
			t.Fatalf("told of %v, want %v", told, step.want)
		}
	}
}

// TestBrokenGroup has a transaction fail: all its callers are told, also the one
// that had met a conflict, for nothing is known of its task any more.
func TestBrokenGroup(t *testing.T) {
	db := openTest(t)
	a := ownTest(t, db)
	unknown := &request{task: &watcher.Task{Key: watcher.Key{SDKAppID: 1, TaskID: "x"}, Account: "school", Version: 2}, done: make(chan struct{})}
	other := announcement("msg_1")
	if _, err := db.writer.Exec(`DROP TABLE deliveries`); err != nil {
		t.Fatal(err)
	}
	if err := a.commit(t.Context(), []*request{unknown, other}); err == nil {
		t.Fatal("commit() without a table = nil, want an error")
	}
	for name, r := range map[string]*request{"conflict": unknown, "other": other} {
		<-r.done
		if r.err == nil || !strings.Contains(r.err.Error(), "deliveries") {
			t.Errorf("%s: error = %v, want that of the transaction", name, r.err)
		}
	}
	var events int
	if err := db.reader.QueryRow(`SELECT COUNT(*) FROM events`).Scan(&events); err != nil || events != 0 {
		t.Errorf("%d events, %v, want none", events, err)
	}
}

// TestSettleLog reads what Settle leaves of attempts.
func TestSettleLog(t *testing.T) {
	db := openTest(t)
	a := ownTest(t, db)
	if err := a.commit(t.Context(), []*request{announcement("msg_1")}); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 18, 16, 5, 0, time.UTC)
	first := notify.Outcome{ID: 1, Position: 1, State: notify.Pending, Attempts: 1, NextAttemptAt: at.Add(time.Second),
		Attempt: notify.Attempt{At: at, Status: 503, Error: "a\x00b", Duration: 20 * time.Millisecond}}
	second := notify.Outcome{ID: 1, Position: 1, State: notify.Delivered, Attempts: 2,
		Attempt: notify.Attempt{At: at.Add(time.Second), Status: 200, Duration: 1500 * time.Microsecond}}
	for _, outcomes := range [][]notify.Outcome{{first}, {first, second}, {second}} { // repeated as after an error
		if err := a.commit(t.Context(), []*request{{outcomes: outcomes, done: make(chan struct{})}}); err != nil {
			t.Fatal(err)
		}
	}
	var state, lastError, log string
	var attempts, settledAt int64
	err := db.reader.QueryRow(`SELECT state, attempts, last_error, log, settled_at FROM deliveries`).Scan(&state, &attempts, &lastError, &log, &settledAt)
	if err != nil || state != "delivered" || attempts != 2 || lastError != "" || settledAt != second.Attempt.At.Add(1500*time.Microsecond).UnixMicro() {
		t.Errorf("delivery is %s after %d attempts, %q, at %d, %v", state, attempts, lastError, settledAt, err)
	}
	want := `{"at":"2026-11-22T18:16:05.000000Z","status":503,"error":"a` + "\uFFFD" + `b","duration_ms":20}` + "\n" +
		`{"at":"2026-11-22T18:16:06.000000Z","status":200,"error":"","duration_ms":1}` + "\n"
	if log != want {
		t.Errorf("log = %s, want %s", log, want)
	}
}
