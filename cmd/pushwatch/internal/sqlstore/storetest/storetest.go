// Package storetest is the conformance suite of stores: it tests what the comments of
// [watcher.Store], [watcher.Registry], [notify.Outbox] and [notify.Archive] promise.
// [Crash] tests what a killed process must not lose, and [Postgres] starts a server to run
// both against.
package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// A DB is a store under test.
type DB interface {
	watcher.Registry
	notify.Archive
	Events(ctx context.Context, query watcher.EventQuery) (watcher.EventPage, error)
	LastEvents(ctx context.Context) (watcher.Position, error)
	Changed() <-chan struct{}
	// RecentEvents reads a page, newest first.
	RecentEvents(ctx context.Context, query watcher.RecentQuery) ([]watcher.RecentEvent, error)
	// LastChanges reads the event of each task's Sequence, if there is one.
	LastChanges(ctx context.Context, tasks []watcher.Task) (map[watcher.Key]watcher.RecentEvent, error)
	// Sweep deletes about limit old rows of each kind, and returns how many.
	Sweep(ctx context.Context, before time.Time, limit int) (int, error)
	// Own makes the caller the owner of an account, and fences earlier ones.
	Own(ctx context.Context, account string) (Account, error)
	Close() error
}

// An Account is an owner's access to its account. Run does its writes until Run's context
// ends.
type Account interface {
	watcher.Store
	notify.Outbox
	Run(ctx context.Context) error
}

// A Backend is a kind of store.
type Backend struct {
	// Fresh makes an empty database and returns its URL.
	Fresh func(t *testing.T) string
	// Open opens a database. The caller closes it.
	Open func(t *testing.T, url string) DB
}

// Run runs the suite, each test on a database of its own.
func Run(t *testing.T, b Backend) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"Register", testRegister},
		{"RegisterAnew", testRegisterAnew},
		{"RegisterElsewhere", testRegisterElsewhere},
		{"Rehome", testRehome},
		{"RegisterAllOrNone", testRegisterAllOrNone},
		{"RegisterTogether", testRegisterTogether},
		{"Remove", testRemove},
		{"Tasks", testTasks},
		{"Labels", testLabels},
		{"Live", testLive},
		{"Save", testSave},
		{"SaveConflict", testSaveConflict},
		{"SaveConflictAmongOthers", testSaveConflictAmongOthers},
		{"SaveTogether", testSaveTogether},
		{"SaveWrongNumbers", testSaveWrongNumbers},
		{"Fenced", testFenced},
		{"Stopped", testStopped},
		{"Announce", testAnnounce},
		{"Blind", testBlind},
		{"Amend", testAmend},
		{"Learned", testLearned},
		{"Checkpoint", testCheckpoint},
		{"CheckpointMoves", testCheckpointMoves},
		{"Subscribe", testSubscribe},
		{"Pending", testPending},
		{"Settle", testSettle},
		{"SettleUncounted", testSettleUncounted},
		{"SettleHostileError", testSettleHostileError},
		{"SettleAnnounce", testSettleAnnounce},
		{"SettleNotifier", testSettleNotifier},
		{"MarkDead", testMarkDead},
		{"Deliveries", testDeliveries},
		{"Delivery", testDelivery},
		{"Ahead", testAhead},
		{"Tallies", testTallies},
		{"Replay", testReplay},
		{"Sweep", testSweep},
		{"SweepAmongOthers", testSweepAmongOthers},
		{"Reopen", testReopen},
		{"Events", testEvents},
		{"NewestEvents", testNewestEvents},
		{"EventsOfSubject", testEventsOfSubject},
		{"EventsBody", testEventsBody},
		{"EventsWhileSaving", testEventsWhileSaving},
		{"RecentEvents", testRecentEvents},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := &bench{T: t, backend: b, url: b.Fresh(t)}
			b.open()
			t.Cleanup(func() { b.close() })
			test.run(t, b)
		})
	}
}

// A bench is a database with its owners running.
type bench struct {
	*testing.T
	backend Backend
	url     string
	db      DB
	stops   []func()
}

func (b *bench) open() { b.db = b.backend.Open(b.T, b.url) }

// close stops the owners and closes the database.
func (b *bench) close() {
	b.Helper()
	for _, stop := range b.stops {
		stop()
	}
	b.stops = nil
	if err := b.db.Close(); err != nil {
		b.Errorf("Close() = %v", err)
	}
}

// own returns an account whose writer runs until close. prepare is called first.
func (b *bench) own(account string, prepare ...func(Account)) Account {
	b.Helper()
	a, err := b.db.Own(b.Context(), account)
	must(b, err)
	for _, f := range prepare {
		f(a)
	}
	ctx, cancel := context.WithCancel(context.Background()) // outlives the test's, for close to end it
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	b.stops = append(b.stops, func() {
		cancel()
		<-ended
	})
	return a
}

