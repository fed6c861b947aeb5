// Package schedule decides which task of an account is polled next, and learns from
// the answers when pushes change.
//
// It is pure: it reads no clock, waits for nothing, takes no lock and logs nothing. The
// caller says what time it is, and never lets two goroutines call it at once.
//
// # How near to the best
//
// Played on days of a school with 20 polls a second (package scheduletest), the mean delay
// of stops is 1.2 times the least that [scheduletest.Bound] allows at 200 and 2,000 pushes,
// and 1.45 times at 20,000, where polling in turn takes 3.3 times. What is missing there:
//
//   - The bound is out of reach. It divides polls at will and spends none on starts. The
//     best policy known, which has the true hazards, the prices of polls for the rest of the
//     day, and no rule below, takes 1.13 times the bound when it never looks for a start,
//     and 1.2 times when a start counts an eighth of a stop, as here. In that sum, of
//     stops and an eighth of starts, this schedule takes 1.11 to 1.15 times what it does.
//   - No task waits longer than three rounds of all. With surprise, which keeps the latest
//     hundredth below that of polling in turn, this costs 8 %; four rounds would cost 2 %,
//     but allow delays that are a third longer.
//   - Learning costs 2 % or less, also on a day of 2,000 pushes that end when none did before.
//
// Letting no new task go ahead of the others gains nothing, nor does looking ahead along
// the hazard. Knowing what polls will cost later in the day gains up to 5 %.
package schedule

import (
	"container/heap"
	"math"
	"time"

	"pushwatch/watcher"
)

// A Schedule decides which task is polled next. It knows the live tasks of one
// account that are not being polled at this moment.
//
// A poll is worth the more, the likelier it finds a change, and the longer that
// change may have waited to be seen. Both follow from the task's hazard, which
// the account's finished pushes have taught: see [curve.worth]. The task whose
// poll is worth most is next, so that the polls gather where pushes start and
// stop; but one that has waited longer than max_staleness, and than three rounds
// of all tasks would take, goes before it. So the mean delay falls to a fraction
// of what polling in turn gives, while the longest delay may be up to three times
// that of polling in turn, which keeps the best worst case. A task rests for
// min_interval after a poll. One that the next answer will settle (a doubt) goes
// before all others, as soon as an answer counts, then come those that somebody
// waits for (asked for, or new), but both get only every second poll while others
// wait too: a large batch of new tasks does not stop the watching of the old. A push
// hardly ever starts in the moment that it is registered: so where polls are scarce a
// new one is let ripen for some seconds, until its poll is worth what those of late
// were; and where many are new at a time, most of them are weighed like all others.
//
// Tasks on the same curve whose age differs by no more than a bin make a cohort.
// In it the one that was polled longest ago is worth most, so a pick compares the
// fronts of some hundred cohorts, however many tasks there are.
type Schedule struct {
	config  Config
	least   float64 // a poll that is worth less waits until max_staleness; 0: the whole quota is used
	hazards *Hazards

	cohorts map[cohortKey]*queue // first due is the one polled longest ago
	fronts  []*queue             // the cohorts, in no order
	emptied []*queue             // former cohorts, to be used again
	doubted queue                // due when it may be polled, as in the next two
	asked   queue
	putOff  queue

	ripened watcher.Tick // until then the new entries that were let ripen have used up their polls

	waiting int     // entries in all the queues
	rate    float64 // polls a second, as granted last
	turn    bool    // the next poll is for one that is neither doubted nor asked for
	price   float64 // what half of the recent polls were worth
}

// Config says how often a schedule polls.
type Config struct {
	MinInterval  time.Duration // no task is polled more often than this
	MaxStaleness time.Duration // each task is polled at least this often, as far as the rate allows
	Thrift       time.Duration // a push with a change an hour is polled this often, the others as they deserve; 0: the whole quota is used
}

const (
	// rounds is how many rounds of all tasks the longest wait may take. Less eats
	// the gain where tasks are many, since a round may then last as long as a class.
	rounds = 3

	// With r seconds in a round of all tasks, a new one is let ripen for r²/ripening
	// seconds at most, and for no longer than maxRipening, however dear polls are:
	// whoever registered it waits for a first answer. With 400 tasks at 20 polls a
	// second that is one second, and with 1,130 maxRipening.
	ripening    = 400
	maxRipening = 8 * time.Second

	// So early, many pushes have not started and will need another poll. So no more new
	// ones are let ripen at a time than can be polled within burst, and in the long run
	// no more than one poll in ripenedOf is spent on them. The others are polled when
	// that is worth more than to poll others: else the stops of 600 pushes of one to three
	// minutes are seen a quarter later.
	burst     = 500 * time.Millisecond
	ripenedOf = 100

	// fitEvery is how often what the polls taught is made to count.
	fitEvery = time.Minute

	// thriftLook is how often a thrifty schedule is looked at while no poll is worth it.
	thriftLook = 250 * time.Millisecond
)

// New returns an empty schedule that goes by the hazards. Several may share them.
func New(cfg Config, hazards *Hazards) *Schedule {
	s := &Schedule{
		config: cfg, least: leastWorth(cfg.Thrift), hazards: hazards,
		cohorts: make(map[cohortKey]*queue), rate: watcher.MaxRequestsPerSecond, price: 1, ripened: watcher.Never,
	}
	s.doubted.schedule, s.asked.schedule, s.putOff.schedule = s, s, s
	return s
}

