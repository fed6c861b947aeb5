package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/watcher"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

// TestKill kills the daemon with kill -9 again and again, while 200 pushes change
// and the receiver fails one attempt in ten and is down every few seconds, and then holds that every fact was
// told, under one id, with numbers without a gap, and first told in order.
func TestKill(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		killLoop(t, sqliteURL(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		killLoop(t, storetest.Postgres(t))
	})
}

const (
	killRounds    = 20
	killAccounts  = 10 // each polls 20 times a second
	tasksPerTruth = 20 // tasks of an account
)

// TestFreeze stops the daemon's process as a frozen machine does, and has it go on:
// nothing is lost, and no more is repeated than was under way.
func TestFreeze(t *testing.T) {
	t.Parallel()
	s := changingScene(t, killAccounts, tasksPerTruth, notifytest.Config{})
	p, _ := s.serve(t, sqliteURL(t))
	const freezes, inFlight = 3, 16 // the notifier's max_in_flight
	for range freezes {
		time.Sleep(3 * time.Second)
		p.Process.Signal(syscall.SIGSTOP)
		time.Sleep(3 * time.Second)
		p.Process.Signal(syscall.SIGCONT)
	}
	time.Sleep(5 * time.Second)
	awaitEvents(t, p, s.receiver, 100+freezes*inFlight)
	summary, err := s.receiver.Check()
	if err != nil {
		t.Error(err)
	}
	if summary.Repeats > freezes*inFlight || summary.Events < 100 {
		t.Errorf("%d events and %d repeats, want at least 100 and at most %d", summary.Events, summary.Repeats, freezes*inFlight)
	}
	s.checkLimit(t, 20)
}

func killLoop(t *testing.T, store string) {
	s := changingScene(t, killAccounts, tasksPerTruth, notifytest.Config{Fail: func(d notifytest.Delivery) notifytest.Answer {
		down := d.At.Second()%7 == 0 && d.Attempt <= 2 // more would wait for minutes, as the schedule has it
		if down || d.Attempt == 1 && crc32.ChecksumIEEE([]byte(d.ID))%10 == 0 {
			return notifytest.Answer{Status: http.StatusServiceUnavailable}
		}
		return notifytest.Answer{}
	}})
	address := tcptest.Unused(t)
	file := s.file(t, address, store)

	for range killRounds {
		p := launch(t, "serve", "--config", file)
		time.Sleep(time.Duration(100+rand.IntN(3400)) * time.Millisecond) // from while it starts on
		p.kill()
	}
	p := launch(t, "serve", "--config", file)
	awaitReady(t, p, address)
	t.Logf("%d rounds: %s", killRounds, checkTruth(t, s, 20, p.log))
}

