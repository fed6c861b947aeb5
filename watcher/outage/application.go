package outage

import (
	"time"

	"pushwatch/watcher"
)

// An application is one of an account's, some of whose recent polls told nothing: the
// service refuses them, or it fails or hangs in a way that does not tell whose fault
// that is.
type application struct {
	breaker  breaker
	trouble  int  // grows with each poll that told nothing, falls with each that did
	isolated bool // its tasks are kept apart from those of others
	suspect  bool // it failed when the account was last taken to fail, and has not answered since
}

const (
	// An application is isolated with mostTrouble, which so many failures in a row make
	// as open the breaker, and until it has none. A failure outweighs four answers: one
	// that fails more often than every fifth time stays isolated.
	mostTrouble = transientThreshold * failureTrouble

	failureTrouble = 4
)

// application returns the record of an application that failed.
func (t *Tracker) application(id int64) *application {
	x := t.failing[id]
	if x == nil {
		x = &application{breaker: *newBreaker(transientThreshold)}
		t.failing[id] = x
	}
	return x
}

// recordFailure records a failure of an application's own.
func (t *Tracker) recordFailure(changes *transitions, now time.Time, id int64, fault *watcher.CloudError) {
	x := t.application(id)
	if fault.Kind == watcher.DeniedApplication && !x.breaker.open() {
		x.breaker.threshold = deniedThreshold
		x.breaker.failures = min(x.breaker.failures, deniedThreshold-1) // below the threshold, so that this failure opens it
	}
	x.trouble = max(x.trouble, min(x.trouble+failureTrouble, mostTrouble))
	opened := x.breaker.recordFailure(now, fault)
	if !x.isolated && (opened || x.trouble >= mostTrouble) {
		x.isolated = true
		changes.add(Transition{Kind: Isolated, Level: Application, SDKAppID: id, Cause: fault, Tasks: t.live[id]})
	}
	if opened {
		changes.add(Transition{Kind: Opened, Level: Application, SDKAppID: id, Cause: fault, Tasks: t.live[id]})
	}
}

// recordSuccess records that a poll of an application told something. That may have been
// luck, so it stays isolated for a while; and where it could not be observed at all,
// until about each of its tasks had a turn: those have waited for so long that together
// they would go before all others.
func (t *Tracker) recordSuccess(changes *transitions, id int64) {
	x := t.failing[id]
	if x == nil {
		return
	}
	x.suspect = false
	if cause := x.breaker.cause; x.breaker.recordSuccess() {
		x.trouble = max(x.trouble, t.live[id]-1)
		changes.add(Transition{Kind: Closed, Level: Application, SDKAppID: id, Cause: cause, Tasks: t.live[id]})
	}
	if x.trouble--; x.trouble > 0 {
		return
	}
	delete(t.failing, id)
	if x.isolated {
		changes.add(Transition{Kind: Rejoined, Level: Application, SDKAppID: id, Tasks: t.live[id]})
	}
}

// Isolated reports whether the tasks of an application are to be kept apart.
func (t *Tracker) Isolated(id int64) bool {
	x := t.failing[id]
	return x != nil && x.isolated
}

// Suspect reports whether an application failed when the account was last taken to fail,
// and has not answered since.
func (t *Tracker) Suspect(id int64) bool {
	x := t.failing[id]
	return x != nil && x.suspect
}

// A Permission says whether a poll may go to an account or an application.
type Permission struct {
	Open bool      // only a probe may
	At   time.Time // when that may go; of what is not Open: at once
}

// Permission returns whether polls may go to the account.
func (t *Tracker) Permission(now time.Time) Permission { return t.breaker.permission(now) }

// ApplicationPermission returns whether polls may go to one of its applications, as far
// as that depends on the application.
func (t *Tracker) ApplicationPermission(now time.Time, id int64) Permission {
	if x := t.failing[id]; x != nil {
		return x.breaker.permission(now)
	}
	return Permission{At: now}
}

// Sent records that a poll goes out to a task of an application, which counts as the
// probe of its breaker where that is open.
func (t *Tracker) Sent(id int64) {
	if x := t.failing[id]; x != nil {
		x.breaker.sent()
	}
}

// Probed records that a poll goes out as the probe of the account.
func (t *Tracker) Probed() { t.breaker.sent() }

// Dropped records that a poll of a task of an application did not reach the service,
// and says nothing of it: what was a probe can be made again at once.
func (t *Tracker) Dropped(id int64) {
	t.breaker.probing = false
	if x := t.failing[id]; x != nil {
		x.breaker.probing = false
	}
}
