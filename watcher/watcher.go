// Package watcher follows whiteboard pushes in Tencent's cloud until they end.
//
// A [Task] moves through its [State] values as polls of the [Cloud] show it. Each
// move is saved in one transaction with the [Event] that tells of it, so that a
// crash can neither lose nor repeat one. Nothing is sent from here: package
// notify does that, from what is saved.
//
// A [Watcher] holds one engine per account that this process owns. The engine
// takes a permit from the account's [Limiter], takes the task that its schedule
// finds most urgent, polls it, has the state machine ([Rules.Apply]) say what the
// answer changes, and saves that. What tells nothing of a task, such as an outage
// or a refusal, goes to the breakers of the account and its applications instead,
// and never changes a task.
package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Config says what a [Watcher] watches and how. A zero field is its default.
type Config struct {
	Instance string // names this installation in the events
	Accounts []AccountConfig
	Rules    Rules
	Registry Registry

	MaxStaleness   time.Duration // every live task is due this often; default 1 m
	MinInterval    time.Duration // and polled no more often than this; default 1 s
	Thrift         time.Duration // a push with a change an hour is polled this often, the others as they deserve; 0: the whole quota is used
	RequestTimeout time.Duration // of one request, its answer included; default 5 s
	BlindAfter     time.Duration // what can't be observed for this long is told as blind; default 1 m

	// Route names the notifiers that an event goes to, at the time it is saved.
	Route func(*Event) []string

	Log     *zap.Logger           // default: none
	Metrics prometheus.Registerer // default: none
}

// AccountConfig is one set of Tencent Cloud credentials and what it is used for.
type AccountConfig struct {
	Name              string
	SDKAppIDs         []int64 // its applications; each belongs to exactly one account
	RequestsPerSecond float64 // 0 < n <= 20; default 20
	Cloud             Cloud

	// CallbackKey reads the key that TIW signs its callbacks with; nil: none is
	// set, and none is asked for.
	CallbackKey func() (string, error)
	// RegisterCallbacks registers a task that TIW calls back about and nobody has
	// registered.
	RegisterCallbacks bool
}

// MaxRequestsPerSecond is the API's own limit for an account.
// https://www.tencentcloud.com/document/product/1176/55161
const MaxRequestsPerSecond = 20

// A Watcher watches the tasks of some accounts.
type Watcher struct {
	log     *zap.Logger
	metrics *metrics
	current atomic.Pointer[plan]
	clock   clock

	mu       sync.Mutex
	accounts map[string]*account // those that this process owns now
}

// A plan is a Config with its defaults, as it was at some time. It is not changed:
// see [Watcher.Reconfigure].
type plan struct {
	Config
	byApp map[int64]AccountConfig
}

func newPlan(cfg Config) *plan {
	cfg.Rules = cfg.Rules.withDefaults()
	cfg.MaxStaleness = cmp.Or(cfg.MaxStaleness, time.Minute)
	cfg.MinInterval = cmp.Or(cfg.MinInterval, time.Second)
	cfg.RequestTimeout = cmp.Or(cfg.RequestTimeout, 5*time.Second)
	cfg.BlindAfter = cmp.Or(cfg.BlindAfter, time.Minute)
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.Route == nil {
		cfg.Route = func(*Event) []string { return nil }
	}
	p := &plan{Config: cfg, byApp: make(map[int64]AccountConfig)}
	p.Accounts = slices.Clone(cfg.Accounts)
	for i := range p.Accounts {
		a := &p.Accounts[i]
		a.RequestsPerSecond = cmp.Or(a.RequestsPerSecond, MaxRequestsPerSecond)
		for _, app := range a.SDKAppIDs {
			p.byApp[app] = *a
		}
	}
	return p
}

// account returns the settings of an account.
func (p *plan) account(name string) (AccountConfig, bool) {
	i := slices.IndexFunc(p.Accounts, func(a AccountConfig) bool { return a.Name == name })
	if i < 0 {
		return AccountConfig{}, false
	}
	return p.Accounts[i], true
}

// New returns a watcher that owns no account yet: see [Watcher.Watch].
func New(cfg Config) *Watcher {
	p := newPlan(cfg)
	w := &Watcher{log: p.Log, metrics: newMetrics(p.Metrics), accounts: make(map[string]*account)}
	w.current.Store(p)
	p.Metrics.MustRegister(w)
	return w
}

// plan returns the settings in force.
func (w *Watcher) plan() *plan { return w.current.Load() }

// errReconfigured ends an engine that goes on with other settings.
var errReconfigured = errors.New("settings have changed")

