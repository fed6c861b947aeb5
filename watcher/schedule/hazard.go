package schedule

import (
	"math"
	"time"

	"pushwatch/watcher"
)

// Hazards are the learned hazard rates of an account's pushes: changes per second by age,
// given that the change has not come yet. Every poll teaches them. The API reports to the
// second when a push started and stopped, so that a late poll teaches as well as an early one.
type Hazards struct {
	preparing curve // by time since registration
	pushing   curve // by time since PushStartTime
	hinted    curve // of pushes with a planned end: by time since that, negative before it

	fitted watcher.Tick // last fit
}

// NewHazards returns a prior of typical classes: they start within seconds, last 40 to 90
// minutes, and end near the planned time or half an hour past it, where TIW's default
// AutoStopTimeout of 1800 s stops them (https://cloud.tencent.com/document/product/1137/52081).
// Some dozens of real pushes outweigh it.
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
		clear(c.recent) // a prior is not recent
	}
	return h
}

// refit fits the curves once in fitEvery.
func (h *Hazards) refit(at watcher.Tick) {
	if h.fitted == watcher.Never || at.Since(h.fitted) >= fitEvery {
		h.fitted = at
		h.fit()
	}
}

// fit updates the curves from what was learned since the last fit.
func (h *Hazards) fit() {
	h.preparing.fit()
	h.pushing.fit()
	h.hinted.fit()
}

// of returns the curve of a live task.
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

// started returns the curve of a push that has started, and where its age counts from.
func (h *Hazards) started(t *watcher.Task) (*curve, time.Time) {
	if !t.ExpectedStopAt.IsZero() {
		return &h.hinted, t.ExpectedStopAt
	}
	return &h.pushing, startOf(t)
}

// startOf returns when a push started, or else its registration.
func startOf(t *watcher.Task) time.Time {
	if start := t.Push.StartedAt(); !start.IsZero() {
		return start
	}
	return t.RegisteredAt
}

// stopOf returns when an ended push stopped, or else when that was seen.
func stopOf(t *watcher.Task) time.Time {
	if stop := t.Push.StoppedAt(); !stop.IsZero() {
		return stop
	}
	return t.LastPolledAt
}

// Learn records an observation: the task before and after it. A change counts at the time that
// TIW reports, but always between the two polls around it, so that wrong times and clocks do
// no harm.
func (h *Hazards) Learn(before, after *watcher.Task) {
	if before.State.Ended() || after.State == watcher.NotFound || after.Error != nil && !after.State.Ended() {
		return // the push was not observed
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
		// A push that started before its registration does not count. TIW truncates its
		// times to seconds.
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

// between clamps t.
func between(from, t, to time.Time) time.Time {
	if t.After(to) {
		t = to
	}
	if t.Before(from) {
		t = from
	}
	return t
}

// A curve is a hazard rate by age, learned in bins of equal width. The outer bins include all
// ages beyond them.
type curve struct {
	start, width     float64   // of the bins, in seconds of age
	events, exposure []float64 // by bin: changes, and seconds of waiting for one
	recent           []recent  // by bin: the recent part of these
	fresh            int       // changes since the last fit
	fitted           []hazard  // by bin
}

// A recent is what a bin has learned in about the last half hour.
type recent struct{ events, exposure float64 }

// A hazard is the fitted value of one bin.
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

// saw records that a task did not change from one time to another, and whether it changed then.
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
	// retention is after how many changes an older change weighs 1/e: a large school
	// forgets in days, a small one in months.
	retention = 20_000

	// A bin is estimated from narrow bins on either side, with a prior from wide bins, which
	// has a prior from the whole curve, which has the prior ordinary. Each prior weighs as
	// many changes as its weight.
	narrow, narrowWeight = 1, 4.0
	wide, wideWeight     = 10, 1.0
	wholeWeight          = 4.0
	ordinary             = 1.0 / 3600 // changes per second

	// recentKeeps is the factor by which recent decays at each fit, so each minute.
	recentKeeps = 0.97

	// unlikely is the deviance of recent from expected changes above which older changes
	// are halved: chance alone exceeds it once in 2,000. Ratios below misfit do not count,
	// since a curve fits sharp peaks no better, and polls hardly suffer from that.
	unlikely, misfit = 12, 2.5
)

// forget halves what is older than recent in bins around which recent changes are far more or
// fewer than expected. So a day whose pushes end at unusual times is learned within minutes,
// and ordinary days change nothing.
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

// differs reports whether a count is unlikely under a Poisson distribution of the given mean.
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

// fit updates fitted, and forgets a little.
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
