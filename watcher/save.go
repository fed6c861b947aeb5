package watcher

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// observe applies an observation, asked for at polled, to e's task and saves what
// it changes. Most change nothing, which the entry knows; for the others the whole
// task is read. Only this goroutine writes to the entry while it is polling.
func (a *account) observe(ctx context.Context, e *entry, o Observation, polled time.Time) error {
	before := e.brief(o.At)
	next, events := a.plan.Rules.Apply(before, o)
	if len(events) == 0 && !e.news(&next) {
		next.LastPolledAt = polled
		a.learn(e, &before, &next)
		return nil
	}
	for attempt := 0; ; attempt++ {
		// After a save of which the outcome is not known, this is also what tells
		// it: where the change was saved after all, the observation changes nothing.
		before, live := a.reload(ctx, e, attempt)
		if !live {
			return nil
		}
		next, events := a.plan.Rules.Apply(before, o)
		next.LastPolledAt = polled
		if len(events) == 0 && !worthSaving(&before, &next) {
			a.learn(e, &before, &next)
			return nil
		}
		next.Version++
		for i := range events {
			a.watcher.address(&events[i])
		}
		err := a.save(ctx, Change{Task: next, Events: events})
		a.noteWrite(err)
		if err == nil {
			a.learn(e, &before, &next)
			a.told(next, events)
			return nil
		}
		if errors.Is(err, ErrFenced) {
			return err
		}
	}
}

// noteWrite notes whether the store takes writes, and logs when that changes.
func (a *account) noteWrite(err error) {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced) {
		err = nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil && a.storeFailed.IsZero():
		a.storeFailed = time.Now()
		a.log.Error("the database takes no writes: look at its disk and its connection; what was seen is kept, or seen again, and written when it can be", zap.Error(err))
	case err == nil && !a.storeFailed.IsZero():
		a.log.Info("the database takes writes again", zap.Duration("after", time.Since(a.storeFailed)))
		a.storeFailed = time.Time{}
	}
}

// noteRead notes whether the store can be read, without which nothing that is seen
// can be written, and logs when that changes.
func (a *account) noteRead(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil && a.unreadable.IsZero():
		a.unreadable = time.Now()
		a.log.Error("the database cannot be read: look at it and its connection; what was seen is kept, and written when it can be", zap.Error(err))
	case err == nil && !a.unreadable.IsZero():
		a.log.Info("the database can be read again", zap.Duration("after", time.Since(a.unreadable)))
		a.unreadable = time.Time{}
	}
}

// saveTimeout bounds one try to save, and the waiting for it when polling stops.
const saveTimeout = 15 * time.Second

// save writes a change. It outlives ctx: what was seen is saved even while the
// process is stopping.
func (a *account) save(ctx context.Context, c Change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return a.store.Save(ctx, c)
}

// reload reads e's task as it is saved, for as long as the store fails, and adds
// what only the engine knows of it. It reports whether there is a live task to go
// on with.
func (a *account) reload(ctx context.Context, e *entry, attempt int) (Task, bool) {
	for ; ; attempt++ {
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return Task{}, false
			case <-time.After(retryAfter(attempt)):
			}
		}
		saved, err := a.store.Task(ctx, e.key)
		if err == nil || errors.Is(err, ErrNoTask) {
			a.noteRead(nil)
		}
		switch {
		case err == nil:
			now := time.Now()
			a.mu.Lock()
			defer a.mu.Unlock()
			e.anchor(&saved, now)
			saved.Memory.Doubt = e.memory.Doubt
			if saved.Version == e.version { // the times of the last polls are saved only now and then
				saved.LastObservedAt, saved.LastPolledAt = e.observed.time(now), e.asked.time(now)
			}
			e.keep(&saved)
			return saved, !saved.State.Ended()
		case errors.Is(err, ErrNoTask):
			a.mu.Lock()
			defer a.mu.Unlock()
			e.removed = !e.stale // else it was registered again since, and putBack reads it
			return Task{}, false
		case ctx.Err() != nil:
			return Task{}, false
		}
		a.noteRead(err)
	}
}

// learn gives e its task's next value, and teaches the schedule what that shows.
func (a *account) learn(e *entry, before, next *Task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.time(e, before, next)
	a.schedule.hazards.learn(before, next)
	e.keep(next)
}

// worthSaving reports whether an observation without an event still changed what
// is shown of the task or remembered of it. That it was observed again does not count.
func worthSaving(before, after *Task) bool {
	return !before.Memory.alike(after.Memory) || shownOf(before) != shownOf(after)
}

// told counts and logs the events that were saved.
func (a *account) told(t Task, events []Event) {
	for i := range events {
		e := &events[i]
		a.watcher.metrics.events.WithLabelValues(string(e.Type)).Inc()
		a.log.Info("task moved", zap.Stringer("task", e.Key), zap.String("event", e.ID), zap.String("type", string(e.Type)),
			zap.Int64("sequence", e.Sequence), zap.String("state", string(e.State)))
	}
	if t.State.Ended() && t.Push != nil {
		if stop := value(t.Push.PushStopTime); stop > 0 {
			a.watcher.metrics.detection.Observe(max(0, t.EndedAt.Sub(time.Unix(stop, 0)).Seconds()))
		}
	}
}
