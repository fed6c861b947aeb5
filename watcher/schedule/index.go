package schedule

import (
	"math"
	"time"

	"pushwatch/watcher"
)

const (
	// surprise is added to the learned hazard of every push, in changes per second. With it
	// the mean delay of a school day's stops is 0.41 of that of round robin, and the 99th
	// percentile 0.81; without it, 0.38 and 1.1.
	surprise = ordinary / 6

	// Where a round takes long, surprise falls to one change in this many rounds: polls of
	// the improbable would cost the others more than they save. With 20,000 pushes the mean
	// delay of stops is 2 % shorter, and the 99th percentile stays below round robin's.
	surpriseRounds = 54

	// startsCount is the weight of a second of delay of a start, relative to a stop. The
	// mean delays of starts and stops are 0.05 and 0.41 of those of round robin; with
	// weight 1 they would be 0.02 and 0.42.
	startsCount = 1. / 8

	// startSeenAnyway is the most that a poll can save a start, in seconds: sooner or
	// later the push is polled for its stop, and that poll shows the start too. Without
	// it, 20,000 pushes that start and stop on the hour spend the dearest polls on starts:
	// the mean delay of stops is a fifth longer.
	startSeenAnyway = 20 * 60
)

// worth returns the worth of a poll of e at a time. c is its curve.
func (e *Entry) worth(c *curve, surprise float64, at watcher.Tick) float64 {
	w := c.worth(surprise, seconds(e.polled-e.reference), seconds(at-e.reference))
	if e.State() != watcher.Pushing {
		w = startsCount * min(w, startSeenAnyway)
	}
	return w
}

// worth returns the worth of a poll of a task that is to seconds old, and was from seconds old at
// its last poll.
//
// It is the Whittle index: the price of a poll at which polling now and waiting a little are
// equally good, if the hazard h were constant. With x expected changes since the last poll it
// is (eˣ − 1 − x)/h. While a change is unlikely it grows as h·t²/2, and without bound once a
// change is almost certain.
//
// With the learned hazard this gives the least mean delay, but tasks that are hardly expected to
// change wait long, and failures come unexpectedly. So surprise is added.
func (c *curve) worth(surprise, from, to float64) float64 {
	return index(c.expected(surprise, from, to))
}

// expected returns the hazard at an age and the changes expected since another, with surprise.
func (c *curve) expected(surprise, from, to float64) (h, x float64) {
	_, before := c.at(from)
	h, now := c.at(to)
	return h + surprise, now - before + surprise*(to-from)
}

// indexed is the most changes that index counts: e³⁰ is beyond any bound.
const indexed = 30

// index is the Whittle index with the hazard h and x changes expected.
func index(h, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x < 0.5: // the series: the difference would lose its digits
		return x * x * (1./2 + x*(1./6+x*(1./24+x*(1./120+x*(1./720))))) / h
	default:
		x = min(x, indexed)
		return (math.Expm1(x) - x) / h
	}
}

// leastWorth returns the least worth of a poll for which a task with one change an hour is polled
// at the given interval; 0: none. A poll is worth about h·t²/2, so a task with a hundred times
// the hazard is polled ten times as often.
func leastWorth(every time.Duration) float64 {
	if every <= 0 {
		return 0
	}
	const h = ordinary + surprise
	return index(h, h*every.Seconds())
}

// seconds converts a tick to seconds, faster than Seconds and less exact.
func seconds(k watcher.Tick) float64 { return float64(k) / 1e9 }
