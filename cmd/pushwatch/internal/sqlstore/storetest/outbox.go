package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

func (b *bench) settle(a Account, outcomes ...notify.Outcome) {
	b.Helper()
	must(b, a.Settle(b.Context(), outcomes))
}

// outcome is one after the given number of attempts.
func outcome(id int64, state notify.State, attempts int) notify.Outcome {
	at := start.Add(time.Duration(attempts) * time.Minute)
	o := notify.Outcome{ID: id, Position: id, State: state, Attempts: attempts, Attempt: notify.Attempt{At: at, Status: 503, Error: "busy", Duration: time.Second}}
	if state == notify.Pending {
		o.NextAttemptAt = at.Add(5 * time.Second)
	}
	return o
}

func testSubscribe(t *testing.T, b *bench) {
	var published []notify.Delivery
	a := b.own("school", func(a Account) { a.Subscribe(func(news []notify.Delivery) { published = append(published, news...) }) })
	x := b.save(a, change(b.register("a")[0], []string{"n", "m"}, watcher.PushPreparing, watcher.PushStarted))
	if err := a.Save(t.Context(), change(watcher.Task{Key: x.Key, Account: "school"}, []string{"n"}, watcher.PushChanged)); err == nil {
		t.Fatal("Save() of an old version = nil, want a conflict")
	}
	b.announce(a, announcement("msg_x", "n"))
	b.announce(a, announcement("msg_x", "n"))
	if want := []string{"msg_a-1", "msg_a-1", "msg_a-2", "msg_a-2", "msg_x"}; !ascending(published) || !slices.Equal(eventIDs(published), want) {
		t.Errorf("published %v, want %v with rising ids", eventIDs(published), want)
	}
	toN := slices.DeleteFunc(published, func(d notify.Delivery) bool { return d.Notifier != "n" })
	if got := b.pending(a, "n"); !reflect.DeepEqual(got, toN) {
		t.Errorf("Pending(n) = %+v, want what was published: %+v", got, toN)
	}
}

func testPending(t *testing.T, b *bench) {
	a := b.own("school")
	var want []string
	x := b.register("a")[0]
	for range 25 {
		x = b.save(a, change(x, []string{"other", "n"}, watcher.PushChanged))
		want = append(want, fmt.Sprintf("msg_a-%d", x.Sequence))
	}
	got := pages(t, a, "n", 10)
	if !ascending(got) || !slices.Equal(eventIDs(got), want) {
		t.Errorf("pages of Pending() = %v, want %v with rising ids", eventIDs(got), want)
	}
	for name, list := range map[string][]notify.Delivery{
		"of another account": b.pending(b.own("college"), "n"), "to nobody": b.pending(a, "nobody"),
	} {
		if len(list) != 0 {
			t.Errorf("Pending() %s = %v, want none", name, eventIDs(list))
		}
	}
	if _, err := a.Body(t.Context(), 1<<40); err == nil {
		t.Error("Body() of no delivery = nil error, want one")
	}
}

func testSettle(t *testing.T, b *bench) {
	a := b.own("school")
	b.save(a, change(b.register("a")[0], []string{"n"}, watcher.PushPreparing, watcher.PushStarted, watcher.PushException, watcher.PushStopped))
	before := b.pending(a, "n")
	id := func(i int) int64 { return before[i].ID }

	// One call has all of it: a delivery that fails twice, one that ends after a
	// failure, one that dies, and one that nobody knows.
	batch := []notify.Outcome{
		outcome(id(0), notify.Pending, 1), outcome(id(1), notify.Pending, 1), outcome(id(0), notify.Pending, 2),
		outcome(id(1), notify.Delivered, 2), outcome(id(2), notify.Dead, 1), outcome(1<<40, notify.Delivered, 1),
	}
	want := []notify.Delivery{before[0], before[3]}
	want[0].Attempts, want[0].NextAttemptAt = 2, batch[2].NextAttemptAt
	for range 2 { // the second time nothing changes
		b.settle(a, batch...)
		if got := b.pending(a, "n"); !reflect.DeepEqual(got, want) {
			t.Errorf("Pending() after Settle = %+v, want %+v", got, want)
		}
	}
	// A late outcome changes nothing: of no more attempts, or of a settled delivery.
	b.settle(a, outcome(id(0), notify.Pending, 2), outcome(id(2), notify.Pending, 5))
	if got := b.pending(a, "n"); !reflect.DeepEqual(got, want) {
		t.Errorf("Pending() after late outcomes = %+v, want %+v", got, want)
	}
	// But one that settles: whoever made that attempt did not know of all before it.
	b.settle(a, outcome(id(0), notify.Delivered, 2), outcome(id(3), notify.Delivered, 1))
	if got := b.deliveries(notify.Query{EventID: before[0].EventID})[0]; got.State != notify.Delivered || got.Attempts != 3 {
		t.Errorf("delivery = %+v, want it delivered by the third attempt", got)
	}
	b.settle(a)
	b.checkPending(a, "n")
	if body, err := a.Body(t.Context(), id(3)); err != nil || string(body) != string(before[3].Body) {
		t.Errorf("Body() of a settled delivery = %s, %v, want %s", body, err, before[3].Body)
	}
}

