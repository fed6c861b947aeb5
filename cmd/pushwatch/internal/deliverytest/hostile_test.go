package delivery_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify"
	"pushwatch/notify/transport"
	"pushwatch/notify/webhook"
	"pushwatch/watcher/setting"
)

// TestReceiverDown has a receiver down for 45 s: then all that has waited arrives,
// soon and in order for each task.
func TestReceiverDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := time.Now().Add(45 * time.Second)
		r := &receiver{answer: func(context.Context, *notify.Delivery) error {
			if time.Now().Before(up) {
				return broken
			}
			return nil
		}}
		w := newWorld(t, to("n", r))
		want := make(map[string][]string)
		for task := range 20 {
			subject := fmt.Sprintf("1400000001/class-%d", task)
			want[subject] = w.push(fmt.Sprintf("class-%d", task), 10, "n")
		}
		rest(time.Until(up) + 90*time.Second)
		got := make(map[string][]string)
		for _, s := range r.all() {
			if s.accepted {
				got[s.subject] = append(got[s.subject], s.id)
			}
		}
		for subject, ids := range want {
			if !slices.Equal(got[subject], ids) {
				t.Errorf("%s: accepted %v, want %v", subject, got[subject], ids)
			}
		}
		w.stop()
	})
}

// hostile are receivers that do their worst with an attempt.
var hostile = map[string]http.HandlerFunc{
	"hanging": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"dripping": func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	},
	"endless": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			time.Sleep(time.Millisecond) // the receiver's own work is not what is measured
		}
	},
	"headers": func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			w.Header()[fmt.Sprintf("X-%d", i)] = []string{string(chunk)}
		}
	},
	"bomb": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusBadRequest)
		w.Write(bomb)
	},
}

var chunk = bytes.Repeat([]byte("x"), 64<<10)

// bomb unpacks to a thousand times its size.
var bomb = func() []byte {
	var b bytes.Buffer
	packed := gzip.NewWriter(&b)
	for range 64 {
		packed.Write(make([]byte, 1<<20))
	}
	packed.Close()
	return b.Bytes()
}()

// hostileProcess is set in the environment of a process that is the hostile receivers.
const hostileProcess = "PUSHWATCH_TEST_HOSTILE"

func TestMain(m *testing.M) {
	if os.Getenv(hostileProcess) == "" {
		storetest.Main(m)
	}
	urls := make(map[string]string)
	for kind, answer := range hostile {
		urls[kind] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // else the server does not notice that the sender has hung up
			answer(w, r)
		})).URL
	}
	json.NewEncoder(os.Stdout).Encode(urls)
	io.Copy(io.Discard, os.Stdin) // until the test ends
}

// hostileURLs starts the hostile receivers, in a process of their own, so that this
// one has only what they do to it, and returns where they are, by kind.
func hostileURLs(t testing.TB) map[string]string {
	t.Helper()
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), hostileProcess+"=1")
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
	})
	var urls map[string]string
	if err := json.NewDecoder(out).Decode(&urls); err != nil {
		t.Fatal(err)
	}
	return urls
}

// senderTo is a webhook's sender to a server on this machine.
func senderTo(t testing.TB, url string, timeout time.Duration) notify.Sender {
	t.Helper()
	sender, err := webhook.New(webhook.Config{
		Name: "n", URL: setting.Plain(url),
		Secrets: []setting.Secret{setting.Plain("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
		Config:  transport.Config{Timeout: timeout, AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

// TestHostileReceivers has a healthy notifier beside all of the hostile ones: it
// gets everything, and memory stays flat. It runs alone, for the heap is everybody's.
func TestHostileReceivers(t *testing.T) {
	notifiers, names, healthy := besideHostile(t, hostileURLs(t))
	w := startWorld(t, notifiers...)
	defer w.stop()
	before := heap()
	const events = 400
	w.announceAll(events, 50, names...)
	for deadline := time.Now().Add(60 * time.Second); len(healthy.accepted()) < events; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the healthy notifier has accepted %d of %d", len(healthy.accepted()), events)
		}
	}
	time.Sleep(2 * time.Second)
	if grown := heap() - before; grown > 64<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
}

// besideHostile are a healthy notifier and hostile ones.
func besideHostile(t testing.TB, urls map[string]string) (notifiers []notify.Notifier, names []string, healthy *receiver) {
	healthy = &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(server.Close)
	sender := senderTo(t, server.URL, 5*time.Second)
	healthy.answer = func(ctx context.Context, d *notify.Delivery) error {
		_, err := sender.Send(ctx, d)
		return err
	}
	notifiers, names = append(notifiers, to("healthy", healthy)), append(names, "healthy")
	for kind, url := range urls {
		n := to(kind, nil)
		n.Sender, n.Timeout = senderTo(t, url, time.Second), time.Second
		notifiers, names = append(notifiers, n), append(names, kind)
	}
	return notifiers, names, healthy
}

// BenchmarkBesideHostile sends a healthy notifier 80 events a second: alone, beside
// each of the hostile ones, and beside all of them. It compares the 99th percentiles
// of the time from the event, its commit included, to its 2xx. One round's
// percentile is mostly the disk's, so medians over rounds are compared: -benchtime 9x.
func BenchmarkBesideHostile(b *testing.B) {
	const events = 400
	p99 := func(beside map[string]string) float64 {
		notifiers, names, healthy := besideHostile(b, beside)
		w := startWorld(b, notifiers...)
		defer w.stop()
		announced := make(map[string]time.Time)
		ticks := time.NewTicker(time.Second / 80) // four times what the polls of an account can yield
		defer ticks.Stop()
		for i := range events {
			<-ticks.C
			id := fmt.Sprintf("msg_%d", i)
			announced[id] = time.Now()
			w.announce(id, fmt.Sprint(i%50), names...)
		}
		for len(healthy.accepted()) < events {
			time.Sleep(10 * time.Millisecond)
		}
		var took []time.Duration
		for _, s := range healthy.all() {
			took = append(took, s.answered.Sub(announced[s.id]))
		}
		slices.Sort(took)
		return took[len(took)*99/100].Seconds() * 1000
	}
	urls := hostileURLs(b)
	kinds := slices.Sorted(maps.Keys(urls))
	took := make(map[string][]float64) // p99 in ms
	for b.Loop() {
		took["alone"] = append(took["alone"], p99(nil))
		took["all"] = append(took["all"], p99(urls))
		for _, kind := range kinds {
			took[kind] = append(took[kind], p99(map[string]string{kind: urls[kind]}))
		}
	}
	alone := median(took["alone"])
	b.ReportMetric(alone, "ms-p99-alone")
	for _, kind := range append(kinds, "all") {
		b.ReportMetric(median(took[kind])/alone, kind+"/alone")
	}
	b.ReportMetric(0, "ns/op")
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
