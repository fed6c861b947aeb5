package engine

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/loop"
)

// A finding is what a poll shows of its task: an observation, or a blackout of a push that is
// blind by itself. The other one is nil.
type finding struct {
	observation *watcher.Observation
	blackout    *watcher.Blackout
}

// apply returns the next task and the events that report the change.
func (f *finding) apply(r watcher.Rules, t watcher.Task) (watcher.Task, []watcher.Event) {
	if f.observation != nil {
		return r.Apply(t, *f.observation)
	}
	return r.Elapse(t, *f.blackout)
}

// judge applies a finding to e's task and saves what changes. Most findings change nothing,
// which e shows; for the others the whole task is read. polled is when the poll was sent. Only
// this goroutine writes to e while e is polling.
func (a *account) judge(ctx context.Context, e *task, f *finding, polled time.Time) error {
	before := e.brief(time.Now())
	next, events := f.apply(a.plan.Rules, before)
	if len(events) == 0 && !e.news(&next) {
		a.learn(e, f, &before, &next, polled)
		return nil
	}
	for attempt := 0; ; attempt++ {
		// After a save with an unknown outcome this shows it: if the change was saved
		// after all, the finding changes nothing.
		before, live := a.reload(ctx, e, attempt)
		if !live {
			return nil
		}
		next, events := f.apply(a.plan.Rules, before)
		if len(events) == 0 && !e.news(&next) {
			a.learn(e, f, &before, &next, polled)
			return nil
		}
		next.Version++
		next.LastPolledAt = polled
		for i := range events {
			event := &events[i]
			event.Notifiers = a.watcher.route(event)
			event.Body = event.Encode(a.watcher.instance)
		}
		err := a.save(ctx, watcher.Change{Task: next, Events: events})
		a.recordWrite(err)
		if err == nil {
			a.learn(e, f, &before, &next, polled)
			a.saved(next, events)
			return nil
		}
		if errors.Is(err, watcher.ErrFenced) {
			return err
		}
	}
}

// learn sets e to its task's next value and teaches the hazards.
func (a *account) learn(e *task, f *finding, before, next *watcher.Task, polled time.Time) {
	next.LastPolledAt = polled
	a.with(func(s *state) {
		if f.observation != nil {
			s.teach(e, before, next)
		}
		s.update(e, func() { e.set(next) })
	})
}

// saveTimeout bounds one try to save, also while the process stops.
const saveTimeout = 15 * time.Second

// save saves a change. It outlives ctx: what was observed is saved while the process stops.
func (a *account) save(ctx context.Context, c watcher.Change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return a.store.Save(ctx, c)
}

// reload reads e's task, retrying while the store fails, and adds what only the engine knows.
// It reports whether the task is live.
func (a *account) reload(ctx context.Context, e *task, attempt int) (saved watcher.Task, live bool) {
	for ; ; attempt++ {
		if attempt > 0 && !loop.Sleep(ctx, retryAfter(attempt)) {
			return watcher.Task{}, false
		}
		saved, err := a.store.Task(ctx, e.Key)
		switch {
		case err == nil:
			a.recordRead(nil)
			a.with(func(s *state) { live = s.reloaded(e, &saved, time.Now()) })
			return saved, live
		case errors.Is(err, watcher.ErrNoTask):
			a.recordRead(nil)
			a.with(func(*state) { e.removed = !e.stale }) // stale: it was registered again since, and putBack reads it
			return watcher.Task{}, false
		case ctx.Err() != nil:
			return watcher.Task{}, false
		}
		a.recordRead(err)
	}
}

// reloaded updates e, which is being polled, to the saved task and reports whether that is
// live. If the task was registered again since, another entry replaces e, and the answer to
// e's poll is dropped.
func (s *state) reloaded(e *task, saved *watcher.Task, now time.Time) (live bool) {
	if e.registeredAgain(saved) {
		s.forget(e)
		if !saved.State.Ended() {
			s.adopt(*saved, now)
		}
		return false
	}
	s.update(e, func() { e.refresh(saved, now) })
	return !saved.State.Ended()
}

// recordWrite records whether the store takes writes, and logs changes.
func (a *account) recordWrite(err error) {
	if errors.Is(err, watcher.ErrConflict) || errors.Is(err, watcher.ErrFenced) {
		err = nil
	}
	a.with(func(s *state) {
		a.recordStore(&s.unwritable, err, "database takes no writes", "database takes writes again")
	})
}

// recordRead records whether the store can be read, and logs changes. A changed task is read
// before it is saved.
func (a *account) recordRead(err error) {
	a.with(func(s *state) {
		a.recordStore(&s.unreadable, err, "database cannot be read", "database can be read again")
	})
}

func (a *account) recordStore(failing *loop.Condition, err error, begins, ends string) {
	if err != nil {
		if failing.Begin(time.Now()) {
			a.log.Error(begins, zap.Error(err), zap.String("hint", "check the database's disk and connection; observations are kept or made again, and saved when it works"))
		}
	} else if lasted, ended := failing.End(time.Now()); ended {
		a.log.Info(ends, zap.Duration("after", lasted))
	}
}

// saved counts and logs saved events.
func (a *account) saved(t watcher.Task, events []watcher.Event) {
	for i := range events {
		e := &events[i]
		a.watcher.metrics.events.WithLabelValues(string(e.Type)).Inc()
		log := a.log.With(zap.Stringer("task", e.Key), zap.String("event", e.ID), zap.String("type", string(e.Type)),
			zap.Int64("sequence", e.Sequence), zap.String("state", string(e.State)))
		switch {
		case e.Type == watcher.PushBlind || e.Type == watcher.PushAbandoned:
			log.Warn("push cannot be observed", zap.String("error", e.Error.Code+": "+e.Error.Message), zap.Time("since", e.Since))
		case e.Type == watcher.PushSighted:
			log.Info("push can be observed again")
		default:
			log.Info("task moved")
		}
	}
	if stop := t.Push.StoppedAt(); t.State.Ended() && !stop.IsZero() {
		a.watcher.metrics.detection.Observe(max(0, t.EndedAt.Sub(stop).Seconds()))
	}
}
