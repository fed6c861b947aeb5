package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/watcher/storetest"
	"pushwatch/watcher/tiwsim"
)

// TestStoreTroubled starts the daemon while PostgreSQL is away, which it waits for.
// Then the server takes 200 ms for each statement, which slows no polls. Then it is
// away again: polling stops and readiness is lost, until it is back. What is told is
// true all the same.
func TestStoreTroubled(t *testing.T) {
	t.Parallel()
	const accounts, tasks = 4, 10
	scenario, settings := killScenario(accounts, tasks)
	settings = strings.Replace(settings, `takeover_after = "1s"`, `takeover_after = "5s"`, 1)
	proxy := storetest.NewProxy(t, storetest.Postgres(t))
	tiw, receiver, r := replicaOf(t, scenario, settings, proxy.URL)
	requests := func(account string) int { return tiw.Stats()[account].Requests }
	ready := func() bool {
		answer, err := http.Get("http://" + r.address + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	within(t, "the log says that the database is away", func() bool {
		return strings.Count(r.log.String(), "the database is away: waiting for it") >= 2
	})
	proxy.Open(t)
	awaitReady(t, r.process, r.address)
	for _, a := range scenario.Accounts {
		within(t, "its account is polled", func() bool { return requests(a.Name) > 0 })
	}

	proxy.Slow(200 * time.Millisecond)
	before := tiw.Stats()
	const seconds = 5
	time.Sleep(seconds * time.Second)
	for _, a := range scenario.Accounts {
		// Each task could be polled once a second.
		if n := requests(a.Name) - before[a.Name].Requests; n < tasks*seconds/3 {
			t.Errorf("account %s: %d requests in %d s, want many more", a.Name, n, seconds)
		}
	}
	if strings.Contains(r.log.String(), "account is lost") {
		t.Errorf("an account was lost to slowness:\n%s", r.log)
	}
	proxy.Slow(0)

	proxy.Close()
	within(t, "it is not ready without the database", func() bool { return !ready() })
	within(t, "it does not own the accounts any more", func() bool {
		return strings.Count(r.log.String(), "account is lost") == accounts
	})
	before = tiw.Stats()
	time.Sleep(2 * time.Second)
	for _, a := range scenario.Accounts {
		if n := requests(a.Name) - before[a.Name].Requests; n > 0 {
			t.Errorf("account %s: %d requests without the database, want none", a.Name, n)
		}
	}
	proxy.Open(t)
	awaitReady(t, r.process, r.address)
	t.Log(checkTruth(t, scenario, tiw, receiver, 20, r.log))
}

// TestStoreRefuses has settings that PostgreSQL does not accept: a restart will not
// mend that.
func TestStoreRefuses(t *testing.T) {
	_, settings := killScenario(1, 1)
	store := strings.Replace(storetest.Postgres(t), "/test", "/none", 1)
	p := launch(t, "serve", "--config", settingsFile(t, strings.NewReplacer("STORE", store, "LISTEN", freeAddress(t), "TIW", "http://127.0.0.1:1",
		"RECEIVER", "https://127.0.0.1:1", "SECRET", signing.GenerateSecret()).Replace(settings)))
	p.Wait()
	if code := p.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(p.log.String(), "does not exist") {
		t.Errorf("exit status %d, want %d\n%s", code, exitUsage, p.log)
	}
}

// replicaOf starts one daemon on a store, with a service to watch and a receiver.
func replicaOf(t *testing.T, scenario tiwsim.Config, settings, store string) (*tiwsim.Service, *notifytest.Receiver, *replica) {
	t.Helper()
	tiw, err := tiwsim.New(scenario)
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(tiw)
	t.Cleanup(service.Close)
	secret := signing.GenerateSecret()
	key, err := signing.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	receiver := notifytest.New(notifytest.Config{Keys: []signing.Key{key}})
	webhooks := httptest.NewServer(receiver)
	t.Cleanup(webhooks.Close)
	r := &replica{address: freeAddress(t)}
	r.file = settingsFile(t, strings.NewReplacer("STORE", store, "LISTEN", r.address, "TIW", service.URL,
		"RECEIVER", webhooks.URL, "SECRET", secret).Replace(settings))
	r.process = launch(t, "serve", "--config", r.file)
	return tiw, receiver, r
}
