package notify

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A breaker limits the attempts on one notifier: while the notifier is down, to one
// probe now and then; after it has come back, to few at first; otherwise to as many
// as the settings allow.
//
// The notifier counts as down after some failures in a row that are its own and not
// the event's ([SendError.outage]); any other answer ends the row. Where the receiver
// was reached, the failures must be of more than one lane, because one event may be
// more than it can handle. A failed probe does not count against its delivery: the delivery's schedule
// is for faults that concern it, and an outage must not use it up.
type breaker struct {
	limit       int   // attempts at the same time, by the settings
	ramp        int   // the limit for now, after an outage; 0: none but limit
	failures    int   // in a row
	failing     *lane // of the last of them
	beyondEvent bool  // the event cannot be the reason for all of them
	probeAt     time.Time
	probing     bool
	backoff     *backoff.ExponentialBackOff // between probes; nil: not down
}

const (
	downAfter  = 5 // failures in a row
	firstProbe = 2 * time.Second
	lastProbe  = time.Minute
)

// A transition is a change of a breaker that is worth a log line.
type transition int

const (
	unchanged transition = iota
	wentDown
	cameBack
)

func (b *breaker) down() bool { return b.backoff != nil }

// allows reports whether another attempt may start beside those in flight.
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

// trip makes the notifier count as down.
func (b *breaker) trip(probeAt time.Time) {
	b.backoff = backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstProbe), backoff.WithMaxInterval(lastProbe),
		backoff.WithRandomizationFactor(0.2), backoff.WithMultiplier(1.5), backoff.WithMaxElapsedTime(0))
	b.probeAt = probeAt
}

// nextProbe returns when the next probe may start; zero where that does not depend on
// time.
func (b *breaker) nextProbe() time.Time {
	if b.down() && !b.probing {
		return b.probeAt
	}
	return time.Time{}
}

// begin records the start of an attempt, and reports whether it is a probe.
func (b *breaker) begin() (probe bool) {
	b.probing = b.down()
	return b.probing
}

// record records how an attempt on the head of a lane ended; failure is nil where it
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
