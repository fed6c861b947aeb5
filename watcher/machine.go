package watcher

import (
	"cmp"
	"time"
)

// An Observation is what one poll shows of a task. Exactly one of Push and Error is set.
// An outage, a refusal or throttling is not an observation.
type Observation struct {
	At    time.Time // when the answer came
	Push  *Push
	Error *CloudError // of kind UnknownTask or FailedTask
}

// Rules are the state machine's parameters. A zero field means its default.
type Rules struct {
	// NotFoundGrace is how long after registration an [UnknownTask] error or a missing Status
	// cannot end a push. Default 30 s.
	NotFoundGrace time.Duration
	// Confirmations is how many such answers in a row end a push. Default 2.
	Confirmations int
	StalledAfter  time.Duration // PREPARED for longer is stalled; default 2 m
	OverdueAfter  time.Duration // PUSHING this long past the planned end is overdue; default 10 m
	// AbandonAfter is how long a push may be blind by itself. Default 72 h; negative: for ever.
	AbandonAfter time.Duration
}

// WithDefaults returns r with its zero fields set.
func (r Rules) WithDefaults() Rules {
	return Rules{
		NotFoundGrace: cmp.Or(r.NotFoundGrace, 30*time.Second),
		Confirmations: cmp.Or(r.Confirmations, 2),
		StalledAfter:  cmp.Or(r.StalledAfter, 2*time.Minute),
		OverdueAfter:  cmp.Or(r.OverdueAfter, 10*time.Minute),
		AbandonAfter:  cmp.Or(r.AbandonAfter, 72*time.Hour),
	}
}

const (
	// backwardsConfirmations answers in a row must show a Status that runs backwards.
	backwardsConfirmations = 2

	// failedConfirmations answers in a row must say that a push has failed.
	failedConfirmations = 2

	// settling is the least time between two answers that confirm UnknownTask or a missing
	// Status, so that a shorter glitch of the service ends no push. An answer that comes
	// sooner does not count as a confirmation.
	settling = 5 * time.Second
)

// Apply is the state machine: it returns the task after o, and the events that report the
// change, in order. The task's Sequence is the number of the last event; the caller advances
// its Version. An ended task does not change.
func (r Rules) Apply(t Task, o Observation) (Task, []Event) {
	if t.State.Ended() {
		return t, nil
	}
	m := move{rules: r.WithDefaults(), before: t, task: t, at: o.At}
	m.task.LastObservedAt = o.At
	m.sighted()
	switch {
	case o.Error != nil:
		m.failure(o.Error)
	case value(o.Push.Status) == "":
		m.task.Push, m.task.Error = o.Push, nil
		if m.endConfirmed(NoStatus) {
			m.end(Failed, PushFailed)
		}
	default:
		m.task.Push, m.task.Error = o.Push, nil
		m.status(*o.Push.Status)
	}
	return m.task, m.events
}

// A move is one transition of the state machine.
type move struct {
	rules  Rules
	before Task
	task   Task // the result
	at     time.Time
	events []Event
}

// failure handles an error about this task.
func (m *move) failure(err *CloudError) {
	m.task.Error = err.API()
	switch err.Kind {
	case FailedTask: // one wrong answer must not end a push that goes on
		if m.confirmed(HasFailed, 0, failedConfirmations) {
			m.end(Failed, PushFailed)
		}
	case UnknownTask:
		if m.endConfirmed(IsUnknown) {
			m.end(NotFound, PushNotFound)
		}
	}
}

// sighted ends the blindness of a push.
func (m *move) sighted() {
	blind := m.task.Memory.Blind
	if blind == nil {
		return
	}
	m.task.Memory.Blind = nil
	m.emit(PushSighted).Since = blind.Since
}

// status handles an answer with a Status.
func (m *move) status(status string) {
	t := &m.task
	if status == StatusPrepared && t.State == Pushing && !m.confirmed(Backwards, 0, backwardsConfirmations) {
		return
	}
	t.Memory.Doubt = Doubt{}
	seenBefore := t.Memory.Status
	t.Memory.Status = status

	switch status {
	case StatusStopped:
		m.stopped()
		return
	case StatusPushing:
		switch {
		case !t.Memory.Started:
			m.started()
		case seenBefore != status:
			t.State = Pushing
			m.changed(seenBefore)
		}
	case StatusPrepared:
		switch {
		case t.State == Registered:
			t.State = Preparing
			t.Memory.PreparedSince = m.at
			m.emit(PushPreparing)
		case seenBefore != status:
			t.State = Preparing
			t.Memory.PreparedSince = m.at
			m.changed(seenBefore)
		}
	default:
		if seenBefore != status {
			m.changed(seenBefore)
		}
	}
	m.exceptions()
	m.backup()
	m.late()
}

