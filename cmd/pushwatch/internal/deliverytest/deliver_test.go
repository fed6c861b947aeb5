package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
	"pushwatch/notify/webhook"
	"pushwatch/watcher/setting"
)

// TestPoison has a notifier refuse what very many tasks send: new events still
// come through at once.
func TestPoison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ context.Context, d *notify.Delivery) error {
			if d.Subject != "good" {
				return refused
			}
			return nil
		}}
		w := newWorld(t, to("n", r))
		const poison = 5000 // more than are held with their bodies
		w.announceAll(poison, poison, "n")
		rest(time.Second) // all of them have failed once
		w.announce("msg_good", "good", "n")
		rest(time.Second)
		if got := r.accepted(); len(got) != 1 || got[0] != "msg_good" {
			t.Errorf("accepted = %v, want msg_good", got)
		}
		w.stop()
	})
}

// TestBacklog has a large backlog wait for a notifier that is paused: little of
// it is in memory. It runs alone, for the heap is everybody's.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, to("n", &receiver{}))
		if err := w.dispatcher.Pause(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		const tasks, events, size = 20, 500, 5_000
		w.padding = strings.Repeat("x", size)
		before := heap()
		for i := range tasks {
			w.push(fmt.Sprint(i), events, "n")
		}
		rest(time.Minute)
		const backlog = tasks * events
		if grown := heap() - before; grown > backlog*size*6/10 { // the window is two fifths of it
			t.Errorf("the heap grew by %d kB for a backlog of %d kB, want it to stay in the table", grown>>10, backlog*size>>10)
		}
		if s := w.status("n"); s.Pending != backlog {
			t.Errorf("%d pending, want %d", s.Pending, backlog)
		}
		w.stop()
	})
}

// BenchmarkBacklog has a million deliveries wait for a notifier that is paused, and
// then delivers them: what the heap grows by in either state.
func BenchmarkBacklog(b *testing.B) {
	for b.Loop() {
		var received atomic.Int64
		n := to("n", &receiver{})
		n.Sender, n.MaxInFlight = sendFunc(func() { received.Add(1) }), 64
		w := startWorld(b, n)
		if err := w.dispatcher.Pause(b.Context(), "n"); err != nil {
			b.Fatal(err)
		}
		const tasks, events = 2000, 500
		w.padding = strings.Repeat("x", 500)
		before := heap()
		for i := range tasks {
			w.push(fmt.Sprint(i), events, "n")
		}
		waiting := heap() - before
		if err := w.dispatcher.Resume(b.Context(), "n"); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		var most int64
		for received.Load() < tasks*events {
			time.Sleep(time.Second)
			most = max(most, heap()-before)
		}
		b.ReportMetric(float64(waiting)/(1<<20), "MB-waiting")
		b.ReportMetric(float64(most)/(1<<20), "MB-delivering")
		b.ReportMetric(tasks*events/time.Since(start).Seconds(), "deliveries/s")
		w.stop()
	}
	b.ReportMetric(0, "ns/op")
}

// A sendFunc is a Sender whose receiver takes all; it is called for each.
type sendFunc func()

func (f sendFunc) Send(context.Context, *notify.Delivery) (int, error) {
	f()
	return http.StatusNoContent, nil
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestIsolation has one notifier hang: it holds up no other.
func TestIsolation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hanging := &receiver{answer: func(ctx context.Context, _ *notify.Delivery) error {
			<-ctx.Done()
			return &notify.SendError{Cause: notify.CauseTimeout, Reason: "wait for it: nothing"}
		}}
		healthy := &receiver{}
		w := newWorld(t, to("hanging", hanging), to("healthy", healthy))
		start := time.Now()
		w.announceAll(300, 100, "hanging", "healthy")
		synctest.Wait()
		if got := len(healthy.accepted()); got != 300 {
			t.Errorf("%d accepted, want 300", got)
		}
		for _, s := range healthy.all() { // in this test's time only waiting takes any
			if s.at.Sub(start) > time.Second {
				t.Errorf("%s is sent after %v, want at once", s.id, s.at.Sub(start))
			}
		}
		w.stop()
	})
}

// BenchmarkDeliver delivers 10,000 events of 1,000 tasks a turn to a receiver on
// this machine: each is saved, sent, and its delivery saved. Beside it runs the
// bare client, which saves nothing, with as many requests at once.
func BenchmarkDeliver(b *testing.B) {
	const events, tasks, inFlight = 10_000, 1_000, 64
	var received atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		received.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()

	b.Run("bare", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}}
		body := newEvent("msg_0", "x").Body
		for b.Loop() {
			var next atomic.Int64
			var all sync.WaitGroup
			for range inFlight {
				all.Go(func() {
					for next.Add(1) <= events {
						response, err := client.Post(server.URL, "application/json", bytes.NewReader(body))
						if err != nil {
							b.Error(err)
							return
						}
						response.Body.Close()
					}
				})
			}
			all.Wait()
		}
		b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "deliveries/s")
	})
	b.Run("durable", func(b *testing.B) {
		sender, err := webhook.New(webhook.Config{
			Name: "n", URL: setting.Plain(server.URL),
			Secrets: []setting.Secret{setting.Plain("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
			Config: transport.Config{
				MaxInFlight: inFlight, Timeout: 15 * time.Second, AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		w := startWorld(b, notify.Notifier{Name: "n", Type: "webhook", Sender: sender, MaxInFlight: inFlight})
		defer w.stop()
		received.Store(0)
		turn := 0
		for b.Loop() {
			b.StopTimer() // what the saving of events takes is another matter
			if err := w.dispatcher.Pause(b.Context(), "n"); err != nil {
				b.Fatal(err)
			}
			var all sync.WaitGroup
			for first := range 500 {
				all.Go(func() {
					for i := first; i < events; i += 500 {
						w.announce(fmt.Sprintf("msg_%d_%d", turn, i), fmt.Sprint(i%tasks), "n")
					}
				})
			}
			all.Wait()
			turn++
			b.StartTimer()
			if err := w.dispatcher.Resume(b.Context(), "n"); err != nil {
				b.Fatal(err)
			}
			for {
				tallies, err := w.db.Tallies(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if tallies["n"].Pending == 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "deliveries/s")
		if got := received.Load(); got != int64(turn*events) {
			b.Errorf("%d received, want %d", got, turn*events)
		}
	})
}
