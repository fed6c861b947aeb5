// Package engine watches the pushes of the accounts that this process owns.
//
// A [Watcher] runs a loop for each account. The loop sleeps until the schedule has a task that
// is worth a poll, takes a permit from the account's limiter, polls the task, applies the state
// machine ([watcher.Rules]) to the answer and saves the change with its events in one
// transaction. A poll that fails, for example in an outage, goes to the account's
// [outage.Tracker] and never changes the state of a task.
//
// Only this package locks, logs and reads the clock: schedule, limiter and tracker are pure.
package engine

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
	unsaved  atomic.Int64 // findings being saved, of all accounts

	callbackLimits sync.Map // *rate.Limiter of the tasks that callbacks register, by application

	mu       sync.Mutex
	accounts map[string]*account // those that this process owns
}

// New returns a watcher that owns no account: see [Watcher.Watch].
func New(cfg Config) *Watcher {
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	cfg.Metrics = cmp.Or(cfg.Metrics, prometheus.Registerer(prometheus.NewRegistry()))
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

// plan returns the current settings.
func (w *Watcher) plan() *plan { return w.current.Load() }

// errReconfigured stops an account that restarts with other settings.
var errReconfigured = errors.New("settings have changed")

// Reconfigure applies other settings. An account that they affect restarts, with the pause of
// a new owner; the others go on. The caller watches new accounts and stops watching old ones.
func (w *Watcher) Reconfigure(settings Settings) {
	after := newPlan(settings)
	w.current.Store(after)
	for _, a := range w.watched() {
		a.reconfigure(after)
	}
}

// reconfigure restarts the account if other settings affect it.
func (a *account) reconfigure(p *plan) {
	if next, ok := p.account(a.Name); ok && !a.plan.alike(p, a.AccountConfig, next) {
		a.leave(errReconfigured)
	}
}

// Watch watches one account as its owner. It returns nil when ctx ends or the settings do not
// have the account any more, and [watcher.ErrFenced] when the account has another owner.
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
	w.accounts[cfg.Name] = a // registrations reach it from now on, also while it loads
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
	case cause != nil: // stopped, perhaps while it loaded
		return nil
	}
	return err
}

// owned returns the engine of an account; nil: this process does not own it.
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

// stuckAfter is the longest turn of an account's loop, which waits only for the account's lock.
const stuckAfter = 30 * time.Second

// Alive returns an error that names an account whose loop is stuck. An account that still loads
// has no loop yet.
func (w *Watcher) Alive(now time.Time) error {
	for _, a := range w.watched() {
		var turned time.Time
		a.with(func(s *state) { turned = s.lastTurn })
		if since := now.Sub(turned); !turned.IsZero() && since > stuckAfter {
			return fmt.Errorf("account %s: its polling has been stuck for %s", a.Name, since.Round(time.Second))
		}
	}
	return nil
}
