package tencent

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/tcptest"
)

// hang ends what should have ended long before.
const hang = 30 * time.Second

var (
	testKeys = Keys{SecretID: "AKIDxxSecretIdxx", SecretKey: "kkSecretKeykk", Token: "ttTokentt"}
	testKey  = watcher.Key{SDKAppID: 1400000001, TaskID: "ghucnligqtgtvk2624mb"}
)

// proxyAddress is a proxy that nothing listens on.
const proxyAddress = "127.0.0.1:1"

// TestMain sets a dead proxy for the whole process: a loopback endpoint that
// was reached through it would fail every test.
func TestMain(m *testing.M) {
	os.Setenv("HTTP_PROXY", "http://"+proxyAddress)
	os.Setenv("HTTPS_PROXY", "http://"+proxyAddress)
	os.Unsetenv("NO_PROXY")
	os.Unsetenv("no_proxy")
	http.ProxyFromEnvironment(httptest.NewRequest("POST", DefaultEndpoint, nil)) // which it reads once
	os.Exit(m.Run())
}

func newTestClient(tb testing.TB, endpoint string) *Client {
	tb.Helper()
	client, err := New(Config{Endpoint: endpoint, Credentials: testKeys})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.transport.http.CloseIdleConnections)
	return client
}

// serve returns a client of a server that answers with handler.
func serve(tb testing.TB, handler http.HandlerFunc) *Client {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	return newTestClient(tb, server.URL)
}

// answer returns a handler that gives body as the API does.
func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(body))
	}
}

// serveConns returns a client of a server that hands each connection to handle,
// and closes it after.
func serveConns(t *testing.T, handle func(*net.TCPConn, *bufio.Reader)) *Client {
	t.Helper()
	return newTestClient(t, "http://"+tcptest.Serve(t, handle))
}

// servePipes is serveConns within a synctest bubble, where sockets cannot be used.
func servePipes(t *testing.T, handle func(net.Conn, *bufio.Reader)) *Client {
	t.Helper()
	client := newTestClient(t, "http://127.0.0.1:1")
	client.transport.http.DialContext = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			handle(far, bufio.NewReader(far))
		}()
		return near, nil
	}
	return client
}

// describe returns the fault of one Describe, which must have one.
func describe(t *testing.T, client *Client) *watcher.CloudError {
	t.Helper()
	_, err := client.Describe(t.Context(), testKey)
	return cloudError(t, err)
}

func cloudError(t *testing.T, err error) *watcher.CloudError {
	t.Helper()
	fault, ok := errors.AsType[*watcher.CloudError](err)
	if !ok {
		t.Fatalf("Describe = %v, want a *watcher.CloudError", err)
	}
	return fault
}
