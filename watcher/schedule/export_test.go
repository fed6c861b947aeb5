package schedule

import (
	"math"
	"slices"
	"time"

	"pushwatch/watcher"
)

// What the tests outside the package need of its inside.

// Rounds is how many rounds of all tasks the longest wait may take.
const Rounds = rounds

// StartsCount is the weight of a second of delay of a start, relative to a stop.
const StartsCount = startsCount

// SetHazards makes a fresh schedule go by other hazards.
func (s *Schedule) SetHazards(h *Hazards) { s.hazards = h }

// StopsAt returns the hazard of pushes without a planned end, at an age in seconds.
func (h *Hazards) StopsAt(age float64) float64 {
	rate, _ := h.pushing.at(age)
	return rate
}

// A Lived is a push of which everything is known, in seconds since its registration.
type Lived struct {
	Start, Stop float64 // an infinite Start: it failed in preparation
	Hint        float64 // the planned end; NaN: none
}

// TrueHazards returns what is learned from pushes if all of them are seen to the second.
func TrueHazards(lives []Lived) *Hazards {
	h := NewHazards()
	for _, l := range lives {
		if math.IsInf(l.Start, 1) {
			h.preparing.lived(0, l.Stop)
			h.preparing.changed(l.Stop)
			continue
		}
		h.preparing.lived(0, l.Start)
		h.preparing.changed(l.Start)
		if math.IsNaN(l.Hint) {
			h.pushing.lived(0, l.Stop-l.Start)
			h.pushing.changed(l.Stop - l.Start)
		} else {
			h.hinted.lived(l.Start-l.Hint, l.Stop-l.Hint)
			h.hinted.changed(l.Stop - l.Hint)
		}
	}
	h.fit()
	return h
}

// A Scanning is a schedule without its cohorts: it weighs every single task.
type Scanning struct {
	*Schedule
	entries []*Entry
}

// Learn teaches its hazards.
func (s *Scanning) Learn(before, after *watcher.Task) { s.hazards.Learn(before, after) }

// Put is as a schedule's.
func (s *Scanning) Put(e *Entry, now time.Time) {
	s.Schedule.Put(e, now)
	if e.queue.curve != nil {
		s.entries = append(s.entries, e)
	}
}

// Take is as a schedule's.
func (s *Scanning) Take(now time.Time, rate float64) *Entry {
	e := s.Schedule.Take(now, rate)
	if e == nil || !slices.Contains(s.entries, e) {
		return e // it was asked for
	}
	at := watcher.TickOf(now)
	s.waiting++
	s.cohort(e, at).push(e, e.polled)
	most := math.Inf(-1)
	best, oldest := -1, -1
	for i, e := range s.entries {
		if at.Since(e.polled) < s.config.MinInterval {
			continue
		}
		if oldest < 0 || e.polled < s.entries[oldest].polled {
			oldest = i
		}
		if w := e.worth(e.queue.curve, s.surprise, at); w > most {
			best, most = i, w
		}
	}
	if at.Since(s.entries[oldest].polled) >= s.MaxWait() {
		best = oldest
	}
	e = s.entries[best]
	s.entries[best] = s.entries[len(s.entries)-1]
	s.entries = s.entries[:len(s.entries)-1]
	s.Schedule.Remove(e)
	return e
}
