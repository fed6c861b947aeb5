package notify

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher/loop"
)

// tallies caches the archive's tallies: scrapes come often, and counting a large backlog
// is slow.
type tallies struct {
	archive Archive
	stale   atomic.Bool // the next call of get counts
	free    loop.Signal // locks the fields below; unlike a mutex, waiting for it ends with a context

	last    map[string]Tally // by notifier
	err     error            // of the last count
	counted time.Time
	took    time.Duration
}

func newTallies(archive Archive) *tallies {
	t := &tallies{archive: archive, free: loop.NewSignal()}
	t.free.Notify()
	return t
}

const (
	countEvery   = 100 * time.Millisecond
	countAgain   = 10 * time.Second // after a failure
	countTimeout = 5 * time.Second
	countShare   = 20 // counting takes at most one part in countShare of the time
)

// get returns tallies that are at most a moment old, or older if counting is slow.
// Failures are cached too, so that few callers wait for a database that hangs.
func (t *tallies) get(ctx context.Context) (map[string]Tally, error) {
	select {
	case <-t.free:
		defer t.free.Notify()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	start := time.Now()
	if !t.stale.Swap(false) && start.Sub(t.counted) < t.keep() {
		return t.last, t.err
	}
	counting, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	last, err := t.archive.Tallies(counting)
	if ctx.Err() != nil { // the caller's time was too short: keep this from the next one
		return nil, context.Cause(ctx)
	}
	t.last, t.err, t.counted = last, err, time.Now()
	t.took = t.counted.Sub(start)
	return last, err
}

// expire makes the next call of get count again. Call it after a change that people
// expect to see at once.
func (t *tallies) expire() { t.stale.Store(true) }

// keep is how long the last count is reused.
func (t *tallies) keep() time.Duration {
	if t.err != nil {
		return countAgain
	}
	return max(countEvery, countShare*t.took)
}

// orphans counts the pending deliveries of each notifier that is not in the settings,
// perhaps because it was renamed. Nothing delivers them.
func (d *Dispatcher) orphans(tallies map[string]Tally) map[string]int {
	pending := make(map[string]int)
	for name, t := range tallies {
		if t.Pending > 0 && d.named(name) == nil {
			pending[name] = t.Pending
		}
	}
	return pending
}

// warnOfOrphans logs each notifier with orphans once.
func (d *Dispatcher) warnOfOrphans(ctx context.Context) {
	tallies, err := d.tallies.get(ctx)
	if err != nil {
		return // callers that need the counts report the error
	}
	orphans := d.orphans(tallies)
	for name, pending := range orphans {
		if d.warned[name] == 0 {
			d.log.Warn("deliveries without notifier", zap.String("notifier", name), zap.Int("deliveries", pending),
				zap.String("hint", "the settings have no notifier of this name; restore it to deliver them"))
		}
	}
	d.warned = orphans
}
