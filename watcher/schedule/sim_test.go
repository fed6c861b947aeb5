package schedule_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/schedule"
	"pushwatch/watcher/schedule/scheduletest"
)

// defaults are what the settings say where nothing is set.
var defaults = schedule.Config{MinInterval: time.Second, MaxStaleness: time.Minute}

// newLearning is the schedule of a fresh install.
func newLearning() scheduletest.Learning { return scheduletest.NewLearning(defaults) }

// knowing is the schedule with the hazards by which the traces are drawn.
type knowing struct{ *schedule.Schedule }

func newKnowing() knowing {
	s := schedule.New(defaults, schedule.NewHazards())
	s.SetHazards(trueHazards())
	return knowing{s}
}

// trueHazards returns what is learned from a school's day of 18,900 pushes if all
// of them are seen to the second.
func trueHazards() *schedule.Hazards {
	var lives []schedule.Lived
	for _, l := range scheduletest.School(1000, 2000, scheduletest.OrdinaryDay) {
		lives = append(lives, schedule.Lived{Start: l.Start - l.Registered, Stop: l.Stop - l.Registered, Hint: l.Hint - l.Registered})
	}
	return schedule.TrueHazards(lives)
}

// Learn has nothing to teach it.
func (knowing) Learn(_, _ *watcher.Task) {}

// atMost fails where a policy is later than it may be, as a part of another's figure.
func atMost(t *testing.T, what string, got, other, most float64) {
	t.Helper()
	if part := got / other; part > most {
		t.Errorf("%s = %.2f s, %.3f of %.2f s, want at most %.3f of it", what, got, part, other, most)
	} else {
		t.Logf("%s = %.2f s, %.3f of %.2f s, at most %.3f", what, got, part, other, most)
	}
}

// Round robin keeps the best worst case; in everything else it is beaten, whatever
// the seed: BenchmarkScheduleSeeds plays more of them.
func TestScheduleOnASchoolDay(t *testing.T) {
	t.Parallel()
	if scheduletest.Slowed() || testing.Short() {
		t.Skip("school days take some seconds each")
	}
	const rate = 20
	for seed := uint64(1); seed <= 3; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			lives := scheduletest.School(seed, 2000, scheduletest.OrdinaryDay, scheduletest.OrdinaryDay)
			turns := scheduletest.Simulate(lives, &scheduletest.Rotation{}, rate)
			ours := scheduletest.Simulate(lives, newLearning(), rate)
			cold, warm := ours[0], ours[1]

			if got := turns[1].Stops.Mean(); got < 32.3 || got > 33.3 {
				t.Errorf("round robin: mean delay of stops = %.2f s, want 32.3 to 33.3", got)
			}
			atMost(t, "mean delay of stops", warm.Stops.Mean(), turns[1].Stops.Mean(), 0.42)
			atMost(t, "p99 of stops", warm.Stops.Quantile(0.99), turns[1].Stops.Quantile(0.99), 0.9)
			atMost(t, "greatest delay of stops, of three rounds", warm.Stops.Quantile(1), schedule.Rounds*float64(warm.Peak)/rate+5, 1)
			atMost(t, "mean delay of starts", warm.Starts.Mean(), turns[1].Starts.Mean(), 0.06)
			atMost(t, "mean delay of stops, of the least possible", warm.Stops.Mean(), scheduletest.Bound(lives, 1, rate), 1.25)
			atMost(t, "mean delay of stops on the first day", cold.Stops.Mean(), turns[0].Stops.Mean(), 0.45)
			atMost(t, "mean delay of starts on the first day", cold.Starts.Mean(), turns[0].Starts.Mean(), 0.06)
		})
	}
}

// 2,000 pushes at 2 polls a second are as scarce of polls as 20,000 at 20: a round
// lasts as long as a lesson's break. Polls must not go to starts while stops are due.
func TestScheduleWherePollsAreScarce(t *testing.T) {
	t.Parallel()
	if scheduletest.Slowed() {
		t.Skip("what the race detector could find, the other tests show it")
	}
	const rate = 2
	for seed := uint64(1); seed <= 2; seed++ {
		lives := scheduletest.School(seed, 2000, scheduletest.OrdinaryDay)
		turns, ours := scheduletest.Simulate(lives, &scheduletest.Rotation{}, rate)[0], scheduletest.Simulate(lives, newLearning(), rate)[0]
		atMost(t, "mean delay of stops", ours.Stops.Mean(), turns.Stops.Mean(), 0.43)
		atMost(t, "mean delay of stops, of the least possible", ours.Stops.Mean(), scheduletest.Bound(lives, 0, rate), 1.42)
		atMost(t, "p99 of stops", ours.Stops.Quantile(0.99), turns.Stops.Quantile(0.99), 0.9)
		atMost(t, "mean delay of starts", ours.Starts.Mean(), turns.Starts.Mean(), 0.25)
		atMost(t, "greatest delay of stops, of three rounds", ours.Stops.Quantile(1), schedule.Rounds*float64(ours.Peak)/rate+5, 1)
	}
}

