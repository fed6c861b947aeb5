package page_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/cmd/pushwatch/internal/web"
	"pushwatch/cmd/pushwatch/internal/web/page"
	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// app is the application of the tests.
const app = 1400000001

// A world is a pushwatch whose polling is played: what a test says was seen is
// saved, delivered by a real dispatcher, and shown.
type world struct {
	testing.TB
	*web.Handler
	db         *sqlstore.DB
	account    *sqlstore.Account
	dispatcher *notify.Dispatcher
	history    *page.History

	mu     sync.Mutex
	status []watcher.AccountStatus
	polled []watcher.Key
	refuse error // of the receiver
}

// watching is the watcher of a world.
type watching struct {
	*engine.Watcher
	*world
}

func (w watching) Status() []watcher.AccountStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

func (w watching) PollNow(ctx context.Context, key watcher.Key) error {
	w.mu.Lock()
	w.polled = append(w.polled, key)
	w.mu.Unlock()
	return w.Watcher.PollNow(ctx, key)
}

// Send is the receiver of the notifier "classroom".
func (w *world) Send(context.Context, *notify.Delivery) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return 500, w.refuse
	}
	return 204, nil
}

func (w *world) Target() string { return "https://classroom.example" }

// fine is how an account goes that has nothing to complain of.
func fine(name string) watcher.AccountStatus {
	now := time.Now()
	return watcher.AccountStatus{
		Name: name, Limit: 20, Granted: 20, Used: 12.4, Staleness: 4200 * time.Millisecond, LastObserved: now, Round: 6 * time.Second, MaxStaleness: time.Minute,
		Tasks:  map[watcher.State]int{watcher.Registered: 1, watcher.Preparing: 3, watcher.Pushing: 118},
		Starts: watcher.Lateness{Expected: 900 * time.Millisecond, Seen: 1100 * time.Millisecond},
		Stops:  watcher.Lateness{Expected: 2400 * time.Millisecond, Seen: 2100 * time.Millisecond},
	}
}

func newWorld(t testing.TB, tokens ...web.Token) *world {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "w.db")})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, db: db, status: []watcher.AccountStatus{fine("school")}}
	if w.account, err = db.Own(t.Context(), "school"); err != nil {
		t.Fatal(err)
	}
	every := notify.Filter{Events: []string{"*"}}
	w.dispatcher = notify.New(notify.Config{Instance: "test", Archive: db, Notifiers: []notify.Notifier{
		{Name: "classroom", Type: "webhook", Filter: every, Sender: w},
		{Name: "oncall", Type: "chat", Filter: notify.Filter{Events: []string{"push.failed"}}, Sender: w},
	}})
	feed := w.dispatcher.Feed("school", w.account)
	write := running(w.account.Run)
	deliver := running(w.dispatcher.Run, feed.Run)
	stopping := make(chan struct{})
	t.Cleanup(func() {
		close(stopping)
		deliver() // it waits for what it has to write
		write()
		db.Close()
	})
	engine := engine.New(engine.Config{Registry: db, Instance: "test", Settings: engine.Settings{Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app, app + 1}}}}})
	tasks := watching{engine, w}
	w.history = page.NewHistory()
	w.Handler = web.New(web.Config{
		Tasks: tasks, Events: db, Dispatcher: w.dispatcher, Tokens: tokens, History: w.history,
		Metrics: prometheus.NewRegistry(), Instance: "classroom-sg-1", Version: "1.0.0", Stopping: stopping,
		Alive: func() error { return nil }, Ready: func(context.Context) error { return nil },
	})
	return w
}

