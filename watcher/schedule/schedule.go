// Package schedule decides which task of an account is polled next, and learns from the
// answers when pushes change. It is pure: no clock, lock or log. Calls must not be concurrent.
//
// # How near to the best
//
// On simulated school days with 20 polls per second (package scheduletest), the mean delay
// of stops is 1.2 times the least that [scheduletest.Bound] allows at 200 and 2,000 pushes,
// and 1.4 times at 20,000, where round robin takes 3.3 times. BenchmarkScheduleBest plays
// days with as few polls for each push as the latter. There stops and an eighth of starts take
// 1.08 to 1.09 times what they take with the best policy known, and 1.07 to 1.09 times with
// the true hazards. The reasons for the rest:
//
//   - The bound is out of reach. It divides polls at will and spends none on starts. The
//     best policy known ([scheduletest.Planned]) has the true hazards, the registrations of
//     the whole day and the prices of its polls, and none of the rules below. Its
//     stops take 1.23 times the bound, and the sum 1.11 times what [scheduletest.Plan] proves
//     to be needed.
//   - No task waits longer than three rounds of all, and some polls go to new tasks early.
//     With these two rules, the best policy known takes 3 to 5 % longer, and this schedule
//     1.03 to 1.06 times that. Surprise, which keeps the latest hundredth below that of
//     polling in turn, takes 2 %.
//   - Learning costs 1 %, and 2 % on a day of 2,000 pushes that end when none did before.
//
// Looking ahead along the hazard gains nothing, nor do rounds that are counted as they pass.
// Knowing what polls will cost later in the day would gain up to 5 %.
package schedule

import (
	"container/heap"
	"math"
	"time"

	"pushwatch/watcher"
)

// A Schedule decides which task of an account is polled next. It holds the live tasks that are
// not being polled.
//
// The worth of a poll rises with the probability of a change and with the time that the change
// may have waited to be seen. Both follow from the task's hazard: see [curve.worth]. The task
// whose poll is worth most is next, so that polls gather where pushes start and stop. The mean
// delay is then a fraction of that of round robin. A task that has waited longer than
// max_staleness, and than three rounds of all tasks take, goes first: so the longest delay is
// at most three times that of round robin, which has the shortest. A round is
// counted with the largest number of tasks since the oldest of them was polled: if it shrank
// when many tasks end, polls would go to those that waited longest just when most stops are to
// be seen. A task rests for min_interval after a poll.
//
// Two kinds of tasks go before the others: first those whose next answer can settle a doubt,
// then urgent and new ones. They get only every second poll while others wait, so that a large
// batch of new tasks does not stop the watching of the old. A push rarely starts when it is
// registered. So where polls are scarce, the first poll of a new task waits some seconds (it
// ripens), until it is worth what recent polls were. If many are new at a time, most are
// weighed like the others.
//
// Tasks on the same curve whose ages differ by at most a bin form a cohort. In a cohort the task
// polled longest ago is worth most, so a pick compares the fronts of some hundred cohorts,
// however many tasks there are.
type Schedule struct {
	config  Config
	least   float64 // a poll worth less waits until max_staleness; 0: use the whole quota
	hazards *Hazards

	cohorts map[cohortKey]*queue // the task polled longest ago is first
	fronts  []front              // the cohorts, in no order
	picked  watcher.Tick         // last pick
	fitted  watcher.Tick         // fit of the hazards that it went by
	emptied []*queue             // former cohorts, for reuse
	doubted queue                // this and the next two: the task that may be polled first is first
	asked   queue
	putOff  queue

	ripened watcher.Tick // the polls reserved for ripening tasks are used up until then

	waiting int     // entries in all queues
	most    peak    // waiting, since the task polled longest ago was polled
	rate    float64 // polls per second, as last granted
	turn    bool    // the next poll goes to a cohort
	price   float64 // median worth of recent polls

	surprise float64 // added to the learned hazards, in changes per second
}

// Config configures a schedule.
type Config struct {
	MinInterval  time.Duration // a task is polled at most this often
	MaxStaleness time.Duration // and at least this often, where the rate allows
	Thrift       time.Duration // interval of polls of a push with one change an hour, for which others are scaled; 0: use the whole quota
}

