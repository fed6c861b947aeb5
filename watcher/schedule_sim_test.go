package watcher

import (
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

// A policy decides which task is polled, and learns from the answers.
type policy interface {
	put(e *entry, now time.Time)
	take(now time.Time, rate float64) *entry
	learn(before, after *Task)
}

// learning is the schedule as an account drives it.
type learning struct{ *schedule }

func newLearning() learning { return learning{newSchedule(time.Second, time.Minute)} }

func (l learning) learn(before, after *Task) { l.hazards.learn(before, after) }

// knowing is the schedule with the hazards by which the traces are drawn.
type knowing struct{ *schedule }

func newKnowing() knowing {
	s := newSchedule(time.Second, time.Minute)
	s.hazards = trueHazards()
	return knowing{s}
}

func (knowing) learn(_, _ *Task) {}

// rotation polls in turn, each task again after the same time at the soonest;
// with 0 that is round robin.
type rotation struct {
	every time.Duration
	queue []*entry
}

func (r *rotation) put(e *entry, _ time.Time) { r.queue = append(r.queue, e) }
func (r *rotation) learn(_, _ *Task)          {}
func (r *rotation) take(now time.Time, _ float64) *entry {
	if len(r.queue) == 0 {
		return nil
	}
	e := r.queue[0]
	if e.asked != never && tickOf(now).since(e.asked) < r.every {
		return nil
	}
	r.queue = r.queue[1:]
	return e
}

// scanning is the schedule without its cohorts: it weighs every single task.
type scanning struct {
	*schedule
	entries []*entry
}

func (s *scanning) learn(before, after *Task) { s.hazards.learn(before, after) }

func (s *scanning) put(e *entry, now time.Time) {
	s.schedule.put(e, now)
	if e.queue.curve != nil {
		s.entries = append(s.entries, e)
	}
}

func (s *scanning) take(now time.Time, rate float64) *entry {
	e := s.schedule.take(now, rate)
	if e == nil || !slices.Contains(s.entries, e) {
		return e // it was asked for
	}
	at := tickOf(now)
	s.waiting++
	s.cohort(e, at).push(e, e.polled)
	most := math.Inf(-1)
	best, oldest := -1, -1
	for i, e := range s.entries {
		if at.since(e.polled) < s.rest {
			continue
		}
		if oldest < 0 || e.polled < s.entries[oldest].polled {
			oldest = i
		}
		if w := e.worth(e.queue.curve, at); w > most {
			best, most = i, w
		}
	}
	if at.since(s.entries[oldest].polled) >= s.patience() {
		best = oldest
	}
	e = s.entries[best]
	s.entries[best] = s.entries[len(s.entries)-1]
	s.entries = s.entries[:len(s.entries)-1]
	s.schedule.remove(e)
	return e
}

// trueHazards returns what is learned from a school's day of 18,900 pushes if all
// of them are seen to the second.
func trueHazards() *hazards {
	h := newHazards()
	for _, l := range school(1000, 2000, ordinaryDay) {
		if math.IsInf(l.start, 1) {
			h.preparing.lived(0, l.stop-l.registered)
			h.preparing.changed(l.stop - l.registered)
			continue
		}
		h.preparing.lived(0, l.start-l.registered)
		h.preparing.changed(l.start - l.registered)
		if math.IsNaN(l.hint) {
			h.pushing.lived(0, l.stop-l.start)
			h.pushing.changed(l.stop - l.start)
		} else {
			h.hinted.lived(l.start-l.hint, l.stop-l.hint)
			h.hinted.changed(l.stop - l.hint)
		}
	}
	h.fit()
	return h
}

// bound returns the least mean delay of the stops that any policy can reach on a
// day of a trace, if polls could be divided: with the hazard h of each task known,
// every task gets a part of the rate by the root of its hazard, and that costs
// (Σ√h)²/2R at each moment.
func bound(lives []life, day int, rate float64) float64 {
	const step = 5.0           // seconds
	roots := map[int]float64{} // the sums of √h, by the step
	stops := 0
	for _, l := range lives {
		if l.day != day {
			continue
		}
		stops++
		if math.IsInf(l.start, 1) {
			continue
		}
		for i := int(math.Ceil(l.start / step)); float64(i)*step < l.stop; i++ {
			roots[i] += math.Sqrt(l.hazard(float64(i)*step - l.start))
		}
	}
	cost := 0.0
	for _, sum := range roots {
		cost += step * sum * sum / (2 * rate)
	}
	return cost / float64(stops)
}

// delays are how late changes were seen, in seconds.
type delays []float64

func (d delays) mean() float64 {
	sum := 0.0
	for _, x := range d {
		sum += x
	}
	return sum / float64(len(d))
}

// quantile returns the delay that a part of all lies below; 1: the greatest.
func (d delays) quantile(part float64) float64 {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(len(d)-1, int(part*float64(len(d))))]
}

