package outage

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"pushwatch/watcher"
)

// A breaker limits the polls of an account or application that fails. It opens after
// threshold failures in a row, allows single probes at growing intervals, and closes at the
// first success.
type breaker struct {
	threshold int // failures in a row that open it
	failures  int
	intervals *backoff.ExponentialBackOff
	probeAt   time.Time // when an open breaker allows the next probe
	probing   bool      // a probe is under way
	cause     *watcher.CloudError
}

const (
	transientThreshold = 5
	deniedThreshold    = 2 // once access to an application is denied

	// FirstProbe is the shortest interval between probes. The longest is lastProbe: with a
	// request's timeout, the service is probed at least every 15 s or so.
	FirstProbe = 500 * time.Millisecond
	lastProbe  = 10 * time.Second

	probeJitter = 0.2 // spreads the probes of many accounts
)

func newBreaker(threshold int) *breaker {
	return &breaker{threshold: threshold, intervals: backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(FirstProbe*5/4), // less its jitter it is FirstProbe
		backoff.WithRandomizationFactor(probeJitter),
		backoff.WithMultiplier(1.7),
		backoff.WithMaxInterval(lastProbe*5/6), // with its jitter it is lastProbe
		backoff.WithMaxElapsedTime(0),
	)}
}

func (b *breaker) open() bool { return b.failures >= b.threshold }

func (b *breaker) permission(now time.Time) Permission {
	switch {
	case !b.open():
		return Permission{At: now}
	case b.probing:
		return Permission{Open: true, At: now.Add(FirstProbe)}
	default:
		return Permission{Open: true, At: b.probeAt}
	}
}

// sent records that a poll is sent. While the breaker is open, it is the probe.
func (b *breaker) sent() { b.probing = b.open() }

// recordFailure records a failure and reports whether it opened the breaker.
func (b *breaker) recordFailure(now time.Time, cause *watcher.CloudError) bool {
	wasOpen, probe := b.open(), b.probing
	b.failures++
	b.cause = cause
	b.probing = false
	if b.open() && (!wasOpen || probe) {
		b.probeAt = now.Add(b.intervals.NextBackOff())
	}
	return b.open() && !wasOpen
}

// recordNothing records a poll that is neither a success nor a failure of the breaker's
// level. If it was the probe, another follows.
func (b *breaker) recordNothing(now time.Time) {
	if b.probing {
		b.probing, b.probeAt = false, now.Add(b.intervals.NextBackOff())
	}
}

// recordSuccess records a success and reports whether it closed the breaker.
func (b *breaker) recordSuccess() bool {
	wasOpen := b.open()
	b.failures, b.probing, b.cause = 0, false, nil
	if wasOpen {
		b.intervals.Reset()
	}
	return wasOpen
}
