// Package engine watches the pushes of the accounts that this process owns.
//
// A [Watcher] runs one account per owner's term. Its loop sleeps until the schedule has a
// task that is worth a poll, takes a permit from the account's limiter, polls the task,
// applies the state machine ([watcher.Rules]) to the answer and saves what that changes,
// with the events that tell of it, in one transaction. What tells nothing of a task, such
// as an outage or a refusal, goes to the account's [outage.Tracker] instead, and never
// changes a task.
//
// Of what an account is made of, only this package locks, logs and knows the time: the
// schedule, the limiter and the tracker of outages are pure.
package engine

import (
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

	"pushwatch/watcher"
)

// A Watcher watches the tasks of some accounts.
type Watcher struct {
	instance string
	registry watcher.Registry
	route    func(*watcher.Event) []string
	log      *zap.Logger
	metrics  *metrics
	current  atomic.Pointer[plan]
	clock    clock
	unsaved  atomic.Int64 // findings that are judged and saved now, of all accounts

	callbackLimits callbackLimits

	mu       sync.Mutex
	accounts map[string]*account // those that this process owns now
}

// New returns a watcher that owns no account yet: see [Watcher.Watch].
func New(cfg Config) *Watcher {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.Route == nil {
		cfg.Route = func(*watcher.Event) []string { return nil }
	}
	w := &Watcher{
		instance: cfg.Instance, registry: cfg.Registry, route: cfg.Route, log: cfg.Log,
		metrics: newMetrics(cfg.Metrics), accounts: make(map[string]*account),
	}
	w.current.Store(newPlan(cfg.Settings))
	cfg.Metrics.MustRegister(w)
	return w
}

// plan returns the settings in force.
func (w *Watcher) plan() *plan { return w.current.Load() }

// errReconfigured ends an engine that goes on with other settings.
var errReconfigured = errors.New("settings have changed")

// Reconfigure applies other settings. An account whose engine works otherwise with them
// pauses for as long as a new owner does; the others are not disturbed. Accounts that are
// new or gone are for the caller to watch, or to watch no more.
func (w *Watcher) Reconfigure(settings Settings) {
	after := newPlan(settings)
	w.current.Store(after)
	for _, a := range w.watched() {
		a.reconfigure(after)
	}
}

// reconfigure ends an engine that would work otherwise with other settings.
func (a *account) reconfigure(p *plan) {
	if next, ok := p.account(a.Name); ok && !a.plan.alike(p, a.AccountConfig, next) {
		a.leave(errReconfigured)
	}
}

// Watch watches one account as its owner. It returns nil when ctx ends, or when it
// finds that the settings do not have the account any more, and [watcher.ErrFenced] when
// the account has got another owner.
func (w *Watcher) Watch(ctx context.Context, name string, store watcher.Store) error {
	for {
		p := w.plan()
		cfg, ok := p.account(name)
		if !ok {
			return nil
		}
		if err := w.watch(ctx, p, cfg, store); !errors.Is(err, errReconfigured) {
			return err
		}
		w.log.Info("account settings changed", zap.String("account", name))
	}
}

// watch is Watch with the settings of a plan.
func (w *Watcher) watch(ctx context.Context, p *plan, cfg AccountConfig, store watcher.Store) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	a := newAccount(w, p, cfg, store)
	a.leave = leave
	w.mu.Lock()
	w.accounts[cfg.Name] = a // from here on registrations reach it, those during the loading too
	w.mu.Unlock()
	a.reconfigure(w.plan()) // which may have changed since it was read
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
	case errors.Is(err, watcher.ErrFenced):
		return err
	case errors.Is(cause, errReconfigured):
		return cause
	case cause != nil: // it was stopped, perhaps while it loaded
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

// address completes an event: its notifiers, and its frozen body.
func (w *Watcher) address(e *watcher.Event) {
	e.Notifiers = w.route(e)
	e.Body = e.Encode(w.instance)
}

// stuckAfter is how long the engine's loop may take for one turn, which waits for
// nothing but the account's lock.
const stuckAfter = 30 * time.Second

// Alive returns an error that names an account whose loop no longer turns. One that
// is still being loaded has no loop yet.
func (w *Watcher) Alive(now time.Time) error {
	for _, a := range w.watched() {
		var turned time.Time
		a.with(func(s *state) { turned = s.turned })
		if since := now.Sub(turned); !turned.IsZero() && since > stuckAfter {
			return fmt.Errorf("account %s: its polling has been stuck for %s", a.Name, since.Round(time.Second))
		}
	}
	return nil
}
