package schedule

import (
	"math"
	"time"

	"pushwatch/watcher"
)

// A Lateness measures how late changes of pushes are seen, over the last half hour or
// so: what is old counts less and less.
type Lateness struct {
	starts, stops mean
}

// Starts returns how late the starts of pushes are seen.
func (l *Lateness) Starts() watcher.Lateness { return l.starts.show() }

// Stops returns how late their ends are seen.
func (l *Lateness) Stops() watcher.Lateness { return l.stops.show() }

// Record records what an answer to a poll of e tells of how late changes are seen. It
// is called before e is set to the task as it is afterwards.
func (l *Lateness) Record(h *Hazards, e *Entry, before, after *watcher.Task) {
	at := watcher.TickOf(after.LastPolledAt)
	m := &l.starts
	if before.State == watcher.Pushing {
		m = &l.stops
	}
	m.polled(at, h.of(e), seconds(e.polled-e.reference), seconds(at-e.reference))

	// A push that started before it was registered was not waited for. TIW cuts its
	// times to seconds.
	awaited := func(t time.Time) bool { return t.After(before.RegisteredAt.Add(-time.Second)) }
	if start := after.Push.StartedAt(); after.Memory.Started && !before.Memory.Started && awaited(start) {
		l.starts.saw(after.LastObservedAt.Sub(start))
	}
	if stop := after.Push.StoppedAt(); after.State.Ended() && awaited(stop) {
		l.stops.saw(after.LastObservedAt.Sub(stop))
	}
}

// A mean gathers what a [watcher.Lateness] of one kind of change is made of.
type mean struct {
	at              watcher.Tick // of the newest poll in it
	chances, hoped  float64      // changes that the polls could expect, and the seconds these would have waited
	changes, waited float64      // changes that they saw, and the seconds these had waited
}

// fade is the time in which what a mean has gathered falls to 1/e.
const fade = 30 * time.Minute

// polled notes a poll at a time, and the moments of the task's life between which
// the change could have come.
func (m *mean) polled(at watcher.Tick, c *curve, from, to float64) {
	keep := math.Exp(-max(0, at.Since(m.at).Seconds()) / fade.Seconds()) // at first there is nothing to keep
	m.at = at
	for _, sum := range []*float64{&m.chances, &m.hoped, &m.changes, &m.waited} {
		*sum *= keep
	}
	_, before := c.at(from)
	_, now := c.at(to)
	x := now - before
	if x <= 0 {
		return
	}
	came := -math.Expm1(-x) // the chance that it has come
	m.chances += came
	m.hoped += (x - came) / x * (to - from) // with a hazard that is the same all the while
}

// saw notes that a change was seen so long after it had come.
func (m *mean) saw(late time.Duration) {
	m.changes++
	m.waited += max(0, late.Seconds())
}

func (m *mean) show() watcher.Lateness {
	average := func(sum, n float64) time.Duration {
		if n < 0.01 { // it has faded
			return 0
		}
		return time.Duration(sum / n * float64(time.Second))
	}
	return watcher.Lateness{Expected: average(m.hoped, m.chances), Seen: average(m.waited, m.changes)}
}
