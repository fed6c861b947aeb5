package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"pushwatch/notify"
	"pushwatch/watcher"
)

func TestSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ context.Context, d *notify.Delivery) error {
			if d.Attempts < 5 {
				return refused
			}
			return nil
		}}
		w := newWorld(t, to("n", r))
		w.announce("msg_1", "x", "n")
		rest(time.Hour)
		waits := []time.Duration{5 * time.Second, 15 * time.Second, 45 * time.Second, 2 * time.Minute, 5 * time.Minute}
		all := r.all()
		if len(all) != len(waits)+1 {
			t.Fatalf("%d attempts, want %d", len(all), len(waits)+1)
		}
		for i, wait := range waits {
			if got := all[i+1].at.Sub(all[i].at); got < wait || got > wait*6/5+time.Second {
				t.Errorf("wait after attempt %d = %v, want %v and at most a fifth more", i+1, got, wait)
			}
		}
		id := w.records("n")[0].ID
		record, log, err := w.dispatcher.Delivery(t.Context(), id)
		if err != nil || record.State != notify.Delivered || record.Attempts != 6 || len(log) != 6 ||
			log[0].Error != refused.Reason || log[5].Error != "" || !log[5].At.Equal(all[5].at.Truncate(time.Microsecond)) {
			t.Errorf("Delivery(%s) = %+v, %+v, %v, want delivered by the sixth attempt", id, record, log, err)
		}
		w.stop()
	})
}

// TestOrder has 500 events of one task come at once, of which some fail at first.
func TestOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ context.Context, d *notify.Delivery) error {
			if d.Attempts == 0 && d.ID%100 == 7 {
				return refused
			}
			return nil
		}}
		w := newWorld(t, to("n", r))
		want := w.push("x", 500, "n")
		rest(10 * time.Minute)
		if got := r.accepted(); !slices.Equal(got, want) {
			t.Errorf("accepted = %d events, %v, want %d in order", len(got), got, len(want))
		}
		w.stop()
	})
}

// TestFinal refuses an event for good, and then the event that reports it at the
// fallback: that makes no further event.
func TestFinal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		never := func(context.Context, *notify.Delivery) error { return final }
		first, second, third, log := &receiver{answer: never}, &receiver{answer: never}, &receiver{}, &receiver{}
		a, b, c, l := to("a", first), to("b", second), to("c", third), to("l", log)
		a.Fallback, b.Fallback, l.Type = "b", "c", "log"
		w := newWorld(t, a, b, c, l)
		w.announce("msg_1", "x", "a")
		rest(time.Second)
		if got, want := w.states("a")+", "+w.states("b")+", "+w.states("c"), "dead, dead, "; got != want {
			t.Errorf("states = %q, want %q", got, want)
		}
		want := []notify.Exhausted{{
			Account: "school", Notifier: "a", EventID: "msg_1", EventType: watcher.PushFailed, Subject: "x",
			Attempts: 1, LastError: final.Reason,
		}}
		if got := log.exhausted(t); !slices.Equal(got, want) {
			t.Errorf("the log got %+v, want %+v", got, want)
		}
		if got := len(first.all()) + len(second.all()); got != 2 {
			t.Errorf("%d attempts, want one each", got)
		}
		errors := w.warnings.FilterLevelExact(zap.ErrorLevel)
		if got := errors.FilterMessage("delivery dead").FilterField(zap.String("error", final.Reason)).Len(); got != 2 || errors.Len() != 2 {
			t.Errorf("the log has %v, want one error for each of two dead letters", errors.All())
		}
		w.stop()
	})
}

func TestGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		r := &receiver{answer: func(_ context.Context, d *notify.Delivery) error {
			time.Sleep(time.Millisecond)
			if back.Load() {
				return nil
			}
			return gone
		}}
		oncall, log := &receiver{}, &receiver{}
		n, o, l := to("n", r), to("oncall", oncall), to("l", log)
		n.Fallback, l.Type = "oncall", "log"
		w := newWorld(t, n, o, l)
		if err := w.dispatcher.Pause(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		const waiting = 1200 // more than one step buries
		w.announceAll(waiting, 700, "n")
		if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		tried := len(r.all())
		if tried == 0 || tried > 8 {
			t.Errorf("%d attempts, want those that were under way together", tried)
		}
		errors := w.warnings.FilterLevelExact(zap.ErrorLevel)
		if got := errors.FilterMessage("notifier gone").FilterField(zap.String("error", gone.Reason)).FilterFieldKey("hint").Len(); got != 1 || errors.Len() != 1 {
			t.Errorf("the log has %v, want one error that the notifier is gone, and none for its dead letters", errors.All())
		}
		w.restart(n, o, l)
		w.announce("msg_later", "later", "n")
		rest(time.Minute)
		if got := len(r.all()); got != tried {
			t.Errorf("%d attempts after it was gone, want none", got-tried)
		}
		if s := w.status("n"); s.State != notify.Gone || s.Dead != waiting+1 || s.Pending != 0 || s.LastError != gone.Reason {
			t.Errorf("Notifiers() = %+v, want it gone with %d dead", s, waiting+1)
		}
		for name, r := range map[string]*receiver{"fallback": oncall, "log": log} {
			if got := r.exhausted(t); len(got) != 1 || !got[0].Gone || got[0].Notifier != "n" {
				t.Errorf("the %s got %+v, want one event, that n is gone", name, got)
			}
		}

		back.Store(true)
		if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		if got := r.accepted(); len(got) != 0 {
			t.Errorf("accepted = %v, want nothing before the replay", got)
		}
		if got, err := w.dispatcher.RetryAll(t.Context(), "n", time.Time{}, time.Time{}); err != nil || got != waiting+1 {
			t.Errorf("RetryAll() = %d, %v, want %d", got, err, waiting+1)
		}
		rest(time.Minute)
		if got := len(r.accepted()); got != waiting+1 {
			t.Errorf("%d accepted, want %d", got, waiting+1)
		}
		if s := w.status("n"); s.State != notify.Active || s.Dead != 0 || s.Pending != 0 {
			t.Errorf("Notifiers() = %+v, want it active with nothing left", s)
		}
		w.stop()
	})
}

