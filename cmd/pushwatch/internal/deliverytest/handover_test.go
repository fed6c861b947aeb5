package delivery_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/notify"
)

// own adds another account to the dispatcher, with the outbox that f makes of it. It
// returns the world of that account: events announced there are the account's, and its
// stop releases the account.
func (w *world) own(account string, f func(*sqlstore.Account) notify.Outbox) *world {
	w.Helper()
	there := *w
	var err error
	if there.account, err = w.db.Own(w.Context(), account); err != nil {
		w.Fatal(err)
	}
	feed := w.dispatcher.Feed(account, f(there.account))
	writing, stopWriting := context.WithCancel(context.Background())
	settling, stopSettling := context.WithCancel(context.Background())
	var writer, settler sync.WaitGroup
	writer.Go(func() { there.account.Run(writing) })
	settler.Go(func() {
		if err := feed.Run(settling); err != nil {
			w.Errorf("Run() = %v, want nil", err)
		}
	})
	there.stop = func() {
		stopSettling()
		settler.Wait()
		stopWriting()
		writer.Wait()
	}
	return &there
}

// itself is an account as its own outbox.
func itself(a *sqlstore.Account) notify.Outbox { return a }

// TestHandover releases one account while the dispatcher goes on: what is in flight is
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
		college := w.own("college", itself)
		college.announce("msg_1", "x", "n")
		college.announce("msg_2", "x", "n")
		rest(time.Second)
		college.stop()
		rest(10 * time.Second)
		if all := r.all(); len(all) != 1 || all[0].id != "msg_1" {
			t.Errorf("attempts = %+v, want one, of msg_1", all)
		}
		if got, want := w.states("n"), "delivered pending"; got != want {
			t.Errorf("states = %q, want %q", got, want)
		}
		w.stop()
	})
}

// TestHandoverMakesRoom releases an account whose deliveries fill a channel: then those
// of the other account come, which had to wait in the table.
func TestHandoverMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		w := newWorld(t, to("n", r))
		college := w.own("college", itself)
		if err := w.dispatcher.Pause(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		const many = 4200 // more than are held with their bodies
		college.announceAll(many, many, "n")
		w.announce("msg_school", "x", "n")
		college.stop()
		if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		rest(time.Hour)
		if got := r.accepted(); len(got) != 1 || got[0] != "msg_school" {
			t.Errorf("%d accepted, want the one of the account that is still here", len(got))
		}
		w.stop()
	})
}

// A cutBox is an outbox whose next settling is cut short by the end of its context.
type cutBox struct {
	notify.Outbox
	begun chan struct{} // closed when that settling has begun
	once  sync.Once
}

func (b *cutBox) Settle(ctx context.Context, outcomes []notify.Outcome) error {
	first := false
	b.once.Do(func() { first = true })
	if !first {
		return b.Outbox.Settle(ctx, outcomes)
	}
	close(b.begun)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Second):
		return b.Outbox.Settle(ctx, outcomes)
	}
}

// TestHandoverWhileSettling releases an account while outcomes are being written: they
// are saved all the same.
func TestHandoverWhileSettling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, to("n", &receiver{}))
		begun := make(chan struct{})
		college := w.own("college", func(a *sqlstore.Account) notify.Outbox { return &cutBox{Outbox: a, begun: begun} })
		college.announce("msg_1", "x", "n")
		<-begun
		college.stop()
		if got, want := w.states("n"), "delivered"; got != want {
			t.Errorf("states = %q, want %q: what was accepted is not repeated by the next owner", got, want)
		}
		w.stop()
	})
}
