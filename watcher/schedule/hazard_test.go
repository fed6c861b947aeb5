package schedule

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pushwatch/watcher"
)

// A fresh install expects starts within seconds, and stops after a lesson.
func TestFreshHazards(t *testing.T) {
	h := NewHazards()
	for _, c := range []struct {
		name           string
		curve          *curve
		likely, seldom time.Duration // ages
		times          float64       // as likely at the one as at the other, at least
	}{
		{"start", &h.preparing, 5 * time.Second, 80 * time.Second, 3},
		{"stop", &h.pushing, 60 * time.Minute, 10 * time.Minute, 5},
		{"stop with a hint", &h.hinted, 0, -30 * time.Minute, 5},
	} {
		likely, _ := c.curve.at(c.likely.Seconds())
		seldom, _ := c.curve.at(c.seldom.Seconds())
		if likely < c.times*seldom {
			t.Errorf("%s: hazard at %s = %.2g, at %s %.2g, want %g times that or more",
				c.name, c.likely, likely, c.seldom, seldom, c.times)
		}
	}
}

func TestHazardsLearn(t *testing.T) {
	registered := time.Unix(1_700_000_000, 0)
	at := func(seconds int) time.Time { return registered.Add(time.Duration(seconds) * time.Second) }
	unix := func(seconds int) *int64 { return new(at(seconds).Unix()) }
	type seen struct{ events, exposure float64 }
	for _, c := range []struct {
		name                       string
		before, after              watcher.Task
		preparing, pushing, hinted seen
	}{
		{
			name:      "still preparing",
			before:    watcher.Task{State: watcher.Preparing, LastPolledAt: at(3)},
			after:     watcher.Task{State: watcher.Preparing, LastPolledAt: at(5)},
			preparing: seen{0, 2},
		},
		{
			name:      "started",
			before:    watcher.Task{State: watcher.Registered},
			after:     watcher.Task{State: watcher.Pushing, LastPolledAt: at(10), Push: &watcher.Push{PushStartTime: unix(4)}},
			preparing: seen{1, 4}, pushing: seen{0, 6},
		},
		{
			name:      "started before it was registered",
			before:    watcher.Task{State: watcher.Registered},
			after:     watcher.Task{State: watcher.Pushing, LastPolledAt: at(10), Push: &watcher.Push{PushStartTime: unix(-1000)}},
			preparing: seen{0, 0}, pushing: seen{0, 10},
		},
		{
			name:      "a start that lies in the future",
			before:    watcher.Task{State: watcher.Preparing, LastPolledAt: at(3)},
			after:     watcher.Task{State: watcher.Pushing, LastPolledAt: at(10), Push: &watcher.Push{PushStartTime: unix(1e6)}},
			preparing: seen{1, 7}, pushing: seen{0, 0},
		},
		{
			name:    "pushing on, with a hint",
			before:  watcher.Task{State: watcher.Pushing, LastPolledAt: at(100), ExpectedStopAt: at(3600)},
			after:   watcher.Task{State: watcher.Pushing, LastPolledAt: at(160), ExpectedStopAt: at(3600), Push: &watcher.Push{PushStartTime: unix(5)}},
			hinted:  seen{0, 60},
			pushing: seen{0, 0},
		},
		{
			name:    "stopped",
			before:  watcher.Task{State: watcher.Pushing, LastPolledAt: at(3000)},
			after:   watcher.Task{State: watcher.Stopped, LastPolledAt: at(3090), Push: &watcher.Push{PushStartTime: unix(5), PushStopTime: unix(3030)}},
			pushing: seen{1, 30},
		},
		{
			name:    "stopped, nobody says when",
			before:  watcher.Task{State: watcher.Pushing, LastPolledAt: at(3000)},
			after:   watcher.Task{State: watcher.Failed, LastPolledAt: at(3090), Error: &watcher.APIError{}},
			pushing: seen{1, 90},
		},
		{
			name:    "stopped before it was last seen pushing",
			before:  watcher.Task{State: watcher.Pushing, LastPolledAt: at(3000)},
			after:   watcher.Task{State: watcher.Stopped, LastPolledAt: at(3090), Push: &watcher.Push{PushStartTime: unix(5), PushStopTime: new(int64(1))}},
			pushing: seen{1, 0},
		},
		{
			name:   "start and stop in one answer",
			before: watcher.Task{State: watcher.Preparing, LastPolledAt: at(2)},
			after: watcher.Task{
				State: watcher.Stopped, LastPolledAt: at(3090), Memory: watcher.Memory{Started: true},
				Push: &watcher.Push{PushStartTime: unix(5), PushStopTime: unix(3030)},
			},
			preparing: seen{1, 3}, pushing: seen{1, 3025},
		},
		{
			name:      "failed in preparation",
			before:    watcher.Task{State: watcher.Preparing, LastPolledAt: at(2)},
			after:     watcher.Task{State: watcher.Failed, LastPolledAt: at(9), Push: &watcher.Push{PushStopTime: unix(6)}},
			preparing: seen{1, 4},
		},
		{
			name:   "not known to TIW",
			before: watcher.Task{State: watcher.Preparing, LastPolledAt: at(2)},
			after:  watcher.Task{State: watcher.NotFound, LastPolledAt: at(9), Error: &watcher.APIError{}},
		},
		{
			name:   "an answer that does not describe the push",
			before: watcher.Task{State: watcher.Registered, LastPolledAt: at(2)},
			after:  watcher.Task{State: watcher.Registered, LastPolledAt: at(9), Error: &watcher.APIError{}},
		},
		{
			name:   "a last poll that lies in the future, after the clock was set back",
			before: watcher.Task{State: watcher.Preparing, LastPolledAt: at(5000)},
			after:  watcher.Task{State: watcher.Preparing, LastPolledAt: at(9)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.before.RegisteredAt, c.after.RegisteredAt = registered, registered
			h, fresh := NewHazards(), NewHazards()
			h.Learn(&c.before, &c.after)
			for _, of := range []struct {
				name     string
				is, was  *curve
				expected seen
			}{
				{"preparing", &h.preparing, &fresh.preparing, c.preparing},
				{"pushing", &h.pushing, &fresh.pushing, c.pushing},
				{"hinted", &h.hinted, &fresh.hinted, c.hinted},
			} {
				var got seen
				for i := range of.is.events {
					got.events += of.is.events[i] - of.was.events[i]
					got.exposure += of.is.exposure[i] - of.was.exposure[i]
				}
				if got.events != of.expected.events || math.Abs(got.exposure-of.expected.exposure) > 1e-6 {
					t.Errorf("learn: %s saw %+v, want %+v", of.name, got, of.expected)
				}
			}
		})
	}
}

