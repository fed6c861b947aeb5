package enginetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const app = 1400000001

// A cloud is TIW as the engine sees it: its tests decide each answer. It notes
// when each request arrives.
type cloud struct {
	answer func(key watcher.Key, at time.Time) (watcher.Push, error)
	least  time.Duration // an answer takes this long
	most   time.Duration // up to this

	mu       sync.Mutex
	random   *rand.Rand
	arrivals []time.Time
	polls    map[watcher.Key][]time.Time
}

func newCloud(least, most time.Duration, answer func(watcher.Key, time.Time) (watcher.Push, error)) *cloud {
	return &cloud{answer: answer, least: least, most: most, random: rand.New(rand.NewPCG(1, 2)), polls: make(map[watcher.Key][]time.Time)}
}

func (c *cloud) RoundTrip() time.Duration { return 0 }

func (c *cloud) Describe(ctx context.Context, key watcher.Key) (watcher.Push, error) {
	now := time.Now()
	c.mu.Lock()
	c.arrivals = append(c.arrivals, now)
	c.polls[key] = append(c.polls[key], now)
	takes := c.least + time.Duration(c.random.Float64()*float64(c.most-c.least))
	c.mu.Unlock()
	push, err := c.answer(key, now)
	if errors.Is(err, errHang) {
		<-ctx.Done()
		return push, &watcher.CloudError{Code: "timeout", Sent: watcher.Unanswered, Err: context.Cause(ctx)}
	}
	time.Sleep(takes)
	return push, err
}

var errHang = errors.New("hang")

func pushOf(status string) watcher.Push { return watcher.Push{Status: &status} }

