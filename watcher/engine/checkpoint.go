package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/loop"
)

// checkpointEvery is the interval of checkpoints: a crash loses the poll times of at most
// that.
const checkpointEvery = 30 * time.Second

// saveLearnedEvery is after how many checkpoints the learned hazards are saved.
const saveLearnedEvery = 10

// checkpoints inspects the account and saves its poll times and learned hazards, at
// intervals and when ctx ends.
func (a *account) checkpoints(ctx context.Context) {
	last, wait := time.Now(), rand.N(checkpointEvery) // the accounts do not write all at once
	for n := 1; ; n++ {
		loop.Sleep(ctx, wait)
		wait = checkpointEvery
		start := time.Now()
		a.inspect(start)
		a.checkpoint(ctx, last)
		if n%saveLearnedEvery == 0 || ctx.Err() != nil {
			if err := a.saveLearned(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("learned hazards not saved", zap.Error(err))
			}
		}
		if ctx.Err() != nil {
			return
		}
		last = start
	}
}

// checkpoint saves the poll times if any has changed since the given time. While no push
// changes, it alone notices that the store takes no writes.
func (a *account) checkpoint(ctx context.Context, since time.Time) {
	var c *watcher.Checkpoint
	a.with(func(s *state) { c = s.checkpoint(since, time.Now()) })
	if c == nil {
		return
	}
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := a.store.SaveCheckpoint(saving, c); err == nil || ctx.Err() == nil {
		a.recordWrite(err)
	}
}

// loadLearned loads the learned hazards. If they cannot be read, they are learned again.
func (a *account) loadLearned(ctx context.Context) error {
	text, err := a.store.Learned(ctx)
	if err != nil {
		return fmt.Errorf("load learned hazards of account %s: %w", a.Name, err)
	}
	if len(text) == 0 {
		return nil
	}
	a.with(func(s *state) { err = s.hazards.UnmarshalJSON(text) })
	if err != nil {
		a.log.Warn("learned hazards cannot be read", zap.Error(err), zap.String("hint", "they are learned again"))
	}
	return nil
}

// saveLearned saves the learned hazards.
func (a *account) saveLearned(ctx context.Context) error {
	var text []byte
	var err error
	a.with(func(s *state) { text, err = s.hazards.MarshalJSON() })
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return a.store.SaveLearned(ctx, text)
}
