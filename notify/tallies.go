package notify

import (
	"context"
	"sync/atomic"
	"time"

	"pushwatch/watcher/loop"
)

// tallies are those of the archive, kept for a while: scrapes come often, and counting
// a large backlog takes its time.
type tallies struct {
	archive Archive
	stale   atomic.Bool // the next call of get counts
	free    loop.Signal // whoever receives it may use what follows, and notifies it after

	last    map[string]Tally // by notifier
	err     error            // of the last counting
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
	countShare   = 20 // counting takes at most this part of the time, as its denominator
)

// get returns tallies that are a moment old at most, or more where counting takes long. A failure is kept as well: while the database hangs few wait for it.
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
	if ctx.Err() != nil { // the caller has no time: the next one may have
		return nil, context.Cause(ctx)
	}
	t.last, t.err, t.counted = last, err, time.Now()
	t.took = t.counted.Sub(start)
	return last, err
}

// expire makes the next call of get count. Call it after a change that people look for
// at once.
func (t *tallies) expire() { t.stale.Store(true) }

// keep is for how long the last counting is good.
func (t *tallies) keep() time.Duration {
	if t.err != nil {
		return countAgain
	}
	return max(countEvery, countShare*t.took)
}
