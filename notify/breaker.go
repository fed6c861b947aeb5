package notify

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A breaker is a circuit breaker around one notifier. While the notifier is down it
// allows a single probe at growing intervals; after recovery, a few attempts that
// double with each success; otherwise as many as the settings allow.
//
// The notifier counts as down after downAfter consecutive failures that are its own
// and not the event's ([SendError.outage]); any other answer resets the count. Where
// the receiver was reached, the failures must come from more than one lane, because a
// single event may be more than it can handle. A failed probe does not count against
// its delivery, so that an outage does not use up the delivery's retries.
type breaker struct {
	limit       int   // concurrent attempts, from the settings
	ramp        int   // a lower limit during recovery; 0: none
	failures    int   // consecutive
	failing     *lane // the lane of the last failure
	beyondEvent bool  // the failures cannot all be the fault of one event
	probeAt     time.Time
	probing     bool
	backoff     *backoff.ExponentialBackOff // between probes; nil: not down
}

const (
	downAfter  = 5 // consecutive failures
	firstProbe = 2 * time.Second
	lastProbe  = time.Minute
)

// A transition is a change of a breaker's state.
type transition int

const (
	unchanged transition = iota
	wentDown
	cameBack
)

func (b *breaker) down() bool { return b.backoff != nil }

// allows reports whether another attempt may start while inFlight are running.
func (b *breaker) allows(now time.Time, inFlight int) bool {
	switch {
	case b.down():
		return !b.probing && !now.Before(b.probeAt)
	case b.ramp > 0:
		return inFlight < b.ramp
	default:
		return inFlight < b.limit
	}
}

// trip marks the notifier as down.
func (b *breaker) trip(probeAt time.Time) {
	b.backoff = backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstProbe), backoff.WithMaxInterval(lastProbe),
		backoff.WithRandomizationFactor(0.2), backoff.WithMultiplier(1.5), backoff.WithMaxElapsedTime(0))
	b.probeAt = probeAt
}

// nextProbe returns when the next probe may start; zero if the notifier is not down or
// a probe is running.
func (b *breaker) nextProbe() time.Time {
	if b.down() && !b.probing {
		return b.probeAt
	}
	return time.Time{}
}

// begin records that an attempt starts, and reports whether it is a probe.
func (b *breaker) begin() (probe bool) {
	b.probing = b.down()
	return b.probing
}

// record records the result of an attempt on the head of a lane; failure is nil if it
// succeeded.
func (b *breaker) record(now time.Time, l *lane, failure *SendError, probe bool) transition {
	if probe {
		b.probing = false
	}
	if failure == nil || !failure.outage() {
		return b.recordSuccess()
	}
	return b.recordFailure(now, l, failure, probe)
}

func (b *breaker) recordSuccess() transition {
	b.failures, b.failing, b.beyondEvent = 0, nil, false
	switch {
	case b.down():
		b.backoff, b.ramp = nil, 1
		return cameBack
	case b.ramp > 0:
		if b.ramp *= 2; b.ramp >= b.limit {
			b.ramp = 0
		}
	}
	return unchanged
}

func (b *breaker) recordFailure(now time.Time, l *lane, failure *SendError, probe bool) transition {
	if b.down() {
		if probe {
			b.probeAt = now.Add(b.backoff.NextBackOff())
		}
		return unchanged
	}
	b.beyondEvent = b.beyondEvent || b.failures > 0 && l != b.failing || !failure.Cause.Counts()
	b.failing = l
	if b.failures++; b.failures < downAfter || !b.beyondEvent {
		return unchanged
	}
	b.trip(now)
	b.probeAt = now.Add(b.backoff.NextBackOff())
	return wentDown
}
