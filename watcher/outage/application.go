package outage

import (
	"time"

	"pushwatch/watcher"
)

// An application is the record of an application whose recent polls failed. One without
// failures has none.
type application struct {
	breaker  breaker
	trouble  int  // rises with each failure, falls with each success
	isolated bool // its tasks have a schedule of their own
	suspect  bool // it failed when the account's breaker last opened, and has not succeeded since
}

const (
	// maxTrouble isolates an application until its trouble is 0 again. As many failures in
	// a row reach it as open the breaker. A failure outweighs four successes, so that an
	// application whose polls fail more often than one in five stays isolated.
	maxTrouble = transientThreshold * failureTrouble

	failureTrouble = 4
)

// application returns the record of an application that fails.
func (t *Tracker) application(id int64) *application {
	x := t.failing[id]
	if x == nil {
		x = &application{breaker: *newBreaker(transientThreshold)}
		t.failing[id] = x
	}
	return x
}

// recordFailure records a failure that lies with the application.
func (t *Tracker) recordFailure(changes *transitions, now time.Time, id int64, fault *watcher.CloudError) {
	x := t.application(id)
	if fault.Kind == watcher.DeniedApplication && !x.breaker.open() {
		x.breaker.threshold = deniedThreshold
		x.breaker.failures = min(x.breaker.failures, deniedThreshold-1) // below the threshold, so that this failure opens it
	}
	x.trouble = max(x.trouble, min(x.trouble+failureTrouble, maxTrouble))
	opened := x.breaker.recordFailure(now, fault)
	if !x.isolated && (opened || x.trouble >= maxTrouble) {
		x.isolated = true
		changes.add(Transition{Kind: Isolated, Level: Application, SDKAppID: id, Cause: fault, Tasks: t.live[id]})
	}
	if opened {
		changes.add(Transition{Kind: Opened, Level: Application, SDKAppID: id, Cause: fault, Tasks: t.live[id]})
	}
}

// recordSuccess records a success of an application. One success may be luck, so the
// application stays isolated for a while. After its breaker closes it stays isolated until
// about each of its tasks was polled: they are all overdue, and in the shared schedule
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

// Suspect reports whether an application failed when the account's breaker last opened,
// and has not succeeded since.
func (t *Tracker) Suspect(id int64) bool {
	x := t.failing[id]
	return x != nil && x.suspect
}

// A Permission is what a breaker allows.
type Permission struct {
	Open bool      // only probes are allowed
	At   time.Time // when the next poll or probe is
}

// Permission returns what the account's breaker allows.
func (t *Tracker) Permission(now time.Time) Permission { return t.breaker.permission(now) }

// ApplicationPermission returns what an application's breaker allows.
func (t *Tracker) ApplicationPermission(now time.Time, id int64) Permission {
	if x := t.failing[id]; x != nil {
		return x.breaker.permission(now)
	}
	return Permission{At: now}
}

// Sent records that a poll of an application is sent. While the application's breaker is
// open, it is the probe.
func (t *Tracker) Sent(id int64) {
	if x := t.failing[id]; x != nil {
		x.breaker.sent()
	}
}

// Probed records that the account's probe is sent.
func (t *Tracker) Probed() { t.breaker.sent() }

// Dropped records that a poll of an application did not reach the service. A probe can be
// sent again at once.
func (t *Tracker) Dropped(id int64) {
	t.breaker.probing = false
	if x := t.failing[id]; x != nil {
		x.breaker.probing = false
	}
}
