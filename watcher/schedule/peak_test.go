package schedule

import (
	"math/rand/v2"
	"testing"
	"time"

	"pushwatch/watcher"
)

// A peak is never less than the greatest value since the time it goes back to, and at most
// a sixteenth more.
func TestPeak(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var p peak
	var values []int
	from, value := 0, 1000
	for at := range 5000 {
		value = max(0, value+random.IntN(81)-40+(at/500%2*2-1)*10)
		values = append(values, value)
		p.note(watcher.Tick(at), value)
		if random.IntN(50) == 0 {
			from += random.IntN(at - from + 1)
			p.forget(watcher.Tick(from))
		}
		greatest := 0
		for _, v := range values[from:] {
			greatest = max(greatest, v)
		}
		if got := p.value(); got < greatest || got > greatest*16/15+1 {
			t.Fatalf("at %d, peak since %d = %d, want the greatest value, %d, to a sixteenth", at, from, got, greatest)
		}
		if len(p) > 200 {
			t.Fatalf("at %d, a peak of %d values, want at most 200", at, len(p))
		}
	}
	var none peak
	none.forget(1)
	if got := none.value(); got != 0 {
		t.Errorf("peak of nothing = %d, want 0", got)
	}
}

// When most tasks end at once, the longest wait is still three rounds of those that there were
// when the others were polled, so that polls do not go to these at once. Then it falls.
func TestMaxWaitFallsWhenAllArePolled(t *testing.T) {
	s := newSchedule()
	entries := make([]*Entry, 6000)
	for i := range entries {
		entries[i] = polledAgo(0)
		s.Put(entries[i], noon)
	}
	polls := 0
	poll := func() {
		now := sinceNoon(time.Second + time.Duration(polls)*50*time.Millisecond)
		polls++
		e := s.Take(now, 20)
		e.Asked = watcher.TickOf(now)
		s.Put(e, now)
	}
	poll()
	if got := s.MaxWait(); got != 900*time.Second {
		t.Errorf("longest wait with 6,000 tasks = %s, want 15m", got)
	}
	for _, e := range entries[3000:] {
		s.Remove(e)
	}
	poll()
	if got := s.MaxWait(); got != 900*time.Second {
		t.Errorf("longest wait when half of them have ended = %s, want 15m", got)
	}
	for range 6000 {
		poll()
	}
	if got := s.MaxWait(); got != 450*time.Second {
		t.Errorf("longest wait when the others were polled = %s, want 7m30s", got)
	}
}
