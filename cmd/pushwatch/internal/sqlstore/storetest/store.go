package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

func testLive(t *testing.T, b *bench) {
	a := b.own("school")
	tasks := b.register("a", "b", "ended", "removed")
	stranger := b.registerWith("college", "stranger")
	b.save(a, ended(tasks[2], start, nil, watcher.PushStopped))
	b.remove(tasks[3])
	live := make(map[string]bool)
	if err := a.Live(t.Context(), func(x watcher.Task) error {
		live[x.TaskID] = true
		return nil
	}); err != nil || !reflect.DeepEqual(live, map[string]bool{"a": true, "b": true}) {
		t.Errorf("Live() yields %v, %v, want a and b", live, err)
	}
	enough, calls := errors.New("enough"), 0
	if err := a.Live(t.Context(), func(watcher.Task) error { calls++; return enough }); !errors.Is(err, enough) || calls != 1 {
		t.Errorf("Live() = %v after %d calls, want %v after 1", err, calls, enough)
	}
	_, err := a.Task(t.Context(), stranger.Key)
	wantError(t, "Task() of another account", err, watcher.ErrNoTask)
}

// testSave saves and reads every field of a task.
func testSave(t *testing.T, b *bench) {
	a := b.own("school")
	c := change(b.register("a")[0], []string{"log", "classroom"}, watcher.PushPreparing, watcher.PushStarted)
	x := &c.Task
	x.State, x.EndedAt = watcher.Failed, start.Add(3*time.Hour)
	x.Labels = map[string]string{"course": "art"}
	x.ExpectedStopAt = start.Add(time.Hour)
	x.Push = &watcher.Push{Status: new("STOPPED"), ExceptionCount: new(int64(2)), Backup: new("{\x00\"")}
	x.Error = &watcher.APIError{Code: "FailedOperation.WhiteboardPush", Message: "code: 40006"}
	x.LastObservedAt, x.LastPolledAt = start.Add(time.Minute), start.Add(time.Minute-time.Millisecond)
	x.Memory = watcher.Memory{Status: "STOPPED", Started: true, PreparedSince: start, Exceptions: 2}
	b.save(a, c)

	b.checkTask(a, *x)
	for _, notifier := range []string{"log", "classroom"} {
		got := b.pending(a, notifier)
		if !ascending(got) || !slices.Equal(eventIDs(got), []string{"msg_a-1", "msg_a-2"}) {
			t.Fatalf("Pending(%s) = %+v, want two in order", notifier, got)
		}
		want := notify.Delivery{
			ID: got[1].ID, Position: got[1].ID, Account: "school", Notifier: notifier, EventID: "msg_a-2", Type: watcher.PushStarted,
			Subject: x.Key.String(), Task: x.Key, EventAt: c.Events[1].ObservedAt, Since: c.Events[1].ObservedAt, Body: c.Events[1].Body,
		}
		if !reflect.DeepEqual(got[1], want) {
			t.Errorf("Pending(%s)[1] = %+v, want %+v", notifier, got[1], want)
		}
		if body, err := a.Body(t.Context(), got[0].ID); err != nil || string(body) != string(c.Events[0].Body) {
			t.Errorf("Body(%d) = %s, %v, want %s", got[0].ID, body, err, c.Events[0].Body)
		}
	}
}

func testSaveConflict(t *testing.T, b *bench) {
	a := b.own("school")
	first := b.register("a")[0]
	second := b.save(a, change(first, []string{"n"}, watcher.PushStarted))
	stranger := b.registerWith("college", "stranger")
	ahead := second
	ahead.Version++
	for name, c := range map[string]watcher.Change{
		"older":           change(first, []string{"n"}, watcher.PushChanged),
		"ahead":           change(ahead, []string{"n"}, watcher.PushChanged),
		"unknown":         change(task("unknown"), []string{"n"}, watcher.PushChanged),
		"another account": change(stranger, []string{"n"}, watcher.PushChanged),
	} {
		c.Task.Account = "school"
		wantError(t, fmt.Sprintf("Save(%s)", name), a.Save(t.Context(), c), watcher.ErrConflict)
	}
	b.checkTask(a, second)
	b.checkPending(a, "n", "msg_a-1")
}

