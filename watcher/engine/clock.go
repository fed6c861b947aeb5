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
