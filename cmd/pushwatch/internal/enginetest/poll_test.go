package enginetest

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// TestPollNowWhileDenied asks for the task of a denied application: the next probe is
// what was asked for, so nothing follows right after it when the denial has ended.
func TestPollNowWhileDenied(t *testing.T) {
	t.Parallel()
	var well time.Time
	c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(_ watcher.Key, at time.Time) (watcher.Push, error) {
		if at.Before(well) {
			return watcher.Push{}, &watcher.CloudError{Kind: watcher.DeniedApplication, Code: "ResourceUnavailable.ServiceExpired"}
		}
		return pushOf("PUSHING"), nil
	})
	synctest.Test(t, func(t *testing.T) {
		s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
			Settings: engine.Settings{
				MinInterval:  time.Minute,
				MaxStaleness: 10 * time.Minute,
				Thrift:       time.Hour,
				Accounts:     []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: c}},
			},
		})
		defer stop()
		well = time.Now().Add(time.Minute)
		key := s.register(1, "class")[0]
		time.Sleep(50 * time.Second)
		if err := s.PollNow(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(well.Add(3 * time.Minute)))
		if n := c.pollsOf(key, well); n != 1 {
			t.Errorf("polled %d times in the three minutes after the denial, want once: it was not asked for again", n)
		}
	})
}

// TestGlitch has TIW answer without a Status for 2½ s, and then for good: only that
// ends the push, which is polled no oftener while it is in doubt.
func TestGlitch(t *testing.T) {
	t.Parallel()
	var glitch, end time.Time
	c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(_ watcher.Key, at time.Time) (watcher.Push, error) {
		if at.After(glitch) && at.Before(glitch.Add(2500*time.Millisecond)) || at.After(end) {
			return watcher.Push{}, nil
		}
		return pushOf("PUSHING"), nil
	})
	run(t, c, func(t *testing.T, s *scene) {
		glitch = time.Now().Add(time.Minute)
		end = glitch.Add(time.Minute)
		key := s.register(1, "class")[0]
		time.Sleep(time.Until(end))
		if got := s.eventTypes(key); got != "push.started" {
			t.Errorf("after the glitch: events = %s, want push.started alone", got)
		}
		time.Sleep(8 * time.Second)
		if got := s.eventTypes(key); got != "push.started push.failed" {
			t.Errorf("8 s after the end: events = %s, want push.started push.failed", got)
		}
		if n := c.pollsOf(key, end); n != 2 {
			t.Errorf("polled %d times for the end, want one answer and one that confirms it", n)
		}
	})
}
