package engine

import "time"

// A meter measures a rate over the last minute.
type meter struct {
	seconds [60]second // a ring
	since   time.Time  // start of second 0
}

// A second counts the events of a second.
type second struct {
	number int64 // since the meter's start
	count  int
}

// number returns the number of the current second, by the monotonic clock.
func (m *meter) number(now time.Time) int64 { return int64(now.Sub(m.since) / time.Second) }

// add counts one event.
func (m *meter) add(now time.Time) {
	if m.since.IsZero() {
		m.since = now
	}
	number := m.number(now)
	s := &m.seconds[number%int64(len(m.seconds))]
	if s.number != number {
		*s = second{number: number}
	}
	s.count++
}

// rate returns the events per second over the last minute, or since the first if later.
func (m *meter) rate(now time.Time) float64 {
	sum, number := 0, m.number(now)
	for _, s := range m.seconds {
		if s.number > number-int64(len(m.seconds)) {
			sum += s.count
		}
	}
	return float64(sum) / min(60, max(1, now.Sub(m.since).Seconds()))
}
