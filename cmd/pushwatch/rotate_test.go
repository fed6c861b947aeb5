package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

// TestRotation puts another token and another certificate into the files that the
// settings name, as a Secret of Kubernetes that is changed does. Nobody tells the
// daemon, and a token that is too short for one does not come into force.
func TestRotation(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, after := newCertificate(t), newCertificate(t)
	const token, short, other = "a-token-of-some-length", "short", "another-token-of-some-length"
	write("cert", before.cert)
	write("key", before.key)
	write("token", token)

	s := newScene(t, tiwsim.Config{}, notifytest.Config{})
	s.settings = fmt.Sprintf("http.tls_cert_file = %q\nhttp.tls_key_file = %q\n[[http.tokens]]\nname = \"backend\"\nrole = \"read\"\nsecret = { file = %q }\n",
		filepath.Join(folder, "cert"), filepath.Join(folder, "key"), filepath.Join(folder, "token")) + s.settings
	address := tcptest.Unused(t)
	p := launch(t, "serve", "--config", s.file(t, address, sqliteURL(t)))

	// ask returns the status for a token, from who shows a certificate; else 0.
	ask := func(c certificate, token string) int {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(c.cert))
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := transport.RoundTrip(r)
		if err != nil {
			return 0
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	await := func(c certificate, token string, want int) {
		t.Helper()
		for deadline := time.Now().Add(hang); ask(c, token) != want; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("with %q: answered %d, want %d\n%s", token, ask(c, token), want, p.log)
			}
		}
	}
	await(before, token, http.StatusOK)
	fromWindows := func(text string) string { return "\ufeff" + strings.ReplaceAll(text, "\n", "\r\n") }
	write("cert", fromWindows(after.cert))
	write("key", fromWindows(after.key))
	write("token", short)
	await(after, token, http.StatusOK)
	p.awaitLogged(t, 1, "error", "certificate or tokens rejected", "error", "http.tokens backend: want at least 16 characters, such as 32 random ones")
	if got := ask(after, short); got != http.StatusUnauthorized {
		t.Errorf("with a short token: answered %d, want 401", got)
	}
	write("token", other)
	await(after, other, http.StatusOK)
	if got := ask(after, token); got != http.StatusUnauthorized {
		t.Errorf("with the token before: answered %d, want 401", got)
	}
	if got := ask(before, other); got != 0 {
		t.Errorf("who trusts the certificate before is answered %d, want no answer", got)
	}
}

// A certificate for 127.0.0.1, and its key, in PEM.
type certificate struct{ cert, key string }

func newCertificate(t *testing.T) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return certificate{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}
}
