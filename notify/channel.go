package notify

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Notifier is a configured receiver of events.
type Notifier struct {
	Name        string
	Type        string // "webhook", "log", …
	Filter      Filter
	Sender      Sender
	Timeout     time.Duration // of one attempt; default 15 s
	MaxInFlight int           // attempts at the same time; default 8
	MaxAge      time.Duration // of an event; older ones are given up; default 72 h
}

// A channel delivers to one notifier. Everything in it is its own, so that a
// notifier that is slow, dead or hostile slows no other.
type channel struct {
	Notifier
	log     *zap.Logger
	metrics *metrics
	changed chan struct{} // there is something to look at; holds at most one

	mu       sync.Mutex
	lanes    lanes
	inFlight int
	gate     gate
}

// window is how many deliveries of one notifier are held in memory. The rest
// waits in the table.
const window = 4096

func newChannel(n Notifier, log *zap.Logger, m *metrics) *channel {
	return &channel{
		Notifier: n, log: log.With(zap.String("notifier", n.Name)), metrics: m,
		changed: make(chan struct{}, 1),
		lanes:   lanes{all: make(map[laneKey]*lane)},
		gate:    gate{most: n.MaxInFlight},
	}
}

// poke has the channel look at its lanes again.
func (c *channel) poke() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// stopGrace is how long attempts under way may go on when the process stops.
const stopGrace = 5 * time.Second

// run sends what is due until ctx ends, and then waits for what is under way.
func (c *channel) run(ctx context.Context) {
	attempts, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var sends sync.WaitGroup
	defer sends.Wait()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cut) })()
	for ctx.Err() == nil {
		c.mu.Lock()
		now := time.Now()
		next := c.lanes.wake(now)
		for c.gate.admits(now, c.inFlight) {
			l := c.lanes.next()
			if l == nil {
				break
			}
			l.busy = true
			c.inFlight++
			probe := c.gate.sent()
			sends.Go(func() { c.attempt(attempts, l, probe) })
		}
		if at := c.gate.opens(now); !at.IsZero() && c.lanes.fresh.len()+c.lanes.again.len() > 0 {
			next = at
		}
		c.mu.Unlock()

		var timer <-chan time.Time
		if !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-c.changed:
		case <-timer:
		}
	}
}

// attempt sends the head of a lane once and takes in what came of it. The lane
// is this goroutine's until it is placed again; others only add to its end.
func (c *channel) attempt(ctx context.Context, l *lane, probe bool) {
	c.mu.Lock()
	d := l.queue[0]
	c.mu.Unlock()

	start := time.Now()
	status, err := c.send(ctx, l.feed, &d)
	now := time.Now()
	if ctx.Err() != nil && err != nil {
		return // the process stops: what was tried is tried again after its start
	}
	fault, ok := errors.AsType[*SendError](err)
	if err != nil && !ok {
		fault = &SendError{Reason: err.Error(), Result: "other", Err: err}
	}
	c.metrics.attempts.WithLabelValues(c.Name, fault.result()).Inc()

	o := Outcome{
		ID: d.ID, State: Delivered, Attempts: d.Attempts + 1,
		Attempt: Attempt{At: start, Status: status, Duration: now.Sub(start)},
	}
	again := time.Time{} // when to try again, of one that stays pending
	if err != nil {
		o.Attempt.Error = err.Error()
		again = c.failed(now, &d, &o, fault, probe)
	}
	if err == nil || o.Attempts > d.Attempts { // else nothing has changed that is worth writing
		l.feed.settle(ctx, o)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.poke()
	c.inFlight--
	if c.gate.learn(now, fault, probe) {
		c.log.Info("notifier is back")
		c.lanes.recover(now)
	}
	if !l.feed.open() {
		return // the lane goes with its account
	}
	l.busy = false
	if o.State == Pending {
		head := &l.queue[0]
		head.Attempts, head.Body = o.Attempts, nil // it waits: what is large is read again
		l.due, l.down = again, fault != nil && fault.outage()
		c.lanes.place(l)
	} else {
		c.metrics.outcomes.WithLabelValues(c.Name, string(o.State)).Inc()
		if o.State == Delivered {
			c.metrics.delivered.WithLabelValues(c.Name).Observe(now.Sub(d.EventAt).Seconds())
		}
		c.lanes.done(l)
		if c.lanes.held < window/2 {
			l.feed.refill()
		}
	}
}

// send makes the attempt, with the body read where it is not at hand.
func (c *channel) send(ctx context.Context, f *Feed, d *Delivery) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, errors.New("no answer within the notifier's timeout"))
	defer cancel()
	if d.Body == nil {
		body, err := f.box.Body(ctx, d.ID)
		if err != nil {
			return 0, &SendError{Reason: "read event: " + err.Error(), Uncharged: true, Result: "other", Err: err}
		}
		d.Body = body
	}
	return c.Sender.Send(ctx, d)
}

// unchargedWait is how long a delivery waits whose attempt does not count.
const unchargedWait = 15 * time.Second

// failed decides what follows a failed attempt: it completes the outcome and
// returns when to try again.
func (c *channel) failed(now time.Time, d *Delivery, o *Outcome, fault *SendError, probe bool) time.Time {
	uncharged := probe || fault.Uncharged
	if uncharged {
		o.Attempts--
	}
	o.State = Pending
	if fault.Final {
		o.State = Dead
	} else if at, ok := nextAttempt(now, d.EventAt, o.Attempts, c.MaxAge); ok {
		if uncharged {
			at = now.Add(unchargedWait)
		}
		o.NextAttemptAt = at
		if fault.RetryAfter.After(at) {
			o.NextAttemptAt = fault.RetryAfter
		}
	} else {
		o.State, o.Attempts = Dead, d.Attempts+1
	}
	if o.State == Dead {
		c.log.Error("delivery given up", zap.String("event", d.EventID), zap.Stringer("task", d.Task), zap.Int("attempt", o.Attempts), zap.String("error", o.Attempt.Error))
	} else {
		c.log.Warn("delivery failed", zap.String("event", d.EventID), zap.Stringer("task", d.Task), zap.Int("attempt", o.Attempts),
			zap.String("error", o.Attempt.Error), zap.Time("next", o.NextAttemptAt))
	}
	return o.NextAttemptAt
}
