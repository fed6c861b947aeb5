package webhook_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	svix "github.com/svix/svix-webhooks/go"

	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/notify/webhook"
	"pushwatch/watcher/setting"
)

func TestSend(t *testing.T) {
	r, url := receive(t, notifytest.Answer{})
	c := config(url + "/hooks/push?room=7")
	c.Headers = map[string]setting.Secret{"x-tenant": setting.Plain("a")}
	d := delivery()
	d.Requests = 2
	if status, err := sender(t, c).Send(t.Context(), d); status != 204 || err != nil {
		t.Fatalf("Send = %d, %v, want 204, nil", status, err)
	}

	got := r.Deliveries()[0]
	if got.Err != nil || !got.Verified || !bytes.Equal(got.Body, d.Body) {
		t.Errorf("delivery = %v, verified %t, body %q; want %q verified", got.Err, got.Verified, got.Body, d.Body)
	}
	timestamp, err := strconv.ParseInt(got.Header.Get(signing.HeaderTimestamp), 10, 64)
	if age := time.Since(time.Unix(timestamp, 0)); err != nil || age < 0 || age > hang {
		t.Errorf("timestamp = %d, %v, want now", timestamp, err)
	}
	want := http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"pushwatch-webhook/1"}, "X-Tenant": {"a"},
		"Content-Length": {strconv.Itoa(len(d.Body))}, "Webhook-Id": {eventID}, "Webhook-Attempt": {"3"},
		"Webhook-Timestamp": got.Header["Webhook-Timestamp"], "Webhook-Signature": got.Header["Webhook-Signature"],
	}
	for name := range got.Header {
		if len(got.Header[name]) != 1 || len(want[name]) != 1 || got.Header[name][0] != want[name][0] {
			t.Errorf("header %s = %q, want %q", name, got.Header[name], want[name])
		}
	}
	if len(got.Header) != len(want) {
		t.Errorf("headers = %v, want %v", got.Header, want)
	}
}

