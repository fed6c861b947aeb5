package enginetest

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

func pushing(watcher.Key, time.Time) (watcher.Push, error) { return pushOf("PUSHING"), nil }

// TestPollNow asks for one of many tasks, again and again: it is polled next, and
// no more than once a second for it.
func TestPollNow(t *testing.T) {
	t.Parallel()
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, pushing)
	run(t, c, func(t *testing.T, s *scene) {
		keys := s.register(400, "class")
		time.Sleep(time.Minute)
		asked := time.Now()
		rested := keys[slices.IndexFunc(keys, func(key watcher.Key) bool { // min_interval lets it be polled
			return c.pollsOf(key, asked.Add(-2*time.Second)) == 0
		})]
		if err := s.PollNow(t.Context(), rested); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		if n := c.pollsOf(rested, asked); n != 1 {
			t.Errorf("polled %d times within 300 ms of being asked for, want once", n)
		}
		asked = time.Now()
		for range 1000 {
			if err := s.PollNow(t.Context(), keys[8]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := c.pollsOf(keys[8], asked); n < 8 || n > 11 {
			t.Errorf("polled %d times in 10 s of being asked for without end, want about once a second", n)
		}
		if got := c.busiest(); got > 20 {
			t.Errorf("arrivals in one second = %d, want at most 20", got)
		}
		if err := s.PollNow(t.Context(), watcher.Key{SDKAppID: app, TaskID: "none"}); !errors.Is(err, watcher.ErrNoTask) {
			t.Errorf("PollNow(unknown) = %v, want %v", err, watcher.ErrNoTask)
		}
	})
}

// pollsOf counts the polls of a task since a time.
func (c *cloud) pollsOf(key watcher.Key, since time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.polls[key] {
		if !at.Before(since) {
			n++
		}
	}
	return n
}

// TestAmend moves a planned end: push.overdue goes by the new one, and can be reported
// for each.
func TestAmend(t *testing.T) {
	t.Parallel()
	c := newCloud(0, time.Second, pushing) // polls are under way most of the time
	run(t, c, func(t *testing.T, s *scene) {
		key := s.register(1, "class")[0]
		time.Sleep(10 * time.Second)
		amend := func(a engine.Amendment) engine.TaskView {
			t.Helper()
			view, err := s.Amend(t.Context(), key, a)
			if err != nil {
				t.Fatal(err)
			}
			return view
		}
		view := amend(engine.Amendment{ExpectedStopAt: new(time.Now().Add(5 * time.Minute)), Labels: map[string]string{"course": "math"}})
		if view.Labels["course"] != "math" || view.State != watcher.Pushing {
			t.Errorf("Amend = %+v, want it with the label, and pushing still", view.Task)
		}
		time.Sleep(16 * time.Minute)
		if got := s.eventTypes(key); got != "push.started push.overdue" {
			t.Errorf("events = %s, want push.started push.overdue", got)
		}
		if view := amend(engine.Amendment{ExpectedStopAt: new(time.Now())}); view.Labels["course"] != "math" {
			t.Errorf("labels = %v, want them as they were", view.Labels)
		}
		time.Sleep(11 * time.Minute)
		if got := s.eventTypes(key); got != "push.started push.overdue push.overdue" {
			t.Errorf("events = %s, want push.overdue for the new plan too", got)
		}
		if view := amend(engine.Amendment{ExpectedStopAt: new(time.Time{})}); !view.ExpectedStopAt.IsZero() {
			t.Errorf("ExpectedStopAt = %v, want none", view.ExpectedStopAt)
		}
		if _, err := s.Amend(t.Context(), key, engine.Amendment{Labels: map[string]string{"A": ""}}); err == nil {
			t.Error("Amend with a faulty label gave no error")
		}
		if _, err := s.Amend(t.Context(), watcher.Key{SDKAppID: app, TaskID: "none"}, engine.Amendment{}); !errors.Is(err, watcher.ErrNoTask) {
			t.Errorf("Amend(unknown) = %v, want %v", err, watcher.ErrNoTask)
		}
	})
}

// TestCallback sends TIW's callbacks, genuine and not.
func TestCallback(t *testing.T) {
	t.Parallel()
	// The check value of the callback's documentation.
	if sum := md5.Sum([]byte("Xz4ZgayTr7rMgWQrH1588040109")); hex.EncodeToString(sum[:]) != "a2dabb362a9b811c0e26953a6276a41c" {
		t.Fatal("the sign is not made as documented")
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(20*time.Millisecond, 40*time.Millisecond, pushing)
		s, stop := start(t, filepath.Join(t.TempDir(), "w.db"), c)
		defer stop()
		s.Reconfigure(engine.Settings{Accounts: []engine.AccountConfig{{
			Name: "school", SDKAppIDs: []int64{app}, Cloud: c, CallbackKey: func() (string, error) { return "key", nil },
		}}})
		keys := s.register(400, "class")
		time.Sleep(time.Minute)
		expire := time.Now().Add(time.Minute).Unix()
		sum := md5.Sum(fmt.Appendf(nil, "key%d", expire))
		genuine := engine.Callback{SDKAppID: app, ExpireTime: expire, Sign: hex.EncodeToString(sum[:]), TaskID: keys[3].TaskID}

		asked := time.Now()
		if err := s.Callback(t.Context(), genuine); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		if n := c.pollsOf(keys[3], asked); n != 1 {
			t.Errorf("polled %d times after the callback, want once", n)
		}
		signed := func(expire time.Time) engine.Callback {
			c := genuine
			c.ExpireTime = expire.Unix()
			sum := md5.Sum(fmt.Appendf(nil, "key%d", c.ExpireTime))
			c.Sign = hex.EncodeToString(sum[:])
			return c
		}
		forged, void, elsewhere, nameless, unknown := genuine, genuine, genuine, genuine, genuine
		forged.Sign = hex.EncodeToString(make([]byte, 16))
		void.ExpireTime = time.Now().Add(-time.Minute).Unix()
		elsewhere.SDKAppID = 7
		nameless.TaskID = ""
		unknown.TaskID = "unknown"
		for name, c := range map[string]struct {
			callback engine.Callback
			want     error
		}{
			"forged": {forged, engine.ErrCallbackSign}, "expired": {void, engine.ErrCallbackSign},
			"expired, signed": {signed(time.Now().Add(-time.Second)), engine.ErrCallbackSign}, "for a day": {signed(time.Now().Add(24 * time.Hour)), nil},
			"for more than a day": {signed(time.Now().Add(24*time.Hour + time.Second)), engine.ErrCallbackSign}, "for ever": {signed(time.Unix(1<<40, 0)), engine.ErrCallbackSign},
			"another application": {elsewhere, engine.ErrNoApplication}, "without a task": {nameless, nil}, "unknown task": {unknown, nil},
		} {
			if err := s.Callback(t.Context(), c.callback); !errors.Is(err, c.want) {
				t.Errorf("%s: Callback = %v, want %v", name, err, c.want)
			}
		}
		if _, err := s.Task(t.Context(), watcher.Key{SDKAppID: app, TaskID: "unknown"}); !errors.Is(err, watcher.ErrNoTask) {
			t.Errorf("a callback registered a task, though the settings do not say so: %v", err)
		}
		s.Reconfigure(engine.Settings{Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: c, RegisterCallbacks: true}}})
		if err := s.Callback(t.Context(), engine.Callback{SDKAppID: app, TaskID: "unknown"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Task(t.Context(), watcher.Key{SDKAppID: app, TaskID: "unknown"}); err != nil {
			t.Errorf("a callback did not register its task, though the settings say so: %v", err)
		}
	})
}

