// Package delivery_test holds the tests of delivery that need a real store, which
// package notify must not import.
package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/notify"
	"pushwatch/watcher"
)

// A receiver is a Sender that answers as its function says, and records what it got.
type receiver struct {
	answer func(ctx context.Context, d *notify.Delivery) error // nil: accepts all

	mu       sync.Mutex
	attempts []sent
}

type sent struct {
	at       time.Time
	answered time.Time
	id       string
	subject  string
	attempt  int
	body     string
	accepted bool
}

func (r *receiver) Send(ctx context.Context, d *notify.Delivery) (int, error) {
	s := sent{at: time.Now(), id: d.EventID, subject: d.Subject, attempt: d.Attempts + 1, body: string(d.Body)}
	var err error
	if r.answer != nil {
		err = r.answer(ctx, d)
	}
	s.answered, s.accepted = time.Now(), err == nil
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, s)
	return 0, err
}

func (r *receiver) Target() string { return "https://receiver.example" }

// all returns the attempts so far.
func (r *receiver) all() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attempts)
}

// accepted lists the ids of the events that were accepted, in order.
func (r *receiver) accepted() []string {
	var ids []string
	for _, s := range r.all() {
		if s.accepted {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// A world is a running dispatcher over a SQLite file.
type world struct {
	testing.TB
	url        string
	db         *sqlstore.DB
	account    *sqlstore.Account
	dispatcher *notify.Dispatcher
	metrics    *prometheus.Registry
	warnings   *observer.ObservedLogs
	stop       func()
	padding    string // in the bodies of events that push makes
}

// newWorld starts a dispatcher, which ends with the test.
func newWorld(t *testing.T, notifiers ...notify.Notifier) *world {
	w := startWorld(t, notifiers...)
	t.Cleanup(func() { w.stop() })
	return w
}

// startWorld starts a dispatcher, which the caller stops.
func startWorld(t testing.TB, notifiers ...notify.Notifier) *world {
	w := &world{TB: t, url: "sqlite:" + filepath.Join(t.TempDir(), "pushwatch.db")}
	w.start(notifiers...)
	return w
}

// start starts a dispatcher on what is there; the one before must be stopped.
func (w *world) start(notifiers ...notify.Notifier) {
	w.Helper()
	var err error
	if w.db, err = sqlstore.Open(w.Context(), sqlstore.Config{URL: w.url}); err != nil {
		w.Fatal(err)
	}
	if w.account, err = w.db.Own(w.Context(), "school"); err != nil {
		w.Fatal(err)
	}
	w.metrics = prometheus.NewRegistry()
	var log zapcore.Core
	log, w.warnings = observer.New(zap.WarnLevel)
	w.dispatcher = notify.New(notify.Config{Instance: "test", Notifiers: notifiers, Archive: w.db, Log: zap.New(log), Metrics: w.metrics})
	feed := w.dispatcher.Feed("school", w.account)
	var stops []func()
	for _, run := range []func(context.Context) error{w.account.Run, feed.Run, w.dispatcher.Run} {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx) }()
		stops = append(stops, func() {
			cancel()
			if err := <-ended; err != nil {
				w.Errorf("Run() = %v, want nil", err)
			}
		})
	}
	w.stop = sync.OnceFunc(func() {
		for _, stop := range slices.Backward(stops) {
			stop()
		}
		if err := w.db.Close(); err != nil {
			w.Errorf("Close() = %v", err)
		}
	})
}

// restart stops the dispatcher and starts another.
func (w *world) restart(notifiers ...notify.Notifier) {
	w.Helper()
	w.stop()
	w.start(notifiers...)
}

// announce makes an event of a subject, whose lane it goes to.
func (w *world) announce(id, subject string, notifiers ...string) {
	if err := w.account.Announce(w.Context(), newEvent(id, subject, notifiers...)); err != nil {
		w.Errorf("Announce(%s) = %v", id, err)
	}
}

// announceAll makes n events at once, spread over so many subjects.
func (w *world) announceAll(n, subjects int, notifiers ...string) {
	var all sync.WaitGroup
	const callers = 200
	for first := range callers {
		all.Go(func() {
			for i := first; i < n; i += callers {
				w.announce(fmt.Sprintf("msg_%d", i), fmt.Sprint(i%subjects), notifiers...)
			}
		})
	}
	all.Wait()
}

// push makes n events of one task at once, and returns their ids.
func (w *world) push(task string, n int, notifiers ...string) (ids []string) {
	w.Helper()
	key := watcher.Key{SDKAppID: 1400000001, TaskID: task}
	tasks, err := w.db.Register(w.Context(), []watcher.Task{{Key: key, Account: "school", RegisteredAt: time.Now()}}, false)
	if err != nil {
		w.Fatal(err)
	}
	change := watcher.Change{Task: tasks[0].Task}
	change.Task.Version++
	change.Task.Sequence = int64(n)
	for i := range n {
		e := newEvent(fmt.Sprintf("msg_%s_%d", task, i), key.String(), notifiers...)
		e.Key, e.Sequence = key, int64(i+1)
		e.Body = append(e.Body[:len(e.Body)-1], `,"padding":"`+w.padding+`"}`...)
		change.Events, ids = append(change.Events, e), append(ids, e.ID)
	}
	if err := w.account.Save(w.Context(), change); err != nil {
		w.Fatal(err)
	}
	return ids
}

func newEvent(id, subject string, notifiers ...string) watcher.Event {
	now := time.Now()
	return watcher.Event{
		ID: id, Type: watcher.PushFailed, Account: "school", ObservedAt: now, Notifiers: notifiers,
		Body: watcher.NewEnvelope("test", id, watcher.PushFailed, subject, now, nil).Encode(),
	}
}

// rest waits for so long, and then until nothing moves.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// records reads all deliveries to a notifier, oldest first.
func (w *world) records(notifier string) []notify.Record {
	w.Helper()
	list, err := w.dispatcher.Deliveries(w.Context(), notify.Query{Notifier: notifier, Limit: 1 << 20})
	if err != nil {
		w.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// states lists the states of all deliveries to a notifier, oldest first.
func (w *world) states(notifier string) string {
	var states []string
	for _, r := range w.records(notifier) {
		states = append(states, string(r.State))
	}
	return strings.Join(states, " ")
}

// status is how a notifier is.
func (w *world) status(notifier string) notify.Status {
	w.Helper()
	list, err := w.dispatcher.Notifiers(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for _, s := range list {
		if s.Name == notifier {
			return s
		}
	}
	w.Fatalf("Notifiers() = %+v, want one named %s", list, notifier)
	return notify.Status{}
}

// exhausted reads the delivery.exhausted events that were accepted.
func (r *receiver) exhausted(t *testing.T) []notify.Exhausted {
	t.Helper()
	var list []notify.Exhausted
	for _, s := range r.all() {
		var body struct {
			Type watcher.EventType
			Data notify.Exhausted
		}
		if err := json.Unmarshal([]byte(s.body), &body); err != nil {
			t.Fatal(err)
		}
		if body.Type == watcher.DeliveryExhausted && s.accepted {
			list = append(list, body.Data)
		}
	}
	return list
}

func to(name string, r *receiver) notify.Notifier {
	return notify.Notifier{Name: name, Type: "webhook", Sender: r, Filter: notify.Filter{Events: []string{"push.*"}}}
}

// Failures as a webhook's sender sorts them.
var (
	refused = &notify.SendError{Cause: notify.CauseRefused, Reason: "answered 400 Bad Request"}
	broken  = &notify.SendError{Cause: notify.CauseServer, Reason: "answered 500 Internal Server Error"}
	final   = &notify.SendError{Cause: notify.CauseRefused, Reason: "answered 422 Unprocessable Entity", Final: true}
	gone    = &notify.SendError{Cause: notify.CauseGone, Reason: "answered 410 Gone", Gone: true}
)
