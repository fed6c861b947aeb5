package notify

import (
	"errors"
	"time"

	"go.uber.org/zap"
)

const (
	// uncountedWait is how long a delivery waits after an attempt that does not count.
	uncountedWait = 15 * time.Second

	// MaxPause is the longest pause that a receiver can ask for.
	MaxPause = 24 * time.Hour
)

// errTimeout is why an attempt ends that takes too long.
var errTimeout error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string { return "no answer within the notifier's timeout" }

// Timeout marks it as a timeout for senders, which ask errors for this method.
func (timeoutError) Timeout() bool { return true }

// A verdict is what an attempt means.
type verdict struct {
	Outcome
	failure     *SendError // nil: it succeeded
	worthSaving bool       // it changes something in the table
}

// judge says what an attempt means for the delivery, and records what it means for the
// notifier.
func (c *channel) judge(now time.Time, d *Delivery, a Attempt, err error, probe bool) verdict {
	v := verdict{worthSaving: true, Outcome: Outcome{
		ID: d.ID, Position: d.Position, State: Delivered, Attempts: d.Attempts + 1, Attempt: a,
	}}
	if err == nil {
		c.metrics.succeeded(now.Sub(d.Since))
		c.setLastError("")
		return v
	}
	var ok bool
	if v.failure, ok = errors.AsType[*SendError](err); !ok {
		v.failure = &SendError{Reason: err.Error(), Err: err}
	}
	v.Attempt.Error = v.failure.Reason
	c.metrics.failed(v.failure.Cause)
	c.setLastError(v.failure.Reason)
	v.Notifier = c.updateRecord(now, v.failure)

	v.State = Pending
	uncounted := !v.failure.Cause.Counts() || probe && v.failure.outage()
	switch at, inTime := nextAttempt(now, d.Since, v.Attempts, c.settings().MaxAge); {
	case v.failure.Final, v.failure.Gone, !inTime:
		v.State = Dead
	case uncounted:
		v.Attempts--
		v.NextAttemptAt = now.Add(uncountedWait)
	default:
		v.NextAttemptAt = at
	}
	if v.State == Dead {
		gone := v.Notifier
		if !v.failure.Gone {
			gone = nil
		}
		c.recordDead(d, &v.Outcome, gone)
		return v
	}
	c.log.Warn("attempt failed", zap.String("event", d.EventID), d.about(), zap.Int("attempt", d.Attempts+1),
		zap.String("error", v.failure.Reason), zap.Time("next", v.NextAttemptAt))
	v.worthSaving = !uncounted || v.Notifier != nil
	return v
}

// setLastError keeps the reason of the last failure for people to see.
func (c *channel) setLastError(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastError = reason
}

// updateRecord records what a failure says of the notifier as a whole: that it is
// gone, or wants a pause. It returns the record where that has changed.
func (c *channel) updateRecord(now time.Time, failure *SendError) *NotifierRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := failure.RetryAfter
	if latest := now.Add(MaxPause); until.After(latest) {
		until = latest
	}
	switch {
	case c.record.State == Gone:
		return nil
	case failure.Gone:
		c.record.change(now, Gone, failure.Reason)
		c.dropLanes()
		c.log.Error("notifier gone", zap.String("error", failure.Reason),
			zap.String("hint", "when it is back: pushwatch notifier resume "+c.Name))
	case until.After(now) && until.After(c.record.PausedUntil):
		c.record.change(now, c.record.State, failure.Reason)
		c.record.PausedUntil = until
	default:
		return nil
	}
	return new(c.record)
}

// dropLanes forgets all lanes, and makes the feeds read the table again. The caller
// holds c.mu.
func (c *channel) dropLanes() {
	c.detached += c.lanes.drop(nil)
	for f, at := range c.cursors {
		at.read, at.behind = 0, true
		f.wanted.Notify()
	}
}

func (c *channel) isGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record.State == Gone
}
