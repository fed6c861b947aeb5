package page

import (
	"slices"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// A timeline shows a task's states and events on a time axis. Horizontal positions are in
// percent of the width, vertical ones in pixels.
type timeline struct {
	Segments []segment
	Marks    []mark
	Ticks    []timeTick
	Planned  *float64 // position of the planned end; nil: none is known
	Height   int
	From, To time.Time
}

// A segment is a period in one state.
type segment struct {
	X, Width float64
	State    watcher.State
}

// Wide reports whether the segment has room for the name of its state.
func (s segment) Wide() bool { return s.Width >= 7 }

// A mark is an event: it was observed at X, and happened within the Width before.
type mark struct {
	event
	X, Width float64
	Y        int
}

// From is where the period begins in which the event happened.
func (m mark) From() float64 { return m.X - m.Width }

// A timeTick is a time that is marked on the axis.
type timeTick struct {
	X    float64
	Text string
}

const (
	statesHeight = 28 // at the top
	rowHeight    = 24 // of the marks, below
	markWidth    = 6  // percent that a mark takes at least
	axisHeight   = 22
)

// newTimeline draws a task and its events, the oldest first.
func newTimeline(l *locale, t engine.TaskView, events []event, now time.Time) timeline {
	from, to := timeRange(t, events, now)
	// Leave room at both ends for marks.
	scale := 100 / to.Sub(from).Seconds() * 0.96
	x := func(at time.Time) float64 { return min(max(2+at.Sub(from).Seconds()*scale, 0), 100) }

	line := timeline{From: from, To: to, Segments: segments(t, events, from, now, x), Ticks: l.timeTicks(from, to, x)}
	rows := 0
	line.Marks, rows = marks(events, x)
	if !t.ExpectedStopAt.IsZero() {
		line.Planned = new(x(t.ExpectedStopAt))
	}
	line.Height = statesHeight + max(1, rows)*rowHeight + 8 + axisHeight
	return line
}

// timeRange is the time that a timeline covers: from the registration or, where the task
// was reopened, from its first event, to its end, to now, or to its planned end.
func timeRange(t engine.TaskView, events []event, now time.Time) (from, to time.Time) {
	from, to = t.RegisteredAt, now
	if !t.EndedAt.IsZero() {
		to = t.EndedAt
	}
	for _, e := range events {
		for _, at := range []time.Time{e.At, e.Data.LastObservedAt} {
			if !at.IsZero() && at.Before(from) {
				from = at
			}
		}
	}
	if t.ExpectedStopAt.After(from) && t.ExpectedStopAt.After(to) {
		to = t.ExpectedStopAt
	}
	if to.Sub(from) < time.Second {
		to = from.Add(time.Second)
	}
	return from, to
}

// segments are the periods between the events that changed a task's state.
func segments(t engine.TaskView, events []event, from, now time.Time, x func(time.Time) float64) (list []segment) {
	state, since := watcher.Registered, from
	add := func(until time.Time) {
		if width := x(until) - x(since); width > 0 {
			list = append(list, segment{x(since), width, state})
		}
	}
	for _, e := range events {
		if e.Data.State != "" && e.Data.State != state {
			add(e.At)
			state, since = e.Data.State, e.At
		}
	}
	if !t.State.Ended() {
		add(now)
	}
	return list
}

// marks places events in rows so that none covers another.
func marks(events []event, x func(time.Time) float64) (list []mark, rows int) {
	var ends []float64 // where the last mark of each row ends
	for _, e := range events {
		at := x(e.At)
		m := mark{event: e, X: at}
		if !e.Data.LastObservedAt.IsZero() {
			m.Width = at - x(e.Data.LastObservedAt)
		}
		begin := at - max(m.Width, markWidth/2)
		row := slices.IndexFunc(ends, func(end float64) bool { return end <= begin })
		if row < 0 {
			row = len(ends)
			ends = append(ends, 0)
		}
		ends[row] = at + markWidth/2
		m.Y = statesHeight + 14 + row*rowHeight
		list = append(list, m)
	}
	return list, len(ends)
}

// tickSteps are the possible distances between ticks.
var tickSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
}

// timeTicks are at most five round times between two.
func (l *locale) timeTicks(from, to time.Time, x func(time.Time) float64) []timeTick {
	const most = 5
	step := tickSteps[len(tickSteps)-1]
	for _, s := range tickSteps {
		if to.Sub(from) <= most*s {
			step = s
			break
		}
	}
	step *= max(1, to.Sub(from)/(most*step))
	layout := "layout.minute"
	if step < time.Minute {
		layout = "layout.time"
	} else if step >= 24*time.Hour {
		layout = "layout.date"
	}
	_, offset := from.In(l.Zone).Zone()
	shift := time.Duration(offset) * time.Second // for round times of the zone
	var all []timeTick
	for at := from.Add(shift).Truncate(step).Add(-shift); !at.After(to); at = at.Add(step) {
		if left := x(at); !at.Before(from) && left >= 6 && left <= 94 { // its text lies within the timeline
			all = append(all, timeTick{left, at.In(l.Zone).Format(l.plain(layout))})
		}
	}
	return all
}
