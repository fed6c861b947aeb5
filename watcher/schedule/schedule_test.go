package schedule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pushwatch/watcher"
)

// noon is when the tests of the schedule begin.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func sinceNoon(d time.Duration) time.Time { return noon.Add(d) }

// newSchedule returns a schedule of a fresh install, with the settings' defaults.
func newSchedule() *Schedule {
	return New(Config{MinInterval: time.Second, MaxStaleness: time.Minute}, NewHazards())
}

// polledAgo returns the entry of a push that started half an hour ago and was last
// polled so long ago.
func polledAgo(ago time.Duration) *Entry {
	return NewEntry(&watcher.Task{
		State: watcher.Pushing, RegisteredAt: sinceNoon(-31 * time.Minute), LastPolledAt: sinceNoon(-ago),
		Push: &watcher.Push{PushStartTime: new(sinceNoon(-30 * time.Minute).Unix())},
	})
}

// named gives an entry a task id.
func named(e *Entry, id string) *Entry {
	e.Key.TaskID = id
	return e
}

// taken takes n entries, one every 50 ms, and returns their names; a dot
// means that none may be polled.
func taken(s *Schedule, moments int) string {
	var names strings.Builder
	for i := range moments {
		if e := s.Take(sinceNoon(time.Duration(i)*50*time.Millisecond+time.Microsecond), 20); e != nil {
			names.WriteString(e.Key.TaskID)
		} else {
			names.WriteString(".")
		}
	}
	return names.String()
}

func TestScheduleOrder(t *testing.T) {
	doubt := func(e *Entry) *Entry { e.Settles = watcher.Never + 1; return e }
	urgent := func(e *Entry) *Entry { e.Urgent = true; return e }
	late := func(e *Entry, d time.Duration) *Entry { e.NotBefore = watcher.TickOf(sinceNoon(d)); return e }
	registered := func() *Entry { return NewEntry(&watcher.Task{State: watcher.Registered, RegisteredAt: noon}) }
	ending := polledAgo(10 * time.Second)
	ending.Expected = noon.UnixMicro()
	for _, c := range []struct {
		name    string
		entries []*Entry
		want    string
	}{
		{"the longest unpolled of a kind", []*Entry{polledAgo(3 * time.Second), polledAgo(5 * time.Second), polledAgo(4 * time.Second)}, "bca"},
		{"the likeliest to change", []*Entry{polledAgo(20 * time.Second), ending}, "ba"},
		{"the one past max_staleness", []*Entry{ending, polledAgo(61 * time.Second)}, "ba"},
		{"none that was just polled", []*Entry{polledAgo(900 * time.Millisecond), polledAgo(850 * time.Millisecond)}, "..ab"},
		{"what is asked for has every second poll", []*Entry{polledAgo(9 * time.Second), polledAgo(8 * time.Second), registered(), registered(), registered()}, "cadbe"},
		{"what is asked for rests too", []*Entry{urgent(polledAgo(900 * time.Millisecond)), polledAgo(9 * time.Second)}, "b.a"},
		{"doubt before what is asked for", []*Entry{registered(), doubt(polledAgo(2 * time.Second))}, "ba"},
		{"doubt rests", []*Entry{doubt(polledAgo(900 * time.Millisecond)), registered()}, "b.a"},
		{"put off", []*Entry{late(polledAgo(9*time.Second), 100*time.Millisecond), polledAgo(2 * time.Second)}, "b.a"},
		{"put off and asked for", []*Entry{late(urgent(polledAgo(9*time.Second)), time.Hour)}, "a"},
		{"put off and in doubt", []*Entry{late(doubt(polledAgo(9*time.Second)), 100*time.Millisecond), registered(), registered(), registered()}, "bcad"},
		{"polled in the future, says a clock that was set back", []*Entry{polledAgo(-time.Hour), polledAgo(950 * time.Millisecond)}, ".b"},
	} {
		s := newSchedule()
		for i, e := range c.entries {
			s.Put(named(e, string(rune('a'+i))), noon.Add(time.Duration(i)))
		}
		if got := taken(s, len(c.want)); got != c.want {
			t.Errorf("%s: take = %s, want %s", c.name, got, c.want)
		}
	}
}

func TestScheduleHurry(t *testing.T) {
	s := newSchedule()
	a, b, c := named(polledAgo(9*time.Second), "a"), named(polledAgo(8*time.Second), "b"), named(polledAgo(7*time.Second), "c")
	s.Put(a, noon)
	s.Put(b, noon)
	s.Hurry(b, noon)
	s.Hurry(c, noon) // it is being polled; afterwards it is put back
	s.Put(c, noon)
	if got := taken(s, 3); got != "bac" {
		t.Errorf("take = %s, want bac", got)
	}
	if a.Urgent || b.Urgent || c.Urgent {
		t.Error("an entry that was taken is still urgent")
	}
}

