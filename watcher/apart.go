package watcher

import (
	"time"

	"go.uber.org/zap"
)

// An application is one of an account's, some of whose polls of late told nothing:
// the service refuses them, or it fails or hangs in a way that does not tell whose
// fault that is.
//
// What fails must not take from its neighbours what it does not use well. A request
// that hangs holds its slot of the limiter six times as long as one that is answered
// at once, and a task of which nothing is learnt grows ever more urgent. So an
// application that fails often is set apart: its tasks wait in a schedule of their
// own, and its requests hold no more of the limiter's slots than it has of the tasks.
// To the others it is then as if it were well. While its breaker is open it has
// single probes alone, and the others have its slots too.
type application struct {
	breaker
	trouble  int       // grows with each poll that told nothing, falls with each that did
	schedule *schedule // where its tasks wait, once it is set apart; nil: among the others
	slots    int       // of the limiter, that its requests hold
	asked    time.Time // when the newest of them was sent
	suspect  bool      // it failed when the account was last taken to fail, and has not answered since
}

const (
	// An application is set apart with mostTrouble, which so many failures in a row make
	// as open the breaker, and until it has none. A failure outweighs four answers: one
	// that fails more often than every fifth time stays apart.
	mostTrouble = transientThreshold * failureTrouble

	failureTrouble = 4

	// suspects stands for all that are suspect where the id of one application could stand.
	suspects = 0
)

// application returns the record of an application that failed. a.mu is held.
func (a *account) application(id int64) *application {
	x := a.apps[id]
	if x == nil {
		x = &application{breaker: *newBreaker(transientThreshold)}
		a.apps[id] = x
	}
	return x
}

// scheduleOf returns the schedule in which the tasks of an application wait. a.mu is held.
func (a *account) scheduleOf(id int64) *schedule {
	if x := a.apps[id]; x != nil && x.schedule != nil {
		return x.schedule
	}
	return a.schedule
}

// charge notes a failure of an application's own. a.mu is held.
func (a *account) charge(now time.Time, id int64, fault *CloudError) {
	x := a.application(id)
	if fault.Kind == DeniedApplication && !x.open() {
		x.threshold = deniedThreshold
		x.failures = min(x.failures, x.threshold-1) // lest it be open before it opens
	}
	x.trouble = max(x.trouble, min(x.trouble+failureTrouble, mostTrouble))
	opened := x.failed(now, fault)
	if x.schedule == nil && (opened || x.trouble >= mostTrouble) {
		x.schedule = newSchedule(a.schedule.rest, a.schedule.stale)
		x.schedule.hazards, x.schedule.floor = a.schedule.hazards, a.schedule.floor
		a.move(id, a.schedule, x.schedule)
	}
	if !opened {
		return
	}
	x.schedule.floor = 0 // a probe is worth it always
	log := a.log.With(zap.Int64("sdk_app_id", id), zap.Int("tasks", x.schedule.waiting+1), zap.Error(fault))
	if fault.Kind == DeniedApplication {
		log.Error("application is denied: probing")
	} else {
		log.Warn("application cannot be observed, others can: probing")
	}
}

// relieve notes that a poll of an application told something. That may have been luck,
// so it stays apart for a while; and where it could not be observed at all, until about
// each of its tasks had a turn: those have waited for so long that together they would
// go before all others. a.mu is held.
func (a *account) relieve(id int64) {
	x := a.apps[id]
	if x == nil {
		return
	}
	x.suspect = false
	if x.answered() {
		a.log.Info("application can be observed again", zap.Int64("sdk_app_id", id), zap.Int("tasks", x.schedule.waiting+1))
		x.trouble = max(x.trouble, x.schedule.waiting)
		x.schedule.floor = a.schedule.floor
	}
	if x.trouble--; x.trouble > 0 {
		return
	}
	delete(a.apps, id)
	if x.schedule != nil {
		a.move(id, x.schedule, a.schedule)
	}
}

// move has the waiting tasks of an application wait in another schedule. a.mu is held.
func (a *account) move(id int64, from, to *schedule) {
	now := time.Now()
	for key, e := range a.tasks {
		if key.SDKAppID == id && from.holds(e) {
			from.remove(e)
			to.put(e, now)
		}
	}
}

// failed notes a poll of an application that told nothing, for a reason that lies with
// the whole account or that nobody knows. It is taken to be the account's if so many in
// a row failed, the last of another application than the first, or if there is no other
// that does not fail on its own.
//
// Those that failed then are suspect until they answer: for if another answers a probe,
// the fault may have been theirs. So when they fail together once more, and no other
// does, that is charged to each of them. a.mu is held.
func (a *account) failed(now time.Time, id int64, fault *CloudError) {
	x := a.application(id)
	if x.open() {
		a.charge(now, id, fault)
		return
	}
	culprit := id
	if x.suspect {
		culprit = suspects
	}
	if a.whole.failures == 0 {
		a.failing = culprit
	}
	alone := !a.whole.open() && a.whole.failures+1 >= a.whole.threshold && culprit == a.failing && a.others(id)
	switch {
	case !alone && a.whole.failed(now, fault):
		for _, x := range a.apps {
			if x.schedule == nil && !x.suspect {
				x.breaker, x.trouble, x.suspect = *newBreaker(transientThreshold), 0, true
			}
		}
		if fault.Kind == DeniedAccount {
			a.log.Error("account is denied: probing", zap.Error(fault))
		} else {
			a.log.Warn("the service cannot be reached: probing", zap.Error(fault))
		}
	case !a.whole.open():
		a.charge(now, id, fault)
	default:
		x.suspect = true
	}
}

