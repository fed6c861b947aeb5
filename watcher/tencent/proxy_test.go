package tencent

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tcptest"
)

const (
	proxyUser     = "school:hunter2%23"
	proxyPassword = "hunter2#"
)

var proxyBasic = "Basic " + base64.StdEncoding.EncodeToString([]byte("school:"+proxyPassword))

// serveTLS returns the URL of an https server that answers pageAnswer, and a file with
// its certificate.
func serveTLS(t *testing.T) (url, caFile string) {
	t.Helper()
	server := httptest.NewUnstartedServer(answer(pageAnswer))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of failed handshakes
	server.StartTLS()
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	write(t, caFile, encodePEM(server.Certificate().Raw))
	return server.URL, caFile
}

func encodePEM(certificate []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
}

// selfSigned returns the certificate of an authority that has signed nothing else.
func selfSigned(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM(certificate)
}

// A connectProxy opens tunnels for those who know the password, and counts them.
type connectProxy struct {
	address string
	tunnels atomic.Int64
}

func serveProxy(t *testing.T) *connectProxy {
	p := new(connectProxy)
	p.address = tcptest.Serve(t, func(conn *net.TCPConn, in *bufio.Reader) {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if request.Method != "CONNECT" || request.Header.Get("Proxy-Authorization") != proxyBasic {
			fmt.Fprintf(conn, "HTTP/1.1 407 %s %s\r\n\r\n", proxyPassword, request.Header.Get("Proxy-Authorization"))
			return
		}
		p.tunnels.Add(1)
		far, err := net.Dial("tcp", request.Host)
		if err != nil {
			return
		}
		defer far.Close()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(far, in)
			far.Close()
		}()
		io.Copy(conn, far)
	})
	return p
}

