package notify

import (
	"cmp"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher/loop"
)

// all returns the channels, in the order of the settings.
func (d *Dispatcher) all() []*channel {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.channels
}

// named returns the channel of a notifier; nil: it is not in the settings.
func (d *Dispatcher) named(name string) *channel {
	for _, c := range d.all() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Reconfigure replaces the notifiers. One that stays keeps its channel, pending deliveries
// and state, and uses its new Sender from the next attempt on; pass the previous Sender if
// its settings are the same. The deliveries to a removed notifier stay in the table, with a
// warning in the log, and continue if it returns.
func (d *Dispatcher) Reconfigure(notifiers []Notifier) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := make(map[string]*channel)
	for _, c := range d.channels {
		before[c.Name] = c
	}
	var channels []*channel
	for _, n := range notifiers {
		n.Timeout = cmp.Or(n.Timeout, 15*time.Second)
		n.MaxInFlight = cmp.Or(n.MaxInFlight, 8)
		n.MaxAge = cmp.Or(n.MaxAge, 72*time.Hour)
		c := before[n.Name]
		if c == nil {
			c = newChannel(n, d)
			for f := range d.feeds {
				c.addFeed(f)
				f.wanted.Notify()
			}
		} else {
			c.apply(n)
			delete(before, n.Name)
		}
		channels = append(channels, c)
	}
	d.channels = channels
	for _, c := range before {
		c.cancel()
		for f := range d.feeds {
			c.removeFeed(f)
		}
	}
	d.added.Notify()
}

// Feed connects an account that this process owns to all channels, present and future. Call
// it before the account's first write: it subscribes to the outbox. Deliveries are sent while
// [Feed.Run] runs.
func (d *Dispatcher) Feed(account string, box Outbox) *Feed {
	f := &Feed{
		dispatcher: d, account: account, box: box, log: d.log.With(zap.String("account", account)),
		outcomes: make(chan *Outcome, 2*settleBatch), gone: make(chan *channel),
		wanted: loop.NewSignal(), closed: make(chan struct{}),
	}
	d.mu.Lock()
	d.feeds[f] = true
	for _, c := range d.channels {
		c.addFeed(f)
	}
	d.mu.Unlock()
	f.wanted.Notify()
	box.Subscribe(f.offer)
	return f
}

// removeFeed removes a feed and its lanes from the channels.
func (d *Dispatcher) removeFeed(f *Feed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.feeds, f)
	for _, c := range d.channels {
		c.removeFeed(f)
	}
}

// anyAccount returns an account that this process owns; a nil outbox: it owns none.
func (d *Dispatcher) anyAccount() (string, Outbox) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for f := range d.feeds {
		return f.account, f.box
	}
	return "", nil
}
