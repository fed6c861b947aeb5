package enginetest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// waysToFail are the ways in which polls tell nothing of a push. A field that cannot be
// read is none of them: the rest of the answer is used (see package tencent).
var waysToFail = map[string]error{
	"transient code":    &watcher.CloudError{Code: "InternalError"},
	"parameter code":    &watcher.CloudError{Kind: watcher.Refused, Code: "InvalidParameterValue"},
	"unparsable answer": &watcher.CloudError{Code: "unreadable"},
	"timeout":           errHang,
	"cut connection":    &watcher.CloudError{Code: "network", Sent: watcher.Unanswered},
}

// TestWhoIsBlind has some pushes of an account fail, in every way, for longer and for
// shorter than blind_after. What lasts is reported once, at the level where the fault lies,
// and so is its end; what is shorter is not reported; no push ever seems to fail.
func TestWhoIsBlind(t *testing.T) {
	t.Parallel()
	const pushes = 6 // of each of two applications
	for _, c := range []struct {
		who  string
		hits func(key watcher.Key) bool
		want map[string]string // events by subject, of an outage that lasts
	}{
		{"one push", func(k watcher.Key) bool { return k.SDKAppID == app && k.TaskID == "a-0" },
			map[string]string{"1400000001/a-0": "push.blind push.sighted"}},
		{"some pushes", func(k watcher.Key) bool { return k.SDKAppID == app && k.TaskID < "a-3" },
			map[string]string{"1400000001/a-0": "push.blind push.sighted", "1400000001/a-1": "push.blind push.sighted", "1400000001/a-2": "push.blind push.sighted"}},
		{"one of each application", func(k watcher.Key) bool { return strings.HasSuffix(k.TaskID, "-0") },
			map[string]string{"1400000001/a-0": "push.blind push.sighted", "1400000002/b-0": "push.blind push.sighted"}},
		{"an application", func(k watcher.Key) bool { return k.SDKAppID == app },
			map[string]string{"school/1400000001": "watcher.blind watcher.sighted"}},
		{"the account", func(watcher.Key) bool { return true },
			map[string]string{"school": "watcher.blind watcher.sighted"}},
	} {
		for how, fault := range waysToFail {
			for _, lasts := range []time.Duration{30 * time.Second, 5 * time.Minute, time.Hour} {
				t.Run(fmt.Sprintf("%s/%s/%s", c.who, how, lasts), func(t *testing.T) {
					t.Parallel()
					var from, to time.Time
					world := newCloud(5*time.Millisecond, 30*time.Millisecond, func(key watcher.Key, at time.Time) (watcher.Push, error) {
						if !at.Before(from) && at.Before(to) && c.hits(key) {
							return watcher.Push{}, fault
						}
						return pushOf("PUSHING"), nil
					})
					run(t, world, func(t *testing.T, s *scene) {
						from = time.Now().Add(time.Minute)
						to = from.Add(lasts)
						var keys []watcher.Key
						for i := range pushes {
							keys = append(keys, watcher.Key{SDKAppID: app, TaskID: fmt.Sprintf("a-%d", i)}, watcher.Key{SDKAppID: other, TaskID: fmt.Sprintf("b-%d", i)})
						}
						s.registerKeys(keys...)
						time.Sleep(time.Until(to) + max(2*time.Minute, lasts/9))
						want := map[string]string{}
						if lasts > time.Minute {
							want = c.want
						}
						for _, subject := range append([]string{"school", "school/1400000001", "school/1400000002"}, names(keys)...) {
							got := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(s.eventTypesOf(subject)), "push.started"))
							if got != want[subject] {
								t.Errorf("%s: events = %q, want %q", subject, got, want[subject])
							}
						}
						if got := world.busiest(); got > 20 {
							t.Errorf("arrivals in one second = %d, want at most 20", got)
						}
					}, other)
				})
			}
		}
	}
}

func names(keys []watcher.Key) (all []string) {
	for _, k := range keys {
		all = append(all, k.String())
	}
	return all
}

// registerKeys registers tasks.
func (s *scene) registerKeys(keys ...watcher.Key) {
	s.t.Helper()
	var wanted []watcher.Registration
	for _, key := range keys {
		wanted = append(wanted, watcher.Registration{Key: key})
	}
	if _, err := s.Register(s.t.Context(), wanted, false); err != nil {
		s.t.Fatal(err)
	}
}

