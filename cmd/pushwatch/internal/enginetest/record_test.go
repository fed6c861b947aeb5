package enginetest

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// TestUnreadable has a database that takes writes and cannot be read, while every
// push changes: that is what is reported of it, and no change is lost.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	var pushing atomic.Bool
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(watcher.Key, time.Time) (watcher.Push, error) {
		if pushing.Load() {
			return pushOf("PUSHING"), nil
		}
		return pushOf("PREPARED"), nil
	})
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		metrics := prometheus.NewRegistry()
		s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
			Log:     zap.New(core),
			Metrics: metrics,
			Settings: engine.Settings{
				Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: c}},
			},
		})
		defer stop()
		keys := s.register(10, "class")
		time.Sleep(10 * time.Second)
		s.store.blank.Store(true)
		pushing.Store(true)
		time.Sleep(time.Minute)
		if err := s.Ready(time.Now()); err == nil {
			t.Error("Ready = nil while nothing can be read, want an error")
		}
		if got := gauge(t, metrics, "pushwatch_database_failing"); got != 1 {
			t.Errorf("pushwatch_database_failing = %v while nothing can be read, want 1", got)
		}
		s.store.blank.Store(false)
		time.Sleep(time.Minute)
		if got := gauge(t, metrics, "pushwatch_database_failing"); got != 0 {
			t.Errorf("pushwatch_database_failing = %v when it can be read again, want 0", got)
		}
		if err := s.Ready(time.Now()); err != nil {
			t.Errorf("Ready = %v, want nil when it can be read again", err)
		}
		for _, key := range keys {
			if got := s.eventTypes(key); got != "push.preparing push.started" {
				t.Errorf("task %s: events = %s, want push.preparing push.started", key, got)
			}
		}
		failures := logs.Filter(func(e observer.LoggedEntry) bool {
			return e.ContextMap()["hint"] != nil || e.ContextMap()["after"] != nil
		}).All()
		if len(failures) != 2 || failures[0].Level != zap.ErrorLevel || failures[0].ContextMap()["error"] == nil || failures[1].Level != zap.InfoLevel {
			t.Errorf("logged of the database: %v, want one error with its cause, and that it is over", failures)
		}
	})
}

// TestFullStore has a store that takes nothing while 1,500 pushes change: it is not
// polled for ever more of them, and when it takes writes again no change is lost.
func TestFullStore(t *testing.T) {
	t.Parallel()
	const pushes, most = 1500, 500
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(watcher.Key, time.Time) (watcher.Push, error) {
		return pushOf("PUSHING"), nil
	})
	synctest.Test(t, func(t *testing.T) {
		s, stop := start(t, filepath.Join(t.TempDir(), "w.db"), c)
		defer stop()
		s.store.full.Store(true)
		begun := time.Now()
		keys := s.register(pushes, "class")
		time.Sleep(5 * time.Minute)
		if n := c.between(begun, time.Now()); n < most || n > most+20 { // those in flight when the last was too many
			t.Errorf("%d polls while nothing could be saved, want %d", n, most)
		}
		if err := s.Alive(time.Now()); err != nil {
			t.Errorf("Alive = %v while nothing can be saved, want nil", err)
		}
		s.store.full.Store(false)
		time.Sleep(5 * time.Minute)
		for _, key := range keys {
			if got := s.eventTypes(key); got != "push.started" {
				t.Fatalf("task %s: events = %q, want push.started", key, got)
			}
		}
	})
}
