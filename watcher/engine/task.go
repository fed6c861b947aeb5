package engine

import (
	"hash/maphash"
	"slices"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/schedule"
)

// A task is a live task in memory. There may be a hundred thousand, so it holds only what
// decides when the task is polled and whether an answer changes it. Labels and the last answer
// stay in the store and are read for a change.
type task struct {
	schedule.Entry
	observed watcher.Tick // latest observation
	shown    uint64       // hash of the task's [watcher.Shown]

	// Its [watcher.Memory], in a third of the space: see memory.
	prepared time.Time       // PreparedSince
	unusual  *watcher.Memory // nil: the fields beside it hold all of it
	status   uint8           // in statuses
	started  bool
	stalled  bool
	overdue  bool

	version  uint32
	failures uint8 // failed polls in a row, at most maxFailures

	polling  bool // a poll is under way, or its finding is being saved
	removed  bool // the task was removed while polling
	stale    bool // another change was saved while polling
	repeated bool // its last request was dropped and is sent again
}

// maxFailures caps the count of failures: two to its power in seconds is above any interval.
const maxFailures = 10

func newTask(t *watcher.Task) *task {
	e := &task{Entry: *schedule.NewEntry(t)}
	e.set(t)
	return e
}

// set sets e to the task.
func (e *task) set(t *watcher.Task) {
	e.Entry.Set(t)
	e.version = uint32(t.Version)
	e.remember(t.Memory)
	e.observed = watcher.TickOf(t.LastObservedAt)
	e.shown = maphash.Comparable(seed, t.Shown())
}

// memory returns the task's Memory.
func (e *task) memory() watcher.Memory {
	if e.unusual != nil {
		return *e.unusual
	}
	return watcher.Memory{Status: statuses[e.status], PreparedSince: e.prepared, Started: e.started, Stalled: e.stalled, Overdue: e.overdue}
}

// remember sets what memory returns. Few tasks have a doubt, an exception, a backup, a
// blindness or an unknown status: only these keep all of it.
func (e *task) remember(m watcher.Memory) {
	e.status = uint8(max(0, slices.Index(statuses, m.Status)))
	e.prepared, e.started, e.stalled, e.overdue = m.PreparedSince, m.Started, m.Stalled, m.Overdue
	e.unusual = nil
	if m != e.memory() {
		e.unusual = &m
	}
}

// registeredAgain reports whether a saved task is a later registration than e.
func (e *task) registeredAgain(saved *watcher.Task) bool {
	return saved.Version > int64(e.version) && saved.RegisteredAt.UnixMicro() != e.Registered.UnixMicro()
}

// refresh sets e to its saved task, and adds to that what only e knows.
func (e *task) refresh(saved *watcher.Task, now time.Time) {
	e.anchor(saved, now)
	saved.Memory.Doubt = e.memory().Doubt
	observed, asked := e.observed.Time(now), e.Asked.Time(now) // are saved only now and then
	if saved.Version != int64(e.version) {
		observed, asked = later(observed, saved.LastObservedAt), later(asked, saved.LastPolledAt)
		e.NotBefore = watcher.Never // the change may make something due sooner
	}
	saved.LastObservedAt, saved.LastPolledAt = observed, asked
	e.set(saved)
}

// brief returns the task without labels and last answer.
func (e *task) brief(now time.Time) watcher.Task {
	t := watcher.Task{
		Key: e.Key, State: e.State(), Version: int64(e.version), Memory: e.memory(),
		RegisteredAt: e.Registered, LastObservedAt: e.observed.Time(now), LastPolledAt: e.Asked.Time(now),
	}
	if e.Expected != 0 {
		t.ExpectedStopAt = time.UnixMicro(e.Expected)
	}
	return t
}

// anchor anchors the times of e's task, read from the store just now. Times that e has keep
// e's reading, since the wall clock may have been set since.
func (e *task) anchor(t *watcher.Task, now time.Time) {
	registered, prepared, blind := t.RegisteredAt, t.Memory.PreparedSince, t.Memory.Blind
	t.Anchor(now)
	if registered.UnixMicro() == e.Registered.UnixMicro() {
		t.RegisteredAt = e.Registered
	}
	if prepared.UnixMicro() == e.prepared.UnixMicro() {
		t.Memory.PreparedSince = e.prepared
	}
	if was := e.memory().Blind; was != nil && blind != nil && was.Alone.UnixMicro() == blind.Alone.UnixMicro() {
		t.Memory.Blind = was
	}
}

// news reports whether next differs from e in Shown or Memory.
func (e *task) news(next *watcher.Task) bool {
	return !e.memory().Alike(next.Memory) || e.shown != maphash.Comparable(seed, next.Shown())
}

// putOff delays the next poll of a failing task by an interval that grows up to most, but not
// past due if that lies ahead.
func (e *task) putOff(now time.Time, most time.Duration, due time.Time) {
	next := now.Add(min(most, time.Second<<e.failures))
	if due.After(now) && due.Before(next) {
		next = due
	}
	e.NotBefore = watcher.TickOf(now) + watcher.Tick(next.Sub(now)) // due may have no monotonic reading
	e.failures = min(e.failures+1, maxFailures)
}

// resume ends the delay.
func (e *task) resume() { e.failures, e.NotBefore = 0, watcher.Never }

var (
	statuses = []string{"", watcher.StatusPrepared, watcher.StatusPushing, watcher.StatusStopped}
	seed     = maphash.MakeSeed()
)
