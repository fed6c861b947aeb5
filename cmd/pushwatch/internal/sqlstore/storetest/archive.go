package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// states reads the states of all deliveries to a notifier, oldest first.
func (b *bench) states(notifier string) string {
	b.Helper()
	records := b.deliveries(notify.Query{Notifier: notifier, Limit: 1000})
	slices.Reverse(records)
	var states []notify.State
	for _, r := range records {
		states = append(states, r.State)
	}
	return fmt.Sprint(states)
}

func (b *bench) deliveries(q notify.Query) []notify.Record {
	b.Helper()
	list, err := b.db.Deliveries(b.Context(), q)
	must(b, err)
	return list
}

// settleSome makes three events of the task "a" for the notifiers "n" and "m", and
// settles those to "n": the first is dead after the two outcomes that it returns, the
// second delivered.
func (b *bench) settleSome() (first, second notify.Outcome) {
	b.Helper()
	a := b.own("school")
	b.save(a, change(b.register("a")[0], []string{"n", "m"}, watcher.PushPreparing, watcher.PushStarted, watcher.PushStopped))
	toN := b.pending(a, "n")
	first, second = outcome(toN[0].ID, notify.Pending, 1), outcome(toN[0].ID, notify.Dead, 2)
	b.settle(a, first, second, outcome(toN[1].ID, notify.Delivered, 1))
	return first, second
}

func testDeliveries(t *testing.T, b *bench) {
	b.settleSome()
	all := b.deliveries(notify.Query{})
	if len(all) != 6 || !slices.IsSortedFunc(all, func(a, b notify.Record) int { return int(b.ID.ID - a.ID.ID) }) {
		t.Fatalf("Deliveries() = %+v, want 6, newest first", all)
	}
	var paged []notify.Record
	for q := (notify.Query{Limit: 4}); ; q.After = paged[len(paged)-1].ID {
		page := b.deliveries(q)
		paged = append(paged, page...)
		if len(page) < q.Limit {
			break
		}
	}
	if !reflect.DeepEqual(paged, all) {
		t.Errorf("pages of Deliveries() = %+v, want %+v", paged, all)
	}
	for _, test := range []struct {
		query notify.Query
		want  int
	}{
		{notify.Query{Notifier: "n"}, 3}, {notify.Query{EventID: "msg_a-2"}, 2}, {notify.Query{State: notify.Dead}, 1},
		{notify.Query{State: notify.Pending}, 4}, {notify.Query{State: notify.Delivered, Notifier: "m"}, 0},
		{notify.Query{Notifier: "n", EventID: "msg_a-1", State: notify.Dead}, 1}, {notify.Query{EventID: "msg_none"}, 0},
		{notify.Query{Task: key("a")}, 6}, {notify.Query{Task: key("none")}, 0},
	} {
		if got := b.deliveries(test.query); len(got) != test.want {
			t.Errorf("Deliveries(%+v) = %+v, want %d", test.query, got, test.want)
		}
	}
	if _, err := b.db.Deliveries(t.Context(), notify.Query{State: "lost"}); err == nil {
		t.Error("Deliveries(lost) = nil error, want one")
	}
}

// testDelivery reads one delivery, and the attempts of some.
func testDelivery(t *testing.T, b *bench) {
	first, second := b.settleSome()
	all := b.deliveries(notify.Query{})
	dead := b.deliveries(notify.Query{State: notify.Dead})[0]
	record, log, err := b.db.Delivery(t.Context(), dead.ID)
	want := notify.Record{
		ID: dead.ID, EventID: "msg_a-1", Type: watcher.PushPreparing, Subject: key("a").String(), Notifier: "n", State: notify.Dead,
		Attempts: 2, LastError: "busy", CreatedAt: record.CreatedAt, SettledAt: second.Attempt.At.Add(second.Attempt.Duration),
	}
	if err != nil || record != want || record.CreatedAt.IsZero() {
		t.Errorf("Delivery() = %+v, %v, want %+v", record, err, want)
	}
	if wantLog := []notify.Attempt{first.Attempt, second.Attempt}; !reflect.DeepEqual(log, wantLog) {
		t.Errorf("Delivery() has log %+v, want %+v", log, wantLog)
	}
	asked := []notify.DeliveryID{{Shard: 7, ID: 1}}
	for _, r := range all {
		asked = append(asked, r.ID)
	}
	logs, err := b.db.Attempts(t.Context(), asked)
	if err != nil || len(logs) != 2 || !reflect.DeepEqual(logs[dead.ID], log) {
		t.Errorf("Attempts() = %+v, %v, want those of two deliveries, %+v for %s", logs, err, log, dead.ID)
	}
	if logs, err := b.db.Attempts(t.Context(), nil); err != nil || len(logs) > 0 {
		t.Errorf("Attempts() of no deliveries = %+v, %v, want none", logs, err)
	}
	_, _, err = b.db.Delivery(t.Context(), notify.DeliveryID{Shard: 7, ID: 1})
	wantError(t, "Delivery() of none", err, notify.ErrNoDelivery)
}

