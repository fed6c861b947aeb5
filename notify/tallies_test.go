package notify_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
)

// hanging is an archive that does not answer before a time.
type hanging struct {
	notify.Archive
	until time.Time
}

func (h hanging) Tallies(ctx context.Context) (map[string]notify.Tally, error) {
	if time.Now().Before(h.until) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, nil
}

func (hanging) NotifierRecords(context.Context) ([]notify.NotifierRecord, error) { return nil, nil }

// TestCountingHangs asks for the counts many times while the database hangs: nobody
// waits longer than their deadline, soon they fail without a wait, and not for much
// longer than the database hangs.
func TestCountingHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const hangs = 20 * time.Second
		d := notify.New(notify.Config{Archive: hanging{until: time.Now().Add(hangs)}})
		const patience = 2 * time.Second
		start := time.Now()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if _, err := d.Notifiers(ctx); err == nil || time.Since(start) > patience {
					t.Errorf("Notifiers() = %v after %s, want an error after %s at most", err, time.Since(start), patience)
				}
			})
		}
		all.Wait()
		if _, err := d.Notifiers(t.Context()); err == nil {
			t.Error("Notifiers() = nil, want an error")
		}
		begun := time.Now()
		if _, err := d.Notifiers(t.Context()); err == nil || time.Since(begun) > 0 {
			t.Errorf("Notifiers() again = %v after %s, want the same error at once", err, time.Since(begun))
		}
		time.Sleep(time.Until(start.Add(hangs + 15*time.Second)))
		if _, err := d.Notifiers(t.Context()); err != nil {
			t.Errorf("Notifiers() 15 s after the database answers again = %v", err)
		}
	})
}
