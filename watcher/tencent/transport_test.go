package tencent

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/tcptest"
)

// respond writes pageAnswer to a connection that is kept.
func respond(conn net.Conn) error {
	response := http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(pageAnswer)), ContentLength: int64(len(pageAnswer)),
	}
	return response.Write(conn)
}

// receive reads a whole request.
func receive(in *bufio.Reader) error {
	request, err := http.ReadRequest(in)
	if err == nil {
		_, err = io.Copy(io.Discard, request.Body)
	}
	return err
}

func TestAStaleConnectionIsToldAndNotRetried(t *testing.T) {
	for name, reset := range map[string]bool{"closed": false, "reset": true} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			client := serveConns(t, func(conn *net.TCPConn, in *bufio.Reader) {
				if receive(in) != nil {
					return
				}
				requests.Add(1)
				if respond(conn) != nil || receive(in) != nil {
					return
				}
				requests.Add(1) // and no answer
				if reset {
					conn.SetLinger(0)
				}
			})
			if _, err := client.Describe(t.Context(), testKey); err != nil {
				t.Fatal(err)
			}
			got := describe(t, client)
			want := &watcher.CloudError{Code: "network", Message: got.Message, Sent: watcher.Dropped}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("Describe() over a closed connection = %#v, want %#v", got, want)
			}
			if got := requests.Load(); got != 2 {
				t.Errorf("requests at the server = %d after two Describes, want 2", got)
			}
			if _, err := client.Describe(t.Context(), testKey); err != nil {
				t.Errorf("Describe() after a stale connection = %v, want an answer", err)
			}
		})
	}
}

// The server ends each connection behind its answer, which the client learns
// before, while, or after it sends the next request. What still comes counts.
func TestClosingConnectionsNeverMakeASecondRequest(t *testing.T) {
	const describes = 200
	var requests atomic.Int64
	client := serveConns(t, func(conn *net.TCPConn, in *bufio.Reader) {
		for first := true; receive(in) == nil; first = false {
			requests.Add(1)
			if first {
				respond(conn)
				conn.CloseWrite()
			}
		}
	})
	for range describes {
		_, err := client.Describe(t.Context(), testKey)
		if err == nil {
			continue
		}
		if fault := cloudError(t, err); fault.Sent != watcher.Dropped {
			t.Fatalf("Describe() = %#v, want an answer or a stale connection", fault)
		}
	}
	if got := requests.Load(); got > describes {
		t.Errorf("requests at the server = %d, want at most %d, one for each Describe", got, describes)
	}
}

// brokenConn accepts one write, which carries the first request.
type brokenConn struct {
	net.Conn
	written atomic.Bool
}

func (c *brokenConn) Write(b []byte) (int, error) {
	if c.written.Swap(true) {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(b)
}

// Where not a byte was written, net/http would think it safe to send again.
func TestAnUnwrittenRequestIsNotRetried(t *testing.T) {
	client := serveConns(t, func(conn *net.TCPConn, in *bufio.Reader) {
		for receive(in) == nil && respond(conn) == nil {
		}
	})
	var dials atomic.Int64
	client.transport.http.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		conn, err := client.transport.dial(ctx, network, address)
		return &brokenConn{Conn: conn}, err
	}
	if _, err := client.Describe(t.Context(), testKey); err != nil {
		t.Fatal(err)
	}
	if got := describe(t, client); got.Sent != watcher.Dropped {
		t.Errorf("Describe() over a broken connection = %#v, want a stale connection", got)
	}
	if got := dials.Load(); got != 1 {
		t.Errorf("connections = %d after two Describes, want 1", got)
	}
}

func TestAResetOnAFreshConnectionIsNotStale(t *testing.T) {
	client := serveConns(t, func(conn *net.TCPConn, in *bufio.Reader) {
		receive(in)
		conn.SetLinger(0)
	})
	got := describe(t, client)
	want := &watcher.CloudError{Code: "network", Message: got.Message, Sent: watcher.Unanswered}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Describe() = %#v, want %#v", got, want)
	}
}

