package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
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

	// Each of these could be polled once a second. A machine that is busy is slow for moments:
	// what is slow because of the database is slow each time.
	const steady, period = 10, 3 * time.Second
	life := tiwsim.Life{SDKAppID: 1400000001, TaskID: "steady-{n}", Count: steady, PreparedFor: tiwsim.Duration(time.Nanosecond)}
	if err := s.tiw.Add(life); err != nil {
		t.Fatal(err)
	}
	steadyPolls := func() (n int) {
		for i := range steady {
			n += s.tiw.TaskStats(life.SDKAppID, fmt.Sprintf("steady-%d", i+1)).Polls
		}
		return n
	}
	for i := range steady {
		body := fmt.Sprintf(`{"sdk_app_id":%d,"task_id":"steady-%d"}`, life.SDKAppID, i+1)
		if status, _, err := request("POST", "http://"+address+"/v1/tasks", body, hang); status != http.StatusCreated {
			t.Fatalf("POST /v1/tasks = %d, %v", status, err)
		}
	}
	within(t, "their starts are saved", func() bool { return steadyPolls() >= 3*steady })
	pace := func() int {
		before := steadyPolls()
		time.Sleep(period)
		return steadyPolls() - before
	}
	for attempt := 1; ; attempt++ {
		fast := pace()
		proxy.Slow(200 * time.Millisecond)
		slow := pace()
		proxy.Slow(0)
		if slow > 0 && slow >= fast*2/3 {
			break
		}
		if attempt == 5 {
			t.Errorf("%d polls in %s with a slow database, %d with a fast one", slow, period, fast)
			break
		}
	}
	if strings.Contains(p.log.String(), "account lost") {
		t.Errorf("an account was lost to slowness:\n%s", p.log)
	}

	proxy.Close()
	within(t, "it is not ready without the database", func() bool { return readiness(address) != http.StatusOK })
	within(t, "it does not own the accounts any more", func() bool {
		return strings.Count(p.log.String(), "account lost") == accounts
	})
	before := s.tiw.Stats()
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