// TestHeaderChanges has a header's value in a file that is changed between attempts.
func TestHeaderChanges(t *testing.T) {
	r, url := receive(t, notifytest.Answer{})
	c := config(url)
	path := write(t, "token", "Bearer one\n")
	c.Headers = map[string]setting.Secret{"authorization": setting.File(path)}
	s := sender(t, c)
	for _, want := range []string{"Bearer one", "Bearer two"} {
		if err := os.WriteFile(path, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(t.Context(), delivery()); err != nil {
			t.Fatal(err)
		}
		all := r.Deliveries()
		if got := all[len(all)-1].Header.Get("Authorization"); got != want {
			t.Errorf("authorization = %q, want %q", got, want)
		}
	}
	if err := os.WriteFile(path, []byte("HUSH\nHUSH"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.Send(t.Context(), delivery())
	if got := failed(t, err); got.Cause.String() != "settings" || got.Cause.Counts() || strings.Contains(err.Error(), "HUSH") {
		t.Errorf("Send with two lines for a header = %+v, want a fault of the settings that shows nothing of them", got)
	}
}

// The names are promised in lower case; HTTP/1 shows how they are written.
func TestSendWritesLowerCase(t *testing.T) {
	head := make(chan string, 1)
	url := raw(t, func(conn net.Conn, r *bufio.Reader) {
		var lines strings.Builder
		for {
			line, err := r.ReadString('\n')
			if lines.WriteString(line); err != nil || line == "\r\n" {
				break
			}
		}
		head <- lines.String()
		io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	if _, err := sender(t, config(url+"/hooks?a=b")).Send(t.Context(), delivery()); err != nil {
		t.Fatal(err)
	}
	got := <-head
	for _, want := range []string{"POST /hooks?a=b HTTP/1.1\r\n", "\r\nwebhook-id: msg_", "\r\nwebhook-timestamp: ", "\r\nwebhook-signature: v1,", "\r\nwebhook-attempt: 1\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("request = %q, want %q in it", got, want)
		}
	}
	if strings.Contains(got, "dempotency") {
		t.Errorf("request = %q, want no Idempotency-Key", got)
	}
}

// Consumers verify with these libraries, and parse with the official SDK.
func TestInterop(t *testing.T) {
	for _, contentType := range []string{"application/json", "application/cloudevents+json"} {
		var header http.Header
		var body []byte
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			header = r.Header.Clone()
			body, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			if r.Header.Get("Content-Type") != contentType {
				t.Errorf("Content-Type = %q, want %q", r.Header.Get("Content-Type"), contentType)
			}
			if contentType == "application/json" {
				return
			}
			event, err := cehttp.NewEventFromHTTPRequest(r)
			if err != nil {
				t.Errorf("NewEventFromHTTPRequest = %v, want an event", err)
			} else if err := event.Validate(); err != nil || event.ID() != eventID || event.Type() != "push.started" ||
				event.Subject() != "1400000001/math" || event.Source() != "urn:pushwatch:test" {
				t.Errorf("event = %v, %v, want what was sent", event, err)
			}
		})
		c := config(url)
		c.ContentType = contentType
		c.Secrets = append(c.Secrets, setting.Plain(old))
		if status, err := sender(t, c).Send(t.Context(), delivery()); status != 200 || err != nil {
			t.Fatalf("Send = %d, %v, want 200, nil", status, err)
		}

		for _, s := range []string{secret, old} {
			theirs, err := standardwebhooks.NewWebhook(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := theirs.Verify(body, header); err != nil {
				t.Errorf("standardwebhooks: Verify = %v, want nil", err)
			}
			svixs, err := svix.NewWebhook(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := svixs.Verify(body, header); err != nil {
				t.Errorf("svix: Verify = %v, want nil", err)
			}
		}
		first, second, _ := strings.Cut(header.Get(signing.HeaderSignature), " ")
		for s, signature := range map[string]string{secret: first, old: second} {
			header.Set(signing.HeaderSignature, signature)
			if err := signing.Verify([]signing.Key{key(t, s)}, header, body, time.Now()); err != nil {
				t.Errorf("Verify(%q alone) = %v, want the current secret first, then the old one", signature, err)
			}
		}
	}
}

// What is kept in files may change between two attempts.
func TestSendReadsAnew(t *testing.T) {
	r, url := receive(t, notifytest.Answer{Status: 204})
	c := config("")
	urlFile, keyFile := write(t, "url", "http://127.0.0.1:1/nobody\n"), write(t, "key", old+"\n")
	c.URL, c.Secrets = setting.File(urlFile), []setting.Secret{setting.File(keyFile)}
	s := sender(t, c)

	put := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(urlFile, url)
	for i, k := range []string{old, secret} {
		put(keyFile, k+"\n")
		if _, err := s.Send(t.Context(), delivery()); err != nil {
			t.Fatalf("Send = %v, want nil", err)
		}
		got := r.Deliveries()[i]
		if err := signing.Verify([]signing.Key{key(t, k)}, got.Header, got.Body, time.Now()); err != nil {
			t.Errorf("attempt %d: Verify = %v, want it signed with the key in the file", i+1, err)
		}
	}

	put(keyFile, "whsec_short")
	_, err := s.Send(t.Context(), delivery())
	if got := failed(t, err); got.Cause.String() != "settings" || got.Cause.Counts() || !strings.Contains(got.Reason, keyFile) || strings.Contains(got.Reason, "short") {
		t.Errorf("Send with a bad secret = %+v, want an uncharged settings error that names %s", got, keyFile)
	}
	if err := os.Remove(urlFile); err != nil {
		t.Fatal(err)
	}
	_, err = s.Send(t.Context(), delivery())
	if got := failed(t, err); got.Cause.String() != "settings" || got.Cause.Counts() || !strings.Contains(got.Reason, urlFile) {
		t.Errorf("Send without a URL = %+v, want an uncharged settings error that names %s", got, urlFile)
	}
	if got := s.Target(); got != "" {
		t.Errorf("Target() without a URL = %q, want nothing", got)
	}
	if got := len(r.Deliveries()); got != 2 {
		t.Errorf("deliveries = %d, want 2: nothing goes out unsigned", got)
	}
}

func TestSendRefusesUnsignableID(t *testing.T) {
	r, url := receive(t, notifytest.Answer{Status: 204})
	d := delivery()
	d.EventID = "msg_a.1"
	_, err := sender(t, config(url)).Send(t.Context(), d)
	if got := failed(t, err); !got.Final || len(r.Deliveries()) != 0 {
		t.Errorf("Send = %+v after %d requests, want a final failure without any", got, len(r.Deliveries()))
	}
}

func TestBasicAuth(t *testing.T) {
	var got atomic.Value
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got.Store(r.Header.Get("Authorization")) })
	c := config(strings.Replace(url, "http://", "http://teacher:chalk@", 1))
	send := func(want string) {
		t.Helper()
		if _, err := sender(t, c).Send(t.Context(), delivery()); err != nil || got.Load() != want {
			t.Errorf("Send = %v, Authorization = %q, want %q", err, got.Load(), want)
		}
	}
	send("Basic dGVhY2hlcjpjaGFsaw==")
	c.Headers = map[string]setting.Secret{"authorization": setting.Plain("Bearer x")}
	send("Bearer x")
}

// One connection serves attempt after attempt.
func TestConnectionsAreKept(t *testing.T) {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, strings.Repeat("later ", 1000)) // read to its end
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	s := sender(t, config(server.URL))
	for range 5 {
		s.Send(t.Context(), delivery())
	}
	if got := opened.Load(); got != 1 {
		t.Errorf("connections = %d, want 1", got)
	}
}

// A receiver may close a kept connection in the very moment it is used again:
// that is nobody's failure.
func TestStaleConnection(t *testing.T) {
	var connections atomic.Int32
	url := raw(t, func(conn net.Conn, r *bufio.Reader) {
		first := connections.Add(1) == 1
		for i := 0; i == 0 || !first; i++ {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, request.Body)
			io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		}
		http.ReadRequest(r) // and away
	})
	s := sender(t, config(url))
	for i := range 2 {
		if _, err := s.Send(t.Context(), delivery()); err != nil {
			t.Errorf("Send %d = %v, want nil", i+1, err)
		}
	}
	if got := connections.Load(); got != 2 {
		t.Errorf("connections = %d, want 2", got)
	}
}

