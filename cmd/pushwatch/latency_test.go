package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tiwsim"
)

// BenchmarkAnswerToWebhook measures what pushwatch itself adds: the time from the
// answer of a poll that shows a change to the first byte of its webhook at the
// receiver, with the change made durable in SQLite (synchronous=FULL) between
// them. One change is one operation. The limit allows 20 polls a second, so a
// change a poll takes 50 ms; only the measured part counts.
//
// It does so alone, and beside 100 accounts of 1,000 pushes each, 20 of which are polled
// each second, and whose checkpoints are written every 30 s: 1,000 operations see all of
// them.
func BenchmarkAnswerToWebhook(b *testing.B) {
	b.Run("alone", func(b *testing.B) { benchmarkAnswerToWebhook(b, 0) })
	b.Run("beside-100x1000", func(b *testing.B) { benchmarkAnswerToWebhook(b, 100) })
}

func benchmarkAnswerToWebhook(b *testing.B, others int) {
	tiw, err := tiwsim.New(tiwsim.Config{Accounts: []tiwsim.Account{testAccount(0)}})
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	var answered time.Time
	count := int64(0)
	next := make(chan struct{}, 1)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select { // each answer but the benchmark's own shows what the one before has shown
		case <-next:
			count++
			status := "PUSHING"
			tiw.Put(1400000001, "class", tiwsim.Answer{Status: &status, ExceptionCnt: &count})
		default:
		}
		tiw.ServeHTTP(w, r)
		mu.Lock()
		answered = time.Now()
		mu.Unlock()
	}))
	b.Cleanup(service.Close)

	arrived := make(chan time.Time, 16)
	receiver := notifytest.New(notifytest.Config{Keep: 1})
	webhooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		receiver.ServeHTTP(w, r)
		arrived <- at
	}))
	b.Cleanup(webhooks.Close)

	s := localSettings(b)
	s.Watch.MinInterval = setting.Duration(10 * time.Millisecond)
	s.Accounts = append(s.Accounts, simAccount(testAccount(0), service.URL))
	s.Notifiers = append(s.Notifiers, localNotifier("classroom", webhooks.URL, webhookSecret))
	s.Tasks = append(s.Tasks, taskSettings{SDKAppID: 1400000001, TaskID: "class"})

	seen := func() {} // waits until the other pushes' starts are delivered
	if others > 0 {
		service := startBareService(b)
		b.Cleanup(service.stop)
		manyAccounts(&s, service, 1, others, 1000)
		s.Notifiers[0].Match = map[string]string{"measured": "yes"}
		s.Tasks[0].Labels = map[string]string{"measured": "yes"}
		seen = func() {
			for service.requests() < 2*len(s.Tasks) {
				time.Sleep(time.Second)
			}
		}
	}

	next <- struct{}{}
	runHere(b, s)
	<-arrived // push.started
	<-arrived // push.exception, of the same answer
	seen()
	var took []time.Duration
	for b.Loop() {
		next <- struct{}{}
		at := <-arrived
		mu.Lock()
		took = append(took, at.Sub(answered))
		mu.Unlock()
	}
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op") // would be the pace of the polls
	b.Logf("%d changes: p50 %.2f ms, p99 %.2f ms, most %.2f ms", len(took), at(0.5), at(0.99), at(1))
}