// busiest returns the most arrivals in any sliding second, and how many there
// were between two times.
func (c *cloud) busiest() (most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := 0
	for i, at := range c.arrivals {
		for at.Sub(c.arrivals[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func (c *cloud) between(from, to time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.arrivals {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// A scene is a watcher over a real SQLite store, running in a synctest bubble.
type scene struct {
	*engine.Watcher
	t        *testing.T
	db       *sqlstore.DB
	registry *meddled
	store    *countingStore

	mu     sync.Mutex
	events []notify.Delivery // in the order of their commits
}

// countingStore counts the transactions that polls lead to.
type countingStore struct {
	*sqlstore.Account
	mu    sync.Mutex
	full  atomic.Bool // it takes nothing
	blank atomic.Bool // it tells nothing
	saves int
	fail  func(n int) error // asked before the n-th save; after it where it returns errAfter
	gone  meddling          // comes when a task was read that is not there, before that is known
}

var errAfter = errors.New("the connection broke after the commit")

var (
	errFull  = errors.New("disk full")
	errBlank = errors.New("disk cannot be read")
)

func (s *countingStore) Task(ctx context.Context, key watcher.Key) (watcher.Task, error) {
	if s.blank.Load() {
		return watcher.Task{}, errBlank
	}
	t, err := s.Account.Task(ctx, key)
	if errors.Is(err, watcher.ErrNoTask) {
		s.gone.come()
	}
	return t, err
}

func (s *countingStore) SaveCheckpoint(ctx context.Context, c *watcher.Checkpoint) error {
	if s.full.Load() {
		return errFull
	}
	return s.Account.SaveCheckpoint(ctx, c)
}

func (s *countingStore) Save(ctx context.Context, c watcher.Change) error {
	if s.full.Load() {
		return errFull
	}
	var err error
	s.mu.Lock()
	s.saves++
	if s.fail != nil {
		err = s.fail(s.saves)
	}
	s.mu.Unlock()
	switch {
	case err == nil:
		return s.Account.Save(ctx, c)
	case errors.Is(err, errAfter):
		return errors.Join(s.Account.Save(ctx, c), err)
	default:
		return err
	}
}

// failWith has f asked before each save.
func (s *countingStore) failWith(f func(n int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

func (s *countingStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

// start runs a watcher until the returned function is called.
func start(t *testing.T, path string, c watcher.Cloud, apps ...int64) (*scene, func()) {
	t.Helper()
	return startWith(t, path, engine.Config{
		Settings: engine.Settings{
			Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: append([]int64{app}, apps...), Cloud: c}},
		},
	})
}

// startWith is start with more to say; the account is "school".
func startWith(t *testing.T, path string, cfg engine.Config) (*scene, func()) {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	account, err := db.Own(t.Context(), "school")
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, db: db, registry: &meddled{DB: db}, store: &countingStore{Account: account}}
	account.Subscribe(func(ds []notify.Delivery) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, ds...)
	})
	cfg.Instance, cfg.Registry = "test", s.registry
	cfg.Route = func(*watcher.Event) []string { return []string{"all"} }
	s.Watcher = engine.New(cfg)
	writing, stopWriting := context.WithCancel(context.Background())
	watching, stopWatching := context.WithCancel(context.Background())
	var writer, engine sync.WaitGroup
	writer.Go(func() { account.Run(writing) })
	engine.Go(func() {
		if err := s.Watch(watching, "school", s.store); err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	stop := sync.OnceFunc(func() {
		stopWatching()
		engine.Wait()
		stopWriting()
		writer.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, stop
}

// run runs a test in a bubble, with a watcher of its own.
func run(t *testing.T, c *cloud, test func(t *testing.T, s *scene), apps ...int64) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := start(t, filepath.Join(t.TempDir(), "w.db"), c, apps...)
		defer stop()
		test(t, s)
	})
}

func (s *scene) register(n int, name string) []watcher.Key {
	s.t.Helper()
	var wanted []watcher.Registration
	var keys []watcher.Key
	for i := range n {
		key := watcher.Key{SDKAppID: app, TaskID: fmt.Sprintf("%s-%d", name, i)}
		wanted = append(wanted, watcher.Registration{Key: key})
		keys = append(keys, key)
	}
	if _, err := s.Register(s.t.Context(), wanted, false); err != nil {
		s.t.Fatal(err)
	}
	return keys
}

// eventTypes returns the types of a task's events, in order.
func (s *scene) eventTypes(key watcher.Key) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var types []string
	for _, d := range s.events {
		if d.Task == key {
			types = append(types, string(d.Type))
		}
	}
	return strings.Join(types, " ")
}

// TestWatchesAPush follows one push from its start to its stop.
func TestWatchesAPush(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(_ watcher.Key, at time.Time) (watcher.Push, error) {
		switch age := at.Sub(began); {
		case age < 10*time.Second:
			return pushOf("PREPARED"), nil
		case age < time.Hour:
			return pushOf("PUSHING"), nil
		default:
			return pushOf("STOPPED"), nil
		}
	})
	run(t, c, func(t *testing.T, s *scene) {
		time.Sleep(2 * time.Second) // a new owner is silent at first
		began = time.Now()
		key := s.register(1, "class")[0]
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got, want := s.eventTypes(key), "push.preparing push.started push.stopped"; got != want {
			t.Errorf("events = %s, want %s", got, want)
		}
		if got := s.store.count(); got != 3 {
			t.Errorf("saved %d times for 3 changes: one change costs one transaction, a poll without one none", got)
		}
		polls := c.polls[key]
		if last := polls[len(polls)-1].Sub(began); last > time.Hour+2*time.Second {
			t.Errorf("polled %v after its registration, though it stopped after 1h", last)
		}
		for i, at := range polls[1:] {
			if gap := at.Sub(polls[i]); gap < time.Second {
				t.Fatalf("polled again after %v, want at least min_interval", gap)
			}
		}
	})
}

// TestQuota has more tasks than the limit allows to poll each second.
func TestQuota(t *testing.T) {
	t.Parallel()
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(watcher.Key, time.Time) (watcher.Push, error) { return pushOf("PUSHING"), nil })
	run(t, c, func(t *testing.T, s *scene) {
		keys := s.register(300, "class")
		time.Sleep(20 * time.Second)
		from := time.Now()
		time.Sleep(time.Minute)
		if got := c.busiest(); got > 20 {
			t.Errorf("arrivals in one second = %d, want at most 20", got)
		}
		if got := float64(c.between(from, time.Now())) / 60; got < 19 {
			t.Errorf("used %.2f requests a second, want at least 19", got)
		}
		for _, key := range keys {
			if n := len(c.polls[key]); n < 3 {
				t.Errorf("task %s was polled %d times in 80 s", key, n)
			}
		}
	})
}

// TestManyAtStart starts with 1,000 tasks that have not been polled for an hour.
func TestManyAtStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "w.db")
		c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(watcher.Key, time.Time) (watcher.Push, error) { return pushOf("PUSHING"), nil })
		s, stop := start(t, path, c)
		keys := s.register(1000, "class")
		time.Sleep(2 * time.Minute)
		stop()

		time.Sleep(time.Hour)
		again := newCloud(c.least, c.most, c.answer)
		_, stop = start(t, path, again)
		defer stop()
		time.Sleep(53 * time.Second)
		again.mu.Lock()
		for _, key := range keys {
			if len(again.polls[key]) == 0 {
				t.Errorf("task %s was not polled within 53 s", key)
			}
		}
		again.mu.Unlock()
		if got := again.busiest(); got > 20 {
			t.Errorf("arrivals in one second = %d, want at most 20", got)
		}
	})
}

