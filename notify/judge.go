package notify

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

const (
	// unchargedWait is how long a delivery waits whose attempt does not count.
	unchargedWait = 15 * time.Second

	// MaxPause is the longest pause that a receiver can ask for.
	MaxPause = 24 * time.Hour
)

// errTimeout is why an attempt ends that takes too long.
var errTimeout error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string { return "no answer within the notifier's timeout" }

// Timeout says what it is, as senders ask of errors.
func (timeoutError) Timeout() bool { return true }

// A verdict is what an attempt means.
type verdict struct {
	Outcome
	fault       *SendError // nil: it succeeded
	worthSaving bool       // it changes something in the table
}

// judge says what an attempt means for the delivery and for the notifier. The
// latter it takes in at once.
func (c *channel) judge(now time.Time, d *Delivery, a Attempt, err error, probe bool) verdict {
	v := verdict{worthSaving: true, Outcome: Outcome{
		ID: d.ID, Position: d.Position, State: Delivered, Attempts: d.Attempts + 1, Attempt: a,
	}}
	if err == nil {
		c.metrics.succeeded(now.Sub(d.Since))
		c.noted("")
		return v
	}
	var ok bool
	if v.fault, ok = errors.AsType[*SendError](err); !ok {
		v.fault = &SendError{Reason: err.Error(), Err: err}
	}
	v.Attempt.Error = v.fault.Reason
	c.metrics.failed(v.fault.Cause)
	c.noted(v.fault.Reason)
	v.Standing = c.heed(now, v.fault)

	v.State = Pending
	uncharged := !v.fault.Cause.Counts() || probe && v.fault.outage()
	switch at, inTime := nextAttempt(now, d.Since, v.Attempts, c.now().MaxAge); {
	case v.fault.Final, v.fault.Gone, !inTime:
		v.State = Dead
	case uncharged:
		v.Attempts--
		v.NextAttemptAt = now.Add(unchargedWait)
	default:
		v.NextAttemptAt = at
	}
	if v.State == Dead {
		gone := v.Standing
		if !v.fault.Gone {
			gone = nil
		}
		c.giveUp(d, &v.Outcome, gone)
		return v
	}
	c.log.Warn("delivery failed", zap.String("event", d.EventID), d.about(), zap.Int("attempt", d.Attempts+1),
		zap.String("error", v.fault.Reason), zap.Time("next", v.NextAttemptAt))
	v.worthSaving = !uncharged || v.Standing != nil
	return v
}

// noted keeps the reason of the last failure for people to see.
func (c *channel) noted(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastError = reason
}

// heed takes in what a failure says of the notifier as a whole: that it is gone,
// or wants a pause. It returns the standing where that has changed.
func (c *channel) heed(now time.Time, fault *SendError) *Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := fault.RetryAfter
	if most := now.Add(MaxPause); until.After(most) {
		until = most
	}
	switch {
	case c.standing.State == Gone:
		return nil
	case fault.Gone:
		c.standing.change(now, Gone, fault.Reason)
		c.abandon()
		c.log.Error("notifier is gone: resume it when it is back", zap.String("error", fault.Reason))
	case until.After(now) && until.After(c.standing.PausedUntil):
		c.standing.change(now, c.standing.State, fault.Reason)
		c.standing.PausedUntil = until
	default:
		return nil
	}
	return new(c.standing)
}

// abandon forgets all lanes, and has the feeds look at the table. c.mu is held.
func (c *channel) abandon() {
	c.strays += c.lanes.drop(nil)
	for f, p := range c.positions {
		p.taken, p.behind = 0, true
		f.refill()
	}
}

// giveUp completes the outcome of a delivery that is dead with the event that
// tells of it. gone is the standing of a notifier that is gone by this attempt.
// What is given up together with the notifier, or is such an event itself, is not
// told of.
func (c *channel) giveUp(d *Delivery, o *Outcome, gone *Standing) {
	c.metrics.dead(1)
	c.log.Error("delivery given up", zap.String("event", d.EventID), d.about(),
		zap.Int("attempt", o.Attempts), zap.String("error", o.Attempt.Error))
	if gone == nil && (d.exhausted() || c.isGone()) {
		return
	}
	o.Announce = c.exhausted(d, o, gone)
}

// exhausted reports whether the delivery itself tells of one that was given up.
func (d *Delivery) exhausted() bool { return d.Type == watcher.DeliveryExhausted }

func (c *channel) isGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.standing.State == Gone
}
