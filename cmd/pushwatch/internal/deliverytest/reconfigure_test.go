package delivery_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
)

// TestReconfigure changes the notifiers under a running dispatcher: one stays as
// it is, one gets another sender, one comes and one goes, and comes back.
func TestReconfigure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := func(context.Context, *notify.Delivery) error { return broken }
		stays, changes, goes, comes := &receiver{}, &receiver{answer: down}, &receiver{answer: down}, &receiver{}
		w := newWorld(t, to("stays", stays), to("changes", changes), to("goes", goes))
		w.announce("msg_1", "x", "stays", "changes", "goes")
		rest(3 * time.Second)

		repaired := &receiver{}
		w.dispatcher.Reconfigure([]notify.Notifier{to("comes", comes), to("stays", stays), to("changes", repaired)})
		w.announce("msg_2", "x", "stays", "changes", "goes", "comes")
		rest(10 * time.Minute)
		for name, c := range map[string]struct {
			r    *receiver
			want []string
		}{
			"stays": {stays, []string{"msg_1", "msg_2"}}, "changes": {repaired, []string{"msg_1", "msg_2"}},
			"goes": {goes, nil}, "comes": {comes, []string{"msg_2"}},
		} {
			if got := c.r.accepted(); !slices.Equal(got, c.want) {
				t.Errorf("%s has accepted %v, want %v", name, got, c.want)
			}
		}
		tried := len(goes.all())
		rest(time.Hour)
		if got := len(goes.all()); got != tried {
			t.Errorf("a notifier that is gone from the settings was tried %d times more", got-tried)
		}

		back := &receiver{}
		w.dispatcher.Reconfigure([]notify.Notifier{to("goes", back)})
		rest(10 * time.Minute)
		if got, want := back.accepted(), []string{"msg_1", "msg_2"}; !slices.Equal(got, want) {
			t.Errorf("the notifier that came back has accepted %v, want %v", got, want)
		}
		w.stop()
	})
}

// TestReconfigureWhileSettling has a notifier go from the settings, and come back, before
// it is written that its receiver refused an event: that is sent once more, and settled.
func TestReconfigureWhileSettling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := askOnce(refused)
		w := newWorld(t, to("n", r))
		w.announce("msg_1", "x", "n")
		synctest.Wait()
		w.dispatcher.Reconfigure(nil)
		w.dispatcher.Reconfigure([]notify.Notifier{to("n", r)})
		rest(10 * time.Minute)
		if got, want := w.states("n"), "delivered"; got != want {
			t.Errorf("states = %q after %d attempts, want %q", got, len(r.all()), want)
		}
		w.stop()
	})
}
