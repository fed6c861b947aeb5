package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
)

// TestStoreTroubled starts the daemon while PostgreSQL is away, which it waits for.
// Then the server takes 200 ms for each statement, which slows no polls. Then it is
// away again: polling stops and readiness is lost, until it is back. What is told is
// true all the same.
func TestStoreTroubled(t *testing.T) {
	t.Parallel()
	const accounts, tasks = 4, 10
	s := changingScene(t, accounts, tasks, notifytest.Config{})
	s.settings = strings.Replace(s.settings, `takeover_after = "1s"`, `takeover_after = "5s"`, 1)
	proxy := storetest.NewProxy(t, storetest.Postgres(t))
	address := tcptest.Unused(t)
	p := launch(t, "serve", "--config", s.file(t, address, proxy.URL))
	requests := func(account string) int { return s.tiw.Stats()[account].Requests }
	within(t, "the log says that the database is away", func() bool {
		return len(p.logged("warn", "database unreachable")) >= 2
	})
	proxy.Open(t)
	awaitReady(t, p, address)
	for _, a := range s.scenario.Accounts {
		within(t, "its account is polled", func() bool { return requests(a.Name) > 0 })
	}

	const seconds = 5
	before := s.tiw.Stats()
	time.Sleep(seconds * time.Second / 2)
	fast := make(map[string]int) // requests of each account in that half
	for _, a := range s.scenario.Accounts {
		fast[a.Name] = requests(a.Name) - before[a.Name].Requests
	}
	proxy.Slow(200 * time.Millisecond)
	before = s.tiw.Stats()
	time.Sleep(seconds * time.Second)
	for _, a := range s.scenario.Accounts {
		// Each task could be polled once a second, on a machine that is not busy.
		want := min(tasks*seconds/3, 2*fast[a.Name]*2/3)
		if n := requests(a.Name) - before[a.Name].Requests; n < want || want == 0 {
			t.Errorf("account %s: %d requests in %d s, want %d and more", a.Name, n, seconds, want)
		}
	}
	if strings.Contains(p.log.String(), "account lost") {
		t.Errorf("an account was lost to slowness:\n%s", p.log)
	}
	proxy.Slow(0)

	proxy.Close()
	within(t, "it is not ready without the database", func() bool { return readiness(address) != http.StatusOK })
	within(t, "it does not own the accounts any more", func() bool {
		return strings.Count(p.log.String(), "account lost") == accounts
	})
	before = s.tiw.Stats()
	time.Sleep(2 * time.Second)
	for _, a := range s.scenario.Accounts {
		if n := requests(a.Name) - before[a.Name].Requests; n > 0 {
			t.Errorf("account %s: %d requests without the database, want none", a.Name, n)
		}
	}
	proxy.Open(t)
	awaitReady(t, p, address)
	t.Log(checkTruth(t, s, 20, p.log))
}

// TestStoreRefuses has settings that PostgreSQL does not accept: a restart will not
// repair that.
func TestStoreRefuses(t *testing.T) {
	t.Parallel()
	s := changingScene(t, 1, 1, notifytest.Config{})
	store := strings.Replace(storetest.Postgres(t), "/test", "/none", 1)
	p := launch(t, "serve", "--config", s.file(t, tcptest.Unused(t), store))
	p.Wait()
	if code := p.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(p.log.String(), "does not exist") {
		t.Errorf("exit status %d, want %d\n%s", code, exitUsage, p.log)
	}
}

// TestHeartbeatBlocked has the database answer all but the heartbeat: then others may
// take the accounts, so polling stops, and the daemon is not ready, until it is heard.
func TestHeartbeatBlocked(t *testing.T) {
	t.Parallel()
	const accounts = 2
	s := changingScene(t, accounts, 5, notifytest.Config{})
	store := storetest.Postgres(t)
	p, address := s.serve(t, store)
	conn, err := pgx.Connect(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE members IN SHARE MODE"); err != nil { // which reads may pass
		t.Fatal(err)
	}
	within(t, "it does not own the accounts any more", func() bool {
		return strings.Count(p.log.String(), "account lost") == accounts
	})
	if got := readiness(address); got != http.StatusServiceUnavailable {
		t.Errorf("GET /readyz without a heartbeat = %d, want 503", got)
	}
	before := s.tiw.Stats()
	time.Sleep(2 * time.Second)
	for _, a := range s.scenario.Accounts {
		if n := s.tiw.Stats()[a.Name].Requests - before[a.Name].Requests; n > 0 {
			t.Errorf("account %s: %d requests without a heartbeat, want none", a.Name, n)
		}
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, p, address)
}
