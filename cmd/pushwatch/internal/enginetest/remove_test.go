package enginetest

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/watcher"
)

// A meddling is what somebody else does between two steps of the watcher, once.
type meddling struct{ what atomic.Pointer[func()] }

func (m *meddling) next(what func()) { m.what.Store(&what) }

func (m *meddling) come() {
	if what := m.what.Swap(nil); what != nil {
		(*what)()
	}
}

// meddled is a registry where somebody else may come between.
type meddled struct {
	*sqlstore.DB
	removed meddling // comes when a task was removed, before that is known
}

func (m *meddled) Remove(ctx context.Context, key watcher.Key) error {
	err := m.DB.Remove(ctx, key)
	m.removed.come()
	return err
}

// TestRemoveAndRegisterAtOnce has somebody register a task while another's removal
// of it is under way: what is live in the end is polled.
func TestRemoveAndRegisterAtOnce(t *testing.T) {
	t.Parallel()
	var slow atomic.Int64 // time.Duration
	var pushing atomic.Bool
	c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(watcher.Key, time.Time) (watcher.Push, error) {
		time.Sleep(time.Duration(slow.Load()))
		if pushing.Load() {
			return pushOf("PUSHING"), nil
		}
		return pushOf("PREPARED"), nil
	})
	run(t, c, func(t *testing.T, s *scene) {
		key := s.register(1, "class")[0]
		remove := func() {
			t.Helper()
			if err := s.Remove(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		polled := func(when string, want bool) {
			t.Helper()
			time.Sleep(10 * time.Second)
			from := time.Now()
			time.Sleep(time.Minute)
			if n := c.pollsOf(key, from); n > 0 != want {
				t.Errorf("%s: polled %d times in a minute, want it polled: %v", when, n, want)
			}
		}
		again := func() { s.register(1, "class") }

		s.registry.removed.next(again)
		remove()
		polled("registered before the removal returned", true)

		s.Notice("school", []watcher.Note{{Key: key}})
		polled("registered before a note of its removal came", true)

		if err := s.db.Remove(t.Context(), key); err != nil { // as another process does it
			t.Fatal(err)
		}
		s.Notice("school", []watcher.Note{{Key: key}})
		polled("removed by another process", false)

		again()
		slow.Store(int64(2 * time.Second))
		time.Sleep(time.Second)
		synctest.Wait() // a poll is under way
		pushing.Store(true)
		remove()
		s.store.gone.next(again)
		polled("registered when the poll's answer had just found it removed", true)
		if view, err := s.Task(t.Context(), key); err != nil || view.State != watcher.Pushing {
			t.Errorf("Task() = %v, %v, want it pushing", view.State, err)
		}
	})
}