// Reconfigure puts other settings in force: the accounts, the rules and the times.
// What else cfg holds stays as [New] was given it. An account whose engine works
// otherwise with the new settings pauses for as long as a new owner does; the
// others are not disturbed. Accounts that are new or gone are for the caller to
// watch, or to watch no more.
func (w *Watcher) Reconfigure(cfg Config) {
	before := w.plan()
	cfg.Instance, cfg.Registry, cfg.Route, cfg.Log, cfg.Metrics = before.Instance, before.Registry, before.Route, before.Log, before.Metrics
	after := newPlan(cfg)
	w.current.Store(after)
	for _, a := range w.watched() {
		a.followPlan(after)
	}
}

// followPlan ends an engine that would work otherwise with other settings.
func (a *account) followPlan(p *plan) {
	if next, ok := p.account(a.Name); ok && !a.plan.alike(p, a.AccountConfig, next) {
		a.leave(errReconfigured)
	}
}

// alike reports whether an account's engine works the same in p and q, in which
// its settings are a and b.
func (p *plan) alike(q *plan, a, b AccountConfig) bool {
	return p.Rules == q.Rules && p.MaxStaleness == q.MaxStaleness && p.MinInterval == q.MinInterval && p.Thrift == q.Thrift &&
		p.RequestTimeout == q.RequestTimeout && p.BlindAfter == q.BlindAfter &&
		a.Cloud == b.Cloud && a.RequestsPerSecond == b.RequestsPerSecond
}

// Watch watches one account as its owner. It returns nil when ctx ends, or when it
// finds that the settings do not have the account any more, and [ErrFenced] when the
// account has got another owner.
func (w *Watcher) Watch(ctx context.Context, name string, store Store) error {
	for {
		p := w.plan()
		cfg, ok := p.account(name)
		if !ok {
			return nil
		}
		if err := w.watch(ctx, p, cfg, store); !errors.Is(err, errReconfigured) {
			return err
		}
		w.log.Info("the settings of the account have changed", zap.String("account", name))
	}
}

// watch is Watch with the settings of a plan.
func (w *Watcher) watch(ctx context.Context, p *plan, cfg AccountConfig, store Store) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	a := newAccount(w, p, cfg, store)
	a.leave = leave
	w.mu.Lock()
	w.accounts[cfg.Name] = a // from here on registrations reach it, those during the loading too
	w.mu.Unlock()
	a.followPlan(w.plan()) // which may have changed since it was read
	defer func() {
		w.mu.Lock()
		delete(w.accounts, cfg.Name)
		w.mu.Unlock()
	}()
	err := a.load(ctx)
	if err == nil {
		err = a.run(ctx)
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(err, ErrFenced):
		return err
	case errors.Is(cause, errReconfigured):
		return cause
	case cause != nil: // it was stopped, while it loaded for all that matters
		return nil
	}
	return err
}

// owned returns the engine of an account, nil where another process has it.
func (w *Watcher) owned(name string) *account {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.accounts[name]
}

// watched returns the engines of the accounts that this process owns, by name.
func (w *Watcher) watched() []*account {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*account
	for _, name := range slices.Sorted(maps.Keys(w.accounts)) {
		all = append(all, w.accounts[name])
	}
	return all
}

// address completes an event: whom to tell, and its frozen body.
func (w *Watcher) address(e *Event) {
	e.Notifiers = w.plan().Route(e)
	e.Body = e.encode(w.plan().Instance)
}

// Register has pushes watched: all of them, or none where one is faulty, for
// which the error joins a [*FieldError] each. It returns the tasks as they stand
// now, in the order asked for, and which of them are watched from this call on.
// A task that is registered already is returned as it is, its labels too; where
// reopen is set, one that has ended is watched anew.
//
// An SDKAppID of 0 stands for the only application, where only one is configured.
func (w *Watcher) Register(ctx context.Context, wanted []Registration, reopen bool) ([]TaskView, []bool, error) {
	now, p := time.Now(), w.plan()
	tasks := make([]Task, len(wanted))
	var faults []error
	for i, r := range wanted {
		if r.SDKAppID == 0 && len(p.byApp) == 1 {
			for app := range p.byApp {
				r.SDKAppID = app
			}
		}
		errs := r.Validate()
		account, ok := p.byApp[r.SDKAppID]
		if !ok && r.SDKAppID > 0 {
			errs = append(errs, &FieldError{"sdk_app_id", r.SDKAppID, "one of the configured applications: " + p.applications()})
		}
		for _, err := range errs {
			if fault, ok := errors.AsType[*FieldError](err); ok && len(wanted) > 1 {
				fault.Field = fmt.Sprintf("tasks[%d].%s", i, fault.Field)
			}
		}
		faults = append(faults, errs...)
		tasks[i] = Task{
			Key: r.Key, Account: account.Name, State: Registered, Labels: r.Labels,
			ExpectedStopAt: r.ExpectedStopAt, RegisteredAt: now, Version: 1,
		}
	}
	if len(faults) > 0 {
		return nil, nil, errors.Join(faults...)
	}
	saved, created, err := w.plan().Registry.Register(ctx, tasks, reopen)
	if err != nil {
		return nil, nil, fmt.Errorf("register: %w", err)
	}
	views := make([]TaskView, len(saved))
	for i, t := range saved {
		if created[i] {
			w.adopt(t)
		}
		views[i] = w.view(t)
	}
	return views, created, nil
}

