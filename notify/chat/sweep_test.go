package chat

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"pushwatch/watcher/setting"
	"pushwatch/watcher/tcptest"
)

// senders are a URL for each way to write to somebody over HTTP, with how the service
// says that it has taken a message.
func senders(t *testing.T) map[string]string {
	all := map[string]string{
		"slack": slackHook, "slack by token": "slack://xoxb:123456789012-1234567890123-abcdefghijklmnopqrstuvwx@C001122334", "teams": teamsHook, "teams by workflow": teamsFlow,
		"discord": discordHook, "telegram": "telegram://" + telegramBot + "@telegram?chats=@oncall", "wecom": "wecom://" + wecomKey,
		"dingtalk": "dingtalk://acce55-t0ken?secret=s3cret", "lark": "lark://open.feishu.cn/t0ken-t0ken?secret=s3cret", "googlechat": googleHook,
	}
	for name := range libraryServices {
		for _, pattern := range secrets {
			if strings.HasPrefix(pattern, name+":") {
				text := strings.NewReplacer("SECRET", "DEB06D", "HOST", "service.example").Replace(pattern)
				all[name] = strings.NewReplacer("?disabletls=yes&", "?", "?disabletls=yes", "", "?disableTLS=yes&", "?", "?scheme=http", "").Replace(text)
			}
		}
	}
	if len(all) != len(libraryServices)+len(services)+1 {
		t.Fatalf("senders = %d, want one for each service", len(all))
	}
	return all
}

