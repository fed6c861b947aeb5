package watcher

import (
	"container/heap"
	"math"
	"time"
)

// A schedule says which task is polled next. It knows the live tasks of one
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
//
// The schedule reads no clock: it counts in ticks of the times that it is given.
type schedule struct {
	rest    time.Duration // no task is polled more often than this
	stale   time.Duration // each task is polled at least this often, as far as the rate allows
	floor   float64       // a poll that is worth less waits until stale; 0: the whole quota is used
	hazards *hazards

	fitted tick // when the hazards were last fitted

	cohorts map[cohortKey]*queue // first due is the one polled longest ago
	fronts  []*queue             // the cohorts, in no order
	spare   []*queue             // emptied cohorts, to be used again
	doubted queue                // due when it may be polled, as in the next two
	asked   queue
	putOff  queue

	waiting int     // entries in all the queues
	rate    float64 // polls a second, as granted last
	turn    bool    // the next poll is for one that is neither doubted nor asked for
	price   float64 // what half of the polls of late were worth
}

// A place is where an entry stands in its schedule.
type place struct {
	queue     *queue // nil: nowhere
	index     int    // in it
	due       tick   // what the queue is ordered by
	polled    tick   // the last poll, or the registration before the first
	reference tick   // where the entry's age counts from
}

// A queue is a heap of entries, the one first due on top.
type queue struct {
	heap   []*entry
	curve  *curve // of a cohort; nil: not one
	cohort cohortKey
	front  int // where a cohort stands among the fronts
}

// A cohortKey names the tasks that are on one curve and have one bin of reference
// times in common.
type cohortKey struct {
	curve *curve
	bin   int64
}

const (
	// laps is how many rounds of all tasks the longest wait may take. Less eats
	// the gain where tasks are many, since a round may then last as long as a class.
	laps = 3

	// With r seconds in a round of all tasks, a new one is let ripen for r²/ripening
	// seconds at most, and for no longer than welcome, however dear polls are: whoever
	// registered it waits for a first answer. With 400 tasks at 20 polls a second that is
	// one second, and with 1,130 welcome.
	ripening = 400
	welcome  = 8 * time.Second

	// So early, many pushes have not started and will need another poll. So no more new
	// ones are let ripen at a time than can be polled in crowd. The others are polled
	// when that is worth more than to poll others: else 1,000 pushes of one to three
	// minutes, the first ones that a fresh install sees, are seen to stop 1.6 times as
	// late as by polling in turn.
	crowd = 500 * time.Millisecond

	// surprise is a hazard in changes per second that every push has besides what was
	// learned of it. Without it the mean delay of a school day's stops is 0.38 of what
	// polling in turn gives, but that of the latest hundredth 1.1; with it, 0.41 and 0.81.
	surprise = ordinary / 6

	// startsCount is what a second until a start is seen counts, where one until a stop
	// is seen counts 1. If both counted 1, the mean delay of starts would be 0.02 of what
	// polling in turn gives and that of stops 0.42; so it is 0.05 and 0.41.
	startsCount = 1. / 8

	// fitEvery is how often what the polls taught is made to count.
	fitEvery = time.Minute

	// look is how often a schedule with a floor is looked at while no poll is worth it.
	look = 250 * time.Millisecond
)

func newSchedule(rest, stale time.Duration) *schedule {
	return &schedule{
		rest: rest, stale: stale, hazards: newHazards(),
		cohorts: make(map[cohortKey]*queue), rate: MaxRequestsPerSecond, price: 1, fitted: never,
	}
}

// put adds an entry, which waits nowhere, to the schedule.
func (s *schedule) put(e *entry, now time.Time) {
	at := tickOf(now)
	e.polled = e.asked
	if e.asked == never {
		e.polled = tickOf(e.registered)
	}
	e.polled = min(at, e.polled)
	e.reference = tickOf(e.registered)
	switch {
	case e.state != Pushing:
	case e.expected != 0:
		e.reference = fromWall(time.UnixMicro(e.expected), now)
	case e.started != 0:
		e.reference = fromWall(time.Unix(e.started, 0), now)
	}
	s.waiting++
	s.queueUp(e, at)
}

// fromWall returns the tick of a time that only the wall clock knows, by how far
// it is from now. What makes no sense ends ten years away.
func fromWall(t, now time.Time) tick {
	const most = 10 * 365 * 24 * time.Hour
	return tickOf(now) - tick(max(-most, min(now.Sub(t), most)))
}

