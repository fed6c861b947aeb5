package watcher

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// poll sends one request for e and takes in what it tells. It returns an error
// where the account is no longer this process's.
func (a *account) poll(ctx context.Context, permit *Permit, e *entry) error {
	sent := time.Now()
	push, err := a.describe(ctx, permit, e.key)
	if err != nil && err.Sent == Dropped {
		if permit, ended := a.limiter.Acquire(ctx); ended == nil {
			a.metrics.polls.transient.Inc() // it was a request of its own
			sent = time.Now()
			push, err = a.describe(ctx, permit, e.key)
		}
	}
	now := time.Now()
	var lost error
	if ctx.Err() == nil { // else the answer may be our own cancellation
		if o, ok := a.judge(now, e, push, err); ok {
			lost = a.observe(ctx, e, o, sent)
		}
	}
	a.putBack(ctx, e)
	return lost
}

// putBack has e wait for its next poll, unless its task has ended or gone.
func (a *account) putBack(ctx context.Context, e *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for e.stale && !e.removed && ctx.Err() == nil {
		e.stale = false
		a.mu.Unlock()
		a.reload(ctx, e, 0)
		a.mu.Lock()
	}
	e.polling = false
	if e.removed || e.state.Ended() {
		delete(a.tasks, e.key)
	} else {
		a.enqueue(e)
	}
	a.notify()
}

// describe sends the request and returns its permit.
func (a *account) describe(ctx context.Context, permit *Permit, key Key) (Push, *CloudError) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.plan.RequestTimeout, a.timeout)
	defer cancel()
	start := time.Now()
	a.mu.Lock()
	a.sent.add(start)
	a.mu.Unlock()
	push, err := a.Cloud.Describe(ctx, key)
	a.metrics.pollSeconds.Observe(time.Since(start).Seconds())
	if err == nil {
		permit.Answered(a.Cloud.RoundTrip())
		return push, nil
	}
	fault, ok := errors.AsType[*CloudError](err)
	if !ok {
		fault = &CloudError{Code: "internal", Message: err.Error(), Sent: Unanswered, Err: err}
	}
	switch fault.Sent {
	case Unanswered, Dropped:
		permit.Abandoned()
	case Unsent:
		permit.Unsent()
	default:
		permit.Answered(a.Cloud.RoundTrip())
	}
	return Push{}, fault
}

// judge decides what an answer tells: of the task, which it returns as an
// observation, or only of the way to it.
func (a *account) judge(now time.Time, e *entry, push Push, fault *CloudError) (Observation, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case fault == nil:
		a.metrics.polls.ok.Inc()
		a.sighted(now, e)
		e.resume()
		return Observation{At: now, Push: &push}, true

	case fault.Kind == FailedTask || fault.Kind == UnknownTask:
		a.metrics.polls.taskError.Inc()
		a.sighted(now, e)
		e.resume()
		return Observation{At: now, Error: fault}, true

	case fault.Kind == BadTask:
		a.metrics.polls.taskError.Inc()
		a.sighted(now, e)
		e.putOff(now, time.Minute) // another poll will hardly mend it
		return Observation{At: now, Error: fault}, true
	}
	app := e.key.SDKAppID
	a.darken(now, app, fault)
	switch {
	case fault.Kind == Throttled: // the task's last poll stays what it was, so it is soon first again
		a.metrics.polls.throttled.Inc()
		a.throttled(now, app, fault)

	case fault.Kind == DeniedApplication:
		a.metrics.polls.denied.Inc()
		a.reached()
		a.charge(now, app, fault)

	case fault.Kind == DeniedAccount:
		a.metrics.polls.denied.Inc()
		a.failed(now, app, fault)

	default:
		a.metrics.polls.transient.Inc()
		e.putOff(now, 10*time.Second)
		a.failed(now, app, fault)
	}
	if x := a.apps[app]; x != nil {
		x.undecided(now)
	}
	return Observation{}, false
}

// putOff keeps a task that told nothing from being asked again at once.
func (e *entry) putOff(now time.Time, most time.Duration) {
	e.notBefore = tickOf(now.Add(min(most, time.Second<<min(e.failures, 10))))
	e.failures = min(e.failures+1, maxFailures)
}

// resume ends that, as the task has told something.
func (e *entry) resume() { e.failures, e.notBefore = 0, never }

// reached notes that the service answers. a.mu is held.
func (a *account) reached() {
	if cause := a.whole.cause; a.whole.answered() {
		a.log.Info("the service can be reached again", zap.NamedError("was", cause))
	}
}

// sighted notes that e's account and application can be observed. a.mu is held.
func (a *account) sighted(now time.Time, e *entry) {
	a.reached()
	a.brighten(now, e.key.SDKAppID)
	a.relieve(e.key.SDKAppID)
}
