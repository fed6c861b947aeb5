package watcher_test

import (
	"testing"
	"time"

	"pushwatch/watcher"
)

// other is a second application, for the tests that need one.
const other = app + 1

// ofOther is a task of it.
var ofOther = watcher.Key{SDKAppID: other, TaskID: "class"}

// registerBoth registers a task of each application, and returns the first one's.
func (s *scene) registerBoth() watcher.Key {
	s.t.Helper()
	if _, _, err := s.Register(s.t.Context(), []watcher.Registration{{Key: ofOther}}, false); err != nil {
		s.t.Fatal(err)
	}
	return s.register(1, "class")[0]
}

// TestProbeTellsNothing has the probes of a denied application meet what says
// nothing of it: it is probed on, and seen again when it can be.
func TestProbeTellsNothing(t *testing.T) {
	for name, fault := range map[string]error{
		"account denied": &watcher.CloudError{Kind: watcher.Denied, Code: "AuthFailure.SignatureFailure", WholeAccount: true},
		"throttled":      &watcher.CloudError{Kind: watcher.Throttled, Code: "RequestLimitExceeded"},
		"transient":      &watcher.CloudError{Code: "InternalError"},
	} {
		t.Run(name, func(t *testing.T) {
			var denied, during, after time.Time
			c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(key watcher.Key, at time.Time) (watcher.Push, error) {
				switch {
				case at.After(during) && at.Before(after):
					return watcher.Push{}, fault
				case key == ofOther && at.After(denied) && at.Before(after):
					return watcher.Push{}, &watcher.CloudError{Kind: watcher.Denied, Code: "ResourceUnavailable.ServiceExpired"}
				}
				return pushOf("PUSHING"), nil
			})
			run(t, c, func(t *testing.T, s *scene) {
				denied = time.Now()
				during = denied.Add(2 * time.Minute)
				after = during.Add(2 * time.Minute)
				s.registerBoth()
				time.Sleep(time.Until(after))
				if n := c.pollsOf(ofOther, during); n < 5 {
					t.Errorf("the denied application was probed %d times in two minutes, want it probed on", n)
				}
				time.Sleep(20 * time.Second)
				if got := s.told(ofOther); got != "push.started" {
					t.Errorf("20 s after all is well: events = %q, want push.started", got)
				}
			}, other)
		})
	}
}
