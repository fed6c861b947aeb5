// Package outage tracks what cannot be observed: an account, one of its applications, or a
// single push. It decides from the results of polls at which of these levels a failure lies.
//
// It is pure: no clock, lock or log. Each call returns the [Transition]s that it caused, for
// the caller to log, announce and act on. Calls must not be concurrent.
//
// # Levels
//
// A poll succeeds if it observes the push, and fails otherwise. A failure counts at the
// lowest level that explains it, and moves up when all below share it. A push that fails
// while another push of its application is observed fails by itself: its failures do not
// count for its application, so that it never opens a breaker over its neighbours.
//
// # Breakers
//
// The account and each failing application have a breaker, which saves the polls of what
// does not answer. A failure whose level is not known counts for the account, until it
// shows that only one application fails.
//
// # Isolation
//
// A failing application is a noisy neighbour: a request that hangs holds its slot of the
// limiter six times as long as one that is answered at once, and tasks that are not
// observed become ever more urgent. So an application that fails often is isolated: its
// tasks have a schedule of their own, and its share of the limiter's slots is its share of
// the tasks. While its breaker is open it gets single probes, and the others use its slots.
//
// # Visibility
//
// A level is invisible from the first failure after a success until the next success. One
// that is invisible for the time given to [New] is blind. Its beginning and its end are
// reported by one transition each, however many tasks it has.
package outage

import (
	"time"

	"pushwatch/watcher"
)

// A Kind is what happened at a [Level].
type Kind int

// The kinds of transitions.
const (
	Opened    Kind = iota // the breaker opened: only probes are sent
	Closed                // the breaker closed
	Isolated              // the application's tasks need a schedule of their own
	Rejoined              // the application is no longer isolated
	QuotaUsed             // others use the account's quota
	Blind                 // it was invisible for long enough to be reported
	Sighted               // it was reported as blind and is visible again
)

// A Level is where a failure lies.
type Level int

const (
	Account     Level = iota // the whole account
	Application              // the one with the transition's SDKAppID
	Push                     // the one with the transition's Key
)

func (l Level) String() string { return []string{"account", "application", "push"}[l] }

// A Transition is a change that the caller must handle.
type Transition struct {
	Kind     Kind
	Level    Level
	SDKAppID int64               // of an application
	Key      watcher.Key         // of a push
	Cause    *watcher.CloudError // latest failure; nil: not known
	Since    time.Time           // when it became invisible; Blind and Sighted only
	Tasks    int                 // live tasks at this level
}

// A Tracker tracks the outages of one account. Make it with [New].
type Tracker struct {
	blindAfter time.Duration

	breaker breaker // of the account
	first   culprit // of the first of the failures that the breaker counts

	live    map[int64]int // live tasks by application
	tasks   int           // all live tasks
	failing map[int64]*application

	account      visibility
	applications map[int64]*visibility // missing: visible

	pushes      map[watcher.Key]*Failure // the failing ones
	failures    map[int64]*appFailures
	blindPushes int // pushes reported as blind
}

// A culprit is who may cause failures whose level is not known: one application, or all
// suspects together.
type culprit struct {
	suspects bool
	sdkAppID int64 // 0: the suspects
}

// New returns a tracker of a visible account. A level that is invisible for blindAfter is
// reported as blind.
func New(blindAfter time.Duration) *Tracker {
	return &Tracker{
		blindAfter: blindAfter, breaker: *newBreaker(transientThreshold),
		live: make(map[int64]int), failing: make(map[int64]*application), applications: make(map[int64]*visibility),
		pushes: make(map[watcher.Key]*Failure), failures: make(map[int64]*appFailures),
	}
}

// Add adds a live task.
func (t *Tracker) Add(key watcher.Key) {
	t.tasks++
	t.live[key.SDKAppID]++
}

// Remove removes a live task.
func (t *Tracker) Remove(key watcher.Key) {
	t.forgetPush(key)
	t.tasks--
	if t.live[key.SDKAppID]--; t.live[key.SDKAppID] <= 0 {
		delete(t.live, key.SDKAppID)
	}
}

