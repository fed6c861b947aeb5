package enginetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// TestFailingNeighbour has one of two applications fail for twenty minutes, in every way
// that does not tell whose fault it is, always or every other time. The starts and stops
// of the other, which answers, are seen as soon as while all is well, as far as so few can
// show, but for those in the moment when requests first hang.
func TestFailingNeighbour(t *testing.T) {
	t.Parallel()
	well := neighbours(t, nil, 0)
	for _, c := range []struct {
		name  string
		fault error
		part  float64
		share float64 // of the requests, that the failing one may have
	}{
		{"hangs", errHang, 1, 0.02},
		{"hangs at times", errHang, 0.5, well.share},
		{"is cut", &watcher.CloudError{Code: "network", Sent: watcher.Unanswered}, 1, 0.02},
		{"is cut at times", &watcher.CloudError{Code: "network", Sent: watcher.Unanswered}, 0.5, well.share},
		{"errs", &watcher.CloudError{Code: "InternalError"}, 1, 0.02},
		{"errs at times", &watcher.CloudError{Code: "InternalError"}, 0.5, well.share},
		{"is throttled", &watcher.CloudError{Kind: watcher.Throttled, Code: "RequestLimitExceeded"}, 1, 0.02},
		{"is denied as if all were", &watcher.CloudError{Kind: watcher.DeniedAccount, Code: "AuthFailure.SignatureFailure"}, 1, 0.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := neighbours(t, c.fault, c.part)
			t.Logf("starts %v, stops %v, share %.3f, again after %v", got.starts, got.stops, got.share, got.again)
			for _, of := range []struct {
				what      string
				got, well delays
			}{{"starts", got.starts, well.starts}, {"stops", got.stops, well.stops}} {
				if of.got.mean()-2*of.got.standardError() > of.well.mean()*11/10 || of.got.most > of.well.most*11/10+6*time.Second {
					t.Errorf("%s seen late: %v, want about %v as while all is well", of.what, of.got, of.well)
				}
			}
			if got.share > c.share {
				t.Errorf("the failing application had %.3f of the requests, want at most %.3f", got.share, c.share)
			}
			if got.busiest > 20 {
				t.Errorf("arrivals in one second = %d, want at most 20", got.busiest)
			}
			if got.again > 45*time.Second { // a probe, and a round with half of the limit
				t.Errorf("the last of its tasks was seen again after %v, want 45 s at most", got.again)
			}
		})
	}
}

// A seeing is how the changes of an application were seen beside another that fails.
type seeing struct {
	starts, stops delays
	share         float64       // of the requests, that went to the other
	again         time.Duration // from when that is well until all its tasks were seen again
	busiest       int           // requests in any second
}

// delays are how late some changes were seen.
type delays struct {
	n         int
	sum, most time.Duration
	squares   float64 // the sum of their squares, in seconds
}

func (d *delays) add(late time.Duration) {
	d.n, d.sum, d.most, d.squares = d.n+1, d.sum+late, max(d.most, late), d.squares+late.Seconds()*late.Seconds()
}

func (d delays) mean() time.Duration { return d.sum / time.Duration(d.n) }

// standardError is how far the mean is from that of very many delays, typically.
func (d delays) standardError() time.Duration {
	mean, n := d.mean().Seconds(), float64(d.n)
	return time.Duration(math.Sqrt((d.squares/n-mean*mean)/n) * float64(time.Second))
}

func (d delays) String() string {
	return fmt.Sprintf("%d, %v on average, %v at most", d.n, d.mean().Round(time.Millisecond), d.most.Round(time.Millisecond))
}

