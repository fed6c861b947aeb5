package delivery_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
)

// askOnce answers the first attempt with a failure, and accepts all others.
func askOnce(failure *notify.SendError) *receiver {
	r := &receiver{}
	r.answer = func(context.Context, *notify.Delivery) error {
		if len(r.all()) == 0 {
			return failure
		}
		return nil
	}
	return r
}

// TestPausedWhileDown asks for a pause so often that the notifier counts as down too,
// with many lanes ready: until the pause ends, nothing moves. A loop that looks again
// and again without a wait would hang the test.
func TestPausedWhileDown(t *testing.T) {
	t.Parallel()
	for name, byHand := range map[string]bool{"asked": false, "by hand": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				until := time.Now().Add(time.Hour)
				r := &receiver{answer: func(context.Context, *notify.Delivery) error {
					time.Sleep(20 * time.Millisecond)
					if time.Now().After(until) {
						return nil
					}
					if byHand {
						return broken
					}
					return &notify.SendError{Cause: notify.CauseServer, Reason: "answered 503", RetryAfter: until}
				}}
				w := newWorld(t, to("n", r))
				w.announceAll(100, 100, "n")
				rest(500 * time.Millisecond)
				if byHand {
					if err := w.dispatcher.Pause(t.Context(), "n"); err != nil {
						t.Fatal(err)
					}
				}
				rest(time.Minute)
				tried := len(r.all())
				rest(50 * time.Minute)
				if got := len(r.all()); got != tried {
					t.Errorf("%d attempts during the pause, want none", got-tried)
				}
				rest(20 * time.Minute)
				if byHand {
					if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
						t.Fatal(err)
					}
					rest(20 * time.Minute)
				}
				if got := len(r.accepted()); got != 100 {
					t.Errorf("%d accepted after the pause, want 100", got)
				}
				w.stop()
			})
		})
	}
}

// TestResumeEndsSilence resumes a notifier that has asked for a pause of a day: the
// delivery that met it goes on too, and the reason is not shown for good.
func TestResumeEndsSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := askOnce(&notify.SendError{Cause: notify.CauseThrottled, Reason: "answered 429", RetryAfter: time.Now().Add(24 * time.Hour)})
		w := newWorld(t, to("n", r))
		w.announce("msg_1", "x", "n")
		rest(time.Second)
		w.announce("msg_2", "x", "n")
		w.announce("msg_3", "y", "n")
		rest(time.Minute)
		if s := w.status("n"); s.LastError != "answered 429" || s.State != notify.Paused {
			t.Errorf("Notifiers() = %+v, want it paused, and why", s)
		}
		if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		if got := r.accepted(); len(got) != 3 {
			t.Errorf("accepted %v, want all three", got)
		}
		w.restart(to("n", r))
		rest(time.Minute)
		if s := w.status("n"); s.LastError != "" || s.State != notify.Active {
			t.Errorf("Notifiers() = %+v, want it active, without an error", s)
		}
		w.stop()
	})
}

// TestPauseElsewhere pauses a notifier in another process, at the moment when it asks
// this one for a pause: somebody's pause stays.
func TestPauseElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(context.Context, *notify.Delivery) error {
			return &notify.SendError{Cause: notify.CauseThrottled, Reason: "answered 429", RetryAfter: time.Now().Add(30 * time.Second)}
		}}
		w := newWorld(t, to("n", r))
		rest(time.Second)
		other := notify.New(notify.Config{Instance: "test", Notifiers: []notify.Notifier{to("n", r)}, Archive: w.db})
		if err := other.Pause(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		w.announce("msg_1", "x", "n") // before this process hears of it
		rest(5 * time.Minute)
		tried := len(r.all())
		rest(time.Hour)
		if got := len(r.all()); got != tried {
			t.Errorf("%d attempts on a notifier that is paused", got-tried)
		}
		if s := w.status("n"); s.State != notify.Paused || !s.PausedUntil.IsZero() {
			t.Errorf("Notifiers() = %+v, want it paused by somebody", s)
		}
		w.stop()
	})
}

// TestOneTooMuch has the receiver fail at one event alone: that is no outage, and its
// attempts are those of the schedule.
func TestOneTooMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(context.Context, *notify.Delivery) error { return broken }}
		w := newWorld(t, to("n", r))
		w.announce("msg_1", "x", "n")
		rest(24 * time.Hour)
		if got, record := len(r.all()), w.records("n")[0]; got != record.Attempts || got > 14 {
			t.Errorf("%d attempts in a day, %d of them counted, want those of the schedule, all counted", got, record.Attempts)
		}
		w.stop()
	})
}

// TestRefusedInBetween has a receiver that fails at some events and refuses others: it
// answers, so it does not count as down.
func TestRefusedInBetween(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := 0
		r := &receiver{answer: func(_ context.Context, d *notify.Delivery) error {
			answers++
			switch {
			case d.Attempts > 0:
				return nil
			case answers%2 == 0:
				return broken
			default:
				return refused
			}
		}}
		w := newWorld(t, to("n", r))
		for i := range 12 {
			w.announce(fmt.Sprint("msg_", i), fmt.Sprint("task ", i), "n")
			rest(200 * time.Millisecond) // all before the first is tried again
		}
		rest(time.Minute)
		if got := len(r.all()); got != 24 {
			t.Errorf("%d attempts, want two for each of 12 events", got)
		}
		if got := w.warnings.FilterMessage("notifier down").Len(); got != 0 {
			t.Errorf("%d warnings that the notifier is down, want none", got)
		}
		w.stop()
	})
}

// TestReplayOnce replays deliveries that die again at once: each is accepted once.
func TestReplayOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 1200 // more than two steps of a replay
		w := newWorld(t, to("n", &receiver{answer: func(context.Context, *notify.Delivery) error { return gone }}))
		w.announceAll(n, n, "n")
		rest(time.Minute)
		got, err := w.dispatcher.RetryAll(t.Context(), "n", time.Time{}, time.Time{})
		if err != nil || got != n {
			t.Errorf("RetryAll() = %d, %v, want %d", got, err, n)
		}
		w.stop()
	})
}
