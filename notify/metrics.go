package notify

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// metrics are the delivery metrics. No URL, secret or task id is ever a label.
type metrics struct {
	attempts  *prometheus.CounterVec
	outcomes  *prometheus.CounterVec
	delivered *prometheus.HistogramVec
}

// channelMetrics are the metrics of one notifier.
type channelMetrics struct {
	attempts  *prometheus.CounterVec // by result
	success   prometheus.Counter
	delivered prometheus.Counter
	died      prometheus.Counter
	seconds   prometheus.Observer
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushwatch_delivery_attempts_total", Help: "Attempts to deliver an event, by result.",
		}, []string{"notifier", "result"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushwatch_deliveries_total", Help: "Settled deliveries, by outcome: delivered or dead.",
		}, []string{"notifier", "outcome"}),
		delivered: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pushwatch_delivery_seconds", Help: "Time from an event, or its replay, to the receiver's 2xx.",
			Buckets: []float64{.005, .01, .02, .05, .1, .5, 1, 5, 30, 120, 600, 3600, 6 * 3600, 24 * 3600},
		}, []string{"notifier"}),
	}
	r.MustRegister(m.attempts, m.outcomes, m.delivered)
	return m
}

func (m *metrics) channel(notifier string) *channelMetrics {
	attempts := m.attempts.MustCurryWith(prometheus.Labels{"notifier": notifier})
	return &channelMetrics{
		attempts: attempts, success: attempts.WithLabelValues("2xx"),
		delivered: m.outcomes.WithLabelValues(notifier, string(Delivered)),
		died:      m.outcomes.WithLabelValues(notifier, string(Dead)),
		seconds:   m.delivered.WithLabelValues(notifier),
	}
}

// succeeded counts a delivery and how long it took. That is negative if the wall clock
// was set back, and counts as zero.
func (m *channelMetrics) succeeded(after time.Duration) {
	m.success.Inc()
	m.delivered.Inc()
	m.seconds.Observe(max(0, after.Seconds()))
}

// dead counts dead letters.
func (m *channelMetrics) dead(n int) { m.died.Add(float64(n)) }

// The gauges that are computed at each scrape.
var (
	stateDesc = prometheus.NewDesc("pushwatch_notifier_state",
		"1 for a notifier's current state: active, down (it does not answer and is probed), paused (by an operator or at its own request), gone (it answered 410).", []string{"notifier", "state"}, nil)
	oldestDesc = prometheus.NewDesc("pushwatch_oldest_pending_seconds",
		"Age of the oldest pending delivery to a notifier; 0 if none is pending.", []string{"notifier"}, nil)
	pendingDesc = prometheus.NewDesc("pushwatch_deliveries_pending",
		"Deliveries to a notifier that are neither delivered nor dead.", []string{"notifier"}, nil)
	deadDesc = prometheus.NewDesc("pushwatch_deliveries_dead",
		"Dead letters of a notifier.", []string{"notifier"}, nil)
)

// Describe implements [prometheus.Collector].
func (d *Dispatcher) Describe(descs chan<- *prometheus.Desc) {
	descs <- stateDesc
	descs <- oldestDesc
	descs <- pendingDesc
	descs <- deadDesc
}

// Collect implements [prometheus.Collector]. If the archive cannot be read, the counts
// are left out: old ones would mislead.
func (d *Dispatcher) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	now := time.Now()
	for _, c := range d.all() {
		record := c.copyRecord()
		for _, state := range []NotifierState{Active, Down, Paused, Gone} {
			is := 0.0
			if record.shown(now) == state {
				is = 1
			}
			gauge(stateDesc, is, c.Name, string(state))
		}
	}
	tallies, err := d.tallies.get(context.Background())
	if err != nil {
		d.log.Warn("count deliveries", zap.Error(err))
		return
	}
	for _, c := range d.all() {
		t := tallies[c.Name]
		gauge(oldestDesc, t.waiting(now).Seconds(), c.Name)
		gauge(pendingDesc, float64(t.Pending), c.Name)
		gauge(deadDesc, float64(t.Dead), c.Name)
	}
	for name, pending := range d.orphans(tallies) {
		gauge(oldestDesc, tallies[name].waiting(now).Seconds(), name)
		gauge(pendingDesc, float64(pending), name)
	}
}
