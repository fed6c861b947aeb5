package chat

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
	"pushwatch/watcher"
	"pushwatch/watcher/setting"
)

// hang ends a test that waits for what never comes.
const hang = 30 * time.Second

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// TestMain keeps the services' requests on this machine: what does not go to a
// loopback address goes to a proxy that refuses it.
func TestMain(m *testing.M) {
	proxy := httptest.NewServer(says(http.StatusTeapot, ""))
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Setenv(name, proxy.URL)
	}
	os.Unsetenv("NO_PROXY")
	os.Unsetenv("no_proxy")
	code := m.Run()
	proxy.Close()
	os.Exit(code)
}

// A world is the internet as a sender sees it: a proxy leads to it, and every host in it
// is one server, whose certificate is good for any name.
type world struct {
	proxy, caFile string
	authority     *authority

	mu       sync.Mutex
	handle   http.HandlerFunc
	requests []request
	routes   map[string]string // host:port → address, of hosts that are no web server
	tunnels  []string          // the hosts and ports that were asked for
}

// A request is one that arrived.
type request struct {
	host, path string
	header     http.Header
	body       string
	at         time.Time
}

func newWorld(t testing.TB, handle http.HandlerFunc) *world {
	t.Helper()
	w := &world{handle: handle, routes: make(map[string]string)}
	w.authority = newAuthority(t)
	w.caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(w.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.authority.der}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(w.serve))
	server.TLS = &tls.Config{GetCertificate: w.authority.certificate}
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.serve(rw, r) // it is asked without a tunnel
			return
		}
		w.mu.Lock()
		w.tunnels = append(w.tunnels, r.Host)
		to, ok := w.routes[r.Host]
		w.mu.Unlock()
		if !ok {
			to = server.Listener.Addr().String()
		}
		tunnel(rw, to)
	}))
	t.Cleanup(proxy.Close)
	w.proxy = proxy.URL
	return w
}

// tunnel connects a client to an address.
func tunnel(rw http.ResponseWriter, address string) {
	there, err := net.Dial("tcp", address)
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		io.Copy(there, buffered)
		there.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(here, there)
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.requests = append(w.requests, request{r.Host, r.URL.RequestURI(), r.Header, string(body), time.Now()})
	handle := w.handle
	w.mu.Unlock()
	handle(rw, r)
}

// answer has the world answer from now on, and forget what came.
func (w *world) answer(handle http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handle, w.requests = handle, nil
}

func (w *world) received() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

// config leads to url in the world.
func (w *world) config(url string) Config {
	return Config{
		Name: "oncall", URL: setting.Plain(url),
		Config: transport.Config{ProxyURL: setting.Plain(w.proxy), CAFile: w.caFile, Timeout: hang},
	}
}

func (w *world) sender(t testing.TB, url string) *Sender {
	t.Helper()
	return sender(t, w.config(url))
}

// says answers with a status and a body.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// An authority issues certificates for whatever name is asked for.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	der  []byte

	mu     sync.Mutex
	issued map[string]*tls.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key: key, cert: cert, der: der, issued: make(map[string]*tls.Certificate)}
}

func (a *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := hello.ServerName
	if name == "" {
		return nil, errors.New("no name")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if issued := a.issued[name]; issued != nil {
		return issued, nil
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	a.issued[name] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
	return a.issued[name], nil
}

func delivery() *notify.Delivery {
	return &notify.Delivery{EventID: eventID, Type: watcher.PushFailed, Body: sample(watcher.PushFailed)}
}

// serve starts a server and returns its host and port.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func sender(t testing.TB, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// near is a config for a service on this machine.
func near(url string) Config {
	return Config{Name: "oncall", URL: setting.Plain(url), Config: transport.Config{AllowCIDRs: loopback, Timeout: hang}}
}

func sendError(t testing.TB, err error) *notify.SendError {
	t.Helper()
	failed, ok := errors.AsType[*notify.SendError](err)
	if !ok {
		t.Fatalf("Send = %v, want a *notify.SendError", err)
	}
	return failed
}

// english is the text of an event as a service takes it.
func english(t testing.TB, body []byte, s style) string {
	t.Helper()
	text, err := languages["en"].text(body, &s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func short(text string) string {
	if len(text) > 120 {
		return text[:120] + "…"
	}
	return strings.ReplaceAll(text, "\n", `\n`)
}