// neighbours watches 200 pushes of each of two applications for twenty minutes, in which
// those of the first stop and as many others start. A part of the polls of the second
// tells nothing.
func neighbours(t *testing.T, fault error, part float64) (saw seeing) {
	const (
		pushes = 200
		quiet  = 5 * time.Minute
		trial  = 20 * time.Minute
	)
	random := rand.New(rand.NewPCG(1, 1))
	var began time.Time
	starts, stops := make(map[watcher.Key]time.Duration), make(map[watcher.Key]time.Duration)
	again := make(map[watcher.Key]bool)
	requests, ofOther := 0, 0
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, nil)
	c.answer = func(key watcher.Key, at time.Time) (watcher.Push, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		age := at.Sub(began)
		failing := age > quiet && age < quiet+trial
		if failing {
			requests++
		}
		if key.SDKAppID == other {
			switch {
			case failing:
				ofOther++
				if random.Float64() < part {
					return watcher.Push{}, fault
				}
			case age > quiet && !again[key]:
				again[key] = true
				saw.again = age - quiet - trial
			}
			return pushOf("PUSHING"), nil
		}
		if start, ok := starts[key]; ok {
			if age < start {
				return pushOf("PREPARED"), nil
			}
			saw.starts.add(age - start)
			delete(starts, key)
		}
		if stop, ok := stops[key]; ok && age >= stop {
			saw.stops.add(age - stop)
			delete(stops, key)
			return pushOf("STOPPED"), nil
		}
		return pushOf("PUSHING"), nil
	}
	run(t, c, func(t *testing.T, s *scene) {
		began = time.Now()
		for i, key := range s.register(pushes, "class") {
			stops[key] = quiet + trial*time.Duration(i)/pushes
		}
		s.registerOf(other, pushes)
		time.Sleep(quiet)
		for i := range pushes {
			key := watcher.Key{SDKAppID: app, TaskID: fmt.Sprintf("new-%d-0", i)}
			c.mu.Lock()
			starts[key] = time.Since(began) + time.Duration(2+i%10)*time.Second
			c.mu.Unlock()
			s.register(1, fmt.Sprintf("new-%d", i))
			time.Sleep(trial / pushes)
		}
		time.Sleep(3 * time.Minute)
		if len(starts) > 0 || len(stops) > 0 || len(again) != pushes {
			t.Errorf("%d starts and %d stops were not seen, and %d tasks of the other not again", len(starts), len(stops), pushes-len(again))
		}
	}, other)
	saw.share = float64(ofOther) / float64(requests)
	saw.busiest = c.busiest()
	return saw
}

// registerOf registers n tasks of an application.
func (s *scene) registerOf(app int64, n int) {
	s.t.Helper()
	var wanted []watcher.Registration
	for i := range n {
		wanted = append(wanted, watcher.Registration{Key: watcher.Key{SDKAppID: app, TaskID: fmt.Sprint(i)}})
	}
	if _, err := s.Register(s.t.Context(), wanted, false); err != nil {
		s.t.Fatal(err)
	}
}

// startMany watches so many applications of one account, from app on, with as many tasks
// each.
func startMany(t *testing.T, c *cloud, many, each int) (s *scene, stop func()) {
	t.Helper()
	var apps []int64
	for i := range int64(many) {
		apps = append(apps, app+i)
	}
	s, stop = startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
		Settings: engine.Settings{
			Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: apps, Cloud: c}},
		},
	})
	for _, app := range apps {
		s.registerOf(app, each)
	}
	return s, stop
}

// doubtful are faults of which nobody knows whether they are an application's or the
// whole account's.
var doubtful = map[string]error{
	"hang": errHang, "502": &watcher.CloudError{Code: "http 502"},
	"denied": &watcher.CloudError{Kind: watcher.DeniedAccount, Code: "AuthFailure.SignatureFailure"},
}

// TestOutageOfManyApplications has all of fifty applications fail for five minutes, some
// of them from before and for longer. That is known as an outage of the whole account at
// once, and is over for the others as soon as the service answers again.
func TestOutageOfManyApplications(t *testing.T) {
	t.Parallel()
	const (
		many, bad, each = 50, 5, 4
		before          = time.Minute
		outage          = 5 * time.Minute
	)
	for name, fault := range doubtful {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var from time.Time
			again := make(map[watcher.Key]time.Duration)
			c := newCloud(20*time.Millisecond, 40*time.Millisecond, nil)
			c.answer = func(key watcher.Key, at time.Time) (watcher.Push, error) {
				c.mu.Lock()
				defer c.mu.Unlock()
				age := at.Sub(from)
				if age >= 0 && age < outage || key.SDKAppID < app+bad && age > -before {
					return watcher.Push{}, fault
				}
				if _, ok := again[key]; age >= outage && !ok {
					again[key] = age - outage
				}
				return pushOf("PUSHING"), nil
			}
			synctest.Test(t, func(t *testing.T) {
				from = time.Now().Add(2*time.Minute + before)
				s, stop := startMany(t, c, many, each)
				defer stop()
				time.Sleep(time.Until(from.Add(outage + time.Minute)))
				var last time.Duration
				for _, d := range again {
					last = max(last, d)
				}
				// A probe that hangs may just have gone out, and each has its turn then.
				if len(again) != (many-bad)*each || last > 30*time.Second {
					t.Errorf("%d tasks were seen within %v of the outage's end, want %d within 30 s", len(again), last, (many-bad)*each)
				}
				if n := c.between(from.Add(10*time.Second), from.Add(outage)); n > 300 {
					t.Errorf("%d requests in an outage of five minutes, want probes of the account and of five applications", n)
				}
				if got := s.eventTypesOf("school"); got != " watcher.blind watcher.sighted" {
					t.Errorf("events of the account =%s, want watcher.blind watcher.sighted", got)
				}
			})
		})
	}
}