// TestRetryAfter has a notifier ask for silence: nothing of any task is sent to it
// before then, also by another process.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for asked, want := range map[time.Duration]time.Duration{time.Hour: time.Hour, 48 * time.Hour: 24 * time.Hour} {
		t.Run(asked.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var until time.Time
				r := &receiver{}
				r.answer = func(context.Context, *notify.Delivery) error {
					if until.IsZero() {
						until = time.Now().Add(asked)
						return &notify.SendError{Cause: notify.CauseThrottled, Reason: "answered 429", RetryAfter: until}
					}
					return nil
				}
				w := newWorld(t, to("n", r))
				start := time.Now()
				w.announce("msg_1", "x", "n")
				rest(time.Second)
				w.announce("msg_2", "y", "n")
				rest(time.Minute)
				if s := w.status("n"); s.State != notify.Paused || s.PausedUntil.Before(start.Add(want)) {
					t.Errorf("Notifiers() = %+v, want it paused for %v", s, want)
				}
				w.restart(to("n", r))
				rest(want + 10*time.Minute)
				all := r.all()
				if len(all) != 3 {
					t.Fatalf("attempts = %+v, want 3", all)
				}
				for _, s := range all[1:] {
					if got := s.at.Sub(start); got < want || got > want+10*time.Second {
						t.Errorf("attempt after %v, want %v and soon after", got, want)
					}
				}
				w.stop()
			})
		})
	}
}

// TestLogDeadLetter lets a delivery to a paused log grow too old: other logs get that
// event, the log itself does not.
func TestLogDeadLetter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		paused, other := &receiver{}, &receiver{}
		p, o := to("paused", paused), to("other", other)
		p.Type, p.MaxAge, o.Type = "log", time.Hour, "log"
		w := newWorld(t, p, o)
		if err := w.dispatcher.Pause(t.Context(), "paused"); err != nil {
			t.Fatal(err)
		}
		w.announce("msg_1", "x", "paused")
		rest(2 * time.Hour)
		if got := w.states("paused"); got != "dead" {
			t.Errorf("deliveries to the paused log = %q, want one, dead", got)
		}
		if got := other.exhausted(t); len(got) != 1 || got[0].Notifier != "paused" {
			t.Errorf("the other log got %+v, want the dead letter of the paused one", got)
		}
		w.stop()
	})
}

// TestMaxAge has a notifier that is down for good: what was never tried becomes dead in
// time too, and is reported.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(context.Context, *notify.Delivery) error { return broken }}
		log := &receiver{}
		n, l := to("n", r), to("l", log)
		n.MaxAge, l.Type = 3*time.Hour, "log"
		w := newWorld(t, n, l)
		for i := range 20 {
			w.announce(fmt.Sprintf("msg_%d", i), fmt.Sprint(i%10), "n")
		}
		rest(2*time.Hour + 59*time.Minute)
		if got, want := w.states("n"), strings.TrimSuffix(strings.Repeat("pending ", 20), " "); got != want {
			t.Errorf("states before max_age = %q, want %q", got, want)
		}
		rest(3 * time.Minute)
		for _, d := range w.records("n") {
			if d.State != notify.Dead || d.LastError == "" || d.SettledAt.IsZero() {
				t.Errorf("delivery %+v, want it dead with a reason", d)
			}
		}
		reported := make(map[string]bool)
		for _, e := range log.exhausted(t) {
			reported[e.EventID] = true
		}
		if len(reported) != 20 || len(log.all()) != 20 {
			t.Errorf("the log got %d events in %d lines, want 20", len(reported), len(log.all()))
		}
		w.stop()
	})
}

