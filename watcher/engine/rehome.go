package engine

import (
	"context"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// Rehome moves the live tasks of accounts that no process's settings name, for example after
// a rename, to the accounts of their applications. Tasks of no configured application stay.
func (w *Watcher) Rehome(ctx context.Context) error {
	p := w.plan()
	accounts := make(map[string][]int64)
	for _, a := range p.Accounts {
		accounts[a.Name] = a.SDKAppIDs
	}
	moved := make(map[string]int)
	defer func() {
		for from, n := range moved {
			w.log.Warn("account is not in the settings: its tasks moved", zap.String("account", from), zap.Int("tasks", n),
				zap.String("hint", "the accounts of their applications watch them now"))
		}
	}()
	for {
		from, tasks, err := w.registry.Rehome(ctx, accounts)
		if err != nil || len(tasks) == 0 {
			return err
		}
		moved[from] += len(tasks)
		for _, t := range tasks {
			w.adopt(t)
		}
	}
}

// adopt adds a task to its account's engine, if this process owns that, and removes it from
// others.
func (w *Watcher) adopt(t watcher.Task) {
	if t.Version > 1 { // it may have been in another account
		for _, a := range w.watched() {
			if a.Name != t.Account {
				a.drop(t.Key)
			}
		}
	}
	if a := w.owned(t.Account); a != nil {
		a.adopt(t)
	}
}
