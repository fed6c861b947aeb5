package schedule

import (
	"math"

	"pushwatch/watcher"
)

// A front is a cohort as a pick sees it. It bounds the worth of a poll of the first entry for
// some time, so that a pick weighs only the few that may be worth most.
type front struct {
	*queue
	polled      watcher.Tick // of the first entry
	from, until watcher.Tick // when the bound holds; until is Never: the first entry may be another
	most, rise  float64      // the bound at first, and by how much it rises in a second
}

const (
	// A bound holds until the first entry has waited longer by this part.
	boundPart = 1. / 8

	// boundSlack is more than the errors of index.
	boundSlack = 1 + 1e-4
)

// bound renews the bound. While the hazard is constant, the worth is convex in time, so a line
// from now to then lies above it. Where the hazard changes in between, the worth is at most
// that with the least hazard and the changes expected with the greatest.
func (f *front) bound(at watcher.Tick) {
	e, c := f.heap[0], f.curve
	f.polled = e.polled
	f.from, f.until = at, at+max(1, watcher.Tick(boundPart*float64(at-e.polled)))
	now, then, span := seconds(at-e.reference), seconds(f.until-e.reference), seconds(f.until-at)
	surprise := f.schedule.surprise
	least, greatest := c.between(now, then)
	_, x := c.expected(surprise, seconds(e.polled-e.reference), now)
	end := x + (greatest+surprise)*span
	weight := boundSlack
	if e.State() != watcher.Pushing {
		weight *= startsCount
	}
	f.most = weight * index(least+surprise, x)
	f.rise = (weight*index(least+surprise, end) - f.most) / span
	if end > indexed {
		f.rise = math.Inf(1)
	}
}

// between returns the least and the greatest hazard from one age to another.
func (c *curve) between(from, to float64) (least, greatest float64) {
	least = math.Inf(1)
	for _, h := range c.fitted[c.bin(from) : c.bin(to)+1] {
		least, greatest = min(least, h.rate), max(greatest, h.rate)
	}
	return least, greatest
}

// checkBounds drops all bounds and sets surprise after a new fit, or after the clock was set back.
func (s *Schedule) checkBounds(at watcher.Tick) {
	if at < s.picked || s.fitted != s.hazards.fitted {
		s.surprise = min(surprise, 1/(surpriseRounds*s.round(s.waiting).Seconds()))
		for i := range s.fronts {
			s.fronts[i].until = watcher.Never
		}
	}
	s.picked, s.fitted = at, s.hazards.fitted
}