// TestSweep has every sender meet everything that a receiver can do to it: what was
// refused is not delivered, what was accepted is sent once, waits are kept to, and no
// answer takes memory.
func TestSweep(t *testing.T) {
	refusals := map[string]string{ // with status 200, as each service has it
		"slack": "channel_not_found", "slack by token": `{"ok":false,"error":"channel_not_found"}`,
		"teams":             "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x.",
		"teams by workflow": `{"error":{"code":"WorkflowRunFailed","message":"x"}}`, "discord": `{"message":"Unknown Webhook","code":10015}`,
		"telegram": `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`, "wecom": `{"errcode":93000,"errmsg":"invalid webhook url"}`,
		"dingtalk": `{"errcode":310000,"errmsg":"keywords not in content"}`, "lark": `{"code":19024,"msg":"Key Words Not Found"}`,
		"googlechat": `{"error":{"code":404,"status":"NOT_FOUND"}}`,
		"bark":       `{"code":400,"message":"failed to get device token"}`, "pushbullet": `{"error":{"message":"no such device"}}`,
		"matrix": `x`, "ntfy": `x`, "gotify": `x`,
	}
	waits := map[string]string{ // of 37 seconds, with status 429
		"discord": `{"message":"You are being rate limited.","retry_after":37.0}`, "telegram": `{"ok":false,"error_code":429,"parameters":{"retry_after":37}}`,
		"googlechat": `{"error":{"code":429,"details":[{"retryDelay":"37s"}]}}`,
	}
	endless := func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat("x", 32<<10))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	hanging := func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	cut := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "<html>")
		panic(http.ErrAbortHandler)
	}
	tests := []struct {
		name   string
		answer func(sender string) http.HandlerFunc
		cause  string // empty: any
		wait   time.Duration
	}{
		{"a refusal in a 200", func(sender string) http.HandlerFunc {
			if refusals[sender] == "" {
				return nil // the service documents none, or the library looks at no body
			}
			return says(200, refusals[sender])
		}, "", 0},
		{"429, the wait in the header", func(string) http.HandlerFunc { return says(429, "", "Retry-After", "37") }, "429", 37 * time.Second},
		{"503, the wait in the header", func(string) http.HandlerFunc { return says(503, "", "Retry-After", "37") }, "5xx", 37 * time.Second},
		{"429, the wait in the body", func(sender string) http.HandlerFunc {
			if waits[sender] == "" {
				return nil
			}
			return says(429, waits[sender])
		}, "429", 37 * time.Second},
		{"429, no wait", func(string) http.HandlerFunc { return says(429, "") }, "429", 0},
		{"500", func(string) http.HandlerFunc { return says(500, "") }, "5xx", 0},
		{"500 that says ok", func(sender string) http.HandlerFunc {
			return says(500, `{"ok":true,"errcode":0,"code":0,"id":"1","name":"x"}`)
		}, "5xx", 0},
		{"302", func(string) http.HandlerFunc { return says(302, "", "Location", "https://elsewhere.example/") }, "3xx", 0},
		{"307", func(string) http.HandlerFunc { return says(307, "", "Location", "https://elsewhere.example/") }, "3xx", 0},
		{"an endless 500", func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); endless(w, r) }
		}, "5xx", 0},
		{"an endless 200", func(sender string) http.HandlerFunc {
			switch sender {
			case "teams by workflow", "generic", "join", "ifttt", "mattermost", "notifiarr", "opsgenie", "pagerduty", "pushover", "rocketchat", "signal", "zulip":
				return nil // the status is the whole answer, and is a success
			}
			return endless
		}, "other", 0},
		{"a hang", func(string) http.HandlerFunc { return hanging }, "timeout", 0},
		{"a connection that is cut", func(string) http.HandlerFunc { return cut }, "other", 0},
		{"a page that is cut", func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502); half(w, r) }
		}, "", 0},
	}
	w := newWorld(t, nil)
	for name, url := range senders(t) {
		for _, tt := range tests {
			handle := tt.answer(name)
			if handle == nil {
				continue
			}
			w.answer(handle)
			c := w.config(url)
			if tt.name == "a hang" {
				c.Timeout = 200 * time.Millisecond
			}
			s := sender(t, c)
			if strings.HasPrefix(tt.name, "an endless") { // the connection is there before the memory is looked at
				w.answer(says(500, ""))
				s.Send(t.Context(), delivery())
				w.answer(handle)
			}
			before := time.Now()
			attempt := func() {
				_, err := s.Send(t.Context(), delivery())
				if err == nil {
					t.Errorf("%s: Send that meets %s = nil, want a failure", name, tt.name)
					return
				}
				got := sendError(t, err)
				if tt.cause != "" && got.Cause.String() != tt.cause {
					t.Errorf("%s: Send that meets %s = %+v, want %s", name, tt.name, got, tt.cause)
				}
				if tt.wait == 0 && !got.RetryAfter.IsZero() || tt.wait > 0 && (got.RetryAfter.Before(before.Add(tt.wait)) || got.RetryAfter.After(time.Now().Add(tt.wait))) {
					t.Errorf("%s: Send that meets %s wants to wait until %s, want %s", name, tt.name, got.RetryAfter, tt.wait)
				}
			}
			var grown struct{ kept, all int64 }
			if strings.HasPrefix(tt.name, "an endless") {
				grown = allocated(attempt)
			} else {
				attempt()
			}
			if got := len(w.received()); got != 1 {
				t.Errorf("%s: %d requests that meet %s, want 1", name, got, tt.name)
			}
			if grown.kept > 1<<20 || grown.all > 4<<20 {
				t.Errorf("%s: %d bytes kept, of %d, for %s, want less than 1 MB", name, grown.kept, grown.all, tt.name)
			}
		}
	}
}

// allocated returns how much f allocates: what is still in use after it, and all, what
// is freed again meanwhile too.
func allocated(f func()) (grown struct{ kept, all int64 }) {
	read := func() (m runtime.MemStats) {
		runtime.GC()
		runtime.GC() // the first leaves what is pooled
		runtime.ReadMemStats(&m)
		return m
	}
	before := read()
	f()
	after := read()
	grown.kept, grown.all = int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(after.TotalAlloc-before.TotalAlloc)
	return grown
}