// testSaveConflictAmongOthers lets pairs of callers change the same tasks in the same way: one
// of each pair wins, whether or not the two share a transaction.
func testSaveConflictAmongOthers(t *testing.T, b *bench) {
	a := b.own("school")
	ids := ids(40)
	won := make([]atomic.Int32, len(ids))
	var callers sync.WaitGroup
	for i, x := range b.register(ids...) {
		for range 2 {
			callers.Go(func() {
				switch err := a.Save(t.Context(), change(x, []string{"n"}, watcher.PushStarted)); {
				case err == nil:
					won[i].Add(1)
				case !errors.Is(err, watcher.ErrConflict):
					t.Errorf("Save(%s) = %v, want nil or %v", x.Key, err, watcher.ErrConflict)
				}
			})
		}
	}
	callers.Wait()
	for i := range won {
		if n := won[i].Load(); n != 1 {
			t.Errorf("%d of 2 equal changes of %s were saved, want 1", n, ids[i])
		}
	}
	if got := len(b.pending(a, "n")); got != len(ids) {
		t.Errorf("%d deliveries, want %d", got, len(ids))
	}
}

// testSaveTogether lets many callers save at once: they share transactions, and the deliveries
// of each transaction are published together.
func testSaveTogether(t *testing.T, b *bench) {
	const callers, changes = 100, 5
	var commits, lastID atomic.Int64
	a := b.own("school", func(a Account) {
		a.Subscribe(func(news []notify.Delivery) {
			commits.Add(1)
			if !ascending(news) || news[0].ID <= lastID.Load() {
				t.Errorf("published %v after %d, want rising ids", eventIDs(news), lastID.Load())
			}
			lastID.Store(news[len(news)-1].ID)
		})
	})
	ids := ids(callers)
	var all sync.WaitGroup
	for _, x := range b.register(ids...) {
		all.Go(func() {
			for range changes {
				c := change(x, []string{"n"}, watcher.PushChanged)
				if err := a.Save(t.Context(), c); err != nil {
					t.Errorf("Save(%s) = %v", x.Key, err)
					return
				}
				x = c.Task
			}
		})
	}
	all.Wait()
	if n := commits.Load(); n >= callers*changes/2 {
		t.Errorf("%d changes took %d transactions, want far fewer", callers*changes, n)
	}
	next := make(map[string]int64)
	for _, d := range b.pending(a, "n") {
		next[d.Task.TaskID]++
		if want := fmt.Sprintf("msg_%s-%d", d.Task.TaskID, next[d.Task.TaskID]); d.EventID != want {
			t.Errorf("delivery %d has event %s, want %s", d.ID, d.EventID, want)
		}
	}
	for _, id := range ids {
		if next[id] != changes {
			t.Errorf("%s has %d events, want %d", id, next[id], changes)
		}
	}
}

// testSaveWrongNumbers has changes whose events do not go on from the saved ones.
func testSaveWrongNumbers(t *testing.T, b *bench) {
	a := b.own("school")
	old := b.save(a, change(b.register("a")[0], nil, watcher.PushStarted))
	for name, spoil := range map[string]func(*watcher.Change){
		"a gap":             func(c *watcher.Change) { c.Task.Sequence++; c.Events[0].Sequence++ },
		"a number again":    func(c *watcher.Change) { c.Task.Sequence--; c.Events[0].Sequence-- },
		"another task's":    func(c *watcher.Change) { c.Events[0].TaskID = "b" },
		"a number untold":   func(c *watcher.Change) { c.Task.Sequence++ },
		"a number too many": func(c *watcher.Change) { c.Task.Sequence-- },
	} {
		c := change(old, nil, watcher.PushChanged)
		spoil(&c)
		if err := a.Save(t.Context(), c); err == nil {
			t.Errorf("Save() with %s = nil, want an error", name)
		}
	}
	b.save(a, change(old, nil, watcher.PushChanged))
}

