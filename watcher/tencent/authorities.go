package tencent

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"

	"pushwatch/watcher/setting"
)

// authorities are certificate authorities in a file, instead of the system's. The file is read
// at each request, so that it can be replaced under a running daemon.
type authorities struct {
	file string

	mu      sync.Mutex
	pem     []byte          // contents of file
	current *http.Transport // with these authorities
}

// transport returns base with the authorities in the file. After a change of the file, older
// connections are not used again.
func (a *authorities) transport(base *http.Transport) (*http.Transport, error) {
	pem, err := setting.ReadFile(a.file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != nil && bytes.Equal(pem, a.pem) {
		return a.current, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file = %q: no certificate in it: want PEM", a.file)
	}
	if a.current != nil {
		a.current.CloseIdleConnections()
	}
	a.pem, a.current = pem, base.Clone()
	a.current.TLSClientConfig.RootCAs = pool
	return a.current, nil
}
