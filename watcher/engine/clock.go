package engine

import (
	"sync"
	"time"
)

// A clock notices that the wall clock was set.
type clock struct {
	mu   sync.Mutex
	last time.Time // the newest that it was shown
}

// jumpOver is by how much the wall clock must run away from the monotonic one
// before it counts as set. Slewing by NTP stays far below.
const jumpOver = 5 * time.Second

// jumped returns by how much the wall clock was set since the last call, 0 where
// it was not. Of all that ask, one gets the answer.
func (c *clock) jumped(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.last) { // it was read before another's, and comes after it
		return 0
	}
	by := setBy(c.last, now.Round(0), now)
	c.last = now
	return by
}

// setBy returns by how much further the wall clock has come since last than the monotonic
// one: 0 for what is too little for it to have been set.
func setBy(last, wall, monotonic time.Time) time.Duration {
	if last.IsZero() {
		return 0
	}
	by := (wall.Sub(last.Round(0)) - monotonic.Sub(last)).Round(time.Millisecond)
	if by.Abs() < jumpOver {
		return 0
	}
	return by
}
