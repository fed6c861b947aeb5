package schedule

import (
	"math"
	"time"

	"pushwatch/watcher"
)

// A Lateness measures how late changes of pushes are seen, as an exponentially weighted mean
// over about half an hour.
type Lateness struct {
	starts, stops mean
}

// Starts returns how late the starts of pushes are seen.
func (l *Lateness) Starts() watcher.Lateness { return l.starts.show() }

// Stops returns how late their ends are seen.
func (l *Lateness) Stops() watcher.Lateness { return l.stops.show() }

// Record records the poll of e that led from one task to the next. It must be called before e
// is set to the next.
func (l *Lateness) Record(h *Hazards, e *Entry, before, after *watcher.Task) {
	at := watcher.TickOf(after.LastPolledAt)
	m := &l.starts
	if before.State == watcher.Pushing {
		m = &l.stops
	}
	m.polled(at, h.of(e), seconds(e.polled-e.reference), seconds(at-e.reference))

	// A push that started before its registration does not count. TIW truncates its times
	// to seconds.
	awaited := func(t time.Time) bool { return t.After(before.RegisteredAt.Add(-time.Second)) }
	if start := after.Push.StartedAt(); after.Memory.Started && !before.Memory.Started && awaited(start) {
		l.starts.saw(after.LastObservedAt.Sub(start))
	}
	if stop := after.Push.StoppedAt(); after.State.Ended() && awaited(stop) {
		l.stops.saw(after.LastObservedAt.Sub(stop))
	}
}

// A mean is the lateness of one kind of change.
type mean struct {
	at              watcher.Tick // latest poll
	chances, hoped  float64      // expected changes, and the seconds they would have waited
	changes, waited float64      // seen changes, and the seconds they had waited
}

// fade is the time in which a mean's sums fall to 1/e.
const fade = 30 * time.Minute

// polled records a poll: the change could have come at ages from one to the other.
func (m *mean) polled(at watcher.Tick, c *curve, from, to float64) {
	keep := math.Exp(-max(0, at.Since(m.at).Seconds()) / fade.Seconds()) // of no effect at first
	m.at = at
	for _, sum := range []*float64{&m.chances, &m.hoped, &m.changes, &m.waited} {
		*sum *= keep
	}
	_, before := c.at(from)
	_, now := c.at(to)
	x := now - before
	if x <= 0 {
		return
	}
	came := -math.Expm1(-x) // probability that it has come
	m.chances += came
	m.hoped += (x - came) / x * (to - from) // as if the hazard were constant
}

// saw records a change that was seen late after it came.
func (m *mean) saw(late time.Duration) {
	m.changes++
	m.waited += max(0, late.Seconds())
}

func (m *mean) show() watcher.Lateness {
	average := func(sum, n float64) time.Duration {
		if n < 0.01 { // faded
			return 0
		}
		return time.Duration(sum / n * float64(time.Second))
	}
	return watcher.Lateness{Expected: average(m.hoped, m.chances), Seen: average(m.waited, m.changes)}
}
