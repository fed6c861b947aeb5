package delivery_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
)

// TestAlive holds that only what keeps deliveries from being tried counts: no
// failure, pause or silence of a notifier does.
func TestAlive(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(context.Context, *notify.Delivery) error{
		"idle":    nil,
		"failing": func(context.Context, *notify.Delivery) error { return broken },
		"gone":    func(context.Context, *notify.Delivery) error { return gone },
		"silent":  func(ctx context.Context, _ *notify.Delivery) error { <-ctx.Done(); return broken },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, to("n", &receiver{answer: answer}), to("paused", &receiver{}))
				if err := w.dispatcher.Pause(t.Context(), "paused"); err != nil {
					t.Fatal(err)
				}
				if answer != nil {
					w.announceAll(100, 100, "n", "paused")
				}
				for range 100 {
					rest(7 * time.Second)
					if err := w.dispatcher.Alive(time.Now()); err != nil {
						t.Fatalf("Alive() = %v, want nil", err)
					}
				}
				w.stop()
			})
		})
	}
}

// TestAliveStuck has a sender that does not end when its time is over.
func TestAliveStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, to("n", &receiver{answer: func(context.Context, *notify.Delivery) error { <-release; return nil }}))
		w.announce("msg_a", "a", "n")
		rest(50 * time.Second)
		if err := w.dispatcher.Alive(time.Now()); err != nil {
			t.Errorf("Alive() after 50 s = %v, want nil: the outcome may still be saved", err)
		}
		rest(30 * time.Second)
		if err := w.dispatcher.Alive(time.Now()); err == nil || !strings.Contains(err.Error(), "notifier n: none of its 1 attempts has ended for 1m20s") {
			t.Errorf("Alive() after 80 s = %v, want an error that names the notifier", err)
		}
		close(release)
		rest(time.Second)
		if err := w.dispatcher.Alive(time.Now()); err != nil {
			t.Errorf("Alive() after it has ended = %v, want nil", err)
		}
		w.stop()
		if err := w.dispatcher.Alive(time.Now().Add(2 * time.Minute)); err == nil {
			t.Error("Alive() of a dispatcher that does not run = nil, want an error")
		}
	})
}