// An entry waits in one schedule: another does not hold it, and leaves it where it is.
func TestScheduleHolds(t *testing.T) {
	s, other := newSchedule(), newSchedule()
	e, beside := polledAgo(9*time.Second), polledAgo(8*time.Second)
	s.Put(e, noon)
	other.Put(beside, noon)
	if !s.Holds(e) || other.Holds(e) {
		t.Errorf("held by its schedule: %t, by another: %t, want true, false", s.Holds(e), other.Holds(e))
	}
	other.Remove(e)
	if !s.Holds(e) || s.Waiting() != 1 || other.Waiting() != 1 {
		t.Errorf("removed from another schedule: held %t, waiting %d and %d, want it held, 1 and 1", s.Holds(e), s.Waiting(), other.Waiting())
	}
	s.Remove(e)
	if s.Holds(e) || s.Waiting() != 0 {
		t.Errorf("removed: held %t, waiting %d", s.Holds(e), s.Waiting())
	}
}

// Where polls are scarce, a new task is polled when its start may have come, and
// soon all the same.
func TestScheduleLetsRipen(t *testing.T) {
	for _, c := range []struct {
		price, rate      float64 // of recent polls
		soonest, slowest time.Duration
	}{
		{0.0001, 4, 0, time.Second},
		{0.01, 4, 2 * time.Second, maxRipening},
		{1000, 4, maxRipening, maxRipening + time.Second}, // another goes first
		{1000, 20, 900 * time.Millisecond, 1500 * time.Millisecond},
	} {
		s := newSchedule()
		for i := range 400 {
			s.Put(polledAgo(time.Duration(i)*100*time.Millisecond), noon)
		}
		fresh := NewEntry(&watcher.Task{State: watcher.Registered, RegisteredAt: noon})
		s.price, s.rate = c.price, c.rate
		s.Put(fresh, noon)
		for now := noon; ; now = now.Add(250 * time.Millisecond) {
			e := s.Take(now, c.rate)
			if at := now.Sub(noon); e == fresh {
				if at < c.soonest || at > c.slowest {
					t.Errorf("at a price of %g and %g polls a second a new task is polled after %s, want %s to %s", c.price, c.rate, at, c.soonest, c.slowest)
				}
				break
			} else if at > time.Minute {
				t.Fatalf("at a price of %g a new task is not polled within %s", c.price, at)
			}
			e.Asked = watcher.TickOf(now)
			s.Put(e, now)
		}
	}
}

func TestScheduleFloor(t *testing.T) {
	s := newSchedule()
	s.least = leastWorth(45 * time.Second)
	quiet := polledAgo(0)
	quiet.Started = uint32(sinceNoon(-5 * time.Minute).Unix())
	s.Put(quiet, noon)
	starting := NewEntry(&watcher.Task{State: watcher.Preparing, RegisteredAt: noon, LastPolledAt: noon})
	s.Put(starting, noon)
	for _, want := range []struct {
		Entry            *Entry
		soonest, slowest time.Duration
	}{{starting, time.Second, 20 * time.Second}, {quiet, time.Minute, time.Minute + thriftLook}} {
		now := noon
		var got *Entry
		for got == nil {
			at, ok := s.Next(now)
			if !ok || at.Sub(noon) > 2*time.Minute {
				t.Fatalf("next(%s) = %s, %t, want a time within two minutes", now, at, ok)
			}
			now = at
			got = s.Take(now, 20)
		}
		if at := now.Sub(noon); got != want.Entry || at < want.soonest || at > want.slowest {
			t.Errorf("take gives %s at %s, want %s from %s to %s", got.State(), at, want.Entry.State(), want.soonest, want.slowest)
		}
	}
}

