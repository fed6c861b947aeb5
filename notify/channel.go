package notify

import (
	"context"
	"sync"
	"sync/atomic"
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
	MaxAge      time.Duration // of a delivery, from its event or its replay; older ones are given up; default 72 h
	Fallback    string        // the notifier that is told when this one gives up; empty: none
}

// A channel delivers to one notifier. Everything in it is its own, so that a
// notifier that is slow, dead or hostile slows no other.
type channel struct {
	Name      string
	notifier  atomic.Pointer[Notifier] // as the settings have it now
	log       *zap.Logger
	metrics   *channelMetrics
	exhausted exhauster
	changed   chan struct{}      // there is something to look at; holds at most one
	closed    context.Context    // ends when the settings no longer name the notifier
	cancel    context.CancelFunc // ends it
	running   bool               // see [roster.run], which alone looks at it

	mu        sync.Mutex
	lanes     lanes
	positions map[*Feed]*position
	inFlight  int
	strays    int // attempts under way of lanes that were dropped
	gate      gate
	standing  Standing
	lastError string // of the last attempt; empty where it did not fail
	swept     time.Time
	turned    time.Time // when the loop last went round
	ended     time.Time // when an attempt last ended, or the first of those under way began
}

// A position says how much of an account's deliveries a channel has been given.
type position struct {
	taken  int64 // the highest position that was
	newest int64 // the highest position that was seen
	behind bool  // some between them wait in the table
}

// What a channel holds in memory; the rest waits in the table. Deliveries that
// wait for another attempt are held without their bodies, so that many failing
// ones leave room for new ones.
const (
	window    = 4096    // deliveries with their bodies
	maxHeld   = 1 << 17 // deliveries, and at most a page more
	page      = 512     // deliveries read from the table at a time
	stopGrace = 5 * time.Second
	turnTime  = 15 * time.Second // between turns at most, so that a loop that is stuck is told from an idle one
	sweepTime = time.Minute      // between looks for deliveries that are too old
)

func newChannel(n Notifier, log *zap.Logger, m *channelMetrics) *channel {
	c := &channel{
		Name: n.Name, log: log.With(zap.String("notifier", n.Name)), metrics: m,
		changed:   make(chan struct{}, 1),
		lanes:     lanes{all: make(map[laneKey]*lane)},
		positions: make(map[*Feed]*position),
		gate:      gate{most: n.MaxInFlight},
		standing:  Standing{Notifier: n.Name, State: Active},
		turned:    time.Now(),
	}
	c.notifier.Store(&n)
	c.closed, c.cancel = context.WithCancel(context.Background())
	return c
}

// now is the notifier as the settings have it.
func (c *channel) now() *Notifier { return c.notifier.Load() }

// follow has the channel go by other settings. An attempt under way is not cut off.
func (c *channel) follow(n Notifier) {
	c.notifier.Store(&n)
	c.mu.Lock()
	c.gate.most = n.MaxInFlight
	c.mu.Unlock()
	c.poke()
}

// poke has the channel look at its lanes again.
func (c *channel) poke() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// run sends what is due until ctx ends, and then waits for what is under way, for
// stopGrace at most.
func (c *channel) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(c.closed, stop)()
	attempts, cut := outlive(ctx, stopGrace)
	defer cut()
	var sends sync.WaitGroup
	defer sends.Wait()
	for ctx.Err() == nil {
		next := earlier(c.turn(attempts, &sends), time.Now().Add(turnTime))
		select {
		case <-ctx.Done():
		case <-c.changed:
		case <-time.After(time.Until(next)):
		}
	}
}

// outlive returns a context that ends so long after ctx has, or when it is cut off.
func outlive(ctx context.Context, grace time.Duration) (longer context.Context, cut context.CancelFunc) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() { time.AfterFunc(grace, end) })
	return longer, func() {
		forget()
		end()
	}
}

