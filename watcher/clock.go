package watcher

import (
	"math"
	"sync"
	"time"
)

// anchored returns a time that was read from the store in terms of the monotonic
// clock, so that how long ago it was stays true when the wall clock is set. Its
// wall clock reading stays what it was.
func anchored(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(t.Sub(now.Round(0)))
}

// past is like anchored, for a time that cannot lie in the future: one that does
// was noted before the wall clock was set back, and counts as now.
func past(t, now time.Time) time.Time {
	if t = anchored(t, now); t.After(now) {
		return now
	}
	return t
}

// anchor does so for what is judged by age of a task that was read from the store.
// RegisteredAt keeps its exact reading: ids are derived from it. (See too [entry.anchor].)
func (t *Task) anchor(now time.Time) {
	t.RegisteredAt = anchored(t.RegisteredAt, now)
	t.LastObservedAt = past(t.LastObservedAt, now)
	t.LastPolledAt = past(t.LastPolledAt, now)
	t.Memory.PreparedSince = past(t.Memory.PreparedSince, now)
}

// A clock notices that the wall clock was set.
type clock struct {
	mu   sync.Mutex
	last time.Time // the newest that it was shown
}

// jumpOver is by how much the wall clock must run away from the monotonic one
// before it counts as set. Slewing by NTP stays far below.
const jumpOver = 5 * time.Second

// jumped returns by how much the wall clock was set since the last call, 0 where
// it was not. Many may ask, of whom one is told.
func (c *clock) jumped(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.last) { // it was read before another's, and comes after it
		return 0
	}
	by := c.between(now.Round(0), now)
	c.last = now
	return by
}

// between compares how far each clock has come since the last call. c.mu is held.
func (c *clock) between(wall, monotonic time.Time) time.Duration {
	if c.last.IsZero() {
		return 0
	}
	by := (wall.Sub(c.last.Round(0)) - monotonic.Sub(c.last)).Round(time.Millisecond)
	if by.Abs() < jumpOver {
		return 0
	}
	return by
}

// A tick is a time in a third of the space. Ticks count from the origin, on the
// monotonic clock where the times they are made of have one.
type tick time.Duration

// never is the tick of the zero time.
const never tick = math.MinInt64

// origin is the whole hour before the start of the process: what is divided into
// parts of an hour does not depend on when that was.
var origin = func() time.Time {
	now := time.Now()
	return now.Add(-time.Duration(now.UnixNano() % int64(time.Hour)))
}()

// tickOf returns the tick of a time. The zero time lies so far from the origin
// that its distance is cut to never.
func tickOf(t time.Time) tick { return tick(t.Sub(origin)) }

// time returns the time of a tick, in terms of what the wall clock shows now.
func (k tick) time(now time.Time) time.Time {
	if k == never {
		return time.Time{}
	}
	return now.Add(k.since(tickOf(now)))
}

// since returns how long after another tick k is.
func (k tick) since(other tick) time.Duration { return time.Duration(k - other) }
