package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pushwatch/watcher"
)

// A Feed brings the deliveries of one account into the channels, from the
// commits as they happen and from the table where memory would not do, and takes
// the outcomes back to the table.
type Feed struct {
	box      Outbox
	log      *zap.Logger
	roster   *roster
	events   *prometheus.CounterVec
	outcomes chan Outcome
	goners   chan *channel // whose deliveries are to be buried
	wanted   chan struct{} // some channel has room for what waits in the table; holds at most one
	closed   chan struct{}
	sends    sync.WaitGroup // attempts under way
	leave    func()         // the dispatcher forgets the feed
}

const (
	settleBatch = 512 // outcomes written at a time, and deliveries buried

	// settleWait is how long an outcome waits for others to be written with. A crash
	// before repeats the delivery.
	settleWait = 5 * time.Millisecond

	// retryWait is the same for one that only counts an attempt. So those of
	// notifiers that fail are written with those of the others, and not between
	// the events that the others wait for.
	retryWait = 250 * time.Millisecond
)

func newFeed(box Outbox, r *roster, log *zap.Logger, events *prometheus.CounterVec, leave func()) *Feed {
	f := &Feed{
		box: box, log: log, roster: r, events: events, leave: leave,
		outcomes: make(chan Outcome, 2*settleBatch), goners: make(chan *channel),
		wanted: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	r.enter(f)
	f.refill()
	return f
}

// refill has the table read for channels that have room.
func (f *Feed) refill() {
	select {
	case f.wanted <- struct{}{}:
	default:
	}
}

// offer takes deliveries that were just committed. It is the outbox's subscriber.
func (f *Feed) offer(deliveries []Delivery) {
	for _, d := range deliveries {
		if c := f.roster.named(d.Notifier); c != nil { // else the settings name it no more
			c.offer(f, d)
		}
	}
}

// Run brings deliveries and settles outcomes until ctx ends, when it returns nil,
// or until the account has another owner: then it returns [watcher.ErrFenced].
// When ctx ends nothing more is sent, and what is under way is waited for, for some
// seconds at most, and settled.
func (f *Feed) Run(ctx context.Context) error {
	defer f.drop()
	var read sync.WaitGroup
	defer read.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	read.Go(func() { f.read(ctx) })
	return f.write(ctx)
}

// drop takes the account's lanes out of the channels.
func (f *Feed) drop() {
	f.leave()
	close(f.closed)
	f.roster.leave(f)
}

// read fills the channels from the table, as they have room.
func (f *Feed) read(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wanted:
		}
		for _, c := range f.roster.all() {
			if err := f.fill(ctx, c); err != nil && ctx.Err() == nil {
				f.log.Error("read deliveries", zap.Error(err))
				time.AfterFunc(time.Second, f.refill)
			}
		}
	}
}

// fill reads page by page until the channel is full or has all there is. What
// waits for a notifier that is gone is buried instead.
func (f *Feed) fill(ctx context.Context, c *channel) error {
	for {
		after, newest, want := c.wants(f)
		switch want {
		case nothing:
			return nil
		case burying:
			select {
			case f.goners <- c:
			case <-ctx.Done():
			}
			return nil
		}
		deliveries, err := f.box.Pending(ctx, c.Name, after, page)
		if err != nil {
			return fmt.Errorf("notifier %s: %w", c.Name, err)
		}
		c.fill(f, deliveries, after, newest)
	}
}

// settle hands an outcome to the writing. It blocks while the database is slow,
// which slows the sending and keeps memory bounded.
func (f *Feed) settle(ctx context.Context, o Outcome) {
	select {
	case f.outcomes <- o:
	case <-f.closed:
	case <-ctx.Done():
	}
}

// write writes outcomes, several at a time: nobody waits for them. What ctx's end
// finds unwritten is written after it.
func (f *Feed) write(ctx context.Context) error {
	saving, cut := outlive(ctx, 2*stopGrace)
	defer cut()
	var batch []Outcome
	var due time.Time // of the batch
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case o := <-f.outcomes:
			first, now := len(batch), time.Now()
			batch = f.gather(append(batch, o))
			for _, o := range batch[first:] {
				due = earlier(due, now.Add(o.patience()))
			}
			timer.Reset(time.Until(due))
			if len(batch) < settleBatch {
				continue
			}
			err = f.save(saving, batch)
		case <-timer.C:
			err = f.save(saving, batch)
		case c := <-f.goners: // after the last outcomes of its attempts
			for batch = f.gather(batch); err == nil && len(batch) > 0; batch = f.gather(nil) {
				err = f.save(saving, batch)
			}
			if err == nil {
				err = f.bury(ctx, c)
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

// drain waits for the attempts that are under way and writes their outcomes, and the
// batch before them, so that whoever sends next repeats none of them.
func (f *Feed) drain(ctx context.Context, batch []Outcome) error {
	f.roster.leave(f) // from here on no attempt begins
	waiting, sent := context.WithTimeout(ctx, stopGrace)
	defer sent()
	go func() {
		f.sends.Wait()
		sent()
	}()
	for waiting.Err() == nil {
		select {
		case o := <-f.outcomes:
			batch = append(batch, o)
		case <-waiting.Done():
		}
		if len(batch) == settleBatch {
			if err := f.save(ctx, batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	for batch = f.gather(batch); len(batch) > 0; batch = f.gather(nil) {
		if err := f.save(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// patience is how long the writing of an outcome may wait for others.
func (o *Outcome) patience() time.Duration {
	if o.State == Pending && o.Standing == nil && o.Announce == nil {
		return retryWait
	}
	return settleWait
}

// gather adds the outcomes that are there already to a batch.
func (f *Feed) gather(batch []Outcome) []Outcome {
	for len(batch) < settleBatch {
		select {
		case o := <-f.outcomes:
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// save writes a batch, for as long as the store fails. It returns an error only
// where the account has another owner.
func (f *Feed) save(ctx context.Context, batch []Outcome) error {
	for attempt := 0; len(batch) > 0; attempt++ {
		err := f.box.Settle(ctx, batch)
		switch {
		case err == nil:
			f.count(batch)
			return nil
		case errors.Is(err, watcher.ErrFenced):
			return err
		case ctx.Err() != nil:
			return nil // they are sent again after the next start
		}
		f.log.Error("settle deliveries", zap.Int("deliveries", len(batch)), zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(min(10*time.Second, 100*time.Millisecond<<min(attempt, 10))):
		}
	}
	return nil
}

// count counts the events that were saved with a batch.
func (f *Feed) count(batch []Outcome) {
	for _, o := range batch {
		if o.Announce != nil {
			f.events.WithLabelValues(string(o.Announce.Type)).Inc()
		}
	}
}

// bury makes all that waits for a notifier that is gone dead, in steps between
// which others write.
func (f *Feed) bury(ctx context.Context, c *channel) error {
	for n := settleBatch; n == settleBatch && c.isGone() && ctx.Err() == nil; {
		var err error
		n, err = f.box.Bury(ctx, c.Name, "the notifier is gone: it answered 410", settleBatch)
		if errors.Is(err, watcher.ErrFenced) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			f.log.Error("bury deliveries", zap.String("notifier", c.Name), zap.Error(err))
			time.AfterFunc(time.Second, f.refill)
		}
		c.metrics.dead(n)
	}
	return nil
}
