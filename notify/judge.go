package notify

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"
)

const (
	// uncountedWait is how long a delivery waits after an attempt that does not count.
	uncountedWait = 15 * time.Second

	// keepUncounted is how many uncounted attempts are kept per delivery, so that its
	// row does not grow during an outage.
	keepUncounted = 5

	// MaxPause is the longest pause that a receiver can ask for.
	MaxPause = 24 * time.Hour
)

// A timeoutError is the cause with which an attempt's context ends at its timeout.
type timeoutError struct{}

func (timeoutError) Error() string { return "no answer within the notifier's timeout" }

// Timeout marks the error as a timeout, as package net does.
func (timeoutError) Timeout() bool { return true }

// A verdict is what an attempt means.
type verdict struct {
	Outcome
	failure    *SendError // nil: it succeeded
	transition transition // of the breaker
}

// judge returns what an attempt on the head of a lane means for the delivery, and records
// what it means for the notifier.
func (c *channel) judge(now time.Time, l *lane, d *Delivery, a Attempt, err error, probe bool) verdict {
	v := verdict{Outcome: Outcome{
		ID: d.ID, Position: d.Position, State: Delivered, Attempts: d.Attempts + 1, Requests: d.Requests + 1, Attempt: a,
	}}
	if err != nil {
		var ok bool
		if v.failure, ok = errors.AsType[*SendError](err); !ok {
			v.failure = &SendError{Reason: err.Error(), Err: err}
		}
		v.Attempt.Error = v.failure.Reason
	}
	nextProbe := c.observe(now, l, &v, probe)
	if err == nil {
		c.metrics.succeeded(now.Sub(d.Since))
		return v
	}
	c.metrics.attempts.WithLabelValues(v.failure.Cause.String()).Inc()
	if !v.failure.Cause.Sent() {
		v.Requests--
	}

	v.State = Pending
	switch at, inTime := nextAttempt(now, d.Since, v.Attempts, c.settings().MaxAge); {
	case v.failure.Final, v.failure.Gone, !inTime:
		v.State = Dead
		c.recordDead(d, &v.Outcome, v.failure.Gone)
		return v
	case probe && v.failure.outage():
		v.doNotCount(d)
		v.NextAttemptAt = nextProbe
	case !v.failure.Cause.Counts():
		v.doNotCount(d)
		v.NextAttemptAt = now.Add(uncountedWait)
	default:
		v.NextAttemptAt = at
	}
	c.log.Warn("attempt failed", zap.String("event", d.EventID), d.about(), zap.Int("attempt", d.Attempts+1),
		zap.String("error", v.failure.Reason), zap.Time("next", v.NextAttemptAt))
	return v
}

// doNotCount makes the attempt one that does not count against the delivery.
func (v *verdict) doNotCount(d *Delivery) {
	v.Attempts--
	v.Attempt.Uncounted = true
	recent := d.Uncounted[max(0, len(d.Uncounted)-keepUncounted+1):]
	v.Uncounted = append(slices.Clone(recent), v.Attempt)
}

// observe records what an attempt shows about the notifier as a whole: its last error,
// the breaker's transition, and the notifier's record if it changed. It returns when the
// next probe may start; zero if the notifier is not down.
func (c *channel) observe(now time.Time, l *lane, v *verdict, probe bool) (nextProbe time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastError = ""
	if v.failure != nil {
		c.lastError = v.failure.Reason
	}
	downSince := c.record.DownSince
	v.transition = c.breaker.record(now, l, v.failure, probe)
	if c.record.observe(now, &c.breaker, v.failure, probe) {
		v.Notifier = new(c.record)
	}
	switch {
	case v.Notifier != nil && v.Notifier.State == Gone:
		c.dropLanes()
		c.log.Error("notifier gone", zap.String("error", v.failure.Reason),
			zap.String("hint", "when it is back: pushwatch notifier resume "+c.Name))
	case v.transition == wentDown:
		c.log.Warn("notifier down", zap.Int("deliveries", c.lanes.held), zap.String("error", v.failure.Reason),
			zap.Time("next_probe", c.breaker.probeAt))
	case v.transition == cameBack:
		c.log.Info("notifier up", zap.Int("deliveries", c.lanes.held), zap.Duration("down_for", now.Sub(downSince)))
	}
	return c.breaker.nextProbe()
}

// dropLanes drops all lanes and makes the feeds read the table again. The caller holds
// c.mu.
func (c *channel) dropLanes() {
	c.detached += c.lanes.drop(nil)
	for f, at := range c.cursors {
		at.read, at.behind = 0, true
		f.wanted.Notify()
	}
}

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
