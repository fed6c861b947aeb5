package outage

import (
	"cmp"
	"slices"
	"time"

	"pushwatch/watcher"
)

// A visibility says whether a level is visible. A reported outage stays open without live
// tasks, until a push is observed.
type visibility struct {
	failing  time.Time           // first failure since the last success; zero: visible
	cause    *watcher.CloudError // latest failure
	reported bool                // as blind, and not yet as sighted
	tasks    int                 // live tasks when it was reported
}

// fail records a failure.
func (v *visibility) fail(now time.Time, cause *watcher.CloudError) {
	if v.failing.IsZero() {
		v.failing = now
	}
	v.cause = cause
}

// lasts reports whether the level has been invisible for at least long.
func (v *visibility) lasts(now time.Time, long time.Duration) bool {
	return !v.failing.IsZero() && now.Sub(v.failing) >= long
}

// markInvisible records a failure that lies with the application or the account.
func (t *Tracker) markInvisible(now time.Time, app int64, cause *watcher.CloudError) {
	if cause.Kind != watcher.DeniedApplication {
		t.account.fail(now, cause)
	}
	v := t.applications[app]
	if v == nil {
		v = new(visibility)
		t.applications[app] = v
	}
	v.fail(now, cause)
}

// observe records that a push of app was observed.
func (t *Tracker) observe(changes *transitions, now time.Time, app int64) {
	if whole := &t.account; !whole.failing.IsZero() {
		// Failures of the other applications count from now on, since the account's outage
		// covers the time before. An application's older outage goes on, unless the account
		// was reported as blind: an application that fails alone makes the account invisible
		// again and again, until another succeeds.
		for other, v := range t.applications {
			if other != app && !v.reported && !v.failing.IsZero() && (whole.reported || !v.failing.Before(whole.failing)) {
				v.failing = now
			}
		}
	}
	t.restartPushes(now, app)
	t.account.markVisible(changes, Transition{Level: Account})
	if v := t.applications[app]; v != nil {
		v.markVisible(changes, Transition{Level: Application, SDKAppID: app})
		delete(t.applications, app)
	}
}

// markVisible makes a level visible, and reports it if it was reported as blind.
func (v *visibility) markVisible(changes *transitions, change Transition) {
	if v.reported {
		change.Kind, change.Since, change.Tasks = Sighted, v.failing, v.tasks
		changes.add(change)
	}
	*v = visibility{}
}

// Check reports the account or applications that have become blind. Applications are not
// reported while the whole account is invisible. [Tracker.Record] reports pushes.
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

// enough failing pushes show that the fault lies at the level above them, unless they fail
// by themselves. All are enough where there are fewer.
const enough = transientThreshold

// shared reports whether the fault lies at the level of v: its cause says so, or enough of
// its pushes fail.
func (v *visibility) shared(failing, of int) bool {
	if v.cause != nil {
		switch v.cause.Kind {
		case watcher.DeniedAccount, watcher.DeniedApplication, watcher.Throttled:
			return true
		}
	}
	return failing >= min(enough, of)
}

// unexplainedOf counts the live pushes of an application that are not known to fail by
// themselves, and those of them that fail.
func (t *Tracker) unexplainedOf(app int64) (failing, of int) {
	f := t.failures[app]
	if f == nil {
		return 0, t.live[app]
	}
	return len(f.fresh), t.live[app] - (f.count - len(f.fresh))
}

// unexplained is unexplainedOf all applications. If only one application fails and others
// may just have been polled less recently, its failures do not count.
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

// report reports a level as blind, once. A level without live tasks is not polled, and so
// counts as visible.
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

// Restore records what an earlier process reported as blind, so that the next report of it
// is that it is sighted.
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

// Outages returns what is invisible now and has live tasks, the account first. LastObserved is
// not set, and Cause only if this process has polled it.
func (t *Tracker) Outages() []watcher.Outage {
	var all []watcher.Outage
	add := func(v *visibility, app int64, tasks int) {
		if v.failing.IsZero() || tasks == 0 {
			return
		}
		o := watcher.Outage{SDKAppID: app, Since: v.failing, Reported: v.reported, Tasks: tasks}
		if v.cause != nil {
			o.Cause = v.cause.API()
		}
		all = append(all, o)
	}
	add(&t.account, 0, t.tasks)
	for app, v := range t.applications {
		add(v, app, t.live[app])
	}
	slices.SortFunc(all, func(a, b watcher.Outage) int { return cmp.Compare(a.SDKAppID, b.SDKAppID) })
	return all
}