func (m *move) changed(from string) { m.emit(PushChanged).PreviousStatus = from }

// stopped ends a push. If PUSHING was never seen but the push has a start time,
// push.started comes first.
func (m *move) stopped() {
	t := &m.task
	if !t.Memory.Started && value(t.Push.PushStartTime) > 0 {
		m.started()
	}
	m.backup()
	if value(t.Push.FinishReason) == finishException {
		m.end(Failed, PushFailed)
	} else {
		m.end(Stopped, PushStopped)
	}
}

func (m *move) started() {
	m.task.State = Pushing
	m.task.Memory.Started = true
	m.emit(PushStarted)
}

// end ends the task. Its event reports exceptions that are first seen with the end.
func (m *move) end(state State, kind EventType) {
	m.task.State = state
	m.task.EndedAt = m.at
	m.task.Memory.Doubt = Doubt{}
	added := m.addedExceptions()
	m.emit(kind).ExceptionsAdded = added
}

// exceptions reports a risen ExceptionCnt. A count that falls is ignored, so that the same
// rise is not reported twice.
func (m *move) exceptions() {
	if added := m.addedExceptions(); added > 0 {
		m.emit(PushException).ExceptionsAdded = added
	}
}

func (m *move) addedExceptions() int64 {
	if m.task.Push == nil {
		return 0
	}
	added := max(0, value(m.task.Push.ExceptionCount)-m.task.Memory.Exceptions)
	m.task.Memory.Exceptions += added
	return added
}

// backup reports a Backup result that changed from one value to another.
func (m *move) backup() {
	now, known := m.task.Push.backup(), m.task.Memory.Backup
	if now == "" || now == known {
		return
	}
	m.task.Memory.Backup = now
	if known != "" {
		m.emit(PushBackupChanged)
	}
}

// late reports a push that is stalled or overdue.
func (m *move) late() {
	t := &m.task
	switch {
	case m.rules.stallable(t) && m.at.Sub(t.Memory.PreparedSince) > m.rules.StalledAfter:
		t.Memory.Stalled = true
		m.emit(PushStalled)
	case m.rules.overdueable(t) && m.at.Sub(t.ExpectedStopAt) > m.rules.OverdueAfter:
		t.Memory.Overdue = true
		m.emit(PushOverdue)
	}
}

// endConfirmed reports whether an answer ends the push: it must be confirmed. During NotFoundGrace
// it never does, since TIW may not know the push yet.
func (m *move) endConfirmed(about Doubtful) bool {
	if m.at.Before(m.task.RegisteredAt.Add(m.rules.NotFoundGrace)) {
		m.task.Memory.Doubt = Doubt{}
		return false
	}
	return m.confirmed(about, settling, m.rules.Confirmations)
}

// confirmed counts an answer in doubt, and reports whether it was given often enough.
func (m *move) confirmed(about Doubtful, apart time.Duration, needed int) bool {
	return m.task.Memory.Doubt.again(about, TickOf(m.at), apart) >= needed
}

// emit adds an event and returns it. PreviousState is the state before this event, not before
// the poll: if one poll finds a start and a stop, push.stopped has the previous state pushing.
func (m *move) emit(kind EventType) *Event {
	t := &m.task
	t.Sequence++
	previous := m.before.State
	if n := len(m.events); n > 0 {
		previous = m.events[n-1].State
	}
	m.events = append(m.events, Event{
		Type: kind, Key: t.Key, Account: t.Account, Sequence: t.Sequence, Labels: t.Labels,
		State: t.State, PreviousState: previous, Push: t.Push, Error: t.Error,
		ObservedAt: m.at, LastObservedAt: m.before.LastObservedAt,
	})
	e := &m.events[len(m.events)-1]
	e.ID = eventID(t, e)
	return e
}

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
