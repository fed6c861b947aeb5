package enginetest

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// other is a second application, for the tests that need one.
const other = app + 1

// ofOther is a task of it.
var ofOther = watcher.Key{SDKAppID: other, TaskID: "class"}

// registerBoth registers a task of each application, and returns the first one's.
func (s *scene) registerBoth() watcher.Key {
	s.t.Helper()
	if _, err := s.Register(s.t.Context(), []watcher.Registration{{Key: ofOther}}, false); err != nil {
		s.t.Fatal(err)
	}
	return s.register(1, "class")[0]
}

// eventTypesOf returns the types of the events of a subject, in order.
func (s *scene) eventTypesOf(subject string) (types string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.events {
		if d.Subject == subject {
			types += " " + string(d.Type)
		}
	}
	return types
}

// TestProbeTellsNothing has the probes of a denied application meet what says
// nothing of it: it is probed on, and seen again when it can be.
func TestProbeTellsNothing(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]error{
		"account denied": &watcher.CloudError{Kind: watcher.DeniedAccount, Code: "AuthFailure.SignatureFailure"},
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
					return watcher.Push{}, &watcher.CloudError{Kind: watcher.DeniedApplication, Code: "ResourceUnavailable.ServiceExpired"}
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
				if got := s.eventTypes(ofOther); got != "push.started" {
					t.Errorf("20 s after all is well: events = %q, want push.started", got)
				}
			}, other)
		})
	}
}

// TestApplicationFailsAlone has one application fail in a way that says nothing of
// whose fault it is, while another of the account answers: it is reported as blind.
func TestApplicationFailsAlone(t *testing.T) {
	t.Parallel()
	var well time.Time
	c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(key watcher.Key, at time.Time) (watcher.Push, error) {
		if key == ofOther && at.Before(well) {
			return watcher.Push{}, &watcher.CloudError{Code: "InternalError"}
		}
		return pushOf("PUSHING"), nil
	})
	run(t, c, func(t *testing.T, s *scene) {
		began := time.Now()
		well = began.Add(time.Hour)
		s.registerBoth()
		time.Sleep(75 * time.Second)
		const subject = "school/1400000002"
		if got := s.eventTypesOf(subject); got != " watcher.blind" {
			t.Errorf("after 75 s: events of the application =%s, want watcher.blind", got)
		}
		time.Sleep(time.Until(well))
		// It is put off for up to 10 s after each poll that tells nothing.
		if n := c.pollsOf(ofOther, began); n < 350 || n > 375 {
			t.Errorf("polled %d times in an hour of failures, want about every 10 s", n)
		}
		time.Sleep(time.Minute)
		if got := s.eventTypesOf(subject); got != " watcher.blind watcher.sighted" {
			t.Errorf("a minute after its end: events of the application =%s, want watcher.blind watcher.sighted", got)
		}
		if got := s.eventTypesOf("school"); got != "" {
			t.Errorf("events of the account =%s, want none", got)
		}
	}, other)
}

// TestApplicationsAfterAnOutage has an account's outage end for one application some
// seconds before it ends for the other. Of that one nothing was learnt meanwhile, so
// nothing is reported, whether it went dark with the account or a moment before.
func TestApplicationsAfterAnOutage(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]time.Duration{"together": 0, "one before the other": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			var from, to time.Time
			c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(key watcher.Key, at time.Time) (watcher.Push, error) {
				from, to := from, to
				if key == ofOther {
					from, to = from.Add(-before), to.Add(30*time.Second)
				}
				if at.After(from) && at.Before(to) {
					return watcher.Push{}, &watcher.CloudError{Code: "http 502"}
				}
				return pushOf("PUSHING"), nil
			})
			run(t, c, func(t *testing.T, s *scene) {
				from = time.Now().Add(time.Minute)
				to = from.Add(3 * time.Minute)
				s.registerBoth()
				time.Sleep(time.Until(to.Add(5 * time.Minute)))
				synctest.Wait()
				if got := s.eventTypesOf("school"); got != " watcher.blind watcher.sighted" {
					t.Errorf("events of the account =%s, want watcher.blind watcher.sighted", got)
				}
				if got := s.eventTypesOf("school/1400000002"); got != "" {
					t.Errorf("events of the application =%s, want none", got)
				}
			}, other)
		})
	}
}

