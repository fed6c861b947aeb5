package delivery_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/webhook"
	"pushwatch/watcher/setting"
)

// TestRefusedAddress has a webhook whose address no setting opens, and a single event:
// no attempt counts, and yet the delivery and the notifier show why, after hours too.
func TestRefusedAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sender, err := webhook.New(webhook.Config{
			Name: "n", URL: setting.Plain("http://127.0.0.1:9/hook"),
			Secrets: []setting.Secret{setting.Plain("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
		})
		if err != nil {
			t.Fatal(err)
		}
		n := to("n", nil)
		n.Sender = sender
		w := newWorld(t, n)
		w.announce("msg_1", "x", "n")
		rest(time.Second)
		const setting = `allow_cidrs = ["127.0.0.1/32"]`
		check := func(log int) {
			t.Helper()
			record, attempts, err := w.dispatcher.Delivery(t.Context(), w.records("n")[0].ID)
			if err != nil || record.Attempts != 0 || !strings.Contains(record.LastError, setting) || len(attempts) != log {
				t.Errorf("Delivery() = %+v, %d attempts, %v, want 0 that count, %d in the log, and %s as the reason", record, len(attempts), err, log, setting)
			}
			for _, a := range attempts {
				if a.Error != record.LastError || a.At.IsZero() {
					t.Errorf("attempt %+v, want why it failed", a)
				}
			}
		}
		check(1)
		if s := w.status("n"); s.State != notify.Active || !strings.Contains(s.LastError, setting) {
			t.Errorf("Notifiers() = %+v, want the reason", s)
		}
		rest(6 * time.Hour)
		check(5)
		now := time.Now()
		if s := w.status("n"); s.State != notify.Down || !strings.Contains(s.LastError, setting) ||
			s.NextProbeAt.Before(now) || s.NextProbeAt.After(now.Add(75*time.Second)) {
			t.Errorf("Notifiers() = %+v, want it down, why, and a probe within 75 s", s)
		}
		w.stop()
	})
}

// TestDownIsShown has a receiver refuse connections for hours, with a restart in
// between, and then come back.
func TestDownIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		refusal := &notify.SendError{Cause: notify.CauseConnect, Reason: "connect to classroom.example: connection refused"}
		r := &receiver{answer: func(context.Context, *notify.Delivery) error {
			time.Sleep(100 * time.Millisecond) // the first attempts of all lanes are in flight together
			if up.Load() {
				return nil
			}
			return refusal
		}}
		w := newWorld(t, to("n", r))
		const lanes = 8
		w.announceAll(lanes, lanes, "n")
		shown := func(when string) {
			t.Helper()
			now := time.Now()
			if s := w.status("n"); s.State != notify.Down || s.LastError != refusal.Reason || s.Pending != lanes ||
				s.NextProbeAt.Before(now) || s.NextProbeAt.After(now.Add(75*time.Second)) {
				t.Errorf("%s: Notifiers() = %+v, want it down, with a probe within 75 s", when, s)
			}
			if got := stateMetric(t, w, "n"); got != "down" {
				t.Errorf("%s: pushwatch_notifier_state is %s, want down", when, got)
			}
			for _, record := range w.records("n") {
				_, log, err := w.dispatcher.Delivery(t.Context(), record.ID)
				if err != nil || record.LastError != refusal.Reason || record.Attempts != 1 || len(log) > 1+5 {
					t.Errorf("%s: delivery %+v with %d attempts, %v, want one that counts, the last few probes and the reason", when, record, len(log), err)
				}
			}
		}
		rest(time.Second)
		shown("at once")
		rest(3 * time.Hour)
		shown("after hours")
		tried := len(r.all())
		w.restart(to("n", r))
		rest(time.Second)
		shown("after a restart")
		if got := len(r.all()) - tried; got != 1 {
			t.Errorf("%d attempts right after the restart, want one probe", got)
		}
		rest(time.Hour)
		if got := len(r.all()) - tried; got < 50 || got > 75 { // probes up to a minute apart, with their jitter
			t.Errorf("%d probes in an hour, want about one a minute", got)
		}
		shown("an hour later")

		// A process that delivers nothing, on the same database, shows the same.
		other := &world{TB: t, dispatcher: notify.New(notify.Config{Instance: "test", Notifiers: []notify.Notifier{to("n", r)}, Archive: w.db})}
		if got, want := fmt.Sprint(other.status("n")), fmt.Sprint(w.status("n")); got != want {
			t.Errorf("another process shows %s, want %s", got, want)
		}

		next := w.status("n").NextProbeAt
		up.Store(true)
		rest(time.Until(next) + time.Second)
		if s := w.status("n"); s.State != notify.Active || s.LastError != "" || s.Pending != 0 || !s.NextProbeAt.IsZero() {
			t.Errorf("Notifiers() after next_probe_at = %+v, want it active and nothing pending", s)
		}
		if got, want := fmt.Sprint(other.status("n")), fmt.Sprint(w.status("n")); got != want {
			t.Errorf("another process shows %s, want %s", got, want)
		}
		if got := stateMetric(t, w, "n"); got != "active" {
			t.Errorf("pushwatch_notifier_state is %s, want active", got)
		}
		w.stop()
	})
}

// stateMetric is the state in which the metrics show a notifier.
func stateMetric(t *testing.T, w *world, notifier string) (states string) {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if labels := m.GetLabel(); f.GetName() == "pushwatch_notifier_state" && labels[0].GetValue() == notifier && m.GetGauge().GetValue() == 1 {
				states += labels[1].GetValue()
			}
		}
	}
	return states
}