const (
	// rounds is the longest wait in rounds of all tasks. Fewer reduce the gain with many
	// tasks, where a round may last as long as a class.
	rounds = 3

	// The first poll of a new task ripens for at most r²/ripening seconds, where r is the
	// length of a round in seconds, and at most for maxRipening: its user waits for an
	// answer. With 400 tasks at 20 polls per second that is one second, with 1,130 it is
	// maxRipening.
	ripening    = 400
	maxRipening = 8 * time.Second

	// So early, many pushes have not started and need another poll. So at most as many
	// tasks ripen at a time as can be polled within burst, and in the long run at most one
	// poll in ripenedOf goes to them. Otherwise the stops of 600 pushes of one to three
	// minutes are seen a quarter later.
	burst     = 500 * time.Millisecond
	ripenedOf = 100

	// fitEvery is the interval of fitting the hazards.
	fitEvery = time.Minute

	// thriftLook is the interval of looking for a poll that is worth it, with Thrift.
	thriftLook = 250 * time.Millisecond
)

// New returns an empty schedule. Several may share the hazards.
func New(cfg Config, hazards *Hazards) *Schedule {
	s := &Schedule{
		config: cfg, least: leastWorth(cfg.Thrift), hazards: hazards,
		cohorts: make(map[cohortKey]*queue), rate: watcher.MaxRequestsPerSecond, price: 1, ripened: watcher.Never, surprise: surprise,
	}
	s.doubted.schedule, s.asked.schedule, s.putOff.schedule = s, s, s
	return s
}

// SetThrift turns the Thrift of the Config on or off.
func (s *Schedule) SetThrift(thrifty bool) {
	s.least = 0
	if thrifty {
		s.least = leastWorth(s.config.Thrift)
	}
}

// Waiting returns how many entries wait.
func (s *Schedule) Waiting() int { return s.waiting }

// Put adds an entry that is in no schedule.
func (s *Schedule) Put(e *Entry, now time.Time) {
	e.enter(now)
	s.waiting++
	s.queueUp(e, watcher.TickOf(now))
}

// queueUp adds an entry to its queue.
func (s *Schedule) queueUp(e *Entry, at watcher.Tick) {
	free := e.polled + watcher.Tick(s.config.MinInterval)
	if e.Asked == watcher.Never {
		free = at
	}
	switch {
	case e.NotBefore > at && !e.Urgent:
		s.putOff.push(e, e.NotBefore)
	case e.Settles != watcher.Never:
		if !e.Urgent {
			free = max(free, e.Settles)
		}
		s.doubted.push(e, free)
	case e.Urgent:
		s.asked.push(e, max(at, free))
	case e.Asked == watcher.Never && s.letRipen(at):
		s.asked.push(e, s.ripe(e, s.hazards.of(e), at, watcher.TickOf(e.Registered)+watcher.Tick(s.ripeningTime())))
	default:
		s.cohort(e, at).push(e, e.polled)
	}
}

// letRipen reports whether one more new task may ripen, and counts it.
func (s *Schedule) letRipen(at watcher.Tick) bool {
	next := max(s.ripened, at) + watcher.Tick(ripenedOf/s.rate*1e9)
	if s.ripened > at && next > at+watcher.Tick(ripenedOf*burst) {
		return false
	}
	s.ripened = next
	return true
}

// Remove removes an entry, if it is in the schedule.
func (s *Schedule) Remove(e *Entry) {
	if !s.Holds(e) {
		return
	}
	q := e.queue
	q.remove(e)
	s.waiting--
	if q.curve != nil && len(q.heap) == 0 {
		s.retire(q)
	}
}

// Holds reports whether an entry is in the schedule.
func (s *Schedule) Holds(e *Entry) bool { return e.queue != nil && e.queue.schedule == s }

// Hurry makes an entry urgent.
func (s *Schedule) Hurry(e *Entry, now time.Time) {
	e.Urgent = true
	if s.Holds(e) {
		s.Remove(e)
		s.Put(e, now)
	}
}

// Take removes and returns the entry to poll now; nil: none is worth it. The rate is the
// granted polls per second.
func (s *Schedule) Take(now time.Time, rate float64) *Entry {
	at := watcher.TickOf(now)
	s.rate = rate
	s.most.note(at, s.waiting)
	s.hazards.refit(at)
	s.wake(at)
	first := s.first(at)
	e := first
	if first == nil || s.turn {
		if other := s.pick(at); other != nil {
			e = other
		}
	}
	s.turn = first != nil && e == first
	if e == nil {
		return nil
	}
	if c := e.queue.curve; c != nil {
		s.paid(e.worth(c, s.surprise, at))
	}
	s.Remove(e)
	e.Urgent = false
	return e
}

// paid moves the price towards the worth of a poll. By steps of a fixed factor it approaches
// the median, for any spread.
func (s *Schedule) paid(worth float64) {
	if worth > s.price {
		s.price *= 1.05
	} else {
		s.price /= 1.05
	}
}