func testTallies(t *testing.T, b *bench) {
	a, c := b.own("school"), b.own("college")
	b.save(a, change(b.register("a")[0], []string{"n"}, watcher.PushPreparing, watcher.PushStarted, watcher.PushStopped))
	b.announce(c, announcement("msg_c", "n", "m"))
	list := b.pending(a, "n")
	b.settle(a, outcome(list[0].ID, notify.Dead, 1), outcome(list[1].ID, notify.Delivered, 1))
	got, err := b.db.Tallies(t.Context())
	must(t, err)
	n, m := got["n"], got["m"]
	if len(got) != 2 || n.Pending != 2 || n.Dead != 1 || m.Pending != 1 || m.Dead != 0 {
		t.Errorf("Tallies() = %+v, want 2 pending and 1 dead to n, 1 pending to m", got)
	}
	if age := time.Since(n.Oldest); age < 0 || age > time.Hour || n.Oldest.After(m.Oldest) {
		t.Errorf("the oldest wait since %v and %v, want just now, and n first", n.Oldest, m.Oldest)
	}
}

// testReplay replays settled deliveries of an owned account, and finds them published again
// after newer ones.
func testReplay(t *testing.T, b *bench) {
	published := make(chan []notify.Delivery, 100)
	a := b.own("school", func(a Account) { a.Subscribe(func(news []notify.Delivery) { published <- news }) })
	b.save(a, change(b.register("a")[0], []string{"n"}, watcher.PushPreparing, watcher.PushStarted, watcher.PushStopped))
	before := <-published
	b.settle(a, outcome(before[0].ID, notify.Dead, 3), outcome(before[1].ID, notify.Delivered, 1))

	replay := func(want int, which notify.Selection) {
		t.Helper()
		if n, err := b.db.Replay(t.Context(), which); err != nil || n != want {
			t.Errorf("Replay(%+v) = %d, %v, want %d", which, n, err, want)
		}
	}
	now := time.Now()
	replay(0, notify.Selection{Notifier: "m"})
	replay(0, notify.Selection{Notifier: "n", Since: now.Add(time.Hour)})
	replay(0, notify.Selection{Notifier: "n", Until: now.Add(-time.Hour)})
	replay(1, notify.Selection{Notifier: "n", Since: now.Add(-time.Hour), Until: now.Add(time.Hour)})
	replay(0, notify.Selection{Notifier: "n"})
	shard := b.deliveries(notify.Query{})[0].ID.Shard
	replay(1, notify.Selection{ID: notify.DeliveryID{Shard: shard, ID: before[1].ID}})
	replay(0, notify.Selection{ID: notify.DeliveryID{Shard: shard, ID: before[2].ID}}) // it is pending
	_, err := b.db.Replay(t.Context(), notify.Selection{ID: notify.DeliveryID{Shard: shard, ID: 99}})
	wantError(t, "Replay() of no delivery", err, notify.ErrNoDelivery)

	var again []notify.Delivery
	for len(again) < 2 {
		select {
		case news := <-published:
			again = append(again, news...)
		case <-time.After(time.Minute):
			t.Fatalf("published %+v, want two", again)
		}
	}
	for i, d := range again {
		if d.ID != before[i].ID || d.Position <= before[2].Position || d.Attempts != 0 || !d.NextAttemptAt.IsZero() ||
			!d.EventAt.Equal(before[i].EventAt) || d.Since.Before(now.Truncate(time.Microsecond)) || string(d.Body) != string(before[i].Body) {
			t.Errorf("published %+v, want %+v as new", d, before[i])
		}
	}
	if got, want := b.pending(a, "n"), []notify.Delivery{before[2], again[0], again[1]}; !reflect.DeepEqual(got, want) {
		t.Errorf("Pending() = %+v, want %+v", got, want)
	}
	// The outcome of an attempt before the replay has no effect.
	b.settle(a, outcome(before[0].ID, notify.Delivered, 4))
	if got, want := b.states("n"), "[pending pending pending]"; got != want {
		t.Errorf("states = %s, want %s", got, want)
	}
}