// TestUnreadablePushesDisturbNobody has 14 of the 24 pushes of an application unreadable:
// each is reported once, its polls become rare, and the others are polled on. The
// account's and the application's breakers stay closed but for the first moment.
func TestUnreadablePushesDisturbNobody(t *testing.T) {
	t.Parallel()
	const bad, good = 14, 10
	c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(key watcher.Key, _ time.Time) (watcher.Push, error) {
		if strings.HasPrefix(key.TaskID, "bad") {
			return watcher.Push{}, &watcher.CloudError{Code: "InternalError"}
		}
		return pushOf("PUSHING"), nil
	})
	synctest.Test(t, func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
			Metrics:  metrics,
			Settings: engine.Settings{Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: c}}},
		})
		defer stop()
		dead, live := s.register(bad, "bad"), s.register(good, "good")
		time.Sleep(2 * time.Minute)
		for _, key := range dead {
			if got := s.eventTypes(key); got != "push.blind" {
				t.Errorf("%s: events = %q, want push.blind", key, got)
			}
			view, err := s.Task(t.Context(), key)
			if err != nil || view.PollError == nil || view.PollError.Code != "InternalError" || view.Memory.Blind == nil {
				t.Errorf("%s: poll error %+v, blind %+v, %v, want InternalError and blind", key, view.PollError, view.Memory.Blind, err)
			}
		}
		if got := gauge(t, metrics, "pushwatch_blind_pushes"); got != bad {
			t.Errorf("pushwatch_blind_pushes = %v, want %d", got, bad)
		}
		if got := gauge(t, metrics, "pushwatch_tasks_unobserved"); got != bad {
			t.Errorf("pushwatch_tasks_unobserved = %v, want %d", got, bad)
		}
		if got := s.eventTypesOf("school") + s.eventTypesOf("school/1400000001"); got != "" {
			t.Errorf("events of the account and the application =%s, want none", got)
		}
		from := time.Now()
		time.Sleep(time.Hour)
		polls, dying := 0, 0
		for _, key := range live {
			polls += c.pollsOf(key, from)
		}
		for _, key := range dead {
			dying += c.pollsOf(key, from)
		}
		if got := float64(polls) / time.Hour.Seconds() / good; got < 0.9 {
			t.Errorf("each of the others is polled %.2f times a second, want about once", got)
		}
		if most := bad * 60; dying > most {
			t.Errorf("%d unreadable pushes were polled %d times in an hour, want at most %d", bad, dying, most)
		}
	})
}

// TestOverdueWhileBlind has a push that is blind by itself run past its planned end: that
// is reported by the clock, and so is its being abandoned. It can be reopened.
func TestOverdueWhileBlind(t *testing.T) {
	t.Parallel()
	var bad time.Time
	c := newCloud(5*time.Millisecond, 10*time.Millisecond, func(key watcher.Key, at time.Time) (watcher.Push, error) {
		if key.TaskID == "bad" && at.After(bad) {
			return watcher.Push{}, &watcher.CloudError{Kind: watcher.Refused, Code: "InvalidParameter"}
		}
		return pushOf("PUSHING"), nil
	})
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "w.db")
		settings := engine.Settings{
			Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: c}},
			Rules:    watcher.Rules{OverdueAfter: 10 * time.Minute, AbandonAfter: 2 * time.Hour},
		}
		s, stop := startWith(t, path, engine.Config{Settings: settings})
		began := time.Now()
		bad = began.Add(time.Minute)
		s.registerKeys(watcher.Key{SDKAppID: app, TaskID: "good"})
		key := watcher.Key{SDKAppID: app, TaskID: "bad"}
		wanted := []watcher.Registration{{Key: key, ExpectedStopAt: began.Add(20 * time.Minute)}}
		if _, err := s.Register(t.Context(), wanted, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Minute)
		if got := s.eventTypes(key); got != "push.started push.blind" {
			t.Errorf("before it is overdue: events = %q, want push.started push.blind", got)
		}
		stop() // a restart in between reports nothing twice
		before := s.events
		s, stop = startWith(t, path, engine.Config{Settings: settings})
		defer stop()
		s.mu.Lock()
		s.events = append(before, s.events...)
		s.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if got := s.eventTypes(key); got != "push.started push.blind push.overdue" {
			t.Errorf("a minute after it is overdue: events = %q, want push.overdue added", got)
		}
		time.Sleep(time.Until(began.Add(2*time.Hour + 5*time.Minute)))
		if got := s.eventTypes(key); got != "push.started push.blind push.overdue push.abandoned" {
			t.Errorf("after two hours: events = %q, want push.abandoned added", got)
		}
		view, err := s.Task(t.Context(), key)
		if err != nil || view.State != watcher.Abandoned || view.EndedAt.IsZero() {
			t.Errorf("after two hours: %s, ended at %v, %v, want abandoned", view.State, view.EndedAt, err)
		}
		bad = time.Now().Add(time.Hour)
		if got, err := s.Register(t.Context(), []watcher.Registration{{Key: key}}, true); err != nil || !got[0].Created || got[0].State != watcher.Registered {
			t.Fatalf("reopened: %+v, %v, want it watched again", got, err)
		}
		time.Sleep(10 * time.Second)
		if got := s.eventTypes(key); !strings.HasSuffix(got, "push.abandoned push.started") {
			t.Errorf("after it was reopened: events = %q, want push.started last", got)
		}
	})
}