// TestCallbackLimit has callbacks make up tasks: some of each application are registered,
// and later more.
func TestCallbackLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const other, attempts, most = 1400000002, 1000, 300
		c := newCloud(20*time.Millisecond, 40*time.Millisecond, pushing)
		s, stop := start(t, filepath.Join(t.TempDir(), "w.db"), c)
		defer stop()
		s.Reconfigure(engine.Settings{Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app, other}, Cloud: c, RegisterCallbacks: true}}})
		call := func(app int64, id string) error {
			return s.Callback(t.Context(), engine.Callback{SDKAppID: app, TaskID: id})
		}
		registered := 0
		for i := range attempts {
			switch err := call(app, fmt.Sprintf("made-up-%d", i)); {
			case err == nil:
				registered++
			case !errors.Is(err, engine.ErrCallbackLimit):
				t.Fatalf("Callback = %v, want %v", err, engine.ErrCallbackLimit)
			}
		}
		if registered < most || registered > most+most/2 { // they take a while themselves
			t.Errorf("%d of %d callbacks registered a task, want %d", registered, attempts, most)
		}
		if err := call(app, "made-up-0"); err != nil {
			t.Errorf("Callback for a known task = %v, want it taken", err)
		}
		if err := call(other, "made-up"); err != nil {
			t.Errorf("Callback for another application = %v, want it taken", err)
		}
		time.Sleep(time.Minute)
		if err := call(app, "made-up-later"); err != nil {
			t.Errorf("Callback a minute later = %v, want it taken", err)
		}
	})
}

