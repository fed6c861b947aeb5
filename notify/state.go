package notify

import "time"

// A NotifierRecord is what is known of a notifier beyond its settings. It is saved,
// so that a restart changes nothing about it.
type NotifierRecord struct {
	Notifier    string
	Version     int64 // rises with every change
	State       NotifierState
	PausedUntil time.Time // the notifier asked for a pause until then (Retry-After); zero: it did not
	Reason      string    // why it is paused or gone
	ChangedAt   time.Time
}

// A NotifierState says whether events are delivered to a notifier.
type NotifierState string

// The states of a notifier.
const (
	// Active: events are delivered.
	Active NotifierState = "active"
	// Paused: somebody has paused it. Its deliveries wait, and grow older.
	Paused NotifierState = "paused"
	// Gone: it has answered 410. Its deliveries go to dead letter.
	Gone NotifierState = "gone"
)

// allows reports whether an attempt may start now.
func (r *NotifierRecord) allows(now time.Time) bool {
	return r.State == Active && !now.Before(r.PausedUntil)
}

// shown is the state as people see it: a notifier that has asked for a pause is
// [Paused].
func (r *NotifierRecord) shown(now time.Time) NotifierState {
	if r.State == Active && r.PausedUntil.After(now) {
		return Paused
	}
	return r.State
}

// change makes the next version of the record.
func (r *NotifierRecord) change(now time.Time, to NotifierState, reason string) {
	r.Version++
	r.State, r.Reason, r.ChangedAt = to, reason, now
}
