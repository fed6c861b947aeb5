package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pushwatch/watcher"
)

// A tally agrees with a loop over the tasks, after any changes.
func TestTally(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := newState(newPlan(Settings{}), 20)
	now := time.Now()
	for step := range 3000 {
		now = now.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
		key := watcher.Key{SDKAppID: int64(1 + random.IntN(3)), TaskID: fmt.Sprint(random.IntN(40))}
		switch e := s.tasks[key]; {
		case e == nil:
			s.adopt(watcher.Task{Key: key, State: watcher.Registered, RegisteredAt: now.Add(-time.Duration(random.IntN(100)) * time.Second), Version: 1}, now)
		case random.IntN(10) == 0:
			s.drop(key)
		default:
			next := e.brief(now)
			next.State, next.LastObservedAt = watcher.States[random.IntN(3)], now
			s.update(e, func() { e.set(&next) })
		}
		states, unobserved, stalest := make(map[watcher.State]int), 0, time.Duration(0)
		for _, e := range s.tasks {
			states[e.State()]++
			if e.observed == watcher.Never {
				unobserved++
			}
			stalest = max(stalest, watcher.TickOf(now).Since(max(e.observed, watcher.TickOf(e.Registered))))
		}
		got := s.status(now)
		for _, state := range watcher.States[:3] {
			if got.Tasks[state] != states[state] {
				t.Fatalf("step %d: %d tasks are %s, want %d", step, got.Tasks[state], state, states[state])
			}
		}
		if d := got.Staleness - stalest; got.Unobserved != unobserved || d.Abs() > ageStep {
			t.Fatalf("step %d: unobserved %d, stalest %s, want %d, %s", step, got.Unobserved, got.Staleness, unobserved, stalest)
		}
	}
}

// BenchmarkStatus is what it costs to show how the watching of an account goes.
func BenchmarkStatus(b *testing.B) {
	for _, tasks := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint("tasks=", tasks), func(b *testing.B) {
			s := newState(newPlan(Settings{}), 20)
			now := time.Now()
			for i := range tasks {
				s.adopt(watcher.Task{Key: watcher.Key{SDKAppID: 1, TaskID: fmt.Sprint(i)}, State: watcher.Pushing, RegisteredAt: now.Add(-time.Duration(i) * time.Millisecond)}, now)
			}
			for b.Loop() {
				s.status(now)
			}
		})
	}
}
