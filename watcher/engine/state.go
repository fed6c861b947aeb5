package engine

import (
	"maps"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/limit"
	"pushwatch/watcher/loop"
	"pushwatch/watcher/outage"
	"pushwatch/watcher/schedule"
)

// A state is the mutable part of an account. Its methods read no clock, take no lock and log
// nothing: [account.with] is the only access to it.
type state struct {
	picker // with the tasks, their outages, hazards and limiter

	hurried  map[watcher.Key]time.Time // when tasks were asked for ahead of their turn, in about the last hurryOnce
	pruned   time.Time                 // when older ones were last dropped from hurried
	tally    tally                     // of the tasks
	lateness schedule.Lateness
	sent     meter     // requests
	lastTurn time.Time // last turn of the loop; zero: none yet

	unwritable loop.Condition  // the store takes no writes
	unreadable loop.Condition  // the store cannot be read to save a change
	overloaded loop.Condition  // the limit does not allow to poll every task often enough
	pending    []watcher.Event // announcements to save
}

func newState(p *plan, perSecond float64) state {
	cfg := schedule.Config{MinInterval: p.MinInterval, MaxStaleness: p.MaxStaleness, Thrift: p.Thrift}
	return state{
		picker:  newPicker(cfg, outage.New(p.BlindAfter), limit.New(perSecond)),
		hurried: make(map[watcher.Key]time.Time),
		tally:   newTally(),
	}
}

// adopt adds a live task, or updates it to what is saved.
func (s *state) adopt(t watcher.Task, now time.Time) {
	e := s.tasks[t.Key]
	if e != nil && !e.polling && e.registeredAgain(&t) {
		s.drop(t.Key)
		e = nil
	}
	switch {
	case e == nil:
		t.Anchor(now)
		e = newTask(&t)
		s.tasks[t.Key] = e
		s.tally.add(e, 1)
		s.outages.Add(t.Key)
		if t.Memory.Blind != nil {
			s.outages.RestorePush(t.Key, watcher.Anchored(t.Memory.Blind.Error.Since, now), now)
		}
		s.picker.put(e, now)
	case e.polling:
		e.removed, e.stale = false, e.stale || t.Version > int64(e.version)
	default:
		s.picker.remove(e)
		if t.Version > int64(e.version) {
			s.update(e, func() { e.refresh(&t, now) })
		}
		s.picker.put(e, now)
	}
}

// drop removes a task, after its poll if one is under way.
func (s *state) drop(key watcher.Key) {
	switch e := s.tasks[key]; {
	case e == nil:
	case e.polling:
		e.removed = true
	default:
		s.picker.remove(e)
		s.forget(e)
	}
}

// update changes a live task.
func (s *state) update(e *task, change func()) {
	s.tally.add(e, -1)
	change()
	s.tally.add(e, 1)
}

func (s *state) forget(e *task) {
	delete(s.tasks, e.Key)
	s.tally.add(e, -1)
	s.outages.Remove(e.Key)
}

// hurry makes a live task the next to be polled, at most once in [hurryOnce], so that repeated
// requests cannot use up the quota.
func (s *state) hurry(key watcher.Key, now time.Time) {
	e := s.tasks[key]
	if last, ok := s.hurried[key]; e == nil || e.Urgent || ok && now.Sub(last) < hurryOnce {
		return
	}
	if now.Sub(s.pruned) >= hurryOnce {
		maps.DeleteFunc(s.hurried, func(_ watcher.Key, last time.Time) bool { return now.Sub(last) >= hurryOnce })
		s.pruned = now
	}
	s.hurried[key] = now
	s.picker.scheduleOf(key.SDKAppID).Hurry(&e.Entry, now)
}

// take returns the task to poll now, with a permit; or nil, and when to ask again.
func (s *state) take(now time.Time) (t *task, permit limit.Permit, again time.Time) {
	again = now.Add(turnTime)
	at, ok := s.picker.next(now)
	if !ok || at.After(now) {
		return nil, 0, earlier(again, at, ok)
	}
	if at, ok := s.limiter.Next(now); !ok || at.After(now) {
		return nil, 0, earlier(again, at, ok)
	}
	if t = s.picker.take(now); t == nil {
		return nil, 0, now.Add(noneTaken)
	}
	permit, _ = s.limiter.Take(now, t.Key.SDKAppID) // Next has just allowed it
	t.polling = true
	s.sent.add(now)
	return t, permit, now
}

