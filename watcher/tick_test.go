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
		got := Anchored(stored, now)
		if !got.Round(0).Equal(stored) {
			t.Errorf("Anchored(%v ago) reads %v, want %v: its wall clock must stay", age, got.Round(0), stored)
		}
		if got := now.Sub(got); got != age {
			t.Errorf("Anchored(%v ago) is %v old by the monotonic clock", age, got)
		}
	}
	if got := past(wall.Add(time.Hour), now); !got.Equal(now) {
		t.Errorf("past(in an hour) = %v, want now", got)
	}
	if !Anchored(time.Time{}, now).IsZero() || !past(time.Time{}, now).IsZero() {
		t.Error("a zero time became one")
	}
}
