package storetest

import (
	"reflect"
	"testing"

	"pushwatch/watcher"
)

// testRegisterElsewhere registers a live task whose application has moved to another
// account: that one goes on with it, and the former owner cannot.
func testRegisterElsewhere(t *testing.T, b *bench) {
	school, college := b.own("school"), b.own("college")
	x := b.save(school, change(b.register("a")[0], nil, watcher.PushStarted))
	asked := task("a")
	asked.Account = "college"
	tasks, err := b.db.Register(t.Context(), []watcher.Task{asked, asked}, false)
	want := x
	want.Account, want.Version = "college", x.Version+1
	if err != nil || !tasks[0].Created || tasks[1].Created || !reflect.DeepEqual(tasks[0].Task, want) {
		t.Errorf("Register() with another account = %+v, %v, want %+v, created once", tasks, err, want)
	}
	b.checkMoved(x, want, school, college)
}

// testRehome moves the tasks of an account that was removed from the settings.
func testRehome(t *testing.T, b *bench) {
	school, college := b.own("school"), b.own("college")
	const n = 501 // more than go in one step
	all := b.register(ids(n)...)
	x := b.save(school, change(all[0], nil, watcher.PushStarted))
	b.save(school, ended(all[1], start, nil, watcher.PushStopped))
	other := task("other") // of an application that no account has
	other.SDKAppID++
	b.registerTasks(false, other)

	apps := map[string][]int64{"college": {x.SDKAppID}, "school": nil}
	if from, tasks, err := b.db.Rehome(t.Context(), apps); err != nil || len(tasks) > 0 {
		t.Errorf("Rehome() of named accounts = %s, %d tasks, %v, want none", from, len(tasks), err)
	}
	delete(apps, "school")
	moved := make(map[watcher.Key]watcher.Task)
	for {
		from, tasks, err := b.db.Rehome(t.Context(), apps)
		must(t, err)
		if len(tasks) == 0 {
			break
		}
		if from != "school" {
			t.Errorf("Rehome() from %s, want school", from)
		}
		for _, x := range tasks {
			moved[x.Key] = x
		}
	}
	if len(moved) != n-1 {
		t.Errorf("Rehome() moved %d tasks, want %d", len(moved), n-1)
	}
	want := x
	want.Account, want.Version = "college", x.Version+1
	if got := moved[x.Key]; !reflect.DeepEqual(got, want) {
		t.Errorf("Rehome() made %+v, want %+v", got, want)
	}
	b.checkMoved(x, want, school, college)
	for _, key := range []watcher.Key{all[1].Key, other.Key} {
		if got, err := b.db.Task(t.Context(), key); err != nil || got.Account != "school" {
			t.Errorf("a task that need not move is of %s, %v, want school", got.Account, err)
		}
	}
}

// checkMoved checks that a task is another account's now.
func (b *bench) checkMoved(before, now watcher.Task, from, to Account) {
	b.Helper()
	wantError(b, "Save() by the former account", from.Save(b.Context(), change(before, nil, watcher.PushException)), watcher.ErrConflict)
	_, err := from.Task(b.Context(), before.Key)
	wantError(b, "Task() by the former account", err, watcher.ErrNoTask)
	b.save(to, change(now, nil, watcher.PushException))
}
