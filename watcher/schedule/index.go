package schedule

import (
	"math"
	"time"

	"pushwatch/watcher"
)

const (
	// surprise is a hazard in changes per second that every push has besides what was
	// learned of it. Without it the mean delay of a school day's stops is 0.38 of what
	// polling in turn gives, but that of the latest hundredth 1.1; with it, 0.41 and 0.81.
	surprise = ordinary / 6

	// startsCount is what a second until a start is seen counts, where one until a stop
	// is seen counts 1. If both counted 1, the mean delay of starts would be 0.02 of what
	// polling in turn gives and that of stops 0.42; so it is 0.05 and 0.41.
	startsCount = 1. / 8

	// startSeenAnyway is the most that a poll can save a start, in seconds: sooner or
	// later the push is polled for its stop, and that poll shows the start too. Without
	// it, 20,000 pushes that start and stop on the hour spend the dearest polls on starts:
	// the mean delay of stops is a fifth longer.
	startSeenAnyway = 20 * 60
)

// worth returns what a poll of e at a time is worth, on its curve.
func (e *Entry) worth(c *curve, at watcher.Tick) float64 {
	w := c.worth(seconds(e.polled-e.reference), seconds(at-e.reference))
	if e.State() != watcher.Pushing {
		w = startsCount * min(w, startSeenAnyway)
	}
	return w
}

// worth returns what a poll is worth of a task that is to seconds old now, on the
// curve, and was from seconds old at its last poll.
//
// It is the Whittle index: the price of a poll at which polling now and waiting a
// little come to the same, had the hazard h always been what it is now. With x
// changes expected since the last poll that is (eˣ − 1 − x)/h: while a change is
// unlikely it grows as h·t²/2, and beyond any bound when it has all but surely come,
// as no later poll tells more.
//
// With the hazard as learned that gives the least mean delay, but leaves those that
// are hardly expected to change for last: and a failure comes when it is least
// expected. So surprise is added to it.
func (c *curve) worth(from, to float64) float64 {
	_, before := c.at(from)
	h, now := c.at(to)
	return index(h+surprise, now-before+surprise*(to-from))
}

// index is the Whittle index with the hazard h and x changes expected.
func index(h, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x < 0.5: // the series: the difference would lose its digits
		return x * x * (1./2 + x*(1./6+x*(1./24+x*(1./120+x*(1./720))))) / h
	default:
		x = min(x, 30) // e³⁰ is beyond any bound
		return (math.Expm1(x) - x) / h
	}
}

// leastWorth returns the least worth of a poll with which a task that changes once an
// hour is polled every so often, where 0 is none. A poll is worth about h·t²/2, so a
// task that is a hundred times as likely to change is polled ten times as often.
func leastWorth(every time.Duration) float64 {
	if every <= 0 {
		return 0
	}
	const h = ordinary + surprise
	return index(h, h*every.Seconds())
}

// seconds is Seconds for those who can spare its last digits.
func seconds(k watcher.Tick) float64 { return float64(k) / 1e9 }
