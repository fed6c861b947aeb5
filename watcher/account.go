package watcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// An account is the engine of one account while this process owns it: it polls
// the account's live tasks within the account's limit and saves what changes.
type account struct {
	AccountConfig
	watcher *Watcher
	plan    *plan                   // the settings that it was started with
	leave   context.CancelCauseFunc // ends it
	store   Store
	limiter *Limiter
	log     *zap.Logger
	metrics *accountMetrics
	timeout error         // what a request without an answer ends with
	due     chan due      // to idle goroutines that poll; closed when the loop ends
	idle    atomic.Int32  // how many of these there are
	wake    chan struct{} // the schedule has something it had not before; holds at most one
	say     chan struct{} // there is something unsaid; holds at most one

	mu       sync.Mutex
	tasks    map[Key]*entry         // every live task
	schedule *schedule              // of those whose application is not set apart
	whole    *breaker               // of the account
	failing  int64                  // the application of the first of its failures in a row, or suspects
	probes   map[int64]time.Time    // when an application was last asked whether the account can be observed again
	apps     map[int64]*application // that failed of late
	probed   time.Time              // when a minor one of those set apart was polled last
	yields   bool                   // that was the last poll, so the next is for another
	sights   map[int64]*sight       // of the account and its applications; one that never failed has none
	unsaid   []Event                // announcements that are not saved yet
	turned   time.Time              // when the loop last went round; zero: not yet
	sent     meter                  // requests
	starts   lateness               // how late they are seen
	stops    lateness               // likewise

	storeFailed time.Time // since when nothing can be written; zero: it can
	unreadable  time.Time // since when no task can be read, to write what was seen; zero: it can
	overloaded  bool      // there are more tasks than can be polled often enough
}

func newAccount(w *Watcher, p *plan, cfg AccountConfig, store Store) *account {
	a := &account{
		AccountConfig: cfg, watcher: w, plan: p, store: store,
		limiter:  NewLimiter(cfg.RequestsPerSecond),
		log:      w.log.With(zap.String("account", cfg.Name)),
		metrics:  w.metrics.account(cfg.Name),
		timeout:  fmt.Errorf("no answer within %s", p.RequestTimeout),
		due:      make(chan due),
		wake:     make(chan struct{}, 1),
		say:      make(chan struct{}, 1),
		tasks:    make(map[Key]*entry),
		schedule: newSchedule(p.MinInterval, p.MaxStaleness),
		whole:    newBreaker(transientThreshold),
		probes:   make(map[int64]time.Time),
		apps:     make(map[int64]*application),
		sights:   make(map[int64]*sight),
	}
	a.schedule.floor = floor(p.Thrift)
	return a
}

// load reads the account's live tasks from the store.
func (a *account) load(ctx context.Context) error {
	blind, err := a.store.Blind(ctx)
	if err != nil {
		return fmt.Errorf("load what account %s cannot see: %w", a.Name, err)
	}
	a.remember(blind, time.Now())
	if err := a.recall(ctx); err != nil {
		return err
	}
	n := 0
	err = a.store.Live(ctx, func(t Task) error {
		a.adopt(t)
		n++
		return nil
	})
	if err != nil {
		return fmt.Errorf("load tasks of account %s: %w", a.Name, err)
	}
	a.log.Info("watching account", zap.Int("tasks", n), zap.Float64("requests_per_second", a.RequestsPerSecond))
	return nil
}

// adopt takes in a live task as it is saved now.
func (a *account) adopt(t Task) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.tasks[t.Key]
	switch {
	case e == nil:
		t.anchor(now)
		e = newEntry(&t)
		a.tasks[t.Key] = e
		a.enqueue(e)
	case e.polling:
		e.removed, e.stale = false, e.stale || t.Version > e.version
	default:
		a.dequeue(e)
		if t.Version > e.version {
			e.anchor(&t, now)
			asked, observed := e.asked, e.observed
			e.keep(&t)
			e.asked, e.observed = max(asked, e.asked), max(observed, e.observed)
		}
		a.enqueue(e)
	}
	a.notify()
}

// drop forgets a task.
func (a *account) drop(key Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch e := a.tasks[key]; {
	case e == nil:
	case e.polling:
		e.removed = true
	default:
		a.dequeue(e)
		delete(a.tasks, key)
	}
}

// enqueue has an entry wait for its next poll. a.mu is held.
func (a *account) enqueue(e *entry) { a.scheduleOf(e.key.SDKAppID).put(e, time.Now()) }

// dequeue takes an entry from where it waits. a.mu is held.
func (a *account) dequeue(e *entry) { a.scheduleOf(e.key.SDKAppID).remove(e) }

// notify has the loop look at its schedule again.
func (a *account) notify() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// idle is how long the loop sleeps at most, so that it is seen to be alive.
const idle = 2 * time.Second