// register registers tasks of the account "school" and returns them.
func (b *bench) register(ids ...string) []watcher.Task {
	b.Helper()
	var asked []watcher.Task
	for _, id := range ids {
		asked = append(asked, task(id))
	}
	return b.registerTasks(false, asked...)
}

// registerWith registers a task of an account and returns it.
func (b *bench) registerWith(account, id string) watcher.Task {
	b.Helper()
	x := task(id)
	x.Account = account
	return b.registerTasks(false, x)[0]
}

// registerTasks registers tasks and returns them as they are then.
func (b *bench) registerTasks(reopen bool, asked ...watcher.Task) []watcher.Task {
	b.Helper()
	registered, err := b.db.Register(b.Context(), asked, reopen)
	must(b, err)
	tasks := make([]watcher.Task, len(registered))
	for i, x := range registered {
		tasks[i] = x.Task
	}
	return tasks
}

func (b *bench) remove(x watcher.Task) {
	b.Helper()
	must(b, b.db.Remove(b.Context(), x.Key))
}

// checkTask checks that a DB or an Account has a task as it should be.
func (b *bench) checkTask(in interface {
	Task(context.Context, watcher.Key) (watcher.Task, error)
}, want watcher.Task) {
	b.Helper()
	if got, err := in.Task(b.Context(), want.Key); err != nil || !reflect.DeepEqual(got, want) {
		b.Errorf("Task(%s) = %+v, %v, want %+v", want.Key, got, err, want)
	}
}

func (b *bench) save(a Account, c watcher.Change) watcher.Task {
	b.Helper()
	if err := a.Save(b.Context(), c); err != nil {
		b.Fatalf("Save(%s version %d) = %v", c.Task.Key, c.Task.Version, err)
	}
	return c.Task
}

func (b *bench) announce(a Account, e watcher.Event) {
	b.Helper()
	must(b, a.Announce(b.Context(), e))
}

// pending reads all that is pending for a notifier.
func (b *bench) pending(a Account, notifier string) []notify.Delivery {
	b.Helper()
	list, err := a.Pending(b.Context(), notifier, 0, 1<<20)
	must(b, err)
	return list
}

// checkPending checks which events are pending for a notifier.
func (b *bench) checkPending(a Account, notifier string, want ...string) {
	b.Helper()
	if got := eventIDs(b.pending(a, notifier)); !slices.Equal(got, want) {
		b.Errorf("Pending(%s) has events %q, want %q", notifier, got, want)
	}
}

// start is the time at which the tests' data begins. It has microseconds, as stores do.
var start = time.Date(2026, 11, 22, 18, 16, 5, 123456000, time.UTC)

// task returns a task of "school" to register.
func task(id string) watcher.Task {
	return watcher.Task{Key: key(id), Account: "school", State: watcher.Registered, RegisteredAt: start}
}

func key(id string) watcher.Key { return watcher.Key{SDKAppID: 1400000001, TaskID: id} }

// must ends a test with an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks the error of what a test calls.
func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}

// ids returns n ids of tasks, in their order.
func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("t%03d", i)
	}
	return list
}

// change returns the next change of t: its next version and, for each of the types, an
// event for the notifiers.
func change(t watcher.Task, notifiers []string, types ...watcher.EventType) watcher.Change {
	t.Version++
	var events []watcher.Event
	for _, kind := range types {
		t.Sequence++
		e := watcher.Event{
			ID: fmt.Sprintf("msg_%s-%d", t.TaskID, t.Sequence), Type: kind, Key: t.Key, Account: t.Account,
			Sequence: t.Sequence, ObservedAt: start.Add(time.Duration(t.Sequence) * time.Second), Notifiers: notifiers,
		}
		e.Body = watcher.NewEnvelope("test", e.ID, kind, t.Key.String(), e.ObservedAt,
			watcher.TaskData{Sequence: t.Sequence, TaskID: t.TaskID}).Encode()
		events = append(events, e)
	}
	return watcher.Change{Task: t, Events: events}
}

// ended returns a change, as [change] does, after which the task has ended.
func ended(t watcher.Task, at time.Time, notifiers []string, types ...watcher.EventType) watcher.Change {
	c := change(t, notifiers, types...)
	c.Task.State, c.Task.EndedAt = watcher.Stopped, at
	return c
}

// announcement returns an event that belongs to no task.
func announcement(id string, notifiers ...string) watcher.Event {
	return watcher.Event{
		ID: id, Type: watcher.WatcherBlind, Account: "school", ObservedAt: start, Notifiers: notifiers,
		Body: watcher.NewEnvelope("test", id, watcher.WatcherBlind, "school", start, nil).Encode(),
	}
}

// eventIDs returns the event ids of deliveries.
func eventIDs(list []notify.Delivery) []string {
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.EventID
	}
	return ids
}

// ascending reports whether the ids of deliveries are strictly ascending.
func ascending(list []notify.Delivery) bool {
	return slices.IsSortedFunc(list, func(a, b notify.Delivery) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), 1) // equal ones are not sorted either
	})
}
