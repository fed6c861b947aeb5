package outage

import (
	"slices"
	"time"

	"pushwatch/watcher"
)

// A Failure is the record of a push that fails: its latest polls observed nothing. The next
// observation ends it.
type Failure struct {
	Since  time.Time           // first failed poll
	Polled time.Time           // latest failed poll
	Cause  *watcher.CloudError // of the latest; nil: this process has not polled it yet
	Blind  bool                // it was reported as blind by itself

	// Alone is when the push was first known to fail by itself: when another push of its
	// application was observed while this one failed. Zero: the fault may be its
	// application's.
	Alone     time.Time
	confirmed bool // it failed again after Alone
}

// An appFailures counts the failing pushes of one application.
type appFailures struct {
	count int
	fresh []*Failure // those not known to fail by themselves
}

// recordPush records a failed poll of a push. It reports whether the push is known to fail
// by itself, so that the failure does not count for its application or account.
func (t *Tracker) recordPush(now time.Time, key watcher.Key, fault *watcher.CloudError) (p *Failure, byItself bool) {
	p = t.pushes[key]
	if p == nil {
		p = &Failure{Since: now}
		t.pushes[key] = p
		f := t.failures[key.SDKAppID]
		if f == nil {
			f = new(appFailures)
			t.failures[key.SDKAppID] = f
		}
		f.count++
		f.fresh = append(f.fresh, p)
	}
	byItself = p.confirmed
	p.confirmed = !p.Alone.IsZero()
	p.Polled, p.Cause = now, fault
	return p, byItself
}

// observePush records that a push was observed. The failing pushes of its application fail by
// themselves.
func (t *Tracker) observePush(now time.Time, key watcher.Key) {
	t.forgetPush(key)
	f := t.failures[key.SDKAppID]
	if f == nil {
		return
	}
	for _, p := range f.fresh {
		p.Alone = now
	}
	f.fresh = nil
}

// restartPushes sets alone to now for the pushes whose account or application was reported
// as blind until now: that report covers the time before. It is called when a push of app
// is observed.
func (t *Tracker) restartPushes(now time.Time, app int64) {
	whole, v := t.account.reported, t.applications[app]
	if !whole && (v == nil || !v.reported) {
		return
	}
	for key, p := range t.pushes {
		if (whole || key.SDKAppID == app) && !p.Blind && !p.Alone.IsZero() {
			p.Alone = now
		}
	}
}

// forgetPush drops the record of a push.
func (t *Tracker) forgetPush(key watcher.Key) {
	p := t.pushes[key]
	if p == nil {
		return
	}
	delete(t.pushes, key)
	if p.Blind {
		t.blindPushes--
	}
	f := t.failures[key.SDKAppID]
	f.drop(p)
	if f.count--; f.count == 0 {
		delete(t.failures, key.SDKAppID)
	}
}

func (f *appFailures) drop(p *Failure) {
	f.fresh = slices.DeleteFunc(f.fresh, func(q *Failure) bool { return q == p })
}

// reportPush reports a push as blind once it has failed by itself for blindAfter, and only
// while its application and account are visible.
func (t *Tracker) reportPush(changes *transitions, now time.Time, key watcher.Key, p *Failure) {
	if p.Blind || !p.confirmed || now.Sub(p.Alone) < t.blindAfter || !t.Visible(key.SDKAppID) {
		return
	}
	p.Blind = true
	t.blindPushes++
	changes.add(Transition{Kind: Blind, Level: Push, SDKAppID: key.SDKAppID, Key: key, Cause: p.Cause, Since: p.Since, Tasks: 1})
}

// Failure returns the failure of a push; false if the push does not fail.
func (t *Tracker) Failure(key watcher.Key) (Failure, bool) {
	if p := t.pushes[key]; p != nil {
		return *p, true
	}
	return Failure{}, false
}

// BlindAfter is how long a level is invisible before it is reported as blind.
func (t *Tracker) BlindAfter() time.Duration { return t.blindAfter }

// BlindPushes returns how many pushes are blind by themselves.
func (t *Tracker) BlindPushes() int { return t.blindPushes }

// Visible reports whether an application and its account are visible.
func (t *Tracker) Visible(app int64) bool {
	v := t.applications[app]
	return t.account.failing.IsZero() && (v == nil || v.failing.IsZero())
}

// RestorePush records that an earlier process reported a push as blind, whose polls have
// failed since the given time.
func (t *Tracker) RestorePush(key watcher.Key, since, now time.Time) {
	p, _ := t.recordPush(since, key, nil)
	if p.Blind {
		return
	}
	t.failures[key.SDKAppID].drop(p)
	p.Alone, p.Polled, p.confirmed, p.Blind = now, time.Time{}, true, true
	t.blindPushes++
}
