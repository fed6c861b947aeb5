package engine

import (
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/limit"
	"pushwatch/watcher/outage"
	"pushwatch/watcher/schedule"
)

// A picker chooses the task of an account that is polled next: from the schedule of the
// tasks that share it, or from that of an application that is isolated; or, while the
// account cannot be observed, the one to probe it with.
type picker struct {
	tasks   map[watcher.Key]*task // every live task, those too that are being polled
	outages *outage.Tracker
	limiter *limit.Limiter
	hazards *schedule.Hazards
	config  schedule.Config

	shared   *schedule.Schedule
	isolated map[int64]*isolated // applications whose tasks are kept apart

	rationedAt    time.Time           // when a rationed one of these was polled last
	afterRationed bool                // that was the last poll, so the next is for another
	probed        map[int64]time.Time // when an application was last asked whether the account can be observed again
}

// An isolated is an application whose tasks have a schedule of their own.
type isolated struct {
	schedule *schedule.Schedule
	asked    time.Time // when its newest request was sent
}

func newPicker(cfg schedule.Config, hazards *schedule.Hazards, tasks map[watcher.Key]*task, outages *outage.Tracker, limiter *limit.Limiter) *picker {
	return &picker{
		tasks: tasks, outages: outages, limiter: limiter, hazards: hazards, config: cfg,
		shared: schedule.New(cfg, hazards), isolated: make(map[int64]*isolated), probed: make(map[int64]time.Time),
	}
}

// scheduleOf returns the schedule in which the tasks of an application wait.
func (p *picker) scheduleOf(app int64) *schedule.Schedule {
	if x := p.isolated[app]; x != nil {
		return x.schedule
	}
	return p.shared
}

// put makes a task wait for its next poll.
func (p *picker) put(t *task, now time.Time) { p.scheduleOf(t.Key.SDKAppID).Put(&t.Entry, now) }

// remove takes a task from where it waits.
func (p *picker) remove(t *task) { p.scheduleOf(t.Key.SDKAppID).Remove(&t.Entry) }

// waits reports whether a task waits for its next poll.
func (p *picker) waits(t *task) bool { return p.scheduleOf(t.Key.SDKAppID).Holds(&t.Entry) }

// isolate gives the tasks of an application a schedule of their own.
func (p *picker) isolate(app int64, now time.Time) {
	x := &isolated{schedule: schedule.New(p.config, p.hazards)}
	p.move(app, p.shared, x.schedule, now)
	p.isolated[app] = x
}

// rejoin ends that.
func (p *picker) rejoin(app int64, now time.Time) {
	p.move(app, p.isolated[app].schedule, p.shared, now)
	delete(p.isolated, app)
}

// move makes the waiting tasks of an application wait in another schedule.
func (p *picker) move(app int64, from, to *schedule.Schedule, now time.Time) {
	for key, t := range p.tasks {
		if key.SDKAppID == app && from.Holds(&t.Entry) {
			from.Remove(&t.Entry)
			to.Put(&t.Entry, now)
		}
	}
}

// next returns when a task may be polled, as far as that does not depend on the limit:
// not after now, where one may be at once. It returns false where there is none.
func (p *picker) next(now time.Time) (at time.Time, ok bool) {
	if account := p.outages.Permission(now); !account.Open {
		at, ok = p.shared.Next(now)
	} else if p.probe() != nil {
		at, ok = account.At, true
	}
	if turn := p.turnOfIsolated(now); turn.of != nil && (!ok || turn.at.Before(at)) {
		at, ok = turn.at, true
	}
	return at, ok
}

// take removes the task to poll now from where it waits; nil: none may be polled.
func (p *picker) take(now time.Time) *task {
	t := p.choose(now)
	if t == nil {
		return nil
	}
	app := t.Key.SDKAppID
	p.outages.Sent(app)
	if x := p.isolated[app]; x != nil {
		x.asked = now
	}
	return t
}

// choose takes a task from where it waits. Those of isolated applications go first, for
// they are few or bounded; but after a rationed one the next poll is for one that is not
// isolated.
func (p *picker) choose(now time.Time) *task {
	if p.afterRationed {
		p.afterRationed = false
		if t := p.takeShared(now); t != nil {
			return t
		}
	}
	if t := p.takeIsolated(now); t != nil {
		return t
	}
	return p.takeShared(now)
}

// takeShared takes a task that is not isolated, or, while the account cannot be
// observed, the one to probe it with.
func (p *picker) takeShared(now time.Time) *task {
	account := p.outages.Permission(now)
	if !account.Open {
		return p.taskOf(p.shared.Take(now, p.rate(p.shared)))
	}
	if account.At.After(now) {
		return nil
	}
	t := p.probe()
	if t == nil {
		return nil
	}
	p.remove(t)
	t.Urgent = false
	p.probed[t.Key.SDKAppID] = now
	p.outages.Probed()
	return t
}

