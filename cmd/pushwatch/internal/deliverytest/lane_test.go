package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
)

// TestFreshFirst has many deliveries due that have failed before, and as many new ones:
// four attempts of five are for what is new, and the fifth for what is not.
func TestFreshFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 20
		r := &receiver{}
		r.answer = func(context.Context, *notify.Delivery) error {
			time.Sleep(time.Millisecond)
			if len(r.all()) < many {
				return refused
			}
			return nil
		}
		n := to("n", r)
		n.MaxInFlight = 1
		w := newWorld(t, n)
		w.announceAll(many, many, "n")
		rest(time.Second) // all of them have failed once
		if err := w.dispatcher.Pause(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute) // and are due
		var fresh []string
		for i := range many {
			id := fmt.Sprint("msg_fresh_", i)
			w.announce(id, id, "n")
			fresh = append(fresh, id)
		}
		if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		rest(time.Second)
		accepted := r.accepted()
		if len(accepted) != 2*many {
			t.Fatalf("%d accepted, want all %d", len(accepted), 2*many)
		}
		for first := range slices.Chunk(accepted[:many], 5) {
			news := 0
			for _, id := range first {
				if slices.Contains(fresh, id) {
					news++
				}
			}
			if news != 4 {
				t.Errorf("of five attempts %d are for what is new (%v), want 4", news, first)
			}
		}
		w.stop()
	})
}

// TestFullLanes has a notifier refuse the first of what many tasks have waiting, more
// than is held with its bodies: new events of other tasks still come through at once.
func TestFullLanes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ context.Context, d *notify.Delivery) error {
			if d.Subject != "good" {
				return refused
			}
			return nil
		}}
		w := newWorld(t, to("n", r))
		if err := w.dispatcher.Pause(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		const tasks, events = 100, 60
		for i := range tasks {
			w.push(fmt.Sprint(i), events, "n")
		}
		if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		rest(time.Second)
		w.announce("msg_good", "good", "n")
		rest(time.Second)
		if got := r.accepted(); len(got) != 1 || got[0] != "msg_good" {
			t.Errorf("accepted = %v, want msg_good", got)
		}
		w.stop()
	})
}
