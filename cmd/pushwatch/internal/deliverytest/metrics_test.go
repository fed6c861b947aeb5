package delivery_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// TestMetrics has one event accepted at its second attempt, one refused for good, and
// one wait for a notifier that is paused.
func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ context.Context, d *notify.Delivery) error {
			switch {
			case d.EventID == "msg_final":
				return final
			case d.Attempts == 0:
				return refused
			}
			return nil
		}}
		w := newWorld(t, to("n", r), to("paused", &receiver{}))
		if err := w.dispatcher.Pause(t.Context(), "paused"); err != nil {
			t.Fatal(err)
		}
		w.announce("msg_second", "a", "n")
		w.announce("msg_final", "b", "n")
		w.announce("msg_waits", "c", "paused")
		rest(100 * time.Second)

		const want = `
			# HELP pushwatch_deliveries_dead Dead letters of a notifier.
			# TYPE pushwatch_deliveries_dead gauge
			pushwatch_deliveries_dead{notifier="n"} 1
			pushwatch_deliveries_dead{notifier="paused"} 0
			# HELP pushwatch_deliveries_pending Deliveries to a notifier that are neither delivered nor dead.
			# TYPE pushwatch_deliveries_pending gauge
			pushwatch_deliveries_pending{notifier="n"} 0
			pushwatch_deliveries_pending{notifier="paused"} 1
			# HELP pushwatch_deliveries_total Settled deliveries, by outcome: delivered or dead.
			# TYPE pushwatch_deliveries_total counter
			pushwatch_deliveries_total{notifier="n",outcome="dead"} 1
			pushwatch_deliveries_total{notifier="n",outcome="delivered"} 1
			pushwatch_deliveries_total{notifier="paused",outcome="dead"} 0
			pushwatch_deliveries_total{notifier="paused",outcome="delivered"} 0
			# HELP pushwatch_delivery_attempts_total Attempts to deliver an event, by result.
			# TYPE pushwatch_delivery_attempts_total counter
			pushwatch_delivery_attempts_total{notifier="n",result="2xx"} 1
			pushwatch_delivery_attempts_total{notifier="n",result="4xx"} 2
			pushwatch_delivery_attempts_total{notifier="paused",result="2xx"} 0
			# HELP pushwatch_notifier_state 1 for a notifier's current state: active, down (it does not answer and is probed), paused (by an operator or at its own request), gone (it answered 410).
			# TYPE pushwatch_notifier_state gauge
			pushwatch_notifier_state{notifier="n",state="active"} 1
			pushwatch_notifier_state{notifier="n",state="down"} 0
			pushwatch_notifier_state{notifier="n",state="gone"} 0
			pushwatch_notifier_state{notifier="n",state="paused"} 0
			pushwatch_notifier_state{notifier="paused",state="active"} 0
			pushwatch_notifier_state{notifier="paused",state="down"} 0
			pushwatch_notifier_state{notifier="paused",state="gone"} 0
			pushwatch_notifier_state{notifier="paused",state="paused"} 1
			# HELP pushwatch_oldest_pending_seconds Age of the oldest pending delivery to a notifier; 0 if none is pending.
			# TYPE pushwatch_oldest_pending_seconds gauge
			pushwatch_oldest_pending_seconds{notifier="n"} 0
			pushwatch_oldest_pending_seconds{notifier="paused"} 100
		`
		if err := testutil.GatherAndCompare(w.metrics, strings.NewReader(want), "pushwatch_deliveries_dead", "pushwatch_deliveries_pending",
			"pushwatch_deliveries_total", "pushwatch_delivery_attempts_total", "pushwatch_notifier_state", "pushwatch_oldest_pending_seconds"); err != nil {
			t.Error(err)
		}
		for kind, want := range map[watcher.EventType]float64{watcher.DeliveryExhausted: 1, watcher.WebhookTest: 0} {
			if got := testutil.ToFloat64(watcher.EventsCounter(w.metrics).WithLabelValues(string(kind))); got != want {
				t.Errorf("pushwatch_events_total of %s = %v, want %v", kind, got, want)
			}
		}
		if _, err := w.dispatcher.Test(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		if got := testutil.ToFloat64(watcher.EventsCounter(w.metrics).WithLabelValues(string(watcher.WebhookTest))); got != 1 {
			t.Errorf("pushwatch_events_total of a test = %v, want 1", got)
		}
		if seconds := secondsToDeliver(t, w.metrics); seconds < 5 || seconds > 7 { // the first retry's delay, with its jitter
			t.Errorf("pushwatch_delivery_seconds = %v, want 5 to 6", seconds)
		}
		w.stop()
	})
}

// secondsToDeliver is how long all deliveries took that a registry tells of.
func secondsToDeliver(t *testing.T, r prometheus.Gatherer) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "pushwatch_delivery_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetHistogram().GetSampleSum()
		}
	}
	return sum
}

// TestTimeoutResult has a receiver hang for longer than the notifier's timeout, which
// is counted as such.
func TestTimeoutResult(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // else the server does not notice that the sender has hung up
		<-r.Context().Done()
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	n := to("n", nil)
	n.Sender, n.Timeout = senderTo(t, server.URL, time.Minute), 100*time.Millisecond
	w := newWorld(t, n)
	w.announce("msg_1", "x", "n")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got := resultsOf(t, w)
		if got["timeout"] > 0 {
			break
		}
		if len(got) > 1 || time.Now().After(deadline) {
			t.Fatalf("attempts by result = %v, want a timeout", got)
		}
	}
}

// resultsOf counts the attempts by result; 2xx is always there.
func resultsOf(t *testing.T, w *world) map[string]float64 {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	results := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != "pushwatch_delivery_attempts_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "result" {
					results[l.GetValue()] = m.GetCounter().GetValue()
				}
			}
		}
	}
	return results
}
