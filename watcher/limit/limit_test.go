package limit

import (
	"iter"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher/loop"
)

// arrivals records when requests reach the simulated service.
type arrivals struct {
	mu sync.Mutex
	at []time.Time
}

func (a *arrivals) add() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Now())
}

// most returns the largest number of arrivals in any sliding second.
func (a *arrivals) most() int { return a.mostIn(time.Second) }

// mostIn returns the largest number of arrivals in any sliding window.
func (a *arrivals) mostIn(window time.Duration) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	most, first := 0, 0
	for i, at := range a.at {
		for at.Sub(a.at[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

// shared is a limiter that many goroutines use, as the engine does: under a lock,
// waiting for the times that Next returns.
type shared struct {
	mu      sync.Mutex
	limiter *Limiter
	freed   loop.Signal // a request has ended
}

func share(perSecond float64) *shared {
	return &shared{limiter: New(perSecond), freed: loop.NewSignal()}
}

// do calls the limiter as if nobody else did.
func (s *shared) do(call func(l *Limiter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call(s.limiter)
	s.freed.Notify()
}

// acquire waits for a permit, and reports whether it came before the end.
func (s *shared) acquire(end time.Time) (p Permit, ok bool) {
	for !ok && time.Now().Before(end) {
		next := end
		s.mu.Lock()
		now := time.Now()
		if at, known := s.limiter.Next(now); known && at.Before(end) {
			next = at
		}
		p, ok = s.limiter.Take(now, 0)
		s.mu.Unlock()
		if !ok {
			select {
			case <-s.freed:
			case <-time.After(time.Until(next)):
			}
		}
	}
	return p, ok
}

// permits are those that a limiter gives out within d, taken as fast as they come.
func (s *shared) permits(d time.Duration) iter.Seq[Permit] {
	end := time.Now().Add(d)
	return func(yield func(Permit) bool) {
		for {
			if p, ok := s.acquire(end); !ok || !yield(p) {
				return
			}
		}
	}
}

func (s *shared) answered(p Permit, roundTrip time.Duration) {
	s.do(func(l *Limiter) { l.Answered(time.Now(), p, roundTrip) })
}

func (s *shared) abandoned(p Permit) { s.do(func(l *Limiter) { l.Abandoned(time.Now(), p) }) }

// TestLimiterNeverExceeds drives the limiter as fast as it lets itself be driven,
// over networks that delay each way at random.
func TestLimiterNeverExceeds(t *testing.T) {
	for _, c := range []struct {
		name           string
		perSecond      float64
		there, back    time.Duration // at most
		serve          time.Duration
		path           time.Duration // the round trip given to Answered
		atLeastASecond float64       // arrivals a second that must be reached
	}{
		{"no network", 20, 0, 0, 0, 0, 19.9},
		{"steady 20 ms", 20, 0, 0, 20 * time.Millisecond, 0, 19.2},
		{"jitter of 40 ms each way", 20, 40 * time.Millisecond, 40 * time.Millisecond, 5 * time.Millisecond, 0, 18.6},
		{"slow answers", 20, 10 * time.Millisecond, 10 * time.Millisecond, 2 * time.Second, 0, 6},
		{"five a second", 5, 20 * time.Millisecond, 20 * time.Millisecond, 10 * time.Millisecond, 0, 4.7},
		{"two and a half a second", 2.5, 5 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 0, 2.4},
		{"one and a half a second", 1.5, 5 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 0, 1.45},
		{"nineteen and a half a second", 19.5, 20 * time.Millisecond, 20 * time.Millisecond, 5 * time.Millisecond, 0, 18.4},
		{"one in four seconds", 0.25, 5 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 0, 0.24},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const seconds = 120
				random := rand.New(rand.NewPCG(1, 2))
				upTo := func(d time.Duration) time.Duration { return time.Duration(random.Float64() * float64(d)) }
				var seen arrivals
				var wg sync.WaitGroup
				l := share(c.perSecond)
				for p := range l.permits(seconds * time.Second) {
					there, back := upTo(c.there), upTo(c.back)
					wg.Go(func() {
						time.Sleep(there)
						seen.add()
						time.Sleep(c.serve + back)
						l.answered(p, c.path)
					})
				}
				wg.Wait()
				most := math.Ceil(c.perSecond)
				window := time.Duration(most / c.perSecond * float64(time.Second))
				if got := seen.mostIn(window); got > int(most) {
					t.Errorf("arrivals in %v = %d, want at most %v", window, got, most)
				}
				if got := float64(seen.count()) / seconds; got < c.atLeastASecond {
					t.Errorf("arrivals a second = %.2f, want at least %v", got, c.atLeastASecond)
				}
			})
		})
	}
}

