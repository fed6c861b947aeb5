package watcher

import (
	"math"
	"time"
)

// Anchored returns a time that was read from the store in terms of the monotonic
// clock, so that how long ago it was stays true when the wall clock is set. Its
// wall clock reading stays what it was.
func Anchored(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(t.Sub(now.Round(0)))
}

// past is like Anchored, for a time that cannot lie in the future: one that does
// was noted before the wall clock was set back, and counts as now.
func past(t, now time.Time) time.Time {
	if t = Anchored(t, now); t.After(now) {
		return now
	}
	return t
}

// Anchor anchors what is judged by its age of a task that was read from the store.
// RegisteredAt keeps its exact reading: ids are derived from it.
func (t *Task) Anchor(now time.Time) {
	t.RegisteredAt = Anchored(t.RegisteredAt, now)
	t.LastObservedAt = past(t.LastObservedAt, now)
	t.LastPolledAt = past(t.LastPolledAt, now)
	t.Memory.PreparedSince = past(t.Memory.PreparedSince, now)
	if t.Memory.Blind != nil {
		blind := *t.Memory.Blind
		blind.Alone = past(blind.Alone, now)
		t.Memory.Blind = &blind
	}
}

// A Tick is a time in a third of the space. Ticks count from the origin, on the
// monotonic clock where the times they are made of have one.
type Tick time.Duration

// Never is the tick of the zero time.
const Never Tick = math.MinInt64

// origin is the whole hour before the start of the process: what is divided into
// parts of an hour does not depend on when that was.
var origin = func() time.Time {
	now := time.Now()
	return now.Add(-time.Duration(now.UnixNano() % int64(time.Hour)))
}()

// TickOf returns the tick of a time. The zero time lies so far from the origin
// that its distance is cut to Never.
func TickOf(t time.Time) Tick { return Tick(t.Sub(origin)) }

// Time returns the time of a tick, in terms of what the wall clock shows now.
func (k Tick) Time(now time.Time) time.Time {
	if k == Never {
		return time.Time{}
	}
	return now.Add(k.Since(TickOf(now)))
}

// Since returns how long after another tick k is.
func (k Tick) Since(other Tick) time.Duration { return time.Duration(k - other) }
