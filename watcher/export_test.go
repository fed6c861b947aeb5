package watcher

import (
	"math"
	"time"
)

// A Lesson is a push of a school day, for the tests outside the package. Times
// count from the first registration.
type Lesson struct {
	Registered time.Duration
	Prepared   time.Duration // how long it is PREPARED
	Pushing    time.Duration // and then PUSHING; 0: it fails before
	Planned    time.Duration // its planned end; 0: the backend does not tell
}

// Forenoon returns the pushes of the first three hours of a school day with about
// n at a time, and how late the simulation sees them start and stop on average at
// a number of polls a second: as the schedule does on its first day.
func Forenoon(seed uint64, n int, rate float64) (lessons []Lesson, starts, stops time.Duration) {
	lives := school(seed, n, ordinaryDay)
	first := lives[0].registered
	for i, l := range lives {
		if l.registered > first+3*3600 {
			lives = lives[:i]
			break
		}
		lesson := Lesson{Registered: span(l.registered - first), Prepared: span(l.start - l.registered), Pushing: span(l.stop - l.start)}
		if math.IsInf(l.start, 1) {
			lesson.Prepared, lesson.Pushing = span(l.stop-l.registered), 0
		}
		if !math.IsNaN(l.hint) {
			lesson.Planned = span(l.hint - first)
		}
		lessons = append(lessons, lesson)
	}
	day := simulate(lives, newLearning(), rate)[0]
	return lessons, span(day.starts.mean()), span(day.stops.mean())
}

// span is the inverse of Seconds.
func span(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// Slowed is slowed, for the tests outside the package.
func Slowed() bool { return slowed() }