// queueUp puts an entry into the queue where it belongs.
func (s *schedule) queueUp(e *entry, at tick) {
	free := e.polled + tick(s.rest)
	if e.asked == never {
		free = at
	}
	switch {
	case e.notBefore > at && !e.urgent:
		s.putOff.push(e, e.notBefore)
	case e.memory.Doubt.about != "":
		if !e.urgent {
			free = max(free, e.memory.Doubt.next)
		}
		s.doubted.push(e, free)
	case e.urgent:
		s.asked.push(e, max(at, free))
	case e.asked == never && float64(len(s.asked.heap)) < s.rate*crowd.Seconds():
		s.asked.push(e, s.ripe(e, s.hazards.of(e), at, tickOf(e.registered)+tick(s.welcome())))
	default:
		s.cohort(e, at).push(e, e.polled)
	}
}

// cohort returns the queue of e's cohort, made where there is none. Where the age
// lies outside the curve's bins the hazard is the same for all, and so is the
// cohort: that bounds their number.
func (s *schedule) cohort(e *entry, at tick) *queue {
	c := s.hazards.of(e)
	key := cohortKey{c, int64(math.Floor(seconds(e.reference) / c.width))}
	switch age := seconds(at - e.reference); {
	case age < c.start:
		key.bin = math.MinInt64
	case age > c.start+c.width*float64(len(c.fitted)):
		key.bin = math.MaxInt64
	}
	q := s.cohorts[key]
	if q == nil {
		if n := len(s.spare); n > 0 {
			q, s.spare = s.spare[n-1], s.spare[:n-1]
		} else {
			q = new(queue)
		}
		q.curve, q.cohort, q.front = c, key, len(s.fronts)
		s.cohorts[key] = q
		s.fronts = append(s.fronts, q)
	}
	return q
}

// retire drops an empty cohort.
func (s *schedule) retire(q *queue) {
	delete(s.cohorts, q.cohort)
	last := len(s.fronts) - 1
	s.fronts[q.front] = s.fronts[last]
	s.fronts[q.front].front = q.front
	s.fronts[last] = nil
	s.fronts = s.fronts[:last]
	if cap(q.heap) > 1024 {
		q.heap = nil // a large class does not hold its memory for good
	}
	s.spare = append(s.spare, q)
}

// remove takes an entry out, wherever it stands.
func (s *schedule) remove(e *entry) {
	q := e.queue
	if q == nil {
		return
	}
	heap.Remove(q, e.index)
	s.waiting--
	if q.curve != nil && len(q.heap) == 0 {
		s.retire(q)
	}
}

// holds reports whether an entry stands in the schedule.
func (s *schedule) holds(e *entry) bool { return e.queue != nil }

// hurry has an entry polled as soon as it may be.
func (s *schedule) hurry(e *entry, now time.Time) {
	e.urgent = true
	if e.queue != nil {
		s.remove(e)
		s.put(e, now)
	}
}

// take removes and returns the entry to poll now, nil where none may be or is
// worth it. The rate is how many polls a second the account is granted.
func (s *schedule) take(now time.Time, rate float64) *entry {
	at := tickOf(now)
	s.rate = rate
	if s.fitted == never || at.since(s.fitted) >= fitEvery {
		s.fitted = at
		s.hazards.fit()
	}
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
	s.remove(e)
	e.urgent = false
	return e
}

// paid moves the price towards what a poll was worth, which may be anything: so by
// a fixed part, which leads to the median.
func (s *schedule) paid(worth float64) {
	if worth > s.price {
		s.price *= 1.05
	} else {
		s.price /= 1.05
	}
}

// wake takes back the entries that were put off until now.
func (s *schedule) wake(at tick) {
	for len(s.putOff.heap) > 0 && s.putOff.heap[0].due <= at {
		e := heap.Pop(&s.putOff).(*entry)
		s.queueUp(e, at)
	}
}

// first returns the entry that goes before all others, nil where there is none.
func (s *schedule) first(at tick) *entry {
	for _, q := range []*queue{&s.doubted, &s.asked} {
		if len(q.heap) > 0 && q.heap[0].due <= at {
			return q.heap[0]
		}
	}
	return nil
}