func TestSendInParallel(t *testing.T) {
	r, url := receive(t, notifytest.Answer{})
	s := sender(t, config(url))
	var attempts sync.WaitGroup
	for range 8 {
		attempts.Go(func() {
			for range 5 {
				if _, err := s.Send(t.Context(), delivery()); err != nil {
					t.Errorf("Send = %v, want nil", err)
				}
			}
		})
	}
	attempts.Wait()
	if got := len(r.Deliveries()); got != 40 {
		t.Errorf("deliveries = %d, want 40", got)
	}
}

func BenchmarkSend(b *testing.B) {
	url := serve(b, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	d := delivery()
	send := func(c webhook.Config) func(*testing.B) {
		return func(b *testing.B) {
			s := sender(b, c)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Send(b.Context(), d); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("plain", send(config(url)))
	files := config(url)
	files.URL, files.Secrets = setting.File(write(b, "url", url)), []setting.Secret{setting.File(write(b, "key", secret))}
	b.Run("files", send(files))
	b.Run("bare", func(b *testing.B) { // what net/http alone takes, unsigned
		client := &http.Client{Transport: &http.Transport{}}
		b.ReportAllocs()
		for b.Loop() {
			response, err := client.Post(url, "application/json", bytes.NewReader(d.Body))
			if err != nil {
				b.Fatal(err)
			}
			response.Body.Close()
		}
	})
}
