package notify

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A gate is a notifier's breaker. It says how many attempts may be under way: one
// probe now and then while the notifier is down, few at first when it has come
// back, and otherwise as many as it is configured for.
//
// It is taken to be down after some failures in a row that are its own and not
// the event's: see [SendError.outage]; an answer of any other kind ends the row. They
// have to be of more lanes than one, for an event may be more than its receiver can
// bear. What is tried on it then is a probe, and where that fails as before it counts
// as no attempt of the delivery: the delivery's schedule is for faults that concern
// it, and should not be used up by an outage.
type gate struct {
	most     int   // attempts at the same time
	allowed  int   // now, after an outage; 0: most
	failures int   // in a row
	failing  *lane // whose the last of them was
	several  bool  // they are of more lanes than one
	probeAt  time.Time
	probing  bool
	waits    *backoff.ExponentialBackOff // between probes; nil: not down
}

const (
	downAfter  = 5 // failures in a row
	firstProbe = 2 * time.Second
	lastProbe  = time.Minute
)

// down reports whether the notifier is taken to be down.
func (g *gate) down() bool { return g.waits != nil }

// admits reports whether one more attempt may go, with so many under way.
func (g *gate) admits(now time.Time, inFlight int) bool {
	switch {
	case g.down():
		return !g.probing && !now.Before(g.probeAt)
	case g.allowed > 0:
		return inFlight < g.allowed
	default:
		return inFlight < g.most
	}
}

// opens returns when the gate will admit again, zero where that is not a matter of time.
func (g *gate) opens(now time.Time) time.Time {
	if g.down() && !g.probing {
		return g.probeAt
	}
	return time.Time{}
}

// sent notes an attempt that goes out, and reports whether it is a probe.
func (g *gate) sent() bool {
	g.probing = g.down()
	return g.probing
}

// learn takes in what came of an attempt; fault is nil where it succeeded. It
// reports whether the notifier is taken to be down from now on, or is back.
func (g *gate) learn(now time.Time, l *lane, fault *SendError, probe bool) (down, back bool) {
	if probe {
		g.probing = false
	}
	switch {
	case fault == nil || !fault.outage(): // it answers, if not as one would like
		return false, g.succeeded()
	case g.down():
		if probe {
			g.probeAt = now.Add(g.waits.NextBackOff())
		}
	default:
		g.several = g.several || g.failures > 0 && l != g.failing
		g.failing = l
		if g.failures++; g.failures >= downAfter && g.several {
			g.waits = backoff.NewExponentialBackOff(
				backoff.WithInitialInterval(firstProbe), backoff.WithMaxInterval(lastProbe),
				backoff.WithRandomizationFactor(0.2), backoff.WithMultiplier(1.5), backoff.WithMaxElapsedTime(0))
			g.probeAt = now.Add(g.waits.NextBackOff())
			return true, false
		}
	}
	return false, false
}

func (g *gate) succeeded() (back bool) {
	g.failures, g.failing, g.several = 0, nil, false
	switch {
	case g.down():
		g.waits, g.allowed = nil, 1
		return true
	case g.allowed > 0:
		if g.allowed *= 2; g.allowed >= g.most {
			g.allowed = 0
		}
	}
	return false
}
