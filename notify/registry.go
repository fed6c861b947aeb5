package notify

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher/loop"
)

// A registry holds the channels of the notifiers in the settings, and the feeds that
// fill them.
type registry struct {
	log        *zap.Logger
	metrics    *metrics
	deadLetter deadLetterEvent
	added      loop.Signal // a channel was added and does not run yet

	mu       sync.RWMutex // locked before a channel's mutex, never while one is held
	channels []*channel   // in the order of the settings; the slice is replaced, never modified
	feeds    map[*Feed]bool
}

// all returns the channels, in the order of the settings.
func (r *registry) all() []*channel {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.channels
}

// named returns the channel of a notifier; nil: it is not in the settings.
func (r *registry) named(name string) *channel {
	for _, c := range r.all() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// set replaces the notifiers. A notifier that stays keeps its channel and lanes; the
// deliveries to one that was removed stay in the table.
func (r *registry) set(notifiers []Notifier) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := make(map[string]*channel)
	for _, c := range r.channels {
		before[c.Name] = c
	}
	var channels []*channel
	for _, n := range notifiers {
		n.Timeout = cmp.Or(n.Timeout, 15*time.Second)
		n.MaxInFlight = cmp.Or(n.MaxInFlight, 8)
		n.MaxAge = cmp.Or(n.MaxAge, 72*time.Hour)
		c := before[n.Name]
		if c == nil {
			c = newChannel(n, r.log, r.metrics.channel(n.Name))
			c.deadLetter = r.deadLetter
			for f := range r.feeds {
				c.addFeed(f)
				f.wanted.Notify()
			}
		} else {
			c.apply(n)
			delete(before, n.Name)
		}
		channels = append(channels, c)
	}
	r.channels = channels
	for _, c := range before {
		c.cancel()
		for f := range r.feeds {
			c.removeFeed(f)
		}
	}
	r.added.Notify()
}

// addFeed connects a feed to all channels, present and future.
func (r *registry) addFeed(f *Feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feeds[f] = true
	for _, c := range r.channels {
		c.addFeed(f)
	}
}

// removeFeed removes a feed and its lanes from the channels.
func (r *registry) removeFeed(f *Feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.feeds, f)
	for _, c := range r.channels {
		c.removeFeed(f)
	}
}

// run starts the channels that do not run yet.
func (r *registry) run(ctx context.Context, running *sync.WaitGroup) {
	for _, c := range r.all() {
		if !c.running {
			c.running = true
			running.Go(func() { c.run(ctx) })
		}
	}
}
