package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/limit"
	"pushwatch/watcher/loop"
)

const (
	// turnTime is the longest sleep of the loop, so that Alive can tell that it runs.
	turnTime = 2 * time.Second

	// silence is how long a new owner waits before its first poll: for a second the
	// service may still count requests of the owner before it. The rest is for requests
	// that were late on their way.
	silence = 1050 * time.Millisecond

	// maxUnsaved findings of all accounts, at some 25 kB each, may wait to be saved. Then
	// polling pauses: a slow or failing store must not fill the memory.
	maxUnsaved   = 500
	unsavedPause = 50 * time.Millisecond

	// noneTaken is the pause after a task was due and its poll is not worth it yet.
	noneTaken = 10 * time.Millisecond
)

// run polls until ctx ends, or returns [watcher.ErrFenced] when the account has another
// owner. It waits for the polls under way to be saved.
//
// This is the path of every poll: sleep until a task may be polled, take a permit and the
// task, send the request, record the answer, put the task back.
func (a *account) run(ctx context.Context) error {
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { a.checkpoints(ctx) })
	work.Go(func() { a.announcements(ctx) })
	loop.Sleep(ctx, silence)
	for {
		t, permit := a.next(ctx)
		if t == nil {
			break
		}
		work.Go(func() {
			if err := a.poll(ctx, t, permit); err != nil {
				lost(err)
			}
		})
	}
	if errors.Is(context.Cause(ctx), watcher.ErrFenced) {
		return watcher.ErrFenced
	}
	return nil
}

// next sleeps until a task may be polled, and takes it with a permit. The request must be
// sent at once. It returns nil when ctx ends.
func (a *account) next(ctx context.Context) (t *task, permit limit.Permit) {
	for ctx.Err() == nil {
		now := time.Now()
		var again time.Time
		a.with(func(s *state) {
			s.lastTurn = now
			a.apply(s, now, s.outages.Check(now))
			if a.watcher.unsaved.Load() >= maxUnsaved {
				again = now.Add(unsavedPause)
				return
			}
			t, permit, again = s.take(now)
		})
		if t != nil {
			return t, permit
		}
		a.watcher.noticeClock(now)
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-time.After(again.Sub(now)):
		}
	}
	return nil, 0
}

// poll sends one request for a task, records the answer and puts the task back. It returns
// an error if the account has another owner.
func (a *account) poll(ctx context.Context, t *task, permit limit.Permit) error {
	sent := time.Now()
	push, fault := a.describe(ctx, t.Key)
	finding := a.record(ctx, time.Now(), t, permit, push, fault)
	var err error
	if finding != nil {
		a.watcher.unsaved.Add(1)
		err = a.judge(ctx, t, finding, sent)
		a.watcher.unsaved.Add(-1)
	}
	a.putBack(ctx, t)
	return err
}

// describe sends one request.
func (a *account) describe(ctx context.Context, key watcher.Key) (watcher.Push, *watcher.CloudError) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.plan.RequestTimeout, a.plan.timeout)
	defer cancel()
	start := time.Now()
	push, err := a.Cloud.Describe(ctx, key)
	a.metrics.pollSeconds.Observe(time.Since(start).Seconds())
	if err == nil {
		return push, nil
	}
	fault, ok := errors.AsType[*watcher.CloudError](err)
	if !ok {
		fault = &watcher.CloudError{Code: "internal", Message: err.Error(), Sent: watcher.Unanswered, Err: err}
	}
	return watcher.Push{}, fault
}

// record returns the permit and records the answer. It returns the finding about the task,
// nil if there is none.
func (a *account) record(ctx context.Context, now time.Time, t *task, permit limit.Permit, push watcher.Push, fault *watcher.CloudError) (f *finding) {
	a.with(func(s *state) {
		switch {
		case fault == nil || fault.Sent == watcher.Answered:
			s.limiter.Answered(now, permit, a.Cloud.RoundTrip())
		case fault.Sent == watcher.Unsent:
			s.limiter.Unsent(now, permit)
		default:
			s.limiter.Abandoned(now, permit)
		}
		if ctx.Err() != nil { // the fault may be our own cancellation
			return
		}
		a.metrics.polls.WithLabelValues(pollResult(fault)).Inc()
		if fault != nil && fault.Sent == watcher.Dropped && !t.repeated {
			t.repeated, t.Urgent = true, true // sent again at once: the service did not fail
			s.outages.Dropped(t.Key.SDKAppID)
			return
		}
		t.repeated = false
		var reason *watcher.CloudError // why the poll failed; nil: it is an observation
		switch {
		case fault == nil:
			f = &finding{observation: &watcher.Observation{At: now, Push: &push}}
		case fault.Kind == watcher.FailedTask, fault.Kind == watcher.UnknownTask:
			f = &finding{observation: &watcher.Observation{At: now, Error: fault}}
		default:
			reason = fault
		}
		a.apply(s, now, s.outages.Record(now, t.Key, reason))
		if reason == nil {
			t.resume()
		} else {
			f = s.unobserved(now, t, reason, a.plan.Rules)
		}
	})
	return f
}

// putBack schedules a task's next poll, unless it has ended or was removed.
func (a *account) putBack(ctx context.Context, t *task) {
	for back := false; !back; {
		a.with(func(s *state) { back = s.putBack(t, time.Now()) || ctx.Err() != nil })
		if !back {
			a.reload(ctx, t, 0)
		}
	}
	a.wake.Notify()
}

// noticeClock logs that the wall clock was set.
func (w *Watcher) noticeClock(now time.Time) {
	if jump := w.clock.jumped(now); jump != 0 {
		w.log.Warn("wall clock was set", zap.Duration("by", jump), zap.String("hint", "polling is not disturbed, but times in events jump with the clock"))
	}
}