func testFenced(t *testing.T, b *bench) {
	a, err := b.db.Own(t.Context(), "school")
	must(t, err)
	x := b.register("a")[0]
	heir := b.own("school")
	b.own("college")
	x = b.save(heir, change(x, []string{"n"}, watcher.PushStarted))
	id := b.pending(heir, "n")[0].ID

	for name, write := range map[string]func(context.Context, Account) error{
		"Save":           func(ctx context.Context, a Account) error { return a.Save(ctx, change(x, nil, watcher.PushChanged)) },
		"Announce":       func(ctx context.Context, a Account) error { return a.Announce(ctx, announcement("msg_x", "n")) },
		"SaveCheckpoint": func(ctx context.Context, a Account) error { return a.SaveCheckpoint(ctx, checkpoint(x)) },
		"Settle": func(ctx context.Context, a Account) error {
			return a.Settle(ctx, []notify.Outcome{{ID: id, Position: id, State: notify.Delivered, Attempts: 1, Attempt: notify.Attempt{At: start}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			old, err := b.db.Own(t.Context(), "school")
			must(t, err)
			heir, err = b.db.Own(t.Context(), "school")
			must(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- old.Run(ctx) }()
			for range 2 { // in the transaction that finds out, and after it
				wantError(t, fmt.Sprintf("%s() by the former owner", name), write(t.Context(), old), watcher.ErrFenced)
			}
			cancel()
			wantError(t, "Run() of the former owner", <-ended, watcher.ErrFenced)
		})
	}
	b.checkTask(a, x)
	b.checkPending(heir, "n", "msg_a-1") // what the owner wrote
}

// testStopped ends a write's own context, and the writer, during a write.
func testStopped(t *testing.T, b *bench) {
	x := b.register("a")[0]
	a, err := b.db.Own(t.Context(), "school")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, "Save() with no writer, and a context that ended", a.Save(ctx, change(x, nil, watcher.PushStarted)), context.Canceled)
	if err := a.Run(ctx); err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
	if err := a.Save(t.Context(), change(x, nil, watcher.PushStarted)); err == nil ||
		errors.Is(err, watcher.ErrConflict) || errors.Is(err, watcher.ErrFenced) {
		t.Errorf("Save() after the writer has ended = %v, want an error of its own", err)
	}
}

func testAnnounce(t *testing.T, b *bench) {
	a := b.own("school")
	e := announcement("msg_blind1", "log", "oncall")
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			if err := a.Announce(t.Context(), e); err != nil {
				t.Errorf("Announce() = %v", err)
			}
		})
	}
	callers.Wait()
	b.announce(a, e) // again
	for _, notifier := range e.Notifiers {
		got := b.pending(a, notifier)
		if len(got) != 1 {
			t.Fatalf("Pending(%s) = %v, want one", notifier, eventIDs(got))
		}
		want := notify.Delivery{
			ID: got[0].ID, Position: got[0].ID, Account: "school", Notifier: notifier, EventID: e.ID, Type: watcher.WatcherBlind,
			Subject: "school", EventAt: start, Since: start, Body: e.Body,
		}
		if !reflect.DeepEqual(got[0], want) {
			t.Errorf("Pending(%s) = %+v, want %+v", notifier, got[0], want)
		}
	}
}

// checkpoint is the checkpoint of some tasks, with the times that they have.
func checkpoint(tasks ...watcher.Task) *watcher.Checkpoint {
	c := watcher.NewCheckpoint(start, len(tasks))
	for _, t := range tasks {
		c.Add(t.Key, t.LastPolledAt, t.LastObservedAt)
	}
	return c
}

