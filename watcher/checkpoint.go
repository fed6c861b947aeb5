package watcher

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

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
		a.touch(ctx, last)
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

// touch saves the times of the polls since a time. It is also what notices a store
// that takes no writes while no push changes.
func (a *account) touch(ctx context.Context, since time.Time) {
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
		return
	}
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := a.store.Touch(saving, polled); err == nil || ctx.Err() == nil {
		a.noteWrite(err)
	}
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
