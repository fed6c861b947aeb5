package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

// A scene is what a daemon has around it: a simulated service to watch, and a
// receiver to tell. Both end with the test.
type scene struct {
	scenario         tiwsim.Config
	tiw              *tiwsim.Service
	receiver         *notifytest.Receiver
	service, webhook string        // their URLs
	begun            chan struct{} // closed with the first request

	// settings are a daemon's, all but its address and store: the accounts of the
	// scenario and, last, the notifier "classroom", which is told everything. A
	// test puts keys such as watch.thrift before them, and more keys of the
	// notifier and then tables behind them.
	settings string
}

// webhookSecret signs the webhooks of a scene.
const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// testAccount is the i-th account of a scenario, with one application: the first is
// "school", with 1400000001.
func testAccount(i int) tiwsim.Account {
	name := "school"
	if i > 0 {
		name = fmt.Sprintf("school-%d", i)
	}
	return tiwsim.Account{Name: name, SecretID: "AKID" + name, SecretKey: "key", SDKAppIDs: []int64{int64(1400000001 + i)}}
}

// localSettings are those of a daemon in this process: at a free address, with a new
// database.
func localSettings(t testing.TB) settings {
	t.Helper()
	s := defaults()
	s.HTTP.Listen = "127.0.0.1:0"
	s.Store.URL = storeURL{Secret: setting.Plain(sqliteURL(t))}
	return s
}

// newScene starts the service and the receiver. A scenario without accounts gets one:
// "school", with the application 1400000001. The times of its tasks and faults count from
// the first request, however long the daemon takes to start.
func newScene(t testing.TB, scenario tiwsim.Config, config notifytest.Config) *scene {
	t.Helper()
	if scenario.Accounts == nil {
		scenario.Accounts = []tiwsim.Account{testAccount(0)}
	}
	idle := scenario
	idle.Tasks, idle.Faults = nil, nil
	tiw, err := tiwsim.New(idle)
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	first := sync.OnceFunc(func() {
		begin(t, tiw, scenario)
		close(begun)
	})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first()
		tiw.ServeHTTP(w, r)
	}))
	t.Cleanup(service.Close)
	receiver := notifytest.New(config)
	webhooks := httptest.NewServer(receiver)
	t.Cleanup(webhooks.Close)
	s := &scene{scenario: scenario, tiw: tiw, receiver: receiver, service: service.URL, webhook: webhooks.URL, begun: begun}
	for _, a := range scenario.Accounts {
		s.settings += accountTable(a, s.service)
	}
	s.settings += notifierTable("classroom", s.webhook, webhookSecret)
	return s
}

// begin begins the tasks and the faults of a scenario.
func begin(t testing.TB, tiw *tiwsim.Service, scenario tiwsim.Config) {
	for _, life := range scenario.Tasks {
		if err := tiw.Add(life); err != nil {
			t.Error(err)
		}
	}
	for _, fault := range scenario.Faults {
		if _, err := tiw.Inject(fault); err != nil {
			t.Error(err)
		}
	}
}

// file writes the settings of a daemon.
func (s *scene) file(t testing.TB, address, store string) string {
	t.Helper()
	return settingsFile(t, fmt.Sprintf("http.listen = %q\nstore.url = %q\n%s", address, store, s.settings))
}

// serve starts a daemon at an address, and returns when it can serve.
func (s *scene) serve(t testing.TB, store string) (p *process, address string) {
	t.Helper()
	address = tcptest.Unused(t)
	p = launch(t, "serve", "--config", s.file(t, address, store))
	awaitReady(t, p, address)
	return p, address
}

// checkLimit holds that no account has made more requests in any second than limit.
// It returns the most that one has made.
func (s *scene) checkLimit(t *testing.T, limit int) (most int) {
	t.Helper()
	for name, account := range s.tiw.Stats() {
		most = max(most, account.MaxInSecond)
		if account.MaxInSecond > limit {
			t.Errorf("account %s: %d requests in one second, want at most %d", name, account.MaxInSecond, limit)
		}
	}
	return most
}

// taskTables are the pushes of a scenario, every copy of them, in settings.
func taskTables(lives ...tiwsim.Life) string {
	var text strings.Builder
	for _, life := range lives {
		for i := range max(life.Count, 1) {
			fmt.Fprintf(&text, "[[tasks]]\nsdk_app_id = %d\ntask_id = %q\n", life.SDKAppID, strings.ReplaceAll(life.TaskID, "{n}", strconv.Itoa(i+1)))
		}
	}
	return text.String()
}

// sqliteURL is the URL of a database that is still to be made.
func sqliteURL(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "pushwatch.db")
}
