package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/setting"
)

// hang ends a test that waits for what never comes.
const hang = 30 * time.Second

// TestMain keeps the services' requests on this machine: what does not go to a
// loopback address goes to a proxy that refuses it.
func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}))
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Setenv(name, proxy.URL)
	}
	os.Unsetenv("NO_PROXY")
	os.Unsetenv("no_proxy")
	code := m.Run()
	proxy.Close()
	os.Exit(code)
}

func delivery() *notify.Delivery {
	return &notify.Delivery{EventID: eventID, Type: watcher.PushFailed, Body: sample(watcher.PushFailed)}
}

// serve starts a server and returns its host and port.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// closed returns a host and port that nobody listens on.
func closed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

func sender(t *testing.T, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sendError(t *testing.T, err error) *notify.SendError {
	t.Helper()
	failed, ok := errors.AsType[*notify.SendError](err)
	if !ok {
		t.Fatalf("Send = %v, want a *notify.SendError", err)
	}
	return failed
}

// Every service that can be pointed at a plain HTTP server sends the text.
func TestSend(t *testing.T) {
	want, err := text(delivery().Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{
		"generic://%s/hook?disabletls=yes", "generic+http://%s/hook", "ntfy://%s/topic?scheme=http",
		"bark://:device-key@%s/?scheme=http",
	} {
		got := make(chan string, 1)
		host := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got <- string(body)
			fmt.Fprint(w, `{"code":200,"message":"success"}`)
		})
		if _, err := sender(t, Config{URL: setting.Plain(fmt.Sprintf(form, host))}).Send(t.Context(), delivery()); err != nil {
			t.Errorf("Send to %s = %v, want nil", form, err)
			continue
		}
		if body := strings.ReplaceAll(<-got, `\n`, "\n"); !strings.Contains(body, want) {
			t.Errorf("Send to %s posted %q, want %q in it", form, body, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, form := range []string{"generic://%s/?disabletls=yes", "ntfy://%s/topic?scheme=http", "mattermost://%s/token?disabletls=yes", "bark://:device-key@%s/?scheme=http"} {
		for status, want := range map[int]string{400: "4xx", 401: "4xx", 404: "4xx", 410: "410", 429: "429", 500: "5xx", 503: "5xx"} {
			host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
			})
			got, err := sender(t, Config{URL: setting.Plain(fmt.Sprintf(form, host))}).Send(t.Context(), delivery())
			failed := sendError(t, err)
			if got != status || failed.Cause.String() != want || failed.Final || failed.Gone || !failed.Cause.Counts() || !strings.HasSuffix(failed.Reason, fmt.Sprintf("answered %d %s", status, http.StatusText(status))) {
				t.Errorf("Send to %s that answers %d = %d, %+v, want a charged failure, %s", form, status, got, failed, want)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		service, says string
		status        int
		result        string
	}{
		{"telegram", "sending POST request: dial tcp: lookup api.telegram.org on 10.0.0.2:53: no such host", 0, "dns"},
		{"telegram", "dial tcp: lookup api.telegram.org: i/o timeout", 0, "dns"},
		{"slack", `Post "https://hooks.slack.com/x": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, 0, "timeout"},
		{"slack", "read tcp 10.0.0.1:1->10.0.0.2:2: i/o timeout", 0, "timeout"},
		{"slack", "tls: failed to verify certificate: x509: certificate signed by unknown authority", 0, "tls"},
		{"slack", "remote error: tls: handshake failure", 0, "tls"},
		{"slack", "proxyconnect tcp: dial tcp 10.0.0.3:3128: connect: connection refused", 0, "proxy"},
		{"slack", "dial tcp 10.0.0.2:443: connect: connection refused", 0, "connect"},
		{"slack", "invalid_token", 0, "other"},
		{"googlechat", "chat API notification: 404", 404, "4xx"},
		{"opsgenie", "unexpected status: 429 - slow down", 429, "429"},
		{"pagerduty", "HTTP 502", 502, "5xx"},
		{"signal", "server returned status 400", 400, "4xx"},
		{"pushover", `failed: "500", response status "403 Forbidden"`, 403, "4xx"},
		{"slack", "sent to room: 404040, which is none", 0, "other"},
		{"slack", "error: 499", 0, "other"}, // no status that HTTP knows
		{"smtp", "error sending: 451 4.7.1 greylisted", 0, "other"},
	}
	for _, tt := range tests {
		got, err := failed(&url.URL{Scheme: tt.service}, errors.New(tt.says))
		failure := sendError(t, err)
		if got != tt.status || failure.Cause.String() != tt.result || failure.Cause.Counts() == (tt.result == "proxy") || !strings.HasPrefix(failure.Reason, "post to "+tt.service+": ") {
			t.Errorf("failed(%s, %q) = %d, %+v, want %d, %s", tt.service, tt.says, got, failure, tt.status, tt.result)
		}
	}
	if got, err := failed(&url.URL{Scheme: "slack"}, nil); got != 0 || err != nil {
		t.Errorf("failed(nil) = %d, %v, want 0, nil", got, err)
	}
}

// An attempt ends with its time, and the next waits for what it left behind.
func TestHangingService(t *testing.T) {
	release, requests := make(chan struct{}), make(chan struct{}, 2)
	host := serve(t, func(http.ResponseWriter, *http.Request) {
		requests <- struct{}{}
		<-release
	})
	s := sender(t, Config{URL: setting.Plain("generic://" + host + "/?disabletls=yes"), Timeout: 50 * time.Millisecond})
	for i, want := range []string{"post to generic: no answer in time", "post to generic: an attempt before still waits for an answer"} {
		_, err := s.Send(t.Context(), delivery())
		if got := sendError(t, err); got.Cause.String() != "timeout" || !got.Cause.Counts() || got.Reason != want {
			t.Errorf("Send %d = %+v, want a charged timeout, %q", i, got, want)
		}
	}
	<-requests
	close(release)
	s.config.Timeout = hang
	if _, err := s.Send(t.Context(), delivery()); err != nil {
		t.Errorf("Send after the service's recovery = %v, want nil", err)
	}
	<-requests
	if len(requests) != 0 {
		t.Error("more requests than attempts that had their turn")
	}
}

func TestInterrupted(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	host := serve(t, func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	})
	defer close(release)
	_, err := sender(t, Config{URL: setting.Plain("generic://" + host + "/?disabletls=yes"), Timeout: hang}).Send(ctx, delivery())
	if got := sendError(t, err); got.Cause.Counts() || got.Reason != "interrupted" {
		t.Errorf("Send = %+v, want it interrupted, uncharged", got)
	}
}

// The URL is read at each attempt.
func TestURLChanges(t *testing.T) {
	hosts := make(chan string, 1)
	answer := func(w http.ResponseWriter, r *http.Request) { hosts <- r.Host }
	first, second := serve(t, answer), serve(t, answer)
	path := filepath.Join(t.TempDir(), "url")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("generic://" + first + "/?disabletls=yes\n")
	s := sender(t, Config{URL: setting.File(path)})
	for _, want := range []string{first, first, second} {
		write("generic://" + want + "/?disabletls=yes\n")
		if _, err := s.Send(t.Context(), delivery()); err != nil {
			t.Fatal(err)
		}
		if got := <-hosts; got != want {
			t.Errorf("Send went to %s, want %s", got, want)
		}
	}

	for _, unusable := range []string{"", "https://hooks.example/token-s3cret"} {
		write(unusable)
		_, err := s.Send(t.Context(), delivery())
		got := sendError(t, err)
		if got.Cause.Counts() || got.Cause.String() != "settings" || !strings.HasPrefix(got.Reason, "url: ") || strings.Contains(got.Reason, "s3cret") {
			t.Errorf("Send with URL %q = %+v, want it uncharged, settings", unusable, got)
		}
		if got := s.Target(); got != "" {
			t.Errorf("Target() with URL %q = %q, want none", unusable, got)
		}
	}
}

// A login that has run out is made again.
func TestMatrixLogsInAgain(t *testing.T) {
	logins, sent := 0, 0
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		token := r.FormValue("access_token")
		switch {
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/login"):
			fmt.Fprint(w, `{"flows":[{"type":"m.login.password"}]}`)
		case strings.HasSuffix(r.URL.Path, "/login"):
			logins++
			fmt.Fprintf(w, `{"access_token":"token-%d"}`, logins)
		case token != fmt.Sprintf("token-%d", logins) || sent == 1 && logins == 1:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errcode":"M_UNKNOWN_TOKEN"}`)
		case strings.HasSuffix(r.URL.Path, "/joined_rooms"):
			fmt.Fprint(w, `{"joined_rooms":["!room:here"]}`)
		default:
			sent++
			fmt.Fprint(w, `{"event_id":"$1"}`)
		}
	})
	s := sender(t, Config{URL: setting.Plain("matrix://user:pass@" + host + "/?disableTLS=yes")})
	if logins != 0 {
		t.Errorf("logins before an attempt = %d, want 0", logins)
	}
	for i, fails := range []bool{false, true, false, false} {
		if _, err := s.Send(t.Context(), delivery()); (err != nil) != fails {
			t.Errorf("Send %d = %v, want an error: %t", i, err, fails)
		}
	}
	if logins != 2 || sent != 3 {
		t.Errorf("logins, messages = %d, %d, want 2, 3", logins, sent)
	}
}

func TestSendOfNothing(t *testing.T) {
	_, err := sender(t, Config{URL: setting.Plain("generic://127.0.0.1:9/")}).Send(t.Context(), &notify.Delivery{Body: []byte("{")})
	if got := sendError(t, err); !got.Final {
		t.Errorf("Send of an unreadable event = %+v, want it final", got)
	}
}