// SetThrift says whether the schedule is thrifty, as its Config has it, or polls
// whenever it is asked to.
func (s *Schedule) SetThrift(thrifty bool) {
	s.least = 0
	if thrifty {
		s.least = leastWorth(s.config.Thrift)
	}
}

// Waiting returns how many entries wait.
func (s *Schedule) Waiting() int { return s.waiting }

// Put adds an entry, which waits nowhere, to the schedule.
func (s *Schedule) Put(e *Entry, now time.Time) {
	e.enter(now)
	s.waiting++
	s.queueUp(e, watcher.TickOf(now))
}

// queueUp puts an entry into the queue where it belongs.
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

// letRipen reports whether one more new entry may be let ripen, and counts it.
func (s *Schedule) letRipen(at watcher.Tick) bool {
	next := max(s.ripened, at) + watcher.Tick(ripenedOf/s.rate*1e9)
	if s.ripened > at && next > at+watcher.Tick(ripenedOf*burst) {
		return false
	}
	s.ripened = next
	return true
}

// Remove takes an entry out, wherever in the schedule it waits. One that does not wait
// here stays as it is.
func (s *Schedule) Remove(e *Entry) {
	if !s.Holds(e) {
		return
	}
	q := e.queue
	heap.Remove(q, e.index)
	s.waiting--
	if q.curve != nil && len(q.heap) == 0 {
		s.retire(q)
	}
}

// Holds reports whether an entry waits in this schedule.
func (s *Schedule) Holds(e *Entry) bool { return e.queue != nil && e.queue.schedule == s }

// Hurry makes an entry urgent: it is polled as soon as it may be.
func (s *Schedule) Hurry(e *Entry, now time.Time) {
	e.Urgent = true
	if s.Holds(e) {
		s.Remove(e)
		s.Put(e, now)
	}
}

// Take removes and returns the entry to poll now, nil where none may be or is
// worth it. The rate is how many polls a second are granted.
func (s *Schedule) Take(now time.Time, rate float64) *Entry {
	at := watcher.TickOf(now)
	s.rate = rate
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
		s.paid(e.worth(c, at))
	}
	s.Remove(e)
	e.Urgent = false
	return e
}

// paid moves the price towards what a poll was worth, which may be anything: so by
// a fixed part, which leads to the median.
func (s *Schedule) paid(worth float64) {
	if worth > s.price {
		s.price *= 1.05
	} else {
		s.price /= 1.05
	}
}

// wake takes back the entries that were put off until now.
func (s *Schedule) wake(at watcher.Tick) {
	for e := s.putOff.first(); e != nil && e.due <= at; e = s.putOff.first() {
		heap.Pop(&s.putOff)
		s.queueUp(e, at)
	}
}

// first returns the entry that goes before all others, nil where there is none.
func (s *Schedule) first(at watcher.Tick) *Entry {
	for _, q := range []*queue{&s.doubted, &s.asked} {
		if e := q.first(); e != nil && e.due <= at {
			return e
		}
	}
	return nil
}

// pick returns the entry of the cohorts whose poll is worth most, or the one that
// has waited too long.
func (s *Schedule) pick(at watcher.Tick) *Entry {
	var best, oldest *Entry
	most := math.Inf(-1)
	for _, q := range s.fronts {
		e := q.heap[0]
		if at.Since(e.polled) < s.config.MinInterval {
			continue // and so do all behind it
		}
		if oldest == nil || e.polled < oldest.polled {
			oldest = e
		}
		if w := e.worth(q.curve, at); w > most {
			best, most = e, w
		}
	}
	switch {
	case best == nil:
		return nil
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

// MaxWait is how long a task waits at most while the others are worth more.
func (s *Schedule) MaxWait() time.Duration {
	return max(s.config.MaxStaleness, time.Duration(rounds*float64(s.round())))
}

// round is the time in which every task could be polled once.
func (s *Schedule) round() time.Duration {
	return time.Duration(float64(s.waiting) / s.rate * float64(time.Second))
}

// ripeningTime is how soon after its registration a new task is polled, at the latest
// where nothing else is in its way.
func (s *Schedule) ripeningTime() time.Duration {
	r := s.round().Seconds()
	return time.Duration(min(maxRipening.Seconds(), r*r/ripening) * float64(time.Second))
}

// Next returns when a task may be polled, false where there is none at all.
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

// Expected returns about when an entry will be polled: when it may be, or, while
// others are worth more, when its poll will be worth what recent polls were.
// Of an entry that waits nowhere the schedule knows nothing better than now.
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

// ripe returns when a poll of e, which is on the curve, will be worth what recent
// polls were: between two times, the latter only where it is not past.
func (s *Schedule) ripe(e *Entry, c *curve, soon, late watcher.Tick) watcher.Tick {
	if s.least == 0 && float64(s.waiting) < s.rate*s.config.MinInterval.Seconds() {
		return soon // the limit allows all of them
	}
	for soon < late {
		if mid := soon + (late-soon)/2; late-soon < watcher.Tick(time.Millisecond) || e.worth(c, mid) >= max(s.price, s.least) {
			late = mid
		} else {
			soon = mid + 1
		}
	}
	return soon
}
