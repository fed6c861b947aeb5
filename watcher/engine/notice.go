package engine

import (
	"context"

	"pushwatch/watcher"
)

// Notice applies the changes that other processes made to tasks of an account. It reports
// whether this process owns the account.
func (w *Watcher) Notice(account string, notes []watcher.Note) bool {
	a := w.owned(account)
	if a == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	for _, n := range notes {
		switch {
		case n.Task == nil:
			w.forget(ctx, a, n.Key)
		case n.Task.State.Ended():
		default:
			a.adopt(*n.Task)
			if n.Urgent {
				a.hurry(n.Key)
			}
		}
	}
	return true
}
