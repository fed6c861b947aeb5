// Package notify delivers events: each to every notifier that wants it, at least
// once, across crashes and outages.
//
// # Lanes
//
// Deliveries are read from an [Outbox], a table that is written in the same transaction
// as the event itself. A [Dispatcher] has one channel per notifier; in it the deliveries
// of one task form a lane, and only the head of a lane is sent. So the events of one task
// arrive in order, those of different tasks in parallel, and a failing delivery blocks
// its own lane and nothing else. Channels share nothing but the writing of outcomes.
//
// # The window
//
// The table is the source of truth, and memory a window on it. A [Feed] per account
// offers each channel the committed deliveries, in the order of their positions, until
// the channel is full. From then on the channel is behind: it reads pages of the table as
// it empties, until it has caught up. Bodies take most of the memory, so a delivery that
// waits for a retry is held without its body: events that their receiver refuses do not
// keep new ones out.
//
// A replayed delivery gets a new position at the end, so it reaches the channel like a
// new one, and takes its place in its lane by its id.
//
// # Failures
//
// A failure may concern the delivery, the notifier, or neither ([SendError]). A
// delivery's failure is retried on a schedule until the delivery is too old. A notifier's
// failure opens the channel's breaker, which allows one probe at a time and after
// recovery only a few attempts at first; probes do not count against their delivery. Or
// it changes the [NotifierRecord]: the notifier asked for a pause, or is gone. A dead
// delivery is kept, and the same transaction saves the delivery.exhausted event that
// reports it.
//
// The reason of every failed attempt is kept with the delivery. Uncounted attempts may go
// on for as long as an outage, so only the last few of them are kept.
//
// # Guarantees
//
// A delivery is settled after its receiver accepted it, so a crash in between repeats the
// end of a lane and skips nothing. Every write is fenced: a process that was frozen and
// replaced can finish the attempts it had in flight, but settle nothing. A receiver that
// must process each event once drops the ids it has seen.
package notify

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/loop"
)

// Config describes a [Dispatcher]. A zero field is its default.
type Config struct {
	Instance  string                // names this installation in its events
	Notifiers []Notifier            // with distinct names; see also [CheckFallbacks]
	Archive   Archive               // required
	Log       *zap.Logger           // default: none
	Metrics   prometheus.Registerer // default: none
}

// A Dispatcher delivers the events of the accounts that this process owns, and
// administers the deliveries and notifiers of all accounts.
type Dispatcher struct {
	instance string
	archive  Archive
	log      *zap.Logger
	metrics  *metrics
	tallies  *tallies
	events   *prometheus.CounterVec // saved events, by type
	warned   map[string]int         // orphans that were logged, by notifier; used by Run only
	added    loop.Signal            // a channel was added and does not run yet

	mu       sync.RWMutex   // locked before a channel's mutex, never while one is held
	channels []*channel     // in the order of the settings; the slice is replaced, never modified
	feeds    map[*Feed]bool // of the accounts that this process owns
}

// New returns a dispatcher that delivers nothing yet: see [Dispatcher.Run] and
// [Dispatcher.Feed].
func New(cfg Config) *Dispatcher {
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	cfg.Metrics = cmp.Or(cfg.Metrics, prometheus.Registerer(prometheus.NewRegistry()))
	d := &Dispatcher{
		instance: cfg.Instance, archive: cfg.Archive, log: cfg.Log, metrics: newMetrics(cfg.Metrics), tallies: newTallies(cfg.Archive),
		events: watcher.EventsCounter(cfg.Metrics), added: loop.NewSignal(), feeds: make(map[*Feed]bool),
	}
	d.Reconfigure(cfg.Notifiers)
	cfg.Metrics.MustRegister(d)
	return d
}

// Run delivers until ctx ends; attempts in flight may then take some more seconds. It
// sends nothing before it has read the notifiers' records, because a paused or gone
// notifier must not be called.
func (d *Dispatcher) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	var failing loop.Condition
	for {
		err := d.Refresh(ctx)
		if err == nil {
			failing.End(time.Now())
			for _, c := range d.all() {
				if !c.running {
					c.running = true
					running.Go(func() { c.run(ctx) })
				}
			}
			d.warnOfOrphans(ctx)
		} else if ctx.Err() == nil && failing.Begin(time.Now()) {
			d.log.Error("reading notifiers fails", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-d.added:
		}
	}
}

// Route names the notifiers that want an event.
func (d *Dispatcher) Route(e *watcher.Event) []string {
	var names []string
	for _, c := range d.all() {
		if c.settings().Filter.Wants(e.Type, e.Labels) {
			names = append(names, c.Name)
		}
	}
	return names
}

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
