package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tiwsim"
)

// answers is a transport that counts requests and answers them with a status; 0:
// not at all.
type answers struct {
	status atomic.Int32
	seen   atomic.Int32
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.seen.Add(1)
	status := int(a.status.Load())
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader("OK")),
		Header: http.Header{"Location": {"http://elsewhere/"}}, Request: r}, nil
}

// TestHeartbeat counts the calls while all is well, while it is not, while nobody
// hears them, and after the settings have changed.
func TestHeartbeat(t *testing.T) {
	service := new(answers)
	service.status.Store(http.StatusOK)
	before := heartbeatClient.Transport
	heartbeatClient.Transport = service
	defer func() { heartbeatClient.Transport = before }()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		s := heartbeatSettings{URL: setting.Plain("https://hc.example/ping/t0ken"), Every: setting.Duration(time.Minute)}
		var mu sync.Mutex
		var ill error
		set := func(change func()) {
			mu.Lock()
			defer mu.Unlock()
			change()
		}
		h := newHeartbeat(
			func() heartbeatSettings { mu.Lock(); defer mu.Unlock(); return s },
			func(context.Context) error { mu.Lock(); defer mu.Unlock(); return ill }, zap.New(core))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.run(ctx) }()
		hold := func(when string, d time.Duration, calls int, lines ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := service.seen.Swap(0); int(got) != calls {
				t.Errorf("%s: %d calls in %s, want %d", when, got, d, calls)
			}
			var said []string
			for _, line := range logs.TakeAll() {
				said = append(said, line.Level.String()+" "+line.Message)
				if text := line.Message + " " + stringOf(line.ContextMap()["error"]); strings.Contains(text, "t0ken") || strings.Contains(text, "elsewhere") {
					t.Errorf("%s: the log shows the address: %s", when, text)
				}
			}
			if strings.Join(said, "; ") != strings.Join(lines, "; ") {
				t.Errorf("%s: logged %q, want %q", when, said, lines)
			}
		}
		hold("well", 10*time.Minute-time.Second, 10)
		set(func() { ill = errors.New("account school: its polling has been stuck for 1m") })
		hold("ill", 10*time.Minute, 0, "error heartbeat withheld")
		set(func() { ill = nil })
		hold("well again", 5*time.Minute, 5, "info heartbeat resumed")
		service.status.Store(0)
		hold("nobody there", 5*time.Minute, 5, "warn heartbeat call failed")
		service.status.Store(http.StatusFound)
		hold("sent elsewhere", 5*time.Minute, 5)
		service.status.Store(http.StatusNoContent)
		hold("heard", 5*time.Minute, 5, "info heartbeat call succeeded")
		set(func() { s.Every = setting.Duration(time.Second) })
		h.reconfigure()
		hold("faster", 10*time.Second-time.Millisecond, 10)
		set(func() { s.URL = setting.Secret{} })
		hold("without an address", time.Hour, 0)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run() = %v, want nil", err)
		}
	})
}

// stringOf is a logged value as text.
func stringOf(v any) string {
	text, _ := v.(string)
	return text
}

// TestHeartbeatOfDaemon has a daemon call an address that is kept in a file.
func TestHeartbeatOfDaemon(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/ping/t0ken" && r.UserAgent() == "pushwatch-heartbeat/1" {
			calls.Add(1)
		}
	}))
	defer service.Close()
	secret := filepath.Join(t.TempDir(), "heartbeat-url")
	if err := os.WriteFile(secret, []byte(service.URL+"/ping/t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newScene(t, tiwsim.Config{}, notifytest.Config{})
	s.settings += fmt.Sprintf("[heartbeat]\nurl = { file = %q }\nevery = \"1s\"\n", secret)
	p, _ := s.serve(t, sqliteURL(t))
	for deadline := time.Now().Add(hang); calls.Load() < 3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls, want 3 and more\n%s", calls.Load(), p.log)
		}
	}
	if strings.Contains(p.log.String(), "t0ken") {
		t.Errorf("the log shows the address:\n%s", p.log)
	}
}