// earlier returns a, or b if that is known and earlier.
func earlier(a, b time.Time, known bool) time.Time {
	if known && b.Before(a) {
		return b
	}
	return a
}

// putBack schedules the next poll of a task that was polled, unless it has ended or was
// removed. It returns false if another change was saved during the poll: the task must be read
// first.
func (s *state) putBack(e *task, now time.Time) bool {
	if s.tasks[e.Key] != e {
		return true // another entry replaced it: see reloaded
	}
	if e.stale && !e.removed {
		e.stale = false
		return false
	}
	e.polling = false
	if e.removed || e.State().Ended() {
		s.forget(e)
	} else {
		s.picker.put(e, now)
	}
	return true
}

// teach records an observation of e's task for the hazards and the lateness.
func (s *state) teach(e *task, before, next *watcher.Task) {
	s.lateness.Record(s.hazards, &e.Entry, before, next)
	s.hazards.Learn(before, next)
}

const (
	// failingInterval is the longest interval between polls of a failing push, while the
	// fault may be its application's or account's.
	failingInterval = 10 * time.Second
	// blindInterval is the longest interval of a push blind by itself. It grows up to that
	// as a tenth of the time since the push fails, so that the end of a short outage is seen
	// soon, or as an eighth for a push never observed, whose id is probably wrong.
	blindInterval = 15 * time.Minute
	blindPart     = 10
	neverPart     = 8
)

// unobserved puts off a task whose poll failed. It returns a finding only for a push that is
// blind by itself and has an event due.
func (s *state) unobserved(now time.Time, t *task, reason *watcher.CloudError, rules watcher.Rules) *finding {
	failure, _ := s.outages.Failure(t.Key)
	alone := !failure.Alone.IsZero() // then no breaker limits its polls
	switch {
	case failure.Blind && s.outages.Visible(t.Key.SDKAppID):
		why := watcher.PollError{Code: reason.Code, Message: reason.Message, Since: failure.Since}
		blackout := &watcher.Blackout{At: now, Alone: failure.Alone, Error: why}
		next, events := rules.Elapse(t.brief(now), *blackout)
		interval := now.Sub(failure.Alone) / blindPart
		if t.observed == watcher.Never {
			interval = now.Sub(failure.Alone) / neverPart
		}
		interval = max(failingInterval, min(blindInterval, interval))
		t.putOff(now, interval, rules.NextDue(next))
		if len(events) > 0 {
			return &finding{blackout: blackout}
		}
	case reason.Kind == watcher.Transient || reason.Kind == watcher.Refused || alone && reason.Kind != watcher.Throttled:
		var due time.Time
		if alone {
			due = failure.Alone.Add(s.outages.BlindAfter())
		}
		t.putOff(now, failingInterval, due)
	}
	return nil
}

// scheduleLost schedules the live tasks that neither wait for a poll nor are being polled, and returns
// them. There should be none.
func (s *state) scheduleLost(now time.Time) (keys []watcher.Key) {
	for key, e := range s.tasks {
		if !e.polling && !s.picker.waits(e) {
			s.picker.put(e, now)
			keys = append(keys, key)
		}
	}
	return keys
}

// round returns the time to poll every live task once.
func (s *state) round() time.Duration {
	return time.Duration(float64(len(s.tasks)) / s.limiter.Rate() * float64(time.Second))
}

// checkpoint returns a checkpoint of the live tasks; nil: none was polled since the given time.
func (s *state) checkpoint(since, now time.Time) *watcher.Checkpoint {
	from, polled := watcher.TickOf(since), false
	c := watcher.NewCheckpoint(now, len(s.tasks))
	for _, e := range s.tasks {
		polled = polled || e.Asked >= from
		c.Add(e.Key, e.Asked.Time(now), e.observed.Time(now))
	}
	if !polled {
		return nil
	}
	return c
}
