package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tiwsim"
)

// busySchools runs a daemon in this process, over a simulated service in which so
// many accounts have so many pushes each that do not end.
func busySchools(t testing.TB, accounts, tasks int) (*daemon, *tiwsim.Service) {
	t.Helper()
	s := localSettings(t)
	s.Watch.RequestTimeout = setting.Duration(time.Second)
	scenario := tiwsim.Config{Latency: tiwsim.Duration(20 * time.Millisecond)}
	for i := range accounts {
		account := testAccount(i)
		app := account.SDKAppIDs[0]
		scenario.Accounts = append(scenario.Accounts, account)
		scenario.Tasks = append(scenario.Tasks, tiwsim.Life{SDKAppID: app, TaskID: "class-{n}", Count: tasks, PreparedFor: tiwsim.Duration(time.Millisecond)})
		for j := range tasks {
			s.Tasks = append(s.Tasks, taskSettings{SDKAppID: app, TaskID: fmt.Sprintf("class-%d", j+1)})
		}
	}
	tiw, err := tiwsim.New(scenario)
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(tiw)
	t.Cleanup(service.Close)
	for _, a := range scenario.Accounts {
		s.Accounts = append(s.Accounts, simAccount(a, service.URL))
	}
	d := runHere(t, s)
	time.Sleep(3 * time.Second) // a new owner is silent at first, and then opens its connections
	return d, tiw
}

// runHere runs a daemon in this process until the test ends.
func runHere(t testing.TB, s settings) *daemon {
	t.Helper()
	d, _, stop := runDaemon(t, s, nil)
	t.Cleanup(stop)
	return d
}

// runDaemon runs a daemon in this process until stop is called, and returns when it is
// up. The daemon has done with a reload when it sends to reloaded.
func runDaemon(t testing.TB, s settings, reloads <-chan settings) (d *daemon, reloaded <-chan struct{}, stop func()) {
	t.Helper()
	d, err := newDaemon(t.Context(), s, zap.NewNop(), zap.NewAtomicLevel())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}, 8), make(chan error, 1)
	go func() { ended <- d.run(ctx, func() { ready <- struct{}{} }, reloads) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		d.close()
		t.Fatal(err)
	}
	return d, ready, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		d.close()
	}
}

// pace waits, and returns how many requests a second the accounts make meanwhile.
func pace(tiw *tiwsim.Service, wait time.Duration, accounts ...string) float64 {
	sum := func() (n int) {
		stats := tiw.Stats()
		for _, name := range accounts {
			n += stats[name].Requests
		}
		return n
	}
	before, begun := sum(), time.Now()
	time.Sleep(wait)
	return float64(sum()-before) / time.Since(begun).Seconds()
}

// TestSlowAccount has the service not answer one account any more, so that each of
// its requests takes as long as it may: the others go on at their pace.
func TestSlowAccount(t *testing.T) {
	t.Parallel()
	_, tiw := busySchools(t, 4, 60)
	for n := 1; ; n++ { // a busy machine slows the others too, but not each time
		with, without, slow := besideHanging(t, tiw)
		t.Logf("polls a second of the others: %.1f, and %.1f beside an account that hangs (%.1f)", without, with, slow)
		ratio := with / without
		if ratio >= 0.9 && slow <= 15 {
			return
		}
		if n == 3 {
			t.Fatalf("three times not about 1: the others make %.1f polls a second beside an account that hangs, and %.1f without: ratio %.2f; that account makes %.1f, want at most 15",
				with, without, ratio, slow)
		}
	}
}

// besideHanging returns how many polls a second the other accounts make with and without
// one that hangs, and how many that one makes.
func besideHanging(t *testing.T, tiw *tiwsim.Service) (with, without, slow float64) {
	t.Helper()
	others := []string{"school-1", "school-2", "school-3"}
	const turns = 3 // by turns, so that a busy machine slows both
	for range turns {
		without += pace(tiw, 2*time.Second, others...) / turns
		end, err := tiw.Inject(tiwsim.Fault{Kind: tiwsim.FaultHang, Account: "school"})
		if err != nil {
			t.Fatal(err)
		}
		before := tiw.Stats()["school"].Requests
		with += pace(tiw, 2*time.Second, others...) / turns
		slow += float64(tiw.Stats()["school"].Requests-before) / (2 * turns)
		end()
	}
	return with, without, slow
}

// TestFirstPoll holds that a push is first polled within a second of its
// registration where the limit allows that, and where polls are scarce after the
// five seconds or less for which it is let ripen. Both are counted in polls, since
// a busy machine stretches the seconds.
func TestFirstPoll(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		tasks, most int // live pushes before; polls until the new one's
	}{
		{"idle", 12, watcher.MaxRequestsPerSecond},
		{"scarce", 60, 6 * watcher.MaxRequestsPerSecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			firstPoll(t, c.tasks, c.most)
		})
	}
}

