package notify

import (
	"math/rand/v2"
	"time"
)

// delays are the waits after the first, second, third … failed attempt; after
// the last of them, the last again. The early ones are close together since a
// class lasts an hour; the late ones reach over a weekend.
var delays = [...]time.Duration{
	5 * time.Second, 15 * time.Second, 45 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute,
	30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
}

// jitter is the largest part of a wait that is added to it, never taken from it,
// so that the retries of many deliveries spread out and none comes early.
const jitter = 0.2

// nextAttempt returns when to try again after the given number of failed
// attempts, and false where the delivery is dead: no attempt is made
// later than maxAge after the event, and the last one is made then.
func nextAttempt(now, eventAt time.Time, attempts int, maxAge time.Duration) (time.Time, bool) {
	last := eventAt.Add(maxAge)
	if !now.Before(last) {
		return time.Time{}, false
	}
	wait := delays[min(max(attempts, 1), len(delays))-1]
	at := now.Add(wait + time.Duration(rand.Float64()*jitter*float64(wait)))
	if at.After(last) {
		at = last
	}
	return at, true
}
