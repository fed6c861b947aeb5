package tencent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/setting"
)

const (
	maxBody   = 1 << 20  // bytes of an answer; a real one has some hundred
	maxPage   = 16 << 10 // bytes that are read of a gateway's page
	maxHeader = 16 << 10 // bytes of an answer's header
	maxIdle   = 32       // connections kept: more than an account's 20 requests in a second can use
	buffer    = 2 << 10  // bytes to read and write at a time: a request and its answer have some hundred

	// idleTimeout is below the minute after which servers commonly close a connection.
	idleTimeout = 30 * time.Second
	// openTimeout ends a dial, and a TLS handshake, whose request no longer waits.
	openTimeout = 10 * time.Second
	// synTimeout is when TCP repeats a lost SYN (RFC 6298): a longer handshake does not
	// show the round trip.
	synTimeout = time.Second
)

// A transport sends a request exactly once. It returns a complete answer with status 200, or an
// error.
type transport struct {
	http    *http.Transport // with the system's authorities
	fastest atomic.Int64    // shortest round trip in nanoseconds; 0: not known yet
	maySend func() bool     // nil: always
	caFile  string          // authorities instead of the system's; empty: none

	mu      sync.Mutex
	pem     []byte          // contents of caFile
	private *http.Transport // with these authorities
}

// newTransport returns a transport that uses the proxy of each request; nil: none.
func newTransport(proxy func(*http.Request) (*url.URL, error), maySend func() bool) *transport {
	t := &transport{maySend: maySend}
	t.http = &http.Transport{
		Proxy:                  proxy,
		OnProxyConnectResponse: checkConnect,
		DialContext:            t.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    openTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		ReadBufferSize:         buffer,
		WriteBufferSize:        buffer,
		DisableCompression:     true,
		Protocols:              new(http.Protocols),
	}
	t.http.Protocols.SetHTTP1(true) // only: over HTTP/2 net/http retries
	return t
}

// newTransport returns the transport to endpoint, which is nil if it is invalid.
func (c Config) newTransport(endpoint *url.URL) (*transport, error) {
	var errs []error
	proxy := c.setProxy
	if !c.ProxyURL.IsZero() {
		_, err := c.setProxy(nil)
		errs = append(errs, err)
	} else if endpoint != nil {
		fixed, err := environmentProxy(endpoint)
		errs = append(errs, err)
		proxy = http.ProxyURL(fixed)
	}
	t := newTransport(proxy, c.MaySend)
	t.caFile = c.CAFile
	_, err := t.current()
	return t, errors.Join(append(errs, err)...)
}

// current returns the HTTP transport to use now. caFile is read at each request, so that it can
// be replaced under a running daemon. After a change, older connections are not used again.
func (t *transport) current() (*http.Transport, error) {
	if t.caFile == "" {
		return t.http, nil
	}
	pem, err := setting.ReadFile(t.caFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.private != nil && bytes.Equal(pem, t.pem) {
		return t.private, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file = %q: no certificate in it: want PEM", t.caFile)
	}
	if t.private != nil {
		t.private.CloseIdleConnections()
	}
	t.pem, t.private = pem, t.http.Clone()
	t.private.TLSClientConfig.RootCAs = pool
	return t.private, nil
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	way, err := t.current()
	if err != nil {
		return nil, err
	}
	once := request.WithContext(request.Context())
	once.GetBody = nil // without it net/http cannot retry
	response, err := way.RoundTrip(once)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()

	if status := response.StatusCode; status != http.StatusOK {
		page := []byte("not an answer of the API; redirects are refused")
		if status >= 400 {
			if page, err = io.ReadAll(io.LimitReader(response.Body, maxPage)); err != nil {
				return nil, err
			}
		}
		if len(page) == maxPage { // cut off the last word, which may be half of a secret
			page = bytes.TrimRightFunc(page, func(c rune) bool { return c > ' ' && c <= '~' })
		}
		return nil, &watcher.CloudError{Code: fmt.Sprintf("http %d", status), Message: string(page)}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxBody:
		return nil, unreadable(fmt.Sprintf("the answer is longer than %d bytes", maxBody))
	}
	// Other headers would make the SDK unpack a Content-Encoding without a limit, or leave an
	// event stream unread. A body of another type it parses twice more, to look for errors to
	// retry after.
	response.Header = http.Header{"Content-Type": {"application/octet-stream"}}
	response.Body = io.NopCloser(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff")))) // a byte order mark is no JSON
	return response, nil
}

// dial opens a connection and records its round trip.
func (t *transport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: openTimeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	t.noteRoundTrip(roundTrip(conn))
	if t.maySend == nil {
		return conn, nil
	}
	return guardedConn{conn, t.maySend}, nil
}

// A guardedConn checks maySend right before each write, after signing and after all waiting for
// a connection.
type guardedConn struct {
	net.Conn
	maySend func() bool
}

var errMayNotSend = errors.New("requests may not be sent now")

func (c guardedConn) Write(b []byte) (int, error) {
	if !c.maySend() {
		return 0, errMayNotSend
	}
	return c.Conn.Write(b)
}

// noteRoundTrip records the round trip of a connection, if known.
func (t *transport) noteRoundTrip(took time.Duration) {
	if took <= 0 || took >= synTimeout {
		return
	}
	for {
		fastest := t.fastest.Load()
		if fastest != 0 && fastest <= int64(took) || t.fastest.CompareAndSwap(fastest, int64(took)) {
			return
		}
	}
}

// An exchange is the trace of one request. Goroutines of net/http that may outlast the request
// set its fields.
type exchange struct {
	connected atomic.Bool // the request may have been sent
	reused    atomic.Bool // on a kept connection
	answered  atomic.Bool // the first byte of an answer came
}

// trace returns a context that records a request in e.
func (e *exchange) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			e.reused.Store(info.Reused)
			e.connected.Store(true)
		},
		GotFirstResponseByte: func() { e.answered.Store(true) },
	})
}
