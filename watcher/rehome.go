package watcher

import (
	"context"

	"go.uber.org/zap"
)

// Rehome has the live tasks of accounts that no process's settings name, since one was
// renamed perhaps, watched by the accounts of their applications. What belongs to no
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
			w.log.Warn("the settings name an account no more: its tasks are watched by the accounts of their applications",
				zap.String("account", from), zap.Int("tasks", n))
		}
	}()
	for {
		from, tasks, err := p.Registry.Rehome(ctx, accounts)
		if err != nil || len(tasks) == 0 {
			return err
		}
		moved[from] += len(tasks)
		for _, t := range tasks {
			w.adopt(t)
		}
	}
}

// adopt has the engine of a task's account watch it, where this process owns that, and
// no other.
func (w *Watcher) adopt(t Task) {
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
