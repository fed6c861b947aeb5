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
	"testing/synctest"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify"
	"pushwatch/watcher"
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

// TestSynchronous checks what keeps a SQLite commit on the disk: FULL.
func TestSynchronous(t *testing.T) {
	t.Parallel()
	var got int
	if err := openTest(t).writer.QueryRow(`PRAGMA synchronous`).Scan(&got); err != nil || got != 2 {
		t.Errorf("PRAGMA synchronous of the writing connection = %d, %v, want 2", got, err)
	}
}

// TestGroup has writes queue up before the writer is there: it puts all of them
// into one transaction, in their order.
func TestGroup(t *testing.T) {
	t.Parallel()
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

// TestUnknownOutcome makes a transaction commit although its writer got an
// error: the next one finds what the subscriber has missed, in order and once.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	a := ownTest(t, openTest(t))
	var published []string
	a.Subscribe(func(news []notify.Delivery) {
		for _, d := range news {
			published = append(published, d.EventID)
		}
	})
	lost := *a // writes as a would, but does not publish
	lost.subscriber, lost.published = func([]notify.Delivery) {}, new(atomic.Int64)
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
		lost.published.Store(max(lost.published.Load(), a.published.Load()))
		if err := step.by.commit(t.Context(), step.group); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(published, step.want) {
			t.Fatalf("published %v, want %v", published, step.want)
		}
	}
}

// TestBrokenGroup has a transaction fail: all its callers get the error, also the one
// that had met a conflict, for nothing is known of its task any more.
func TestBrokenGroup(t *testing.T) {
	t.Parallel()
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

// others that might share its transaction.
func TestAtOnce(t *testing.T) {
	t.Parallel()
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
