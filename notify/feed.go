package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// A Feed brings the deliveries of one account into the channels, from the
// commits as they happen and from the table where memory would not do, and takes
// the outcomes back to the table.
type Feed struct {
	box      Outbox
	log      *zap.Logger
	channels []*channel
	outcomes chan Outcome
	wanted   chan struct{} // some channel has room for what waits in the table; holds at most one
	closed   chan struct{}

	mu        sync.Mutex
	positions map[*channel]*position
}

// A position says how much of an account's deliveries a channel has been given.
type position struct {
	taken  int64 // the highest id that was
	newest int64 // the highest id that was seen
	behind bool  // some between them wait in the table
}

const (
	page        = 512 // deliveries read from the table at a time
	settleBatch = 512 // outcomes written at a time
	settleWait  = 5 * time.Millisecond
)

func newFeed(box Outbox, channels []*channel, log *zap.Logger) *Feed {
	f := &Feed{
		box: box, log: log, channels: channels, outcomes: make(chan Outcome, 2*settleBatch),
		wanted: make(chan struct{}, 1), closed: make(chan struct{}), positions: make(map[*channel]*position),
	}
	for _, c := range channels {
		f.positions[c] = &position{behind: true} // what earlier runs have left
	}
	f.refill()
	return f
}

// open reports whether the account is still delivered from here.
func (f *Feed) open() bool {
	select {
	case <-f.closed:
		return false
	default:
		return true
	}
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
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range deliveries {
		for c, p := range f.positions {
			if c.Name != d.Notifier || d.ID <= p.taken {
				continue
			}
			p.newest = d.ID
			if p.behind = p.behind || !c.take(f, d); !p.behind {
				p.taken = d.ID
			}
		}
	}
}

// take adds a delivery to its lane, if there is room.
func (c *channel) take(f *Feed, d Delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes.held >= window {
		return false
	}
	c.lanes.add(f, d)
	c.poke()
	return true
}

// room reports whether a page fits.
func (c *channel) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lanes.held <= window-page
}

// Run brings deliveries and settles outcomes until ctx ends, when it returns nil,
// or until the account has another owner: then it returns [watcher.ErrFenced].
// For the last outcomes to be written, ctx has to outlive [Dispatcher.Run].
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
	close(f.closed)
	for _, c := range f.channels {
		c.mu.Lock()
		c.lanes.drop(f)
		c.mu.Unlock()
	}
}

// read fills the channels from the table, as they have room.
func (f *Feed) read(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wanted:
		}
		for _, c := range f.channels {
			if err := f.fill(ctx, c); err != nil && ctx.Err() == nil {
				f.log.Error("read deliveries", zap.Error(err))
				time.AfterFunc(time.Second, f.refill)
			}
		}
	}
}

// fill reads page by page until the channel is full or has all there is.
func (f *Feed) fill(ctx context.Context, c *channel) error {
	for c.room() {
		f.mu.Lock()
		p := *f.positions[c]
		f.mu.Unlock()
		if !p.behind {
			return nil
		}
		deliveries, err := f.box.Pending(ctx, c.Name, p.taken, page)
		if err != nil {
			return fmt.Errorf("notifier %s: %w", c.Name, err)
		}
		f.mu.Lock()
		now := f.positions[c]
		all := len(deliveries) < page // that the table has
		for _, d := range deliveries {
			if !c.take(f, d) {
				all = false
				break
			}
			now.taken = d.ID
		}
		if all && now.newest <= max(now.taken, p.newest) { // nothing was committed since it was read
			now.behind = false
			now.taken = max(now.taken, now.newest)
		}
		f.mu.Unlock()
	}
	return nil
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

// write writes outcomes, several at a time: nobody waits for them.
func (f *Feed) write(ctx context.Context) error {
	for {
		var batch []Outcome
		select {
		case o := <-f.outcomes:
			batch = f.gather(append(batch, o), time.After(settleWait))
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
			defer cancel()
			expired := make(chan time.Time)
			close(expired)
			return f.save(last, f.gather(nil, expired))
		}
		if err := f.save(ctx, batch); err != nil {
			return err
		}
	}
}

// gather adds the outcomes that come until enough, or what is there already.
func (f *Feed) gather(batch []Outcome, enough <-chan time.Time) []Outcome {
	for len(batch) < settleBatch {
		select {
		case o := <-f.outcomes:
			batch = append(batch, o)
			continue
		default:
		}
		select {
		case o := <-f.outcomes:
			batch = append(batch, o)
		case <-enough:
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