// testSettleHostileError settles an error with bytes that no text may contain: other outcomes
// must be settled nevertheless.
func testSettleHostileError(t *testing.T, b *bench) {
	a := b.own("school")
	b.save(a, change(b.register("a")[0], []string{"n"}, watcher.PushPreparing, watcher.PushStarted))
	list := b.pending(a, "n")
	hostile := outcome(list[0].ID, notify.Dead, 1)
	hostile.Attempt.Error = "answer \"\x00\xff\xfe?$1'\""
	b.settle(a, hostile, outcome(list[1].ID, notify.Delivered, 1))
	b.checkPending(a, "n")
}

// testSettleUncounted settles attempts that do not count against their delivery, between
// others that do: each leaves its reason, the ones that do not count as often as the
// sender keeps them, and none of them is written over by one that comes late.
func testSettleUncounted(t *testing.T, b *bench) {
	a := b.own("school")
	b.save(a, change(b.register("a")[0], []string{"n"}, watcher.PushStarted))
	id := b.pending(a, "n")[0].ID
	refused := func(minute, attempts, requests int, before ...notify.Attempt) notify.Outcome {
		o := outcome(id, notify.Pending, minute)
		o.Attempts, o.Requests, o.Attempt.Error = attempts, requests, fmt.Sprintf("refused\x00 at minute %d", minute)
		o.Uncounted = append(before, o.Attempt)
		return o
	}
	first := refused(1, 0, 0)
	second := refused(2, 0, 1, first.Attempt)
	counted := outcome(id, notify.Pending, 1)
	counted.Requests, counted.Attempt.At = 2, start.Add(3*time.Minute)
	third := refused(4, 1, 2, second.Attempt)
	for step, want := range []struct {
		outcome            notify.Outcome
		attempts, requests int
		lastError, log     string
	}{
		{first, 0, 0, "refused\uFFFD at minute 1", "[refused\uFFFD at minute 1]"},
		{first, 0, 0, "refused\uFFFD at minute 1", "[refused\uFFFD at minute 1]"}, // repeated as after an error
		{second, 0, 1, "refused\uFFFD at minute 2", "[refused\uFFFD at minute 1 refused\uFFFD at minute 2]"},
		{counted, 1, 2, "busy", "[refused\uFFFD at minute 1 refused\uFFFD at minute 2 busy]"},
		{second, 1, 2, "busy", "[refused\uFFFD at minute 1 refused\uFFFD at minute 2 busy]"}, // late
		{third, 1, 2, "refused\uFFFD at minute 4", "[refused\uFFFD at minute 2 busy refused\uFFFD at minute 4]"},
	} {
		b.settle(a, want.outcome)
		pending := b.pending(a, "n")[0]
		record, log, err := b.db.Delivery(t.Context(), b.deliveries(notify.Query{Notifier: "n"})[0].ID)
		var errors []string
		for _, attempt := range log {
			errors = append(errors, attempt.Error)
		}
		if err != nil || pending.Attempts != want.attempts || pending.Requests != want.requests || record.Attempts != want.attempts ||
			record.LastError != want.lastError || fmt.Sprint(errors) != want.log || !record.NextAttemptAt.Equal(pending.NextAttemptAt) {
			t.Errorf("step %d: Delivery() = %+v, %+v, %v, Pending() = %+v, want %+v", step, record, log, err, pending, want)
		}
		if n := len(pending.Uncounted); n == 0 || n > 2 || pending.Uncounted[n-1].Status != 503 {
			t.Errorf("step %d: uncounted = %+v, want the last ones", step, pending.Uncounted)
		}
		logs, err := b.db.Attempts(t.Context(), []notify.DeliveryID{record.ID})
		if err != nil || !reflect.DeepEqual(logs[record.ID], log) {
			t.Errorf("step %d: Attempts() = %+v, %v, want %+v", step, logs, err, log)
		}
	}
	b.settle(a, outcome(id, notify.Delivered, 2))
	if got := b.deliveries(notify.Query{Notifier: "n"})[0]; got.Attempts != 2 || got.LastError != "busy" || got.State != notify.Delivered {
		t.Errorf("delivery = %+v, want it delivered by the second attempt that counts", got)
	}
}
