package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/notify/notifytest"
	"pushwatch/watcher"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tiwsim"
)

// BenchmarkAnswerToWebhook measures what pushwatch itself adds: the time from the
// answer of a poll that shows a change to the first byte of its webhook at the
// receiver, with the change made durable in SQLite (synchronous=FULL) between
// them. The limit allows 20 polls a second, and each shows a change; only the
// measured part of it counts. One operation is as many changes as there are in
// the time below.
//
// It does so alone, and beside 100 accounts of 1,000 pushes each, 20 of which are polled
// each second, over two periods of their checkpoints. Their starts were saved before.
func BenchmarkAnswerToWebhook(b *testing.B) {
	b.Run("alone", func(b *testing.B) { benchmarkAnswerToWebhook(b, 0, 30*time.Second) })
	b.Run("beside-100x1000", func(b *testing.B) { benchmarkAnswerToWebhook(b, 100, 65*time.Second) })
}

func benchmarkAnswerToWebhook(b *testing.B, others int, measured time.Duration) {
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

	if others > 0 {
		service := startBareService(b)
		b.Cleanup(service.stop)
		beside := s
		beside.Accounts, beside.Tasks = nil, nil
		manyAccounts(&beside, service, 1, others, 1000)
		saveObserved(b, beside)
		s.Accounts = append(s.Accounts, beside.Accounts...)
	}

	next <- struct{}{}
	runHere(b, s)
	<-arrived // push.started
	<-arrived // push.exception, of the same answer
	if others > 0 {
		time.Sleep(settling)
	}
	var took []time.Duration
	for b.Loop() {
		for begun := time.Now(); time.Since(begun) < measured; {
			next <- struct{}{}
			at := <-arrived
			mu.Lock()
			took = append(took, at.Sub(answered))
			mu.Unlock()
		}
	}
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op") // the clock decides it
	b.Logf("%d changes: p50 %.2f ms, p99 %.2f ms, most %.2f ms", len(took), at(0.5), at(0.99), at(1))
}

// saveObserved saves the pushes of the settings as a daemon does that has seen them start.
func saveObserved(b *testing.B, s settings) {
	url, err := s.Store.URL.Value()
	if err != nil {
		b.Fatal(err)
	}
	db, err := sqlstore.Open(b.Context(), sqlstore.Config{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	now, tasks := time.Now(), make(map[int64][]watcher.Task)
	for _, t := range s.Tasks {
		key := watcher.Key{SDKAppID: t.SDKAppID, TaskID: t.TaskID}
		tasks[t.SDKAppID] = append(tasks[t.SDKAppID], watcher.Task{Key: key, State: watcher.Registered, RegisteredAt: now, Version: 1})
	}
	for _, a := range s.Accounts {
		saveObservedAccount(b, db, a.Name, tasks[a.SDKAppIDs[0]])
	}
}

func saveObservedAccount(b *testing.B, db *sqlstore.DB, name string, tasks []watcher.Task) {
	account, err := db.Own(b.Context(), name)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running, saves sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { account.Run(ctx) })
	for i := range tasks {
		tasks[i].Account = name
	}
	registered, err := db.Register(ctx, tasks, false)
	if err != nil {
		b.Fatal(err)
	}
	// As bareservice answers.
	push := watcher.Push{
		Status: new(watcher.StatusPushing), RoomID: new(int64(880528)), GroupID: new("880528"), PushUserID: new("tic_push_user_880528"),
		PushStartTime: new(int64(1610591726)),
	}
	for _, r := range registered {
		saves.Go(func() {
			t, _ := watcher.Rules{}.Apply(r.Task, watcher.Observation{At: time.Now(), Push: &push})
			t.Version, t.Sequence, t.LastPolledAt = r.Version+1, r.Sequence, t.LastObservedAt // its events are left out
			if err := account.Save(ctx, watcher.Change{Task: t}); err != nil {
				b.Error(err)
			}
		})
	}
	saves.Wait()
}