func TestAnAnswerCutShortIsANetworkFault(t *testing.T) {
	for name, fresh := range map[string]bool{"fresh": true, "reused": false} {
		t.Run(name, func(t *testing.T) {
			client := serveConns(t, func(conn *net.TCPConn, in *bufio.Reader) {
				if !fresh && (receive(in) != nil || respond(conn) != nil) || receive(in) != nil {
					return
				}
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
			})
			if !fresh {
				if _, err := client.Describe(t.Context(), testKey); err != nil {
					t.Fatal(err)
				}
			}
			got := describe(t, client)
			want := &watcher.CloudError{Code: "network", Message: "unexpected EOF", Sent: watcher.Unanswered}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("Describe() = %#v, want %#v", got, want)
			}
		})
	}
}

func TestNothingWasSent(t *testing.T) {
	unknownCA := httptest.NewUnstartedServer(answer(pageAnswer))
	unknownCA.Config.ErrorLog = log.New(io.Discard, "", 0) // of the failed handshake
	unknownCA.StartTLS()
	defer unknownCA.Close()
	for name, test := range map[string]struct{ endpoint, message string }{
		"refused":     {"http://" + tcptest.Unused(t), "refused"},
		"TLS failure": {unknownCA.URL, "certificate"},
		"dead proxy":  {"https://tiw.example", "proxyconnect"},
	} {
		t.Run(name, func(t *testing.T) {
			got := describe(t, newTestClient(t, test.endpoint))
			want := &watcher.CloudError{Code: "network", Message: got.Message, Sent: watcher.Unsent}
			if !reflect.DeepEqual(got, want) || !strings.Contains(got.Message, test.message) {
				t.Errorf("Describe() = %#v, want %#v with %q in its message", got, want, test.message)
			}
		})
	}
}

func TestGatewayAnswers(t *testing.T) {
	page := "<html>\r\n<head><title>502 Bad Gateway</title></head>\x1b[31m\x00" + strings.Repeat("é", 500)
	sanitized := "<html> <head><title>502 Bad Gateway</title></head> [31m " + strings.Repeat("é", 70) + "…"
	for status, want := range map[int]*watcher.CloudError{
		502: {Code: "http 502", Message: sanitized},
		503: {Code: "http 503", Message: sanitized},
		204: {Code: "http 204", Message: "not an answer of the API; redirects are refused"},
	} {
		got := describe(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			io.WriteString(w, page)
		}))
		if !reflect.DeepEqual(got, want) || len(got.Message) > maxMessage {
			t.Errorf("Describe() with status %d = %#v, want %#v", status, got, want)
		}
	}
}

// A page is cut within a secret, with nothing but blanks before.
func TestLargePagesHoldNoHalfOfASecret(t *testing.T) {
	got := describe(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, "page "+strings.Repeat(" ", maxPage-5-len(testKeys.SecretKey)/2)+testKeys.SecretKey+strings.Repeat(" more", maxBody))
	}))
	if want := (&watcher.CloudError{Code: "http 502", Message: "page"}); !reflect.DeepEqual(got, want) {
		t.Errorf("Describe() = %#v, want %#v", got, want)
	}
}

// Whoever changes the default transport, for a proxy or a test, changes no poll.
func TestTheDefaultTransportIsNotUsed(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("a request came over the default transport")
		return nil, io.EOF
	})
	if _, err := serve(t, answer(pageAnswer)).Describe(t.Context(), testKey); err != nil {
		t.Errorf("Describe() = %v, want an answer", err)
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if _, err := (&Role{URL: server.URL}).Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "http 404") {
		t.Errorf("Keys() of a role = %v, want http 404", err)
	}
}

func TestRedirectsAreRefused(t *testing.T) {
	var elsewhere atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		answer(pageAnswer)(w, r)
	}))
	defer target.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		got := describe(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL, status)
		}))
		want := &watcher.CloudError{Code: fmt.Sprint("http ", status), Message: "not an answer of the API; redirects are refused"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Describe() with status %d = %#v, want %#v", status, got, want)
		}
	}
	if got := elsewhere.Load(); got != 0 {
		t.Errorf("requests at the redirect's target = %d, want 0", got)
	}
}