// silence is how long a new owner waits before its first poll: a second, in which
// the service may still count the requests of the owner before it (a process that
// was killed a moment ago, or another machine), and a little for those that were
// late on their way.
const silence = 1050 * time.Millisecond

// run polls until ctx ends, or until the account has another owner: then it
// returns [ErrFenced]. What is being saved then is awaited.
func (a *account) run(ctx context.Context) error {
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	var polls sync.WaitGroup
	defer polls.Wait()
	defer close(a.due)
	polls.Go(func() { a.checkpoints(ctx) })
	polls.Go(func() { a.announcements(ctx) })
	select {
	case <-ctx.Done():
	case <-time.After(silence):
	}
	for {
		if !a.sleep(ctx) {
			if errors.Is(context.Cause(ctx), ErrFenced) {
				return ErrFenced
			}
			return nil
		}
		permit, err := a.limiter.Acquire(ctx) // last, right before the sending
		if err != nil {
			continue
		}
		e := a.take(time.Now(), permit)
		if e == nil {
			permit.Cancel()
			continue
		}
		a.send(ctx, &polls, due{permit, e}, lost)
	}
}

// A due is an entry to be polled now, and the permit to do so.
type due struct {
	permit *Permit
	entry  *entry
}

// spare is how many goroutines that have polled wait to do so again. While answers
// are slow there are more polls under way, and as the goroutines that made them
// share what comes later, all would keep the stack that a request takes.
const spare = 2

// send has a goroutine poll what is due: one that has polled before, where one is
// idle, since its stack has grown already to what a request takes.
func (a *account) send(ctx context.Context, polls *sync.WaitGroup, d due, lost context.CancelCauseFunc) {
	select {
	case a.due <- d:
		return
	default:
	}
	polls.Go(func() {
		for more := true; more; d, more = a.next() {
			if err := a.poll(ctx, d.permit, d.entry); err != nil {
				lost(err)
			}
		}
	})
}

// next waits for what is due, and reports whether the goroutine is to poll it:
// not where enough others wait, nor when the loop has ended.
func (a *account) next() (due, bool) {
	defer a.idle.Add(-1)
	if a.idle.Add(1) > spare {
		return due{}, false
	}
	d, ok := <-a.due
	return d, ok
}

// sleep waits until a poll may be due, and reports whether to go on.
func (a *account) sleep(ctx context.Context) bool {
	for ctx.Err() == nil {
		now := time.Now()
		a.mu.Lock()
		a.turned = now
		a.tellBlind(now)
		wait := a.wait(now)
		a.mu.Unlock()
		if jump := a.watcher.clock.jumped(now); jump != 0 {
			a.watcher.log.Warn("the wall clock was set: polling is not disturbed, but times in events jump with it", zap.Duration("by", jump))
		}
		if wait <= 0 {
			return true
		}
		timer := time.NewTimer(min(wait, idle))
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return false
}

// wait returns how long nothing can be polled. a.mu is held.
func (a *account) wait(now time.Time) time.Duration {
	wait := idle
	if !a.whole.open() {
		if at, ok := a.schedule.next(now); ok {
			wait = at.Sub(now)
		}
	} else if ok, at := a.whole.allows(now); !ok || a.probe() != nil {
		wait = at.Sub(now)
	}
	if t := a.turnOfApart(now); t.of != nil {
		wait = min(wait, t.at.Sub(now))
	}
	return wait
}

// take removes the task to poll now, with a permit, from where it waits; nil: none may
// be polled.
func (a *account) take(now time.Time, permit *Permit) *entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.choose(now)
	if e == nil {
		return nil
	}
	if x := a.apps[e.key.SDKAppID]; x != nil {
		x.sent()
		x.asked = now
		x.slots++
		permit.freed = func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			x.slots--
			a.notify()
		}
	}
	e.polling = true
	return e
}

// choose takes a task from where it waits. Those set apart go first, for they are few
// or bounded; but after a minor one the next poll is for one that is not apart. a.mu is held.
func (a *account) choose(now time.Time) *entry {
	if a.yields {
		a.yields = false
		if e := a.takeTogether(now); e != nil {
			return e
		}
	}
	if e := a.takeApart(now); e != nil {
		return e
	}
	return a.takeTogether(now)
}

// takeTogether takes a task that is not set apart, or, while the account cannot be
// observed, the one to probe it with. a.mu is held.
func (a *account) takeTogether(now time.Time) *entry {
	if !a.whole.open() {
		return a.schedule.take(now, a.rate(a.schedule))
	}
	if ok, _ := a.whole.allows(now); !ok {
		return nil
	}
	e := a.probe()
	if e == nil {
		return nil
	}
	a.dequeue(e)
	e.urgent = false
	a.probes[e.key.SDKAppID] = now
	a.whole.sent()
	return e
}
