package page

import (
	"slices"
	"time"

	"pushwatch/watcher"
)

// A timeline is the picture of a task's life. What lies across is in percent of
// the width, what lies down in pixels.
type timeline struct {
	Segments []segment
	Marks    []mark
	Ticks    []scaleTick
	Planned  *float64 // where the planned end lies; nil: none is known
	Height   int
	From, To time.Time
}

// A segment is a time in one state.
type segment struct {
	X, Width float64
	State    watcher.State
}

// Wide reports whether the name of the state has room.
func (s segment) Wide() bool { return s.Width >= 7 }

// A mark is an event: it was seen at X, and happened within the Width before.
type mark struct {
	fact
	X, Width float64
	Y        int
}

// From is where the mark's time begins.
func (m mark) From() float64 { return m.X - m.Width }

// A scaleTick is a time on the scale.
type scaleTick struct {
	X    float64
	Text string
}

const (
	ribbonHeight = 28 // of the states, at the top
	rowHeight    = 24 // of the marks, below
	markWidth    = 6  // percent that a mark takes at least
	scaleHeight  = 22
)

// chronicle makes the picture of a task by its events, the oldest first.
func chronicle(t watcher.TaskView, facts []fact, now time.Time) timeline {
	from, to := t.RegisteredAt, now
	if !t.EndedAt.IsZero() {
		to = t.EndedAt
	}
	for _, f := range facts { // those of an earlier watching too
		from = earlier(from, f.At)
		if !f.Data.LastObservedAt.IsZero() {
			from = earlier(from, f.Data.LastObservedAt)
		}
	}
	if t.ExpectedStopAt.After(from) && t.ExpectedStopAt.After(to) {
		to = t.ExpectedStopAt
	}
	if to.Sub(from) < time.Second {
		to = from.Add(time.Second)
	}
	// Some room at both ends, for marks that lie there.
	scale := 100 / to.Sub(from).Seconds() * 0.96
	x := func(at time.Time) float64 { return min(max(2+at.Sub(from).Seconds()*scale, 0), 100) }

	line := timeline{From: from, To: to}
	state, since := watcher.Registered, from
	until := func(at time.Time) {
		if width := x(at) - x(since); width > 0 {
			line.Segments = append(line.Segments, segment{x(since), width, state})
		}
	}
	var rows []float64 // how far each is taken
	for _, f := range facts {
		at := x(f.At)
		m := mark{fact: f, X: at}
		if !f.Data.LastObservedAt.IsZero() {
			m.Width = at - x(f.Data.LastObservedAt)
		}
		begin := at - max(m.Width, markWidth/2)
		row := slices.IndexFunc(rows, func(taken float64) bool { return taken <= begin })
		if row < 0 {
			row = len(rows)
			rows = append(rows, 0)
		}
		rows[row] = at + markWidth/2
		m.Y = ribbonHeight + 14 + row*rowHeight
		line.Marks = append(line.Marks, m)
		if f.Data.State != "" && f.Data.State != state {
			until(f.At)
			state, since = f.Data.State, f.At
		}
	}
	if !t.State.Ended() {
		until(now)
	}
	if !t.ExpectedStopAt.IsZero() {
		line.Planned = new(x(t.ExpectedStopAt))
	}
	line.Height = ribbonHeight + max(1, len(rows))*rowHeight + 8 + scaleHeight
	line.Ticks = ticks(from, to, x)
	return line
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// tickSteps are the distances that a scale may have between its ticks.
var tickSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
}

// ticks are at most five round times between two.
func ticks(from, to time.Time, x func(time.Time) float64) []scaleTick {
	const most = 5
	step := tickSteps[len(tickSteps)-1]
	for _, s := range tickSteps {
		if to.Sub(from) <= most*s {
			step = s
			break
		}
	}
	step *= max(1, to.Sub(from)/(most*step))
	layout := "15:04"
	if step < time.Minute {
		layout = "15:04:05"
	} else if step >= 24*time.Hour {
		layout = "2 Jan"
	}
	var all []scaleTick
	for at := from.UTC().Truncate(step); !at.After(to); at = at.Add(step) {
		if left := x(at); !at.Before(from) && left >= 6 && left <= 94 { // within the picture with all of its text
			all = append(all, scaleTick{left, at.Format(layout)})
		}
	}
	return all
}