// Seen often enough, any hazard is learned, and what was imagined is forgotten.
func TestCurveConverges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := &NewHazards().pushing
	for range 10_000 { // a twentieth of a change a minute, which doubles after half an hour
		age := 1200 * random.ExpFloat64()
		if age > 1800 {
			age = 1800 + (age-1800)/2
		}
		c.lived(0, age)
		c.changed(age)
	}
	c.fit()
	for age, want := range map[float64]float64{60: 1. / 1200, 900: 1. / 1200, 1500: 1. / 1200, 2100: 1. / 600, 2700: 1. / 600} {
		if got, _ := c.at(age); math.Abs(got/want-1) > 0.2 {
			t.Errorf("at(%g) = %.3g, want %.3g within a fifth", age, got, want)
		}
	}
	_, from := c.at(600)
	_, to := c.at(1200)
	if got := to - from; math.Abs(got-0.5) > 0.05 {
		t.Errorf("changes expected from 10 to 20 minutes = %.3f, want about 0.5", got)
	}
}

// What was learned is forgotten soon where other times begin, and kept where they do not.
func TestCurveForgets(t *testing.T) {
	const longer, shorter = 3000.0, 600.0 // lives, in seconds
	lives := func(c *curve, n int, length float64) {
		for range n {
			c.lived(0, length)
			c.changed(length)
		}
		c.fit()
	}
	learned := func() *curve {
		c := newCurve(0, 30*time.Second, 200)
		c.fit()
		for range 200 {
			lives(&c, 50, longer)
		}
		return &c
	}
	c := learned()
	before, _ := c.at(shorter)
	for range 10 {
		lives(c, 10, shorter)
	}
	if after, _ := c.at(shorter); after < 200*before {
		t.Errorf("after 100 shorter lives the hazard is %.2g, before it was %.2g: want 200 times that", after, before)
	}

	c = learned()
	events, exposure := c.events[c.bin(longer)], c.exposure[c.bin(longer)]
	for range 10 {
		lives(c, 10, longer)
	}
	if got := c.events[c.bin(longer)]; got < events {
		t.Errorf("after 100 more of the same, %.0f changes are known, before it was %.0f of %.0f s", got, events, exposure)
	}
}

func TestHazardsRefuseWhatIsFaulty(t *testing.T) {
	good := `{"version":1,"preparing":{"first":0,"events":[1],"exposure":[9]},"pushing":{"first":3,"events":[],"exposure":[]},"hinted":{"first":719,"events":[0],"exposure":[5]}}`
	if err := json.Unmarshal([]byte(good), NewHazards()); err != nil {
		t.Errorf("Unmarshal(%s) = %v, want none", good, err)
	}
	for _, c := range []struct{ old, new string }{
		{`"version":1`, `"version":2`},
		{`"version":1,`, ``},
		{`"first":719`, `"first":720`},
		{`"first":719`, `"first":9223372036854775807`},
		{`"first":719`, `"first":-1`},
		{`"events":[1]`, `"events":[1,2]`},
		{`"events":[1]`, `"events":[-1]`},
		{`"events":[1]`, `"events":["1"]`},
		{`"exposure":[9]`, `"exposure":[1e300]`},
		{`"exposure":[5]}}`, `"exposure":[5]}`},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if err := NewHazards().UnmarshalJSON([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "read hazards: ") {
			t.Errorf("UnmarshalJSON(%s) = %v, want an error that says what was read", text, err)
		}
	}
}

// Whatever was accepted gives a schedule something to reckon with.
func FuzzHazardsUnmarshal(f *testing.F) {
	text, err := json.Marshal(NewHazards())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1,"preparing":{"first":89,"events":[1e12],"exposure":[0]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		h := NewHazards()
		if h.UnmarshalJSON(text) != nil {
			return
		}
		for _, c := range []*curve{&h.preparing, &h.pushing, &h.hinted} {
			for _, age := range []float64{-1e6, 0, 30, 3600, 1e6} {
				if w := c.worth(surprise, age-10, age); !(w >= 0) || math.IsInf(w, 1) {
					t.Errorf("worth(%g, %g) = %g, want a finite number from 0", age-10, age, w)
				}
			}
		}
	})
}
