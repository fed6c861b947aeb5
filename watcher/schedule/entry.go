package schedule

import (
	"math"
	"slices"
	"time"

	"pushwatch/watcher"
)

// An Entry is a live task as the schedule sees it. Its fields may change only while it is in
// no schedule, for example while it is polled: schedules order their entries by them.
type Entry struct {
	place

	Key        watcher.Key
	Registered time.Time
	Asked      watcher.Tick // when the last poll was sent; Never: none yet
	Expected   int64        // ExpectedStopAt in unix microseconds; 0: not known
	NotBefore  watcher.Tick // earliest next poll after a failed one; Never: none
	Settles    watcher.Tick // when an answer can settle a doubt; Never: no doubt
	Started    uint32       // PushStartTime in unix seconds; 0: not known
	Urgent     bool         // poll it next
	state      uint8        // index in watcher.States
}

// State returns the state of the task.
func (e *Entry) State() watcher.State { return watcher.States[e.state] }

// SetState sets the state of the task.
func (e *Entry) SetState(s watcher.State) { e.state = uint8(max(0, slices.Index(watcher.States, s))) }

// NewEntry returns the entry of a task, in no schedule.
func NewEntry(t *watcher.Task) *Entry {
	e := &Entry{NotBefore: watcher.Never}
	e.Set(t)
	return e
}

// Set sets the entry to a task.
func (e *Entry) Set(t *watcher.Task) {
	e.Key = t.Key
	e.SetState(t.State)
	e.Registered, e.Asked = t.RegisteredAt, watcher.TickOf(t.LastPolledAt)
	e.Expected, e.Started = 0, 0
	if !t.ExpectedStopAt.IsZero() {
		e.Expected = t.ExpectedStopAt.UnixMicro()
	}
	if start := t.Push.StartedAt(); !start.IsZero() {
		e.Started = uint32(min(start.Unix(), math.MaxUint32))
	}
	e.Settles = watcher.Never
	if t.Memory.Doubt.About != watcher.Nothing {
		e.Settles = max(t.Memory.Doubt.Next, watcher.Never+1)
	}
}

// A place is where an entry waits.
type place struct {
	queue     *queue       // nil: in no schedule
	index     int          // in the queue's heap
	due       watcher.Tick // the queue's order
	polled    watcher.Tick // last poll, or the registration before the first
	reference watcher.Tick // start of the entry's age
}

// enter sets the times of an entry that begins to wait.
func (e *Entry) enter(now time.Time) {
	at := watcher.TickOf(now)
	e.polled = e.Asked
	if e.Asked == watcher.Never {
		e.polled = watcher.TickOf(e.Registered)
	}
	e.polled = min(at, e.polled)
	e.reference = watcher.TickOf(e.Registered)
	switch {
	case e.State() != watcher.Pushing:
	case e.Expected != 0:
		e.reference = fromWall(time.UnixMicro(e.Expected), now)
	case e.Started != 0:
		e.reference = fromWall(time.Unix(int64(e.Started), 0), now)
	}
}

// fromWall returns the tick of a time without a monotonic reading, by its distance from now,
// at most ten years.
func fromWall(t, now time.Time) watcher.Tick {
	const most = 10 * 365 * 24 * time.Hour
	return watcher.TickOf(now) - watcher.Tick(max(-most, min(now.Sub(t), most)))
}
