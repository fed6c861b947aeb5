package engine

import "time"

// A meter measures a rate over the last minute.
type meter struct {
	counts [60]int   // by second
	newest int64     // latest second
	since  time.Time // start of second 0
}

// add counts one event.
func (m *meter) add(now time.Time) {
	if m.since.IsZero() {
		m.since = now
	}
	m.turn(now)
	m.counts[m.newest%int64(len(m.counts))]++
}

// turn advances to the current second and clears the seconds between.
func (m *meter) turn(now time.Time) {
	second := int64(now.Sub(m.since) / time.Second) // by the monotonic clock
	if second-m.newest >= int64(len(m.counts)) {
		m.counts = [60]int{}
		m.newest = second
	}
	for ; m.newest < second; m.newest++ {
		m.counts[(m.newest+1)%int64(len(m.counts))] = 0
	}
}

// rate returns the events per second over the last minute, or since the first if later.
func (m *meter) rate(now time.Time) float64 {
	if m.since.IsZero() {
		return 0
	}
	m.turn(now)
	sum := 0
	for _, n := range m.counts {
		sum += n
	}
	return float64(sum) / min(60, max(1, now.Sub(m.since).Seconds()))
}
