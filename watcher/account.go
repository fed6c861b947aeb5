package watcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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
	due     chan due      // to idle goroutines that poll
	wake    chan struct{} // the schedule has something it had not before; holds at most one
	say     chan struct{} // there is something unsaid; holds at most one

	mu       sync.Mutex
	tasks    map[Key]*entry // every live task
	schedule *schedule
	clock    clock
	whole    *breaker           // of the account
	apps     map[int64]*breaker // of its applications; one that never failed has none
	sights   map[int64]*sight   // of both, likewise
	unsaid   []Event            // announcements that are not saved yet
	parked   map[int64][]*entry // tasks of a denied application, out of the schedule
	turned   time.Time          // when the loop last went round
	sent     meter              // requests
	starts   lateness           // how late they are seen
	stops    lateness           // likewise

	storeFailed time.Time // since when nothing can be saved; zero: it can
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
		apps:     make(map[int64]*breaker),
		sights:   make(map[int64]*sight),
		parked:   make(map[int64][]*entry),
		turned:   time.Now(),
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
		a.adopt(t, false)
		n++
		return nil
	})
	if err != nil {
		return fmt.Errorf("load tasks of account %s: %w", a.Name, err)
	}
	a.log.Info("watching account", zap.Int("tasks", n), zap.Float64("requests_per_second", a.RequestsPerSecond))
	return nil
}

// recall reads what was learnt in earlier runs. What cannot be read is learnt anew.
func (a *account) recall(ctx context.Context) error {
	text, err := a.store.Learned(ctx)
	if err != nil {
		return fmt.Errorf("load what account %s has learnt: %w", a.Name, err)
	}
	if len(text) == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.schedule.hazards.UnmarshalJSON(text); err != nil {
		a.log.Warn("what was learnt of this account's pushes cannot be read: it is learnt anew", zap.Error(err))
	}
	return nil
}

// retain saves what was learnt.
func (a *account) retain(ctx context.Context) error {
	a.mu.Lock()
	text, err := a.schedule.hazards.MarshalJSON()
	a.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return a.store.SaveLearned(ctx, text)
}

