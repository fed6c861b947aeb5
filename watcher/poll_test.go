package watcher_test

import (
	"testing"
	"time"

	"pushwatch/watcher"
)

// TestBadTask has TIW refuse the request for a task for half an hour: it is asked
// again at growing intervals, up to a minute, and watched as any other after that.
func TestBadTask(t *testing.T) {
	var well time.Time
	c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(_ watcher.Key, at time.Time) (watcher.Push, error) {
		if at.Before(well) {
			return watcher.Push{}, &watcher.CloudError{Kind: watcher.BadTask, Code: "InvalidParameter"}
		}
		return pushOf("PUSHING"), nil
	})
	run(t, c, func(t *testing.T, s *scene) {
		began := time.Now()
		well = began.Add(30 * time.Minute)
		key := s.register(1, "class")[0]
		time.Sleep(10 * time.Minute)
		// After 1, 2, 4, 8, 16 and 32 s, then each minute.
		if n := c.pollsOf(key, began); n < 14 || n > 16 {
			t.Errorf("polled %d times in ten minutes of refusals, want 15 or so", n)
		}
		time.Sleep(time.Until(well.Add(time.Minute)))
		from := time.Now()
		time.Sleep(time.Minute)
		if n := c.pollsOf(key, from); n < 50 {
			t.Errorf("polled %d times in the second minute after, want it about each second", n)
		}
	})
}
