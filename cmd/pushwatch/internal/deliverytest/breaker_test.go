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

// TestSlowStart has a notifier come back after an outage: it is sent few events at
// first, and then as many at a time as it may be.
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
		w.tellAll(100, 100, "n")
		rest(10 * time.Minute)
		up.Store(true)
		rest(5 * time.Minute)
		var back time.Time // when the first one was taken
		var starts [3]int  // attempts that began then, and each time the ones before had ended
		for _, s := range r.all() {
			switch {
			case !s.taken:
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

// TestBackAtOnce has a delivery wait long for its next attempt when the receiver is
// taken to be down, and then comes back: it is told at once.
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
		w.tell("msg_early", "early", "n")
		rest(80 * time.Second) // four attempts: the next is due two minutes after the last
		for i := range 4 {
			w.tell(fmt.Sprint("msg_", i), fmt.Sprint(i), "n")
		}
		rest(time.Second)
		up.Store(true)
		rest(10 * time.Second)
		if got := r.taken(); len(got) != 5 || !slices.Contains(got, "msg_early") {
			t.Errorf("taken = %v soon after the outage, want all five", got)
		}
		w.stop()
	})
}

// TestSilenceIsKept has a notifier ask for a long silence, and then, in the answer to
// what was under way, for a short one: the long one holds.
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
		w.tell("msg_1", "x", "n")
		w.tell("msg_2", "y", "n")
		rest(59 * time.Minute)
		if got := len(r.all()); got != 2 {
			t.Errorf("%d attempts within the silence, want the two that were under way", got)
		}
		rest(2 * time.Minute)
		if got := len(r.taken()); got != 2 {
			t.Errorf("%d taken after it, want both", got)
		}
		w.stop()
	})
}