// checkNotifier checks what is saved about the only notifier.
func (b *bench) checkNotifier(want notify.NotifierRecord) {
	b.Helper()
	if got, err := b.db.NotifierRecords(b.Context()); err != nil || !reflect.DeepEqual(got, []notify.NotifierRecord{want}) {
		b.Errorf("NotifierRecords() = %+v, %v, want %+v", got, err, want)
	}
}

// testSettleAnnounce settles outcomes with an event and a notifier's state: each is saved once.
func testSettleAnnounce(t *testing.T, b *bench) {
	a := b.own("school")
	b.save(a, change(b.register("a")[0], []string{"n"}, watcher.PushStarted))
	o := outcome(b.pending(a, "n")[0].ID, notify.Dead, 1)
	o.Announce = new(announcement("msg_exhausted", "log", "oncall"))
	o.Notifier = &notify.NotifierRecord{Notifier: "n", Version: 2, State: notify.Gone, Reason: "answered 410\x00", ChangedAt: start}
	b.settle(a, o)
	b.settle(a, o)
	for _, notifier := range []string{"log", "oncall"} {
		if got := b.pending(a, notifier); len(got) != 1 || got[0].EventID != "msg_exhausted" || got[0].Subject != "school" {
			t.Errorf("Pending(%s) = %+v, want the event once", notifier, got)
		}
	}
	want := *o.Notifier
	want.Reason = "answered 410\uFFFD"
	newer := want
	newer.Version, newer.State, newer.PausedUntil = 3, notify.Active, start.Add(time.Hour)
	for _, step := range []struct {
		save   notify.NotifierRecord
		before int64
		err    error
		want   notify.NotifierRecord
	}{{want, 1, watcher.ErrConflict, want}, {newer, 0, watcher.ErrConflict, want}, {newer, 2, nil, newer}} {
		if err := b.db.SaveNotifier(t.Context(), step.save, step.before); !errors.Is(err, step.err) {
			t.Fatalf("SaveNotifier(%+v, %d) = %v, want %v", step.save, step.before, err, step.err)
		}
		b.checkNotifier(step.want)
	}
}

// testSettleNotifier lets a notifier ask for a pause while an operator pauses it: both are
// kept, with a version above both. Then one process reports it gone while another has an
// older state: it stays gone.
func testSettleNotifier(t *testing.T, b *bench) {
	a := b.own("school")
	b.save(a, change(b.register("a")[0], []string{"n"}, watcher.PushStarted))
	paused := notify.NotifierRecord{Notifier: "n", Version: 1, State: notify.Paused, ChangedAt: start}
	must(t, b.db.SaveNotifier(t.Context(), paused, 0))
	o := outcome(b.pending(a, "n")[0].ID, notify.Pending, 1)
	o.Notifier = &notify.NotifierRecord{Notifier: "n", Version: 1, State: notify.Active, PausedUntil: start.Add(time.Hour), DownSince: start, NextProbeAt: start.Add(time.Second), Reason: "answered 429", ChangedAt: start}
	want := *o.Notifier
	want.Version, want.State = 2, notify.Paused
	for range 2 { // repeated as after an error
		b.settle(a, o)
		b.checkNotifier(want)
	}
	o.Notifier = &notify.NotifierRecord{Notifier: "n", Version: 1, State: notify.Gone, Reason: "answered 410", ChangedAt: start}
	late := o
	late.Notifier = &notify.NotifierRecord{Notifier: "n", Version: 1, State: notify.Active, PausedUntil: start.Add(time.Minute), Reason: "answered 429", ChangedAt: start}
	for _, o := range []notify.Outcome{o, o, late} {
		b.settle(a, o)
		got, err := b.db.NotifierRecords(t.Context())
		if err != nil || len(got) != 1 || got[0].State != notify.Gone {
			t.Fatalf("NotifierRecords() = %+v, %v, want it gone", got, err)
		}
	}
}

