package sqlstore

import (
	"context"

	"pushwatch/watcher"
)

// SaveTogether saves changes in one transaction of their own. The account's writer must
// have nothing to do meanwhile.
func (a *Account) SaveTogether(ctx context.Context, changes []watcher.Change) error {
	group := make([]*request, len(changes))
	for i := range changes {
		group[i] = &request{task: &changes[i].Task, events: changes[i].Events, done: make(chan struct{})}
	}
	return a.commit(ctx, group)
}
