package storetest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pushwatch/watcher"
)

func testRegister(t *testing.T, b *bench) {
	asked := task("a")
	asked.Labels = map[string]string{"course": "math-3b", "quote": `"<&>'\`}
	asked.ExpectedStopAt = start.Add(time.Hour)
	twin := task("b")
	registered, err := b.db.Register(t.Context(), []watcher.Task{asked, twin, asked}, false)
	must(t, err)
	asked.Version, twin.Version = 1, 1
	if want := []watcher.RegisteredTask{{Task: asked, Created: true}, {Task: twin, Created: true}, {Task: asked}}; !reflect.DeepEqual(registered, want) {
		t.Errorf("Register(a, b, a) = %+v, want %+v", registered, want)
	}
	b.checkTask(b.db, asked)

	other := task("b")
	other.Labels = map[string]string{"course": "art"}
	registered, err = b.db.Register(t.Context(), []watcher.Task{task("c"), other}, true)
	if err != nil || !registered[0].Created || !reflect.DeepEqual(registered[1], watcher.RegisteredTask{Task: twin}) {
		t.Errorf("Register(c, b) = %+v, %v, want b as it was, and c created", registered, err)
	}
	_, err = b.db.Task(t.Context(), key("none"))
	wantError(t, "Task(none)", err, watcher.ErrNoTask)
}

// testRegisterAnew covers the two ways in which an old task is watched again.
func testRegisterAnew(t *testing.T, b *bench) {
	a := b.own("school")
	over := ended(b.register("ended")[0], start.Add(time.Hour), nil, watcher.PushStarted, watcher.PushStopped)
	over.Task.Push = &watcher.Push{Status: new("STOPPED")}
	b.save(a, over)
	removed := b.save(a, change(b.register("removed")[0], nil, watcher.PushStarted))
	b.remove(removed)

	asked := []watcher.Task{task("ended"), task("removed")}
	for i := range asked {
		asked[i].RegisteredAt = start.Add(24 * time.Hour)
	}
	tasks, err := b.db.Register(t.Context(), asked, false)
	if err != nil || tasks[0].Created || !tasks[1].Created {
		t.Fatalf("Register(ended, removed) = %v, %v, want only the removed one created", tasks, err)
	}
	if got := tasks[0]; got.State != watcher.Stopped || got.Version != over.Task.Version {
		t.Errorf("ended task = %+v, want it as it was", got)
	}
	want := asked[1]
	want.Version, want.Sequence = removed.Version+2, removed.Sequence
	if !reflect.DeepEqual(tasks[1].Task, want) {
		t.Errorf("removed task = %+v, want %+v", tasks[1], want)
	}

	tasks, err = b.db.Register(t.Context(), asked, true)
	if err != nil || !tasks[0].Created || tasks[1].Created {
		t.Fatalf("Register(ended, removed, reopen) = %v, %v, want only the ended one created", tasks, err)
	}
	want = asked[0]
	want.Version, want.Sequence = over.Task.Version+1, over.Task.Sequence
	b.checkTask(b.db, want)
	if !reflect.DeepEqual(tasks[0].Task, want) {
		t.Errorf("reopened task = %+v, want %+v", tasks[0].Task, want)
	}
	b.save(a, change(tasks[0].Task, nil, watcher.PushStarted)) // counts on: else the event exists already
}

func testRegisterAllOrNone(t *testing.T, b *bench) {
	tasks := make([]watcher.Task, 1000)
	for i, id := range ids(len(tasks)) {
		tasks[i] = task(id)
	}
	tasks[900].TaskID = "zero\x00byte\xff" // refused by one database, which must then hold none of them
	registered, err := b.db.Register(t.Context(), tasks, false)
	got, listErr := b.db.Tasks(t.Context(), watcher.TaskQuery{Limit: 2000})
	if listErr != nil {
		t.Fatal(listErr)
	}
	want := len(tasks)
	if err != nil {
		want = 0
	}
	if len(got) != want || len(registered) != want {
		t.Errorf("after Register(1000 tasks) = %v there are %d, %d returned, want %d", err, len(got), len(registered), want)
	}
}

// testRegisterTogether lets many callers register the same tasks in different orders, while
// their owner saves changes to them.
func testRegisterTogether(t *testing.T, b *bench) {
	a := b.own("school")
	ids := ids(50)
	b.register(ids[0])
	var mu sync.Mutex
	begun := make(map[string]int)
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			var asked []watcher.Task
			for j := range ids {
				asked = append(asked, task(ids[(i*7+j*3)%len(ids)]))
			}
			registered, err := b.db.Register(t.Context(), asked, true)
			if err != nil {
				t.Errorf("Register(50 tasks) = %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, x := range registered {
				if x.Created {
					begun[x.TaskID]++
				}
			}
		})
	}
	callers.Go(func() {
		saved, err := a.Task(t.Context(), key(ids[0]))
		if err != nil {
			t.Error(err)
			return
		}
		for range 20 {
			c := change(saved, []string{"n"}, watcher.PushChanged)
			if err := a.Save(t.Context(), c); err != nil {
				t.Errorf("Save() among registrations = %v", err)
			}
			saved = c.Task
		}
	})
	callers.Wait()
	for _, id := range ids[1:] {
		if begun[id] != 1 {
			t.Errorf("watching of %s began %d times, want 1", id, begun[id])
		}
	}
}

func testRemove(t *testing.T, b *bench) {
	a := b.own("school")
	old := b.save(a, change(b.register("a")[0], []string{"n"}, watcher.PushStarted))
	b.remove(old)
	wantError(t, "Remove() again", b.db.Remove(t.Context(), old.Key), watcher.ErrNoTask)
	_, err := b.db.Task(t.Context(), old.Key)
	wantError(t, "Task() of a removed task", err, watcher.ErrNoTask)
	_, err = a.Task(t.Context(), old.Key)
	wantError(t, "Task() of a removed task by the owner", err, watcher.ErrNoTask)
	if list, err := b.db.Tasks(t.Context(), watcher.TaskQuery{}); err != nil || len(list) != 0 {
		t.Errorf("Tasks() = %v, %v, want none", list, err)
	}
	wantError(t, "Save() of a removed task", a.Save(t.Context(), change(old, nil, watcher.PushChanged)), watcher.ErrConflict)
	b.checkPending(a, "n", "msg_a-1") // the one there was
}

// pages reads all that a query selects, page by page, and checks the order.
func (b *bench) pages(name string, query watcher.TaskQuery) map[watcher.Key]bool {
	b.Helper()
	seen := make(map[watcher.Key]bool)
	query.Limit = 33
	for {
		page, err := b.db.Tasks(b.Context(), query)
		if err != nil {
			b.Fatalf("Tasks(%s) = %v", name, err)
		}
		for _, x := range page {
			if after := query.After; seen[x.Key] || !query.Newest && x.SDKAppID < after.SDKAppID ||
				query.Newest && !after.RegisteredAt.IsZero() && x.RegisteredAt.After(after.RegisteredAt) {
				b.Errorf("Tasks(%s): %s comes after %s", name, x.Key, query.After)
			}
			seen[x.Key] = true
			query.After = watcher.TaskMark{Key: x.Key, RegisteredAt: x.RegisteredAt}
		}
		if len(page) < query.Limit {
			return seen
		}
	}
}

func testTasks(t *testing.T, b *bench) {
	a := b.own("school")
	var asked []watcher.Task
	for i := range 250 {
		x := task(fmt.Sprintf("t%03d", i))
		x.SDKAppID += int64(i % 2)
		x.RegisteredAt = start.Add(time.Duration(i*7%100) * time.Second) // in another order, some at one time
		x.Labels = map[string]string{"course": []string{"math", "Math", "ma%h", `a","course":"math`, "m"}[i%5], "n": fmt.Sprint(i)}
		asked = append(asked, x)
	}
	asked[7].Account = "college"
	tasks := b.registerTasks(false, asked...)
	pushing := change(tasks[9], nil, watcher.PushStarted)
	pushing.Task.State = watcher.Pushing
	b.save(a, pushing)
	blind := change(tasks[11], nil, watcher.PushBlind)
	blind.Task.Memory.Blind = &watcher.Blind{Since: start, Alone: start, Error: watcher.PollError{Code: "unreadable", Message: "an answer"}}
	b.save(a, blind)

	for _, test := range []struct {
		name  string
		query watcher.TaskQuery
		want  int
	}{
		{"all", watcher.TaskQuery{}, 250},
		{"account", watcher.TaskQuery{Account: "college"}, 1},
		{"state", watcher.TaskQuery{States: []watcher.State{watcher.Pushing}}, 1},
		{"one of two states", watcher.TaskQuery{States: []watcher.State{watcher.Pushing, watcher.Registered}}, 250},
		{"blind", watcher.TaskQuery{Blind: true}, 1},
		{"application", watcher.TaskQuery{SDKAppID: 1400000002}, 125},
		{"label", watcher.TaskQuery{Labels: map[string]string{"course": "math"}}, 50},
		{"label with a wildcard", watcher.TaskQuery{Labels: map[string]string{"course": "ma%h"}}, 50},
		{"label with quotes", watcher.TaskQuery{Labels: map[string]string{"course": `a","course":"math`}}, 50},
		{"two labels", watcher.TaskQuery{Labels: map[string]string{"course": "math", "n": "5"}}, 1},
		{"newest first", watcher.TaskQuery{Newest: true}, 250},
		{"newest of an application", watcher.TaskQuery{Newest: true, SDKAppID: 1400000002}, 125},
		{"part of the id", watcher.TaskQuery{Contains: "t00", Newest: true}, 10},
		{"id", watcher.TaskQuery{Contains: "t123"}, 1},
		{"part in another case", watcher.TaskQuery{Contains: "T"}, 0},
		{"part with a wildcard", watcher.TaskQuery{Contains: "t_1"}, 0},
		{"newest with a label", watcher.TaskQuery{Labels: map[string]string{"course": "math"}, Newest: true}, 50},
		{"no such label", watcher.TaskQuery{Labels: map[string]string{"curse": "math"}}, 0},
	} {
		if seen := b.pages(test.name, test.query); len(seen) != test.want {
			t.Errorf("Tasks(%s) found %d in pages, want %d: %v", test.name, len(seen), test.want, slices.Collect(maps.Keys(seen)))
		}
	}
	if page, err := b.db.Tasks(t.Context(), watcher.TaskQuery{}); err != nil || len(page) != 100 {
		t.Errorf("Tasks() = %d tasks, %v, want 100", len(page), err)
	}
}

// testLabels changes the labels of tasks in every way, and looks for them.
func testLabels(t *testing.T, b *bench) {
	a := b.own("school")
	labelled := func(id string, labels ...string) watcher.Task {
		x := task(id)
		x.Labels = make(map[string]string)
		for _, l := range labels {
			x.Labels["course"+l] = l
		}
		return x
	}
	tasks := b.registerTasks(false, labelled("amended", "1", "2"), labelled("again", "1"), labelled("removed", "1"),
		labelled("dropped", "1"), labelled("stays", "1", "3"), task("none"))
	found := func(labels ...string) (ids []string) {
		t.Helper()
		q := watcher.TaskQuery{Labels: labelled("", labels...).Labels}
		byKey, err := b.db.Tasks(t.Context(), q)
		must(t, err)
		q.Newest = true
		newest, err := b.db.Tasks(t.Context(), q)
		if err != nil || len(newest) != len(byKey) {
			t.Errorf("Tasks(%v) finds %d, newest first %d, %v", labels, len(byKey), len(newest), err)
		}
		for _, x := range byKey {
			ids = append(ids, x.TaskID)
		}
		return ids
	}
	check := func(when string, want map[string][]string) {
		t.Helper()
		for label, want := range want {
			if got := found(strings.Split(label, "")...); !slices.Equal(got, want) {
				t.Errorf("%s: with the labels %s there are %v, want %v", when, label, got, want)
			}
		}
	}
	check("registered", map[string][]string{"1": {"again", "amended", "dropped", "removed", "stays"}, "12": {"amended"}, "3": {"stays"}, "23": nil})

	amended := tasks[0]
	amended.Version++
	amended.Labels = labelled("", "2", "4").Labels
	must(t, b.db.Amend(t.Context(), amended))
	b.save(a, ended(tasks[1], start, nil, watcher.PushStopped))
	b.save(a, ended(tasks[3], start, nil, watcher.PushStopped))
	again := labelled("again", "5")
	again.RegisteredAt = start.Add(time.Hour)
	b.registerTasks(true, again)
	b.remove(tasks[2])
	b.sweep(start.Add(time.Minute)) // "dropped" goes
	check("changed", map[string][]string{"1": {"stays"}, "2": {"amended"}, "4": {"amended"}, "24": {"amended"}, "12": nil, "5": {"again"}})

	b.registerTasks(false, labelled("dropped", "1"), labelled("removed", "3"))
	check("registered again", map[string][]string{"1": {"dropped", "stays"}, "3": {"removed", "stays"}})
}
