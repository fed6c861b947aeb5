package engine

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/loop"
)

// A finding is what a poll found out about its task.
type finding interface {
	// apply returns the task as the finding leaves it, and the events that tell of it.
	apply(r watcher.Rules, t watcher.Task) (watcher.Task, []watcher.Event)
	// teaches reports whether the schedule can learn from it when pushes change.
	teaches() bool
}

type observation watcher.Observation

func (o observation) apply(r watcher.Rules, t watcher.Task) (watcher.Task, []watcher.Event) {
	return r.Apply(t, watcher.Observation(o))
}

func (observation) teaches() bool { return true }

type blackout watcher.Blackout

func (b blackout) apply(r watcher.Rules, t watcher.Task) (watcher.Task, []watcher.Event) {
	return r.Elapse(t, watcher.Blackout(b))
}

func (blackout) teaches() bool { return false }

// judge applies a finding, asked for at polled, to e's task and saves what it changes.
// Most change nothing, which the entry knows; for the others the whole task is read.
// Only this goroutine writes to the entry while it is polling.
func (a *account) judge(ctx context.Context, e *task, f finding, polled time.Time) error {
	before := e.brief(time.Now())
	next, events := f.apply(a.plan.Rules, before)
	if len(events) == 0 && !e.news(&next) {
		a.learn(e, f, &before, &next, polled)
		return nil
	}
	for attempt := 0; ; attempt++ {
		// After a save of which the outcome is not known, this is also what tells
		// it: where the change was saved after all, the observation changes nothing.
		before, live := a.reload(ctx, e, attempt)
		if !live {
			return nil
		}
		next, events := f.apply(a.plan.Rules, before)
		if len(events) == 0 && !worthSaving(&before, &next) {
			a.learn(e, f, &before, &next, polled)
			return nil
		}
		next.Version++
		next.LastPolledAt = polled
		for i := range events {
			a.watcher.address(&events[i])
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

// learn sets e to its task's next value, and teaches the schedule what that shows.
func (a *account) learn(e *task, f finding, before, next *watcher.Task, polled time.Time) {
	next.LastPolledAt = polled
	a.with(func(s *state) {
		if f.teaches() {
			s.teach(e, before, next)
		}
		s.update(e, func() { e.set(next) })
	})
}

// saveTimeout bounds one try to save, and the waiting for it when polling stops.
const saveTimeout = 15 * time.Second

// save writes a change. It outlives ctx: what was observed is saved even while the
// process is stopping.
func (a *account) save(ctx context.Context, c watcher.Change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return a.store.Save(ctx, c)
}

// reload reads e's task as it is saved, for as long as the store fails, and adds
// what only the engine knows of it. It reports whether there is a live task to go
// on with.
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
			a.with(func(*state) { e.removed = !e.stale }) // else it was registered again since, and putBack reads it
			return watcher.Task{}, false
		case ctx.Err() != nil:
			return watcher.Task{}, false
		}
		a.recordRead(err)
	}
}

// reloaded refreshes e, which is being polled, and reports whether its task is live. Where
// the task was registered again since, another entry takes e's place, and the answer to
// e's poll does not count.
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

// recordWrite records whether the store takes writes, and logs when that changes.
func (a *account) recordWrite(err error) {
	if errors.Is(err, watcher.ErrConflict) || errors.Is(err, watcher.ErrFenced) {
		err = nil
	}
	a.recordStore(err, func(s *state) *loop.Condition { return &s.unwritable }, "database takes no writes", "database takes writes again")
}

// recordRead records whether the store can be read, without which nothing that is
// observed can be written, and logs when that changes.
func (a *account) recordRead(err error) {
	a.recordStore(err, func(s *state) *loop.Condition { return &s.unreadable }, "database cannot be read", "database can be read again")
}

func (a *account) recordStore(err error, of func(s *state) *loop.Condition, begins, ends string) {
	a.with(func(s *state) {
		now, condition := time.Now(), of(s)
		if err != nil {
			if condition.Begin(now) {
				a.log.Error(begins, zap.Error(err), zap.String("hint", "look at the database's disk and connection; what was observed is kept, or observed again, and saved when it can be"))
			}
		} else if lasted, ended := condition.End(now); ended {
			a.log.Info(ends, zap.Duration("after", lasted))
		}
	})
}

// saved counts and logs the events that were saved.
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
