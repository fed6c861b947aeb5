package notify

import (
	"math/rand/v2"
	"time"
)

// delays are the waits after the first, second, third … failed attempt; the last one
// repeats. The first are short because a class lasts an hour; the last reach over a
// weekend.
var delays = [...]time.Duration{
	5 * time.Second, 15 * time.Second, 45 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute,
	30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
}

// jitter is the largest part of a wait that is added to it, so that the retries of many
// deliveries spread out. It is never subtracted: no retry comes early.
const jitter = 0.2

// nextAttempt returns when to try again after a number of failed attempts, and false if
// the delivery is dead. The last attempt is made maxAge after the event.
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
