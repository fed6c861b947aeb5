package engine

import (
	"context"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// Rehome gives the live tasks of accounts that no process's settings name, perhaps since
// one was renamed, to the accounts of their applications. What belongs to no
// account of these settings is left as it is.
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

// adopt gives a task to the engine of its account, where this process owns that, and to
// no other.
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
