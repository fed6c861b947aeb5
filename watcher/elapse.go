package watcher

import "time"

// A Blackout is what a poll tells of a push that is blind by itself: nothing, since when
// and why.
type Blackout struct {
	At    time.Time // when the poll ended
	Alone time.Time // since when the push is known to fail by itself
	Error PollError
}

// Elapse applies the passing of time to a push that is blind by itself, as Apply does
// with an observation: it reports the blindness once, and what is due by the clock. It is
// not called while the push's application or account cannot be observed.
//
// A task at its end stays as it is.
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

// emitBlind adds an event of a push that is blind, with the reason.
func (m *move) emitBlind(kind EventType, b Blackout) {
	e := m.emit(kind)
	e.Since = m.task.Memory.Blind.Since
	e.Error = &APIError{Code: b.Error.Code, Message: b.Error.Message}
	e.ID = eventID(&m.task, e)
}

// NextDue returns when [Rules.Elapse] will next report something of a push that is blind
// by itself; zero: never.
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
