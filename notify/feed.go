package notify

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher/loop"
)

// A Feed passes the deliveries of one account to the channels and writes their outcomes
// to the table. New deliveries come straight from the commits; those that a channel had
// no room for are read from the table later.
type Feed struct {
	account    string
	box        Outbox
	log        *zap.Logger
	dispatcher *Dispatcher
	outcomes   chan *Outcome // pointers, since each account has room for many
	gone       chan *channel // whose pending deliveries become dead letters
	wanted     loop.Signal   // a channel has room for deliveries that wait in the table
	closed     chan struct{}
	sends      sync.WaitGroup // attempts in flight
}

const (
	settleBatch = 512 // outcomes written, and deliveries marked dead, per transaction

	// settleWait is how long an outcome waits to be written together with others. A
	// crash in that time repeats the delivery.
	settleWait = 5 * time.Millisecond

	// retryWait is the same for an outcome that only counts an attempt. It is longer so
	// that failing notifiers cause no transactions of their own, which would delay others.
	retryWait = 250 * time.Millisecond
)

// offer passes deliveries that were just committed to the channels. It is the outbox's
// subscriber.
func (f *Feed) offer(deliveries []Delivery) {
	for _, d := range deliveries {
		if c := f.dispatcher.named(d.Notifier); c != nil { // otherwise it was removed from the settings
			c.offer(f, d)
		}
	}
}

// Run passes on deliveries and settles outcomes until ctx ends, when it returns nil,
// or until the account has another owner: then it returns [watcher.ErrFenced].
// When ctx ends nothing more is sent; attempts in flight are awaited for some seconds
// and settled.
func (f *Feed) Run(ctx context.Context) error {
	defer f.dispatcher.removeFeed(f)
	defer close(f.closed)
	var reading sync.WaitGroup
	defer reading.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reading.Go(func() { f.read(ctx) })
	return f.write(ctx)
}

// read fills the channels from the table whenever they have room.
func (f *Feed) read(ctx context.Context) {
	var failing loop.Condition
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wanted:
		}
		var failed error
		for _, c := range f.dispatcher.all() {
			failed = cmp.Or(f.fill(ctx, c), failed)
		}
		if ctx.Err() != nil {
			return
		}
		if failed == nil {
			if lasted, ended := failing.End(time.Now()); ended {
				f.log.Info("reading deliveries works again", zap.Duration("failed_for", lasted))
			}
			continue
		}
		if failing.Begin(time.Now()) {
			f.log.Error("reading deliveries fails", zap.Error(failed))
		}
		time.AfterFunc(time.Second, f.wanted.Notify)
	}
}

// fill reads pages until the channel is full or has everything. The deliveries to a gone
// notifier become dead letters instead.
func (f *Feed) fill(ctx context.Context, c *channel) error {
	for {
		after, newest, what := c.demands(f)
		switch what {
		case nothing:
			return nil
		case deadLetters:
			select {
			case f.gone <- c:
			case <-ctx.Done():
			}
			return nil
		}
		deliveries, err := f.box.Pending(ctx, c.Name, after, pageSize)
		if err != nil {
			return fmt.Errorf("notifier %s: %w", c.Name, err)
		}
		c.addPage(f, deliveries, after, newest)
	}
}

// settle queues an outcome to be written. It blocks while the database is slow: this
// slows sending and bounds memory.
func (f *Feed) settle(ctx context.Context, o Outcome) {
	select {
	case f.outcomes <- &o:
	case <-f.closed:
	case <-ctx.Done():
	}
}