// TestFailingNeighbours has five of fifty applications fail at the same moment, in a way
// that may be the service's fault. All their tasks are due together, so there are more
// failures in a row than make an outage; but the others answer in between.
func TestFailingNeighbours(t *testing.T) {
	t.Parallel()
	const (
		many, bad, each = 50, 5, 4
		quiet           = 2 * time.Minute
		trial           = 5 * time.Minute
	)
	for name, fault := range doubtful {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			polls := 0 // of the others, in the trial
			c := newCloud(20*time.Millisecond, 40*time.Millisecond, nil)
			c.answer = func(key watcher.Key, at time.Time) (watcher.Push, error) {
				c.mu.Lock()
				defer c.mu.Unlock()
				switch age := at.Sub(began); {
				case age < quiet:
				case key.SDKAppID < app+bad:
					return watcher.Push{}, fault
				case age < quiet+trial:
					polls++
				}
				return pushOf("PUSHING"), nil
			}
			synctest.Test(t, func(t *testing.T) {
				began = time.Now()
				_, stop := startMany(t, c, many, each)
				defer stop()
				time.Sleep(quiet + trial)
				c.mu.Lock()
				defer c.mu.Unlock()
				if rate := float64(polls) / trial.Seconds(); rate < 12 {
					t.Errorf("the others were polled %.1f times a second, want 12 at least", rate)
				}
			})
		})
	}
}

// TestAllFailAtTimes has each third poll of any of fifty applications fail: so all are
// set apart, and not one has enough tasks for a slot of its own. Together they use the
// quota all the same, and evenly.
func TestAllFailAtTimes(t *testing.T) {
	t.Parallel()
	const many, each = 50, 4
	random := rand.New(rand.NewPCG(1, 1))
	c := newCloud(20*time.Millisecond, 40*time.Millisecond, nil)
	c.answer = func(watcher.Key, time.Time) (watcher.Push, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if random.IntN(3) == 0 {
			return watcher.Push{}, &watcher.CloudError{Code: "InternalError"}
		}
		return pushOf("PUSHING"), nil
	}
	synctest.Test(t, func(t *testing.T) {
		_, stop := startMany(t, c, many, each)
		defer stop()
		time.Sleep(5 * time.Minute)
		from := time.Now()
		time.Sleep(10 * time.Minute)
		if got := float64(c.between(from, time.Now())) / 600; got < 16 {
			t.Errorf("used %.1f requests a second, want at least 16", got)
		}
		fewest := 600
		for x := range int64(many) {
			for i := range each {
				fewest = min(fewest, c.pollsOf(watcher.Key{SDKAppID: app + x, TaskID: fmt.Sprint(i)}, from))
			}
		}
		if fewest < 20 { // of the 60 that polling in turn would give
			t.Errorf("a task was polled %d times in ten minutes, want at least 20", fewest)
		}
	})
}

// TestRefusedAfterFailures has the failures of an application end with one refusal,
// which alone would not count: it is probed, and then observed as before.
func TestRefusedAfterFailures(t *testing.T) {
	t.Parallel()
	requests := 0
	c := newCloud(10*time.Millisecond, 20*time.Millisecond, nil)
	c.answer = func(key watcher.Key, _ time.Time) (watcher.Push, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if key.SDKAppID != other {
			return pushOf("PUSHING"), nil
		}
		switch requests++; {
		case requests <= 3:
			return watcher.Push{}, &watcher.CloudError{Code: "InternalError"}
		case requests == 4:
			return watcher.Push{}, &watcher.CloudError{Kind: watcher.DeniedApplication, Code: "ResourceUnavailable.ServiceExpired"}
		}
		return pushOf("PUSHING"), nil
	}
	run(t, c, func(t *testing.T, s *scene) {
		s.registerBoth()
		time.Sleep(time.Minute)
		from := time.Now()
		time.Sleep(time.Minute)
		if n := c.pollsOf(ofOther, from); n < 50 {
			t.Errorf("polled %d times in the second minute, want about each second", n)
		}
	}, other)
}
