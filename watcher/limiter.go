package watcher

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limiter keeps one account within its requests per second, in the strictest
// sense: in no sliding second does the service see more than that, whatever the
// network's jitter, however the process stalls.
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
// before it; and for [ghostHold] where it answers nothing.
//
// When the service itself says that the quota is used up, others use it too: the
// pace falls by a tenth, at most once a second, and rises again slowly (AIMD).
type Limiter struct {
	limit float64
	hold  time.Duration // how long an answered request keeps its slot
	pace  *rate.Limiter
	free  chan struct{} // one token a free slot

	mu        sync.Mutex
	ghosts    map[*Permit]*time.Timer // requests without an answer, that still hold their slots
	slowedAt  time.Time               // when the pace was last lowered
	raisedAt  time.Time               // when the pace was last changed in any way
	throttled float64                 // the pace now, at most limit
}

const (
	// ghostHold is how long a request without an answer keeps its slot while the
	// service answers nothing at all. With the request's own timeout of 5 s the
	// service is asked again within 15 s.
	ghostHold = 10 * time.Second

	// paceMargin has the bucket pace a little faster than the limit: what is lost
	// where a goroutine wakes late is made up within the second, and the slots hold
	// the limit all the same.
	paceMargin = 1.05

	slowFactor = 0.9 // what a refusal does to the pace
	raisePace  = 0.3 // requests per second added each second since the last refusal
	minPace    = 1.0 // requests per second below which the pace never falls, unless the limit does
)

// NewLimiter returns a limiter of perSecond requests, 0 < perSecond <= 20.
func NewLimiter(perSecond float64) *Limiter {
	slots := int(math.Ceil(perSecond))
	l := &Limiter{
		limit:     perSecond,
		hold:      time.Duration(math.Ceil(float64(time.Second) * float64(slots) / perSecond)),
		pace:      rate.NewLimiter(rate.Limit(perSecond*paceMargin), 1),
		free:      make(chan struct{}, slots),
		ghosts:    make(map[*Permit]*time.Timer),
		throttled: perSecond,
	}
	for range slots {
		l.free <- struct{}{}
	}
	return l
}

// A Permit allows one request. It must be returned by exactly one of its methods.
type Permit struct {
	limiter *Limiter
	freed   func() // called when its slot is free again; nil: nothing is
}

// free gives the slot back.
func (p *Permit) free() {
	p.limiter.free <- struct{}{}
	if p.freed != nil {
		p.freed()
	}
}

// freeAfter gives it back after a while.
func (p *Permit) freeAfter(d time.Duration) { time.AfterFunc(d, p.free) }

// Acquire waits for the right to send one request, which must then be sent at
// once. It returns ctx's error when ctx ends first.
func (l *Limiter) Acquire(ctx context.Context) (*Permit, error) {
	select {
	case <-l.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.recover(time.Now())
	if err := l.pace.Wait(ctx); err != nil {
		l.free <- struct{}{}
		return nil, ctx.Err()
	}
	return &Permit{limiter: l}, nil
}

// Cancel returns a permit that was not used.
func (p *Permit) Cancel() { p.free() }

// Answered returns the permit of a request that the service has answered just
// now. roundTrip is the shortest time that
// the network is known to take there and back: the answer left the service half
// of it ago and the next request takes the other half, so the slot is free that
// much earlier.
func (p *Permit) Answered(roundTrip time.Duration) {
	l := p.limiter
	p.freeAfter(max(0, l.hold-roundTrip))
	l.mu.Lock()
	defer l.mu.Unlock()
	for ghost, timer := range l.ghosts {
		if timer.Stop() {
			ghost.freeAfter(l.hold)
		}
		delete(l.ghosts, ghost)
	}
}

// Unsent returns the permit of a request that certainly never reached the
// service, which says nothing of those that are stuck.
func (p *Permit) Unsent() { p.freeAfter(p.limiter.hold) }

// Abandoned returns the permit of a request that was given up without an answer.
func (p *Permit) Abandoned() {
	l := p.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ghosts[p] = time.AfterFunc(l.longestHold(), func() {
		l.mu.Lock()
		delete(l.ghosts, p)
		l.mu.Unlock()
		p.free()
	})
}

// longestHold is how long a request may keep its slot after it has ended.
func (l *Limiter) longestHold() time.Duration { return max(ghostHold, l.hold) }

// Throttled tells that the service refused a request for the account's quota.
// It reports whether the pace was lowered, which it is at most once a second.
func (l *Limiter) Throttled(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.slowedAt) < time.Second {
		return false
	}
	l.slowedAt, l.raisedAt = now, now
	l.set(max(l.throttled*slowFactor, min(minPace, l.limit)))
	return true
}

// recover adds to a lowered pace what has come back since it was last changed.
func (l *Limiter) recover(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.throttled >= l.limit {
		return
	}
	l.set(min(l.limit, l.throttled+raisePace*now.Sub(l.raisedAt).Seconds()))
	l.raisedAt = now
}

func (l *Limiter) set(pace float64) {
	l.throttled = pace
	l.pace.SetLimit(rate.Limit(pace * paceMargin))
}

// Rate returns the requests per second that are granted now, at most the limit.
func (l *Limiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.throttled
}
