// Package outage knows what cannot be observed: a whole account, one of its
// applications, or a single push. It decides from the results of polls at which of
// these levels a failure lies.
//
// It is pure: it reads no clock, waits for nothing, takes no lock and logs nothing.
// Each call returns the [Transition]s that it caused, for the caller to log, to
// announce and to act on; the caller never lets two goroutines call it at once.
//
// # Levels
//
// A failure counts at the lowest level that explains it, and moves up when all below
// share it. A push that fails while another push of its application is observed fails by
// itself: its failures count for nothing else, so that it never opens a breaker over its
// neighbours.
//
// # Breakers
//
// The account and each application that fails have a breaker, which keeps polls from
// being spent on what does not answer. A failure that says nothing of whose fault it is
// counts for the account, until it shows that only one application fails.
//
// # Isolation
//
// What fails must not take from its neighbours what it does not use well: a request
// that hangs holds its slot of the limiter six times as long as one that is answered
// at once, and a task of which nothing is learnt becomes ever more urgent. So an
// application that fails often is isolated: its tasks wait in a schedule of their own,
// and its requests hold no more of the limiter's slots than it has of the tasks. To the
// others it is then as if it were well. While its breaker is open it has single probes
// alone, and the others have its slots too.
//
// # Visibility
//
// Each level becomes invisible with the first poll that tells nothing after one that
// did, and visible with the first that tells something again. One that was invisible
// for long enough is blind, which is reported once, and so is its end: one transition
// each, however many tasks it concerns.
package outage

import (
	"time"

	"pushwatch/watcher"
)

// A Kind says what a [Transition] changes.
type Kind int

const (
	// Opened: what the transition concerns is polled by single probes from now on.
	Opened Kind = iota
	// Closed: it answers again and is polled as before.
	Closed
	// Isolated: the application's tasks are to be kept apart from those of others.
	Isolated
	// Rejoined: they are not any more.
	Rejoined
	// QuotaUsed: others use the account's quota.
	QuotaUsed
	// Blind: it was invisible for so long that this is to be reported.
	Blind
	// Sighted: what was reported as blind is visible again.
	Sighted
)

// A Level is what a transition concerns.
type Level int

const (
	Account     Level = iota // the whole account
	Application              // the one with the transition's SDKAppID
	Push                     // the one with the transition's Key
)

func (l Level) String() string {
	switch l {
	case Application:
		return "application"
	case Push:
		return "push"
	default:
		return "account"
	}
}

// A Transition is a change that the caller should know of.
type Transition struct {
	Kind     Kind
	Level    Level
	SDKAppID int64               // of an application
	Key      watcher.Key         // of a push
	Cause    *watcher.CloudError // why it cannot be observed, or could not; nil where that is not known
	Since    time.Time           // of Blind and Sighted: since when it was invisible
	Tasks    int                 // live tasks that it concerns
}

// A Tracker tracks the outages of one account. Make it with [New].
type Tracker struct {
	blindAfter time.Duration

	breaker breaker // of the account
	first   culprit // who failed first of the failures in a row that it counts

	live    map[int64]int          // live tasks of each application
	tasks   int                    // of all
	failing map[int64]*application // those that failed recently

	account      visibility
	applications map[int64]*visibility // one that never failed has none

	pushes      map[watcher.Key]*push  // those that fail
	failures    map[int64]*appFailures // of applications with such a push
	blindPushes int                    // those that were reported as blind
}

// A culprit is who may be to blame for failures that do not tell whose fault they are:
// one application, or those that failed together before and have not answered since.
type culprit struct {
	suspects bool
	sdkAppID int64 // where it is not the suspects
}

// New returns a tracker of an account that can be observed. blindAfter is how long a
// level is invisible before it is reported as blind.
func New(blindAfter time.Duration) *Tracker {
	return &Tracker{
		blindAfter: blindAfter, breaker: *newBreaker(transientThreshold),
		live: make(map[int64]int), failing: make(map[int64]*application), applications: make(map[int64]*visibility),
		pushes: make(map[watcher.Key]*push), failures: make(map[int64]*appFailures),
	}
}

// Add counts a live task.
func (t *Tracker) Add(key watcher.Key) {
	t.tasks++
	t.live[key.SDKAppID]++
}

// Remove counts one less.
func (t *Tracker) Remove(key watcher.Key) {
	t.forgetPush(key)
	t.tasks--
	if t.live[key.SDKAppID]--; t.live[key.SDKAppID] <= 0 {
		delete(t.live, key.SDKAppID)
	}
}

// Live returns how many live tasks an application has.
func (t *Tracker) Live(sdkAppID int64) int { return t.live[sdkAppID] }

// Record takes what came of a poll of a task: nil where its answer is an observation,
// else why it tells nothing of the task.
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
	t.hide(now, app, fault)
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

// endProbe records that what may have been a probe of an application told nothing of it.
func (t *Tracker) endProbe(now time.Time, app int64) {
	if x := t.failing[app]; x != nil {
		x.breaker.recordNothing(now)
	}
}

// recordAnswer records that the service answers.
func (t *Tracker) recordAnswer(changes *transitions) {
	if cause := t.breaker.cause; t.breaker.recordSuccess() {
		changes.add(Transition{Kind: Closed, Level: Account, Cause: cause, Tasks: t.tasks})
	}
}

// recordUnexplained records a poll of an application that told nothing, for a reason
// that lies with the whole account or that nobody knows. It is taken to be the account's
// if so many in a row failed, the last of another application than the first, or if there
// is no other that does not fail on its own.
//
// Those that failed then are suspect until they answer: for if another answers a probe,
// the fault may have been theirs. So when they fail together once more, and no other
// does, that counts for each of them.
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

// recordThrottled records a poll of an application that was refused for the quota. The
// quota is the account's; but where one application is refused again and again while
// others are not, it seems to be its own.
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

// others reports whether an application besides this one has live tasks and is not
// known to fail, nor suspect as this one is.
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

// transitions gathers what one call caused.
type transitions []Transition

func (all *transitions) add(change Transition) { *all = append(*all, change) }
