package tiwsim

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWindowIsOneSecondSliding(t *testing.T) {
	start := time.Now()
	var w window
	for _, test := range []struct {
		after time.Duration
		want  int // arrivals before it, in the same second
	}{
		{0, 0},
		{0, 1},
		{500 * time.Millisecond, 2},
		{time.Second - 1, 3},
		{time.Second, 2}, // the two at 0 are exactly a second ago
		{1500*time.Millisecond - 1, 3},
		{1500 * time.Millisecond, 3},
		{time.Hour, 0},
	} {
		now := start.Add(test.after)
		if got := w.count(now); got != test.want {
			t.Errorf("count(%v) = %d, want %d", test.after, got, test.want)
		}
		w.add(now)
	}
}

func TestWindowIsBounded(t *testing.T) {
	var w window
	now := time.Now()
	for range maxWindow + 1000 {
		w.add(now)
	}
	if got := w.count(now); got != maxWindow {
		t.Errorf("count = %d, want %d", got, maxWindow)
	}
}

func TestLimitAllowsTwentyInAnySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := Account{Name: "other", SecretID: "AKIDother", SecretKey: "k", SDKAppIDs: []int64{7}}
		s := newService(t, Config{Accounts: []Account{testAccount, other}, Limit: DefaultLimit})
		s.Put(testApp, "a", Answer{Status: new("PUSHING")})
		s.Put(7, "a", Answer{Status: new("PUSHING")})
		results := func(n int) (ok, throttled int) {
			for range n {
				switch got, body := do(t, s, ask("a")); got.code() {
				case "ok":
					ok++
				case "RequestLimitExceeded":
					throttled++
				default:
					t.Fatalf("answer = %s, want ok or RequestLimitExceeded", body)
				}
			}
			return ok, throttled
		}
		for _, step := range []struct {
			after         time.Duration
			send          int
			ok, throttled int
		}{
			{0, 10, 10, 0},
			{900 * time.Millisecond, 11, 10, 1}, // a new calendar second would not help
			{100*time.Millisecond - 1, 1, 0, 1},
			{1, 12, 10, 2}, // the first ten are a second old, to the nanosecond
			{900 * time.Millisecond, 10, 10, 0},
		} {
			time.Sleep(step.after)
			if ok, throttled := results(step.send); ok != step.ok || throttled != step.throttled {
				t.Errorf("after %v, %d requests = %d ok and %d throttled, want %d and %d",
					step.after, step.send, ok, throttled, step.ok, step.throttled)
			}
		}
		otherCall := call{body: `{"SdkAppId":7,"TaskId":"a"}`, account: other}
		if got, body := do(t, s, otherCall); got.code() != "ok" {
			t.Errorf("other account's answer = %s, want ok", body)
		}

		stats := s.Stats()["school"]
		if stats.Requests != 44 || stats.Results["ok"] != 40 || stats.Results["RequestLimitExceeded"] != 4 {
			t.Errorf("stats = %+v, want 44 requests, 40 ok, 4 throttled", stats)
		}
		// The refused count here: 11 + 1 + 12 between 0.9 s and 1 s.
		if stats.MaxInSecond != 24 {
			t.Errorf("MaxInSecond = %d, want 24", stats.MaxInSecond)
		}
	})
}

func TestCountRejected(t *testing.T) {
	for _, test := range []struct {
		count bool
		want  string
	}{{false, "InvalidParameter.TaskNotFound"}, {true, "RequestLimitExceeded"}} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t, Config{Limit: 1, CountRejected: test.count})
			do(t, s, ask("a"))
			time.Sleep(600 * time.Millisecond)
			do(t, s, ask("a")) // refused
			time.Sleep(600 * time.Millisecond)
			if got, _ := do(t, s, ask("a")); got.code() != test.want {
				t.Errorf("with count_rejected %v a second after the last served = %s, want %s", test.count, got.code(), test.want)
			}
		})
	}
}

// MaxInSecond is compared with a count over all pairs.
func TestMaxInSecondIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Config{Limit: 5})
		rng := rand.New(rand.NewPCG(1, 1))
		var arrivals []time.Time
		for range 400 {
			time.Sleep(time.Duration(rng.ExpFloat64() * float64(50*time.Millisecond)))
			arrivals = append(arrivals, time.Now())
			do(t, s, ask("a"))
		}
		want := 0
		for i, first := range arrivals {
			n := 0
			for _, at := range arrivals[i:] {
				if at.Sub(first) < time.Second {
					n++
				}
			}
			want = max(want, n)
		}
		if got := s.Stats()["school"].MaxInSecond; got != want {
			t.Errorf("MaxInSecond = %d, want %d", got, want)
		}
	})
}

func TestConcurrentRequestsAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands still: all in one second
		s := newService(t, Config{Limit: DefaultLimit})
		s.Put(testApp, "a", Answer{Status: new("PUSHING")})
		var wg sync.WaitGroup
		for range 60 {
			r := ask("a").request(t)
			wg.Go(func() {
				if _, err := s.RoundTrip(r); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		stats := s.Stats()["school"]
		if stats.Results["ok"] != 20 || stats.Results["RequestLimitExceeded"] != 40 || stats.MaxInSecond != 60 {
			t.Errorf("stats = %+v, want 20 ok, 40 throttled, 60 in a second", stats)
		}
	})
}
