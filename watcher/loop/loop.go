// Package loop holds small parts of long-running loops: a signal that wakes a loop, a sleep
// that a context ends, and a condition that is logged when it begins and when it ends.
package loop

import (
	"context"
	"time"
)

// A Signal wakes one loop, which receives from it. Notifications before the loop receives
// count as one. Make it with [NewSignal].
type Signal chan struct{}

// NewSignal returns a signal without a notification.
func NewSignal() Signal { return make(Signal, 1) }

// Notify wakes the loop, now or when it next receives. It never blocks, and does nothing on a
// nil signal.
func (s Signal) Notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Sleep waits for d; false: ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// A Condition is a state that begins and ends, such as an outage of the database. Its methods
// report these two moments, for a log line each. The zero Condition has not begun. It is not
// safe for concurrent use.
type Condition struct {
	since time.Time
}

// Since returns when the condition began; zero: it does not hold.
func (c *Condition) Since() time.Time { return c.since }

// Begin records that the condition holds, and reports whether it just began.
func (c *Condition) Begin(now time.Time) bool {
	if !c.since.IsZero() {
		return false
	}
	c.since = now
	return true
}

// End records that the condition does not hold, and reports whether it just ended, and how
// long it lasted.
func (c *Condition) End(now time.Time) (lasted time.Duration, ended bool) {
	if c.since.IsZero() {
		return 0, false
	}
	lasted = now.Sub(c.since)
	c.since = time.Time{}
	return lasted, true
}