func TestScheduleExpected(t *testing.T) {
	s := newSchedule()
	resting, putOff, polled := polledAgo(200*time.Millisecond), polledAgo(5*time.Second), polledAgo(0)
	putOff.NotBefore = watcher.TickOf(sinceNoon(7 * time.Second))
	s.Put(resting, noon)
	s.Put(putOff, noon)
	s.price = 0
	for _, c := range []struct {
		name string
		of   *Entry
		want time.Duration
	}{{"resting", resting, 800 * time.Millisecond}, {"put off", putOff, 7 * time.Second}, {"being polled", polled, 0}} {
		if got := s.Expected(c.of, noon).Sub(noon); got != c.want {
			t.Errorf("expected(%s) = now + %s, want now + %s", c.name, got, c.want)
		}
	}

	// Where polls are scarce, a task's next one is when it comes, more or less.
	s = newSchedule()
	random := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		e := polledAgo(time.Duration(random.IntN(100)) * time.Second)
		e.Started = uint32(sinceNoon(-time.Duration(random.IntN(7200)) * time.Second).Unix())
		s.Put(e, noon)
	}
	watched := map[*Entry]time.Time{}
	early, lateOnes := 0, 0
	for i := range 4000 {
		now := sinceNoon(time.Duration(i) * 250 * time.Millisecond)
		e := s.Take(now, 4)
		if said, ok := watched[e]; ok {
			switch ago := watcher.TickOf(now).Since(e.Asked); {
			case now.Before(said.Add(-ago / 3)):
				early++
			case now.After(said.Add(ago / 3)):
				lateOnes++
			}
		}
		e.Asked = watcher.TickOf(now)
		s.Put(e, now)
		if i > 2000 {
			watched[e] = s.Expected(e, now)
		}
	}
	if most := 2000 / 5; early > most || lateOnes > most {
		t.Errorf("of 2000 polls %d were earlier and %d later than expected by a third of the wait, want at most %d", early, lateOnes, most)
	}
}

// Of many new tasks the first ten go ahead of the others, then one for every hundred polls.
func TestScheduleLetsFewRipen(t *testing.T) {
	s := newSchedule()
	for _, c := range []struct {
		after     time.Duration
		new, want int // tasks registered then, and how many of them go ahead
	}{{0, 15, 10}, {5 * time.Second, 3, 1}, {6 * time.Second, 1, 0}, {20 * time.Second, 9, 3}, {time.Hour, 30, 10}} {
		now, ahead := sinceNoon(c.after), 0
		for range c.new {
			e := NewEntry(&watcher.Task{State: watcher.Registered, RegisteredAt: now})
			s.Put(e, now)
			if e.queue == &s.asked {
				ahead++
			}
		}
		if ahead != c.want {
			t.Errorf("of %d tasks new after %s %d go ahead, want %d", c.new, c.after, ahead, c.want)
		}
	}
}

// However surely a push has started, a poll for it saves no more than what the poll
// for its stop would not show anyway.
func TestWorthOfAStart(t *testing.T) {
	h := NewHazards()
	e := NewEntry(&watcher.Task{State: watcher.Registered, RegisteredAt: noon})
	e.enter(noon)
	early, late := e.worth(h.of(e), surprise, watcher.TickOf(sinceNoon(5*time.Second))), e.worth(h.of(e), surprise, watcher.TickOf(sinceNoon(time.Hour)))
	if want := startsCount * startSeenAnyway; early <= 0 || early >= want || late != want {
		t.Errorf("worth of a start = %g after 5 s and %g after an hour, want less than %g, and that", early, late, want)
	}
}

// However unlikely a change is, no task waits longer than three rounds, and no
// longer than max_staleness where that is more.
func TestScheduleForgetsNone(t *testing.T) {
	for _, c := range []struct {
		tasks, hot, urgentEvery int
		rate                    float64
		want                    time.Duration // longest wait
	}{
		{tasks: 200, hot: 150, rate: 2, want: 300 * time.Second},
		{tasks: 200, hot: 150, rate: 20, want: time.Minute},
		{tasks: 200, hot: 150, rate: 2, urgentEvery: 3, want: 400 * time.Second}, // the urgent take their part
	} {
		s := newSchedule()
		var entries []*Entry
		for i := range c.tasks {
			e := polledAgo(0)
			if i < c.hot {
				e.Expected = sinceNoon(time.Duration(i) * 10 * time.Second).UnixMicro()
			}
			entries = append(entries, e)
			s.Put(e, noon)
		}
		longest := time.Duration(0)
		for i := range 6000 {
			now := sinceNoon(time.Duration(float64(i) / c.rate * 1e9))
			if c.urgentEvery > 0 && i%c.urgentEvery == 0 {
				s.Hurry(entries[i%c.hot], now)
			}
			if e := s.Take(now, c.rate); e != nil {
				longest = max(longest, watcher.TickOf(now).Since(e.Asked))
				e.Asked = watcher.TickOf(now)
				s.Put(e, now)
			}
		}
		// A step in which another over the limit goes first, each.
		if slack := time.Duration(float64(time.Second) / c.rate * 10); longest > c.want+slack {
			t.Errorf("%+v: longest wait = %s, want at most %s", c, longest, c.want+slack)
		}
	}
}

