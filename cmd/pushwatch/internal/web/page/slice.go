package page

import (
	"fmt"
	"time"
)

// sliceLength is how much of the hour a row of its table tells of.
const sliceLength = 10 * time.Minute

// A slice is a part of the hour in figures.
type slice struct {
	When          string // minutes ago
	Known         bool
	Polls         string // on average, of those granted at the least
	Oldest        string // at its oldest
	Starts, Stops delays // on average
}

// delays are how late a kind of change was seen, and had to be expected to be.
type delays struct{ Seen, Expected string }

// slicesOf tells in figures of samples, the oldest first.
func slicesOf(all []sample, now time.Time) []slice {
	var list []slice
	for from := time.Hour; from > 0; from -= sliceLength {
		until := from - sliceLength
		s := slice{When: fmt.Sprintf("%d–%d", from/time.Minute, until/time.Minute)}
		var part []sample
		for _, one := range all {
			if age := now.Sub(one.at); age <= from && (age > until || until == 0) {
				part = append(part, one)
			}
		}
		if s.Known = len(part) > 0; s.Known {
			least, _, _ := reach(part, granted)
			_, most, _ := reach(part, oldest)
			s.Polls = decimal(mean(part, made)) + " of " + decimal(least)
			s.Oldest = orNone(most)
			s.Starts = delays{orNone(mean(part, startsSeen)), orNone(mean(part, startsExpected))}
			s.Stops = delays{orNone(mean(part, stopsSeen)), orNone(mean(part, stopsExpected))}
		}
		list = append(list, s)
	}
	return list
}

// mean is the average of the figures of a measure; 0: there is none.
func mean(all []sample, m measure) float64 {
	sum, n := 0.0, 0
	for _, s := range all {
		if f, ok := s.figure(m); ok {
			sum += f
			n++
		}
	}
	return sum / float64(max(1, n))
}

// orNone writes a number of seconds that is 0 where there is nothing.
func orNone(f float64) string {
	if f == 0 {
		return "none"
	}
	return seconds(f)
}
