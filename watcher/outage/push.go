package outage

import (
	"slices"
	"time"

	"pushwatch/watcher"
)

// A push is one whose recent polls told nothing. One that never failed, or was observed
// since, has no record.
type push struct {
	since  time.Time           // of the first of these polls
	polled time.Time           // and of the newest
	cause  *watcher.CloudError // of the newest

	// alone is since when the push is known to fail by itself: when another push of its
	// application was first observed while this one failed. Zero: the fault may be its
	// application's.
	alone     time.Time
	confirmed bool // it failed again since then
	reported  bool // as blind
}

// An appFailures counts the failing pushes of one application.
type appFailures struct {
	count int
	fresh []*push // those that failed since a push of the application was last observed
}

// recordPush records that a poll of a push told nothing. It reports whether the push is
// known to fail by itself, so that the failure says nothing of its application or account.
func (t *Tracker) recordPush(now time.Time, key watcher.Key, fault *watcher.CloudError) (p *push, byItself bool) {
	p = t.pushes[key]
	if p == nil {
		p = &push{since: now}
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
	p.confirmed = !p.alone.IsZero()
	p.polled, p.cause = now, fault
	return p, byItself
}

// observePush records that a push was observed: what fails in its application beside it
// fails by itself.
func (t *Tracker) observePush(now time.Time, key watcher.Key) {
	t.forgetPush(key)
	f := t.failures[key.SDKAppID]
	if f == nil {
		return
	}
	for _, p := range f.fresh {
		p.alone = now
	}
	f.fresh = nil
}

// restartPushes starts the count again of how long pushes fail by themselves, where their
// account or application was reported as blind until now: nothing was learnt
// of them, and the report covers them. It is called when a push of app is observed.
func (t *Tracker) restartPushes(now time.Time, app int64) {
	whole, v := t.account.reported, t.applications[app]
	if !whole && (v == nil || !v.reported) {
		return
	}
	for key, p := range t.pushes {
		if (whole || key.SDKAppID == app) && !p.reported && !p.alone.IsZero() {
			p.alone = now
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
	if p.reported {
		t.blindPushes--
	}
	f := t.failures[key.SDKAppID]
	f.drop(p)
	if f.count--; f.count == 0 {
		delete(t.failures, key.SDKAppID)
	}
}

// drop takes a push from the fresh ones.
func (f *appFailures) drop(p *push) {
	if i := slices.Index(f.fresh, p); i >= 0 {
		f.fresh = slices.Delete(f.fresh, i, i+1)
	}
}

// reportPush adds the transition that reports a push as blind: when it has failed by
// itself for long enough, and only while its application and account are visible.
func (t *Tracker) reportPush(changes *transitions, now time.Time, key watcher.Key, p *push) {
	if p.reported || !p.confirmed || now.Sub(p.alone) < t.blindAfter || !t.visible(key.SDKAppID) {
		return
	}
	p.reported = true
	t.blindPushes++
	changes.add(Transition{Kind: Blind, Level: Push, SDKAppID: key.SDKAppID, Key: key, Cause: p.cause, Since: p.since, Tasks: 1})
}

// visible reports whether an application and its account can be observed.
func (t *Tracker) visible(app int64) bool {
	v := t.applications[app]
	return t.account.failing.IsZero() && (v == nil || v.failing.IsZero())
}

// A Failure is what is known of a push whose recent polls told nothing.
type Failure struct {
	Since  time.Time           // of the first of these polls
	Polled time.Time           // and of the newest
	Cause  *watcher.CloudError // of the newest; nil where that was before this process began
	Blind  bool                // it was reported as blind by itself
	Alone  time.Time           // since when it is known to fail by itself; zero: it is not
}

// Failure returns what is known of a push whose recent polls told nothing; false: it was
// observed, or not polled yet.
func (t *Tracker) Failure(key watcher.Key) (Failure, bool) {
	p := t.pushes[key]
	if p == nil {
		return Failure{}, false
	}
	return Failure{Since: p.since, Polled: p.polled, Cause: p.cause, Blind: p.reported, Alone: p.alone}, true
}

// BlindAfter is how long a level is invisible before it is reported as blind.
func (t *Tracker) BlindAfter() time.Duration { return t.blindAfter }

// BlindPushes returns how many pushes are blind by themselves.
func (t *Tracker) BlindPushes() int { return t.blindPushes }

// Visible reports whether the application of a push, and its account, can be observed.
func (t *Tracker) Visible(key watcher.Key) bool { return t.visible(key.SDKAppID) }

// RestorePush records that a push, whose polls tell nothing since a time, was reported as
// blind before this process began.
func (t *Tracker) RestorePush(key watcher.Key, since, now time.Time) {
	p, _ := t.recordPush(since, key, nil)
	if p.reported {
		return
	}
	t.failures[key.SDKAppID].drop(p)
	p.alone, p.polled, p.confirmed, p.reported = now, time.Time{}, true, true
	t.blindPushes++
}