// turn starts every attempt that may start now, and returns when to look again;
// zero: when the channel is poked.
func (c *channel) turn(ctx context.Context, sends *sync.WaitGroup) (next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.turned = now
	next = c.lanes.wake(now)
	if now.Sub(c.swept) >= sweepTime {
		c.swept = now
		if old := c.lanes.expired(now, c.now().MaxAge); len(old) > 0 {
			sends.Go(func() { c.expire(ctx, old) })
		}
	}
	for c.standing.open(now) && c.gate.admits(now, c.inFlight) {
		l := c.lanes.next()
		if l == nil {
			break
		}
		if c.inFlight == 0 {
			c.ended = now
		}
		c.inFlight++
		probe := c.gate.sent()
		l.feed.sends.Add(1)
		sends.Go(func() {
			defer l.feed.sends.Done()
			c.attempt(ctx, l, probe)
		})
	}
	if c.lanes.ready() && c.standing.State == Active { // else a change of the standing pokes
		if until := c.standing.PausedUntil; until.After(now) {
			next = earlier(next, until)
		} else {
			next = earlier(next, c.gate.opens(now))
		}
	}
	if c.lanes.held > 0 {
		next = earlier(next, c.swept.Add(sweepTime))
	}
	return next
}

// earlier is the earlier of two times, of which a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// attempt sends the head of a busy lane once and takes in what came of it. The
// head is this goroutine's until the lane is put back; others only add behind it.
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
	v := c.judge(now, &d, Attempt{At: start, Status: status, Duration: now.Sub(start)}, err, probe)
	if v.worthSaving {
		l.feed.settle(ctx, v.Outcome)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.poke()
	c.inFlight--
	c.ended = now
	switch down, back := c.gate.learn(now, l, v.fault, probe); {
	case down:
		c.log.Warn("notifier is down: probing", zap.Int("deliveries", c.lanes.held), zap.String("error", v.fault.Reason))
	case back:
		c.log.Info("notifier is back", zap.Int("deliveries", c.lanes.held))
		c.lanes.recover(now)
	}
	switch {
	case !c.lanes.owns(l): // it went with its account, or with the notifier
		c.strays--
	case v.State == Pending:
		head := &l.queue[0]
		head.Attempts, head.NextAttemptAt = v.Attempts, v.NextAttemptAt
		l.down = v.fault.outage()
		c.lanes.postpone(l, v.NextAttemptAt)
	default:
		c.lanes.done(l)
	}
	c.refill()
}

// send makes the attempt, with the body read where it is not at hand.
func (c *channel) send(ctx context.Context, f *Feed, d *Delivery) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.now().Timeout, errTimeout)
	defer cancel()
	if d.Body == nil {
		body, err := f.box.Body(ctx, d.ID)
		if err != nil {
			return 0, &SendError{Cause: CauseInternal, Reason: "read event: " + err.Error(), Err: err}
		}
		d.Body = body
	}
	return c.now().Sender.Send(ctx, d)
}

// expire gives up the heads of busy lanes that are too old, and the deliveries
// behind them that are too.
func (c *channel) expire(ctx context.Context, old []*lane) {
	for _, l := range old {
		for c.expireHead(ctx, l) {
		}
	}
	c.poke()
}

// expireHead gives up the head of a busy lane, and reports whether the next one is
// too old as well: then the lane is still busy.
func (c *channel) expireHead(ctx context.Context, l *lane) bool {
	c.mu.Lock()
	d := l.queue[0]
	reason := "not delivered within " + c.now().MaxAge.String()
	if c.lastError != "" {
		reason += ": " + c.lastError
	}
	c.mu.Unlock()
	now := time.Now()
	o := Outcome{
		ID: d.ID, Position: d.Position, State: Dead, Attempts: d.Attempts + 1,
		Attempt: Attempt{At: now, Error: reason},
	}
	c.giveUp(&d, &o, nil)
	l.feed.settle(ctx, o)

	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lanes.owns(l) {
		c.strays--
		c.refill()
		return false
	}
	c.lanes.done(l)
	c.refill()
	if len(l.queue) > 0 && now.Sub(l.queue[0].Since) >= c.now().MaxAge {
		c.lanes.take(l)
		l.busy = true
		return true
	}
	return false
}
