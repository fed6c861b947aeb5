package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tiwsim"
)

// TestDatabaseOutage takes the database away from a running daemon while pushes
// change, and gives it back.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := storetest.NewPostgres(t)
		databaseOutage(t, server.URL, func(*process) { server.Crash(t) }, func(p *process) {
			if n := len(p.logged("warn", "database does not answer")); n != 1 { // whoever asked how often
				t.Errorf("the log says %d times that the database does not answer, want once\n%s", n, p.log)
			}
			server.Start(t)
		})
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		databaseOutage(t, sqliteURL(t), func(p *process) { limitFiles(t, p, 0) }, func(p *process) { limitFiles(t, p, unix.RLIM_INFINITY) })
	})
}

func databaseOutage(t *testing.T, store string, fail, repair func(*process)) {
	const app, tasks = 1400000001, 60
	var scenario tiwsim.Config
	random := rand.New(rand.NewPCG(5, 6))
	between := func(low, high float64) tiwsim.Duration {
		return tiwsim.Duration((low + random.Float64()*(high-low)) * float64(time.Second))
	}
	for i := range tasks {
		scenario.Tasks = append(scenario.Tasks, tiwsim.Life{SDKAppID: app, TaskID: fmt.Sprintf("class-%d", i+1), StartAfter: between(0, 5), PreparedFor: between(1, 3), PushingFor: between(1, 5)})
	}
	before, meanwhile := scenario, scenario // half of the pushes begin with the outage, whenever that is
	before.Tasks, meanwhile.Tasks = scenario.Tasks[:tasks/2], scenario.Tasks[tasks/2:]
	s := newScene(t, before, notifytest.Config{})
	s.settings = `
store.takeover_after = "1m" # the process keeps its account: see TestStoreTroubled for the other case
watch.not_found_grace = "10m"
` + s.settings + taskTables(scenario.Tasks...)
	p, address := s.serve(t, store)
	awaitEvents(t, p, s.receiver, 5)

	fail(p)
	failed := time.Now()
	begin(t, s.tiw, meanwhile)
	awaitReadiness(t, p, address, http.StatusServiceUnavailable)
	for time.Since(failed) < 5*time.Second {
		if got := readiness(address); got != http.StatusServiceUnavailable {
			t.Errorf("without a database /readyz = %d, want %d", got, http.StatusServiceUnavailable)
		}
		time.Sleep(100 * time.Millisecond)
	}
	repaired := time.Now()
	repair(p)
	awaitReady(t, p, address)

	want := make(map[string]bool) // the subjects whose end is still to be told
	missed := 0                   // changes in the outage
	for _, life := range scenario.Tasks {
		want[fmt.Sprintf("%d/%s", app, life.TaskID)] = true
		for _, c := range s.tiw.Truth(app, life.TaskID) {
			if c.At.After(failed) && c.At.Before(repaired) {
				missed++
			}
		}
	}
	if missed < tasks/2 {
		t.Fatalf("%d changes in the outage, want at least %d", missed, tasks/2)
	}
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	err := s.receiver.Wait(ctx, func(ds []notifytest.Delivery) bool {
		for _, d := range ds {
			if d.Event.Type == "push.stopped" {
				delete(want, d.Event.Subject)
			}
		}
		return len(want) == 0
	})
	if err != nil {
		t.Errorf("the ends of %v were not told: %v\n%s", want, err, p.log)
	}
	if _, err := s.receiver.Check(); err != nil {
		t.Error(err)
	}
	told := make(map[string][]string) // by subject
	seen := make(map[string]bool)
	for _, d := range s.receiver.Deliveries() {
		if !seen[d.ID] {
			seen[d.ID] = true
			told[d.Event.Subject] = append(told[d.Event.Subject], d.Event.Type)
		}
	}
	for subject, types := range told {
		// PREPARED may have passed unseen.
		if got := strings.TrimPrefix(strings.Join(types, " "), "push.preparing "); got != "push.started push.stopped" {
			t.Errorf("%s: told %v, want its start and its stop", subject, types)
		}
	}
	// One that is away meets a reading or a writing first.
	for _, said := range []struct{ level, write, read string }{
		{"error", "database takes no writes", "database cannot be read"},
		{"info", "database takes writes again", "database can be read again"},
	} {
		writes, reads := len(p.logged(said.level, said.write)), len(p.logged(said.level, said.read))
		if writes+reads == 0 || max(writes, reads) > 1 {
			t.Errorf("logged %q %d times and %q %d times, want one of them, and each once at most:\n%s", said.write, writes, said.read, reads, p.log)
		}
	}
	s.checkLimit(t, 20)
}