// TestDeniedPushDisturbsNobody has access to one of eleven pushes denied, by codes that are
// meant for its application or its account: it is reported, and its polls take nothing from
// the others meanwhile.
func TestDeniedPushDisturbsNobody(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]watcher.Kind{"account": watcher.DeniedAccount, "application": watcher.DeniedApplication} {
		t.Run(name, func(t *testing.T) {
			bad := watcher.Key{SDKAppID: app, TaskID: "bad"}
			c := newCloud(10*time.Millisecond, 20*time.Millisecond, func(key watcher.Key, _ time.Time) (watcher.Push, error) {
				if key == bad {
					return watcher.Push{}, &watcher.CloudError{Kind: kind, Code: "UnauthorizedOperation"}
				}
				return pushOf("PUSHING"), nil
			})
			run(t, c, func(t *testing.T, s *scene) {
				good := s.register(10, "good")
				s.registerKeys(bad)
				from := time.Now().Add(10 * time.Second)
				time.Sleep(2 * time.Minute)
				if got := s.eventTypes(bad); got != "push.blind" {
					t.Errorf("events = %q, want push.blind", got)
				}
				if got := s.eventTypesOf("school") + s.eventTypesOf("school/1400000001"); got != "" {
					t.Errorf("events of the account and the application =%s, want none", got)
				}
				if n := c.pollsOf(bad, from); n > 20 {
					t.Errorf("polled %d times in 110 s, want at most 20", n)
				}
				for _, key := range good {
					if n := c.pollsOf(key, from); n < 95 {
						t.Errorf("%s was polled %d times in 110 s, want nearly each second", key, n)
					}
				}
			})
		})
	}
}

// refusing is a cloud that refuses every poll of one push by a parameter code.
func refusing(bad watcher.Key) *cloud {
	return newCloud(50*time.Millisecond, 100*time.Millisecond, func(key watcher.Key, _ time.Time) (watcher.Push, error) {
		if key == bad {
			return watcher.Push{}, &watcher.CloudError{Kind: watcher.Refused, Code: "InvalidParameter"}
		}
		return pushOf("PUSHING"), nil
	})
}