// A result is how late a policy saw the changes of a day.
type result struct {
	starts, stops delays
	peak          int // most tasks at a time
}

// simulate polls a trace at a rate, over a network without delay, and returns
// what came of each day.
func simulate(lives []life, p policy, rate float64) []result {
	morning := time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return morning.Add(time.Duration(seconds * 1e9)) }
	results := make([]result, lives[len(lives)-1].day+1)
	type push struct {
		*life
		task Task
	}
	live := make(map[*entry]*push)
	for slot := int64(0); len(lives) > 0 || len(live) > 0; slot++ {
		if len(live) == 0 {
			slot = max(slot, int64(lives[0].registered*rate))
		}
		clock := float64(slot) / rate
		now := at(clock)
		for len(lives) > 0 && lives[0].registered <= clock {
			l := &lives[0]
			lives = lives[1:]
			task := Task{State: Registered, RegisteredAt: at(l.registered)}
			if !math.IsNaN(l.hint) {
				task.ExpectedStopAt = at(l.hint)
			}
			e := newEntry(&task)
			live[e] = &push{l, task}
			p.put(e, now)
			results[l.day].peak = max(results[l.day].peak, len(live))
		}
		e := p.take(now, rate)
		if e == nil {
			continue
		}
		l := live[e]
		day := &results[l.day]
		before := l.task
		after := &l.task
		after.LastPolledAt = now
		if clock >= l.start && !before.Memory.Started {
			after.State, after.Memory.Started = Pushing, true
			after.Push = &Push{PushStartTime: new(at(l.start).Unix())}
			day.starts = append(day.starts, clock-l.start)
		}
		if clock >= l.stop {
			after.State = Stopped
			after.Push = &Push{PushStopTime: new(at(l.stop).Unix())}
			if after.Memory.Started {
				after.Push.PushStartTime = new(at(l.start).Unix())
			}
			day.stops = append(day.stops, clock-l.stop)
		}
		p.learn(&before, after)
		if after.State.Ended() {
			delete(live, e)
		} else {
			e.keep(after)
			p.put(e, now)
		}
	}
	return results
}

// slowed reports whether the race detector is on, under which a school day of
// 2,000 pushes takes a minute and finds nothing that a small one does not.
func slowed() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// atMost fails where a policy is later than it may be, as a part of another's figure.
func atMost(t *testing.T, what string, got, other, most float64) {
	t.Helper()
	if part := got / other; part > most {
		t.Errorf("%s = %.2f s, %.3f of %.2f s, want at most %.3f of it", what, got, part, other, most)
	}
}

// Round robin keeps the best worst case; in everything else it is beaten, whatever
// the seed: BenchmarkScheduleSeeds plays more of them.
func TestScheduleOnASchoolDay(t *testing.T) {
	t.Parallel()
	if slowed() || testing.Short() {
		t.Skip("school days take some seconds each")
	}
	const rate = 20
	for seed := uint64(1); seed <= 3; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			lives := school(seed, 2000, ordinaryDay, ordinaryDay)
			turns := simulate(lives, &rotation{}, rate)
			ours := simulate(lives, newLearning(), rate)
			cold, warm := ours[0], ours[1]

			if got := turns[1].stops.mean(); got < 32.3 || got > 33.3 {
				t.Errorf("round robin: mean delay of stops = %.2f s, want 32.3 to 33.3", got)
			}
			atMost(t, "mean delay of stops", warm.stops.mean(), turns[1].stops.mean(), 0.42)
			atMost(t, "p99 of stops", warm.stops.quantile(0.99), turns[1].stops.quantile(0.99), 0.9)
			atMost(t, "greatest delay of stops, of three rounds", warm.stops.quantile(1), laps*float64(warm.peak)/rate+5, 1)
			atMost(t, "mean delay of starts", warm.starts.mean(), turns[1].starts.mean(), 0.06)
			atMost(t, "mean delay of stops, of the least possible", warm.stops.mean(), bound(lives, 1, rate), 1.25)
			atMost(t, "mean delay of stops on the first day", cold.stops.mean(), turns[0].stops.mean(), 0.45)
			atMost(t, "mean delay of starts on the first day", cold.starts.mean(), turns[0].starts.mean(), 0.06)
		})
	}
}