func firstPoll(t *testing.T, tasks, most int) {
	const app = 1400000001
	d, tiw := busySchools(t, 1, tasks)
	await := func(id string) {
		t.Helper()
		for begun := time.Now(); tiw.TaskStats(app, id).Polls == 0; time.Sleep(time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Fatalf("%s is not polled", id)
			}
		}
	}
	for i := range tasks { // they were registered all at once, and so wait themselves
		await(fmt.Sprintf("class-%d", i+1))
	}
	for i := range 5 {
		key := watcher.Key{SDKAppID: app, TaskID: fmt.Sprintf("new-%d", i)}
		if err := tiw.Add(tiwsim.Life{SDKAppID: key.SDKAppID, TaskID: key.TaskID}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.watcher.Register(t.Context(), []watcher.Registration{{Key: key}}, false); err != nil {
			t.Fatal(err)
		}
		registered, before := time.Now(), tiw.Stats()["school"].Requests
		await(key.TaskID)
		polls := tiw.Stats()["school"].Requests - before
		t.Logf("%s is polled %v after it is registered, by poll %d", key, time.Since(registered).Round(time.Millisecond), polls)
		if polls > most {
			t.Errorf("%s is polled by poll %d after it is registered, want at most %d", key, polls, most)
		}
	}
}

// BenchmarkHundredThousand registers 100,000 live pushes with a daemon in a process of its
// own, in batches of 10,000. It reports its resident memory after that and 10 s after a kill
// and a restart, and how long /v1/status and /metrics take.
func BenchmarkHundredThousand(b *testing.B) {
	const batches, size = 10, 10_000
	s := newScene(b, tiwsim.Config{Tasks: []tiwsim.Life{{
		SDKAppID: 1400000001, TaskID: "class-{n}", Count: batches * size, PreparedFor: tiwsim.Duration(time.Nanosecond),
	}}}, notifytest.Config{})
	megabytes := func(p *process) float64 { return float64(residentMemory(b, p)) / (1 << 20) }
	for b.Loop() {
		store := sqliteURL(b)
		p, address := s.serve(b, store)
		for batch := range batches {
			var tasks strings.Builder
			for i := range size {
				fmt.Fprintf(&tasks, `,{"sdk_app_id":1400000001,"task_id":"class-%d"}`, batch*size+i+1)
			}
			answer, err := http.Post("http://"+address+"/v1/tasks/batch", "application/json", strings.NewReader(`{"tasks":[`+tasks.String()[1:]+`]}`))
			if err != nil {
				b.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				b.Fatalf("register a batch: %s", answer.Status)
			}
		}
		b.ReportMetric(megabytes(p), "MB-registered")
		for _, path := range []string{"/v1/status", "/metrics"} {
			const times = 50
			fetch(b, address, path)
			start := time.Now()
			for range times {
				fetch(b, address, path)
			}
			b.ReportMetric(time.Since(start).Seconds()*1000/times, "ms"+strings.ReplaceAll(path, "/", "-"))
		}
		p.kill()
		p, _ = s.serve(b, store)
		time.Sleep(10 * time.Second) // all are read and watched again
		b.ReportMetric(megabytes(p), "MB-restarted")
		p.kill()
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMixedRequests sends 1,000 requests a second to a daemon that polls 2,000
// live pushes at the pace of its limit: two of ten register a push, six read one,
// one lists tasks and one events. It reports the polls a second without them and
// beside them, and how long the requests took. Client, service and daemon share
// the machine.
func BenchmarkMixedRequests(b *testing.B) {
	d, tiw := busySchools(b, 1, 2000)
	base := "http://" + d.listener.Addr().String()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	const measured = 10 * time.Second
	next := 0
	for b.Loop() {
		alone := pace(tiw, measured, "school")

		var mu sync.Mutex
		var took []time.Duration
		var all sync.WaitGroup
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			begun := time.Now()
			for n := 0; time.Since(begun) < measured; n++ {
				due := begun.Add(time.Duration(n) * time.Millisecond)
				time.Sleep(time.Until(due))
				request := mixed(b, base, next)
				next++
				all.Go(func() {
					answer, err := client.Do(request)
					if err != nil {
						b.Error(err)
						return
					}
					defer answer.Body.Close()
					if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode >= 300 {
						b.Errorf("%s %s = %s, %v", request.Method, request.URL, answer.Status, err)
					}
					mu.Lock()
					took = append(took, time.Since(due)) // a late start counts
					mu.Unlock()
				})
			}
		}()
		beside := pace(tiw, measured, "school")
		<-sent
		all.Wait()
		slices.Sort(took)
		at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
		b.ReportMetric(float64(len(took))/measured.Seconds(), "requests/s")
		b.ReportMetric(at(0.5), "p50-ms")
		b.ReportMetric(at(0.99), "p99-ms")
		b.ReportMetric(alone, "polls/s-alone")
		b.ReportMetric(beside, "polls/s-beside")
		b.ReportMetric(beside/alone, "ratio")
	}
	b.ReportMetric(0, "ns/op") // the clock decides it
}

// mixed is the n-th request of the mix.
func mixed(b *testing.B, base string, n int) *http.Request {
	method, path, body := http.MethodGet, "", ""
	switch n % 10 {
	case 0, 5:
		method, path = http.MethodPost, "/v1/tasks"
		body = fmt.Sprintf(`{"sdk_app_id":1400000001,"task_id":"more-%d","labels":{"course":"math-%d"}}`, n, n%50)
	case 1:
		path = "/v1/tasks?limit=50&state=pushing"
	case 2:
		path = "/v1/events?newest=true&limit=50"
	default:
		path = fmt.Sprintf("/v1/tasks/1400000001/class-%d", 1+rand.IntN(2000))
	}
	r, err := http.NewRequestWithContext(b.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}
