package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
)

// TestSlowStart brings a notifier back after an outage: it gets few events at first,
// and then as many at a time as the settings allow.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		const takes = 100 * time.Millisecond
		r := &receiver{answer: func(context.Context, *notify.Delivery) error {
			time.Sleep(takes)
			if up.Load() {
				return nil
			}
			return broken
		}}
		w := newWorld(t, to("n", r))
		w.announceAll(100, 100, "n")
		rest(10 * time.Minute)
		up.Store(true)
		rest(5 * time.Minute)
		var back time.Time // when the first one was accepted
		var starts [3]int  // attempts that began then, and each time the ones before had ended
		for _, s := range r.all() {
			switch {
			case !s.accepted:
			case back.IsZero():
				back = s.answered
			default:
				if i := int(s.at.Sub(back) / takes); i < len(starts) {
					starts[i]++
				}
			}
		}
		if want := [...]int{1, 2, 8}; starts != want {
			t.Errorf("attempts after the outage = %v at a time, want %v", starts, want)
		}
		w.stop()
	})
}

// TestBackAtOnce takes the receiver down while a delivery waits long for its next
// attempt, and brings it back: the delivery is sent at once.
func TestBackAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		r := &receiver{answer: func(context.Context, *notify.Delivery) error {
			if up.Load() {
				return nil
			}
			return broken
		}}
		w := newWorld(t, to("n", r))
		w.announce("msg_early", "early", "n")
		rest(80 * time.Second) // four attempts: the next is due two minutes after the last
		for i := range 4 {
			w.announce(fmt.Sprint("msg_", i), fmt.Sprint(i), "n")
		}
		rest(time.Second)
		up.Store(true)
		rest(10 * time.Second)
		if got := r.accepted(); len(got) != 5 || !slices.Contains(got, "msg_early") {
			t.Errorf("accepted = %v soon after the outage, want all five", got)
		}
		w.stop()
	})
}

// TestSilenceIsKept asks for a long pause, and then, in the answer to what was in
// flight, for a short one: the long one holds.
func TestSilenceIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := &receiver{answer: func(_ context.Context, d *notify.Delivery) error {
			if time.Since(start) >= time.Hour {
				return nil
			}
			time.Sleep(time.Second)
			wait := time.Hour
			if d.EventID == "msg_2" {
				time.Sleep(time.Second)
				wait = time.Minute
			}
			return &notify.SendError{Cause: notify.CauseServer, Reason: "answered 503", RetryAfter: start.Add(wait)}
		}}
		w := newWorld(t, to("n", r))
		w.announce("msg_1", "x", "n")
		w.announce("msg_2", "y", "n")
		rest(59 * time.Minute)
		if got := len(r.all()); got != 2 {
			t.Errorf("%d attempts within the silence, want the two that were under way", got)
		}
		rest(2 * time.Minute)
		if got := len(r.accepted()); got != 2 {
			t.Errorf("%d accepted after it, want both", got)
		}
		w.stop()
	})
}