// checkTruth waits until every end of the scenario is told, and then holds what was
// told against what happened: no fact is lost, told under two ids or out of order.
// No account made more requests in any second than limit. It returns a summary.
func checkTruth(t *testing.T, s *scene, limit int, log fmt.Stringer) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	select {
	case <-s.begun:
	case <-ctx.Done():
		t.Fatalf("nothing was polled\n%s", log)
	}
	ends := make(map[string]string) // by subject: what the end must be told as
	for _, life := range s.scenario.Tasks {
		subject := fmt.Sprintf("%d/%s", life.SDKAppID, life.TaskID)
		for _, c := range s.tiw.Truth(life.SDKAppID, life.TaskID) {
			switch c.What {
			case tiwsim.Stopped:
				ends[subject] = map[bool]string{true: "push.failed", false: "push.stopped"}[c.Detail == "EXCEPTION"]
			case tiwsim.Failed:
				ends[subject] = "push.failed"
			}
		}
	}
	if len(ends) != len(s.scenario.Tasks) {
		t.Fatalf("the scenario has %d ends, want %d", len(ends), len(s.scenario.Tasks))
	}
	// A delivery that failed is tried again after 5 s and more: wait for the ends.
	err := s.receiver.Wait(ctx, func(ds []notifytest.Delivery) bool {
		told := make(map[string]bool)
		for _, d := range ds {
			if d.Event.Type == ends[d.Event.Subject] {
				told[d.Event.Subject] = true
			}
		}
		return len(told) == len(ends)
	})
	if err != nil {
		t.Errorf("not every end was told: %v\n%s", err, log)
	}
	summary, err := s.receiver.Check()
	if err != nil {
		t.Error(err)
	}
	exceptions := make(map[string]int)
	seen := make(map[string]bool)
	for _, d := range s.receiver.Deliveries() {
		if !d.Verified {
			t.Errorf("a delivery did not verify: %v", d.Err)
		}
		if watcher.EventType(d.Event.Type) == watcher.PushNotFound {
			t.Errorf("%s was told as not found", d.Event.Subject)
		}
		if !seen[d.ID] {
			seen[d.ID] = true
			exceptions[d.Event.Subject] += added(t, d.Event.Data)
		}
	}
	for subject, end := range ends {
		if got := exceptions[subject]; end == "push.stopped" && got != 2 {
			t.Errorf("%s: exceptions told = %d, want 2", subject, got)
		}
	}
	return fmt.Sprintf("%d events in %d deliveries, %d of them repeats; most requests of an account in a second: %d",
		summary.Events, summary.Deliveries, summary.Repeats, s.checkLimit(t, limit))
}

// changingScene has pushes that change all the time and settings to watch them with;
// its receiver verifies what it gets.
func changingScene(t *testing.T, accounts, tasks int, config notifytest.Config) *scene {
	t.Helper()
	key, err := signing.ParseKey(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	config.Keys = []signing.Key{key}
	scenario := tiwsim.Config{Latency: tiwsim.Duration(2 * time.Millisecond), LatencyMax: tiwsim.Duration(20 * time.Millisecond)}
	random := rand.New(rand.NewPCG(3, 4))
	seconds := func(low, high float64) tiwsim.Duration {
		return tiwsim.Duration((low + random.Float64()*(high-low)) * float64(time.Second))
	}
	for n := range accounts {
		app := int64(1400000001 + n)
		scenario.Accounts = append(scenario.Accounts, tiwsim.Account{
			Name: fmt.Sprintf("account-%d", n), SecretID: fmt.Sprintf("AKID%d", n), SecretKey: fmt.Sprintf("key%d", n), SDKAppIDs: []int64{app},
		})
		for i := range tasks {
			life := tiwsim.Life{
				SDKAppID: app, TaskID: fmt.Sprintf("class-%d", i+1), StartAfter: seconds(0, 12), PreparedFor: seconds(1, 8), PushingFor: seconds(5, 18),
				Exceptions: []tiwsim.Duration{seconds(0, 2), seconds(2, 5)}, FinishReason: []string{"USER_CALL", "AUTO", "EXCEPTION"}[i%3],
			}
			if i%7 == 6 {
				life.Error = &tiwsim.Failure{After: seconds(8, 14)}
				life.FinishReason, life.PushingFor, life.Exceptions = "", 0, nil
			}
			scenario.Tasks = append(scenario.Tasks, life)
		}
	}
	s := newScene(t, scenario, config)
	s.settings = `
store.takeover_after = "1s" # a process with PostgreSQL waits so long for the one before it
watch.not_found_grace = "10m"
` + s.settings + "max_in_flight = 16\n" + taskTables(scenario.Tasks...)
	return s
}

// TestStartWhileLocked starts a daemon while another one uses the database, as it happens in
// the moment after a kill: it waits, and starts once the other has ended.
func TestStartWhileLocked(t *testing.T) {
	t.Parallel()
	s := newScene(t, tiwsim.Config{}, notifytest.Config{})
	store := sqliteURL(t)
	first, _ := s.serve(t, store)
	address := tcptest.Unused(t)
	second := launch(t, "serve", "--config", s.file(t, address, store))
	second.awaitLogged(t, 1, "warn", "database locked")
	first.kill()
	awaitReady(t, second, address)
}
