// Package limit keeps an account within its requests per second. It is pure: no clock and no
// lock. Calls must not be concurrent.
package limit

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// A Limiter keeps one account within its requests per second: in no sliding second does the
// service see more, however the network's delays vary and however long the process stalls.
//
// A token bucket with a burst of one paces the requests, so that they come evenly and a pause
// is not made up for. In addition there are as many slots as requests per second. A request
// holds its slot from before it is sent until one second after its answer. The slots prove the
// limit: a request reaches the service between its sending and its answer. Of all that reach it
// within a second, take the one sent last: each of the others arrived less than a second before
// that, so its answer is less than a second old or still to come, and so it held a slot when
// the last was sent.
//
// If the limit n is not a whole number, there are m slots, n rounded up, each held for m/n
// seconds. By the same proof at most m requests reach the service in any m/n seconds: in no
// second more than m, and n on average.
//
// A request without an answer is the one gap in the proof: it may be stuck and arrive at any
// time. Its slot is held until one second after the service next answers anything, since a
// service that answers has handled what was stuck before; or for [lostHold] without an answer.
//
// When the service says that the quota is used up, others use it too: the pace falls by a
// tenth, at most once a second, and rises again slowly (AIMD).
type Limiter struct {
	limit  float64
	hold   time.Duration // how long an answered request keeps its slot
	slots  []slot
	bucket *rate.Limiter
	ready  time.Time // when the bucket allows the next request; zero: not reserved yet

	pace      float64   // granted now, at most limit
	slowedAt  time.Time // when the pace was last lowered
	changedAt time.Time // when the pace was last changed in any way
}

// A slot is the right to one request at a time.
type slot struct {
	state  slotState
	holder int64     // who took it
	until  time.Time // when a slot that is not in use is free
}

type slotState int

const (
	kept  slotState = iota // the request was answered or not sent, or there was none yet
	inUse                  // a request is under way
	lost                   // the request had no answer and may be stuck
)

const (
	// lostHold is how long a lost slot is held while the service answers nothing. With a
	// request timeout of 5 s the service is asked again within 15 s.
	lostHold = 10 * time.Second

	// paceMargin makes the bucket a little faster than the limit, to make up within the
	// second for goroutines that wake late. The slots keep the limit.
	paceMargin = 1.05

	slowFactor = 0.9 // of the pace after a refusal
	raisePace  = 0.3 // requests per second added each second since then
	minPace    = 1.0 // least pace in requests per second, unless the limit is lower
)

// A Permit allows one request. It must be returned by exactly one of
// [Limiter.Answered], [Limiter.Abandoned] and [Limiter.Unsent].
type Permit int

// New returns a limiter of perSecond requests per second, 0 < perSecond <= 20.
func New(perSecond float64) *Limiter {
	slots := int(math.Ceil(perSecond))
	return &Limiter{
		limit:  perSecond,
		hold:   time.Duration(math.Ceil(float64(time.Second) * float64(slots) / perSecond)),
		slots:  make([]slot, slots),
		bucket: rate.NewLimiter(rate.Limit(perSecond*paceMargin), 1),
		pace:   perSecond,
	}
}

// Next returns when the next request may be sent; not after now: at once. It returns false if
// that depends on a request under way.
func (l *Limiter) Next(now time.Time) (time.Time, bool) {
	i, ok := l.soonest()
	if !ok {
		return time.Time{}, false
	}
	if until := l.slots[i].until; until.After(now) { // an unused one has the zero time
		return until, true
	}
	if l.ready.IsZero() {
		l.recover(now)
		l.ready = now.Add(l.bucket.ReserveN(now, 1).DelayFrom(now))
	}
	return l.ready, true
}

// soonest returns the slot that is free first; false: all are in use.
func (l *Limiter) soonest() (first int, ok bool) {
	for i, s := range l.slots {
		if s.state != inUse && (!ok || s.until.Before(l.slots[first].until)) {
			first, ok = i, true
		}
	}
	return first, ok
}

// Take gives holder a permit for one request, which must be sent at once; false: not yet, see
// [Limiter.Next].
func (l *Limiter) Take(now time.Time, holder int64) (Permit, bool) {
	if at, ok := l.Next(now); !ok || at.After(now) {
		return 0, false
	}
	i, _ := l.soonest() // Next has found it
	l.slots[i] = slot{state: inUse, holder: holder}
	l.ready = time.Time{}
	return Permit(i), true
}

// Held returns how many slots a holder has, and when the first of them is free; zero: that
// depends on requests under way.
func (l *Limiter) Held(now time.Time, holder int64) (n int, free time.Time) {
	for i := range l.slots {
		s := &l.slots[i]
		if s.holder != holder || s.state != inUse && !s.until.After(now) {
			continue
		}
		n++
		if s.state != inUse && (free.IsZero() || s.until.Before(free)) {
			free = s.until
		}
	}
	return n, free
}

// Answered returns the permit of a request that was answered now. The slot is free earlier by
// roundTrip, the shortest known network round trip: the answer left the service half of it ago,
// and the next request takes the other half.
func (l *Limiter) Answered(now time.Time, p Permit, roundTrip time.Duration) {
	l.keep(p, now.Add(max(0, l.hold-roundTrip)), kept)
	for i := range l.slots {
		if s := &l.slots[i]; s.state == lost && s.until.After(now) {
			s.state, s.until = kept, now.Add(l.hold)
		}
	}
}

// Unsent returns the permit of a request that never reached the service. It does not free lost
// slots.
func (l *Limiter) Unsent(now time.Time, p Permit) { l.keep(p, now.Add(l.hold), kept) }

// Abandoned returns the permit of a request without an answer.
func (l *Limiter) Abandoned(now time.Time, p Permit) { l.keep(p, now.Add(l.LongestHold()), lost) }

func (l *Limiter) keep(p Permit, until time.Time, state slotState) {
	s := &l.slots[p]
	s.state, s.until = state, until
}

// LongestHold returns the longest time that a slot is held after its request.
func (l *Limiter) LongestHold() time.Duration { return max(lostHold, l.hold) }

// Throttled records that the service refused a request because the quota is used up. It
// reports whether it lowered the pace, at most once a second.
func (l *Limiter) Throttled(now time.Time) bool {
	if now.Sub(l.slowedAt) < time.Second {
		return false
	}
	l.slowedAt, l.changedAt = now, now
	l.setPace(now, max(l.pace*slowFactor, min(minPace, l.limit)))
	return true
}

// recover raises a lowered pace by the time since its last change.
func (l *Limiter) recover(now time.Time) {
	if l.pace >= l.limit {
		return
	}
	l.setPace(now, min(l.limit, l.pace+raisePace*now.Sub(l.changedAt).Seconds()))
	l.changedAt = now
}

func (l *Limiter) setPace(now time.Time, pace float64) {
	l.pace = pace
	l.bucket.SetLimitAt(now, rate.Limit(pace*paceMargin))
}

// Rate returns the requests per second granted now, at most the limit.
func (l *Limiter) Rate() float64 { return l.pace }

// Limit returns the limiter's requests per second.
func (l *Limiter) Limit() float64 { return l.limit }
