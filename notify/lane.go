package notify

import (
	"container/heap"
	"container/list"
	"slices"
	"time"
)

// A lane holds the deliveries of one task to one notifier, in order. Only its
// head is ever sent.
type lane struct {
	key   laneKey
	feed  *Feed
	queue []Delivery
	due   time.Time // when the head may be tried; zero: at once
	down  bool      // the head failed because the receiver is down
	busy  bool      // the head is being sent or marked dead; the lane is in no list
	line  *list.List
	place *list.Element // in line; nil: in none
	index int           // in the heap of waiting lanes; -1: not there
}

// A laneKey names a lane of one notifier.
type laneKey struct{ account, subject string }

// lanes are all lanes that a channel holds in memory. A lane whose head may be sent is
// in one of two lists, one whose head has to wait is in a heap.
type lanes struct {
	all     map[laneKey]*lane
	held    int       // deliveries
	loaded  int       // deliveries with their bodies
	fresh   list.List // lanes whose heads were never sent
	retries list.List // lanes whose heads were sent before
	waiting waiting
	picks   int // by next
}

// add inserts a delivery into its lane: at the end or, if it is replayed, before newer
// ones. One that cannot be sent soon loses its body.
func (ls *lanes) add(f *Feed, d Delivery) {
	key := laneKey{d.Account, d.Subject}
	l := ls.all[key]
	if l == nil {
		l = &lane{key: key, feed: f, index: -1}
		ls.all[key] = l
	}
	ls.held++
	if d.Body != nil {
		ls.loaded++
	}
	at := len(l.queue)
	first := 0
	if l.busy {
		first = 1
	}
	for at > first && l.queue[at-1].ID > d.ID {
		at--
	}
	l.queue = slices.Insert(l.queue, at, d)
	switch {
	case l.busy:
	case at == 0:
		ls.take(l)
		l.down = false
		ls.put(l, d.NextAttemptAt)
	case l.index >= 0:
		ls.unload(l, at)
	}
}

// owns reports whether the lane is still held: it may have been dropped while it was
// busy.
func (ls *lanes) owns(l *lane) bool { return ls.all[l.key] == l }

// put adds a lane that is in no list to the right one; due is when its head may be sent.
func (ls *lanes) put(l *lane, due time.Time) {
	l.due = due
	switch {
	case due.After(time.Now()):
		heap.Push(&ls.waiting, l)
		for i := range l.queue {
			ls.unload(l, i)
		}
	case l.queue[0].Attempts == 0:
		l.line, l.place = &ls.fresh, ls.fresh.PushBack(l)
	default:
		l.line, l.place = &ls.retries, ls.retries.PushBack(l)
	}
}

// take removes a lane from the list it is in.
func (ls *lanes) take(l *lane) {
	if l.place != nil {
		l.line.Remove(l.place)
		l.place = nil
	}
	if l.index >= 0 {
		heap.Remove(&ls.waiting, l.index)
	}
}

// unload drops the body of a delivery. It is read again when the delivery is sent.
func (ls *lanes) unload(l *lane, i int) {
	if d := &l.queue[i]; d.Body != nil {
		d.Body = nil
		ls.loaded--
	}
}

// release moves lanes that are due from the heap to the lists, and returns when the next
// one is due.
func (ls *lanes) release(now time.Time) (next time.Time) {
	for len(ls.waiting) > 0 {
		l := ls.waiting[0]
		if l.due.After(now) {
			return l.due
		}
		ls.take(l)
		ls.put(l, l.due)
	}
	return time.Time{}
}

// releaseDown makes the heads that wait because the receiver was down due at once.
func (ls *lanes) releaseDown(now time.Time) {
	for _, l := range slices.Clone(ls.waiting) {
		if l.down {
			ls.take(l)
			l.down = false
			ls.put(l, now)
		}
	}
}

// ready reports whether a head may be sent now.
func (ls *lanes) ready() bool { return ls.fresh.Len()+ls.retries.Len() > 0 }

// freshPicks out of allPicks go to heads that were never sent, where there are both: new
// events take precedence over ones that failed before.
const freshPicks, allPicks = 4, 5

// next takes the lane whose head is sent next and makes it busy; nil: there is none.
func (ls *lanes) next() *lane {
	line := &ls.retries
	if ls.fresh.Len() > 0 && (ls.retries.Len() == 0 || ls.picks%allPicks < freshPicks) {
		line = &ls.fresh
	}
	front := line.Front()
	if front == nil {
		return nil
	}
	ls.picks++
	l := front.Value.(*lane)
	ls.take(l)
	l.busy = true
	return l
}

// expired takes the lanes whose heads have waited longer than maxAge and makes them busy.
func (ls *lanes) expired(now time.Time, maxAge time.Duration) []*lane {
	var old []*lane
	for _, l := range ls.all {
		if !l.busy && now.Sub(l.queue[0].Since) >= maxAge {
			ls.take(l)
			l.busy = true
			old = append(old, l)
		}
	}
	return old
}

// postpone keeps the head of a busy lane for another attempt.
func (ls *lanes) postpone(l *lane, due time.Time) {
	l.busy = false
	ls.unload(l, 0)
	ls.put(l, due)
}

// done removes the settled head of a busy lane, and puts the lane where its next
// delivery belongs; an empty lane is dropped.
func (ls *lanes) done(l *lane) {
	ls.unload(l, 0)
	l.queue[0] = Delivery{}
	l.queue = l.queue[1:]
	l.busy, l.down = false, false
	ls.held--
	if len(l.queue) == 0 {
		delete(ls.all, l.key)
		return
	}
	ls.put(l, l.queue[0].NextAttemptAt)
}

// drop drops the lanes of a feed, or all lanes if f is nil. It returns how many of them
// are busy.
func (ls *lanes) drop(f *Feed) (busy int) {
	for key, l := range ls.all {
		if f != nil && l.feed != f {
			continue
		}
		ls.take(l)
		for i := range l.queue {
			ls.unload(l, i)
		}
		ls.held -= len(l.queue)
		delete(ls.all, key)
		if l.busy {
			busy++
		}
	}
	return busy
}

// waiting is a heap of lanes whose heads have to wait, the earliest due on top.
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
