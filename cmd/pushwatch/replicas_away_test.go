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

// TestStoreAway starts the daemon while PostgreSQL is away, which it waits for. When
// it is away later, polling stops and readiness is lost, until it is back.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	scenario, settings := killScenario(2, 5)
	proxy := storetest.NewProxy(t, storetest.Postgres(t))
	tiw, receiver, r := replicaOf(t, scenario, settings, proxy.URL)
	requests := func() int {
		n := 0
		for _, s := range tiw.Stats() {
			n += s.Requests
		}
		return n
	}
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
	within(t, "it polls", func() bool { return requests() > 0 })

	proxy.Close()
	within(t, "it is not ready without the database", func() bool { return !ready() })
	within(t, "it does not own the accounts any more", func() bool { return strings.Count(r.log.String(), "account is lost") == 2 })
	before := requests()
	time.Sleep(2 * time.Second)
	if after := requests(); after > before {
		t.Errorf("%d requests without the database, want none", after-before)
	}
	proxy.Open(t)
	awaitReady(t, r.process, r.address)
	t.Log(checkTruth(t, scenario, tiw, receiver, 20, r.log))
}

// TestStoreSlow has PostgreSQL take 200 ms for each statement: it is polled as ever,
// and what is told is true.
func TestStoreSlow(t *testing.T) {
	t.Parallel()
	scenario, settings := killScenario(5, 10)
	proxy := storetest.NewProxy(t, storetest.Postgres(t))
	proxy.Open(t)
	settings = strings.Replace(settings, `takeover_after = "1s"`, `takeover_after = "10s"`, 1)
	tiw, receiver, r := replicaOf(t, scenario, settings, proxy.URL)
	for _, a := range scenario.Accounts {
		within(t, "its account is polled", func() bool { return tiw.Stats()[a.Name].Requests > 0 })
	}
	proxy.Slow(200 * time.Millisecond)
	before := tiw.Stats()
	const seconds = 5
	time.Sleep(seconds * time.Second)
	for name, s := range tiw.Stats() {
		// Each of the ten tasks could be polled once a second.
		if n := s.Requests - before[name].Requests; name != "" && n < 3*seconds {
			t.Errorf("account %s: %d requests in %d s, want many more", name, n, seconds)
		}
	}
	t.Log(checkTruth(t, scenario, tiw, receiver, 20, r.log))
	if strings.Contains(r.log.String(), "account is lost") {
		t.Errorf("an account was lost to slowness:\n%s", r.log)
	}
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