// wake queues the entries that were put off until now.
func (s *Schedule) wake(at watcher.Tick) {
	for e := s.putOff.first(); e != nil && e.due <= at; e = s.putOff.first() {
		heap.Pop(&s.putOff)
		s.queueUp(e, at)
	}
}

// first returns the entry that goes before those of the cohorts; nil: none.
func (s *Schedule) first(at watcher.Tick) *Entry {
	for _, q := range []*queue{&s.doubted, &s.asked} {
		if e := q.first(); e != nil && e.due <= at {
			return e
		}
	}
	return nil
}

// pick returns the entry of the cohorts that is worth most, or has waited too long; nil: none
// is worth a poll.
func (s *Schedule) pick(at watcher.Tick) *Entry {
	var best, oldest *Entry
	most := math.Inf(-1)
	s.checkBounds(at)
	for i := range s.fronts {
		f := &s.fronts[i]
		if f.until < at {
			f.bound(at)
		}
		if at.Since(f.polled) < s.config.MinInterval {
			continue // all others in the cohort were polled later
		}
		if oldest == nil || f.polled < oldest.polled {
			oldest = f.heap[0]
		}
		if f.most+f.rise*seconds(at-f.from) <= most {
			continue
		}
		e := f.heap[0]
		if w := e.worth(f.curve, s.surprise, at); w > most {
			best, most = e, w
		}
	}
	if oldest == nil {
		return nil
	}
	s.most.forget(oldest.polled)
	switch {
	case at.Since(oldest.polled) >= s.MaxWait():
		return oldest
	case most >= s.least:
		return best
	case at.Since(oldest.polled) >= s.config.MaxStaleness:
		return oldest
	default:
		return nil
	}
}

// MaxWait returns how long a task waits at most while others are worth more.
func (s *Schedule) MaxWait() time.Duration {
	return max(s.config.MaxStaleness, rounds*s.round(max(s.waiting, s.most.value())))
}

// round returns the time to poll a number of tasks once.
func (s *Schedule) round(tasks int) time.Duration {
	return time.Duration(float64(tasks) / s.rate * float64(time.Second))
}

// ripeningTime returns how long a new task ripens at most.
func (s *Schedule) ripeningTime() time.Duration {
	r := s.round(s.waiting).Seconds()
	return time.Duration(min(maxRipening.Seconds(), r*r/ripening) * float64(time.Second))
}

// Next returns when a task may be polled; false: there is none.
func (s *Schedule) Next(now time.Time) (time.Time, bool) {
	if s.waiting == 0 {
		return time.Time{}, false
	}
	at := watcher.TickOf(now)
	s.wake(at)
	soonest := watcher.Tick(math.MaxInt64)
	for _, q := range []*queue{&s.doubted, &s.asked, &s.putOff} {
		if e := q.first(); e != nil {
			soonest = min(soonest, e.due)
		}
	}
	if soonest <= at {
		return now, true
	}
	free := soonest
	for _, q := range s.fronts {
		if free = min(free, q.heap[0].polled+watcher.Tick(s.config.MinInterval)); free <= at {
			break
		}
	}
	if free <= at && s.least > 0 && s.pick(at) == nil {
		free = min(soonest, at+watcher.Tick(thriftLook))
	}
	return now.Add(max(0, free.Since(at))), true
}

// Expected estimates when an entry will be polled: when it may be, or, in a cohort, when its
// poll is worth what recent polls were. For an entry in no schedule it returns now.
func (s *Schedule) Expected(e *Entry, now time.Time) time.Time {
	at := watcher.TickOf(now)
	switch {
	case !s.Holds(e):
		return now
	case e.queue.curve == nil:
		return now.Add(max(0, e.due.Since(at)))
	}
	soon, late := max(at, e.polled+watcher.Tick(s.config.MinInterval)), e.polled+watcher.Tick(s.MaxWait())
	return now.Add(s.ripe(e, e.queue.curve, soon, late).Since(at))
}

// ripe returns when a poll of e is worth what recent polls were, from soon to late; soon if
// late is earlier.
func (s *Schedule) ripe(e *Entry, c *curve, soon, late watcher.Tick) watcher.Tick {
	if s.least == 0 && float64(s.waiting) < s.rate*s.config.MinInterval.Seconds() {
		return soon // the limit allows all of them
	}
	for soon < late {
		if mid := soon + (late-soon)/2; late-soon < watcher.Tick(time.Millisecond) || e.worth(c, s.surprise, mid) >= max(s.price, s.least) {
			late = mid
		} else {
			soon = mid + 1
		}
	}
	return soon
}