// TestHang has the service hang for 8 s.
func TestHang(t *testing.T) {
	t.Parallel()
	var from, to time.Time
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(_ watcher.Key, at time.Time) (watcher.Push, error) {
		if at.After(from) && at.Before(to) {
			return watcher.Push{}, errHang
		}
		return pushOf("PUSHING"), nil
	})
	run(t, c, func(t *testing.T, s *scene) {
		from = time.Now().Add(time.Minute)
		to = from.Add(8 * time.Second)
		keys := s.register(200, "class")
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := c.busiest(); got > 20 {
			t.Errorf("arrivals in one second = %d, want at most 20", got)
		}
		if got := c.between(to.Add(30*time.Second), to.Add(90*time.Second)); got < 60*19 {
			t.Errorf("%d requests in the minute after, want at least %d", got, 60*19)
		}
		for _, key := range keys {
			if got := s.eventTypes(key); got != "push.started" {
				t.Errorf("task %s: events = %s, want push.started alone", key, got)
			}
		}
	})
}

// TestOutage has the service fail in each way for three minutes while half of the
// pushes stop. Nothing false is reported of any of them; the outage is reported once, and
// once its end; then every stop is.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]error{
		"refused":    &watcher.CloudError{Code: "network", Sent: watcher.Unsent},
		"reset":      &watcher.CloudError{Code: "network", Sent: watcher.Unanswered},
		"hang":       errHang,
		"gateway":    &watcher.CloudError{Code: "http 503"},
		"unreadable": &watcher.CloudError{Code: "unreadable"},
		"internal":   &watcher.CloudError{Code: "InternalError", Request: "r"},
		"expired":    &watcher.CloudError{Kind: watcher.DeniedAccount, Code: "AuthFailure.SignatureExpire"},
		"signature":  &watcher.CloudError{Kind: watcher.DeniedAccount, Code: "AuthFailure.SignatureFailure"},
		"arrears":    &watcher.CloudError{Kind: watcher.DeniedApplication, Code: "ResourceUnavailable.ServiceExpired"},
		"throttled":  &watcher.CloudError{Kind: watcher.Throttled, Code: "RequestLimitExceeded"},
		"foreign":    errors.New("something else"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var from, to time.Time
			c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(key watcher.Key, at time.Time) (watcher.Push, error) {
				switch {
				case at.After(from) && at.Before(to):
					return watcher.Push{}, fault
				case at.After(to) && strings.HasPrefix(key.TaskID, "stops"):
					return pushOf("STOPPED"), nil
				default:
					return pushOf("PUSHING"), nil
				}
			})
			run(t, c, func(t *testing.T, s *scene) {
				from = time.Now().Add(time.Minute)
				to = from.Add(3 * time.Minute)
				stay, stop := s.register(100, "stays"), s.register(100, "stops")
				time.Sleep(time.Until(to))
				during := c.between(from.Add(10*time.Second), to)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				for _, key := range stay {
					if got := s.eventTypes(key); got != "push.started" {
						t.Fatalf("task %s: events = %s, want push.started alone", key, got)
					}
				}
				for _, key := range stop {
					if got := s.eventTypes(key); got != "push.started push.stopped" {
						t.Fatalf("task %s: events = %s, want push.started push.stopped", key, got)
					}
				}
				if got, want := s.eventTypes(watcher.Key{}), "watcher.blind watcher.sighted"; got != want {
					t.Errorf("of the account: events = %s, want %s", got, want)
				}
				if normal := 170 * 19; during*2 > normal {
					t.Errorf("%d requests while the service was out, normal are %d", during, normal)
				}
				if got := c.busiest(); got > 20 {
					t.Errorf("arrivals in one second = %d, want at most 20", got)
				}
			})
		})
	}
}

