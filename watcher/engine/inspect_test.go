package engine

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pushwatch/watcher"
)

// TestInspect loses a task's next poll, which must not be able to happen, and
// finds it again.
func TestInspect(t *testing.T) {
	w := New(Config{Settings: Settings{Accounts: []AccountConfig{{Name: "school", SDKAppIDs: []int64{1}}}}})
	p := w.plan()
	a := newAccount(w, p, p.Accounts[0], nil)
	for _, id := range []string{"kept", "lost"} {
		a.adopt(watcher.Task{Key: watcher.Key{SDKAppID: 1, TaskID: id}, Account: "school", State: watcher.Pushing, RegisteredAt: time.Now(), Version: 1})
	}
	var e *task
	a.with(func(s *state) {
		e = s.tasks[watcher.Key{SDKAppID: 1, TaskID: "lost"}]
		s.picker.remove(e)
	})
	for range 2 {
		a.inspect(time.Now())
		if !a.state.picker.waits(e) {
			t.Error("the task has no next poll still")
		}
		if got := testutil.ToFloat64(a.metrics.repaired); got != 1 {
			t.Errorf("repaired = %v, want 1", got)
		}
	}
}