// A small school with a twentieth of the rate has the same load, but teaches less.
func TestScheduleLearns(t *testing.T) {
	t.Parallel()
	if slowed() {
		t.Skip("what the race detector could find, the other tests show it")
	}
	for _, c := range []struct {
		name string
		mood mood
		most float64 // mean delay of stops on the second day, as a part of round robin's
	}{
		{"as on the day before", ordinaryDay, 0.5},
		{"all hints wrong", wrongHints, 0.8},
		{"ends where none was seen before", shortDay, 1},
		{"half an hour late", forgotten, 0.6},
	} {
		lives := school(1, 100, ordinaryDay, c.mood)
		turns, ours := simulate(lives, &rotation{}, 1), simulate(lives, newLearning(), 1)
		atMost(t, c.name+": mean delay of stops", ours[1].stops.mean(), turns[1].stops.mean(), c.most)
		if c.mood != ordinaryDay {
			continue
		}
		knowing := simulate(lives, newKnowing(), 1)
		atMost(t, "mean delay of stops, of that with the true hazards", ours[1].stops.mean(), knowing[1].stops.mean(), 1.15)
		atMost(t, "mean delay of stops on the first day", ours[0].stops.mean(), turns[0].stops.mean(), 0.6)
	}
}

// A fresh install that meets many short pushes, whose starts would take all the
// polls if they could, is no worse than round robin.
func TestScheduleInARush(t *testing.T) {
	t.Parallel()
	if slowed() {
		t.Skip("what the race detector could find, the other tests show it")
	}
	for _, c := range []struct {
		n    int
		most float64 // mean delay of stops, as a part of round robin's
	}{{200, 0.9}, {600, 1}, {1000, 1}} {
		for seed := range uint64(3) {
			lives := rush(seed, c.n)
			turns, ours := simulate(lives, &rotation{}, 20)[0], simulate(lives, newLearning(), 20)[0]
			name := fmt.Sprintf("seed %d, %d short pushes: ", seed, c.n)
			atMost(t, name+"mean delay of stops", ours.stops.mean(), turns.stops.mean(), c.most)
			atMost(t, name+"mean delay of starts", ours.starts.mean(), turns.starts.mean(), 0.5)
		}
	}
}

// The fronts of the cohorts do as well as the best of all tasks.
func TestScheduleMatchesAFullScan(t *testing.T) {
	t.Parallel()
	lives := school(1, 100, ordinaryDay)
	cohorts := simulate(lives, newLearning(), 1)[0]
	all := simulate(lives, &scanning{schedule: newSchedule(time.Second, time.Minute)}, 1)[0]
	atMost(t, "mean delay of stops, of that of a full scan", cohorts.stops.mean(), all.stops.mean(), 1.03)
	atMost(t, "mean delay of starts, of that of a full scan", cohorts.starts.mean(), all.starts.mean(), 1.03)
}

// counting counts the polls of another policy.
type counting struct {
	policy
	polls int
}

func (c *counting) take(now time.Time, rate float64) *entry {
	e := c.policy.take(now, rate)
	if e != nil {
		c.polls++
	}
	return e
}

// With thrift there are as many polls as there would be at a fixed interval, and
// changes are seen far sooner.
func TestScheduleThrift(t *testing.T) {
	t.Parallel()
	lives := school(1, 100, ordinaryDay)
	thrifty := newLearning()
	thrifty.floor = floor(25 * time.Second)
	ours, fixed := &counting{policy: thrifty}, &counting{policy: &rotation{every: 30 * time.Second}}
	got, other := simulate(lives, ours, 10)[0], simulate(lives, fixed, 10)[0]
	if ours.polls > fixed.polls {
		t.Errorf("polls = %d, want at most the %d of every 30 s", ours.polls, fixed.polls)
	}
	atMost(t, "mean delay of stops, of that of every 30 s", got.stops.mean(), other.stops.mean(), 0.6)
	atMost(t, "mean delay of starts, of that of every 30 s", got.starts.mean(), other.starts.mean(), 0.3)
}
