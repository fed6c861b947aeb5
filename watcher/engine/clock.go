package engine

import (
	"sync"
	"time"
)

// A clock detects that the wall clock was set.
type clock struct {
	mu   sync.Mutex
	last time.Time
}

// jumpOver is the least deviation of the wall clock from the monotonic one that counts as
// set. Slewing by NTP stays far below.
const jumpOver = 5 * time.Second

// jumped returns by how much the wall clock was set since the last call; 0: it was not. Only
// one of several callers gets the answer.
func (c *clock) jumped(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.last) { // read before that of another caller
		return 0
	}
	by := setBy(c.last, now.Round(0), now)
	c.last = now
	return by
}

// setBy returns by how much the wall clock has advanced further than the monotonic one since
// last; 0: less than jumpOver.
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
