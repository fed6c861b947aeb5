package watcher

import (
	"hash/maphash"
	"slices"
	"time"
)

// An entry is a live task in its account's engine. There may be a hundred thousand
// of them, so it holds no more than what decides when the task is polled and
// whether an answer tells anything new. What is only shown of a task, its labels
// and its last answer, stays in the store, and is read when there is news to tell.
type entry struct {
	place
	key     Key
	state   State
	version int64
	memory  Memory

	registered time.Time
	observed   tick   // when the last answer about the task came
	asked      tick   // when the last poll was sent
	expected   int64  // ExpectedStopAt in unix microseconds; 0: not told
	started    int64  // PushStartTime in unix seconds; 0: not told
	shown      uint64 // a hash of what is shown of it

	hurried   tick  // when somebody last asked for it ahead of its turn
	notBefore tick  // after a poll that told nothing
	failures  uint8 // such polls in a row, at most maxFailures

	urgent  bool // somebody waits for its next poll
	polling bool // a poll is under way, or what it found is being saved
	removed bool // while that was so, the task was removed
	stale   bool // while that was so, the task was changed by somebody else
}

// maxFailures is where the count of failures ends: more make no difference.
const maxFailures = 100

func newEntry(t *Task) *entry {
	e := &entry{hurried: never, notBefore: never}
	e.keep(t)
	return e
}

// keep takes in what the task is now.
func (e *entry) keep(t *Task) {
	e.key, e.version, e.memory = t.Key, t.Version, t.Memory
	e.state = one(States, t.State)
	e.memory.Status = one(statuses, t.Memory.Status)
	e.registered, e.observed, e.asked = t.RegisteredAt, tickOf(t.LastObservedAt), tickOf(t.LastPolledAt)
	e.expected, e.started = 0, 0
	if !t.ExpectedStopAt.IsZero() {
		e.expected = t.ExpectedStopAt.UnixMicro()
	}
	if t.Push != nil {
		e.started = value(t.Push.PushStartTime)
	}
	e.shown = maphash.Comparable(seed, shownOf(t))
}

// brief returns the task without what is only shown of it.
func (e *entry) brief(now time.Time) Task {
	t := Task{
		Key: e.key, State: e.state, Version: e.version, Memory: e.memory,
		RegisteredAt: e.registered, LastObservedAt: e.observed.time(now), LastPolledAt: e.asked.time(now),
	}
	if e.expected != 0 {
		t.ExpectedStopAt = time.UnixMicro(e.expected)
	}
	return t
}

// anchor anchors e's task as it was read from the store now. How long ago something
// was that e knows of, e knows better: the wall clock may have been set since.
func (e *entry) anchor(t *Task, now time.Time) {
	registered, prepared := t.RegisteredAt, t.Memory.PreparedSince
	t.anchor(now)
	if registered.UnixMicro() == e.registered.UnixMicro() {
		t.RegisteredAt = e.registered
	}
	if prepared.UnixMicro() == e.memory.PreparedSince.UnixMicro() {
		t.Memory.PreparedSince = e.memory.PreparedSince
	}
}

// news reports whether an answer that led from e's brief task to next changed what
// is shown of the task or remembered of it, so far as can be told from here.
func (e *entry) news(next *Task) bool {
	return !e.memory.alike(next.Memory) || e.shown != maphash.Comparable(seed, shownOf(next))
}

// one returns the value of a list that equals v, so that all entries share it.
func one[T comparable](list []T, v T) T {
	if i := slices.Index(list, v); i >= 0 {
		return list[i]
	}
	return v
}

var (
	statuses = []string{StatusPrepared, StatusPushing, StatusStopped}
	seed     = maphash.MakeSeed()
)
