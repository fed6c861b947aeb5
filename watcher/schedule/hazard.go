package schedule

import (
	"math"
	"time"

	"pushwatch/watcher"
)

// Hazards is what an account has learned of when its pushes change: the rate of
// changes per second at each moment of a push's life, given that the change has
// not come yet. Every poll teaches it. The API tells to the second when a push
// started and stopped, so a late poll teaches as well as an early one.
type Hazards struct {
	preparing curve // by the time since registration
	pushing   curve // by the time since PushStartTime
	hinted    curve // of pushes with a planned end: by the time since that, negative before it

	fitted watcher.Tick // when what was learned was last made to count
}

// NewHazards returns what a fresh install assumes: a prior of typical classes, which
// started within seconds, lasted 40 to 90 minutes, and ended near the planned time, or
// half an hour past it, where TIW's default AutoStopTimeout of 1800 s stops those that
// nobody stopped (https://cloud.tencent.com/document/product/1137/52081). Some dozens
// of real pushes outweigh it.
func NewHazards() *Hazards {
	h := &Hazards{
		preparing: newCurve(0, time.Second, 90),
		pushing:   newCurve(0, 30*time.Second, 960),
		hinted:    newCurve(-3*time.Hour, 30*time.Second, 720),
		fitted:    watcher.Never,
	}
	for _, seconds := range []float64{2, 3, 4, 5, 6, 8, 10, 15, 20} {
		h.preparing.lived(0, seconds)
		h.preparing.changed(seconds)
	}
	for minutes := 40.0; minutes <= 90; minutes += 5 {
		h.pushing.lived(0, 60*minutes)
		h.pushing.changed(60 * minutes)
	}
	for _, minutes := range []float64{-4, -2, -1, 0, 1, 2, 4, 30} {
		h.hinted.lived(-60*60, 60*minutes)
		h.hinted.changed(60 * minutes)
	}
	h.fit()
	for _, c := range []*curve{&h.preparing, &h.pushing, &h.hinted} {
		clear(c.recent) // a prior is old from the beginning
	}
	return h
}

// refit makes what was learned count, every minute.
func (h *Hazards) refit(at watcher.Tick) {
	if h.fitted == watcher.Never || at.Since(h.fitted) >= fitEvery {
		h.fitted = at
		h.fit()
	}
}

// fit makes what was learned count.
func (h *Hazards) fit() {
	h.preparing.fit()
	h.pushing.fit()
	h.hinted.fit()
}

// of returns the curve that a live task is on.
func (h *Hazards) of(e *Entry) *curve {
	switch {
	case e.State() != watcher.Pushing:
		return &h.preparing
	case e.Expected != 0:
		return &h.hinted
	default:
		return &h.pushing
	}
}

// started returns the curve of a push that goes on or has just ended, and the
// reference time from which its age there counts.
func (h *Hazards) started(t *watcher.Task) (*curve, time.Time) {
	if !t.ExpectedStopAt.IsZero() {
		return &h.hinted, t.ExpectedStopAt
	}
	return &h.pushing, startOf(t)
}

// startOf is when a push started; where TIW does not tell, its registration.
func startOf(t *watcher.Task) time.Time {
	if start := t.Push.StartedAt(); !start.IsZero() {
		return start
	}
	return t.RegisteredAt
}

// stopOf is when an ended push stopped; where TIW does not tell, when that was seen.
func stopOf(t *watcher.Task) time.Time {
	if stop := t.Push.StoppedAt(); !stop.IsZero() {
		return stop
	}
	return t.LastPolledAt
}

// Learn records an answer: the task as it was, and as the answer shows it. A
// change is taken to have come when TIW says, but between the two polls that saw
// the task before and after it: no nonsense in the API's times, and no clock that
// is wrong, can teach more than that.
func (h *Hazards) Learn(before, after *watcher.Task) {
	if before.State.Ended() || after.State == watcher.NotFound || after.Error != nil && !after.State.Ended() {
		return // nothing was seen of the push
	}
	seen := after.LastPolledAt
	since := between(before.RegisteredAt, before.LastPolledAt, seen)
	started := after.State == watcher.Pushing || after.State.Ended() && after.Memory.Started
	if before.State != watcher.Pushing {
		change := seen
		switch {
		case started:
			change = startOf(after)
		case after.State.Ended():
			change = stopOf(after)
		}
		// A push that started before it was registered was never waited for. TIW
		// cuts its times to seconds.
		late := started && change.Before(before.RegisteredAt.Add(-time.Second))
		change = between(since, change, seen)
		if !late {
			h.preparing.saw(before.RegisteredAt, since, change, started || after.State.Ended())
		}
		if !started {
			return
		}
		since = change
	}
	change := seen
	if after.State.Ended() {
		change = between(since, stopOf(after), seen)
	}
	c, reference := h.started(after)
	c.saw(reference, since, change, after.State.Ended())
}

// between returns t, or the bound that it lies beyond.
func between(from, t, to time.Time) time.Time {
	if t.After(to) {
		t = to
	}
	if t.Before(from) {
		t = from
	}
	return t
}

