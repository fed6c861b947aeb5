package webhook_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/notify/webhook"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tcptest"
)

// serveTLS starts a server over TLS that is quiet about clients it refuses.
func serveTLS(t testing.TB, h http.HandlerFunc, change func(*httptest.Server)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{}
	change(server)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestHTTP2(t *testing.T) {
	var proto, opened atomic.Value
	r := notifytest.New(notifytest.Config{Keys: []signing.Key{key(t, secret)}})
	server := serveTLS(t, func(w http.ResponseWriter, req *http.Request) {
		proto.Store(req.Proto)
		opened.CompareAndSwap(nil, req.RemoteAddr)
		if opened.Load() != req.RemoteAddr {
			t.Errorf("connection from %s, want the one from %s", req.RemoteAddr, opened.Load())
		}
		r.ServeHTTP(w, req)
	}, func(server *httptest.Server) { server.EnableHTTP2 = true })
	c := config(server.URL)
	c.CAFile = authority(t, server)
	s := sender(t, c)
	for range 3 {
		if status, err := s.Send(t.Context(), delivery()); status != 204 || err != nil || proto.Load() != "HTTP/2.0" {
			t.Errorf("Send = %d, %v over %v, want 204 over HTTP/2.0", status, err, proto.Load())
		}
	}
}

// What stands in the file of authorities may change between two attempts. It then
// counts for a receiver to which a connection is open, too.
func TestAuthorityChanges(t *testing.T) {
	server := serveTLS(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, func(*httptest.Server) {})
	c := config(server.URL)
	c.CAFile = authority(t, server)
	right, err := os.ReadFile(c.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := certificate(t, 1)
	s := sender(t, c)
	for _, step := range []struct{ file, result string }{
		{string(right), ""}, {other, "tls"}, {"half a certificate", "settings"}, {other + string(right), ""},
	} {
		if err := os.WriteFile(c.CAFile, []byte(step.file), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Send(t.Context(), delivery())
		if step.result == "" {
			if err != nil {
				t.Errorf("Send with the right authority = %v, want nil", err)
			}
			continue
		}
		if got := failed(t, err); got.Cause.String() != step.result || got.Cause.Counts() == (step.result == "settings") {
			t.Errorf("Send with ca_file = %.20q… = %+v, want a %s failure", step.file, got, step.result)
		}
		if got := failed(t, s.Check(t.Context())); got.Cause.String() != step.result {
			t.Errorf("Check with ca_file = %.20q… = %+v, want a %s failure", step.file, got, step.result)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	server := serveTLS(t, http.NotFound, func(server *httptest.Server) { server.TLS.MaxVersion = tls.VersionTLS11 })
	c := config(server.URL)
	c.CAFile = authority(t, server)
	_, err := sender(t, c).Send(t.Context(), delivery())
	if got := failed(t, err); got.Cause.String() != "tls" {
		t.Errorf("Send to TLS 1.1 = %+v, want a tls failure", got)
	}
}

// A certificate's owner is told apart by its serial number.
func certificate(t testing.TB, serial int64) (certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "pushwatch"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func TestClientCertificate(t *testing.T) {
	var serial atomic.Int64
	server := serveTLS(t, func(_ http.ResponseWriter, r *http.Request) {
		serial.Store(r.TLS.PeerCertificates[0].SerialNumber.Int64())
	}, func(server *httptest.Server) {
		server.TLS.ClientAuth = tls.RequireAnyClientCert
		server.Config.SetKeepAlivesEnabled(false) // a handshake for each attempt
	})
	c := config(server.URL)
	c.CAFile = authority(t, server)
	_, err := sender(t, c).Send(t.Context(), delivery())
	if got := failed(t, err); got.Cause.String() != "tls" || !got.Cause.Counts() {
		t.Errorf("Send without a certificate = %+v, want a tls failure", got)
	}

	cert, key := certificate(t, 1)
	c.ClientCertFile, c.ClientKeyFile = write(t, "cert.pem", cert), write(t, "key.pem", key)
	s := sender(t, c)
	for want := range int64(3) {
		cert, key := certificate(t, want)
		for path, text := range map[string]string{c.ClientCertFile: cert, c.ClientKeyFile: key} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Send(t.Context(), delivery()); err != nil || serial.Load() != want {
			t.Errorf("Send = %v with certificate %d, want the file's, %d", err, serial.Load(), want)
		}
	}

	if err := os.Remove(c.ClientKeyFile); err != nil {
		t.Fatal(err)
	}
	_, err = s.Send(t.Context(), delivery())
	if got := failed(t, err); got.Cause.String() != "settings" || got.Cause.Counts() {
		t.Errorf("Send without its key file = %+v, want an uncharged settings error", got)
	}
}

// forward starts a proxy that connects every request to one address, as if it
// were what the name asked for leads to.
func forward(t testing.TB, address string, seen *atomic.Value) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Method + " " + r.Host + " " + r.Header.Get("Proxy-Authorization"))
		if r.Method != http.MethodConnect {
			return // itself the receiver
		}
		there, err := net.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		defer there.Close()
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer here.Close()
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(there, here)
			there.Close()
		}()
		io.Copy(here, there)
	})
}

// Names are the proxy's to resolve, and its own address needs no allow_cidrs.
func TestProxy(t *testing.T) {
	r := notifytest.New(notifytest.Config{Keys: []signing.Key{key(t, secret)}})
	server := serveTLS(t, r.ServeHTTP, func(*httptest.Server) {})
	var seen atomic.Value
	proxy := forward(t, server.Listener.Addr().String(), &seen)

	tests := map[string]string{
		"https://example.com":      "CONNECT example.com:443 Basic dTpw", // the test server's certificate has that name
		"http://classroom.example": "POST classroom.example Basic dTpw",
	}
	for url, want := range tests {
		c := config(url)
		c.AllowCIDRs = nil
		c.CAFile = authority(t, server)
		c.ProxyURL = setting.File(write(t, "proxy", strings.Replace(proxy, "http://", "http://u:p@", 1)))
		s := sender(t, c)
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("Check of %s = %v, want nil", url, err)
		}
		if _, err := s.Send(t.Context(), delivery()); err != nil || seen.Load() != want {
			t.Errorf("Send to %s = %v, the proxy saw %q, want %q", url, err, seen.Load(), want)
		}
	}
	if got := r.Deliveries(); len(got) != 1 || !got[0].Verified {
		t.Errorf("deliveries through the tunnel = %v, want one, verified", got)
	}
}

func TestEnvironmentProxyIsIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	r, url := receive(t, notifytest.Answer{})
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	if _, err := sender(t, config("http://localhost:"+port)).Send(t.Context(), delivery()); err != nil || len(r.Deliveries()) != 1 {
		t.Errorf("Send = %v, want it delivered", err)
	}
}

func TestCheck(t *testing.T) {
	var requests atomic.Int32
	count := func(http.ResponseWriter, *http.Request) { requests.Add(1) }
	plain := serve(t, count)
	server := serveTLS(t, count, func(*httptest.Server) {})
	ca := authority(t, server)
	tests := []struct {
		name, url string
		change    func(*webhook.Config)
		want      string // the cause; "" for none
	}{
		{"http", plain, nil, ""},
		{"https", server.URL, func(c *webhook.Config) { c.CAFile = ca }, ""},
		{"unknown authority", server.URL, nil, "tls"},
		{"shut", plain, func(c *webhook.Config) { c.AllowCIDRs = nil }, "blocked"},
		{"nobody there", "http://" + tcptest.Unused(t), nil, "connect"},
		{"no such name", "http://no..such", nil, "dns"},
		{"no proxy there", plain, func(c *webhook.Config) { c.ProxyURL = setting.Plain("http://" + tcptest.Unused(t)) }, "proxy"},
	}
	for _, tt := range tests {
		c := config(tt.url)
		if tt.change != nil {
			tt.change(&c)
		}
		err := sender(t, c).Check(t.Context())
		if tt.want == "" && err != nil || tt.want != "" && failed(t, err).Cause.String() != tt.want {
			t.Errorf("Check(%s) = %v, want %q", tt.name, err, tt.want)
		}
	}
	if got := requests.Load(); got != 0 {
		t.Errorf("requests = %d, want none", got)
	}
}
