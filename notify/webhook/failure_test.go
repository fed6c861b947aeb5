package webhook_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/notify/webhook"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tcptest"
)

// Every way to fail, with a secret in every place that a request can have one,
// and receivers that repeat all they got.
func TestFailures(t *testing.T) {
	const userInfo, path = "teacher:PASSWORD-1", "/hooks/PATH-TOKEN/x%20PATH-ESCAPED?key=QUERY-TOKEN&QUERY-NAME"
	hidden := []string{"PASSWORD-1", "PATH-TOKEN", "PATH-ESCAPED", "QUERY-TOKEN", "QUERY-NAME", "HEADER-TOKEN", "PROXY-PASSWORD", "MfKQ9r8G", "v1,"}

	echo := func(r *http.Request) string {
		signature := r.Header.Get(signing.HeaderSignature)
		user, password, _ := r.BasicAuth()
		return fmt.Sprintf("%s %s %s %s %s %s %s %s", r.URL.Path, r.RequestURI, r.URL.RawQuery, r.URL.Query().Get("key"),
			r.Header.Get("X-Key"), r.Header.Get("Authorization"), signature, user+" "+password)
	}
	echoing := func(status int) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.RequestURI)
			w.WriteHeader(status)
			io.WriteString(w, echo(r))
		})
	}
	malformed := raw(t, func(conn net.Conn, r *bufio.Reader) {
		if request, err := http.ReadRequest(r); err == nil {
			io.Copy(io.Discard, request.Body)
			fmt.Fprintf(conn, "%s\r\n\r\n", echo(request))
		}
	})
	silent := raw(t, func(_ net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	secure := serveTLS(t, http.NotFound, func(*httptest.Server) {})
	_, hanging := receive(t, notifytest.Answer{Hang: true})
	_, good := receive(t, notifytest.Answer{Status: 204})
	port := good[strings.LastIndex(good, ":"):]
	keyFile := write(t, "key", secret)
	proxied := func(proxy string) func(*webhook.Config) {
		return func(c *webhook.Config) {
			c.ProxyURL = setting.Plain(strings.Replace(proxy, "://", "://proxy:PROXY-PASSWORD@", 1))
		}
	}
	shut := func(c *webhook.Config) { c.AllowCIDRs = nil }

	tests := []struct {
		name      string
		url       string
		change    func(*webhook.Config)
		result    string
		uncharged bool
		reason    string // in it
	}{
		{"3xx", echoing(302), nil, "3xx", false, "answered 302 Found"},
		{"4xx", echoing(404), nil, "4xx", false, "answered 404 Not Found: ***"},
		{"410", echoing(410), nil, "410", false, "answered 410 Gone: ***"},
		{"5xx", echoing(500), nil, "5xx", false, "answered 500 Internal Server Error: ***"},
		{"malformed", malformed, nil, "other", false, "post to 127.0.0.1"},
		{"timeout", hanging, func(c *webhook.Config) { c.Timeout = 20 * time.Millisecond }, "timeout", false, "nothing within 20ms"},
		{"connect", "http://" + tcptest.Unused(t), nil, "connect", false, "connection refused"},
		{"dns", "http://no..such", nil, "dns", false, "resolve no..such: no such host"},
		{"unknown authority", secure.URL, nil, "tls", false, "unknown authority"},
		{"no TLS there", strings.Replace(good, "http:", "https:", 1), nil, "tls", false, "does not look like a TLS handshake"},
		{"blocked", good, shut, "blocked", true, `allow_cidrs = ["127.0.0.1/32"]`},
		{"blocked behind a name", "http://localhost" + port, shut, "blocked", true, "is refused"},
		{"blocked with a zone", "http://[fe80::1%25lo]" + port, shut, "blocked", true, "is refused"},
		{"blocked for the proxy", "http://169.254.169.254", proxied("http://" + tcptest.Unused(t)), "blocked", true, "no setting opens"},
		{"proxy down", "https://classroom.example", proxied("http://" + tcptest.Unused(t)), "proxy", true, "connection refused"},
		{"proxy refuses", "https://classroom.example", proxied(echoing(403)), "proxy", true, "it answered 403 Forbidden"},
		{"proxy wants a password", "http://classroom.example", proxied(echoing(407)), "proxy", true, "it answered 407 Proxy Authentication Required"},
		{"proxy is no proxy", "https://classroom.example", proxied(malformed), "proxy", true, "malformed HTTP"},
		{"proxy without TLS", "https://classroom.example", proxied(strings.Replace(good, "http:", "https:", 1)), "proxy", true, "does not look like a TLS handshake"},
		{"proxy hangs", "https://classroom.example", func(c *webhook.Config) {
			proxied(silent)(c)
			c.Timeout = 20 * time.Millisecond
		}, "proxy", true, "reach classroom.example through the proxy"},
		{"no secret", good, func(c *webhook.Config) { c.Secrets = []setting.Secret{setting.File(keyFile)} }, "settings", true, keyFile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(strings.Replace(tt.url, "://", "://"+userInfo+"@", 1) + path)
			c.Headers = map[string]setting.Secret{"x-key": setting.Plain("Bearer HEADER-TOKEN")}
			if tt.change != nil {
				tt.change(&c)
			}
			s := sender(t, c)
			if tt.result == "settings" {
				if err := os.Remove(keyFile); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.Send(t.Context(), delivery())
			got := failed(t, err)
			if got.Cause.String() != tt.result || got.Cause.Counts() == tt.uncharged || got.Final || !strings.Contains(got.Reason, tt.reason) {
				t.Errorf("Send = %+v, want %s, uncharged %t, %q", got, tt.result, tt.uncharged, tt.reason)
			}
			for err := error(got); err != nil; err = errors.Unwrap(err) {
				for _, part := range hidden {
					if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, part) {
						t.Errorf("%q is in the error %q", part, text)
					}
				}
			}
			if target := s.Target(); target != tt.url && tt.name != "blocked with a zone" {
				t.Errorf("Target() = %q, want %q", target, tt.url)
			}
		})
	}
}

// An attempt that the daemon itself breaks off says nothing of the receiver.
func TestInterrupted(t *testing.T) {
	r, url := receive(t, notifytest.Answer{Hang: true})
	cause := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		r.Wait(t.Context(), func(d []notifytest.Delivery) bool { return len(d) == 1 })
		cancel(cause)
	}()
	_, err := sender(t, config(url)).Send(ctx, delivery())
	if got := failed(t, err); got.Cause.Counts() || got.Reason != "interrupted" || !errors.Is(err, cause) {
		t.Errorf("Send = %+v, want interrupted, uncharged, with the cause", got)
	}
}

// A caller's deadline is a timeout like the sender's own.
func TestCallersDeadline(t *testing.T) {
	_, url := receive(t, notifytest.Answer{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := sender(t, config(url)).Send(ctx, delivery())
	if got := failed(t, err); !got.Cause.Counts() || got.Cause.String() != "timeout" {
		t.Errorf("Send = %+v, want a timeout", got)
	}
}
