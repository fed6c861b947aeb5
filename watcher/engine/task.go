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
	version int64
	memory  watcher.Memory

	observed watcher.Tick // when the last answer about the task came
	hurried  watcher.Tick // when somebody last asked for it ahead of its turn
	shown    uint64       // a hash of what is shown of it
	failures uint8        // polls in a row that told nothing, at most maxFailures

	polling  bool // a poll is under way, or what it found is being saved
	removed  bool // while that was so, the task was removed
	stale    bool // while that was so, the task was changed by somebody else
	repeated bool // its last request was dropped and is sent again
}

// maxFailures is where the count of failures ends: more make no difference.
const maxFailures = 100

func newTask(t *watcher.Task) *task {
	e := &task{Entry: *schedule.NewEntry(t), hurried: watcher.Never}
	e.set(t)
	return e
}

// set makes e what the task is now.
func (e *task) set(t *watcher.Task) {
	e.Entry.Set(t)
	e.version, e.memory = t.Version, t.Memory
	if i := slices.Index(statuses, t.Memory.Status); i >= 0 {
		e.memory.Status = statuses[i] // one text for all tasks
	}
	e.observed = watcher.TickOf(t.LastObservedAt)
	e.shown = maphash.Comparable(seed, t.Shown())
}

// registeredAgain reports whether a saved task is a later registration than the one that e
// stands for.
func (e *task) registeredAgain(saved *watcher.Task) bool {
	return saved.Version > e.version && saved.RegisteredAt.UnixMicro() != e.Registered.UnixMicro()
}

// refresh sets e to its task as it is saved, and adds to that what only e knows.
func (e *task) refresh(saved *watcher.Task, now time.Time) {
	e.anchor(saved, now)
	saved.Memory.Doubt = e.memory.Doubt
	observed, asked := e.observed.Time(now), e.Asked.Time(now) // are saved only now and then
	if saved.Version != e.version {
		observed, asked = later(observed, saved.LastObservedAt), later(asked, saved.LastPolledAt)
		e.NotBefore = watcher.Never // it was changed, so that something may be due sooner
	}
	saved.LastObservedAt, saved.LastPolledAt = observed, asked
	e.set(saved)
}

// brief returns the task without what is only shown of it.
func (e *task) brief(now time.Time) watcher.Task {
	t := watcher.Task{
		Key: e.Key, State: e.State, Version: e.version, Memory: e.memory,
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
	if prepared.UnixMicro() == e.memory.PreparedSince.UnixMicro() {
		t.Memory.PreparedSince = e.memory.PreparedSince
	}
	if was := e.memory.Blind; was != nil && blind != nil && was.Alone.UnixMicro() == blind.Alone.UnixMicro() {
		t.Memory.Blind = was
	}
}

// news reports whether an answer that led from e's brief task to next changed what
// is shown of the task or remembered of it, so far as can be told from here.
func (e *task) news(next *watcher.Task) bool {
	return !e.memory.Alike(next.Memory) || e.shown != maphash.Comparable(seed, next.Shown())
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
	statuses = []string{watcher.StatusPrepared, watcher.StatusPushing, watcher.StatusStopped}
	seed     = maphash.MakeSeed()
)
