// Package scheduletest plays days of a school against policies of polling, and measures
// how late each sees pushes start and stop.
package scheduletest

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A Life is one push of a trace, in seconds since the trace began.
type Life struct {
	Registered float64
	Start      float64       // infinite: the push fails in preparation
	Stop       float64       // ended as planned or by a failure
	Planned    time.Duration // the length that the teacher planned
	Hint       float64       // the planned end, where the backend tells it; else not a number
	Day        int
}

// splitmix64 makes the same numbers wherever it is written down.
// https://prng.di.unimi.it/splitmix64.c
type splitmix64 uint64

func (s *splitmix64) next() uint64 {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// float returns a number in [0, 1).
func (s *splitmix64) float() float64 { return float64(s.next()>>11) / (1 << 53) }

// A Mood says how the pushes of a day end.
type Mood int

// The moods.
const (
	OrdinaryDay Mood = iota // within five minutes of the planned length
	ShortDay                // after 5 to 30 minutes, where an ordinary day teaches to expect it least
	Forgotten               // half an hour after the planned length: nobody calls stop
	WrongHints              // as on an ordinary day, but each hint is up to an hour off
)

// drawLife draws eight numbers for a push, however it ends.
func drawLife(random *splitmix64, registered float64, day int, m Mood) Life {
	var u [8]float64
	for i := range u {
		u[i] = random.float()
	}
	minutes := 90.0
	switch {
	case u[0] < 0.25:
		minutes = 40
	case u[0] < 0.60:
		minutes = 45
	case u[0] < 0.85:
		minutes = 60
	}
	l := Life{
		Registered: registered, Planned: time.Duration(minutes) * time.Minute,
		Hint: math.NaN(), Day: day,
	}
	ready := registered + min(60, 2-6*math.Log(1-u[1]))
	if u[2] < 0.01 {
		l.Start, l.Stop = math.Inf(1), ready
	} else {
		length := 60*minutes + (600*u[4] - 300)
		switch m {
		case ShortDay:
			length = 300 + 1500*u[4]
		case Forgotten:
			length = 60*minutes + 1800 + (120*u[4] - 60)
		}
		if u[3] < 0.03 {
			length = u[6] * 60 * minutes
		}
		l.Start, l.Stop = ready, ready+length
	}
	if u[7] < 0.30 {
		l.Hint = registered + 60*minutes
		if m == WrongHints {
			l.Hint += 7200*u[5] - 3600
		}
	}
	return l
}

// Hazard returns the rate at which a push that has gone on for some seconds ends
// on an ordinary day, to one who knows how lives are drawn and the hint.
func (l *Life) Hazard(age float64) float64 {
	ends, lasts := l.chances(age)
	return ends / lasts
}

// chances returns the probability per second that a push ends at an age, and that it lasts longer.
func (l *Life) chances(age float64) (ends, lasts float64) {
	lengths, shares := []float64{2400, 2700, 3600, 5400}, []float64{0.25, 0.35, 0.25, 0.15}
	if !math.IsNaN(l.Hint) {
		lengths, shares = []float64{l.Planned.Seconds()}, []float64{1}
	}
	for i, length := range lengths {
		if math.Abs(age-length) < 300 {
			ends += shares[i] * 0.97 / 600
		}
		if age < length {
			ends += shares[i] * 0.03 / length
		}
		lasts += shares[i] * (0.97*max(0, min(1, (length+300-age)/600)) + 0.03*max(0, 1-age/length))
	}
	return ends, lasts
}

// School draws days of 13 hours of lessons, most of which begin on the hour or on
// the half, with about n pushes at a time. The days have the moods given.
func School(seed uint64, n int, moods ...Mood) []Life {
	random := splitmix64(seed)
	var lives []Life
	for day, m := range moods {
		for block, weight := range []float64{.6, .9, 1, 1, .5, .5, .9, 1, .9, .6, .9, 1, .7} {
			hour := float64(day*86400 + (8+block)*3600)
			for range int(math.Round(weight * float64(n) * 0.9)) {
				u, v := random.float(), random.float()
				registered := hour + 3600*v
				switch {
				case u < 0.6:
					registered = hour - 180 + 480*v
				case u < 0.8:
					registered = hour + 1800 - 180 + 480*v
				}
				lives = append(lives, drawLife(&random, registered, day, m))
			}
		}
	}
	slices.SortStableFunc(lives, func(a, b Life) int { return cmp.Compare(a.Registered, b.Registered) })
	return lives
}

// Rush draws half an hour in which pushes of one to three minutes are registered,
// about n at a time: nothing that a fresh install expects.
func Rush(seed uint64, n int) []Life {
	const shortest, longest = 60.0, 180.0
	random := splitmix64(seed)
	var lives []Life
	for at := 0.0; at < 1800; at += (shortest + longest) / 2 / float64(n) {
		ready := at + min(60, 2-6*math.Log(1-random.float()))
		length := shortest + (longest-shortest)*random.float()
		lives = append(lives, Life{Registered: at, Start: ready, Stop: ready + length, Hint: math.NaN()})
	}
	return lives
}
