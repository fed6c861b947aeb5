package watcher

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestInspect loses a task's next poll, which must not be able to happen, and
// finds it again.
func TestInspect(t *testing.T) {
	w := New(Config{Accounts: []AccountConfig{{Name: "school", SDKAppIDs: []int64{1}}}})
	p := w.plan()
	a := newAccount(w, p, p.Accounts[0], nil)
	for _, id := range []string{"kept", "lost"} {
		a.adopt(Task{Key: Key{1, id}, Account: "school", State: Pushing, RegisteredAt: time.Now(), Version: 1})
	}
	e := a.tasks[Key{1, "lost"}]
	a.schedule.remove(e)
	for range 2 {
		a.inspect(time.Now())
		if !a.schedule.holds(e) {
			t.Error("the task has no next poll still")
		}
		if got := testutil.ToFloat64(a.metrics.repaired); got != 1 {
			t.Errorf("repaired = %v, want 1", got)
		}
	}
}