// TestBlindAcrossRestart has a process stop while the account is blind: the next
// one does not tell of the same outage again, and tells its end.
func TestBlindAcrossRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "w.db")
		down := true
		c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(watcher.Key, time.Time) (watcher.Push, error) {
			if down {
				return watcher.Push{}, &watcher.CloudError{Code: "http 502"}
			}
			return pushOf("PUSHING"), nil
		})
		var types []string
		for range 3 {
			s, stop := start(t, path, c)
			s.register(3, "class")
			time.Sleep(5 * time.Minute)
			stop()
			types = append(types, s.eventTypes(watcher.Key{}))
			if len(types) == 2 {
				down = false
			}
		}
		if want := []string{"watcher.blind", "", "watcher.sighted"}; !slices.Equal(types, want) {
			t.Errorf("events of three runs = %q, want %q", types, want)
		}
	})
}

// TestDeniedApplication has one of two applications refused for a minute.
func TestDeniedApplication(t *testing.T) {
	t.Parallel()
	var from, to time.Time
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(key watcher.Key, at time.Time) (watcher.Push, error) {
		if key.SDKAppID == other && at.After(from) && at.Before(to) {
			return watcher.Push{}, &watcher.CloudError{Kind: watcher.DeniedApplication, Code: "UnauthorizedOperation.SdkAppId"}
		}
		return pushOf("PUSHING"), nil
	})
	run(t, c, func(t *testing.T, s *scene) {
		from = time.Now().Add(30 * time.Second)
		to = from.Add(2 * time.Minute)
		keys := s.register(50, "class")
		denied := watcher.Key{SDKAppID: other, TaskID: "denied"}
		if _, err := s.Register(t.Context(), []watcher.Registration{{Key: denied}, {Key: watcher.Key{SDKAppID: other, TaskID: "denied-2"}}}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		during := func(at time.Time) bool { return at.After(from.Add(5*time.Second)) && at.Before(to) }
		count := func(key watcher.Key, when func(time.Time) bool) (n int) {
			for _, at := range c.polls[key] {
				if when(at) {
					n++
				}
			}
			return n
		}
		if got := count(denied, during) + count(watcher.Key{SDKAppID: other, TaskID: "denied-2"}, during); got < 5 || got > 60 {
			t.Errorf("%d probes of the denied application, want some, with restraint", got)
		}
		for _, key := range keys {
			if got := count(key, during); got < 10 {
				t.Errorf("task %s of the other application was polled %d times, want it undisturbed", key, got)
			}
		}
		if got := count(denied, func(at time.Time) bool { return at.After(to.Add(20 * time.Second)) }); got < 10 {
			t.Errorf("the application was polled %d times after it was allowed again", got)
		}
		if got := s.eventTypes(denied); got != "push.started" {
			t.Errorf("events = %s, want push.started alone", got)
		}
		if got, want := s.eventTypes(watcher.Key{}), "watcher.blind watcher.sighted"; got != want {
			t.Errorf("of the application: events = %s, want %s", got, want)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, d := range s.events {
			if d.Type == watcher.WatcherBlind && (d.Subject != "school/1400000002" || !strings.Contains(string(d.Body), `"sdk_app_id":1400000002`) || !strings.Contains(string(d.Body), `"tasks":2`)) {
				t.Errorf("watcher.blind of %s: %s, want it of the application with its 2 tasks", d.Subject, d.Body)
			}
		}
	}, other)
}

// TestRestart starts anew without a pause, as after a crash: the service must not
// see more than the limit from both processes together.
func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "w.db")
		c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(watcher.Key, time.Time) (watcher.Push, error) { return pushOf("PUSHING"), nil })
		for range 5 {
			s, stop := start(t, path, c)
			s.register(100, "class")
			time.Sleep(10 * time.Second)
			stop()
		}
		if got := c.busiest(); got > 20 {
			t.Errorf("arrivals in one second = %d, want at most 20", got)
		}
		if got := c.between(time.Now().Add(-time.Minute), time.Now()); got < 5*8*19 {
			t.Errorf("%d requests in five runs of 10 s, want at least %d", got, 5*8*19)
		}
	})
}