// pick returns the entry of the cohorts whose poll is worth most, or the one that
// has waited too long.
func (s *schedule) pick(at tick) *entry {
	var best, oldest *entry
	most := math.Inf(-1)
	for _, q := range s.fronts {
		e := q.heap[0]
		if at.since(e.polled) < s.rest {
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
	case at.since(oldest.polled) >= s.patience():
		return oldest
	case most >= s.floor:
		return best
	case at.since(oldest.polled) >= s.stale:
		return oldest
	default:
		return nil
	}
}

// floor returns the floor with which a task that changes once an hour is polled
// every so often, where 0 is none. A poll is worth about h·t²/2, so one that is a
// hundred times as likely to change is polled ten times as often.
func floor(every time.Duration) float64 {
	if every <= 0 {
		return 0
	}
	const h = ordinary + surprise
	return worth(h, h*every.Seconds())
}

// patience is how long a task waits at most while the others are worth more.
func (s *schedule) patience() time.Duration {
	return max(s.stale, time.Duration(laps*float64(s.round())))
}

// round is the time in which every task could be polled once.
func (s *schedule) round() time.Duration {
	return time.Duration(float64(s.waiting) / s.rate * float64(time.Second))
}

// welcome is how soon after its registration a new task is polled, at the latest
// where nothing else is in its way.
func (s *schedule) welcome() time.Duration {
	r := s.round().Seconds()
	return time.Duration(min(welcome.Seconds(), r*r/ripening) * float64(time.Second))
}

// worth returns what a poll of e at a time is worth.
func (e *entry) worth(c *curve, at tick) float64 {
	w := c.worth(seconds(e.polled-e.reference), seconds(at-e.reference))
	if e.state != Pushing {
		w *= startsCount
	}
	return w
}

// seconds is Seconds for those who can spare its last digits.
func seconds(k tick) float64 { return float64(k) / 1e9 }

// worth returns what a poll is worth of a task that is to seconds old now, on the
// curve, and was from seconds old at its last poll.
//
// It is the Whittle index: the price of a poll at which polling now and waiting a
// little come to the same, had the hazard h always been what it is now. With x
// changes expected since the last poll that is (eˣ − 1 − x)/h: while a change is
// unlikely it grows as h·t²/2, and beyond any bound when it has all but surely come,
// as no later poll tells more.
//
// With the hazard as learned that gives the least mean delay, but leaves those that
// are hardly expected to change for last: and a failure comes when it is least
// expected. So surprise is added to it.
func (c *curve) worth(from, to float64) float64 {
	_, before := c.at(from)
	h, now := c.at(to)
	return worth(h+surprise, now-before+surprise*(to-from))
}

// worth is what a poll is worth with the hazard h and x changes expected.
func worth(h, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x < 0.5: // the series: the difference would lose its digits
		return x * x * (1./2 + x*(1./6+x*(1./24+x*(1./120+x*(1./720))))) / h
	default:
		x = min(x, 30) // e³⁰ is beyond any bound
		return (math.Expm1(x) - x) / h
	}
}

// next returns when a task may be polled, false where there is none at all.
func (s *schedule) next(now time.Time) (time.Time, bool) {
	if s.waiting == 0 {
		return time.Time{}, false
	}
	at := tickOf(now)
	s.wake(at)
	soonest := tick(math.MaxInt64)
	for _, q := range []*queue{&s.doubted, &s.asked, &s.putOff} {
		if len(q.heap) > 0 {
			soonest = min(soonest, q.heap[0].due)
		}
	}
	if soonest <= at {
		return now, true
	}
	free := soonest
	for _, q := range s.fronts {
		if free = min(free, q.heap[0].polled+tick(s.rest)); free <= at {
			break
		}
	}
	if free <= at && s.floor > 0 && s.pick(at) == nil {
		free = min(soonest, at+tick(look))
	}
	return now.Add(max(0, free.since(at))), true
}

// expected returns about when an entry will be polled: when it may be, or, while
// others are worth more, when its poll will be worth what the polls of late were.
// Of an entry that waits nowhere the schedule knows nothing better than now.
func (s *schedule) expected(e *entry, now time.Time) time.Time {
	at := tickOf(now)
	switch {
	case e.queue == nil:
		return now
	case e.queue.curve == nil:
		return now.Add(max(0, e.due.since(at)))
	}
	return now.Add(s.ripe(e, e.queue.curve, max(at, e.polled+tick(s.rest)), e.polled+tick(s.patience())).since(at))
}

// ripe returns when a poll of e, which is on the curve, will be worth what those of
// late were: between two times, the latter only where it is not past.
func (s *schedule) ripe(e *entry, c *curve, soon, late tick) tick {
	if s.floor == 0 && float64(s.waiting) < s.rate*s.rest.Seconds() {
		return soon // the limit allows all of them
	}
	for soon < late {
		if mid := soon + (late-soon)/2; late-soon < tick(time.Millisecond) || e.worth(c, mid) >= max(s.price, s.floor) {
			late = mid
		} else {
			soon = mid + 1
		}
	}
	return soon
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (q *queue) push(e *entry, due tick) {
	e.queue, e.due = q, due
	heap.Push(q, e)
}

func (q *queue) Len() int           { return len(q.heap) }
func (q *queue) Less(i, j int) bool { return q.heap[i].due < q.heap[j].due }
func (q *queue) Swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].index, q.heap[j].index = i, j
}

// Push is for package heap alone.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(q.heap)
	q.heap = append(q.heap, e)
}

// Pop is for package heap alone.
func (q *queue) Pop() any {
	last := len(q.heap) - 1
	e := q.heap[last]
	q.heap[last] = nil
	q.heap = q.heap[:last]
	e.queue = nil
	return e
}
