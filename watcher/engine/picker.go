package engine

import (
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/limit"
	"pushwatch/watcher/outage"
	"pushwatch/watcher/schedule"
)

// A picker chooses the task of an account that is polled next: from the shared schedule, from
// that of an isolated application, or, while the account's breaker is open, as its probe.
type picker struct {
	tasks   map[watcher.Key]*task // every live task, waiting or being polled
	outages *outage.Tracker
	limiter *limit.Limiter
	hazards *schedule.Hazards
	config  schedule.Config

	shared   *schedule.Schedule
	isolated map[int64]*isolated // by application

	rationedAt    time.Time           // last poll of a rationed application
	afterRationed bool                // that was the last poll: the next goes to the shared schedule
	probed        map[int64]time.Time // last probe of the account, by application
}

// An isolated is an application whose tasks have a schedule of their own.
type isolated struct {
	schedule *schedule.Schedule
	lastSent time.Time // when its latest request was sent
}

func newPicker(cfg schedule.Config, outages *outage.Tracker, limiter *limit.Limiter) picker {
	hazards := schedule.NewHazards()
	return picker{
		tasks: make(map[watcher.Key]*task), outages: outages, limiter: limiter, hazards: hazards, config: cfg,
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

// put schedules a task's next poll.
func (p *picker) put(t *task, now time.Time) { p.scheduleOf(t.Key.SDKAppID).Put(&t.Entry, now) }

// remove removes a task from its schedule.
func (p *picker) remove(t *task) { p.scheduleOf(t.Key.SDKAppID).Remove(&t.Entry) }

// waits reports whether a task's next poll is scheduled.
func (p *picker) waits(t *task) bool { return p.scheduleOf(t.Key.SDKAppID).Holds(&t.Entry) }

// isolate gives the tasks of an application a schedule of their own.
func (p *picker) isolate(app int64, now time.Time) {
	x := &isolated{schedule: schedule.New(p.config, p.hazards)}
	p.move(app, p.shared, x.schedule, now)
	p.isolated[app] = x
}

// rejoin moves the tasks of an application back to the shared schedule.
func (p *picker) rejoin(app int64, now time.Time) {
	p.move(app, p.isolated[app].schedule, p.shared, now)
	delete(p.isolated, app)
}

// move moves the waiting tasks of an application to another schedule.
func (p *picker) move(app int64, from, to *schedule.Schedule, now time.Time) {
	for key, t := range p.tasks {
		if key.SDKAppID == app && from.Holds(&t.Entry) {
			from.Remove(&t.Entry)
			to.Put(&t.Entry, now)
		}
	}
}

// next returns when a task may be polled, apart from the limit; not after now: at once. It
// returns false if there is no task.
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

// take removes and returns the task to poll now; nil: none.
func (p *picker) take(now time.Time) *task {
	t := p.choose(now)
	if t == nil {
		return nil
	}
	app := t.Key.SDKAppID
	p.outages.Sent(app)
	if x := p.isolated[app]; x != nil {
		x.lastSent = now
	}
	return t
}

// choose takes the task to poll from its schedule. Isolated applications go first, since
// their polls are few or bounded. After a rationed one the shared schedule has its turn.
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

// takeShared takes a task from the shared schedule, or the account's probe while its breaker
// is open.
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

// taskOf returns the task of an entry, which may be nil.
func (p *picker) taskOf(e *schedule.Entry) *task {
	if e == nil {
		return nil
	}
	return p.tasks[e.Key]
}

// probe returns the task to probe the account with; nil: none. It takes none whose application
// has an open breaker. It prefers, in this order, one that neither belongs to a suspect
// application nor is known to fail by itself, since those prove nothing; one of the application
// that probed longest ago; and one that does not fail yet.
func (p *picker) probe() (probe *task) {
	var doubtful, failing bool
	for key, t := range p.tasks {
		if t.polling || p.open(key.SDKAppID) {
			continue
		}
		failure, f := p.outages.Failure(key)
		d := p.outages.Suspect(key.SDKAppID) || !failure.Alone.IsZero() || t.memory().Blind != nil
		better := probe == nil
		switch {
		case better:
		case d != doubtful:
			better = doubtful
		case key.SDKAppID != probe.Key.SDKAppID:
			better = p.probed[key.SDKAppID].Before(p.probed[probe.Key.SDKAppID])
		default:
			better = failing && !f
		}
		if better {
			probe, doubtful, failing = t, d, f
		}
	}
	return probe
}

// open reports whether the breaker of an application is open.
func (p *picker) open(app int64) bool { return p.outages.ApplicationPermission(time.Time{}, app).Open }

// sharing returns how many waiting tasks share the limit.
func (p *picker) sharing() int {
	n := p.shared.Waiting()
	for app, x := range p.isolated {
		if !p.open(app) {
			n += x.schedule.Waiting()
		}
	}
	return max(1, n)
}

// rate returns a schedule's share of the polls per second.
func (p *picker) rate(s *schedule.Schedule) float64 {
	return p.limiter.Rate() * float64(max(1, s.Waiting())) / float64(max(s.Waiting(), p.sharing()))
}

// A turn is when an isolated application may be polled next.
type turn struct {
	of       *isolated
	app      int64
	probes   bool // its breaker is open
	at       time.Time
	since    time.Time // when it could have been, but for other applications
	rationed bool      // its share of the limiter's slots is less than one
}

// turnOfIsolated returns the isolated application to poll next, if any. An application is
// rationed while its share of the slots is less than one or its breaker is open. The rationed
// ones take turns, the longest waiting first. Together they get the sum of their shares, or
// one poll every [outage.FirstProbe] if that is more. So with more than thirty open breakers,
// or a low limit, an application is probed less often than every 15 s.
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
		t := turn{of: x, app: app, probes: permission.Open, since: x.lastSent, rationed: share(x, permission.Open) == 0}
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

// rationedInterval returns the time between two polls of rationed applications.
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

// takeIsolated takes a task of the isolated application whose turn it is; nil: none.
func (p *picker) takeIsolated(now time.Time) *task {
	turn := p.turnOfIsolated(now)
	if turn.of == nil || turn.at.After(now) {
		return nil
	}
	var t *task
	if turn.probes {
		t = p.takeProbe(turn.app, now)
	}
	if t == nil {
		t = p.taskOf(turn.of.schedule.Take(now, p.rate(turn.of.schedule)))
	}
	if t != nil && turn.rationed {
		p.rationedAt, p.afterRationed = now, true
	}
	return t
}

// takeProbe takes the task that an isolated application is probed with: one that somebody
// waits for or, of those that do not fail, the one asked longest ago. Probes of pushes that
// are known to fail would not show whether the others do; nil: there is no other.
func (p *picker) takeProbe(app int64, now time.Time) (probe *task) {
	for key, t := range p.tasks {
		if key.SDKAppID != app || !p.waits(t) {
			continue
		}
		if t.Urgent {
			probe = nil
			break
		}
		_, fails := p.outages.Failure(key)
		if fails || t.NotBefore > watcher.TickOf(now) {
			continue
		}
		if probe == nil || t.Asked < probe.Asked {
			probe = t
		}
	}
	if probe != nil {
		p.remove(probe)
	}
	return probe
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
