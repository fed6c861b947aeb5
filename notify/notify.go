// Package notify delivers events: each to every notifier that wants it, at least
// once, across crashes and outages.
//
// What has to be delivered is read from an [Outbox], a table that is written in
// the same transaction as the event itself. A [Dispatcher] has one channel per
// notifier; in it the deliveries of one task form a lane, and only the head of a
// lane is ever sent. So one task's events arrive in order, different tasks' in
// parallel, and a delivery that fails holds up its own lane and nothing else.
//
// The table is the truth and memory only a window on it: after a crash the
// pending rows are read and go on. A delivery is settled after its receiver has
// taken it, so a crash between the two repeats the end of a lane and never skips
// any of it.
package notify

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pushwatch/watcher"
)

// Config says whom a [Dispatcher] tells. A zero field is its default.
type Config struct {
	Notifiers []Notifier            // names differ
	Log       *zap.Logger           // default: none
	Metrics   prometheus.Registerer // default: none
}

// A Dispatcher delivers the events of the accounts that this process owns.
type Dispatcher struct {
	log      *zap.Logger
	channels []*channel
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
	d := &Dispatcher{log: cfg.Log}
	m := newMetrics(cfg.Metrics)
	for _, n := range cfg.Notifiers {
		n.Timeout = cmp.Or(n.Timeout, 15*time.Second)
		n.MaxInFlight = cmp.Or(n.MaxInFlight, 8)
		n.MaxAge = cmp.Or(n.MaxAge, 72*time.Hour)
		d.channels = append(d.channels, newChannel(n, cfg.Log, m))
	}
	cfg.Metrics.MustRegister(d)
	return d
}

// Run sends until ctx ends. What is under way then may go on for some seconds.
func (d *Dispatcher) Run(ctx context.Context) error {
	var channels sync.WaitGroup
	for _, c := range d.channels {
		channels.Go(func() { c.run(ctx) })
	}
	channels.Wait()
	return nil
}

// Feed connects an account that this process owns: it subscribes to the outbox,
// before the account's first write, and delivers while [Feed.Run] runs.
func (d *Dispatcher) Feed(account string, box Outbox) *Feed {
	f := newFeed(box, d.channels, d.log.With(zap.String("account", account)))
	box.Subscribe(f.offer)
	return f
}

// Route names the notifiers that want an event.
func (d *Dispatcher) Route(e *watcher.Event) []string {
	var names []string
	for _, c := range d.channels {
		if c.Filter.Wants(e.Type, e.Labels) {
			names = append(names, c.Name)
		}
	}
	return names
}

// Descriptions of what is counted anew at each scrape.
var (
	oldestDesc = prometheus.NewDesc("pushwatch_oldest_pending_seconds",
		"Age of the oldest event that a notifier has still to be told.", []string{"notifier"}, nil)
	pendingDesc = prometheus.NewDesc("pushwatch_deliveries_pending",
		"Deliveries that a notifier has still to be told and that are in memory; more may wait in the table.", []string{"notifier"}, nil)
)

// Describe implements [prometheus.Collector].
func (d *Dispatcher) Describe(descs chan<- *prometheus.Desc) {
	descs <- oldestDesc
	descs <- pendingDesc
}

// Collect implements [prometheus.Collector].
func (d *Dispatcher) Collect(metrics chan<- prometheus.Metric) {
	now := time.Now()
	for _, c := range d.channels {
		c.mu.Lock()
		held, oldest := c.lanes.held, time.Duration(0)
		for _, l := range c.lanes.all {
			oldest = max(oldest, now.Sub(l.queue[0].EventAt))
		}
		c.mu.Unlock()
		metrics <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(held), c.Name)
		metrics <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, oldest.Seconds(), c.Name)
	}
}
