package engine

import (
	"hash/maphash"
	"slices"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/schedule"
)

// A task is a live task in its account's engine. There may be a hundred thousand
// of them, so it holds no more than what decides when the task is polled and
// whether an answer tells anything new. What is only shown of a task, its labels
// and its last answer, stays in the store, and is read when there is news to tell.
type task struct {
	schedule.Entry
	observed watcher.Tick // when the last answer about the task came
	shown    uint64       // a hash of what is shown of it

	// Its [watcher.Memory], in a third of the space: see memory.
	prepared time.Time       // PreparedSince
	unusual  *watcher.Memory // nil: the fields beside it hold all of it
	status   uint8           // in statuses
	started  bool
	stalled  bool
	overdue  bool

	version  uint32
	failures uint8 // polls in a row that told nothing, at most maxFailures

	polling  bool // a poll is under way, or what it found is being saved
	removed  bool // while that was so, the task was removed
	stale    bool // while that was so, the task was changed by somebody else
	repeated bool // its last request was dropped and is sent again
}

// maxFailures is where the count of failures ends: more make no difference.
const maxFailures = 100

func newTask(t *watcher.Task) *task {
	e := &task{Entry: *schedule.NewEntry(t)}
	e.set(t)
	return e
}

// set makes e what the task is now.
func (e *task) set(t *watcher.Task) {
	e.Entry.Set(t)
	e.version = uint32(t.Version)
	e.remember(t.Memory)
	e.observed = watcher.TickOf(t.LastObservedAt)
	e.shown = maphash.Comparable(seed, t.Shown())
}

// memory returns what is remembered of the task.
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

// registeredAgain reports whether a saved task is a later registration than the one that e
// stands for.
func (e *task) registeredAgain(saved *watcher.Task) bool {
	return saved.Version > int64(e.version) && saved.RegisteredAt.UnixMicro() != e.Registered.UnixMicro()
}

// refresh sets e to its task as it is saved, and adds to that what only e knows.
func (e *task) refresh(saved *watcher.Task, now time.Time) {
	e.anchor(saved, now)
	saved.Memory.Doubt = e.memory().Doubt
	observed, asked := e.observed.Time(now), e.Asked.Time(now) // are saved only now and then
	if saved.Version != int64(e.version) {
		observed, asked = later(observed, saved.LastObservedAt), later(asked, saved.LastPolledAt)
		e.NotBefore = watcher.Never // it was changed, so that something may be due sooner
	}
	saved.LastObservedAt, saved.LastPolledAt = observed, asked
	e.set(saved)
}

// brief returns the task without what is only shown of it.
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

// anchor anchors e's task as it was read from the store now. How long ago something
// was that e knows of, e knows better: the wall clock may have been set since.
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

// news reports whether an answer that led from e's brief task to next changed what
// is shown of the task or remembered of it, so far as can be told from here.
func (e *task) news(next *watcher.Task) bool {
	return !e.memory().Alike(next.Memory) || e.shown != maphash.Comparable(seed, next.Shown())
}

// worthSaving reports whether an observation without an event still changed what
// is shown of the task or remembered of it. That it was observed again does not count.
func worthSaving(before, after *watcher.Task) bool {
	return !before.Memory.Alike(after.Memory) || before.Shown() != after.Shown()
}

// putOff keeps a task that told nothing from being asked again at once: for an interval
// that grows up to most, but not past a time when something is due, if that is to come.
func (e *task) putOff(now time.Time, most time.Duration, due time.Time) {
	next := now.Add(min(most, time.Second<<min(e.failures, 10)))
	if due.After(now) && due.Before(next) {
		next = due
	}
	e.NotBefore = watcher.TickOf(now) + watcher.Tick(next.Sub(now)) // what is due may be known by the wall clock alone
	e.failures = min(e.failures+1, maxFailures)
}

// resume ends that, as the task has told something.
func (e *task) resume() { e.failures, e.NotBefore = 0, watcher.Never }

var (
	statuses = []string{"", watcher.StatusPrepared, watcher.StatusPushing, watcher.StatusStopped}
	seed     = maphash.MakeSeed()
)
