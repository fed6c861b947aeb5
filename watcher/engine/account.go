package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/loop"
)

// An account runs one account while this process owns it: it polls the live tasks within
// the account's limit and saves what changes.
type account struct {
	AccountConfig
	watcher   *Watcher
	plan      *plan                   // the settings that it was started with
	leave     context.CancelCauseFunc // ends it
	store     watcher.Store
	log       *zap.Logger
	metrics   *accountMetrics
	wake      loop.Signal // a task may be due sooner
	announced loop.Signal // an announcement waits to be saved

	mu    sync.Mutex
	state state // see with
}

func newAccount(w *Watcher, p *plan, cfg AccountConfig, store watcher.Store) *account {
	return &account{
		AccountConfig: cfg, watcher: w, plan: p, store: store,
		log: w.log.With(zap.String("account", cfg.Name)), metrics: w.metrics.account(cfg.Name),
		wake: loop.NewSignal(), announced: loop.NewSignal(),
		state: newState(p, cfg.RequestsPerSecond),
	}
}

// with calls f under the account's lock. It is the only access to the state.
func (a *account) with(f func(s *state)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.state)
}

// load reads the account's live tasks from the store.
func (a *account) load(ctx context.Context) error {
	blind, err := a.store.Blind(ctx)
	if err != nil {
		return fmt.Errorf("load outages of account %s: %w", a.Name, err)
	}
	a.with(func(s *state) { s.outages.Restore(blind, time.Now()) })
	if err := a.loadLearned(ctx); err != nil {
		return err
	}
	n := 0
	err = a.store.Live(ctx, func(t watcher.Task) error {
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

// adopt adds a live task, or updates it to what is saved.
func (a *account) adopt(t watcher.Task) {
	a.with(func(s *state) { s.adopt(t, time.Now()) })
	a.wake.Notify()
}

// drop removes a task.
func (a *account) drop(key watcher.Key) {
	a.with(func(s *state) { s.drop(key) })
}

// hurryOnce is the least time between two hurried polls of a task.
const hurryOnce = time.Second

// hurry polls a live task next.
func (a *account) hurry(key watcher.Key) {
	a.with(func(s *state) { s.hurry(key, time.Now()) })
	a.wake.Notify()
}
