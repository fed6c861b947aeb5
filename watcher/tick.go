package watcher

import (
	"math"
	"time"
)

// Anchored adds a monotonic reading to a time read from the store, so that its age stays
// right when the wall clock is set. Its wall clock reading does not change.
func Anchored(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(t.Sub(now.Round(0)))
}

// past is Anchored for a time that cannot lie in the future. If it does, the wall clock was
// set back, and it counts as now.
func past(t, now time.Time) time.Time {
	if t = Anchored(t, now); t.After(now) {
		return now
	}
	return t
}

// Anchor anchors the times of a task read from the store whose age matters. The wall clock
// reading of RegisteredAt does not change, since event ids depend on it.
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

// A Tick is a [time.Time] in a third of the space: the time since origin, by the monotonic
// clock if the time has a reading of it.
type Tick time.Duration

// Never is the tick of the zero time.
const Never Tick = math.MinInt64

// origin is the last full hour before the process started, so that ticks divided into parts
// of an hour do not depend on when that was.
var origin = func() time.Time {
	now := time.Now()
	return now.Add(-time.Duration(now.UnixNano() % int64(time.Hour)))
}()

// TickOf returns the tick of a time. The zero time is so far from origin that [time.Time.Sub]
// returns Never.
func TickOf(t time.Time) Tick { return Tick(t.Sub(origin)) }

// Time returns the time of a tick, given the current time.
func (k Tick) Time(now time.Time) time.Time {
	if k == Never {
		return time.Time{}
	}
	return now.Add(k.Since(TickOf(now)))
}

// Since returns the time from other to k.
func (k Tick) Since(other Tick) time.Duration { return time.Duration(k - other) }
