package notify_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// askOnce answers the first attempt with a failure, and takes all others.
func askOnce(failure *notify.SendError) *receiver {
	r := &receiver{}
	r.answer = func(context.Context, *notify.Delivery) error {
		if len(r.all()) == 0 {
			return failure
		}
		return nil
	}
	return r
}

// TestPausedWhileDown has a notifier ask for silence, and so often that it is taken to
// be down too, with many lanes ready: until the pause ends, nothing moves. A loop that
// looks again and again without a wait would hang the test.
func TestPausedWhileDown(t *testing.T) {
	t.Parallel()
	for name, byHand := range map[string]bool{"asked": false, "by hand": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				until := time.Now().Add(time.Hour)
				r := &receiver{answer: func(context.Context, *notify.Delivery) error {
					time.Sleep(20 * time.Millisecond)
					if time.Now().After(until) {
						return nil
					}
					if byHand {
						return broken
					}
					return &notify.SendError{Reason: "answered 503", Result: "5xx", RetryAfter: until}
				}}
				w := newWorld(t, to("n", r))
				w.tellAll(100, 100, "n")
				rest(500 * time.Millisecond)
				if byHand {
					if err := w.dispatcher.Pause(t.Context(), "n"); err != nil {
						t.Fatal(err)
					}
				}
				rest(time.Minute)
				tried := len(r.all())
				rest(50 * time.Minute)
				if got := len(r.all()); got != tried {
					t.Errorf("%d attempts during the pause, want none", got-tried)
				}
				rest(20 * time.Minute)
				if byHand {
					if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
						t.Fatal(err)
					}
					rest(20 * time.Minute)
				}
				if got := len(r.taken()); got != 100 {
					t.Errorf("%d taken after the pause, want 100", got)
				}
				w.stop()
			})
		})
	}
}

// TestResumeEndsSilence resumes a notifier that has asked for a day's silence: also the
// delivery that met this goes on, and the reason is not shown for good.
func TestResumeEndsSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := askOnce(&notify.SendError{Reason: "answered 429", Result: "429", RetryAfter: time.Now().Add(24 * time.Hour)})
		w := newWorld(t, to("n", r))
		w.tell("msg_1", "x", "n")
		rest(time.Second)
		w.tell("msg_2", "x", "n")
		w.tell("msg_3", "y", "n")
		rest(time.Minute)
		if s := w.status("n"); s.LastError != "answered 429" || s.State != notify.Paused {
			t.Errorf("Notifiers() = %+v, want it paused, and why", s)
		}
		if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		if got := r.taken(); len(got) != 3 {
			t.Errorf("taken %v, want all three", got)
		}
		w.restart(to("n", r))
		rest(time.Minute)
		if s := w.status("n"); s.LastError != "" || s.State != notify.Active {
			t.Errorf("Notifiers() = %+v, want it active, without an error", s)
		}
		w.stop()
	})
}

// TestPauseElsewhere pauses a notifier by way of another process, at the moment when it
// asks this one for silence: the pause stays.
func TestPauseElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(context.Context, *notify.Delivery) error {
			return &notify.SendError{Reason: "answered 429", Result: "429", RetryAfter: time.Now().Add(30 * time.Second)}
		}}
		w := newWorld(t, to("n", r))
		rest(time.Second)
		other := notify.New(notify.Config{Instance: "test", Notifiers: []notify.Notifier{to("n", r)}, Archive: w.db})
		if err := other.Pause(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		w.tell("msg_1", "x", "n") // before this process hears of it
		rest(5 * time.Minute)
		tried := len(r.all())
		rest(time.Hour)
		if got := len(r.all()); got != tried {
			t.Errorf("%d attempts on a notifier that is paused", got-tried)
		}
		if s := w.status("n"); s.State != notify.Paused || !s.PausedUntil.IsZero() {
			t.Errorf("Notifiers() = %+v, want it paused by somebody", s)
		}
		w.stop()
	})
}

// TestOneTooMuch has the receiver fail at one event alone: that is no outage, and its
// attempts are those of the schedule.
func TestOneTooMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(context.Context, *notify.Delivery) error { return broken }}
		w := newWorld(t, to("n", r))
		w.tell("msg_1", "x", "n")
		rest(24 * time.Hour)
		if got, record := len(r.all()), w.records("n")[0]; got != record.Attempts || got > 14 {
			t.Errorf("%d attempts in a day, %d of them charged, want those of the schedule, all charged", got, record.Attempts)
		}
		w.stop()
	})
}

// TestReplayOnce replays deliveries that die again at once: each is taken once.
func TestReplayOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 1200 // more than two steps of a replay
		w := newWorld(t, to("n", &receiver{answer: func(context.Context, *notify.Delivery) error { return gone }}))
		w.tellAll(n, n, "n")
		rest(time.Minute)
		got, err := w.dispatcher.RetryAll(t.Context(), "n", time.Time{}, time.Time{})
		if err != nil || got != n {
			t.Errorf("RetryAll() = %d, %v, want %d", got, err, n)
		}
		w.stop()
	})
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
	w.tell("msg_1", "x", "n")
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

// resultsOf counts the attempts by what came of them; 2xx is always there.
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

// TestMatchIsOfTasks routes an event that belongs to no task to a notifier that chooses
// tasks by their labels.
func TestMatchIsOfTasks(t *testing.T) {
	f := notify.Filter{Events: []string{"push.*", "watcher.*"}, Match: map[string]string{"course": "math-*"}}
	for _, c := range []struct {
		kind   watcher.EventType
		labels map[string]string
		want   bool
	}{
		{watcher.WatcherBlind, nil, true},
		{watcher.PushFailed, nil, false},
		{watcher.PushFailed, map[string]string{"course": "math-3b"}, true},
		{watcher.PushFailed, map[string]string{"course": "art-2c"}, false},
		{watcher.WebhookTest, nil, false},
	} {
		if got := f.Wants(c.kind, c.labels); got != c.want {
			t.Errorf("Wants(%s, %v) = %t, want %t", c.kind, c.labels, got, c.want)
		}
	}
}
