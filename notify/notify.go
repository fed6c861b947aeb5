// Package notify delivers events: each to every notifier that wants it, at least
// once, across crashes and outages.
//
// # Lanes
//
// What has to be delivered is read from an [Outbox], a table that is written in
// the same transaction as the event itself. A [Dispatcher] has one channel per
// notifier; in it the deliveries of one task form a lane, and only the head of a
// lane is ever sent. So one task's events arrive in order, different tasks' in
// parallel, and a delivery that fails holds up its own lane and nothing else.
// Channels share nothing but the writing of outcomes.
//
// # The window
//
// The table is the truth and memory only a window on it. A [Feed] per account offers
// each channel what is committed, in the order of positions, until the channel is
// full; from then on the channel is behind, and reads pages of the table as it
// empties, until it has caught up. Bodies take the space, so a delivery that waits for
// its next attempt is held without: many events that their receiver refuses do not
// keep new ones out.
//
// A replayed delivery gets a new position at the end, so it reaches the channel as a
// new one does, and takes its place in its lane by its id.
//
// # When it fails
//
// A failure may concern the delivery, the notifier, or neither ([SendError]). The
// first is retried by a schedule until the delivery is too old. The second opens the
// channel's breaker, which allows one probe at a time that does not count against its
// delivery, and few attempts at first when the notifier is back; or it changes the
// [NotifierRecord]: the notifier asked for a pause, or is gone. A dead delivery is
// kept, and the same transaction saves the delivery.exhausted event that reports it.
//
// Every attempt leaves its reason with the delivery. Those that do not count may go on
// for as long as an outage, so only the last few of them are kept.
//
// # What holds
//
// A delivery is settled after its receiver has accepted it, so a crash between the two
// repeats the end of a lane and never skips any of it. Every write is fenced: a process
// that was frozen, and replaced, sends what it had in flight and can settle nothing. A
// receiver that wants each event once drops ids it has seen.
package notify

import (
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
	Instance  string                // names this installation in the events made here
	Notifiers []Notifier            // names differ; see also [CheckFallbacks]
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
	registry *registry
	tallies  *tallies
	events   *prometheus.CounterVec // saved, by type
	warned   map[string]int         // the orphans that were logged, by notifier; Run's own

	mu    sync.Mutex
	boxes map[string]Outbox // of the accounts that this process owns now, by name
}

// New returns a dispatcher that delivers nothing yet: see [Dispatcher.Run] and
// [Dispatcher.Feed].
func New(cfg Config) *Dispatcher {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	d := &Dispatcher{
		instance: cfg.Instance, archive: cfg.Archive, log: cfg.Log, events: watcher.EventsCounter(cfg.Metrics),
		tallies: newTallies(cfg.Archive), boxes: make(map[string]Outbox),
	}
	d.registry = &registry{
		log: cfg.Log, metrics: newMetrics(cfg.Metrics), deadLetter: d.deadLetter,
		added: loop.NewSignal(), feeds: make(map[*Feed]bool),
	}
	d.registry.set(cfg.Notifiers)
	cfg.Metrics.MustRegister(d)
	return d
}

// Reconfigure replaces the notifiers. One that stays keeps its pending deliveries and
// its state, and uses its new Sender from the next attempt on; pass the Sender it had
// where its settings are the same. What waits for one that left stays in the table,
// with a warning in the log, and goes on if it comes back.
func (d *Dispatcher) Reconfigure(notifiers []Notifier) { d.registry.set(notifiers) }

// Run sends until ctx ends. What is in flight then may go on for some seconds. It
// sends nothing before it has read the notifiers' records: one that is paused or gone
// must not be called.
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
			d.registry.run(ctx, &running)
			d.warnOfOrphans(ctx)
		} else if ctx.Err() == nil && failing.Begin(time.Now()) {
			d.log.Error("reading states of notifiers fails", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-d.registry.added:
		}
	}
}

// Feed connects an account that this process owns: it subscribes to the outbox,
// before the account's first write, and delivers while [Feed.Run] runs.
func (d *Dispatcher) Feed(account string, box Outbox) *Feed {
	d.mu.Lock()
	d.boxes[account] = box
	d.mu.Unlock()
	f := newFeed(account, box, d.registry, d.log, d.events, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.boxes[account] == box {
			delete(d.boxes, account)
		}
	})
	box.Subscribe(f.offer)
	return f
}

// anyAccount returns an account that this process owns now, nil where there is none.
func (d *Dispatcher) anyAccount() (string, Outbox) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for account, box := range d.boxes {
		return account, box
	}
	return "", nil
}

// Route names the notifiers that want an event.
func (d *Dispatcher) Route(e *watcher.Event) []string {
	var names []string
	for _, c := range d.registry.all() {
		if c.settings().Filter.Wants(e.Type, e.Labels) {
			names = append(names, c.Name)
		}
	}
	return names
}