// newProxied returns a client of an https server that goes through a proxy.
func newProxied(t *testing.T, endpoint, caFile string, proxy setting.Secret) *Client {
	t.Helper()
	client, err := New(Config{Endpoint: endpoint, CAFile: caFile, ProxyURL: proxy, Credentials: testKeys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.transport.http.CloseIdleConnections)
	return client
}

func TestRequestsGoThroughTheProxy(t *testing.T) {
	endpoint, caFile := serveTLS(t)
	first, second := serveProxy(t), serveProxy(t)
	file := filepath.Join(t.TempDir(), "proxy")
	client := newProxied(t, endpoint, caFile, func() setting.Secret {
		write(t, file, "http://"+proxyUser+"@"+first.address+"\n")
		return setting.File(file)
	}())
	for range 2 {
		if _, err := client.Describe(t.Context(), testKey); err != nil {
			t.Fatal(err)
		}
	}
	write(t, file, "http://"+proxyUser+"@"+second.address)
	if _, err := client.Describe(t.Context(), testKey); err != nil {
		t.Fatal(err)
	}
	if got, after := first.tunnels.Load(), second.tunnels.Load(); got != 1 || after != 1 {
		t.Errorf("tunnels of the proxy = %d, of the one set later = %d, want 1 and 1", got, after)
	}
}

// The proxy repeats the password in every place that an error shows.
func TestErrorsOfAProxyHoldNoPassword(t *testing.T) {
	endpoint, caFile := serveTLS(t)
	refusing := serveProxy(t)
	echoing := tcptest.Serve(t, func(conn *net.TCPConn, in *bufio.Reader) {
		if first, _ := in.Peek(1); string(first) != "C" { // TLS or SOCKS
			fmt.Fprintf(conn, "%s %s\r\n", proxyPassword, strings.Split(proxyUser, ":")[1])
		} else if request, err := http.ReadRequest(in); err == nil {
			fmt.Fprintf(conn, "%s %s %s\r\n\r\n", proxyPassword, strings.Split(proxyUser, ":")[1], request.Header.Get("Proxy-Authorization"))
		}
	})
	for name, test := range map[string]struct{ proxy, want string }{
		"refuses":     {"http://school:hunter2@" + refusing.address, "the proxy refuses to connect: http 407"},
		"not HTTP":    {"http://" + proxyUser + "@" + echoing, "malformed HTTP"},
		"not TLS":     {"https://" + proxyUser + "@" + echoing, "proxyconnect"},
		"not SOCKS":   {"socks5://" + proxyUser + "@" + echoing, "socks"},
		"unreachable": {"http://" + proxyUser + "@" + proxyAddress, "proxyconnect"},
	} {
		t.Run(name, func(t *testing.T) {
			got := describe(t, newProxied(t, endpoint, caFile, setting.Plain(test.proxy)))
			if got.Kind != watcher.Transient || got.Code != "network" || got.Sent != watcher.Unsent || !strings.Contains(got.Message, test.want) {
				t.Errorf("Describe() = %#v, want an unsent network fault with %q", got, test.want)
			}
			for _, secret := range []string{"hunter2", proxyBasic[6:]} {
				if text := fmt.Sprintf("%v %#v", got, got); strings.Contains(text, secret) {
					t.Errorf("error = %s, want it without %q", text, secret)
				}
			}
		})
	}
}

func TestAProxySecretThatIsGoneIsToldAtTheRequest(t *testing.T) {
	endpoint, caFile := serveTLS(t)
	file := filepath.Join(t.TempDir(), "proxy")
	write(t, file, "http://"+serveProxy(t).address)
	client := newProxied(t, endpoint, caFile, setting.File(file))
	write(t, file, "http://school:hunter2#@proxy.example")
	got := describe(t, client)
	if got.Code != "network" || got.Sent != watcher.Unsent || !strings.Contains(got.Message, "proxy_url: file "+file) {
		t.Errorf("Describe() = %#v, want an unsent fault of proxy_url", got)
	}
	noSecrets(t, got.Error())
}

func TestProxySettings(t *testing.T) {
	for _, test := range []struct{ proxy, want string }{ // want is in the error; none: no error
		{"http://proxy.example:3128", ""},
		{"http://proxy.example:3128/", ""},
		{"https://school:hunter2@proxy.example", ""},
		{"socks5://127.0.0.1:1080", ""},
		{"socks5h://[::1]:1080", ""},
		{"http://school:hunter2%23@proxy.example:3128", ""},
		{"http://school:hunter2%ss@proxy.example:3128", "not a URL"},
		{"http://school:hunter2#ss@proxy.example:3128", "not a URL"},
		{"http://school:8#hunter2@proxy.example:3128", "more than a scheme"},
		{"http://school:8/hunter2@proxy.example:3128", "more than a scheme"},
		{"http://school:8?hunter2@proxy.example:3128", "more than a scheme"},
		{"http://proxy.example:0", "port"},
		{"http://proxy.example:", "port"},
		{"http://proxy.example:99999", "port"},
		{"ftp://proxy.example", "want a URL"},
		{"http://", "no host"},
		{"http://:3128", "no host"},
		{"://hunter2", "not a URL"},
	} {
		_, err := New(Config{Credentials: testKeys, ProxyURL: setting.Plain(test.proxy)})
		if (err != nil) != (test.want != "") || err != nil && !(strings.HasPrefix(err.Error(), "proxy_url: in the settings: ") && strings.Contains(err.Error(), test.want)) {
			t.Errorf("New() with the proxy %q = %v, want an error of proxy_url with %q", test.proxy, err, test.want)
		}
		t.Setenv("HTTPS_PROXY", test.proxy)
		_, err = New(Config{Credentials: testKeys})
		if (err != nil) != (test.want != "") || err != nil && !(strings.HasPrefix(err.Error(), "HTTPS_PROXY: ") && strings.Contains(err.Error(), test.want)) {
			t.Errorf("New() with HTTPS_PROXY = %q gives %v, want an error of it with %q", test.proxy, err, test.want)
		}
		if err != nil {
			noSecrets(t, err.Error())
		}
		if _, err := New(Config{Credentials: testKeys, Endpoint: "http://127.0.0.1:1"}); err != nil {
			t.Errorf("New() over http with HTTPS_PROXY = %q gives %v, want none, as it is not used", test.proxy, err)
		}
	}
	t.Setenv("HTTPS_PROXY", "proxy.example:3128")
	if _, err := New(Config{Credentials: testKeys}); err != nil {
		t.Errorf("New() with an HTTPS_PROXY without a scheme = %v, want none", err)
	}
	t.Setenv("HTTPS_PROXY", "")
	t.Setenv("https_proxy", "http://a%zz")
	if _, err := New(Config{Credentials: testKeys}); err == nil || !strings.HasPrefix(err.Error(), "HTTPS_PROXY: ") {
		t.Errorf("New() with a faulty https_proxy = %v, want an error of it", err)
	}
}

func TestProxyInUse(t *testing.T) {
	for _, test := range []struct {
		config Config
		want   string
	}{
		{Config{}, "http://" + proxyAddress},
		{Config{Endpoint: "https://127.0.0.1"}, ""},
		{Config{Endpoint: "http://localhost"}, ""},
		{Config{ProxyURL: setting.Plain("http://" + proxyUser + "@proxy.example/")}, "http://" + proxyUser + "@proxy.example"},
		{Config{Endpoint: "http://localhost", ProxyURL: setting.Plain("http://proxy.example")}, "http://proxy.example"},
	} {
		got, err := test.config.Proxy()
		shown := ""
		if got != nil {
			shown = got.String()
		}
		if err != nil || shown != test.want {
			t.Errorf("%+v: Proxy() = %q, %v, want %q", test.config, shown, err, test.want)
		}
	}
}

func TestCAFile(t *testing.T) {
	endpoint, caFile := serveTLS(t)
	text := filepath.Join(t.TempDir(), "text")
	write(t, text, "no certificate")
	for file, want := range map[string]string{
		caFile:      "",
		text:        "ca_file = ",
		text + "s":  "ca_file: open ",
		"/dev/null": "no certificate in it",
		t.TempDir(): "ca_file: read ",
	} {
		_, err := New(Config{Endpoint: endpoint, CAFile: file, Credentials: testKeys})
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("New() with the CA file %q = %v, want an error with %q", file, err, want)
		}
	}
}

func TestCAFileIsReadAgain(t *testing.T) {
	endpoint, caFile := serveTLS(t)
	right, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	client := newProxied(t, endpoint, caFile, setting.Secret{})
	for i, step := range []struct{ file, want string }{
		{string(right), ""}, {selfSigned(t), "certificate"}, {"half a certificate", "no certificate in it"}, {selfSigned(t) + string(right), ""},
	} {
		write(t, caFile, step.file)
		_, err := client.Describe(t.Context(), testKey)
		if (err != nil) != (step.want != "") || err != nil && !strings.Contains(err.Error(), step.want) {
			t.Errorf("step %d: Describe() = %v, want an error with %q", i, err, step.want)
		}
		if fault, ok := err.(*watcher.CloudError); ok && fault.Sent != watcher.Unsent {
			t.Errorf("step %d: Describe() = %#v, want nothing sent", i, fault)
		}
	}
}
