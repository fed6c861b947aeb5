package watcher

import (
	"testing"
	"time"
)

func TestAnchored(t *testing.T) {
	now := time.Now()
	wall := now.Round(0)
	for _, age := range []time.Duration{0, time.Second, 30 * 24 * time.Hour, -time.Hour} {
		stored := wall.Add(-age)
		got := anchored(stored, now)
		if !got.Round(0).Equal(stored) {
			t.Errorf("anchored(%v ago) reads %v, want %v: its wall clock must stay", age, got.Round(0), stored)
		}
		if got := now.Sub(got); got != age {
			t.Errorf("anchored(%v ago) is %v old by the monotonic clock", age, got)
		}
	}
	if got := past(wall.Add(time.Hour), now); !got.Equal(now) {
		t.Errorf("past(in an hour) = %v, want now", got)
	}
	if !anchored(time.Time{}, now).IsZero() || !past(time.Time{}, now).IsZero() {
		t.Error("a zero time became one")
	}
}

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
	c.last = now
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		if got := c.between(now.Round(0).Add(by), now); got != by {
			t.Errorf("set by %v: jumped = %v", by, got)
		}
	}
	if got := c.between(now.Round(0).Add(4*time.Second), now); got != 0 {
		t.Errorf("slewed by 4 s: jumped = %v, want 0", got)
	}
}