// Whatever is done to a schedule, it gives each entry once, none too soon, and
// none while there is nothing to give.
func TestScheduleAtRandom(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			s := newSchedule()
			in, out := map[*Entry]bool{}, map[*Entry]bool{} // waiting, and being polled
			var all []*Entry
			one := func(of map[*Entry]bool) *Entry {
				for range min(20, len(all)) {
					if e := all[random.IntN(len(all))]; of[e] {
						return e
					}
				}
				return nil
			}
			now := noon
			for range 2000 {
				switch random.IntN(8) {
				case 0: // registered, or read from the database
					registered := now.Add(-time.Duration(random.IntN(8000)) * time.Second)
					e := NewEntry(&watcher.Task{State: watcher.States[random.IntN(3)], RegisteredAt: registered})
					e.Urgent = random.IntN(2) == 0
					if random.IntN(2) == 0 {
						e.Asked = watcher.TickOf(now.Add(-time.Duration(random.IntN(200)) * time.Second))
					} else if random.IntN(8) == 0 { // before the clock was set back
						e.Asked = watcher.TickOf(now.Add(10 * time.Hour))
					}
					if random.IntN(3) == 0 {
						e.Expected = now.Add(time.Duration(random.IntN(40000)-20000) * time.Second).UnixMicro()
					}
					s.Put(e, now)
					in[e] = true
					all = append(all, e)
				case 1:
					if e := one(in); e != nil && random.IntN(4) == 0 {
						s.Remove(e)
						s.Remove(e) // it is nowhere now
						delete(in, e)
					}
				case 2:
					if e := one(in); e != nil {
						s.Hurry(e, now)
					}
				case 3, 4: // an answer, or none
					e := one(out)
					if e == nil {
						break
					}
					delete(out, e)
					if random.IntN(3) == 0 {
						e.NotBefore = watcher.TickOf(now.Add(time.Duration(random.IntN(5000)) * time.Millisecond))
					}
					e.Settles = watcher.Never
					if random.IntN(5) == 0 {
						e.Settles = watcher.TickOf(now.Add(time.Duration(random.IntN(5000)) * time.Millisecond))
					}
					s.Put(e, now)
					in[e] = true
				default:
					if at := watcher.TickOf(now); s.pick(at) != s.pickOfAll(at) {
						t.Fatal("pick gives an entry that is not worth most and has not waited too long")
					}
					next, some := s.Next(now)
					if some != (len(in) > 0) {
						t.Fatalf("next = %t with %d entries waiting", some, len(in))
					}
					asked := map[*Entry]bool{}
					for e := range in {
						asked[e] = e.Urgent
					}
					e := s.Take(now, 20)
					if (e != nil) != (some && !next.After(now)) {
						t.Fatalf("take gives an entry: %t, after next = %s, now %s", e != nil, next, now)
					}
					if e == nil {
						break
					}
					if !in[e] {
						t.Fatal("take gives an entry that does not wait")
					}
					if rested := watcher.TickOf(now).Since(e.Asked); rested < s.config.MinInterval && rested >= 0 {
						t.Fatalf("polled again after %s", rested)
					}
					if !asked[e] && watcher.TickOf(now) < e.Settles {
						t.Fatalf("polled %s before an answer counts", e.Settles.Since(watcher.TickOf(now)))
					}
					if !asked[e] && watcher.TickOf(now) < e.NotBefore {
						t.Fatalf("polled %s before it may be", e.NotBefore.Since(watcher.TickOf(now)))
					}
					delete(in, e)
					out[e] = true
					e.Asked = watcher.TickOf(now)
				}
				now = now.Add(time.Duration(random.IntN(300)) * time.Millisecond)
				if s.waiting != len(in) {
					t.Fatalf("waiting = %d, want %d", s.waiting, len(in))
				}
			}
			for now = now.Add(time.Hour); len(in) > 0; now = now.Add(50 * time.Millisecond) {
				if at := watcher.TickOf(now); s.pick(at) != s.pickOfAll(at) {
					t.Fatal("draining: pick gives an entry that is not worth most and has not waited too long")
				}
				e := s.Take(now, 20)
				if !in[e] {
					t.Fatalf("draining: take gives an entry that does not wait, with %d waiting", len(in))
				}
				delete(in, e)
			}
			if len(s.cohorts) > 0 || len(s.fronts) > 0 {
				t.Errorf("%d cohorts and %d fronts are left of no entries", len(s.cohorts), len(s.fronts))
			}
		})
	}
}

// pickOfAll is pick without bounds.
func (s *Schedule) pickOfAll(at watcher.Tick) *Entry {
	var best, oldest *Entry
	for _, f := range s.fronts {
		e := f.first()
		if at.Since(e.polled) < s.config.MinInterval {
			continue
		}
		if oldest == nil || e.polled < oldest.polled {
			oldest = e
		}
		if best == nil || e.worth(f.curve, s.surprise, at) > best.worth(best.queue.curve, s.surprise, at) {
			best = e
		}
	}
	if oldest != nil && at.Since(oldest.polled) >= s.MaxWait() {
		return oldest
	}
	return best
}
