package watcher

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// EventsCounter returns the metric pushwatch_events_total, registered with r on the first
// call. Every saver of events counts them there.
func EventsCounter(r prometheus.Registerer) *prometheus.CounterVec {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pushwatch_events_total", Help: "Events saved, by type.",
	}, []string{"type"})
	if err := r.Register(events); err != nil {
		before, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
		if !ok {
			panic(err) // another metric has the name
		}
		return before.ExistingCollector.(*prometheus.CounterVec)
	}
	for _, kind := range EventTypes {
		events.WithLabelValues(string(kind))
	}
	return events
}
