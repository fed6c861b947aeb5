package chat

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tcptest"
)

// Every service that can be pointed at a plain HTTP server sends the text.
func TestSend(t *testing.T) {
	want := english(t, delivery().Body, plainStyle)
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
		if status, err := sender(t, near(fmt.Sprintf(form, host))).Send(t.Context(), delivery()); status != 200 || err != nil {
			t.Errorf("Send to %s = %d, %v, want 200, nil", form, status, err)
			continue
		}
		if body := strings.ReplaceAll(<-got, `\n`, "\n"); !strings.Contains(body, want) {
			t.Errorf("Send to %s posted %q, want %q in it", form, body, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, form := range []string{"generic://%s/?disabletls=yes", "ntfy://%s/topic?scheme=http", "mattermost://%s/token?disabletls=yes", "bark://:device-key@%s/?scheme=http"} {
		for status, want := range map[int]string{302: "3xx", 400: "4xx", 401: "4xx", 404: "4xx", 410: "410", 429: "429", 500: "5xx", 503: "5xx"} {
			host := serve(t, says(status, "", "Retry-After", "30", "Location", "/elsewhere"))
			before := time.Now()
			got, err := sender(t, near(fmt.Sprintf(form, host))).Send(t.Context(), delivery())
			failed := sendError(t, err)
			if got != status || failed.Cause.String() != want || failed.Final || failed.Gone || !failed.Cause.Counts() || !strings.HasSuffix(failed.Reason, fmt.Sprintf("answered %d %s", status, http.StatusText(status))) {
				t.Errorf("Send to %s that answers %d = %d, %+v, want a charged failure, %s", form, status, got, failed, want)
			}
			if waits := status == 429 || status == 503; waits == failed.RetryAfter.IsZero() || waits && failed.RetryAfter.Before(before.Add(30*time.Second)) {
				t.Errorf("Send to %s that answers %d wants to wait until %s, want 30 s: %t", form, status, failed.RetryAfter, waits)
			}
		}
	}
	// The library's word counts where the status alone does not.
	host := serve(t, says(200, `{"code":400,"message":"no such device"}`))
	status, err := sender(t, near("bark://:device-key@"+host+"/?scheme=http")).Send(t.Context(), delivery())
	if got := sendError(t, err); status != 200 || got.Reason != "bark answered 200 OK: it did not take the message" {
		t.Errorf("Send that is refused in the body = %d, %+v", status, got)
	}
}

// An attempt ends with its time, and the library's request with it.
func TestHangingService(t *testing.T) {
	ended, requests := make(chan struct{}, 2), make(chan struct{}, 3)
	var patient atomic.Bool
	host := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		requests <- struct{}{}
		if !patient.Load() {
			io.Copy(io.Discard, r.Body) // else the server does not see the end
			<-r.Context().Done()
			ended <- struct{}{}
		}
	})
	c := near("generic://" + host + "/?disabletls=yes")
	c.Timeout = 50 * time.Millisecond
	s := sender(t, c)
	for range 2 {
		_, err := s.Send(t.Context(), delivery())
		if got := sendError(t, err); got.Cause.String() != "timeout" || !got.Cause.Counts() || got.Reason != "wait for generic: nothing within 50ms" {
			t.Errorf("Send = %+v, want a charged timeout", got)
		}
		<-requests
		<-ended
	}
	patient.Store(true)
	c.Timeout = hang
	if _, err := sender(t, c).Send(t.Context(), delivery()); err != nil {
		t.Errorf("Send after the service's recovery = %v, want nil", err)
	}
	<-requests
	if len(requests) != 0 {
		t.Error("more requests than attempts")
	}
}