func TestAnswersAreCapped(t *testing.T) {
	padded := func(size int) string {
		return `{"Response":{"RequestId":"r"` + strings.Repeat(" ", size-30) + `}}`
	}
	if _, err := serve(t, answer(padded(maxBody))).Describe(t.Context(), testKey); err != nil {
		t.Errorf("Describe() with %d bytes = %v, want an answer", maxBody, err)
	}
	got := describe(t, serve(t, answer(padded(maxBody+1))))
	want := &watcher.CloudError{Code: "unreadable", Message: "the answer is longer than 1048576 bytes"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Describe() with %d bytes = %#v, want %#v", maxBody+1, got, want)
	}
	got = describe(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Padding", strings.Repeat("x", 2*maxHeader))
		answer(pageAnswer)(w, r)
	}))
	if !strings.Contains(got.Message, "headers exceeded") {
		t.Errorf("Describe() with a header of %d bytes = %#v, want an error", 2*maxHeader, got)
	}
}

// The SDK unpacks what says that it is packed, asked for or not.
func TestPackedAnswersAreNotUnpacked(t *testing.T) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	io.WriteString(zip, pageAnswer)
	zip.Close()
	got := describe(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("Accept-Encoding = %q, want none", got)
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(packed.Bytes())
	}))
	if got.Code != "unreadable" {
		t.Errorf("Describe() = %#v, want unreadable", got)
	}
}

// The SDK does not read a body that calls itself a stream of events.
func TestContentTypeIsNotBelieved(t *testing.T) {
	for _, contentType := range []string{"text/event-stream", "application/octet-stream", "text/plain"} {
		_, err := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			io.WriteString(w, pageAnswer)
		}).Describe(t.Context(), testKey)
		if err != nil {
			t.Errorf("Describe() of a %s = %v, want an answer", contentType, err)
		}
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var opened atomic.Int64
	var waiting sync.WaitGroup
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		waiting.Done()
		waiting.Wait() // until all requests of the round are here at once
		answer(pageAnswer)(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := newTestClient(t, server.URL)
	for range 3 {
		waiting.Add(maxIdle)
		var round sync.WaitGroup
		for range maxIdle {
			round.Go(func() {
				if _, err := client.Describe(t.Context(), testKey); err != nil {
					t.Error(err)
				}
			})
		}
		round.Wait()
	}
	if got := opened.Load(); got != maxIdle {
		t.Errorf("connections = %d for 3 rounds of %d requests, want %d", got, maxIdle, maxIdle)
	}
}

func TestOnlyHTTP1IsSpoken(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != "HTTP/1.1" {
			t.Errorf("protocol = %s, want HTTP/1.1", r.Proto)
		}
		answer(pageAnswer)(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := newTestClient(t, server.URL)
	client.transport.http.TLSClientConfig.RootCAs = x509.NewCertPool()
	client.transport.http.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	if _, err := client.Describe(t.Context(), testKey); err != nil {
		t.Errorf("Describe() = %v, want an answer", err)
	}
}

func TestRoundTripIsTheShortestConnect(t *testing.T) {
	client := newTestClient(t, DefaultEndpoint)
	for _, step := range []struct{ took, want time.Duration }{
		{synTimeout, 0}, // after a lost SYN it is not known
		{90 * time.Millisecond, 90 * time.Millisecond},
		{120 * time.Millisecond, 90 * time.Millisecond},
		{70 * time.Millisecond, 70 * time.Millisecond},
		{2 * synTimeout, 70 * time.Millisecond},
	} {
		client.transport.noteRoundTrip(step.took)
		if got := client.RoundTrip(); got != step.want {
			t.Errorf("RoundTrip() = %v after a connect of %v, want %v", got, step.took, step.want)
		}
	}
}

// TestMaySend has the right to send end while a request waits for its connection, and
// while one is kept: nothing more is written.
func TestMaySend(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		answer(pageAnswer)(w, r)
	}))
	defer server.Close()
	var allowed atomic.Bool
	client, err := New(Config{Endpoint: server.URL, Credentials: testKeys, MaySend: allowed.Load})
	if err != nil {
		t.Fatal(err)
	}
	defer client.transport.http.CloseIdleConnections()
	for _, may := range []bool{false, true, false} {
		allowed.Store(may)
		if _, err := client.Describe(t.Context(), testKey); (err == nil) != may {
			t.Errorf("Describe() with MaySend() = %t gives %v", may, err)
		}
	}
	if got := requests.Load(); got != 1 {
		t.Errorf("requests at the server = %d, want 1", got)
	}
}
