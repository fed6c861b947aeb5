package notify

import "time"

// A Standing is what is known of a notifier beyond its settings. It is saved, so
// that a restart changes nothing about it.
type Standing struct {
	Notifier    string
	Version     int64 // rises with every change
	State       Condition
	PausedUntil time.Time // the notifier asked for silence until then (Retry-After); zero: it did not
	Reason      string    // why it is paused or gone
	ChangedAt   time.Time
}

// A Condition says whether a notifier is told of events.
type Condition string

// The conditions of a notifier.
const (
	// Active: it is told.
	Active Condition = "active"
	// Paused: somebody has paused it. Its deliveries wait, and grow older.
	Paused Condition = "paused"
	// Gone: it has answered 410. Its deliveries go to dead letter.
	Gone Condition = "gone"
)

// open reports whether the notifier may be told at a time.
func (s *Standing) open(now time.Time) bool { return s.State == Active && !now.Before(s.PausedUntil) }

// condition is the state as it is shown: a notifier that has asked for silence is
// [Paused].
func (s *Standing) condition(now time.Time) Condition {
	if s.State == Active && s.PausedUntil.After(now) {
		return Paused
	}
	return s.State
}

// change begins the next version of the standing.
func (s *Standing) change(now time.Time, to Condition, reason string) {
	s.Version++
	s.State, s.Reason, s.ChangedAt = to, reason, now
}