func TestInterrupted(t *testing.T) {
	for _, form := range []string{"generic://%s/?disabletls=yes", "gotify://%s/ADEB06DDEB06D0a?disabletls=yes"} {
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		host := serve(t, func(http.ResponseWriter, *http.Request) {
			cancel()
			<-release
		})
		_, err := sender(t, near(fmt.Sprintf(form, host))).Send(ctx, delivery())
		if got := sendError(t, err); got.Cause.Counts() || got.Reason != "interrupted" {
			t.Errorf("Send to %s = %+v, want it interrupted, uncharged", form, got)
		}
		close(release)
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
	c := near("")
	c.URL = setting.File(path)
	s := sender(t, c)
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
		case strings.Contains(r.URL.Path, "/join"):
			fmt.Fprint(w, `{"room_id":"!room:here"}`)
		default:
			sent++
			fmt.Fprint(w, `{"event_id":"$1"}`)
		}
	})
	s := sender(t, near("matrix://user:pass@"+host+"/?disableTLS=yes&rooms=!room:here"))
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
	_, err := sender(t, near("generic://127.0.0.1:9/")).Send(t.Context(), &notify.Delivery{Body: []byte("{")})
	if got := sendError(t, err); !got.Final {
		t.Errorf("Send of an unreadable event = %+v, want it final", got)
	}
}

func TestContain(t *testing.T) {
	if err := contain(func() error { panic("token hu5h") }); err == nil || strings.Contains(err.Error(), "hu5h") {
		t.Errorf("contain(a panic) = %v, want an error without its value", err)
	}
	// The library's code runs again after a panic.
	a := &libraryAttempt{ctx: t.Context()}
	for range 2 {
		if err := a.run(func() error { panic("x") }); err == nil {
			t.Error("run(a panic) = nil, want an error")
		}
	}
}

