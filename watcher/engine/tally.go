package engine

import (
	"maps"
	"slices"
	"time"

	"pushwatch/watcher"
)

// A tally counts an account's live tasks for its status, which then needs no loop over them.
type tally struct {
	states     map[watcher.State]int
	unobserved int
	newest     map[int64]watcher.Tick // latest observation, by application

	// ages counts the tasks by their last observation, or else their registration, in steps
	// of ageStep. None is before oldest.
	ages   map[int64]int
	oldest int64
}

// ageStep is the precision of stalest.
const ageStep = 100 * time.Millisecond

func newTally() tally {
	return tally{states: make(map[watcher.State]int), newest: make(map[int64]watcher.Tick), ages: make(map[int64]int)}
}

// add adds a task, or removes it with n = -1.
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

// stalest returns the age of the oldest observation; 0: none. It searches the ages, usually
// some hundred, only when the oldest is gone.
func (c *tally) stalest(now time.Time) time.Duration {
	if len(c.ages) == 0 {
		return 0
	}
	if c.ages[c.oldest] == 0 {
		c.oldest = slices.Min(slices.Collect(maps.Keys(c.ages)))
	}
	return max(0, time.Duration(watcher.TickOf(now))-time.Duration(c.oldest)*ageStep)
}

// newestOf returns the latest observation of an application; Never: none yet.
func (c *tally) newestOf(app int64) watcher.Tick {
	if newest, ok := c.newest[app]; ok {
		return newest
	}
	return watcher.Never
}

// newestOfAll returns the latest observation of the account.
func (c *tally) newestOfAll() watcher.Tick {
	newest := watcher.Never
	for _, of := range c.newest {
		newest = max(newest, of)
	}
	return newest
}
