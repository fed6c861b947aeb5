package notify

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/loop"
)

// write writes outcomes in batches. When ctx ends it writes what is left and returns.
func (f *Feed) write(ctx context.Context) error {
	saving, cut := outlive(ctx, 2*stopGrace)
	defer cut()
	var batch []Outcome
	var due time.Time // when the batch must be written
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case o := <-f.outcomes:
			first, now := len(batch), time.Now()
			batch = f.gather(append(batch, *o))
			for _, o := range batch[first:] {
				due = earlier(due, now.Add(o.maxWait()))
			}
			timer.Reset(time.Until(due))
			if len(batch) < settleBatch {
				continue
			}
			err = f.save(saving, batch)
		case <-timer.C:
			err = f.save(saving, batch)
		case c := <-f.gone: // the outcomes of its attempts come first
			if err = f.flush(saving, batch); err == nil {
				err = f.markDead(ctx, c)
			}
		case <-ctx.Done():
			return f.drain(saving, batch)
		}
		if err != nil {
			return err
		}
		batch, due = nil, time.Time{}
	}
}

// drain awaits the attempts in flight, and writes the batch and their outcomes, so that
// the next process repeats none of them.
func (f *Feed) drain(ctx context.Context, batch []Outcome) error {
	f.dispatcher.removeFeed(f) // no attempt starts after this
	waiting, sent := context.WithTimeout(ctx, stopGrace)
	defer sent()
	go func() {
		f.sends.Wait()
		sent()
	}()
	for waiting.Err() == nil {
		select {
		case o := <-f.outcomes:
			batch = append(batch, *o)
		case <-waiting.Done():
		}
		if len(batch) == settleBatch {
			if err := f.save(ctx, batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	return f.flush(ctx, batch)
}

// flush writes a batch and all outcomes that are queued.
func (f *Feed) flush(ctx context.Context, batch []Outcome) error {
	for batch = f.gather(batch); len(batch) > 0; batch = f.gather(nil) {
		if err := f.save(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// maxWait is how long an outcome may wait to be written together with others.
func (o *Outcome) maxWait() time.Duration {
	if o.State == Pending && o.Notifier == nil && o.Announce == nil {
		return retryWait
	}
	return settleWait
}

// gather adds queued outcomes to a batch, as far as there is room.
func (f *Feed) gather(batch []Outcome) []Outcome {
	for len(batch) < settleBatch {
		select {
		case o := <-f.outcomes:
			batch = append(batch, *o)
		default:
			return batch
		}
	}
	return batch
}

// save writes a batch, and retries while the store fails. It returns an error only if
// the account has another owner.
func (f *Feed) save(ctx context.Context, batch []Outcome) error {
	var failing loop.Condition
	for attempt := 0; len(batch) > 0; attempt++ {
		err := f.box.Settle(ctx, batch)
		switch {
		case err == nil:
			if lasted, ended := failing.End(time.Now()); ended {
				f.log.Info("settling deliveries works again", zap.Duration("failed_for", lasted))
			}
			for _, o := range batch {
				if o.Announce != nil {
					f.dispatcher.events.WithLabelValues(string(o.Announce.Type)).Inc()
				}
			}
			return nil
		case errors.Is(err, watcher.ErrFenced):
			return err
		case ctx.Err() != nil:
			return nil // these deliveries are sent again after the next start
		}
		if failing.Begin(time.Now()) {
			f.log.Error("settling deliveries fails", zap.Int("deliveries", len(batch)), zap.Error(err))
		}
		loop.Sleep(ctx, min(10*time.Second, 100*time.Millisecond<<min(attempt, 10)))
	}
	return nil
}

// markDead marks all pending deliveries to a gone notifier as dead, in steps so that
// other writes get their turn.
func (f *Feed) markDead(ctx context.Context, c *channel) error {
	for n := settleBatch; n == settleBatch && c.copyRecord().State == Gone && ctx.Err() == nil; {
		var err error
		n, err = f.box.MarkDead(ctx, c.Name, "the notifier is gone: it answered 410", settleBatch)
		if errors.Is(err, watcher.ErrFenced) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			f.log.Error("marking deliveries dead failed", zap.String("notifier", c.Name), zap.Error(err))
			time.AfterFunc(time.Second, f.wanted.Notify)
		}
		c.metrics.dead(n)
	}
	return nil
}