// What the library requests goes by the rules of the notifier that it is for: its guard,
// its proxy, its authorities.
func TestLibraryObeys(t *testing.T) {
	for _, form := range []string{"generic://%s/?disabletls=yes", "ntfy://%s/topic?scheme=http", "mattermost://%s/token?disabletls=yes", "gotify://%s/ADEB06DDEB06D0a?disabletls=yes",
		"bark://:device-key@%s/?scheme=http", "matrix://user:pass@%s/?disableTLS=yes&rooms=a", "signal://user:pass@%s/+1234567890/+0987654321?disabletls=yes"} {
		var requests atomic.Int32
		host := serve(t, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
		c := near(fmt.Sprintf(form, host))
		c.AllowCIDRs = nil
		_, err := sender(t, c).Send(t.Context(), delivery())
		if got := sendError(t, err); got.Cause.String() != "blocked" || requests.Load() != 0 {
			t.Errorf("Send to %s = %+v with %d requests, want it blocked", form, got, requests.Load())
		}
	}
	// Each service of the library, through the proxy.
	w := newWorld(t, says(500, ""))
	for name := range libraryServices {
		for _, pattern := range secrets {
			if !strings.HasPrefix(pattern, name+":") {
				continue
			}
			w.answer(says(500, ""))
			c := configOf(pattern, "DEB06D", "service.example", w.proxy, w.caFile)
			c.ProxyURL, c.AllowCIDRs = setting.Plain(w.proxy), nil
			status, err := sender(t, c).Send(t.Context(), delivery())
			if failed := sendError(t, err); status != 500 || failed.Cause.String() != "5xx" || len(w.received()) != 1 {
				t.Errorf("Send to %s by the proxy = %d, %+v, with %d requests, want 500 after 1", name, status, failed, len(w.received()))
			}
			c.CAFile = ""
			if !strings.Contains(pattern, "http") && !strings.Contains(strings.ToLower(pattern), "disabletls") {
				_, err := sender(t, c).Send(t.Context(), delivery())
				if got := sendError(t, err); got.Cause.String() != "tls" {
					t.Errorf("Send to %s without its authority = %+v, want a tls failure", name, got)
				}
			}
		}
	}
}

// A receiver that does not answer holds up no attempt for another, though the library
// serves one attempt at a time.
func TestLibrarySideBySide(t *testing.T) {
	release := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Add(3)
	hanging := serve(t, func(http.ResponseWriter, *http.Request) {
		waiting.Done()
		<-release
	})
	var all sync.WaitGroup
	for range 3 {
		s := sender(t, near("generic://"+hanging+"/?disabletls=yes"))
		all.Go(func() { s.Send(t.Context(), delivery()) })
	}
	waiting.Wait()
	var mu sync.Mutex
	got := map[string]int{}
	hosts := map[string]*Sender{}
	for range 4 {
		host := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			got[r.Host]++
		})
		hosts[host] = sender(t, near("generic://"+host+"/?disabletls=yes"))
	}
	for host, s := range hosts {
		all.Go(func() {
			for range 20 {
				if _, err := s.Send(t.Context(), delivery()); err != nil {
					t.Errorf("Send to %s = %v", host, err)
				}
			}
		})
	}
	time.AfterFunc(50*time.Millisecond, func() { // not before the others are under way
		for {
			mu.Lock()
			done := true
			for host := range hosts {
				done = done && got[host] == 20
			}
			mu.Unlock()
			if done {
				close(release)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	all.Wait()
	for host := range hosts {
		if got[host] != 20 {
			t.Errorf("requests to %s = %d, want 20", host, got[host])
		}
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"generic://hooks.example/a":                                    "https://hooks.example",
		"generic://hooks.example/a?disabletls=yes":                     "http://hooks.example",
		"generic+https://hooks.example/a":                              "https://hooks.example",
		"generic+http://hooks.example:8081/a":                          "http://hooks.example:8081",
		"ifttt://key/?events=a":                                        "https://maker.ifttt.com",
		"matrix://user:pw@matrix.example/?disableTLS=yes&rooms=a":      "http://matrix.example",
		"ntfy://ntfy.example/topic?scheme=http":                        "http://ntfy.example",
		"signal://user:pw@signal.example/+1234567890/+1234567891":      "https://signal.example:8080",
		"signal://user:pw@signal.example:81/+1234567890/+1234567891":   "https://signal.example:81",
		"pushover://:token@user":                                       "https://api.pushover.net",
		"rocketchat://rocket.example:8443/tokenA/tokenB/general":       "https://rocket.example:8443",
		"zulip://bot%40zulip.com:key@example.zulipchat.com?stream=abc": "https://example.zulipchat.com",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		to, err := parseLibrary(u)
		if err != nil {
			t.Errorf("parseLibrary(%s) = %v", text, err)
			continue
		}
		if got := to.(*library).address(); got.String() != want {
			t.Errorf("address of %s = %s, want %s", text, got, want)
		}
	}
	if got := (&library{url: &url.URL{Scheme: "someday"}}).check(t.Context(), new(transport.Transport)); got != ErrUnknownHost {
		t.Errorf("check of a service without a host = %v, want ErrUnknownHost", got)
	}
}

// TestCheck reaches for every service, and sends nothing.
func TestCheck(t *testing.T) {
	const hidden = "DEB06D"
	var requests atomic.Int32
	count := func(http.ResponseWriter, *http.Request) { requests.Add(1) }
	w := newWorld(t, count)
	listening, free := serve(t, count), tcptest.Unused(t)
	for _, pattern := range secrets {
		check := func(host, proxy, caFile string) error {
			return sender(t, configOf(pattern, hidden, host, proxy, caFile)).Check(t.Context())
		}
		if err := check(listening, w.proxy, w.caFile); err != nil {
			t.Errorf("Check() of %s = %v, want nil", pattern, err)
		}
		want := "connect"
		if !strings.Contains(pattern, "HOST") && !strings.Contains(pattern, "MAIL") {
			want = "proxy"
		}
		err := check(free, "http://"+free, w.caFile)
		if got := sendError(t, err); got.Cause.String() != want || !strings.HasSuffix(err.Error(), "connection refused") || strings.Contains(err.Error(), hidden) || want == "connect" && strings.Contains(err.Error(), free) {
			t.Errorf("Check() of %s where nobody listens = %v, want a %s failure, and nothing of the URL", pattern, err, want)
		}
	}
	if got := requests.Load(); got != 0 || len(w.tunnels) < len(services) {
		t.Errorf("%d requests, tunnels to %v, want no request, and a tunnel for each service", got, w.tunnels)
	}
}