// TestStale has a kept-open connection turn out to be closed: the request is
// repeated at once, pays for it, and counts.
func TestStale(t *testing.T) {
	t.Parallel()
	first := true
	c := newCloud(0, 0, func(watcher.Key, time.Time) (watcher.Push, error) {
		if first {
			first = false
			return watcher.Push{}, &watcher.CloudError{Code: "network", Sent: watcher.Dropped}
		}
		return pushOf("PUSHING"), nil
	})
	synctest.Test(t, func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
			Metrics: metrics,
			Settings: engine.Settings{
				Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: c}},
			},
		})
		defer stop()
		time.Sleep(2 * time.Second) // a new owner is silent at first
		key := s.register(1, "class")[0]
		time.Sleep(500 * time.Millisecond)
		if got := s.eventTypes(key); got != "push.started" {
			t.Errorf("events = %s, want push.started at once", got)
		}
		if got := len(c.polls[key]); got != 2 {
			t.Errorf("%d requests, want 2", got)
		}
		if got := s.Status()[0].Used; got != 2 {
			t.Errorf("Used = %v, want the 2 requests of the first second", got)
		}
		const want = `# HELP pushwatch_polls_total DescribeWhiteboardPush requests, by result.
# TYPE pushwatch_polls_total counter
pushwatch_polls_total{account="school",result="denied"} 0
pushwatch_polls_total{account="school",result="ok"} 1
pushwatch_polls_total{account="school",result="task_error"} 0
pushwatch_polls_total{account="school",result="throttled"} 0
pushwatch_polls_total{account="school",result="transient"} 1
`
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "pushwatch_polls_total"); err != nil {
			t.Error(err)
		}
	})
}

// TestStoreFails has saves fail before and after their commit: each change is
// reported once all the same.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := newCloud(0, 0, func(_ watcher.Key, at time.Time) (watcher.Push, error) {
		if at.Sub(began) < 30*time.Second {
			return pushOf("PREPARED"), nil
		}
		return pushOf("PUSHING"), nil
	})
	run(t, c, func(t *testing.T, s *scene) {
		began = time.Now()
		s.store.failWith(func(n int) error {
			return []error{nil, errors.New("disk full"), errAfter}[n%3]
		})
		keys := s.register(10, "class")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for _, key := range keys {
			if got := s.eventTypes(key); got != "push.preparing push.started" {
				t.Errorf("task %s: events = %s, want push.preparing push.started", key, got)
			}
		}
	})
}

