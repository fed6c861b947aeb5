package enginetest

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// TestAliveWhileSilent has the service hang for an hour, with settings that have the
// polling wait long: it is alive all the while.
func TestAliveWhileSilent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		timeout time.Duration
		limit   float64
	}{{5 * time.Second, 20}, {time.Minute, 20}, {time.Minute, 1.5}, {5 * time.Second, 0.02}} {
		t.Run(fmt.Sprintf("%v, %v a second", c.timeout, c.limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				silent := newCloud(0, 0, func(watcher.Key, time.Time) (watcher.Push, error) { return watcher.Push{}, errHang })
				s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
					Settings: engine.Settings{
						RequestTimeout: c.timeout,
						Accounts:       []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: silent, RequestsPerSecond: c.limit}},
					},
				})
				defer stop()
				s.register(100, "class")
				for range 3600 {
					time.Sleep(time.Second)
					if err := s.Alive(time.Now()); err != nil {
						t.Fatalf("Alive() = %v, want nil", err)
					}
				}
			})
		})
	}
}

// A slowStore takes its time to tell what is live.
type slowStore struct {
	watcher.Store
	takes time.Duration
}

func (s slowStore) Live(ctx context.Context, yield func(watcher.Task) error) error {
	time.Sleep(s.takes)
	return s.Store.Live(ctx, yield)
}

// TestAlive has an account that takes ten minutes to load, and then looks at a time
// by which its loop should have turned long ago.
func TestAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(0, 0, pushing)
		s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
			Settings: engine.Settings{
				Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: c}, {Name: "large", SDKAppIDs: []int64{other}, Cloud: c}},
			},
		})
		defer stop()
		account, err := s.db.Own(t.Context(), "large")
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		defer watching.Wait()
		defer end()
		watching.Go(func() {
			if err := s.Watch(ctx, "large", slowStore{account, 10 * time.Minute}); err != nil {
				t.Errorf("Watch: %v", err)
			}
		})
		for range 11 * 60 {
			time.Sleep(time.Second)
			if err := s.Alive(time.Now()); err != nil {
				t.Fatalf("Alive() = %v, want nil", err)
			}
		}
		if err := s.Alive(time.Now().Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "account large: its polling has been stuck for 1m") {
			t.Errorf("Alive(a minute after the last turn) = %v, want an error that names the account", err)
		}
	})
}
