// Package limit keeps an account within its requests per second.
//
// It is pure: it reads no clock, waits for nothing and takes no lock. The caller says
// what time it is, and never lets two goroutines call it at once.
package limit

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// A Limiter keeps one account within its requests per second, in the strictest
// sense: in no sliding second does the service see more than that, however the
// network's delays vary and however long the process stalls.
//
// Two things work together. A token bucket with a burst of one paces, so that
// requests come evenly and a pause is not made up for. On top there are as many
// slots as requests per second. A request holds its slot from before it is sent
// until one second after its answer has come. The slots make the limit a proof:
// a request reaches the service between its sending and its answer. Of all that
// reach it in some second, take the one sent last: every other came in less than
// a second before, so its answer is less than a second old or still to come, so
// it held a slot when the last was sent.
//
// Where the limit n is no whole number there are m slots, n rounded up, and each is
// held for m/n seconds in place of one. By the same proof no more than m requests
// reach the service in any m/n seconds: in no second more than m, and n on average.
//
// A request without an answer is the one gap in that: it may be stuck on its way
// and arrive at any time. Its slot is held until one second after the service
// next answers anything, for a service that answers has let go of what was stuck
// before it; and for [lostHold] where it answers nothing.
//
// When the service itself says that the quota is used up, others use it too: the
// pace falls by a tenth, at most once a second, and rises again slowly (AIMD).
type Limiter struct {
	limit  float64
	hold   time.Duration // how long an answered request keeps its slot
	slots  []slot
	bucket *rate.Limiter
	ready  time.Time // when the bucket lets the next request go; zero: it was not asked yet

	pace      float64   // granted now, at most limit
	slowedAt  time.Time // when the pace was last lowered
	changedAt time.Time // when the pace was last changed in any way
}

// A slot is the right to one request at a time.
type slot struct {
	state  slotState
	holder int64     // who has it
	until  time.Time // of a slot that is kept: when it is free
}

type slotState int

const (
	unused slotState = iota
	inUse            // a request is under way
	kept             // the request has ended, the slot is free later
	lost             // likewise, but the request had no answer and may be stuck
)

const (
	// lostHold is how long a request without an answer keeps its slot while the
	// service answers nothing at all. With the request's own timeout of 5 s the
	// service is asked again within 15 s.
	lostHold = 10 * time.Second

	// paceMargin has the bucket pace a little faster than the limit: what is lost
	// where a goroutine wakes late is made up within the second, and the slots hold
	// the limit all the same.
	paceMargin = 1.05

	slowFactor = 0.9 // what a refusal does to the pace
	raisePace  = 0.3 // requests per second added each second since the last refusal
	minPace    = 1.0 // requests per second below which the pace never falls, unless the limit does
)

// A Permit allows one request. It must be returned by exactly one of
// [Limiter.Answered], [Limiter.Abandoned] and [Limiter.Unsent].
type Permit int

// New returns a limiter of perSecond requests, 0 < perSecond <= 20.
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

// Next returns when the next request may be sent: not after now, where it may be sent
// at once. It returns false where that depends on the answer to a request under way.
func (l *Limiter) Next(now time.Time) (time.Time, bool) {
	i, ok := l.soonest()
	if !ok {
		return time.Time{}, false
	}
	if until := l.slots[i].until; until.After(now) { // zero of an unused one
		return until, true
	}
	if l.ready.IsZero() {
		l.recover(now)
		l.ready = now.Add(l.bucket.ReserveN(now, 1).DelayFrom(now))
	}
	return l.ready, true
}

// soonest returns the slot that is free first, false where all are in use.
func (l *Limiter) soonest() (first int, ok bool) {
	for i, s := range l.slots {
		if s.state != inUse && (!ok || s.until.Before(l.slots[first].until)) {
			first, ok = i, true
		}
	}
	return first, ok
}

// Take gives holder the right to send one request, which must then be sent at once. It
// returns false where that is not allowed yet: see [Limiter.Next].
func (l *Limiter) Take(now time.Time, holder int64) (Permit, bool) {
	if at, ok := l.Next(now); !ok || at.After(now) {
		return 0, false
	}
	i, _ := l.soonest() // Next has found it
	l.slots[i] = slot{state: inUse, holder: holder}
	l.ready = time.Time{}
	return Permit(i), true
}

// Held returns how many slots a holder has, and when the first of them is free again:
// zero where that depends on the answers to its requests.
func (l *Limiter) Held(now time.Time, holder int64) (n int, free time.Time) {
	for i := range l.slots {
		s := &l.slots[i]
		ends := s.state == kept || s.state == lost
		if s.holder != holder || s.state != inUse && !(ends && s.until.After(now)) {
			continue
		}
		n++
		if ends && (free.IsZero() || s.until.Before(free)) {
			free = s.until
		}
	}
	return n, free
}

// Answered returns the permit of a request that the service has answered just now.
// roundTrip is the shortest time that the network is known to take there and back:
// the answer left the service half of it ago and the next request takes the other
// half, so the slot is free that much earlier.
func (l *Limiter) Answered(now time.Time, p Permit, roundTrip time.Duration) {
	l.keep(p, now.Add(max(0, l.hold-roundTrip)), kept)
	for i := range l.slots {
		if s := &l.slots[i]; s.state == lost && s.until.After(now) {
			s.state, s.until = kept, now.Add(l.hold)
		}
	}
}

// Unsent returns the permit of a request that certainly never reached the service,
// which says nothing of those that are stuck.
func (l *Limiter) Unsent(now time.Time, p Permit) { l.keep(p, now.Add(l.hold), kept) }

// Abandoned returns the permit of a request that was given up without an answer.
func (l *Limiter) Abandoned(now time.Time, p Permit) { l.keep(p, now.Add(l.LongestHold()), lost) }

func (l *Limiter) keep(p Permit, until time.Time, state slotState) {
	s := &l.slots[p]
	s.state, s.until = state, until
}

// LongestHold is how long a request may keep its slot after it has ended.
func (l *Limiter) LongestHold() time.Duration { return max(lostHold, l.hold) }

// Throttled records that the service refused a request for the account's quota.
// It reports whether the pace was lowered, which it is at most once a second.
func (l *Limiter) Throttled(now time.Time) bool {
	if now.Sub(l.slowedAt) < time.Second {
		return false
	}
	l.slowedAt, l.changedAt = now, now
	l.setPace(now, max(l.pace*slowFactor, min(minPace, l.limit)))
	return true
}

// recover adds to a lowered pace what has come back since it was last changed.
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

// Rate returns the requests per second that are granted now, at most the limit.
func (l *Limiter) Rate() float64 { return l.pace }

// Limit returns the requests per second that the limiter was made for.
func (l *Limiter) Limit() float64 { return l.limit }