// No sender talks to a host that it cannot trust, or that speaks no TLS.
func TestSweepTLS(t *testing.T) {
	w := newWorld(t, says(200, "ok"))
	stranger := newAuthority(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: stranger.certificate})
	if err != nil {
		t.Fatal(err)
	}
	strange := &http.Server{Handler: says(200, "ok"), ErrorLog: quiet}
	go strange.Serve(listener)
	t.Cleanup(func() { strange.Close() })
	plain := serve(t, says(200, "ok"))
	for name, url := range senders(t) {
		for _, address := range []string{listener.Addr().String(), plain} {
			proxy := serve(t, func(rw http.ResponseWriter, _ *http.Request) { tunnel(rw, address) })
			c := w.config(url)
			c.ProxyURL = setting.Plain("http://" + proxy)
			s := sender(t, c)
			_, err := s.Send(t.Context(), delivery())
			if got := sendError(t, err); got.Cause.String() != "tls" {
				t.Errorf("%s: Send to a host that is not trusted = %+v, want a tls failure", name, got)
			}
			if got := sendError(t, s.Check(t.Context())); got.Cause.String() != "tls" {
				t.Errorf("%s: Check of a host that is not trusted = %+v, want a tls failure", name, got)
			}
		}
	}
	if got := len(w.received()); got != 0 {
		t.Errorf("%d requests, want none", got)
	}
}

// What a service has taken is delivered, and so not sent again, whatever else it does.
func TestSweepAccepted(t *testing.T) {
	w := newWorld(t, nil)
	for name, url := range senders(t) {
		if libraryServices[name].open != nil {
			continue
		}
		w.answer(func(rw http.ResponseWriter, r *http.Request) {
			status, body := success(r.Host)
			rw.Header().Set("Retry-After", "60")
			rw.WriteHeader(status)
			io.WriteString(rw, body)
			http.NewResponseController(rw).Flush()
			if strings.HasPrefix(body, "{") { // more comes, and then the end of the connection
				io.WriteString(rw, strings.Repeat(" ", 20<<10))
			}
			panic(http.ErrAbortHandler)
		})
		_, err := w.sender(t, url).Send(t.Context(), delivery())
		if err != nil || len(w.received()) != 1 {
			t.Errorf("%s: Send = %v after %d requests, want it delivered by one", name, err, len(w.received()))
		}
	}
}

// The environment's proxy is for services on the internet, and is not judged, as its
// address is; what NO_PROXY names is reached, and judged, directly. Mail takes no such way.
func TestEnvironmentProxy(t *testing.T) {
	for name, url := range senders(t) {
		c := Config{URL: setting.Plain(url)}
		_, err := sender(t, c).Send(t.Context(), delivery())
		if got := sendError(t, err); got.Cause.String() != "proxy" || got.Cause.Counts() || !strings.HasSuffix(got.Reason, "it answered 418 I'm a teapot") {
			t.Errorf("%s: Send = %+v, want it to meet the proxy of the environment", name, got)
		}
	}
	t.Setenv("NO_PROXY", "hooks.slack.com")
	host := tcptest.Unused(t)
	t.Setenv("HTTPS_PROXY", "http://"+host)
	before := net.DefaultResolver
	defer func() { net.DefaultResolver = before }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }}
	_, err := sender(t, Config{URL: setting.Plain(slackHook)}).Send(t.Context(), delivery())
	if got := sendError(t, err); got.Cause.String() != "dns" {
		t.Errorf("Send to a host in NO_PROXY = %+v, want its name looked up", got)
	}
	_, err = sender(t, Config{URL: setting.Plain("ntfy://127.0.0.1:9/topic?scheme=http")}).Send(t.Context(), delivery())
	if got := sendError(t, err); got.Cause.String() != "blocked" {
		t.Errorf("Send to loopback = %+v, want it judged", got)
	}
	_, err = sender(t, Config{URL: setting.Plain("smtp://127.0.0.1:9/?from=a@b.example&to=c@d.example")}).Send(t.Context(), delivery())
	if got := sendError(t, err); got.Cause.String() != "blocked" {
		t.Errorf("Send of mail = %+v, want it judged", got)
	}
	t.Setenv("HTTPS_PROXY", "http://u:p%ss@127.0.0.1:1")
	_, err = sender(t, Config{URL: setting.Plain(discordHook)}).Send(t.Context(), delivery())
	if got := sendError(t, err); got.Cause.String() != "settings" && got.Cause.String() != "proxy" || strings.Contains(got.Reason, "p%ss") {
		t.Errorf("Send by a faulty proxy = %+v, want a fault of the settings, without its password", got)
	}
}
