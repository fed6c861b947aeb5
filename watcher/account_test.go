package watcher

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A gate is a cloud that answers once it is open, and then nothing of use.
type gate struct{ open chan struct{} }

func (g gate) RoundTrip() time.Duration { return 0 }

func (g gate) Describe(context.Context, Key) (Push, error) {
	<-g.open
	return Push{}, &CloudError{Code: "network"}
}

// TestFewGoroutinesWaitToPoll has many polls under way at a time: of the goroutines
// that made them only the spare ones stay, until the loop ends.
func TestFewGoroutinesWaitToPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate{make(chan struct{})}
		w := New(Config{Accounts: []AccountConfig{{Name: "school", SDKAppIDs: []int64{1}, Cloud: g}}})
		a := newAccount(w, w.plan(), w.plan().Accounts[0], nil)
		var polls sync.WaitGroup
		send := func(e *entry) {
			permit, err := a.limiter.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			a.send(t.Context(), &polls, due{permit, e}, func(err error) { t.Error(err) })
		}
		var entries []*entry
		for i := range 10 {
			entries = append(entries, newEntry(&Task{Key: Key{1, fmt.Sprint(i)}, State: Pushing, RegisteredAt: time.Now()}))
			send(entries[i])
		}
		close(g.open)
		synctest.Wait()
		if got := a.idle.Load(); got != spare {
			t.Errorf("goroutines that wait after 10 polls = %d, want %d", got, spare)
		}
		send(entries[0])
		synctest.Wait()
		if got := a.idle.Load(); got != spare {
			t.Errorf("goroutines that wait after one poll more = %d, want %d", got, spare)
		}
		close(a.due)
		polls.Wait()
	})
}