// Record records the result of a poll: nil for an observation, else why there is none.
func (t *Tracker) Record(now time.Time, key watcher.Key, fault *watcher.CloudError) []Transition {
	app := key.SDKAppID
	var changes transitions
	if fault == nil {
		t.recordAnswer(&changes)
		t.observePush(now, key)
		t.observe(&changes, now, app)
		t.recordSuccess(&changes, app)
		return changes
	}
	if p, byItself := t.recordPush(now, key, fault); byItself && fault.Kind != watcher.Throttled {
		if fault.Kind == watcher.Refused || fault.Kind == watcher.DeniedApplication {
			t.recordAnswer(&changes)
		} else {
			t.breaker.recordNothing(now)
		}
		t.endProbe(now, app)
		t.reportPush(&changes, now, key, p)
		return changes
	}
	t.markInvisible(now, app, fault)
	switch fault.Kind {
	case watcher.Throttled:
		t.recordThrottled(&changes, now, app, fault)
	case watcher.DeniedApplication, watcher.Refused:
		t.recordAnswer(&changes)
		t.recordFailure(&changes, now, app, fault)
	default:
		t.recordUnexplained(&changes, now, app, fault)
	}
	t.endProbe(now, app)
	return changes
}

// endProbe ends a probe of an application that neither succeeded nor failed.
func (t *Tracker) endProbe(now time.Time, app int64) {
	if x := t.failing[app]; x != nil {
		x.breaker.recordNothing(now)
	}
}

// recordAnswer records that the service answered, which closes the account's breaker.
func (t *Tracker) recordAnswer(changes *transitions) {
	if cause := t.breaker.cause; t.breaker.recordSuccess() {
		changes.add(Transition{Kind: Closed, Level: Account, Cause: cause, Tasks: t.tasks})
	}
}

// recordUnexplained records a failure whose level is not known, or that lies with the
// account. It counts for the account's breaker. The last failure before that opens must be
// of another application than the first, unless no other application works: else it counts
// for its application.
//
// When the account's breaker opens, the applications that failed become suspects until
// they succeed: if another application answers the probe, the fault may have been theirs.
// The suspects then count as one culprit, so that the next outage which only they share
// counts for each of them.
func (t *Tracker) recordUnexplained(changes *transitions, now time.Time, app int64, fault *watcher.CloudError) {
	x := t.application(app)
	if x.breaker.open() {
		t.recordFailure(changes, now, app, fault)
		return
	}
	who := culprit{sdkAppID: app}
	if x.suspect {
		who = culprit{suspects: true}
	}
	if t.breaker.failures == 0 {
		t.first = who
	}
	open := t.breaker.open()
	alone := !open && t.breaker.failures+1 >= t.breaker.threshold && who == t.first && t.others(app)
	switch {
	case !alone && t.breaker.recordFailure(now, fault):
		for _, x := range t.failing {
			if !x.isolated && !x.suspect {
				*x = application{breaker: *newBreaker(transientThreshold), suspect: true}
			}
		}
		changes.add(Transition{Kind: Opened, Level: Account, Cause: fault, Tasks: t.tasks})
	case !open:
		t.recordFailure(changes, now, app, fault)
	default:
		x.suspect = true
	}
}

// recordThrottled records that a poll of an application was throttled. The quota is the
// account's, but an application that alone is throttled again and again seems to have its
// own.
func (t *Tracker) recordThrottled(changes *transitions, now time.Time, app int64, fault *watcher.CloudError) {
	t.recordAnswer(changes)
	x := t.failing[app]
	own := x != nil && x.breaker.open()
	if own || t.others(app) {
		t.recordFailure(changes, now, app, fault)
	}
	if !own {
		changes.add(Transition{Kind: QuotaUsed, Level: Account, Cause: fault, Tasks: t.tasks})
	}
}

// others reports whether another application has live tasks, a closed breaker, and is not
// a suspect as this one is.
func (t *Tracker) others(app int64) bool {
	this := t.failing[app]
	suspect := this != nil && this.suspect
	for other := range t.live {
		if x := t.failing[other]; other != app && (x == nil || !x.breaker.open() && !(suspect && x.suspect)) {
			return true
		}
	}
	return false
}

// transitions are what one call caused.
type transitions []Transition

func (all *transitions) add(change Transition) { *all = append(*all, change) }