// A small school with a twentieth of the rate has the same load, but teaches less.
func TestScheduleLearns(t *testing.T) {
	t.Parallel()
	if scheduletest.Slowed() {
		t.Skip("what the race detector could find, the other tests show it")
	}
	for _, c := range []struct {
		name string
		mood scheduletest.Mood
		most float64 // mean delay of stops on the second day, as a part of round robin's
	}{
		{"as on the day before", scheduletest.OrdinaryDay, 0.48},
		{"all hints wrong", scheduletest.WrongHints, 0.7},
		{"ends where none was seen before", scheduletest.ShortDay, 0.96},
		{"half an hour late", scheduletest.Forgotten, 0.35},
	} {
		lives := scheduletest.School(1, 100, scheduletest.OrdinaryDay, c.mood)
		turns, ours := scheduletest.Simulate(lives, &scheduletest.Rotation{}, 1), scheduletest.Simulate(lives, newLearning(), 1)
		atMost(t, c.name+": mean delay of stops", ours[1].Stops.Mean(), turns[1].Stops.Mean(), c.most)
		if c.mood != scheduletest.OrdinaryDay {
			continue
		}
		knowing := scheduletest.Simulate(lives, newKnowing(), 1)
		atMost(t, "mean delay of stops, of that with the true hazards", ours[1].Stops.Mean(), knowing[1].Stops.Mean(), 1.15)
		atMost(t, "mean delay of stops on the first day", ours[0].Stops.Mean(), turns[0].Stops.Mean(), 0.6)
	}
}

// A fresh install that meets many short pushes, whose starts would take all the
// polls if they could, is no worse than round robin.
func TestScheduleInARush(t *testing.T) {
	t.Parallel()
	if scheduletest.Slowed() {
		t.Skip("what the race detector could find, the other tests show it")
	}
	for _, c := range []struct {
		n    int
		most float64 // mean delay of stops, as a part of round robin's
	}{{200, 0.75}, {600, 0.75}, {1000, 0.97}} {
		for seed := range uint64(3) {
			lives := scheduletest.Rush(seed, c.n)
			turns, ours := scheduletest.Simulate(lives, &scheduletest.Rotation{}, 20)[0], scheduletest.Simulate(lives, newLearning(), 20)[0]
			name := fmt.Sprintf("seed %d, %d short pushes: ", seed, c.n)
			atMost(t, name+"mean delay of stops", ours.Stops.Mean(), turns.Stops.Mean(), c.most)
			atMost(t, name+"mean delay of starts", ours.Starts.Mean(), turns.Starts.Mean(), 0.5)
		}
	}
}

// The fronts of the cohorts do as well as the best of all tasks.
func TestScheduleMatchesAFullScan(t *testing.T) {
	t.Parallel()
	lives := scheduletest.School(1, 100, scheduletest.OrdinaryDay)
	cohorts := scheduletest.Simulate(lives, newLearning(), 1)[0]
	all := scheduletest.Simulate(lives, &schedule.Scanning{Schedule: schedule.New(defaults, schedule.NewHazards())}, 1)[0]
	atMost(t, "mean delay of stops, of that of a full scan", cohorts.Stops.Mean(), all.Stops.Mean(), 1.03)
	atMost(t, "mean delay of starts, of that of a full scan", cohorts.Starts.Mean(), all.Starts.Mean(), 1.03)
}

// counting counts the polls of another policy.
type counting struct {
	scheduletest.Policy
	polls int
}

func (c *counting) Take(now time.Time, rate float64) *schedule.Entry {
	e := c.Policy.Take(now, rate)
	if e != nil {
		c.polls++
	}
	return e
}

// With thrift there are as many polls as there would be at a fixed interval, and
// changes are seen far sooner.
func TestScheduleThrift(t *testing.T) {
	t.Parallel()
	lives := scheduletest.School(1, 100, scheduletest.OrdinaryDay)
	thrifty := scheduletest.NewLearning(schedule.Config{MinInterval: time.Second, MaxStaleness: time.Minute, Thrift: 25 * time.Second})
	ours, fixed := &counting{Policy: thrifty}, &counting{Policy: &scheduletest.Rotation{Every: 30 * time.Second}}
	got, other := scheduletest.Simulate(lives, ours, 10)[0], scheduletest.Simulate(lives, fixed, 10)[0]
	if ours.polls > fixed.polls {
		t.Errorf("polls = %d, want at most the %d of every 30 s", ours.polls, fixed.polls)
	}
	atMost(t, "mean delay of stops, of that of every 30 s", got.Stops.Mean(), other.Stops.Mean(), 0.6)
	atMost(t, "mean delay of starts, of that of every 30 s", got.Starts.Mean(), other.Starts.Mean(), 0.3)
}

// A restart forgets nothing, at the price of some kilobytes.
func TestHazardsAreSaved(t *testing.T) {
	learned := trueHazards()
	text, err := json.Marshal(learned)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 12<<10 {
		t.Errorf("saved form is %d bytes, want at most 12 KiB", len(text))
	}
	read := schedule.NewHazards()
	if err := json.Unmarshal(text, read); err != nil {
		t.Fatal(err)
	}
	for _, age := range []float64{0, 7, 60, 2400, 2700, 5400, 1e6} {
		want := learned.StopsAt(age)
		if got := read.StopsAt(age); math.Abs(got/want-1) > 0.01 {
			t.Errorf("read again, at(%g) = %g, want %g", age, got, want)
		}
	}
	again, err := json.Marshal(read)
	if err != nil || string(again) != string(text) {
		t.Errorf("saved, read and saved again differs (error %v)", err)
	}
}
