package schedule

import (
	"container/heap"
	"math"

	"pushwatch/watcher"
)

// A queue is a heap of entries, the one due first on top.
type queue struct {
	heap     []*Entry
	schedule *Schedule
	curve    *curve // of a cohort; nil: not a cohort
	cohort   cohortKey
	front    int // index of a cohort in fronts
}

// A cohortKey names a cohort: entries on one curve whose reference times are in one bin.
type cohortKey struct {
	curve *curve
	bin   int64
}

// cohort returns the queue of e's cohort. All ages before or after the curve's bins form one
// cohort, since their hazard is the same, which bounds the number of cohorts.
func (s *Schedule) cohort(e *Entry, at watcher.Tick) *queue {
	c := s.hazards.of(e)
	key := cohortKey{c, int64(math.Floor(seconds(e.reference) / c.width))}
	switch age := seconds(at - e.reference); {
	case age < c.start:
		key.bin = math.MinInt64
	case age > c.start+c.width*float64(len(c.fitted)):
		key.bin = math.MaxInt64
	}
	q := s.cohorts[key]
	if q == nil {
		if n := len(s.emptied); n > 0 {
			q, s.emptied = s.emptied[n-1], s.emptied[:n-1]
		} else {
			q = &queue{schedule: s}
		}
		q.curve, q.cohort, q.front = c, key, len(s.fronts)
		s.cohorts[key] = q
		s.fronts = append(s.fronts, front{queue: q})
	}
	return q
}

// retire drops an empty cohort.
func (s *Schedule) retire(q *queue) {
	delete(s.cohorts, q.cohort)
	last := len(s.fronts) - 1
	s.fronts[q.front] = s.fronts[last]
	s.fronts[q.front].front = q.front
	s.fronts[last] = front{}
	s.fronts = s.fronts[:last]
	if cap(q.heap) > 1024 {
		q.heap = nil // frees a large cohort's memory
	}
	s.emptied = append(s.emptied, q)
}

func (q *queue) push(e *Entry, due watcher.Tick) {
	e.queue, e.due = q, due
	heap.Push(q, e)
	q.changed()
}

// remove removes an entry.
func (q *queue) remove(e *Entry) {
	heap.Remove(q, e.index)
	q.changed()
}

// changed drops what the front of a cohort knows of its first entry.
func (q *queue) changed() {
	if q.curve != nil {
		q.schedule.fronts[q.front].until = watcher.Never
	}
}

// first returns the entry that is due first; nil: none.
func (q *queue) first() *Entry {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

func (q *queue) Len() int           { return len(q.heap) }
func (q *queue) Less(i, j int) bool { return q.heap[i].due < q.heap[j].due }
func (q *queue) Swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].index, q.heap[j].index = i, j
}

// Push is for package heap alone.
func (q *queue) Push(x any) {
	e := x.(*Entry)
	e.index = len(q.heap)
	q.heap = append(q.heap, e)
}

// Pop is for package heap alone.
func (q *queue) Pop() any {
	last := len(q.heap) - 1
	e := q.heap[last]
	q.heap[last] = nil
	q.heap = q.heap[:last]
	e.queue = nil
	return e
}
