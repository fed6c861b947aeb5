package engine

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/outage"
	"pushwatch/watcher/schedule"
	"pushwatch/watcher/schedule/scheduletest"
)

// A driven is an account's state without its store and network, as a policy that a school
// day is played against. With each share of its pushes it gets one more, whose polls fail.
type driven struct {
	state
	rules   watcher.Rules
	every   int // 0: none fails
	given   int
	entries map[watcher.Key]*schedule.Entry // the simulation's own
	blind   map[watcher.Key]int             // how often each was reported
}

func newDriven(every int) *driven {
	p := newPlan(Settings{})
	return &driven{
		state: newState(p, watcher.MaxRequestsPerSecond), rules: p.Rules, every: every,
		entries: make(map[watcher.Key]*schedule.Entry), blind: make(map[watcher.Key]int),
	}
}

func (d *driven) Put(e *schedule.Entry, now time.Time) {
	t := d.tasks[e.Key]
	if t == nil {
		d.given++
		d.adopt(watcher.Task{Key: e.Key, State: e.State(), RegisteredAt: e.Registered}, now)
		t = d.tasks[e.Key]
		d.picker.remove(t)
		if d.every > 0 && d.given%d.every == 0 {
			dead := watcher.Key{SDKAppID: e.Key.SDKAppID, TaskID: fmt.Sprint("dead-", d.given)}
			d.adopt(watcher.Task{Key: dead, State: watcher.Registered, RegisteredAt: now}, now)
			d.blind[dead] = 0
		}
	}
	d.entries[e.Key] = e
	t.SetState(e.State())
	t.Asked, t.Expected, t.Started, t.Settles = e.Asked, e.Expected, e.Started, e.Settles
	d.picker.put(t, now)
}

func (d *driven) Take(now time.Time, _ float64) *schedule.Entry {
	t := d.picker.take(now)
	if t == nil {
		return nil
	}
	if e := d.entries[t.Key]; e != nil {
		d.apply(d.outages.Record(now, t.Key, nil))
		return e
	}
	reason := &watcher.CloudError{Code: "InternalError"}
	d.apply(d.outages.Record(now, t.Key, reason))
	d.unobserved(now, t, reason, d.rules)
	d.picker.put(t, now)
	return nil
}

func (d *driven) Learn(before, after *watcher.Task) {
	d.hazards.Learn(before, after)
	if after.State.Ended() {
		d.forget(d.tasks[after.Key])
		delete(d.entries, after.Key)
	}
}

func (d *driven) apply(changes []outage.Transition) {
	for _, c := range changes {
		if c.Kind == outage.Blind {
			d.blind[c.Key]++
		}
	}
}

// TestDeadIDs plays a school day of 2,000 pushes at a time in which one of a hundred that
// are registered is an id whose polls fail for ever. Each is reported once, and the stops
// of the others are seen about as soon as without them.
func TestDeadIDs(t *testing.T) {
	t.Parallel()
	if scheduletest.Slowed() || testing.Short() {
		t.Skip("two school days take some seconds each")
	}
	day := scheduletest.School(1, 2000, scheduletest.OrdinaryDay)
	without, with := newDriven(0), newDriven(100)
	var rest, beside scheduletest.Result
	var days sync.WaitGroup
	days.Go(func() { rest = scheduletest.Simulate(day, without, watcher.MaxRequestsPerSecond)[0] })
	days.Go(func() { beside = scheduletest.Simulate(day, with, watcher.MaxRequestsPerSecond)[0] })
	days.Wait()
	ratio := beside.Stops.Mean() / rest.Stops.Mean()
	t.Logf("mean delay of stops %.2f s, beside %d dead ids %.2f s: ratio %.3f", rest.Stops.Mean(), len(with.blind), beside.Stops.Mean(), ratio)
	if ratio > 1.02 {
		t.Errorf("mean delay of stops beside dead ids = %.3f of that without, want at most 1.02", ratio)
	}
	if len(with.blind) < len(day)/100 {
		t.Errorf("%d dead ids, want a hundredth of %d pushes", len(with.blind), len(day))
	}
	for key, n := range with.blind {
		if n != 1 {
			t.Errorf("%s was reported %d times, want once", key, n)
		}
	}
}
