package engine

import (
	"maps"
	"slices"
	"time"

	"pushwatch/watcher"
)

// A tally counts an account's live tasks by what its status shows, so that showing it
// takes no walk over them.
type tally struct {
	states     map[watcher.State]int
	unobserved int
	newest     map[int64]watcher.Tick // observation of a live or former task, of each application

	// ages counts the tasks by the time of their last observation, or else of their
	// registration, in steps of ageStep. None is before oldest.
	ages   map[int64]int
	oldest int64
}

// ageStep is how exact the age of the oldest observation is.
const ageStep = 100 * time.Millisecond

func newTally() tally {
	return tally{states: make(map[watcher.State]int), newest: make(map[int64]watcher.Tick), ages: make(map[int64]int)}
}

// add counts a task, or with n of -1 counts it no more.
func (c *tally) add(e *task, n int) {
	c.states[e.State()] += n
	if e.observed == watcher.Never {
		c.unobserved += n
	}
	if newest, ok := c.newest[e.Key.SDKAppID]; !ok || e.observed > newest {
		c.newest[e.Key.SDKAppID] = e.observed
	}
	step := int64(time.Duration(max(e.observed, watcher.TickOf(e.Registered))) / ageStep)
	if len(c.ages) == 0 || step < c.oldest {
		c.oldest = step
	}
	if c.ages[step] += n; c.ages[step] == 0 {
		delete(c.ages, step)
	}
}

// stalest returns the age of the oldest observation; 0 where there is none. It looks at
// the ages only when the oldest is gone: there are as many as the steps that the last
// observations of the tasks lie in, so some hundred while all is well.
func (c *tally) stalest(now time.Time) time.Duration {
	if len(c.ages) == 0 {
		return 0
	}
	if c.ages[c.oldest] == 0 {
		c.oldest = slices.Min(slices.Collect(maps.Keys(c.ages)))
	}
	return max(0, time.Duration(watcher.TickOf(now))-time.Duration(c.oldest)*ageStep)
}

// newestOf returns when a task of an application was last observed; Never: not yet.
func (c *tally) newestOf(app int64) watcher.Tick {
	if newest, ok := c.newest[app]; ok {
		return newest
	}
	return watcher.Never
}

// newestOfAll is newestOf the whole account.
func (c *tally) newestOfAll() watcher.Tick {
	newest := watcher.Never
	for _, of := range c.newest {
		newest = max(newest, of)
	}
	return newest
}
