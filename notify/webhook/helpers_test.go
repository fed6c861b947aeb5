package webhook_test

import (
	"bufio"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/notify/transport"
	"pushwatch/notify/webhook"
	"pushwatch/watcher"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tcptest"
)

const (
	secret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	old     = "whsec_b2xkLXNlY3JldC1vbGQtc2VjcmV0LTAxMjM0NTY3ODk="
	eventID = "msg_01k9qx3v7z8m4t2b6n5c1r0wya"
)

// hang ends a test that waits for what never comes.
const hang = 30 * time.Second

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func delivery() *notify.Delivery {
	at := time.Date(2026, 11, 22, 18, 16, 5, 123456000, time.UTC)
	return &notify.Delivery{
		EventID: eventID,
		Body: watcher.NewEnvelope("test", eventID, watcher.PushStarted, "1400000001/math", at, watcher.TaskData{
			Sequence: 1, Account: "school", SDKAppID: 1400000001, TaskID: "math", State: watcher.Pushing,
		}).Encode(),
	}
}

func key(t testing.TB, secret string) signing.Key {
	t.Helper()
	key, err := signing.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// config is for a receiver at url on this machine.
func config(url string) webhook.Config {
	return webhook.Config{
		Name: "classroom", URL: setting.Plain(url), Secrets: []setting.Secret{setting.Plain(secret)},
		Config: transport.Config{AllowCIDRs: loopback, Timeout: hang},
	}
}

func sender(t testing.TB, c webhook.Config) *webhook.Sender {
	t.Helper()
	s, err := webhook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// receive starts a receiver that verifies and gives this answer.
func receive(t testing.TB, answer notifytest.Answer) (*notifytest.Receiver, string) {
	t.Helper()
	r := notifytest.New(notifytest.Config{
		Keys: []signing.Key{key(t, secret)},
		Fail: func(notifytest.Delivery) notifytest.Answer { return answer },
	})
	return r, serve(t, r.ServeHTTP)
}

// failed returns err as what every failed attempt is.
func failed(t testing.TB, err error) *notify.SendError {
	t.Helper()
	sendError, ok := errors.AsType[*notify.SendError](err)
	if !ok {
		t.Fatalf("Send = %v, want a *notify.SendError", err)
	}
	return sendError
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// authority returns a file with the certificate of a test server.
func authority(t testing.TB, server *httptest.Server) string {
	t.Helper()
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	return write(t, "ca.pem", string(pem.EncodeToMemory(block)))
}

// raw serves connections by hand, for answers that net/http would not give.
func raw(t testing.TB, handle func(net.Conn, *bufio.Reader)) (url string) {
	t.Helper()
	return "http://" + tcptest.Serve(t, func(conn *net.TCPConn, in *bufio.Reader) { handle(conn, in) })
}