// running runs parts of a world, until the returned function is called.
func running(parts ...func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, part := range parts {
		all.Go(func() { part(ctx) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// show sets how the watching goes.
func (w *world) show(accounts ...watcher.AccountStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = accounts
}

// register registers a push that began to be watched some time ago.
func (w *world) register(id string, ago time.Duration, labels map[string]string) watcher.Task {
	w.Helper()
	tasks, err := w.db.Register(w.Context(), []watcher.Task{{
		Key: watcher.Key{SDKAppID: app, TaskID: id}, Account: "school", State: watcher.Registered, Labels: labels, RegisteredAt: time.Now().Add(-ago),
	}}, false)
	if err != nil {
		w.Fatal(err)
	}
	return tasks[0].Task
}

// plan has a push be planned to end some time from now.
func (w *world) plan(id string, in time.Duration) {
	w.Helper()
	t, err := w.db.Task(w.Context(), watcher.Key{SDKAppID: app, TaskID: id})
	if err == nil {
		t.ExpectedStopAt = time.Now().Add(in)
		t.Version++
		err = w.db.Amend(w.Context(), t)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// A seen is what a poll has shown of a push some time ago.
type seen struct {
	kind   watcher.EventType
	ago    time.Duration
	window time.Duration // since the poll before
	push   watcher.Push
	err    *watcher.APIError
	blind  *watcher.Blind // it is blind by itself from then on
}

// states are those that events lead to.
var states = map[watcher.EventType]watcher.State{
	watcher.PushPreparing: watcher.Preparing, watcher.PushStarted: watcher.Pushing, watcher.PushStopped: watcher.Stopped,
	watcher.PushFailed: watcher.Failed, watcher.PushNotFound: watcher.NotFound, watcher.PushAbandoned: watcher.Abandoned,
}

// happen saves what was seen of a push, one after the other.
func (w *world) happen(t watcher.Task, all ...seen) watcher.Task {
	w.Helper()
	for _, s := range all {
		at := time.Now().Add(-s.ago).Truncate(time.Microsecond)
		before := t.State
		if state, ok := states[s.kind]; ok {
			t.State = state
		}
		var added int64
		if s.kind == watcher.PushException {
			added = 1
		}
		if push := s.push; push.Status != nil {
			t.Push = &push
		}
		t.Error, t.LastObservedAt, t.LastPolledAt, t.Memory.Blind = s.err, at, at, s.blind
		t.Version++
		t.Sequence++
		if t.State.Ended() {
			t.EndedAt = at
		}
		e := watcher.Event{
			ID: watcher.FactID(fmt.Sprintf("%s|%d", t.Key, t.Sequence)), Type: s.kind, Key: t.Key, Account: t.Account, Sequence: t.Sequence,
			Labels: t.Labels, ObservedAt: at, LastObservedAt: at.Add(-s.window),
		}
		e.Notifiers = w.dispatcher.Route(&e)
		e.Body = watcher.NewEnvelope("test", e.ID, s.kind, t.Key.String(), at, watcher.TaskData{
			Sequence: t.Sequence, Account: t.Account, SDKAppID: t.SDKAppID, TaskID: t.TaskID, Labels: t.Labels, State: t.State, PreviousState: before,
			Push: t.Push, Error: t.Error, ExceptionsAdded: added, ObservedAt: watcher.Timestamp{Time: at}, LastObservedAt: watcher.Timestamp{Time: e.LastObservedAt},
		}).Encode()
		if err := w.account.Save(w.Context(), watcher.Change{Task: t, Events: []watcher.Event{e}}); err != nil {
			w.Fatalf("Save(%s) = %v", t.Key, err)
		}
	}
	return t
}

// pushing is an answer of TIW for a live push with some exceptions.
func pushing(since time.Duration, exceptions int64) watcher.Push {
	return watcher.Push{
		Status: new(watcher.StatusPushing), RoomID: new(int64(880528)), GroupID: new("880528"), PushUserID: new("tic_push_user_880528_test1"),
		PushStartTime: new(time.Now().Add(-since).Unix()), ExceptionCount: &exceptions, IMSyncTime: new(int64(0)), RequestID: new("d290f1ee-6c54-4b01-90e6-d701748f0851"),
	}
}

// ended is an answer for one that is over.
func ended(since, until time.Duration, reason string) watcher.Push {
	p := pushing(since, 2)
	p.Status, p.FinishReason, p.PushStopTime = new(watcher.StatusStopped), &reason, new(time.Now().Add(-until).Unix())
	return p
}

// blindAccount is an account with an outage, of all of it or of one application.
func blindAccount(name string, application int64, since time.Duration, announced bool) watcher.AccountStatus {
	a := fine(name)
	at := time.Now().Add(-since)
	a.Staleness = since + 5*time.Second
	a.Outages = []watcher.Outage{{
		SDKAppID: application, Since: at, LastObserved: at.Add(-2 * time.Second), Reported: announced, Tasks: 122,
		Cause: &watcher.APIError{Code: "AuthFailure.SecretIdNotFound", Message: "The SecretId is not found, please ensure that your SecretId is correct."},
	}}
	return a
}

// hostile is text that would like to be more, or less, or elsewhere.
const hostile = "<script>alert(1)</script>\"'&\u202egnp.x\u0000\x1b[31m\u200b"

// long is a label's value of 256 bytes without a space.
var long = strings.Repeat("數學", 42) + "3b-x"