// TestRequestsAreCounted has a receiver answer 503 through an outage: each request for
// a delivery has the next number, those of probes too, and so after a restart and a
// replay.
func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		requests := make(map[string][]int)
		r := &receiver{}
		r.answer = func(_ context.Context, d *notify.Delivery) error {
			r.mu.Lock()
			requests[d.EventID] = append(requests[d.EventID], d.Requests+1)
			r.mu.Unlock()
			if up.Load() {
				return nil
			}
			return broken
		}
		w := newWorld(t, to("n", r))
		w.announceAll(8, 8, "n")
		rest(10 * time.Minute)
		w.restart(to("n", r))
		rest(10 * time.Minute)
		up.Store(true)
		rest(5 * time.Minute)
		for _, record := range w.records("n") {
			if _, err := w.dispatcher.Retry(t.Context(), record.ID); err != nil {
				t.Fatal(err)
			}
		}
		rest(time.Minute)
		probes := 0
		for id, numbers := range requests {
			for i, n := range numbers {
				if n != i+1 {
					t.Errorf("requests of %s have the numbers %v, want 1, 2, 3 …", id, numbers)
					break
				}
			}
			probes += len(numbers) - 3 // the first, the one that was accepted, and the replay
		}
		if probes < 20 {
			t.Errorf("%d probes, want many", probes)
		}
		for _, record := range w.records("n") {
			if record.Attempts != 1 || record.State != notify.Delivered {
				t.Errorf("delivery %+v, want it delivered by one attempt since its replay", record)
			}
		}
		w.stop()
	})
}

// TestLastErrorStays has a receiver that always asks for a pause of three seconds: the
// reason is shown until something succeeds, and the test event is pending at once.
func TestLastErrorStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		r := &receiver{answer: func(context.Context, *notify.Delivery) error {
			if up.Load() {
				return nil
			}
			return &notify.SendError{Cause: notify.CauseThrottled, Reason: "answered 429", RetryAfter: time.Now().Add(3 * time.Second)}
		}}
		w := newWorld(t, to("n", r))
		if s := w.status("n"); s.Pending != 0 {
			t.Errorf("%d pending, want none yet", s.Pending)
		}
		if _, err := w.dispatcher.Test(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			rest(700 * time.Millisecond)
			if s := w.status("n"); s.LastError != "answered 429" || s.Pending != 1 {
				t.Fatalf("Notifiers() = %+v, want one pending, and answered 429", s)
			}
		}
		if err := w.dispatcher.Pause(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		if err := w.dispatcher.Resume(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		w.restart(to("n", r))
		if s := w.status("n"); s.LastError != "answered 429" {
			t.Errorf("Notifiers() after pause, resume and restart = %+v, want answered 429", s)
		}
		up.Store(true)
		rest(5 * time.Minute)
		w.restart(to("n", r))
		if s := w.status("n"); s.LastError != "" || s.Pending != 0 || s.State != notify.Active {
			t.Errorf("Notifiers() after a success = %+v, want nothing left of it", s)
		}
		w.stop()
	})
}

// TestWaitsFor takes two events of one push through everything that can hold them up,
// and through their delivery.
func TestWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Pointer[notify.SendError]
		answer.Store(refused)
		r := &receiver{answer: func(context.Context, *notify.Delivery) error {
			if failure := answer.Load(); failure != nil {
				return failure
			}
			return nil
		}}
		w := newWorld(t, to("n", r))
		w.push("x", 2, "n")
		check := func(when, first, second string) {
			t.Helper()
			records := w.records("n")
			got := [2]string{records[0].WaitsFor.String(), records[1].WaitsFor.String()}
			next := records[0].NextAttemptAt.UTC().Format(time.RFC3339)
			want := [2]string{strings.ReplaceAll(first, "NEXT", next), strings.ReplaceAll(second, "NEXT", next)}
			if got != want {
				t.Errorf("%s, the two wait for %q, want %q", when, got, want)
			}
			if one, _, err := w.dispatcher.Delivery(t.Context(), records[1].ID); err != nil || one.WaitsFor.String() != got[1] {
				t.Errorf("%s, Delivery() waits for %q, %v, want %q", when, one.WaitsFor, err, got[1])
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		rest(time.Second)
		check("refused", "its retry at NEXT", "an earlier event of the same push: dlv_1_1")
		for range 2 {
			_, err := w.dispatcher.Test(t.Context(), "n")
			must(err)
		}
		rest(time.Second)
		if got, want := w.records("n")[3].WaitsFor.String(), "an earlier event of the same subject: dlv_1_3"; got != want {
			t.Errorf("the second test event waits for %q, want %q", got, want)
		}
		must(w.dispatcher.Pause(t.Context(), "n"))
		check("paused", "the notifier, which is paused", "the notifier, which is paused")
		rest(time.Minute)
		w.dispatcher.Reconfigure(nil)
		check("renamed", "a notifier of this name: the settings have none", "a notifier of this name: the settings have none")
		w.dispatcher.Reconfigure([]notify.Notifier{to("n", r)})
		rest(time.Second)

		until := time.Now().Add(time.Hour).Truncate(time.Second)
		answer.Store(&notify.SendError{Cause: notify.CauseThrottled, Reason: "answered 429", RetryAfter: until})
		must(w.dispatcher.Resume(t.Context(), "n"))
		rest(time.Minute)
		pause := "the notifier, which asked for a pause until " + until.UTC().Format(time.RFC3339)
		check("throttled", pause, pause)

		must(w.dispatcher.Resume(t.Context(), "n"))
		answer.Store(broken)
		w.announceAll(8, 8, "n")
		rest(10 * time.Minute)
		probe := w.status("n").NextProbeAt.UTC().Format(time.RFC3339)
		check("down", "the notifier, which is down: next probe at "+probe, "the notifier, which is down: next probe at "+probe)

		answer.Store(nil)
		rest(10 * time.Minute)
		check("delivered", "", "")
		w.stop()
	})
}
