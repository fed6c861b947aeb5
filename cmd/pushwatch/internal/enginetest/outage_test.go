package enginetest

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
	"pushwatch/watcher/tencent"
	"pushwatch/watcher/tiwsim"
)

// TestOutageOnTheWire has the simulated service fail in each way that a wire
// allows, for some seconds in which half of the pushes stop, with the real client
// between. Nothing false is reported, one blindness and one sight, then every stop.
func TestOutageOnTheWire(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup // they mostly wait: more at a time than -parallel would have
	defer all.Wait()
	for name, fault := range map[string]tiwsim.Fault{
		"refused":        {}, // no server at all
		"reset":          {Kind: tiwsim.FaultClose},
		"hang":           {Kind: tiwsim.FaultHang},
		"503 HTML":       {Kind: tiwsim.FaultHTTP, Status: 503},
		"429 HTML":       {Kind: tiwsim.FaultHTTP, Status: 429},
		"null":           {Kind: tiwsim.FaultNull},
		"empty":          {Kind: tiwsim.FaultEmpty},
		"cut":            {Kind: tiwsim.FaultCut},
		"redirect":       {Kind: tiwsim.FaultRedirect, URL: "http://127.0.0.1:1/"},
		"internal":       {Kind: tiwsim.FaultError, Code: "InternalError"},
		"expired":        {Kind: tiwsim.FaultError, Code: "AuthFailure.TokenFailure"},
		"clock skew":     {Kind: tiwsim.FaultError, Code: "AuthFailure.SignatureExpire"},
		"arrears":        {Kind: tiwsim.FaultError, Code: "ResourceUnavailable.ServiceExpired"},
		"not authorised": {Kind: tiwsim.FaultError, Code: "UnauthorizedOperation.SdkAppId"},
		"throttled":      {Kind: tiwsim.FaultThrottle},
	} {
		all.Go(func() { t.Run(name, func(t *testing.T) { outageOnTheWire(t, fault) }) })
	}
}

func outageOnTheWire(t *testing.T, fault tiwsim.Fault) {
	const tasks = 20
	// Only what hangs is to meet the timeout, and no answer that a loaded machine delays.
	const blindAfter = 3 * time.Second
	timeout := time.Minute
	if fault.Kind == tiwsim.FaultHang {
		timeout = blindAfter
	}
	pushing, stopped := "PUSHING", "STOPPED"
	tiw, err := tiwsim.New(tiwsim.Config{Accounts: []tiwsim.Account{{Name: "school", SecretID: "AKIDschool", SecretKey: "key", SDKAppIDs: []int64{app}}}})
	if err != nil {
		t.Fatal(err)
	}
	var keys []watcher.Key
	for i := range tasks {
		key := watcher.Key{SDKAppID: app, TaskID: fmt.Sprintf("class-%d", i)}
		keys = append(keys, key)
		tiw.Put(key.SDKAppID, key.TaskID, tiwsim.Answer{Status: &pushing})
	}
	service := httptest.NewServer(tiw)
	address := service.Listener.Addr().String()
	client, err := tencent.New(tencent.Config{Endpoint: "http://" + address, Credentials: tencent.Keys{SecretID: "AKIDschool", SecretKey: "key"}})
	if err != nil {
		t.Fatal(err)
	}
	s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
		Settings: engine.Settings{
			MinInterval:    100 * time.Millisecond,
			RequestTimeout: timeout,
			BlindAfter:     blindAfter,
			Accounts:       []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: client}},
		},
	})
	defer stop()
	s.register(tasks, "class")
	s.await("push.started of all", func() bool { return s.count("push.started") == tasks })

	end := func() { service.Close() }
	if fault.Kind == "" {
		service.Close()
	} else {
		take, err := tiw.Inject(fault)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		end = take
	}
	s.await("watcher.blind", func() bool { return s.count("watcher.blind") > 0 }) // no request from before is under way
	for _, key := range keys[:tasks/2] {
		tiw.Put(key.SDKAppID, key.TaskID, tiwsim.Answer{Status: &stopped})
	}
	time.Sleep(blindAfter)
	if got := s.count("push.stopped") + s.count("push.failed") + s.count("push.not_found"); got != 0 {
		t.Errorf("%d ends were reported during the outage", got)
	}
	if dark := s.Status()[0].Outages; len(dark) == 0 || dark[0].LastObserved.IsZero() || dark[0].LastObserved.After(dark[0].Since) {
		t.Errorf("during the outage what cannot be observed is %+v, want it with the last good data from before", dark)
	}
	if fault.Kind == "" {
		again := listenAgain(t, address, tiw)
		defer again.Close()
	} else {
		end()
	}
	s.await("every stop, and the sight", func() bool { return s.count("push.stopped") == tasks/2 && s.count("watcher.sighted") > 0 })
	if s.count("watcher.blind") != 1 || s.count("watcher.sighted") != 1 {
		t.Errorf("watcher.blind reported %d times, watcher.sighted %d times, want once each", s.count("watcher.blind"), s.count("watcher.sighted"))
	}
	if got, want := s.count(""), tasks+tasks/2+2; got != want {
		t.Errorf("%d events, want %d", got, want)
	}
	if got := tiw.Stats()["school"].MaxInSecond; got > 20 {
		t.Errorf("requests in one second = %d, want at most 20", got)
	}
}

// listenAgain serves at an address that was served before.
func listenAgain(t *testing.T, address string, tiw *tiwsim.Service) *httptest.Server {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		l, err := listenConfig.Listen(t.Context(), "tcp", address)
		if err == nil {
			server := &httptest.Server{Listener: l, Config: &http.Server{Handler: tiw}}
			server.Start()
			return server
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

var listenConfig net.ListenConfig

// count is how many events of a type were committed; of all types for "".
func (s *scene) count(kind watcher.EventType) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.events {
		if kind == "" || d.Type == kind {
			n++
		}
	}
	return n
}

// await waits, by the real clock, until something is so.
func (s *scene) await(what string, so func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s did not come", what)
		}
	}
}
