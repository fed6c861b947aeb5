package notify

import (
	"container/heap"
	"time"
)

// A lane holds the deliveries of one task to one notifier, in order. Only its
// head is ever sent.
type lane struct {
	key   laneKey
	feed  *Feed
	queue []Delivery
	due   time.Time // when the head may be tried; zero: at once
	down  bool      // the head failed because the receiver is down, not because of what it is
	busy  bool      // the head is being sent
	index int       // in the heap of waiting lanes; -1: not there
}

// A laneKey names a lane of one notifier.
type laneKey struct{ account, subject string }

// fresh reports whether the head has not been tried yet.
func (l *lane) fresh() bool { return l.queue[0].Attempts == 0 }

// waiting is a heap of the lanes whose heads have to wait, the first due on top.
type waiting []*lane

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].due.Before(w[j].due) }
func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}
func (w *waiting) Push(x any) {
	l := x.(*lane)
	l.index = len(*w)
	*w = append(*w, l)
}
func (w *waiting) Pop() any {
	last := len(*w) - 1
	l := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	l.index = -1
	return l
}

// A fifo is a queue of lanes.
type fifo struct {
	lanes []*lane
	head  int
}

func (f *fifo) len() int { return len(f.lanes) - f.head }

func (f *fifo) push(l *lane) { f.lanes = append(f.lanes, l) }

func (f *fifo) pop() *lane {
	l := f.lanes[f.head]
	f.lanes[f.head] = nil
	f.head++
	if f.head > 64 && 2*f.head > len(f.lanes) {
		n := copy(f.lanes, f.lanes[f.head:])
		clear(f.lanes[n:])
		f.lanes, f.head = f.lanes[:n], 0
	}
	return l
}

// lanes are all the lanes of one notifier that are in memory, sorted by what
// they wait for.
type lanes struct {
	all     map[laneKey]*lane
	held    int     // deliveries in all of them
	fresh   fifo    // heads that were never tried
	again   fifo    // heads whose next try is due
	waiting waiting // heads that have to wait
	turns   int
}

// add puts a delivery at the end of its lane.
func (ls *lanes) add(f *Feed, d Delivery) {
	key := laneKey{d.Account, d.Subject}
	l := ls.all[key]
	if l == nil {
		l = &lane{key: key, feed: f, index: -1}
		ls.all[key] = l
	}
	l.queue = append(l.queue, d)
	ls.held++
	if len(l.queue) == 1 && !l.busy {
		l.due = d.NextAttemptAt
		ls.place(l)
	}
}

// place puts a lane where its head belongs.
func (ls *lanes) place(l *lane) {
	switch {
	case l.due.After(time.Now()):
		heap.Push(&ls.waiting, l)
	case l.fresh():
		ls.fresh.push(l)
	default:
		ls.again.push(l)
	}
}

// wake moves the lanes that have waited enough, and returns when the next will have.
func (ls *lanes) wake(now time.Time) (next time.Time) {
	for len(ls.waiting) > 0 {
		if l := ls.waiting[0]; l.due.After(now) {
			return l.due
		}
		ls.again.push(heap.Pop(&ls.waiting).(*lane))
	}
	return time.Time{}
}

// recover makes due at once the heads that wait because the receiver was down.
func (ls *lanes) recover(now time.Time) {
	for _, l := range ls.waiting {
		if l.down {
			l.due, l.down = now, false
		}
	}
	heap.Init(&ls.waiting)
}

// freshTurns of so many turns go to heads that were never tried, where there are
// others too: what is new is told before what has failed already.
const freshTurns, allTurns = 4, 5

// next takes the lane whose head is to be sent, nil where there is none.
func (ls *lanes) next() *lane {
	for ls.fresh.len()+ls.again.len() > 0 {
		from := &ls.again
		if ls.fresh.len() > 0 && (ls.again.len() == 0 || ls.turns%allTurns < freshTurns) {
			from = &ls.fresh
		}
		ls.turns++
		if l := from.pop(); l.feed.open() {
			return l
		}
	}
	return nil
}

// done removes the head, which was settled, and puts the lane where the next
// belongs; an empty lane is forgotten.
func (ls *lanes) done(l *lane) {
	l.queue[0] = Delivery{}
	l.queue = l.queue[1:]
	ls.held--
	if len(l.queue) == 0 {
		delete(ls.all, l.key)
		return
	}
	l.due = l.queue[0].NextAttemptAt
	ls.place(l)
}

// drop forgets the lanes of a feed.
func (ls *lanes) drop(f *Feed) {
	for key, l := range ls.all {
		if l.feed == f {
			ls.held -= len(l.queue)
			delete(ls.all, key)
			if l.index >= 0 {
				heap.Remove(&ls.waiting, l.index)
			}
		}
	}
}
