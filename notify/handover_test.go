package notify_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
)

// TestHandover gives up one account while the dispatcher goes on: what is under way is
// awaited and settled, so that the next owner does not repeat it, and nothing more is
// sent.
func TestHandover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(context.Context, *notify.Delivery) error {
			time.Sleep(2 * time.Second)
			return nil
		}}
		w := newWorld(t, to("n", r))
		account, err := w.db.Own(t.Context(), "college")
		if err != nil {
			t.Fatal(err)
		}
		feed := w.dispatcher.Feed("college", account)
		writing, stopWriting := context.WithCancel(context.Background())
		settling, stopSettling := context.WithCancel(context.Background())
		var writer, settler sync.WaitGroup
		writer.Go(func() { account.Run(writing) })
		settler.Go(func() {
			if err := feed.Run(settling); err != nil {
				t.Errorf("Run() = %v, want nil", err)
			}
		})
		for _, id := range []string{"msg_1", "msg_2"} {
			if err := account.Announce(t.Context(), newEvent(id, "x", "n")); err != nil {
				t.Fatal(err)
			}
		}
		rest(time.Second)
		stopSettling()
		settler.Wait()
		rest(10 * time.Second)
		stopWriting()
		writer.Wait()
		if all := r.all(); len(all) != 1 || all[0].id != "msg_1" {
			t.Errorf("attempts = %+v, want one, of msg_1", all)
		}
		for _, record := range w.records("n") {
			want := map[string]notify.State{"msg_1": notify.Delivered, "msg_2": notify.Pending}[record.EventID]
			if record.State != want {
				t.Errorf("%s is %s, want %s", record.EventID, record.State, want)
			}
		}
		w.stop()
	})
}