// TestBreaker has a notifier go down and come back: it is probed, which uses up
// no attempts, and takes all that waited soon after.
func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		r := &receiver{}
		r.answer = func(context.Context, *notify.Delivery) error {
			if down.Load() {
				return broken
			}
			return nil
		}
		w := newWorld(t, to("n", r))
		const n = 40
		for i := range n {
			w.announce(fmt.Sprintf("msg_%d", i), fmt.Sprint(i), "n")
		}
		rest(time.Hour)
		if got := len(r.all()); got < 60 || got > 100 {
			t.Errorf("%d attempts in an hour of outage, want about one a minute", got)
		}
		charged := 0
		for _, d := range w.records("n") {
			charged += d.Attempts
		}
		if charged == 0 || charged > 5+7 { // those that opened it, and what was under way with them
			t.Errorf("%d attempts count, want only those before it was down", charged)
		}
		if got := w.warnings.FilterMessage("notifier down").Len(); got != 1 {
			t.Errorf("it was said %d times that the notifier is down, want once", got)
		}
		down.Store(false)
		rest(75 * time.Second)
		if got := len(r.accepted()); got != n {
			t.Errorf("%d accepted after the outage, want %d", got, n)
		}
		w.stop()
	})
}

// TestPause has a notifier be paused over a restart.
func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		w := newWorld(t, to("n", r))
		if err := w.dispatcher.Pause(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		w.announce("msg_1", "x", "n")
		w.restart(to("n", r))
		w.announce("msg_2", "x", "n")
		rest(time.Hour)
		if s := w.status("n"); s.State != notify.Paused || s.Pending != 2 || len(r.all()) != 0 {
			t.Errorf("Notifiers() = %+v after %d attempts, want it paused with 2 pending", s, len(r.all()))
		}
		if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		rest(time.Second)
		if got, want := r.accepted(), []string{"msg_1", "msg_2"}; !slices.Equal(got, want) {
			t.Errorf("accepted = %v, want %v", got, want)
		}
		if err := w.dispatcher.Pause(t.Context(), "nobody"); !strings.Contains(fmt.Sprint(err), "no such notifier") {
			t.Errorf("Pause(nobody) = %v, want %v", err, notify.ErrNoNotifier)
		}
		w.stop()
	})
}

// TestReplay replays while the dispatcher runs: in the lane's order, byte for
// byte, and with new attempts.
func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Bool
		r := &receiver{}
		r.answer = func(_ context.Context, d *notify.Delivery) error {
			if !open.Load() {
				return final
			}
			if d.EventID == "msg_1" && d.Attempts == 0 {
				return refused
			}
			return nil
		}
		w := newWorld(t, to("n", r))
		for i := range 3 {
			w.announce(fmt.Sprintf("msg_%d", i), "x", "n")
		}
		rest(time.Hour)
		before := r.all()
		if got := w.states("n"); got != "dead dead dead" {
			t.Fatalf("states = %q, want all dead", got)
		}
		open.Store(true)
		if n, err := w.dispatcher.RetryAll(t.Context(), "n", time.Now().Add(-time.Minute), time.Time{}); n != 0 || err != nil {
			t.Errorf("RetryAll(since a minute) = %d, %v, want none", n, err)
		}
		if n, err := w.dispatcher.RetryAll(t.Context(), "n", time.Time{}, time.Now()); n != 3 || err != nil {
			t.Errorf("RetryAll() = %d, %v, want 3", n, err)
		}
		rest(time.Minute)
		if got, want := r.accepted(), []string{"msg_0", "msg_1", "msg_2"}; !slices.Equal(got, want) {
			t.Errorf("accepted = %v, want %v", got, want)
		}
		for _, s := range r.all()[len(before):] {
			if i := slices.IndexFunc(before, func(b sent) bool { return b.id == s.id }); s.body != before[i].body {
				t.Errorf("%s is replayed as %s, want %s", s.id, s.body, before[i].body)
			}
		}
		second := w.records("n")[1]
		if second.State != notify.Delivered || second.Attempts != 2 {
			t.Errorf("delivery = %+v, want it delivered by the second attempt after its replay", second)
		}
		if n, err := w.dispatcher.Retry(t.Context(), second.ID); n != 1 || err != nil { // one that is delivered
			t.Fatalf("Retry() = %d, %v, want 1", n, err)
		}
		rest(time.Minute)
		if got := r.accepted(); len(got) != 4 || got[3] != "msg_1" {
			t.Errorf("accepted = %v, want msg_1 again", got)
		}
		if _, err := w.dispatcher.Retry(t.Context(), notify.DeliveryID{Shard: 1, ID: 99}); !strings.Contains(fmt.Sprint(err), "no such delivery") {
			t.Errorf("Retry() of no delivery = %v, want %v", err, notify.ErrNoDelivery)
		}
		w.stop()
	})
}

func TestTestEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, other := &receiver{}, &receiver{}
		w := newWorld(t, to("n", r), to("m", other))
		id, err := w.dispatcher.Test(t.Context(), "n")
		rest(time.Second)
		if got := r.accepted(); err != nil || !slices.Equal(got, []string{id}) || len(other.all()) != 0 {
			t.Errorf("Test(n) = %q, %v, and n got %v, m %v", id, err, got, other.accepted())
		}
		if !strings.Contains(r.all()[0].body, `"type":"webhook.test"`) {
			t.Errorf("body = %s, want a webhook.test", r.all()[0].body)
		}
		w.stop()
	})
}
