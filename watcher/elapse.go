package watcher

import "time"

// A Blackout is a failed poll of a push that is blind by itself (see [Blind]).
type Blackout struct {
	At    time.Time // when the poll ended
	Alone time.Time // when it became known that only this push fails
	Error PollError
}

// Elapse applies a failed poll of a push that is blind by itself. It emits push.blind once,
// then push.stalled, push.overdue and push.abandoned when they are due. It must not be called
// while the push's application or account is blind. An ended task does not change.
func (r Rules) Elapse(t Task, b Blackout) (Task, []Event) {
	if t.State.Ended() {
		return t, nil
	}
	m := move{rules: r.WithDefaults(), before: t, task: t, at: b.At}
	if m.task.Memory.Blind == nil {
		since := t.LastObservedAt
		if since.IsZero() {
			since = t.RegisteredAt
		}
		m.task.Memory.Blind = &Blind{Since: since, Alone: b.Alone, Error: b.Error}
		m.emitBlind(PushBlind, b)
	}
	m.late()
	if blind := m.task.Memory.Blind; m.rules.AbandonAfter > 0 && m.at.Sub(blind.Alone) >= m.rules.AbandonAfter {
		m.task.State, m.task.EndedAt = Abandoned, m.at
		m.emitBlind(PushAbandoned, b)
	}
	return m.task, m.events
}

// emitBlind emits an event with the reason and beginning of the blindness.
func (m *move) emitBlind(kind EventType, b Blackout) {
	e := m.emit(kind)
	e.Since = m.task.Memory.Blind.Since
	e.Error = &APIError{Code: b.Error.Code, Message: b.Error.Message}
	e.ID = eventID(&m.task, e)
}

// NextDue returns when [Rules.Elapse] next emits an event for a push that is blind by
// itself; zero: never.
func (r Rules) NextDue(t Task) (next time.Time) {
	r = r.WithDefaults()
	due := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if r.stallable(&t) {
		due(t.Memory.PreparedSince.Add(r.StalledAfter))
	}
	if r.overdueable(&t) {
		due(t.ExpectedStopAt.Add(r.OverdueAfter))
	}
	if t.Memory.Blind != nil && r.AbandonAfter > 0 {
		due(t.Memory.Blind.Alone.Add(r.AbandonAfter))
	}
	return next
}

func (Rules) stallable(t *Task) bool { return t.Memory.Status == StatusPrepared && !t.Memory.Stalled }

func (Rules) overdueable(t *Task) bool {
	return t.Memory.Status == StatusPushing && !t.Memory.Overdue && !t.ExpectedStopAt.IsZero()
}
