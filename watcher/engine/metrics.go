package engine

import (
	"slices"
	"time"

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
	polls struct {
		ok, taskError, throttled, denied, transient prometheus.Counter
	}
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
	a := &accountMetrics{pollSeconds: m.pollSeconds.WithLabelValues(name), repaired: m.repaired.WithLabelValues(name)}
	a.polls.ok = m.polls.WithLabelValues(name, "ok")
	a.polls.taskError = m.polls.WithLabelValues(name, "task_error")
	a.polls.throttled = m.polls.WithLabelValues(name, "throttled")
	a.polls.denied = m.polls.WithLabelValues(name, "denied")
	a.polls.transient = m.polls.WithLabelValues(name, "transient")
	return a
}

// count counts a poll by its result; nil: it returned the status of a push.
func (a *accountMetrics) count(fault *watcher.CloudError) {
	switch {
	case fault == nil:
		a.polls.ok.Inc()
	case fault.Kind == watcher.FailedTask, fault.Kind == watcher.UnknownTask, fault.Kind == watcher.Refused:
		a.polls.taskError.Inc()
	case fault.Kind == watcher.Throttled:
		a.polls.throttled.Inc()
	case fault.Kind == watcher.DeniedApplication, fault.Kind == watcher.DeniedAccount:
		a.polls.denied.Inc()
	default:
		a.polls.transient.Inc()
	}
}

// Descriptions of the gauges, which are computed at each scrape.
var (
	tasksDesc = prometheus.NewDesc("pushwatch_tasks",
		"Live tasks by state. How others have ended is counted by pushwatch_events_total.", []string{"account", "state"}, nil)
	staleDesc = prometheus.NewDesc("pushwatch_staleness_seconds",
		"Age of the oldest observation of a live task.", []string{"account"}, nil)
	promisedDesc = prometheus.NewDesc("pushwatch_staleness_promised_seconds",
		"Bound of pushwatch_staleness_seconds: watch.max_staleness, or the time for three rounds of all live tasks at the granted rate, if longer.", []string{"account"}, nil)
	overloadedDesc = prometheus.NewDesc("pushwatch_overloaded",
		"1 while the limit does not allow to poll every live task within watch.max_staleness.", []string{"account"}, nil)
	rateDesc = prometheus.NewDesc("pushwatch_rate_limit",
		"Requests per second granted now: less than the limit while others use the account's quota.", []string{"account"}, nil)
	configuredDesc = prometheus.NewDesc("pushwatch_rate_limit_configured",
		"Requests per second in the settings.", []string{"account"}, nil)
	expectedDesc = prometheus.NewDesc("pushwatch_detection_expected_seconds",
		"Average delay until a change of a push (start, stop) is seen, as the schedule expects it.", []string{"account", "change"}, nil)
	blindDesc = prometheus.NewDesc("pushwatch_blind",
		"1 while the account, or an application of it, is reported as blind.", []string{"account"}, nil)
	blindPushesDesc = prometheus.NewDesc("pushwatch_blind_pushes",
		"Live tasks that are blind by themselves, from push.blind to push.sighted.", []string{"account"}, nil)
	unobservedDesc = prometheus.NewDesc("pushwatch_tasks_unobserved",
		"Live tasks that were never observed.", []string{"account"}, nil)
	databaseFailingDesc = prometheus.NewDesc("pushwatch_database_failing", DatabaseFailingHelp, []string{"account"}, nil)
)

// DatabaseFailingHelp is the help of pushwatch_database_failing. The watcher collects it by
// account, the database without one.
const DatabaseFailingHelp = "1 while the database takes no writes of the account, or cannot be read for them; without an account: while it refuses writes."

// Describe implements [prometheus.Collector].
func (w *Watcher) Describe(descs chan<- *prometheus.Desc) {
	descs <- tasksDesc
	descs <- staleDesc
	descs <- promisedDesc
	descs <- overloadedDesc
	descs <- rateDesc
	descs <- configuredDesc
	descs <- expectedDesc
	descs <- blindDesc
	descs <- blindPushesDesc
	descs <- unobservedDesc
	descs <- databaseFailingDesc
}

// Collect implements [prometheus.Collector].
func (w *Watcher) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	now := time.Now()
	for _, a := range w.watched() {
		s := a.status(now)
		for _, state := range watcher.States {
			if !state.Ended() {
				gauge(tasksDesc, float64(s.Tasks[state]), a.Name, string(state))
			}
		}
		gauge(staleDesc, s.Staleness.Seconds(), a.Name)
		gauge(promisedDesc, s.PromisedStaleness.Seconds(), a.Name)
		gauge(rateDesc, s.Granted, a.Name)
		gauge(configuredDesc, s.Limit, a.Name)
		gauge(expectedDesc, s.Starts.Expected.Seconds(), a.Name, "start")
		gauge(expectedDesc, s.Stops.Expected.Seconds(), a.Name, "stop")
		gauge(overloadedDesc, truth(s.Overloaded), a.Name)
		gauge(blindDesc, truth(slices.ContainsFunc(s.Outages, func(d watcher.Outage) bool { return d.Reported })), a.Name)
		gauge(blindPushesDesc, float64(s.BlindPushes), a.Name)
		gauge(unobservedDesc, float64(s.Unobserved), a.Name)
		gauge(databaseFailingDesc, truth(!s.StoreFailed.IsZero()), a.Name)
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
