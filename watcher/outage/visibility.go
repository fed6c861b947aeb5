package outage

import (
	"cmp"
	"slices"
	"time"

	"pushwatch/watcher"
)

// A visibility is what is known of whether a level can be observed. What was reported
// as blind stays reported when its last live task goes, since it was not observed again:
// when there is another task, the same outage goes on or ends.
type visibility struct {
	failing  time.Time           // since when no poll tells anything; zero: visible
	cause    *watcher.CloudError // of the newest poll that told nothing
	reported bool                // as blind, and not as sighted since
	tasks    int                 // as many as were reported
}

// fail records a poll that told nothing.
func (v *visibility) fail(now time.Time, cause *watcher.CloudError) {
	if v.failing.IsZero() {
		v.failing = now
	}
	v.cause = cause
}

// lasts reports whether the outage has lasted so long.
func (v *visibility) lasts(now time.Time, long time.Duration) bool {
	return !v.failing.IsZero() && now.Sub(v.failing) >= long
}

// visibilityOf returns the visibility of an application.
func (t *Tracker) visibilityOf(app int64) *visibility {
	v := t.applications[app]
	if v == nil {
		v = new(visibility)
		t.applications[app] = v
	}
	return v
}

// hide records that a poll of a task of app told nothing: because of the application,
// or because of the whole account.
func (t *Tracker) hide(now time.Time, app int64, cause *watcher.CloudError) {
	if cause.Kind != watcher.DeniedApplication {
		t.account.fail(now, cause)
	}
	t.visibilityOf(app).fail(now, cause) // the others may do better
}

// observe records that a poll of a task of app told something.
func (t *Tracker) observe(changes *transitions, now time.Time, app int64) {
	if whole := &t.account; !whole.failing.IsZero() {
		// While all was invisible nothing was learnt of the other applications: theirs
		// begins to count now. It goes on where it is older, unless all was invisible
		// for long: one that fails alone hides the account again and again, until
		// another answers.
		for other, v := range t.applications {
			if other != app && !v.reported && !v.failing.IsZero() && (whole.reported || !v.failing.Before(whole.failing)) {
				v.failing = now
			}
		}
	}
	t.restartPushes(now, app)
	t.account.see(changes, Transition{Level: Account})
	if v := t.applications[app]; v != nil {
		v.see(changes, Transition{Level: Application, SDKAppID: app})
		delete(t.applications, app)
	}
}

// see makes a level visible, and adds the transition that reports it where its outage
// was reported.
func (v *visibility) see(changes *transitions, change Transition) {
	if v.reported {
		change.Kind, change.Since, change.Tasks = Sighted, v.failing, v.tasks
		changes.add(change)
	}
	*v = visibility{}
}

// Check returns the accounts and applications that have been invisible for long enough to
// be reported. While the whole account is invisible its applications are not reported one
// by one. A push is reported when it is polled: see [Tracker.Record].
func (t *Tracker) Check(now time.Time) []Transition {
	var changes transitions
	if t.account.lasts(now, t.blindAfter) && t.account.shared(t.unexplained()) {
		t.account.report(&changes, Transition{Level: Account}, t.tasks)
	}
	for app, v := range t.applications {
		switch {
		case !v.lasts(now, t.blindAfter) || v.reported:
		case t.live[app] == 0:
			delete(t.applications, app)
		case t.account.failing.IsZero() && v.shared(t.unexplainedOf(app)):
			v.report(&changes, Transition{Level: Application, SDKAppID: app}, t.live[app])
		}
	}
	return changes
}

// enough pushes that fail, or all that do not fail by themselves, show that the fault lies
// at the level above them.
const enough = transientThreshold

// shared reports whether so many pushes fail, of those that may show it, that the fault
// lies at their common level. A refusal of access, or for the quota, says so itself.
func (v *visibility) shared(failing, of int) bool {
	if v.cause != nil {
		switch v.cause.Kind {
		case watcher.DeniedAccount, watcher.DeniedApplication, watcher.Throttled:
			return true
		}
	}
	return failing >= min(enough, of)
}

// unexplainedOf returns how many pushes of an application fail and are not known to do so
// by themselves, and how many live ones there are of which that could be said.
func (t *Tracker) unexplainedOf(app int64) (failing, of int) {
	f := t.failures[app]
	if f == nil {
		return 0, t.live[app]
	}
	return len(f.fresh), t.live[app] - (f.count - len(f.fresh))
}

// unexplained is likewise of the whole account. Failures of one application alone do not
// count where there is another that may fail: it may only have been polled less recently.
func (t *Tracker) unexplained() (failing, of int) {
	affected, others := 0, 0 // applications
	for app := range t.live {
		n, all := t.unexplainedOf(app)
		failing, of = failing+n, of+all
		switch {
		case n > 0:
			affected++
		case all > 0:
			others++
		}
	}
	if affected == 1 && others > 0 {
		failing = 0
	}
	return failing, of
}

// report adds the transition that reports a level as blind, once. Without a live task
// nobody asks: then it counts as visible.
func (v *visibility) report(changes *transitions, change Transition, live int) {
	switch {
	case v.reported:
	case live == 0:
		*v = visibility{}
	default:
		v.reported, v.tasks = true, live
		change.Kind, change.Cause, change.Since, change.Tasks = Blind, v.cause, v.failing, live
		changes.add(change)
	}
}

// Restore records what was reported as blind before this process began, so that it is
// reported as sighted and not as blind again.
func (t *Tracker) Restore(all []watcher.Blindness, now time.Time) {
	for _, b := range all {
		v := visibility{failing: watcher.Anchored(b.Since, now), reported: true, tasks: b.Tasks}
		if b.SDKAppID == 0 {
			t.account = v
		} else {
			t.applications[b.SDKAppID] = &v
		}
	}
}

// An Outage is a level that cannot be observed now.
type Outage struct {
	Level    Level
	SDKAppID int64 // of an application
	Since    time.Time
	Cause    *watcher.CloudError // nil where that was before this process began
	Reported bool                // as blind
	Tasks    int                 // live ones
}

// Outages returns what cannot be observed now, the account first. What has no live task
// is left out, for nobody asks.
func (t *Tracker) Outages() []Outage {
	var all []Outage
	add := func(v *visibility, of Outage) {
		if !v.failing.IsZero() && of.Tasks > 0 {
			of.Since, of.Cause, of.Reported = v.failing, v.cause, v.reported
			all = append(all, of)
		}
	}
	add(&t.account, Outage{Level: Account, Tasks: t.tasks})
	for app, v := range t.applications {
		add(v, Outage{Level: Application, SDKAppID: app, Tasks: t.live[app]})
	}
	slices.SortFunc(all, func(a, b Outage) int { return cmp.Compare(a.SDKAppID, b.SDKAppID) })
	return all
}
