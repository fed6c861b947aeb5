package notify

import "time"

// A NotifierRecord is the persisted state of a notifier. It survives restarts.
type NotifierRecord struct {
	Notifier    string
	Version     int64 // rises with every change
	State       NotifierState
	PausedUntil time.Time // the end of a pause that the notifier asked for (Retry-After); zero: none
	DownSince   time.Time // since when its breaker is open; zero: it is closed
	NextProbeAt time.Time // while it is down
	Reason      string    // the failure that led to the state; empty once a delivery succeeded
	ChangedAt   time.Time
}

// A NotifierState says whether events are delivered to a notifier.
type NotifierState string

// The states of a notifier.
const (
	// Active: events are delivered.
	Active NotifierState = "active"
	// Paused: an operator paused it. Its deliveries wait, and continue to age.
	Paused NotifierState = "paused"
	// Down: it does not answer and is probed. A saved record has DownSince instead, and
	// is never Down.
	Down NotifierState = "down"
	// Gone: it has answered 410. Its deliveries go to dead letter.
	Gone NotifierState = "gone"
)

// allows reports whether an attempt may start now.
func (r *NotifierRecord) allows(now time.Time) bool {
	return r.State == Active && !now.Before(r.PausedUntil)
}

// shown returns the state as people see it: a notifier that asked for a pause is
// [Paused], one whose breaker is open is [Down].
func (r *NotifierRecord) shown(now time.Time) NotifierState {
	switch {
	case r.State != Active:
		return r.State
	case r.PausedUntil.After(now):
		return Paused
	case !r.DownSince.IsZero():
		return Down
	}
	return Active
}

// change sets the state and makes a new version of the record.
func (r *NotifierRecord) change(now time.Time, to NotifierState) {
	r.Version++
	r.State, r.ChangedAt = to, stored(now)
}

// observe records what an attempt shows about the notifier, after its breaker has
// recorded it, and reports whether the record changed. failure is nil if the attempt
// succeeded.
func (r *NotifierRecord) observe(now time.Time, b *breaker, failure *SendError, probe bool) (changed bool) {
	state := r.State
	switch {
	case r.State == Gone:
		return false
	case failure == nil:
		changed = r.Reason != ""
		r.Reason = ""
	case failure.Gone:
		state, changed = Gone, true
	default:
		if until := stored(failure.pause(now)); until.After(now) && until.After(r.PausedUntil) {
			r.PausedUntil, changed = until, true
		}
	}
	switch wasDown := !r.DownSince.IsZero(); {
	case b.down() && (probe || !wasDown):
		if !wasDown {
			r.DownSince = stored(now)
		}
		r.NextProbeAt, changed = stored(b.probeAt), true
	case !b.down() && wasDown:
		r.DownSince, r.NextProbeAt, changed = time.Time{}, time.Time{}, true
	}
	if changed {
		r.change(now, state)
		if failure != nil {
			r.Reason = failure.Reason
		}
	}
	return changed
}

// stored rounds a time up to the microsecond, the precision of the database.
func stored(t time.Time) time.Time { return t.Add(time.Microsecond - 1).Truncate(time.Microsecond) }
