package page

import (
	"fmt"
	"time"
)

// intervalLength is how much of the hour a row of the chart's table covers.
const intervalLength = 10 * time.Minute

// An interval is a part of the last hour in figures.
type interval struct {
	When          string // minutes ago
	Known         bool
	Polls         string // polls a second on average, of the least that was granted
	Oldest        string // the greatest age of the oldest observation
	Starts, Stops delays // on average
}

// delays are how late a kind of change was observed, and was expected to be.
type delays struct{ Seen, Expected string }

// intervalsOf sums up samples, the oldest first, by interval.
func intervalsOf(l *locale, all []sample, now time.Time) []interval {
	var list []interval
	for from := time.Hour; from > 0; from -= intervalLength {
		until := from - intervalLength
		i := interval{When: fmt.Sprintf("%d–%d", from/time.Minute, until/time.Minute)}
		var part []sample
		for _, s := range all {
			if age := now.Sub(s.at); age <= from && (age > until || until == 0) {
				part = append(part, s)
			}
		}
		if i.Known = len(part) > 0; i.Known {
			least, _, _ := minMax(part, granted)
			_, most, _ := minMax(part, oldest)
			i.Polls = l.plain("chart.of", "Part", mean(part, made), "Whole", least)
			i.Oldest = l.secondsOrNone(most)
			i.Starts = delays{l.secondsOrNone(mean(part, startsSeen)), l.secondsOrNone(mean(part, startsExpected))}
			i.Stops = delays{l.secondsOrNone(mean(part, stopsSeen)), l.secondsOrNone(mean(part, stopsExpected))}
		}
		list = append(list, i)
	}
	return list
}

// mean is the average of a measure; 0: it has no values.
func mean(all []sample, m measure) float64 {
	sum, n := 0.0, 0
	for _, s := range all {
		if f, ok := s.value(m); ok {
			sum += f
			n++
		}
	}
	return sum / float64(max(1, n))
}

// secondsOrNone formats seconds, of which 0 means none.
func (l *locale) secondsOrNone(f float64) string {
	if f == 0 {
		return l.plain("chart.none")
	}
	return l.seconds(f)
}
