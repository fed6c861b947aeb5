package notify

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher/loop"
)

// Notifier is a configured receiver of events.
type Notifier struct {
	Name        string
	Type        string // "webhook", "log", …
	Filter      Filter
	Sender      Sender
	Timeout     time.Duration // of one attempt; default 15 s
	MaxInFlight int           // concurrent attempts; default 8
	MaxAge      time.Duration // of a delivery, since its event or replay; older ones go to dead letter; default 72 h
	Fallback    string        // the notifier that is notified of this one's dead letters; empty: none
}

// A channel delivers to one notifier. It shares nothing with other channels, so that a
// slow, dead or hostile notifier slows no other.
type channel struct {
	Name       string
	current    atomic.Pointer[Notifier] // its settings
	log        *zap.Logger
	metrics    *channelMetrics
	dispatcher *Dispatcher
	work       loop.Signal        // an attempt may be possible
	closed     context.Context    // ends when the notifier is removed from the settings
	cancel     context.CancelFunc // ends closed
	running    bool               // used by [Dispatcher.Run] only

	mu        sync.Mutex
	lanes     lanes
	cursors   map[*Feed]*cursor
	inFlight  int
	detached  int // attempts in flight whose lanes were dropped
	breaker   breaker
	record    NotifierRecord
	lastError string // of the last attempt that failed; empty once one has succeeded
	lastSweep time.Time
	lastTurn  time.Time
	lastEnd   time.Time // when an attempt last ended, or the first of those in flight began
}

const (
	stopGrace  = 5 * time.Second
	turnEvery  = 15 * time.Second // at least this often, so that [Dispatcher.Alive] can tell a stuck loop from an idle one
	sweepEvery = time.Minute      // for deliveries that are too old
)

func newChannel(n Notifier, d *Dispatcher) *channel {
	c := &channel{
		Name: n.Name, log: d.log.With(zap.String("notifier", n.Name)), metrics: d.metrics.channel(n.Name), dispatcher: d,
		work:     loop.NewSignal(),
		lanes:    lanes{all: make(map[laneKey]*lane)},
		cursors:  make(map[*Feed]*cursor),
		breaker:  breaker{limit: n.MaxInFlight},
		record:   NotifierRecord{Notifier: n.Name, State: Active},
		lastTurn: time.Now(),
	}
	c.current.Store(&n)
	c.closed, c.cancel = context.WithCancel(context.Background())
	return c
}

// settings returns the notifier's current settings.
func (c *channel) settings() *Notifier { return c.current.Load() }

// apply replaces the settings. Attempts in flight continue.
func (c *channel) apply(n Notifier) {
	c.current.Store(&n)
	c.mu.Lock()
	c.breaker.limit = n.MaxInFlight
	c.mu.Unlock()
	c.work.Notify()
}

// run sends due deliveries until ctx ends, and then waits up to stopGrace for the
// attempts in flight.
func (c *channel) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(c.closed, stop)()
	attempts, cut := outlive(ctx, stopGrace)
	defer cut()
	var sends sync.WaitGroup
	defer sends.Wait()
	c.mu.Lock()
	if !c.record.DownSince.IsZero() { // since before a restart, which must not use up attempts
		c.breaker.trip(time.Now())
	}
	c.mu.Unlock()
	for ctx.Err() == nil {
		next := earlier(c.turn(attempts, &sends), time.Now().Add(turnEvery))
		select {
		case <-ctx.Done():
		case <-c.work:
		case <-time.After(time.Until(next)):
		}
	}
}

// outlive returns a context that ends a grace period after ctx, or when cut is called.
func outlive(ctx context.Context, grace time.Duration) (longer context.Context, cut context.CancelFunc) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, end) })
	return longer, func() {
		stop()
		end()
	}
}