// TestLimiterCountsTheRoundTrip has a far service: what the path takes at least
// need not be waited for.
func TestLimiterCountsTheRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seconds, oneWay = 60, 100 * time.Millisecond
		var seen arrivals
		var wg sync.WaitGroup
		l := share(20)
		for p := range l.permits(seconds * time.Second) {
			wg.Go(func() {
				time.Sleep(oneWay)
				seen.add()
				time.Sleep(oneWay + 10*time.Millisecond)
				l.answered(p, 2*oneWay)
			})
		}
		wg.Wait()
		if got := seen.most(); got > 20 {
			t.Errorf("arrivals in one second = %d, want at most 20", got)
		}
		if got := float64(seen.count()) / seconds; got < 19.2 {
			t.Errorf("arrivals a second = %.2f, want at least 19.2", got)
		}
	})
}

// TestLimiterFrozenService has a service that takes requests in without reading
// them, and reads all of them, the abandoned ones too, when it thaws.
func TestLimiterFrozenService(t *testing.T) {
	for _, frozen := range []time.Duration{3 * time.Second, 8 * time.Second, 14 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			const timeout = 5 * time.Second
			thaw := time.Now().Add(10*time.Second + frozen)
			var seen arrivals
			var wg sync.WaitGroup
			l := share(20)
			for p := range l.permits(60 * time.Second) {
				wg.Go(func() {
					if now := time.Now(); now.After(thaw.Add(-frozen)) && now.Before(thaw) {
						wg.Go(func() { time.Sleep(time.Until(thaw)); seen.add() })
						if wait := time.Until(thaw); wait > timeout {
							time.Sleep(timeout)
							l.abandoned(p)
						} else {
							time.Sleep(wait)
							l.answered(p, 0)
						}
						return
					}
					seen.add()
					time.Sleep(20 * time.Millisecond)
					l.answered(p, 0)
				})
			}
			wg.Wait()
			if got := seen.most(); got > 20 {
				t.Errorf("frozen for %v: arrivals in one second = %d, want at most 20", frozen, got)
			}
			if got := seen.count(); got < (60-10-20)*19 {
				t.Errorf("frozen for %v: arrivals = %d: polling did not come back", frozen, got)
			}
		})
	}
}

// TestLimiterSlotsComeBack returns permits in every way there is.
func TestLimiterSlotsComeBack(t *testing.T) {
	l := New(3)
	now := time.Now()
	for round := range 20 {
		for _, giveBack := range []func(p Permit){
			func(p Permit) { l.Unsent(now, p) }, func(p Permit) { l.Abandoned(now, p) },
			func(p Permit) { l.Answered(now, p, 0) }, func(p Permit) { l.Answered(now, p, time.Hour) },
		} {
			at, ok := l.Next(now)
			if !ok {
				t.Fatalf("round %d: no slot is free in time", round)
			}
			now = later(now, at)
			p, ok := l.Take(now, 7)
			if !ok {
				t.Fatalf("round %d: no permit at the time that Next returned", round)
			}
			giveBack(p)
		}
	}
	if got, at := l.Held(now, 7); got == 0 || !at.After(now) {
		t.Errorf("slots held a moment after the last request = %d, until %v, want some", got, at)
	}
	now = now.Add(time.Minute)
	if got, _ := l.Held(now, 7); got != 0 {
		t.Errorf("slots held a minute later = %d, want none", got)
	}
	for range 3 {
		if at, _ := l.Next(now); at.After(now) {
			now = at
		}
		if _, ok := l.Take(now, 7); !ok {
			t.Fatal("one of three slots did not come back")
		}
	}
	if _, ok := l.Next(now); ok {
		t.Error("Next returns a time while all slots are in use")
	}
	if _, ok := l.Take(now.Add(time.Hour), 7); ok {
		t.Error("Take gives a fourth permit of three")
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// TestLimiterYields shares a quota of 10 a second that somebody else has halved.
func TestLimiterYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := share(20)
		var granted arrivals // what the service let through, of the last second
		refused, sent := 0, 0
		quota := 10
		turn := func() {
			p, ok := l.acquire(time.Now().Add(time.Minute))
			if !ok {
				t.Fatal("no permit within a minute")
			}
			sent++
			now := time.Now()
			granted.mu.Lock()
			for len(granted.at) > 0 && now.Sub(granted.at[0]) >= time.Second {
				granted.at = granted.at[1:]
			}
			full := len(granted.at) >= quota
			granted.mu.Unlock()
			if full {
				refused++
				l.do(func(l *Limiter) { l.Throttled(now) })
			} else {
				granted.add()
			}
			l.answered(p, 0)
		}
		run := func(d time.Duration) (accepted, refusedShare float64) {
			sent, refused = 0, 0
			for end := time.Now().Add(d); time.Now().Before(end); {
				turn()
			}
			return float64(sent-refused) / d.Seconds(), float64(refused) / float64(sent)
		}
		run(10 * time.Second)
		accepted, share := run(60 * time.Second)
		if accepted < 8.5 || share > 0.10 {
			t.Errorf("with 10 a second granted: accepted %.2f a second, refused %.0f %%, want at least 8.5 and at most 10 %%", accepted, 100*share)
		}
		quota = 20
		run(60 * time.Second)
		if accepted, _ := run(10 * time.Second); accepted < 18 {
			t.Errorf("a minute after the quota came back: accepted %.2f a second, want at least 18", accepted)
		}
	})
}
