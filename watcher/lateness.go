package watcher

import (
	"math"
	"time"
)

// A Lateness tells how late a kind of change is seen, on average over the last
// half hour or so. Where the expected one is more than you can bear, only a higher
// limit or fewer pushes help; where the seen one is much above the expected, pushes
// change at other times than the schedule has learnt.
type Lateness struct {
	Expected time.Duration // by what was learnt, at the pace of the polls; 0: none was due
	Seen     time.Duration // by the times that TIW tells, which are whole seconds; 0: none came
}

// lateness gathers what a Lateness is made of. What is old counts less and less.
type lateness struct {
	at              tick    // of the newest poll in it
	chances, hoped  float64 // changes that the polls could expect, and the seconds these would have waited
	changes, waited float64 // changes that they saw, and the seconds these had waited
}

// fade is the time in which what a lateness has gathered falls to 1/e.
const fade = 30 * time.Minute

// polled notes a poll at a time, and the moments of the task's life between which
// the change could have come.
func (l *lateness) polled(at tick, c *curve, from, to float64) {
	keep := math.Exp(-max(0, at.since(l.at).Seconds()) / fade.Seconds()) // at first there is nothing to keep
	l.at = at
	for _, sum := range []*float64{&l.chances, &l.hoped, &l.changes, &l.waited} {
		*sum *= keep
	}
	_, before := c.at(from)
	_, now := c.at(to)
	x := now - before
	if x <= 0 {
		return
	}
	came := -math.Expm1(-x) // the chance that it has come
	l.chances += came
	l.hoped += (x - came) / x * (to - from) // with a hazard that is the same all the while
}

// saw notes that a change was seen so long after it had come.
func (l *lateness) saw(late time.Duration) {
	l.changes++
	l.waited += max(0, late.Seconds())
}

func (l *lateness) show() Lateness {
	mean := func(sum, n float64) time.Duration {
		if n < 0.01 { // it has faded
			return 0
		}
		return time.Duration(sum / n * float64(time.Second))
	}
	return Lateness{Expected: mean(l.hoped, l.chances), Seen: mean(l.waited, l.changes)}
}

// time takes in what an answer to a poll of e, not yet kept there, tells of how
// late changes are seen. a.mu is held.
func (a *account) time(e *entry, before, next *Task) {
	at := tickOf(next.LastPolledAt)
	l := &a.starts
	if before.State == Pushing {
		l = &a.stops
	}
	l.polled(at, a.schedule.hazards.of(e), seconds(e.polled-e.reference), seconds(at-e.reference))
	if next.Push == nil {
		return
	}
	// A push that started before it was registered was not waited for.
	if start := value(next.Push.PushStartTime); start > 0 && next.Memory.Started && !before.Memory.Started {
		if started := time.Unix(start, 0); started.After(before.RegisteredAt.Add(-time.Second)) {
			a.starts.saw(next.LastObservedAt.Sub(started))
		}
	}
	if stop := value(next.Push.PushStopTime); stop > 0 && next.State.Ended() {
		if stopped := time.Unix(stop, 0); stopped.After(before.RegisteredAt.Add(-time.Second)) {
			a.stops.saw(next.LastObservedAt.Sub(stopped))
		}
	}
}