// testCheckpoint saves when tasks were polled. The next owner finds it, and whoever
// reads the tasks while nobody owns the account.
func testCheckpoint(t *testing.T, b *bench) {
	a := b.own("school")
	tasks := b.register("same", "changed", "ended", "again", "never")
	polled := func(x watcher.Task, after time.Duration) watcher.Task {
		x.LastPolledAt, x.LastObservedAt = start.Add(after), start.Add(after+time.Millisecond)
		return x
	}
	must(t, a.SaveCheckpoint(t.Context(), checkpoint(polled(tasks[0], time.Second), polled(tasks[4], time.Second))))
	changed := b.save(a, change(polled(tasks[1], 2*time.Minute), nil, watcher.PushStarted)) // after the checkpoint
	over := b.save(a, ended(polled(tasks[2], 2*time.Minute), start.Add(2*time.Minute), nil, watcher.PushStopped))
	b.save(a, ended(tasks[3], start, nil, watcher.PushStopped)) // is reopened
	c := checkpoint(polled(tasks[0], time.Minute), polled(tasks[1], time.Minute), polled(tasks[2], 3*time.Minute), polled(tasks[3], time.Minute))
	must(t, a.SaveCheckpoint(t.Context(), c))
	fresh := task("again")
	fresh.RegisteredAt = start.Add(time.Hour)
	again := b.registerTasks(true, fresh)[0]
	b.close() // nobody owns it

	b.open()
	want := map[string]watcher.Task{
		"same": polled(tasks[0], time.Minute), "changed": changed, "ended": over, "again": again,
		"never": tasks[4], // not in the newer checkpoint
	}
	for _, want := range want {
		b.checkTask(b.db, want)
	}
	page, err := b.db.Tasks(t.Context(), watcher.TaskQuery{})
	if err != nil || len(page) != len(want) {
		t.Errorf("Tasks() = %d tasks, %v, want %d", len(page), err, len(want))
	}
	for _, got := range page {
		if !reflect.DeepEqual(got, want[got.TaskID]) {
			t.Errorf("Tasks() = %+v, want %+v", got, want[got.TaskID])
		}
	}
	heir := b.own("school")
	delete(want, "ended")
	live := 0
	err = heir.Live(t.Context(), func(got watcher.Task) error {
		live++
		if !reflect.DeepEqual(got, want[got.TaskID]) {
			t.Errorf("Live() = %+v, want %+v", got, want[got.TaskID])
		}
		return nil
	})
	if err != nil || live != len(want) {
		t.Errorf("Live() = %d tasks, %v, want %d", live, err, len(want))
	}
	b.save(heir, change(want["same"], nil, watcher.PushStarted)) // the version is as it was
}

// testCheckpointMoves moves tasks to another account: they take their times with them.
func testCheckpointMoves(t *testing.T, b *bench) {
	a := b.own("school")
	tasks := b.register("registered", "rehomed")
	for i := range tasks {
		tasks[i].LastPolledAt, tasks[i].LastObservedAt = start.Add(time.Minute), start.Add(time.Minute+time.Millisecond)
	}
	must(t, a.SaveCheckpoint(t.Context(), checkpoint(tasks...)))
	registered := b.registerWith("college", "registered")
	_, rehomed, err := b.db.Rehome(t.Context(), map[string][]int64{"college": {registered.SDKAppID}})
	if err != nil || len(rehomed) != 1 {
		t.Fatalf("Rehome() = %+v, %v, want one task", rehomed, err)
	}
	for i, moved := range []watcher.Task{registered, rehomed[0]} {
		want := tasks[i]
		want.Account, want.Version = "college", want.Version+1
		if !reflect.DeepEqual(moved, want) {
			t.Errorf("moved task = %+v, want %+v", moved, want)
		}
		b.checkTask(b.db, want)
	}
}

func testReopen(t *testing.T, b *bench) {
	a := b.own("school")
	x := b.save(a, change(b.register("a", "b")[0], []string{"n", "m"}, watcher.PushPreparing, watcher.PushStarted))
	before := b.pending(a, "n")
	b.settle(a, notify.Outcome{ID: before[0].ID, Position: before[0].Position, State: notify.Delivered, Attempts: 1, Attempt: notify.Attempt{At: start}})
	b.close()

	b.open()
	var published []notify.Delivery
	a = b.own("school", func(a Account) { a.Subscribe(func(news []notify.Delivery) { published = append(published, news...) }) })
	b.checkTask(a, x)
	if got := b.pending(a, "n"); !reflect.DeepEqual(got, before[1:]) {
		t.Errorf("Pending() = %+v, want %+v", got, before[1:])
	}
	b.save(a, change(x, []string{"n"}, watcher.PushStopped))
	if len(published) != 1 || published[0].EventID != "msg_a-3" || published[0].ID <= before[1].ID {
		t.Errorf("published %+v, want only the new one, with an id above %d", published, before[1].ID)
	}
}