// throttled notes a poll of an application that was refused for the quota. The quota is
// the account's; but where one application is refused again and again while others are
// not, it seems to be its own. a.mu is held.
func (a *account) throttled(now time.Time, id int64, fault *CloudError) {
	a.reached()
	x := a.apps[id]
	own := x != nil && x.open()
	if own || a.others(id) {
		a.charge(now, id, fault)
	}
	if !own && a.limiter.Throttled(now) {
		a.log.Warn("others use the account's quota: polling slower", zap.Float64("requests_per_second", a.limiter.Rate()), zap.String("error", fault.Code))
	}
}

// others reports whether an application besides this one has live tasks and is not
// known to fail, nor suspect as this one is. a.mu is held.
func (a *account) others(id int64) bool {
	this := a.apps[id]
	suspect := this != nil && this.suspect
	for key := range a.tasks {
		if x := a.apps[key.SDKAppID]; key.SDKAppID != id && (x == nil || !x.open() && !(suspect && x.suspect)) {
			return true
		}
	}
	return false
}

// crowd is how many tasks wait that share the limit. a.mu is held.
func (a *account) crowd() int {
	n := a.schedule.waiting
	for _, x := range a.apps {
		if x.schedule != nil && !x.open() {
			n += x.schedule.waiting
		}
	}
	return max(1, n)
}

// rate is how many polls a second are granted to the tasks of a schedule. a.mu is held.
func (a *account) rate(s *schedule) float64 {
	return a.limiter.Rate() * float64(max(1, s.waiting)) / float64(max(s.waiting, a.crowd()))
}

// A turn is when an application set apart may be polled next.
type turn struct {
	of    *application
	at    time.Time
	since time.Time // from when on it could have been, but for the other applications
	minor bool      // it has no slot for itself alone
}

// turnOfApart returns the application set apart that is to be polled next, if any.
// One whose share of the slots is less than one, or that is probed, is minor. The minor
// ones are polled in turn, the one first that has waited longest, and have together
// what their shares make, or a poll every [firstProbe] where that is more. So where more
// than thirty are probed, or the limit is low, each is probed less often than every 15 s,
// as it would be alone. a.mu is held.
func (a *account) turnOfApart(now time.Time) (next turn) {
	crowd := a.crowd()
	share := func(x *application) int {
		if x.open() {
			return 0
		}
		return int(a.RequestsPerSecond * float64(x.schedule.waiting) / float64(crowd))
	}
	minors := 0
	for _, x := range a.apps {
		if x.schedule != nil && !x.open() && share(x) == 0 {
			minors += x.schedule.waiting
		}
	}
	every := firstProbe
	if minors > 0 {
		every = min(every, time.Duration(float64(time.Second)*float64(crowd)/float64(minors)/a.limiter.Rate()))
	}
	for _, x := range a.apps {
		if x.schedule == nil || !x.open() && (a.whole.open() || x.slots >= max(1, share(x))) {
			continue // not before a slot is free
		}
		free, ok := x.schedule.next(now)
		if !ok {
			continue
		}
		t := turn{of: x, since: x.asked, minor: share(x) == 0}
		if x.open() {
			_, t.since = x.allows(now)
		}
		t.at = later(t.since, free)
		if t.minor {
			t.at = later(t.at, a.probed.Add(every))
		}
		if next.of == nil || t.at.Before(next.at) || t.at.Equal(next.at) && t.since.Before(next.since) {
			next = t
		}
	}
	return next
}

// takeApart takes a task of an application set apart whose turn it is; nil: it is
// nobody's. a.mu is held.
func (a *account) takeApart(now time.Time) *entry {
	t := a.turnOfApart(now)
	if t.of == nil || t.at.After(now) {
		return nil
	}
	e := t.of.schedule.take(now, a.rate(t.of.schedule))
	if e != nil && t.minor {
		a.probed, a.yields = now, true
	}
	return e
}

// probe returns a task that tells whether the account can be observed again: of the
// application that was asked longest ago, among those that do not fail on their own, and
// of one that is not suspect where there is one; nil: there is none now. a.mu is held.
func (a *account) probe() (probe *entry) {
	suspect := true
	for key, e := range a.tasks {
		x := a.apps[key.SDKAppID]
		if e.polling || x != nil && x.open() {
			continue
		}
		s := x != nil && x.suspect
		if probe == nil || suspect && !s || suspect == s && a.probes[key.SDKAppID].Before(a.probes[probe.key.SDKAppID]) {
			probe, suspect = e, s
		}
	}
	return probe
}
