package outage

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"pushwatch/watcher"
)

// A breaker keeps polls from being spent on what cannot be observed: a whole
// account, or one application of it. It opens after some failures in a row, lets
// single probes through at growing intervals, and closes at the first answer.
type breaker struct {
	threshold int // failures in a row that open it
	failures  int
	intervals *backoff.ExponentialBackOff
	probeAt   time.Time // when the next probe may go; of an open breaker
	probing   bool      // a probe is under way
	cause     *watcher.CloudError
}

const (
	// transientThreshold failures in a row, of any tasks, make an outage of the account
	// or of an application.
	transientThreshold = 5
	// deniedThreshold refusals in a row make a refusal of the whole.
	deniedThreshold = 2

	// FirstProbe is the least time between probes: at most two a second. With a
	// request's timeout, the service is probed at least every 15 s or so.
	FirstProbe = 500 * time.Millisecond
	lastProbe  = 10 * time.Second
	// probeJitter keeps the probes of many accounts apart.
	probeJitter = 0.2
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

// permission returns whether a poll may go, and from when on.
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

// sent records that a poll goes out: while open, it is the probe.
func (b *breaker) sent() { b.probing = b.open() }

// recordFailure counts a failure, and reports whether it opened the breaker.
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

// recordNothing records a poll that told nothing of what the breaker stands for.
func (b *breaker) recordNothing(now time.Time) {
	if b.probing {
		b.probing, b.probeAt = false, now.Add(b.intervals.NextBackOff())
	}
}

// recordSuccess records an answer, and reports whether it closed the breaker.
func (b *breaker) recordSuccess() bool {
	wasOpen := b.open()
	b.failures, b.probing, b.cause = 0, false, nil
	if wasOpen {
		b.intervals.Reset()
	}
	return wasOpen
}
