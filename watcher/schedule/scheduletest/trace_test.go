package scheduletest

import (
	"math"
	"testing"
)

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
		for _, l := range School(1, c.n, OrdinaryDay, OrdinaryDay) {
			got.pushes++
			registered += l.Registered
			stop += l.Stop
			if math.IsInf(l.Start, 1) {
				got.failed++
			} else {
				start += l.Start
			}
			if !math.IsNaN(l.Hint) {
				got.hints++
			}
		}
		ms := func(seconds float64) int64 { return int64(math.Round(1000 * seconds)) }
		got.registered, got.start, got.stop = ms(registered), ms(start), ms(stop)
		if got != c.want {
			t.Errorf("School(1, %d) = %+v, want %+v", c.n, got, c.want)
		}
	}
}