// adopt takes in a live task as it is saved now, and polls it soon where that is
// asked for.
func (a *account) adopt(t Task, soon bool) {
	t.anchor(time.Now())
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.tasks[t.Key]
	switch {
	case e == nil:
		e = newEntry(&t)
		e.urgent = soon
		a.tasks[t.Key] = e
		a.enqueue(e)
	case e.polling:
		e.removed, e.stale = false, e.stale || t.Version > e.version
		e.urgent = e.urgent || soon
	default:
		a.dequeue(e)
		if t.Version > e.version {
			asked := e.asked
			e.keep(&t)
			e.asked = max(asked, e.asked)
		}
		e.urgent = e.urgent || soon
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

// enqueue puts an entry where it waits for its next poll: in the schedule, or
// among those of its application while that is denied. a.mu is held.
func (a *account) enqueue(e *entry) {
	if b := a.apps[e.key.SDKAppID]; b != nil && b.open() {
		a.park(e)
		return
	}
	a.schedule.put(e, time.Now())
}

// park puts an entry among those of its application. a.mu is held.
func (a *account) park(e *entry) {
	app := e.key.SDKAppID
	a.parked[app] = append(a.parked[app], e)
	e.parked = true
}

// dequeue takes an entry from where it waits. a.mu is held.
func (a *account) dequeue(e *entry) {
	a.schedule.remove(e)
	if e.parked {
		app := e.key.SDKAppID
		i := slices.Index(a.parked[app], e)
		a.parked[app] = slices.Delete(a.parked[app], i, i+1)
		e.parked = false
	}
}

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
const silence = 1200 * time.Millisecond

// run polls until ctx ends, or until the account has another owner: then it
// returns [ErrFenced]. What is being saved then is awaited.
func (a *account) run(ctx context.Context) error {
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	var polls sync.WaitGroup
	defer polls.Wait()
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
		e := a.take(time.Now())
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

// send has a goroutine poll what is due: one that has polled before, where one is
// idle, since its stack has grown already to what a request takes.
func (a *account) send(ctx context.Context, polls *sync.WaitGroup, d due, lost context.CancelCauseFunc) {
	select {
	case a.due <- d:
		return
	default:
	}
	polls.Go(func() {
		for {
			if err := a.poll(ctx, d.permit, d.entry); err != nil {
				lost(err)
			}
			select {
			case d = <-a.due:
			case <-ctx.Done():
				return
			}
		}
	})
}

// sleep waits until a poll may be due, and reports whether to go on.
func (a *account) sleep(ctx context.Context) bool {
	for ctx.Err() == nil {
		now := time.Now()
		a.mu.Lock()
		a.turned = now
		a.tellBlind(now)
		jump := a.clock.jumped(now)
		wait := a.wait(now)
		a.mu.Unlock()
		if jump != 0 {
			a.log.Warn("the wall clock was set: polling is not disturbed, but times in events jump with it", zap.Duration("by", jump))
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
	if at, ok := a.schedule.next(now); ok {
		wait = at.Sub(now)
	}
	for app := range a.parked {
		if len(a.parked[app]) > 0 {
			_, at := a.apps[app].allows(now)
			wait = min(wait, at.Sub(now))
		}
	}
	if ok, at := a.whole.allows(now); !ok {
		wait = max(wait, at.Sub(now))
	}
	return wait
}

// take removes the task to poll now from where it waits; nil: none may be polled.
func (a *account) take(now time.Time) *entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ok, _ := a.whole.allows(now); !ok {
		return nil
	}
	e := a.probe(now)
	if e == nil {
		e = a.schedule.take(now, a.limiter.Rate())
	}
	if e == nil {
		return nil
	}
	a.sent.add(now)
	a.whole.sent()
	if b := a.apps[e.key.SDKAppID]; b != nil {
		b.sent()
	}
	e.polling = true
	return e
}

// probe takes a task of a denied application whose turn it is. a.mu is held.
func (a *account) probe(now time.Time) *entry {
	for app, parked := range a.parked {
		if len(parked) == 0 {
			continue
		}
		if ok, _ := a.apps[app].allows(now); ok {
			e := parked[0]
			parked[0] = nil
			a.parked[app] = parked[1:]
			e.parked = false
			return e
		}
	}
	return nil
}

// poll sends one request for e and takes in what it tells. It returns an error
// where the account is no longer this process's.
func (a *account) poll(ctx context.Context, permit *Permit, e *entry) error {
	sent := time.Now()
	push, err := a.describe(ctx, permit, e.key)
	if err != nil && err.Stale {
		if permit, ended := a.limiter.Acquire(ctx); ended == nil {
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
	push, err := a.Cloud.Describe(ctx, key)
	a.metrics.pollSeconds.Observe(time.Since(start).Seconds())
	if err == nil {
		permit.Answered(a.Cloud.RoundTrip())
		return push, nil
	}
	fault, ok := errors.AsType[*CloudError](err)
	if !ok {
		fault = &CloudError{Code: "internal", Message: err.Error(), Unanswered: true, Err: err}
	}
	switch {
	case fault.Unanswered:
		permit.Abandoned()
	case fault.Unsent:
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
		return Observation{At: now, Push: &push}, true

	case fault.Kind == FailedTask || fault.Kind == UnknownTask || fault.Kind == BadTask:
		a.metrics.polls.taskError.Inc()
		a.sighted(now, e)
		if fault.Kind == BadTask { // another poll will hardly mend it
			e.putOff(now, time.Minute)
		}
		return Observation{At: now, Error: fault}, true

	}
	a.darken(now, e.key.SDKAppID, fault)
	switch {
	case fault.Kind == Throttled: // the task's last poll stays what it was, so it is soon first again
		a.metrics.polls.throttled.Inc()
		a.reached()
		if b := a.apps[e.key.SDKAppID]; b != nil {
			b.undecided(now)
		}
		if a.limiter.Throttled(now) {
			a.log.Warn("others use the account's quota: polling slower", zap.Float64("requests_per_second", a.limiter.Rate()), zap.String("error", fault.Code))
		}

	case fault.Kind == Denied:
		a.metrics.polls.denied.Inc()
		a.denied(now, e, fault)

	default:
		a.metrics.polls.transient.Inc()
		e.putOff(now, 10*time.Second)
		if a.whole.failed(now, fault) {
			a.log.Warn("the service cannot be reached: probing", zap.Error(fault))
		}
		if b := a.apps[e.key.SDKAppID]; b != nil {
			b.undecided(now)
		}
	}
	return Observation{}, false
}

// putOff keeps a task that told nothing from being asked again at once.
func (e *entry) putOff(now time.Time, most time.Duration) {
	e.notBefore = tickOf(now.Add(min(most, time.Second<<min(e.failures, 10))))
	e.failures = min(e.failures+1, maxFailures)
}

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
	e.failures, e.notBefore = 0, never
	app := e.key.SDKAppID
	b := a.apps[app]
	if b == nil {
		return
	}
	if b.answered() {
		a.log.Info("application can be observed again", zap.Int64("sdk_app_id", app), zap.Int("tasks", len(a.parked[app])+1))
	}
	delete(a.apps, app)
	for _, p := range a.parked[app] {
		p.parked = false
		a.schedule.put(p, time.Now())
	}
	delete(a.parked, app)
}

// denied notes that the service refuses to tell of e's application, or of the
// whole account. It says nothing of any task. a.mu is held.
func (a *account) denied(now time.Time, e *entry, fault *CloudError) {
	if fault.WholeAccount {
		if a.whole.failed(now, fault) {
			a.log.Error("account is denied: probing", zap.Error(fault))
		}
		return
	}
	a.reached()
	app := e.key.SDKAppID
	b := a.apps[app]
	if b == nil {
		b = newBreaker(deniedThreshold)
		a.apps[app] = b
	}
	if !b.failed(now, fault) {
		return
	}
	for _, other := range a.tasks {
		if other.key.SDKAppID == app && !other.polling && !other.parked {
			a.schedule.remove(other)
			a.park(other)
		}
	}
	a.log.Error("application is denied: probing", zap.Int64("sdk_app_id", app), zap.Int("tasks", len(a.parked[app])+1), zap.Error(fault))
}

// observe applies an observation, asked for at polled, to e's task and saves what
// it changes. Most change nothing, which the entry knows; for the others the whole
// task is read. Only this goroutine writes to the entry while it is polling.
func (a *account) observe(ctx context.Context, e *entry, o Observation, polled time.Time) error {
	before := e.brief(o.At)
	next, events := a.plan.Rules.Apply(before, o)
	if len(events) == 0 && !e.news(&next) {
		next.LastPolledAt = polled
		a.learn(e, &before, &next)
		return nil
	}
	for attempt := 0; ; attempt++ {
		// After a save of which the outcome is not known, this is also what tells
		// it: where the change was saved after all, the observation changes nothing.
		before, live := a.reload(ctx, e, attempt)
		if !live {
			return nil
		}
		next, events := a.plan.Rules.Apply(before, o)
		next.LastPolledAt = polled
		if len(events) == 0 && !worthSaving(&before, &next) {
			a.learn(e, &before, &next)
			return nil
		}
		next.Version++
		for i := range events {
			a.watcher.address(&events[i])
		}
		err := a.save(ctx, Change{Task: next, Events: events})
		a.noteStore(err)
		if err == nil {
			a.learn(e, &before, &next)
			a.told(next, events)
			return nil
		}
		if errors.Is(err, ErrFenced) {
			return err
		}
	}
}

// noteStore notes whether the store takes writes, and logs when that changes.
func (a *account) noteStore(err error) {
	ok := err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !ok && a.storeFailed.IsZero():
		a.storeFailed = time.Now()
		a.log.Error("the database takes no writes: look at its disk and its connection; what was seen is kept, or seen again, and written when it can be", zap.Error(err))
	case ok && !a.storeFailed.IsZero():
		a.log.Info("the database takes writes again", zap.Duration("after", time.Since(a.storeFailed)))
		a.storeFailed = time.Time{}
	}
}

// saveTimeout bounds one try to save, and the waiting for it when polling stops.
const saveTimeout = 15 * time.Second

// save writes a change. It outlives ctx: what was seen is saved even while the
// process is stopping.
func (a *account) save(ctx context.Context, c Change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return a.store.Save(ctx, c)
}

// reload reads e's task as it is saved, for as long as the store fails, and adds
// what only the engine knows of it. It reports whether there is a live task to go
// on with.
func (a *account) reload(ctx context.Context, e *entry, attempt int) (Task, bool) {
	for ; ; attempt++ {
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return Task{}, false
			case <-time.After(retryAfter(attempt)):
			}
		}
		saved, err := a.store.Task(ctx, e.key)
		switch {
		case err == nil:
			now := time.Now()
			saved.anchor(now)
			a.mu.Lock()
			defer a.mu.Unlock()
			saved.Memory.Doubt = e.memory.Doubt
			if saved.Version == e.version { // the times of the last polls are saved only now and then
				saved.LastObservedAt, saved.LastPolledAt = e.observed.time(now), e.asked.time(now)
			}
			e.keep(&saved)
			return saved, !saved.State.Ended()
		case errors.Is(err, ErrNoTask):
			a.mu.Lock()
			defer a.mu.Unlock()
			e.removed = true
			return Task{}, false
		case ctx.Err() != nil:
			return Task{}, false
		}
		a.noteStore(err)
	}
}

// learn gives e its task's next value, and teaches the schedule what that shows.
func (a *account) learn(e *entry, before, next *Task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.time(e, before, next)
	a.schedule.hazards.learn(before, next)
	e.keep(next)
}

// worthSaving reports whether an observation without an event still changed what
// is shown of the task or remembered of it. That it was observed again does not count.
func worthSaving(before, after *Task) bool {
	return !before.Memory.alike(after.Memory) || shownOf(before) != shownOf(after)
}

// told counts and logs the events that were saved.
func (a *account) told(t Task, events []Event) {
	for i := range events {
		e := &events[i]
		a.watcher.metrics.events.WithLabelValues(string(e.Type)).Inc()
		a.log.Info("task moved", zap.Stringer("task", e.Key), zap.String("event", string(e.Type)), zap.String("id", e.ID),
			zap.Int64("sequence", e.Sequence), zap.String("state", string(e.State)))
	}
	if t.State.Ended() && t.Push != nil {
		if stop := value(t.Push.PushStopTime); stop > 0 {
			a.watcher.metrics.detection.Observe(max(0, t.EndedAt.Sub(time.Unix(stop, 0)).Seconds()))
		}
	}
}

// checkpointEvery is how often the times of the last polls are saved. After a
// crash at most this much of them is lost.
const checkpointEvery = 30 * time.Second

// retainEvery is how many checkpoints apart what was learnt is saved.
const retainEvery = 10

// checkpoints inspects the account and saves the times of the last polls and what
// was learnt, now and then and at the end.
func (a *account) checkpoints(ctx context.Context) {
	last := time.Now()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
		case <-time.After(checkpointEvery):
		}
		start := time.Now()
		a.inspect(start)
		if err := a.touch(ctx, last); err != nil && ctx.Err() == nil {
			a.log.Warn("save poll times", zap.Error(err))
		}
		if n%retainEvery == 0 || ctx.Err() != nil {
			if err := a.retain(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("save what was learnt", zap.Error(err))
			}
		}
		if ctx.Err() != nil {
			return
		}
		last = start
	}
}

// touch saves the times of the polls since a time.
func (a *account) touch(ctx context.Context, since time.Time) error {
	a.mu.Lock()
	var polled []Task
	from, now := tickOf(since), time.Now()
	for _, e := range a.tasks {
		if e.asked >= from {
			polled = append(polled, e.brief(now))
		}
	}
	a.mu.Unlock()
	if len(polled) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return a.store.Touch(ctx, polled)
}