// TestReconfigure changes the settings under a running watcher.
func TestReconfigure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(20*time.Millisecond, 40*time.Millisecond, pushing)
		s, stop := start(t, filepath.Join(t.TempDir(), "w.db"), c)
		defer stop()
		keys := s.register(100, "class")
		time.Sleep(time.Minute)
		with := func(perSecond float64, apps ...int64) engine.Settings {
			return engine.Settings{Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: append([]int64{app}, apps...), RequestsPerSecond: perSecond, Cloud: c}}}
		}

		// An application more disturbs nothing.
		from := time.Now()
		s.Reconfigure(with(20, 1400000002))
		time.Sleep(10 * time.Second)
		if got := c.between(from, time.Now()); got < 190 {
			t.Errorf("%d requests in the 10 s after an application was added, want no pause", got)
		}
		if _, err := s.Register(t.Context(), []watcher.Registration{{Key: watcher.Key{SDKAppID: 1400000002, TaskID: "new"}}}, false); err != nil {
			t.Errorf("register for the new application: %v", err)
		}

		// A lower limit is kept from then on, and no task is forgotten.
		s.Reconfigure(with(5))
		time.Sleep(5 * time.Second)
		from = time.Now()
		time.Sleep(time.Minute)
		if got := c.between(from, time.Now()); got > 5*60 || got < 270 {
			t.Errorf("%d requests in a minute at 5 a second", got)
		}
		for _, key := range keys {
			if c.pollsOf(key, from) == 0 {
				t.Errorf("task %s was not polled after the change", key)
			}
		}
		if got := c.busiest(); got > 20 {
			t.Errorf("arrivals in one second = %d, want at most 20", got)
		}
		for _, key := range keys {
			if got := s.eventTypes(key); got != "push.started" {
				t.Errorf("task %s: events = %s, want push.started alone", key, got)
			}
		}
	})
}

// TestAccountLeavesTheSettings changes an account's settings and removes it from them
// before its engine has ended for the change: it is not watched on, and that is no fault.
func TestAccountLeavesTheSettings(t *testing.T) {
	t.Parallel()
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, pushing)
	run(t, c, func(t *testing.T, s *scene) {
		s.register(100, "class")
		time.Sleep(time.Minute)
		s.Reconfigure(engine.Settings{Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, RequestsPerSecond: 5, Cloud: c}}})
		s.Reconfigure(engine.Settings{})
		time.Sleep(10 * time.Second)
		if got := s.Status(); len(got) > 0 {
			t.Errorf("watched after it has left the settings: %+v", got)
		}
	})
}

// TestReady has the database refuse writes for a while.
func TestReady(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := newCloud(0, 0, func(_ watcher.Key, at time.Time) (watcher.Push, error) {
		if at.Sub(began) < 10*time.Second {
			return pushOf("PREPARED"), nil
		}
		return pushOf("PUSHING"), nil
	})
	run(t, c, func(t *testing.T, s *scene) {
		began = time.Now()
		keys := s.register(50, "class")
		time.Sleep(9 * time.Second)
		if err := s.Ready(time.Now()); err != nil {
			t.Errorf("Ready = %v, want nil", err)
		}
		for _, what := range []string{"every push changes", "none does"} {
			s.store.full.Store(true)
			time.Sleep(time.Minute)
			if err := s.Ready(time.Now()); err == nil {
				t.Errorf("Ready = nil while nothing can be saved and %s", what)
			}
			s.store.full.Store(false)
			time.Sleep(time.Minute)
			if err := s.Ready(time.Now()); err != nil {
				t.Errorf("Ready = %v after the disk has room again, want nil", err)
			}
		}
		for _, key := range keys {
			if got := s.eventTypes(key); got != "push.preparing push.started" {
				t.Errorf("task %s: events = %s, want push.preparing push.started", key, got)
			}
		}
	})
}

// TestStatus reads the status and the metrics of a watcher with more tasks than
// its limit allows to poll each minute.
func TestStatus(t *testing.T) {
	t.Parallel()
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, pushing)
	run(t, c, func(t *testing.T, s *scene) {
		s.register(2000, "class")
		time.Sleep(5 * time.Minute)
		got := s.Status()
		if len(got) != 1 {
			t.Fatalf("Status = %v, want one account", got)
		}
		a := got[0]
		if a.Used < 19 || a.Used > 20 || a.Granted != 20 || a.Limit != 20 || a.Tasks[watcher.Pushing] != 2000 || a.Round != 100*time.Second || a.Staleness < time.Minute || time.Since(a.LastObserved) > time.Second || a.MaxStaleness != time.Minute || a.PromisedStaleness < 299*time.Second || a.PromisedStaleness > 5*time.Minute || len(a.Outages) > 0 {
			t.Errorf("Status = %+v", a)
		}
		// What was just registered gets every second poll: all of it has waited up to 200 s.
		if a.Starts.Expected < 10*time.Second || a.Starts.Expected > 200*time.Second || a.Stops.Expected < 10*time.Second || a.Stops.Expected > 100*time.Second {
			t.Errorf("Starts = %+v, Stops = %+v, want 10 to 200 s and 10 to 100 s expected", a.Starts, a.Stops)
		}
		registry := prometheus.NewRegistry()
		if err := registry.Register(s.Watcher); err != nil {
			t.Fatal(err)
		}
		if n, err := registry.Gather(); err != nil || len(n) != 11 {
			t.Errorf("Gather = %v, %v, want 11 metrics", n, err)
		}
	})
}