// A curve is one hazard, learned in bins of equal width. What lies before the
// first bin or after the last counts as in it.
type curve struct {
	start, width     float64   // seconds since the reference time
	events, exposure []float64 // in each bin: changes, and seconds in which one could have come
	recent           []recent  // the part of that which came lately
	fresh            int       // changes since the last fit
	fitted           []hazard  // of each bin
}

// A recent is what a bin has learned in the last half hour or so.
type recent struct{ events, exposure float64 }

// A hazard is the fitted value of a bin.
type hazard struct {
	left  float64 // the bin's left edge
	rate  float64 // changes per second
	total float64 // changes expected from the curve's start to the left edge
}

func newCurve(start, width time.Duration, bins int) curve {
	return curve{
		start: start.Seconds(), width: width.Seconds(),
		events: make([]float64, bins), exposure: make([]float64, bins),
		recent: make([]recent, bins), fitted: make([]hazard, bins),
	}
}

func (c *curve) bin(age float64) int {
	return max(0, min(len(c.events)-1, int((age-c.start)/c.width)))
}

// saw records that a task was alive from one time to another, and whether it
// changed then.
func (c *curve) saw(reference, from, to time.Time, changed bool) {
	age := to.Sub(reference).Seconds()
	c.lived(age-max(0, to.Sub(from).Seconds()), age)
	if changed {
		c.changed(age)
	}
}

// lived records that no change came between two ages in seconds.
func (c *curve) lived(from, to float64) {
	first, last := c.bin(from), c.bin(to)
	for i := first; i <= last; i++ {
		left, right := c.start+float64(i)*c.width, c.start+float64(i+1)*c.width
		if i == first {
			left = from
		}
		if i == last {
			right = to
		}
		c.exposure[i] += right - left
		c.recent[i].exposure += right - left
	}
}

// changed records a change at an age in seconds.
func (c *curve) changed(age float64) {
	i := c.bin(age)
	c.events[i]++
	c.recent[i].events++
	c.fresh++
}

const (
	// retention is the number of changes after which what was learned weighs 1/e: a
	// large school forgets in days, a small one in months.
	retention = 20_000

	narrow, narrowWeight = 1, 4.0  // a bin is estimated with so many on either side, drawn to
	wide, wideWeight     = 10, 1.0 // its wider neighbourhood, and that to the whole curve,
	wholeWeight          = 4.0     // and that to one change an hour, by so many changes each
	ordinary             = 1.0 / 3600

	// recentKeeps is the part of what is recent that still is a fit, so a minute, later.
	recentKeeps = 0.97

	// unlikely is the deviance of what came lately from what was expected, beyond which
	// it is taken to tell of other times: chance alone leads there once in 2,000. But a
	// curve fits sharp peaks only within misfit times, and polls hardly suffer from that.
	unlikely, misfit = 12, 2.5
)

// forget halves what is older than recent, in bins around which the recent changes are
// far more or fewer than expected. So a day whose pushes end when none did before is
// learned within minutes, and ordinary days leave what is known as it is.
func (c *curve) forget() {
	bins := len(c.events)
	changes, expected := make([]float64, bins+1), make([]float64, bins+1) // running sums
	for i, r := range c.recent {
		changes[i+1] = changes[i] + r.events
		expected[i+1] = expected[i] + r.exposure*c.fitted[i].rate
	}
	for i := range c.recent {
		r := &c.recent[i]
		from, to := max(0, i-wide), min(bins, i+wide+1)
		if differs(changes[to]-changes[from], expected[to]-expected[from]) {
			c.events[i] -= max(0, c.events[i]-r.events) / 2
			c.exposure[i] -= max(0, c.exposure[i]-r.exposure) / 2
		}
		r.events *= recentKeeps
		r.exposure *= recentKeeps
	}
}

// differs reports whether a count is far from the mean of a Poisson distribution.
func differs(count, mean float64) bool {
	if count < misfit*mean && mean < misfit*count {
		return false
	}
	deviance := 2 * (mean - count)
	if count > 0 {
		deviance += 2 * count * math.Log(count/mean)
	}
	return deviance > unlikely
}

// fit makes what was learned since the last fit count, and forgets a little.
func (c *curve) fit() {
	c.forget()
	keep := math.Exp(-float64(c.fresh) / retention)
	c.fresh = 0
	bins := len(c.events)
	events, exposure := make([]float64, bins+1), make([]float64, bins+1) // running sums
	for i := range bins {
		c.events[i] *= keep
		c.exposure[i] *= keep
		events[i+1] = events[i] + c.events[i]
		exposure[i+1] = exposure[i] + c.exposure[i]
	}
	estimate := func(i, reach int, weight, guess float64) float64 {
		from, to := max(0, i-reach), min(bins, i+reach+1)
		return (events[to] - events[from] + weight) / (exposure[to] - exposure[from] + weight/guess)
	}
	whole := estimate(0, bins, wholeWeight, ordinary)
	total := 0.0
	for i := range c.fitted {
		rate := estimate(i, narrow, narrowWeight, estimate(i, wide, wideWeight, whole))
		c.fitted[i] = hazard{c.start + float64(i)*c.width, rate, total}
		total += rate * c.width
	}
}

// at returns the rate at an age in seconds, and the changes expected up to it.
func (c *curve) at(age float64) (rate, total float64) {
	i := c.bin(age)
	f := &c.fitted[i]
	return f.rate, f.total + f.rate*(age-f.left)
}
