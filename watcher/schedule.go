package watcher

import (
	"cmp"
	"container/heap"
	"container/list"
	"time"
)

// A schedule says which task is polled next. It knows the live tasks of one
// account that are not being polled at this moment.
//
// A task that was just polled rests for the least interval. After that it may
// be polled, and the one that is due first is: due is its last poll plus an
// interval that goes by its state. So as long as the account's limit allows
// more polls than are due, they come early and none of the quota is wasted;
// when it allows fewer, all tasks are late by about the same time, and none is
// forgotten.
//
// Tasks that somebody waits for (just registered, or asked for) go first, but
// only every second poll is theirs while others are waiting too: a large batch
// of new tasks does not stop the watching of the old.
type schedule struct {
	rest  time.Duration // no task is polled more often than this
	stale time.Duration // each task is due at least this often

	urgent  *list.List // of *entry, first come first served
	resting *list.List // of *entry, in the order of their last polls
	ready   dueHeap
	turn    bool // the next poll is for one that is not urgent
}

// A place is where an entry stands in its schedule.
type place struct {
	due   time.Time
	in    *list.List // urgent or resting; nil: in the heap, or nowhere
	item  *list.Element
	index int // in the heap; -1: not there
}

func newSchedule(rest, stale time.Duration) *schedule {
	return &schedule{rest: rest, stale: stale, urgent: list.New(), resting: list.New()}
}

// interval is how long after its last poll a task is due again. It orders the
// tasks where the limit does not allow to poll all of them as often as they may
// be: what is likely to change soon goes before what is not.
func (s *schedule) interval(t *Task) time.Duration {
	switch {
	case t.Memory.Doubt.about != "" || t.State == Registered:
		return s.rest // one more answer decides
	case t.State == Preparing:
		return min(2*s.rest, s.stale)
	default:
		return s.stale
	}
}

// put adds an entry to the schedule. One that waits is put among the urgent.
func (s *schedule) put(e *entry) {
	e.due = later(e.task.LastPolledAt.Add(s.interval(&e.task)), e.notBefore)
	switch {
	case e.urgent:
		e.in, e.item = s.urgent, s.urgent.PushBack(e)
	case e.free(s).After(time.Now()):
		// Nearly always the one polled last; a task that was put off comes later.
		at := s.resting.Back()
		for at != nil && at.Value.(*entry).free(s).After(e.free(s)) {
			at = at.Prev()
		}
		e.in = s.resting
		if at == nil {
			e.item = s.resting.PushFront(e)
		} else {
			e.item = s.resting.InsertAfter(e, at)
		}
	default:
		heap.Push(&s.ready, e)
	}
}

// free is when e may be polled again.
func (e *entry) free(s *schedule) time.Time {
	return later(e.task.LastPolledAt.Add(s.rest), e.notBefore)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// remove takes an entry out, wherever it stands.
func (s *schedule) remove(e *entry) {
	switch {
	case e.in != nil:
		e.in.Remove(e.item)
		e.in, e.item = nil, nil
	case e.index >= 0:
		heap.Remove(&s.ready, e.index)
	}
}

// hurry moves an entry among the urgent.
func (s *schedule) hurry(e *entry) {
	if e.in == s.urgent {
		return
	}
	s.remove(e)
	e.urgent = true
	s.put(e)
}

// wake makes ready what has rested enough.
func (s *schedule) wake(now time.Time) {
	for front := s.resting.Front(); front != nil; front = s.resting.Front() {
		e := front.Value.(*entry)
		if e.free(s).After(now) {
			return
		}
		s.remove(e)
		heap.Push(&s.ready, e)
	}
}

// take removes and returns the entry to poll now, nil where none may be.
func (s *schedule) take(now time.Time) *entry {
	s.wake(now)
	front := s.urgent.Front()
	var e *entry
	switch {
	case front != nil && (!s.turn || len(s.ready) == 0):
		e, s.turn = front.Value.(*entry), true
		e.urgent = false
	case len(s.ready) > 0:
		e, s.turn = s.ready[0], false
	default:
		return nil
	}
	s.remove(e)
	return e
}

// next returns when a task may be polled, false where there is none at all.
func (s *schedule) next(now time.Time) (time.Time, bool) {
	switch front := s.resting.Front(); {
	case s.urgent.Len() > 0 || len(s.ready) > 0:
		return now, true
	case front != nil:
		return front.Value.(*entry).free(s), true
	default:
		return time.Time{}, false
	}
}

// dueHeap is a heap of entries, the first due on top.
type dueHeap []*entry

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return cmp.Or(h[i].due.Compare(h[j].due), h[i].task.LastPolledAt.Compare(h[j].task.LastPolledAt)) < 0
}
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}