func testMarkDead(t *testing.T, b *bench) {
	a := b.own("school")
	b.save(a, change(b.register("a")[0], []string{"n", "m"}, watcher.PushPreparing, watcher.PushStarted, watcher.PushStopped))
	for i, want := range []struct {
		n      int
		states string
	}{{2, "[dead dead pending]"}, {1, "[dead dead dead]"}, {0, "[dead dead dead]"}} {
		n, err := a.MarkDead(t.Context(), "n", "gone", 2)
		if err != nil || n != want.n || b.states("n") != want.states {
			t.Errorf("MarkDead() number %d = %d, %v, and leaves %s, want %d and %s", i, n, err, b.states("n"), want.n, want.states)
		}
	}
	if got, want := b.states("m"), "[pending pending pending]"; got != want {
		t.Errorf("another notifier's = %s, want %s", got, want)
	}
	if d := b.deliveries(notify.Query{Notifier: "n"})[0]; d.LastError != "gone" || d.SettledAt.IsZero() {
		t.Errorf("a dead delivery is %+v, want the reason and the time", d)
	}
}

// sweep deletes rows that are older than before, one by one, and returns how many.
func (b *bench) sweep(before time.Time) (total int) {
	b.Helper()
	for range 100 {
		n, err := b.db.Sweep(b.Context(), before, 1)
		must(b, err)
		if total += n; n == 0 {
			return total
		}
	}
	b.Fatal("Sweep() finds something again and again")
	return 0
}

// testSweep makes rows of every kind old, some of which are still needed.
func testSweep(t *testing.T, b *bench) {
	a := b.own("school")
	tasks := b.register("over", "dead", "live", "removed")
	b.save(a, ended(tasks[0], start.Add(time.Hour), []string{"n"}, watcher.PushStarted, watcher.PushStopped))
	b.save(a, ended(tasks[1], start.Add(time.Hour), []string{"n"}, watcher.PushStarted, watcher.PushStopped))
	b.save(a, change(tasks[2], []string{"n"}, watcher.PushStarted))
	b.save(a, change(tasks[3], []string{"n"}, watcher.PushStarted))
	b.remove(tasks[3])
	b.announce(a, announcement("msg_blind1", "n"))
	b.announce(a, announcement("msg_blind2", "n"))
	e := announcement("msg_gone", "n") // of what has the account's name, by chance
	e.Type = watcher.DeliveryExhausted
	b.announce(a, e)
	for _, d := range b.pending(a, "n") {
		state := notify.Delivered
		if d.EventID == "msg_dead-1" {
			state = notify.Dead
		}
		b.settle(a, outcome(d.ID, state, 1))
	}
	if got := b.sweep(start); got != 0 {
		t.Errorf("Sweep() of what is older than all = %d, want 0", got)
	}
	if got := b.sweep(time.Now().Add(time.Hour)); got == 0 {
		t.Error("Sweep() = 0, want rows")
	}
	var left []string
	for _, x := range tasks {
		if _, err := b.db.Task(t.Context(), x.Key); err == nil {
			left = append(left, x.TaskID)
		} else if !errors.Is(err, watcher.ErrNoTask) {
			t.Fatal(err)
		}
	}
	if want := []string{"dead", "live"}; !slices.Equal(left, want) {
		t.Errorf("tasks left = %v, want %v", left, want)
	}
	if got := b.deliveries(notify.Query{}); len(got) != 1 || got[0].EventID != "msg_dead-1" {
		t.Errorf("deliveries left = %+v, want the dead letter", got)
	}
	// The newest announcement says whether the account can be observed: to make it
	// again changes nothing, while the older one is gone, and can be made.
	b.announce(a, announcement("msg_blind2", "again"))
	b.announce(a, announcement("msg_blind1", "again"))
	b.checkPending(a, "again", "msg_blind1") // only what was dropped
	// A deleted task can be registered again, and its numbers start from 1.
	x := b.save(a, change(b.register("over")[0], []string{"n"}, watcher.PushStarted))
	if x.Sequence != 1 {
		t.Errorf("first event of a dropped task registered again has number %d, want 1", x.Sequence)
	}
}