// TestRegisteredAgainWhileBlind has a push that is blind by itself removed and registered
// again, by another process or while a poll is under way: its outage counts from there.
func TestRegisteredAgainWhileBlind(t *testing.T) {
	t.Parallel()
	bad := watcher.Key{SDKAppID: app, TaskID: "bad"}
	for name, again := range map[string]func(t *testing.T, s *scene) error{
		"by another process": func(t *testing.T, s *scene) error {
			if err := s.db.Remove(t.Context(), bad); err != nil {
				return err
			}
			asked := watcher.Task{Key: bad, Account: "school", State: watcher.Registered, RegisteredAt: time.Now(), Version: 1}
			tasks, err := s.db.Register(t.Context(), []watcher.Task{asked}, false)
			if err == nil {
				s.Notice("school", []watcher.Note{{Key: bad, Task: &tasks[0].Task}})
			}
			return err
		},
		"while it is polled": func(t *testing.T, s *scene) error {
			if err := s.PollNow(t.Context(), bad); err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond)
			if err := s.Remove(t.Context(), bad); err != nil {
				return err
			}
			s.registerKeys(bad)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{Settings: engine.Settings{
					Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: refusing(bad)}},
					Rules:    watcher.Rules{AbandonAfter: time.Hour},
				}})
				defer stop()
				s.register(1, "good")
				s.registerKeys(bad)
				time.Sleep(50 * time.Minute)
				if got := s.eventTypes(bad); got != "push.blind" {
					t.Fatalf("events = %q, want push.blind", got)
				}
				if err := again(t, s); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Second)
				if got := s.eventTypes(bad); got != "push.blind" {
					t.Errorf("30 s after it was registered again: events = %q, want no other", got)
				}
				if view, err := s.Task(t.Context(), bad); err != nil || view.PollError == nil || time.Since(view.PollError.Since) > 31*time.Second {
					t.Errorf("30 s after it was registered again: poll error %+v, %v, want one since then", view.PollError, err)
				}
				time.Sleep(30 * time.Minute)
				if got := s.eventTypes(bad); got != "push.blind push.blind" {
					t.Errorf("30 m after it was registered again: events = %q, want push.blind twice", got)
				}
				if tasks := s.Status()[0].Tasks[watcher.Registered]; tasks != 1 {
					t.Errorf("%d tasks are counted as registered, want 1", tasks)
				}
			})
		})
	}
}

// TestAmendWhileBlind gives a push that is blind by itself, and so is polled rarely,
// another planned end: it is reported as overdue when that says so.
func TestAmendWhileBlind(t *testing.T) {
	t.Parallel()
	bad := watcher.Key{SDKAppID: app, TaskID: "bad"}
	var from time.Time
	c := refusing(bad)
	answer := c.answer
	c.answer = func(key watcher.Key, at time.Time) (watcher.Push, error) {
		if at.Before(from) {
			return pushOf("PUSHING"), nil
		}
		return answer(key, at)
	}
	run(t, c, func(t *testing.T, s *scene) {
		from = time.Now().Add(time.Minute)
		s.register(1, "good")
		s.registerKeys(bad)
		time.Sleep(10 * time.Hour)
		if _, err := s.Amend(t.Context(), bad, engine.Amendment{ExpectedStopAt: new(time.Now().Add(-9 * time.Minute))}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if got := s.eventTypes(bad); got != "push.started push.blind" {
			t.Errorf("half a minute before it is overdue: events = %q, want push.started push.blind", got)
		}
		time.Sleep(time.Minute)
		if got := s.eventTypes(bad); got != "push.started push.blind push.overdue" {
			t.Errorf("half a minute after it was overdue: events = %q, want push.overdue added", got)
		}
	})
}

// TestOutageBesideManyPushes has an application fail beside another with many more pushes.
// Its breaker can open after failures of few of its pushes: the probes go to others, so that
// the outage is reported in time.
func TestOutageBesideManyPushes(t *testing.T) {
	t.Parallel()
	for i := range 12 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			var from time.Time
			world := newCloud(5*time.Millisecond, 30*time.Millisecond, func(key watcher.Key, at time.Time) (watcher.Push, error) {
				if key.SDKAppID == app && !at.Before(from) {
					return watcher.Push{}, &watcher.CloudError{Code: "InternalError"}
				}
				return pushOf("PUSHING"), nil
			})
			run(t, world, func(t *testing.T, s *scene) {
				from = time.Now().Add(time.Minute + time.Duration(i)*700*time.Millisecond)
				var keys []watcher.Key
				for n := range 22 {
					keys = append(keys, watcher.Key{SDKAppID: app, TaskID: fmt.Sprintf("a-%d", n)})
				}
				for n := range 150 {
					keys = append(keys, watcher.Key{SDKAppID: other, TaskID: fmt.Sprintf("b-%d", n)})
				}
				s.registerKeys(keys...)
				time.Sleep(time.Until(from.Add(2*time.Minute + 30*time.Second)))
				if got := s.eventTypesOf("school/1400000001"); got != " watcher.blind" {
					t.Errorf("events of the application =%s, want watcher.blind", got)
				}
			}, other)
		})
	}
}
