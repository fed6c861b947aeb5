package engine

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"pushwatch/watcher"
)

// metrics are the watcher's Prometheus metrics. A task id is never a label.
type metrics struct {
	polls       *prometheus.CounterVec
	pollSeconds *prometheus.HistogramVec
	events      *prometheus.CounterVec
	detection   prometheus.Histogram
	callbacks   *prometheus.CounterVec
	repaired    *prometheus.CounterVec
}

// accountMetrics are the metrics of one account, looked up once.
type accountMetrics struct {
	polls       *prometheus.CounterVec // by result
	pollSeconds prometheus.Observer
	repaired    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushwatch_polls_total", Help: "DescribeWhiteboardPush requests, by result.",
		}, []string{"account", "result"}),
		pollSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pushwatch_poll_seconds", Help: "Duration of a DescribeWhiteboardPush request.",
			Buckets: []float64{.005, .01, .02, .04, .08, .15, .3, .6, 1, 2, 5},
		}, []string{"account"}),
		events: watcher.EventsCounter(r),
		detection: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pushwatch_detection_seconds", Help: "From a push's own PushStopTime to the poll that saw it.",
			Buckets: []float64{1, 2, 4, 8, 15, 30, 60, 120, 300, 900},
		}),
		callbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushwatch_callbacks_total", Help: "Callbacks received from TIW, by result.",
		}, []string{"account", "result"}),
		repaired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushwatch_repaired_total", Help: "Live tasks found without a next poll. Any value above 0 is a bug of pushwatch.",
		}, []string{"account"}),
	}
	r.MustRegister(m.polls, m.pollSeconds, m.detection, m.callbacks, m.repaired)
	return m
}

func (m *metrics) account(name string) *accountMetrics {
	polls := m.polls.MustCurryWith(prometheus.Labels{"account": name})
	for _, result := range []string{"ok", "task_error", "throttled", "denied", "transient"} {
		polls.WithLabelValues(result) // shown from the start
	}
	return &accountMetrics{polls: polls, pollSeconds: m.pollSeconds.WithLabelValues(name), repaired: m.repaired.WithLabelValues(name)}
}

// pollResult names the result of a poll; nil: it returned the status of a push.
func pollResult(fault *watcher.CloudError) string {
	if fault == nil {
		return "ok"
	}
	switch fault.Kind {
	case watcher.FailedTask, watcher.UnknownTask, watcher.Refused:
		return "task_error"
	case watcher.Throttled:
		return "throttled"
	case watcher.DeniedApplication, watcher.DeniedAccount:
		return "denied"
	default:
		return "transient"
	}
}

// gauges are the metrics that are computed from an account's status at each scrape. tasksDesc
// and expectedDesc, which have another label, are too.
var gauges = []struct {
	desc  *prometheus.Desc
	value func(s *watcher.AccountStatus) float64
}{
	{accountGauge("pushwatch_staleness_seconds", "Age of the oldest observation of a live task."),
		func(s *watcher.AccountStatus) float64 { return s.Staleness.Seconds() }},
	{accountGauge("pushwatch_staleness_promised_seconds", "Bound of pushwatch_staleness_seconds: watch.max_staleness, or the time that three rounds take at the granted rate, if longer."),
		func(s *watcher.AccountStatus) float64 { return s.PromisedStaleness.Seconds() }},
	{accountGauge("pushwatch_overloaded", "1 while the limit does not allow to poll every live task within watch.max_staleness."),
		func(s *watcher.AccountStatus) float64 { return truth(s.Overloaded) }},
	{accountGauge("pushwatch_rate_limit", "Requests per second granted now: less than the limit while others use the account's quota."),
		func(s *watcher.AccountStatus) float64 { return s.Granted }},
	{accountGauge("pushwatch_rate_limit_configured", "Requests per second in the settings."),
		func(s *watcher.AccountStatus) float64 { return s.Limit }},
	{accountGauge("pushwatch_blind", "1 while the account, or an application of it, is reported as blind."),
		func(s *watcher.AccountStatus) float64 {
			return truth(slices.ContainsFunc(s.Outages, func(o watcher.Outage) bool { return o.Reported }))
		}},
	{accountGauge("pushwatch_blind_pushes", "Live tasks that are blind by themselves, from push.blind to push.sighted."),
		func(s *watcher.AccountStatus) float64 { return float64(s.BlindPushes) }},
	{accountGauge("pushwatch_tasks_unobserved", "Live tasks that were never observed."),
		func(s *watcher.AccountStatus) float64 { return float64(s.Unobserved) }},
	{accountGauge("pushwatch_database_failing", DatabaseFailingHelp),
		func(s *watcher.AccountStatus) float64 { return truth(!s.StoreFailed.IsZero()) }},
}

var (
	tasksDesc    = accountGauge("pushwatch_tasks", "Live tasks by state. How others have ended is counted by pushwatch_events_total.", "state")
	expectedDesc = accountGauge("pushwatch_detection_expected_seconds", "Average delay until a change of a push (start, stop) is seen, as the schedule expects it.", "change")
)

func accountGauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"account"}, labels...), nil)
}

// DatabaseFailingHelp is the help of pushwatch_database_failing. The watcher collects it by
// account, the database without one.
const DatabaseFailingHelp = "1 while the database takes no writes of the account, or cannot be read for them; without an account: while it refuses writes."

// Describe implements [prometheus.Collector].
func (w *Watcher) Describe(descs chan<- *prometheus.Desc) {
	descs <- tasksDesc
	descs <- expectedDesc
	for _, g := range gauges {
		descs <- g.desc
	}
}

// Collect implements [prometheus.Collector].
func (w *Watcher) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, s := range w.Status() {
		for _, state := range watcher.States {
			if !state.Ended() {
				gauge(tasksDesc, float64(s.Tasks[state]), s.Name, string(state))
			}
		}
		gauge(expectedDesc, s.Starts.Expected.Seconds(), s.Name, "start")
		gauge(expectedDesc, s.Stops.Expected.Seconds(), s.Name, "stop")
		for _, g := range gauges {
			gauge(g.desc, g.value(&s), s.Name)
		}
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
