package notify

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A roster is the channels of the notifiers that the settings name now, and the
// feeds that fill them.
type roster struct {
	log       *zap.Logger
	metrics   *metrics
	exhausted exhauster
	changed   chan struct{} // a channel has come that does not run yet; holds at most one

	mu       sync.RWMutex // taken before that of a channel, never while one is held
	channels []*channel   // in the order of the settings; the slice is never changed, only replaced
	feeds    map[*Feed]bool
}

// all returns the channels, in the order of the settings.
func (r *roster) all() []*channel {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.channels
}

// named returns the channel of a notifier, nil where the settings name none.
func (r *roster) named(name string) *channel {
	for _, c := range r.all() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// set has the channels be those of some notifiers. A channel whose notifier stays
// goes on with its lanes as they are; what waits for a notifier that is gone from
// the settings stays in the table.
func (r *roster) set(notifiers []Notifier) {
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
			c.exhausted = r.exhausted
			for f := range r.feeds {
				c.join(f)
				f.refill()
			}
		} else {
			c.follow(n)
			delete(before, n.Name)
		}
		channels = append(channels, c)
	}
	r.channels = channels
	for _, c := range before {
		c.cancel()
		for f := range r.feeds {
			c.part(f)
		}
	}
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// enter has a feed fill the channels from now on, those to come too.
func (r *roster) enter(f *Feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feeds[f] = true
	for _, c := range r.channels {
		c.join(f)
	}
}

// leave takes a feed and its lanes out of the channels.
func (r *roster) leave(f *Feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.feeds, f)
	for _, c := range r.channels {
		c.part(f)
	}
}

// run runs the channels that do not run yet.
func (r *roster) run(ctx context.Context, running *sync.WaitGroup) {
	for _, c := range r.all() {
		if !c.running {
			c.running = true
			running.Go(func() { c.run(ctx) })
		}
	}
}