// TestRemoveWhilePolled removes tasks at every moment of their polls.
func TestRemoveWhilePolled(t *testing.T) {
	t.Parallel()
	c := newCloud(time.Second, 3*time.Second, func(watcher.Key, time.Time) (watcher.Push, error) { return pushOf("PUSHING"), nil })
	run(t, c, func(t *testing.T, s *scene) {
		keys := s.register(10, "class")
		for _, key := range keys {
			time.Sleep(300 * time.Millisecond)
			if err := s.Remove(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		from := time.Now()
		time.Sleep(time.Minute)
		if got := c.between(from, time.Now()); got != 0 {
			t.Errorf("%d polls of removed tasks", got)
		}
		if _, err := s.Task(t.Context(), keys[0]); !errors.Is(err, watcher.ErrNoTask) {
			t.Errorf("Task(removed) = %v, want %v", err, watcher.ErrNoTask)
		}
		// Registered again it is watched anew, and its events go on counting.
		before := s.eventTypes(keys[0])
		s.register(10, "class")
		time.Sleep(10 * time.Second)
		view, err := s.Task(t.Context(), keys[0])
		if err != nil || view.State != watcher.Pushing {
			t.Fatalf("Task(registered again) = %v, %v, want it pushing", view.State, err)
		}
		if got := int(view.Sequence); got != len(strings.Fields(before))+1 {
			t.Errorf("sequence = %d after %q and one more event", got, before)
		}
	})
}

// TestRegisterFaults registers what can't be: nothing of it is taken.
func TestRegisterFaults(t *testing.T) {
	t.Parallel()
	c := newCloud(0, 0, func(watcher.Key, time.Time) (watcher.Push, error) { return pushOf("PUSHING"), nil })
	run(t, c, func(t *testing.T, s *scene) {
		good := watcher.Registration{Key: watcher.Key{SDKAppID: app, TaskID: "good"}}
		for _, c := range []struct {
			fault watcher.Registration
			field string
		}{
			{watcher.Registration{Key: watcher.Key{SDKAppID: 7, TaskID: "a"}}, "tasks[1].sdk_app_id"},
			{watcher.Registration{Key: watcher.Key{SDKAppID: app, TaskID: "a b"}}, "tasks[1].task_id"},
			{watcher.Registration{Key: watcher.Key{SDKAppID: app, TaskID: strings.Repeat("a", 129)}}, "tasks[1].task_id"},
			{watcher.Registration{Key: good.Key, Labels: map[string]string{"A": ""}}, "tasks[1].labels"},
			{watcher.Registration{Key: good.Key, Labels: map[string]string{"a": strings.Repeat("x", 257)}}, "tasks[1].labels.a"},
		} {
			_, err := s.Register(t.Context(), []watcher.Registration{good, c.fault}, false)
			field, ok := errors.AsType[*watcher.FieldError](err)
			if !ok || field.Field != c.field {
				t.Errorf("Register(%v) = %v, want a fault of %s", c.fault, err, c.field)
			}
		}
		if _, err := s.Task(t.Context(), good.Key); !errors.Is(err, watcher.ErrNoTask) {
			t.Errorf("a faulty batch left a task behind: %v", err)
		}
		got, err := s.Register(t.Context(), []watcher.Registration{{Key: watcher.Key{TaskID: "good"}}}, false)
		if err != nil || len(got) != 1 || got[0].SDKAppID != app || !got[0].Created {
			t.Errorf("Register without sdk_app_id = %v, %v, want a new task of the only application", got, err)
		}
	})
}
