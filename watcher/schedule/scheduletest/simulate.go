package scheduletest

import (
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/schedule"
)

// A Policy decides which task is polled, and learns from the answers.
type Policy interface {
	Put(e *schedule.Entry, now time.Time)
	Take(now time.Time, rate float64) *schedule.Entry
	Learn(before, after *watcher.Task)
}

// A Learning is a schedule as an account drives it.
type Learning struct {
	*schedule.Schedule
	*schedule.Hazards
}

// NewLearning returns the schedule of a fresh install.
func NewLearning(cfg schedule.Config) Learning {
	h := schedule.NewHazards()
	return Learning{schedule.New(cfg, h), h}
}

// A Rotation polls in turn, each task again after the same time at the soonest;
// with 0 that is round robin.
type Rotation struct {
	Every time.Duration
	queue []*schedule.Entry
}

// Put implements [Policy].
func (r *Rotation) Put(e *schedule.Entry, _ time.Time) { r.queue = append(r.queue, e) }

// Learn implements [Policy]: there is nothing to learn.
func (r *Rotation) Learn(_, _ *watcher.Task) {}

// Take implements [Policy].
func (r *Rotation) Take(now time.Time, _ float64) *schedule.Entry {
	if len(r.queue) == 0 {
		return nil
	}
	e := r.queue[0]
	if e.Asked != watcher.Never && watcher.TickOf(now).Since(e.Asked) < r.Every {
		return nil
	}
	r.queue = r.queue[1:]
	return e
}

// Bound returns the least mean delay of the stops that any policy can reach on a
// day of a trace, if polls could be divided: with the hazard h of each task known,
// every task gets a part of the rate by the root of its hazard, and that costs
// (Σ√h)²/2R at each moment.
func Bound(lives []Life, day int, rate float64) float64 {
	const step = 5.0 // seconds
	last := 0.0
	for _, l := range lives {
		last = max(last, l.Stop)
	}
	roots := make([]float64, int(last/step)+2) // the sums of √h, by the step
	stops := 0
	for _, l := range lives {
		if l.Day != day {
			continue
		}
		stops++
		if math.IsInf(l.Start, 1) {
			continue
		}
		for i := int(math.Ceil(l.Start / step)); float64(i)*step < l.Stop; i++ {
			roots[i] += math.Sqrt(l.Hazard(float64(i)*step - l.Start))
		}
	}
	cost := 0.0
	for _, sum := range roots {
		cost += step * sum * sum / (2 * rate)
	}
	return cost / float64(stops)
}

// Delays are how late changes were seen, in seconds.
type Delays []float64

// Mean returns their mean.
func (d Delays) Mean() float64 {
	sum := 0.0
	for _, x := range d {
		sum += x
	}
	return sum / float64(len(d))
}

// Quantile returns the delay that a part of all lies below; 1: the greatest.
func (d Delays) Quantile(part float64) float64 {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(len(d)-1, int(part*float64(len(d))))]
}

// A Result is how late a policy saw the changes of a day.
type Result struct {
	Starts, Stops Delays
	Peak          int // most tasks at a time
}

// morning is when traces begin.
var morning = time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)

// Simulate polls a trace at a rate, over a network without delay, and returns
// what came of each day.
func Simulate(lives []Life, p Policy, rate float64) []Result {
	at := func(seconds float64) time.Time { return morning.Add(time.Duration(seconds * 1e9)) }
	results := make([]Result, lives[len(lives)-1].Day+1)
	type push struct {
		*Life
		task watcher.Task
	}
	live := make(map[*schedule.Entry]*push)
	registered := 0
	for slot := int64(0); len(lives) > 0 || len(live) > 0; slot++ {
		if len(live) == 0 {
			slot = max(slot, int64(lives[0].Registered*rate))
		}
		clock := float64(slot) / rate
		now := at(clock)
		for len(lives) > 0 && lives[0].Registered <= clock {
			l := &lives[0]
			lives = lives[1:]
			task := watcher.Task{Key: watcher.Key{SDKAppID: 1, TaskID: strconv.Itoa(registered)}, State: watcher.Registered, RegisteredAt: at(l.Registered)}
			registered++
			if !math.IsNaN(l.Hint) {
				task.ExpectedStopAt = at(l.Hint)
			}
			e := schedule.NewEntry(&task)
			live[e] = &push{l, task}
			p.Put(e, now)
			results[l.Day].Peak = max(results[l.Day].Peak, len(live))
		}
		e := p.Take(now, rate)
		if e == nil {
			continue
		}
		l := live[e]
		day := &results[l.Day]
		before := l.task
		after := &l.task
		after.LastPolledAt = now
		if clock >= l.Start && !before.Memory.Started {
			after.State, after.Memory.Started = watcher.Pushing, true
			after.Push = &watcher.Push{PushStartTime: new(at(l.Start).Unix())}
			day.Starts = append(day.Starts, clock-l.Start)
		}
		if clock >= l.Stop {
			after.State = watcher.Stopped
			after.Push = &watcher.Push{PushStopTime: new(at(l.Stop).Unix())}
			if after.Memory.Started {
				after.Push.PushStartTime = new(at(l.Start).Unix())
			}
			day.Stops = append(day.Stops, clock-l.Stop)
		}
		p.Learn(&before, after)
		if after.State.Ended() {
			delete(live, e)
		} else {
			e.Set(after)
			p.Put(e, now)
		}
	}
	return results
}

// Slowed reports whether the race detector is on, under which a school day of
// 2,000 pushes takes a minute and finds nothing that a small one does not.
func Slowed() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