// TestManyDeniedApplications has a hundred applications denied: one that is not is
// polled as before, even where the limit is two polls a second, of which it gets one.
// The probes are shared fairly.
func TestManyDeniedApplications(t *testing.T) {
	t.Parallel()
	const many = 100
	for _, limit := range []float64{2, 20} {
		t.Run(fmt.Sprintf("%v a second", limit), func(t *testing.T) {
			c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(key watcher.Key, _ time.Time) (watcher.Push, error) {
				if key.SDKAppID != app {
					return watcher.Push{}, &watcher.CloudError{Kind: watcher.DeniedApplication, Code: "ResourceUnavailable.ServiceExpired"}
				}
				return pushOf("PUSHING"), nil
			})
			apps, denied := []int64{app}, []watcher.Registration(nil)
			for i := range int64(many) {
				apps = append(apps, other+i)
				denied = append(denied, watcher.Registration{Key: watcher.Key{SDKAppID: other + i, TaskID: "class"}})
			}
			synctest.Test(t, func(t *testing.T) {
				s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
					Settings: engine.Settings{
						Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: apps, Cloud: c, RequestsPerSecond: limit}},
					},
				})
				defer stop()
				if _, err := s.Register(t.Context(), denied, false); err != nil {
					t.Fatal(err)
				}
				key := s.register(1, "class")[0]
				time.Sleep(5 * time.Minute)
				from := time.Now()
				time.Sleep(10 * time.Minute)
				if n := c.pollsOf(key, from); n < 560 { // of the 600 that min_interval allows
					t.Errorf("the application that answers was polled %d times in ten minutes, want nearly every second", n)
				}
				fewest, most, probes := 600, 0, 0
				for _, r := range denied {
					n := c.pollsOf(r.Key, from)
					fewest, most, probes = min(fewest, n), max(most, n), probes+n
				}
				if probes > 1200 || probes < 560 {
					t.Errorf("%d probes in ten minutes, want at most two a second, and about half of the smaller limit", probes)
				}
				if most > fewest+2 {
					t.Errorf("the denied applications were probed %d to %d times, want each as often as the others", fewest, most)
				}
			})
		})
	}
}

// TestBlindWithoutTasks has the last task of what is reported as blind removed: it is
// not shown as blind any more. What is registered later, by another process even,
// is the same blindness, which then ends.
func TestBlindWithoutTasks(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*watcher.CloudError{
		"account":     {Kind: watcher.DeniedAccount, Code: "AuthFailure.SignatureFailure"},
		"application": {Kind: watcher.DeniedApplication, Code: "UnauthorizedOperation.SdkAppId"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "w.db")
				var answering atomic.Bool
				c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(watcher.Key, time.Time) (watcher.Push, error) {
					if answering.Load() {
						return pushOf("PUSHING"), nil
					}
					return watcher.Push{}, fault
				})
				var types []string
				begin := func() (s *scene, shown func(want float64), end func()) {
					metrics := prometheus.NewRegistry()
					s, stop := startWith(t, path, engine.Config{
						Metrics: metrics,
						Settings: engine.Settings{
							Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: c}},
						},
					})
					shown = func(want float64) {
						t.Helper()
						time.Sleep(5 * time.Minute)
						if got := gauge(t, metrics, "pushwatch_blind"); got != want {
							t.Errorf("pushwatch_blind = %v, want %v", got, want)
						}
						if got := s.Status()[0].Outages; len(got) > 0 != (want == 1) {
							t.Errorf("dark = %+v, want something: %v", got, want == 1)
						}
					}
					return s, shown, func() {
						stop()
						types = append(types, s.eventTypes(watcher.Key{}))
					}
				}
				s, shown, end := begin()
				key := s.register(1, "class")[0]
				shown(1)
				if err := s.Remove(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				shown(0)
				s.register(1, "later")
				shown(1)
				if err := s.Remove(t.Context(), watcher.Key{SDKAppID: app, TaskID: "later-0"}); err != nil {
					t.Fatal(err)
				}
				end()

				s, shown, end = begin()
				shown(0)
				s.register(1, "class")
				shown(1)
				answering.Store(true)
				shown(0)
				end()
				if want := []string{"watcher.blind", "watcher.sighted"}; !slices.Equal(types, want) {
					t.Errorf("events of two runs = %q, want %q", types, want)
				}
			})
		})
	}
}