// taskOf returns the task of an entry.
func (p *picker) taskOf(e *schedule.Entry) *task {
	if e == nil {
		return nil
	}
	return p.tasks[e.Key]
}

// probe returns a task that tells whether the account can be observed again: of the
// application that was asked longest ago, among those that do not fail on their own, and
// of one that is not suspect where there is one; nil: there is none now. A push that is
// blind by itself tells nothing, so it counts as suspect.
func (p *picker) probe() (probe *task) {
	suspect := true
	for key, t := range p.tasks {
		if t.polling || p.open(key.SDKAppID) {
			continue
		}
		s := p.outages.Suspect(key.SDKAppID) || t.memory().Blind != nil
		if probe == nil || suspect && !s || suspect == s && p.probed[key.SDKAppID].Before(p.probed[probe.Key.SDKAppID]) {
			probe, suspect = t, s
		}
	}
	return probe
}

// open reports whether the breaker of an application is open.
func (p *picker) open(app int64) bool { return p.outages.ApplicationPermission(time.Time{}, app).Open }

// sharing is how many tasks wait that share the limit.
func (p *picker) sharing() int {
	n := p.shared.Waiting()
	for app, x := range p.isolated {
		if !p.open(app) {
			n += x.schedule.Waiting()
		}
	}
	return max(1, n)
}

// rate is how many polls a second are granted to the tasks of a schedule.
func (p *picker) rate(s *schedule.Schedule) float64 {
	return p.limiter.Rate() * float64(max(1, s.Waiting())) / float64(max(s.Waiting(), p.sharing()))
}

// A turn is when an isolated application may be polled next.
type turn struct {
	of       *isolated
	at       time.Time
	since    time.Time // from when on it could have been, but for the other applications
	rationed bool      // it has no slot for itself alone
}

// turnOfIsolated returns the isolated application that is to be polled next, if any.
// One whose share of the slots is less than one, or that is probed, is rationed. The rationed
// ones are polled in turn, the one first that has waited longest, and have together
// what their shares make, or a poll every [outage.FirstProbe] where that is more. So
// where more than thirty are probed, or the limit is low, each is probed less often
// than every 15 s, as it would be alone.
func (p *picker) turnOfIsolated(now time.Time) (next turn) {
	if len(p.isolated) == 0 {
		return turn{}
	}
	sharing := p.sharing()
	share := func(x *isolated, open bool) int {
		if open {
			return 0
		}
		return int(p.limiter.Limit() * float64(x.schedule.Waiting()) / float64(sharing))
	}
	every := p.rationedInterval(sharing, share)
	account := p.outages.Permission(now)
	for app, x := range p.isolated {
		permission := p.outages.ApplicationPermission(now, app)
		if !permission.Open && account.Open {
			continue
		}
		free, ok := x.schedule.Next(now)
		if !ok {
			continue
		}
		if held, at := p.limiter.Held(now, app); !permission.Open && held >= max(1, share(x, permission.Open)) {
			if at.IsZero() {
				continue // its requests are under way
			}
			free = later(free, at)
		}
		t := turn{of: x, since: x.asked, rationed: share(x, permission.Open) == 0}
		if permission.Open {
			t.since = permission.At
		}
		t.at = later(t.since, free)
		if t.rationed {
			t.at = later(t.at, p.rationedAt.Add(every))
		}
		if next.of == nil || t.at.Before(next.at) || t.at.Equal(next.at) && t.since.Before(next.since) {
			next = t
		}
	}
	return next
}

// rationedInterval is the time between two polls of rationed applications.
func (p *picker) rationedInterval(sharing int, share func(x *isolated, open bool) int) time.Duration {
	waiting := 0
	for app, x := range p.isolated {
		if open := p.open(app); !open && share(x, open) == 0 {
			waiting += x.schedule.Waiting()
		}
	}
	if waiting == 0 {
		return outage.FirstProbe
	}
	return min(outage.FirstProbe, time.Duration(float64(time.Second)*float64(sharing)/float64(waiting)/p.limiter.Rate()))
}

// takeIsolated takes a task of an isolated application whose turn it is; nil: it is
// nobody's.
func (p *picker) takeIsolated(now time.Time) *task {
	turn := p.turnOfIsolated(now)
	if turn.of == nil || turn.at.After(now) {
		return nil
	}
	t := p.taskOf(turn.of.schedule.Take(now, p.rate(turn.of.schedule)))
	if t != nil && turn.rationed {
		p.rationedAt, p.afterRationed = now, true
	}
	return t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
