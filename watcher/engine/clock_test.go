package engine

import (
	"testing"
	"time"
)

func TestJumped(t *testing.T) {
	var c clock
	now := time.Now()
	if got := c.jumped(now); got != 0 {
		t.Errorf("jumped at first = %v, want 0", got)
	}
	if got := c.jumped(now.Add(time.Hour)); got != 0 {
		t.Errorf("jumped after an hour that passed on both clocks = %v, want 0", got)
	}
	// The wall clock alone: a reading without a monotonic part is compared by it.
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		if got := setBy(now, now.Round(0).Add(by), now); got != by {
			t.Errorf("set by %v: jumped = %v", by, got)
		}
	}
	if got := setBy(now, now.Round(0).Add(4*time.Second), now); got != 0 {
		t.Errorf("slewed by 4 s: jumped = %v, want 0", got)
	}
}
