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
// The table is the truth and memory only a window on it. A [Feed] per account
// hands each channel what is committed, in the order of positions, until the
// channel is full; from then on the channel is behind, and is given pages of the
// table as it empties, until it has caught up. Bodies are what takes the space,
// so a delivery that waits for its next attempt is held without: many events that
// their receiver refuses do not keep new ones out.
//
// A replayed delivery gets a new position at the end, by which it comes to a
// channel just as a new one does, and takes its place in its lane by its id.
//
// # When it fails
//
// A failure may concern the delivery, the notifier, or neither ([SendError]). The
// first is retried by a schedule until the delivery is too old. The second opens
// the channel's gate, a breaker that lets through one probe at a time and charges
// no delivery for it, and then few attempts at first; or it changes the notifier's
// [Standing]: a pause that it asked for, or that it is gone. A delivery that is
// given up is kept as dead letter, and the same transaction saves the
// delivery.exhausted event that tells of it.
//
// # What holds
//
// A delivery is settled after its receiver has taken it, so a crash between the
// two repeats the end of a lane and never skips any of it. Every write is fenced:
// a process that was frozen, and replaced, sends what it had in flight and can
// settle nothing. A receiver that wants each event once drops ids it has seen.
package notify

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pushwatch/watcher"
)

// Config says whom a [Dispatcher] tells. A zero field is its default.
type Config struct {
	Instance  string                // names this installation in the events made here
	Notifiers []Notifier            // names differ; see also [CheckFallbacks]
	Archive   Archive               // required
	Log       *zap.Logger           // default: none
	Metrics   prometheus.Registerer // default: none
}

// A Dispatcher delivers the events of the accounts that this process owns, and
// does what people ask concerning the deliveries and notifiers of all accounts.
type Dispatcher struct {
	instance string
	archive  Archive
	log      *zap.Logger
	roster   *roster
	tallies  tallies
	events   *prometheus.CounterVec // saved, by type
	warned   map[string]int         // the strays of which the log has told; Run's own

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
		tallies: tallies{archive: cfg.Archive, turn: make(chan struct{}, 1)}, boxes: make(map[string]Outbox),
	}
	d.roster = &roster{
		log: cfg.Log, metrics: newMetrics(cfg.Metrics), exhausted: d.exhausted,
		changed: make(chan struct{}, 1), feeds: make(map[*Feed]bool),
	}
	d.roster.set(cfg.Notifiers)
	cfg.Metrics.MustRegister(d)
	return d
}

// Reconfigure puts other notifiers in force. A notifier that stays keeps what
// waits for it and how it stands, and uses its new Sender from the next attempt
// on; give it the Sender it had where nothing about it has changed. What waits for
// one that is gone stays in the table, of which the log warns, and goes on should it
// come back.
func (d *Dispatcher) Reconfigure(notifiers []Notifier) { d.roster.set(notifiers) }

// Run sends until ctx ends. What is under way then may go on for some seconds. It
// sends nothing before it has read the notifiers' standings: one that is paused
// or gone is not to be called.
func (d *Dispatcher) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		err := d.Refresh(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.Error("read standings", zap.Error(err))
		}
		if err == nil {
			d.roster.run(ctx, &running)
			d.warnOfStrays(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-d.roster.changed:
		}
	}
}

// Feed connects an account that this process owns: it subscribes to the outbox,
// before the account's first write, and delivers while [Feed.Run] runs.
func (d *Dispatcher) Feed(account string, box Outbox) *Feed {
	d.mu.Lock()
	d.boxes[account] = box
	d.mu.Unlock()
	f := newFeed(box, d.roster, d.log.With(zap.String("account", account)), d.events, func() {
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
	for _, c := range d.roster.all() {
		if c.now().Filter.Wants(e.Type, e.Labels) {
			names = append(names, c.Name)
		}
	}
	return names
}
