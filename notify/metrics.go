package notify

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the delivering shows to Prometheus. No URL, secret or task id
// is ever a label.
type metrics struct {
	attempts  *prometheus.CounterVec
	outcomes  *prometheus.CounterVec
	delivered *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushwatch_delivery_attempts_total", Help: "Attempts to deliver an event, by what came of them.",
		}, []string{"notifier", "result"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushwatch_deliveries_total", Help: "Deliveries that were settled: delivered or dead.",
		}, []string{"notifier", "outcome"}),
		delivered: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pushwatch_delivery_seconds", Help: "From the event to its receiver's 2xx.",
			Buckets: []float64{.005, .01, .02, .05, .1, .5, 1, 5, 30, 120, 600, 3600, 6 * 3600, 24 * 3600},
		}, []string{"notifier"}),
	}
	r.MustRegister(m.attempts, m.outcomes, m.delivered)
	return m
}
