package schedule

import (
	"math"
	"slices"
	"time"

	"pushwatch/watcher"
)

// An Entry is a live task as the schedule sees it. Its fields may change only while it
// waits in no schedule, as while it is polled: what a schedule holds is ordered by them.
type Entry struct {
	place

	Key        watcher.Key
	Registered time.Time
	Asked      watcher.Tick // when the last poll was sent; Never: not yet
	Expected   int64        // ExpectedStopAt in unix microseconds; 0: not told
	NotBefore  watcher.Tick // after a poll that told nothing; Never: at any time
	Settles    watcher.Tick // when an answer may settle a doubt; Never: nothing is in doubt
	Started    uint32       // PushStartTime in unix seconds; 0: not told
	Urgent     bool         // somebody waits for its next poll
	state      uint8        // in watcher.States
}

// State is how far the push has come.
func (e *Entry) State() watcher.State { return watcher.States[e.state] }

// SetState sets it.
func (e *Entry) SetState(s watcher.State) { e.state = uint8(max(0, slices.Index(watcher.States, s))) }

// NewEntry returns the entry of a task, which waits nowhere yet.
func NewEntry(t *watcher.Task) *Entry {
	e := &Entry{NotBefore: watcher.Never}
	e.Set(t)
	return e
}

// Set takes from a task what the schedule needs of it.
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
	queue     *queue       // nil: nowhere
	index     int          // in it
	due       watcher.Tick // what the queue is ordered by
	polled    watcher.Tick // the last poll, or the registration before the first
	reference watcher.Tick // where the entry's age counts from
}

// enter sets the times of a place for an entry that begins to wait at a time.
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

// fromWall returns the tick of a time that only the wall clock knows, by how far
// it is from now. What makes no sense ends ten years away.
func fromWall(t, now time.Time) watcher.Tick {
	const most = 10 * 365 * 24 * time.Hour
	return watcher.TickOf(now) - watcher.Tick(max(-most, min(now.Sub(t), most)))
}
