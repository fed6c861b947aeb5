package schedule

import (
	"math/rand/v2"
	"testing"
	"time"

	"pushwatch/watcher"
)

// Where the hazard is what it is taken to be, as many changes come, and as late,
// as expected.
func TestLatenessAsExpected(t *testing.T) {
	for _, c := range []struct{ perHour, every float64 }{{1, 30}, {60, 30}, {600, 5}, {600, 60}} {
		h := curve{width: 3600, events: make([]float64, 1), exposure: make([]float64, 1), fitted: []hazard{{rate: c.perHour / 3600}}}
		random := rand.New(rand.NewPCG(1, 2))
		var l mean
		for range 20_000 { // pushes polled at an even pace until they are seen to change
			change := random.ExpFloat64() * 3600 / c.perHour
			for age := 0.0; ; age += c.every {
				l.polled(watcher.Tick(0), &h, age, age+c.every)
				if age+c.every > change {
					l.saw(time.Duration((age + c.every - change) * float64(time.Second)))
					break
				}
			}
		}
		got := l.show()
		if d := (got.Expected - got.Seen).Abs(); d > got.Seen/50 {
			t.Errorf("%+v: lateness = %+v, want both alike", c, got)
		}
		if d := l.chances/l.changes - 1; d < -0.05 || d > 0.05 {
			t.Errorf("%+v: %.0f changes were expected, and %.0f came", c, l.chances, l.changes)
		}
	}
}

func TestLatenessFades(t *testing.T) {
	h := NewHazards()
	var l mean
	if got := l.show(); got != (watcher.Lateness{}) {
		t.Errorf("lateness of no polls = %+v, want none", got)
	}
	l.polled(watcher.TickOf(noon), &h.pushing, 0, 60)
	for range 1000 {
		l.saw(time.Hour)
	}
	for at := noon; at.Before(noon.Add(10 * time.Hour)); at = at.Add(time.Minute) {
		l.polled(watcher.TickOf(at), &h.pushing, 0, 60)
		l.saw(2 * time.Second)
	}
	if got := l.show().Seen.Round(time.Second); got != 2*time.Second {
		t.Errorf("seen = %s ten hours after changes that were seen an hour late, want 2s", got)
	}
}