// applications lists the configured applications, for an error's text.
func (p *plan) applications() string {
	const most = 10
	apps := slices.Sorted(maps.Keys(p.byApp))
	text := fmt.Sprint(apps[:min(most, len(apps))])
	if len(apps) > most {
		text += fmt.Sprintf(" and %d more", len(apps)-most)
	}
	return text
}

// A TaskView is a task with what only its account's engine knows.
type TaskView struct {
	Task
	NextPollAt time.Time // about; zero: ended, or watched by another process
}

// view adds to a saved task what its engine knows better: when it was last polled,
// which is not saved where that changed nothing.
func (w *Watcher) view(t Task) TaskView {
	a := w.owned(t.Account)
	if a == nil || t.State.Ended() {
		return TaskView{Task: t}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.tasks[t.Key]
	if e == nil {
		return TaskView{Task: t}
	}
	now := time.Now()
	if e.version == t.Version {
		t.LastObservedAt, t.LastPolledAt = e.observed.time(now), e.asked.time(now)
	}
	return TaskView{Task: t, NextPollAt: a.scheduleOf(t.SDKAppID).expected(e, now)}
}

// Task returns one task; [ErrNoTask] where there is none.
func (w *Watcher) Task(ctx context.Context, key Key) (TaskView, error) {
	t, err := w.plan().Registry.Task(ctx, key)
	if err != nil {
		return TaskView{}, err
	}
	return w.view(t), nil
}

// Tasks returns a page of tasks in the order of their keys.
func (w *Watcher) Tasks(ctx context.Context, query TaskQuery) ([]TaskView, error) {
	tasks, err := w.plan().Registry.Tasks(ctx, query)
	if err != nil {
		return nil, err
	}
	views := make([]TaskView, len(tasks))
	for i, t := range tasks {
		views[i] = w.view(t)
	}
	return views, nil
}

// Remove stops the watching of a task and hides it; [ErrNoTask] where there is
// none.
func (w *Watcher) Remove(ctx context.Context, key Key) error {
	t, err := w.plan().Registry.Task(ctx, key)
	if err != nil {
		return err
	}
	if err := w.plan().Registry.Remove(ctx, key); err != nil {
		return err
	}
	if a := w.owned(t.Account); a != nil {
		w.forget(ctx, a, key)
	}
	return nil
}

// forget has an engine drop a task that was removed. It may have been registered
// again since, and adopted before it was dropped: so it is read once more. Where it
// is removed yet again at this moment it is polled in vain until its next change,
// which is harmless; one that is live and not polled would not be.
func (w *Watcher) forget(ctx context.Context, a *account, key Key) {
	a.drop(key)
	if t, err := w.plan().Registry.Task(ctx, key); err == nil && t.Account == a.Name && !t.State.Ended() {
		a.adopt(t)
	}
}

// stuckAfter is how long the engine's loop may take for one turn. The longest that it
// rightly waits is for a slot while the service is silent, when the request that has
// the slot gets no answer; one that is repeated at once may go before.
func (a *account) stuckAfter() time.Duration {
	return 3 * (a.plan.RequestTimeout + a.limiter.longestHold())
}

// Alive returns an error that names an account whose loop no longer turns. One that
// is still being loaded has no loop yet.
func (w *Watcher) Alive(now time.Time) error {
	for _, a := range w.watched() {
		a.mu.Lock()
		turned := a.turned
		a.mu.Unlock()
		if since := now.Sub(turned); !turned.IsZero() && since > a.stuckAfter() {
			return fmt.Errorf("account %s: its polling has been stuck for %s", a.Name, since.Round(time.Second))
		}
	}
	return nil
}
