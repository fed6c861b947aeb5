package watcher

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"
)

// A life is one push of a trace, in seconds since the trace began.
type life struct {
	registered float64
	start      float64       // infinite: the push fails in preparation
	stop       float64       // as it should, or by a failure
	planned    time.Duration // its length, as the teacher has it
	hint       float64       // the planned end, where the backend tells it; else not a number
	day        int
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

// A mood says how the pushes of a day end.
type mood int

const (
	ordinaryDay mood = iota // within five minutes of the planned length
	shortDay                // after 5 to 30 minutes, where an ordinary day teaches to expect it least
	forgotten               // half an hour after the planned length: nobody calls stop
	wrongHints              // as on an ordinary day, but each hint is up to an hour off
)

// drawLife draws eight numbers for a push, whatever becomes of it.
func drawLife(random *splitmix64, registered float64, day int, m mood) life {
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
	l := life{
		registered: registered, planned: time.Duration(minutes) * time.Minute,
		hint: math.NaN(), day: day,
	}
	ready := registered + min(60, 2-6*math.Log(1-u[1]))
	if u[2] < 0.01 {
		l.start, l.stop = math.Inf(1), ready
	} else {
		length := 60*minutes + (600*u[4] - 300)
		switch m {
		case shortDay:
			length = 300 + 1500*u[4]
		case forgotten:
			length = 60*minutes + 1800 + (120*u[4] - 60)
		}
		if u[3] < 0.03 {
			length = u[6] * 60 * minutes
		}
		l.start, l.stop = ready, ready+length
	}
	if u[7] < 0.30 {
		l.hint = registered + 60*minutes
		if m == wrongHints {
			l.hint += 7200*u[5] - 3600
		}
	}
	return l
}

// hazard returns the rate at which a push that has gone on for some seconds ends
// on an ordinary day, to one who knows how lives are drawn and the hint.
func (l *life) hazard(age float64) float64 {
	lengths, shares := []float64{2400, 2700, 3600, 5400}, []float64{0.25, 0.35, 0.25, 0.15}
	if !math.IsNaN(l.hint) {
		lengths, shares = []float64{l.planned.Seconds()}, []float64{1}
	}
	var ends, lasts float64
	for i, length := range lengths {
		if math.Abs(age-length) < 300 {
			ends += shares[i] * 0.97 / 600
		}
		if age < length {
			ends += shares[i] * 0.03 / length
		}
		lasts += shares[i] * (0.97*max(0, min(1, (length+300-age)/600)) + 0.03*max(0, 1-age/length))
	}
	return ends / lasts
}

// school draws days of 13 hours of lessons, most of which begin on the hour or on
// the half, with about n pushes at a time. The days have the moods given.
func school(seed uint64, n int, moods ...mood) []life {
	random := splitmix64(seed)
	var lives []life
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
	slices.SortStableFunc(lives, func(a, b life) int { return cmp.Compare(a.registered, b.registered) })
	return lives
}

// rush draws half an hour in which pushes of one to three minutes are registered,
// about n at a time: nothing that a fresh install expects.
func rush(seed uint64, n int) []life {
	const shortest, longest = 60.0, 180.0
	random := splitmix64(seed)
	var lives []life
	for at := 0.0; at < 1800; at += (shortest + longest) / 2 / float64(n) {
		ready := at + min(60, 2-6*math.Log(1-random.float()))
		length := shortest + (longest-shortest)*random.float()
		lives = append(lives, life{registered: at, start: ready, stop: ready + length, hint: math.NaN()})
	}
	return lives
}

// The figures that are told of the schedule are of these traces and no others.
func TestTraceIsTheOneMeasured(t *testing.T) {
	random := splitmix64(1)
	for i, want := range []uint64{10451216379200822465, 13757245211066428519} {
		if got := random.next(); got != want {
			t.Errorf("splitmix64(1), number %d = %d, want %d", i, got, want)
		}
	}
	type sums struct {
		pushes, hints, failed   int
		registered, start, stop int64 // ms
	}
	for _, c := range []struct {
		n    int
		want sums
	}{
		{200, sums{3780, 1134, 31, 357662490948, 354683852730, 369650400468}},
		{2000, sums{37800, 11222, 361, 3577690209793, 3543117839937, 3698239123526}},
	} {
		var got sums
		var registered, start, stop float64
		for _, l := range school(1, c.n, ordinaryDay, ordinaryDay) {
			got.pushes++
			registered += l.registered
			stop += l.stop
			if math.IsInf(l.start, 1) {
				got.failed++
			} else {
				start += l.start
			}
			if !math.IsNaN(l.hint) {
				got.hints++
			}
		}
		ms := func(seconds float64) int64 { return int64(math.Round(1000 * seconds)) }
		got.registered, got.start, got.stop = ms(registered), ms(start), ms(stop)
		if got != c.want {
			t.Errorf("school(1, %d) = %+v, want %+v", c.n, got, c.want)
		}
	}
}