// turn starts every attempt that may start now, and returns when the next turn is due;
// zero: when there is new work.
func (c *channel) turn(ctx context.Context, sends *sync.WaitGroup) (next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.lastTurn = now
	next = c.lanes.release(now)
	if now.Sub(c.lastSweep) >= sweepEvery {
		c.lastSweep = now
		if old := c.lanes.expired(now, c.settings().MaxAge); len(old) > 0 {
			sends.Go(func() { c.expire(ctx, old) })
		}
	}
	for c.record.allows(now) && c.breaker.allows(now, c.inFlight) {
		l := c.lanes.next()
		if l == nil {
			break
		}
		if c.inFlight == 0 {
			c.lastEnd = now
		}
		c.inFlight++
		probe := c.breaker.begin()
		l.feed.sends.Add(1)
		sends.Go(func() {
			defer l.feed.sends.Done()
			c.attempt(ctx, l, probe)
		})
	}
	if c.lanes.ready() && c.record.State == Active { // otherwise a change of the state wakes the loop
		if until := c.record.PausedUntil; until.After(now) {
			next = earlier(next, until)
		} else {
			next = earlier(next, c.breaker.nextProbe())
		}
	}
	if c.lanes.held > 0 {
		next = earlier(next, c.lastSweep.Add(sweepEvery))
	}
	return next
}

// earlier returns the earlier of two times, ignoring zero ones.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// attempt sends the head of a busy lane once and records the outcome. Only this
// goroutine touches the head until the lane is put back; others only add behind it.
func (c *channel) attempt(ctx context.Context, l *lane, probe bool) {
	c.mu.Lock()
	d := l.queue[0]
	c.mu.Unlock()

	start := time.Now()
	status, err := c.send(ctx, l.feed, &d)
	now := time.Now()
	if ctx.Err() != nil && err != nil {
		return // the process is stopping: the attempt is repeated after its next start
	}
	v := c.judge(now, l, &d, Attempt{At: start, Status: status, Duration: now.Sub(start)}, err, probe)
	l.feed.settle(ctx, v.Outcome)

	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.work.Notify()
	c.inFlight--
	c.lastEnd = now
	switch {
	case !c.lanes.owns(l): // it was dropped together with its account or the notifier
		c.detached--
	case v.State == Pending:
		head := &l.queue[0]
		head.Attempts, head.Requests, head.NextAttemptAt = v.Attempts, v.Requests, v.NextAttemptAt
		if v.Uncounted != nil {
			head.Uncounted = v.Uncounted
		}
		l.down = v.failure.outage()
		c.lanes.postpone(l, v.NextAttemptAt)
	default:
		c.lanes.done(l)
	}
	if v.transition != unchanged { // deliveries that failed in the outage are the probes, and go first after it
		c.lanes.releaseDown(now)
	}
	c.refill()
}

// send makes the attempt. It first reads the body if it is not in memory.
func (c *channel) send(ctx context.Context, f *Feed, d *Delivery) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.settings().Timeout, timeoutError{})
	defer cancel()
	if d.Body == nil {
		body, err := f.box.Body(ctx, d.ID)
		if err != nil {
			return 0, &SendError{Cause: CauseInternal, Reason: "read event: " + err.Error(), Err: err}
		}
		d.Body = body
	}
	return c.settings().Sender.Send(ctx, d)
}

// stuckAfter is how long one turn of a channel's loop may take, and the saving of an
// outcome after an attempt. It is longer than any database statement may take.
const stuckAfter = 45 * time.Second

// Alive returns an error that names a notifier whose delivery is stuck: its loop has
// stopped turning, or its attempts exceed their timeout and keep others from starting.
// A notifier that fails, is paused or is gone is not stuck.
func (d *Dispatcher) Alive(now time.Time) error {
	for _, c := range d.all() {
		if err := c.alive(now); err != nil {
			return fmt.Errorf("notifier %s: %w", c.Name, err)
		}
	}
	return nil
}

func (c *channel) alive(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.lastTurn); since > turnEvery+stuckAfter {
		return fmt.Errorf("its delivery has been stuck for %s", since.Round(time.Second))
	}
	if since := now.Sub(c.lastEnd); c.inFlight > 0 && since > c.settings().Timeout+stuckAfter {
		return fmt.Errorf("none of its %d attempts has ended for %s", c.inFlight, since.Round(time.Second))
	}
	return nil
}
