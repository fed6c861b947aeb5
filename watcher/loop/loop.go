// Package loop holds the small parts that long-running loops share: a signal that
// wakes a loop, a sleep that a context ends, and a condition that is logged once
// when it begins and once when it ends.
package loop

import (
	"context"
	"time"
)

// A Signal wakes one loop. Notifications that come before the loop receives are one.
// Make it with [NewSignal]; the loop receives from it.
type Signal chan struct{}

// NewSignal returns a signal that nobody has notified yet.
func NewSignal() Signal { return make(Signal, 1) }

// Notify wakes the loop that receives from s, now or when it next receives. It never
// blocks. On a nil signal it does nothing.
func (s Signal) Notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Sleep waits for d, and reports whether it did: false where ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// A Condition is something that begins, lasts and ends, such as an outage of the
// database. Its methods tell the two moments that are worth a log line. The zero
// Condition does not hold. It is not safe for concurrent use.
type Condition struct {
	since time.Time
}

// Since is when the condition began; zero while it does not hold.
func (c *Condition) Since() time.Time { return c.since }

// Begin notes that the condition holds, and reports whether it did not hold before.
func (c *Condition) Begin(now time.Time) bool {
	if !c.since.IsZero() {
		return false
	}
	c.since = now
	return true
}

// End notes that the condition does not hold. It reports for how long it held, and
// whether it did at all.
func (c *Condition) End(now time.Time) (lasted time.Duration, ended bool) {
	if c.since.IsZero() {
		return 0, false
	}
	lasted = now.Sub(c.since)
	c.since = time.Time{}
	return lasted, true
}