// testSweepAmongOthers sweeps while old rows come back: what somebody was answered is
// there again stays.
func testSweepAmongOthers(t *testing.T, b *bench) {
	const n = 40
	a := b.own("school")
	ids := ids(n)
	for _, x := range b.register(ids...) {
		b.save(a, ended(x, start.Add(time.Hour), []string{"n"}, watcher.PushStopped))
	}
	for _, d := range b.pending(a, "n") {
		b.settle(a, outcome(d.ID, notify.Delivered, 1))
	}
	all := b.deliveries(notify.Query{Limit: n})
	ctx, cancel := context.WithCancel(t.Context())
	var sweeper sync.WaitGroup
	sweeper.Go(func() {
		for ctx.Err() == nil {
			if _, err := b.db.Sweep(ctx, start.Add(2*time.Hour), 1); err != nil && ctx.Err() == nil {
				t.Errorf("Sweep() among others = %v", err)
				return
			}
		}
	})
	replayed := make(map[notify.DeliveryID]bool)
	for i, d := range all { // the newest first, and the sweeping the oldest
		switch got, err := b.db.Replay(t.Context(), notify.Selection{ID: d.ID}); {
		case err == nil:
			replayed[d.ID] = got == 1
		case !errors.Is(err, notify.ErrNoDelivery):
			t.Errorf("Replay() while old ones are dropped = %v", err)
		}
		if got, err := b.db.Register(t.Context(), []watcher.Task{task(ids[n-1-i])}, true); err != nil || !got[0].Created {
			t.Errorf("Register(reopen) while old ones are dropped = %v, %v, want it created", got, err)
		}
	}
	cancel()
	sweeper.Wait()
	for id, is := range replayed {
		if r, _, err := b.db.Delivery(t.Context(), id); is && (err != nil || r.State != notify.Pending) {
			t.Errorf("a replayed delivery is %+v, %v, want it pending", r, err)
		}
	}
	for _, id := range ids {
		if x, err := b.db.Task(t.Context(), key(id)); err != nil || x.State != watcher.Registered {
			t.Errorf("a reopened task is %+v, %v, want it watched", x, err)
		}
	}
}

// testAhead reads what the deliveries of two tasks to two notifiers wait for, while some of
// them are being settled.
func testAhead(t *testing.T, b *bench) {
	a := b.own("school")
	tasks := b.register("a", "b")
	for _, task := range tasks {
		b.save(a, change(task, []string{"n", "m"}, watcher.PushPreparing, watcher.PushStarted, watcher.PushStopped))
	}
	all := b.deliveries(notify.Query{})
	ids := make([]notify.DeliveryID, len(all))
	for i, r := range all {
		ids[i] = r.ID
	}
	check := func() {
		t.Helper()
		want := make(map[notify.DeliveryID]notify.DeliveryID)
		for _, r := range b.deliveries(notify.Query{State: notify.Pending}) {
			for _, earlier := range b.deliveries(notify.Query{State: notify.Pending}) { // newest first: the last is the first made
				if earlier.Subject == r.Subject && earlier.Notifier == r.Notifier && earlier.ID.ID < r.ID.ID {
					want[r.ID] = earlier.ID
				}
			}
		}
		if got, err := b.db.Ahead(t.Context(), ids); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Ahead() = %v, %v, want %v", got, err, want)
		}
	}
	check()
	toN := b.pending(a, "n")
	b.settle(a, outcome(toN[0].ID, notify.Delivered, 1), outcome(toN[1].ID, notify.Pending, 1))
	check()
	b.settle(a, outcome(toN[1].ID, notify.Dead, 2))
	check()
	if got, err := b.db.Ahead(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("Ahead() of nothing = %v, %v", got, err)
	}
}
