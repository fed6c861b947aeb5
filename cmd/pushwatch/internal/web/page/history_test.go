package page

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher"
)

// TestHistory has three hours go by, in the last of which nothing is known of one of
// the accounts.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		h := NewHistory()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Run(ctx, func(context.Context) []watcher.AccountStatus {
				school := watcher.AccountStatus{Name: "school", Limit: 20, Granted: 20, Used: time.Since(begin).Hours()}
				college := watcher.AccountStatus{Name: "college", Limit: 20, Granted: 20}
				if time.Since(begin) >= 2*time.Hour {
					college.Unheard = begin
				}
				return []watcher.AccountStatus{school, college}
			})
		}()
		for _, step := range []struct {
			hours           float64
			school, college int
		}{{.5, samples/2 + 1, samples/2 + 1}, {2, samples, samples - 1}, {2.5, samples, samples/2 - 1}, {3, samples, 0}} {
			time.Sleep(time.Duration(step.hours*float64(time.Hour)) - time.Since(begin))
			synctest.Wait()
			now := time.Now()
			all := h.of("school", now)
			if got := len(h.of("college", now)); len(all) != step.school || got != step.college {
				t.Errorf("after %v h: %d samples of school, %d of college, want %d and %d", step.hours, len(all), got, step.school, step.college)
			}
			oldest, newest := all[0], all[len(all)-1]
			if age := now.Sub(oldest.at); age != time.Duration(len(all)-1)*sampleEvery || newest.at != now {
				t.Errorf("after %v h: samples are from %v to %v ago, want every %v until now", step.hours, age, now.Sub(newest.at), sampleEvery)
			}
			if used, ok := newest.value(made); !ok || used != step.hours {
				t.Errorf("after %v h: the newest sample has %v polls a second, want %v", step.hours, used, step.hours)
			}
		}
		cancel()
		<-done
		time.Sleep(30 * time.Minute) // nobody samples any more
		if got := len(h.of("school", time.Now())); got != samples/2 {
			t.Errorf("half an hour after the last sample there are %d, want %d", got, samples/2)
		}
	})
}

// TestHistoryIsBounded samples more often than there is room for.
func TestHistoryIsBounded(t *testing.T) {
	h, start := NewHistory(), time.Now()
	for s := range time.Duration(3 * samples) {
		h.Sample(start.Add(s*time.Second), []watcher.AccountStatus{{Name: "school", Granted: 20}})
	}
	now := start.Add(time.Duration(3*samples) * time.Second)
	if got := h.of("school", now); len(got) != samples || cap(h.accounts["school"]) > 2*samples || now.Sub(got[0].at) != time.Duration(samples)*time.Second {
		t.Errorf("%d samples in the room of %d, the oldest %v old, want the newest %d", len(got), cap(h.accounts["school"]), now.Sub(got[0].at), samples)
	}
	h.Sample(now.Add(time.Hour), nil)
	if len(h.accounts) != 0 {
		t.Errorf("an account that is not watched any more is remembered: %v", h.accounts)
	}
}

// TestSample holds that what there is no figure of is none, and not zero.
func TestSample(t *testing.T) {
	none := sampleOf(watcher.AccountStatus{Granted: 20, Staleness: 0}, time.Now())
	for m := range measures {
		_, ok := none.value(m)
		if want := m == made || m == granted; ok != want {
			t.Errorf("an account without pushes has a figure of measure %d: %v, want %v", m, ok, want)
		}
	}
	some := sampleOf(watcher.AccountStatus{
		Granted: 20, Used: 2, Staleness: 3 * time.Second, Tasks: map[watcher.State]int{watcher.Pushing: 1},
		Starts: watcher.Lateness{Expected: 4 * time.Second, Seen: 5 * time.Second}, Stops: watcher.Lateness{Expected: 6 * time.Second, Seen: 7 * time.Second},
	}, time.Now())
	if want := [measures]float32{made: 2, granted: 20, oldest: 3, startsExpected: 4, startsSeen: 5, stopsExpected: 6, stopsSeen: 7}; some.values != want {
		t.Errorf("figures = %v, want %v", some.values, want)
	}
}
