// Package transport sends the HTTP requests, and opens the connections, of the senders.
//
//   - The receiver may be hostile or broken. Every part of an exchange is bounded in
//     time, every part of an answer in size, and redirects are not followed.
//   - The receiver's name may resolve to any address. Each address is checked right
//     before it is dialled, so that no DNS answer leads into the network that pushwatch
//     runs in.
//   - URLs and headers may hold secrets. No error shows them, even if the receiver
//     repeats them in its answer.
//   - Files change under a running daemon. Proxy URL and certificates are read when they
//     are used.
//
// A proxy from the environment (HTTPS_PROXY and the like) is used only if the
// configuration says so.
package transport

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"pushwatch/watcher/setting"
)

const (
	// DefaultTimeout is the timeout of a [Config] without one.
	DefaultTimeout = 15 * time.Second

	defaultMaxInFlight = 8

	openTimeout = 5 * time.Second  // for a dial, and then for a TLS handshake
	idleTimeout = 30 * time.Second // below the minute after which servers commonly close a connection
	pingAfter   = 10 * time.Second // of silence on an HTTP/2 connection: a health check
	pingTimeout = 5 * time.Second

	maxAnswerHeader = 64 << 10 // bytes
)

// Config says how a receiver is reached. A zero field is its default.
type Config struct {
	// Timeout bounds an attempt, including the reading of its answer; default 15 s.
	Timeout time.Duration
	// MaxInFlight is how many attempts are made concurrently, and so how many idle
	// connections are kept; default 8.
	MaxInFlight int

	// AllowCIDRs allows address ranges that are refused otherwise: private and other
	// special ones, including loopback. Metadata services of clouds are always refused.
	AllowCIDRs []netip.Prefix

	// CAFile holds the certificate authorities for the receiver, in PEM, in place of the
	// system's. It is read again for each attempt.
	CAFile string
	// ClientCertFile and ClientKeyFile hold the client certificate for the receiver, in
	// PEM. They are read again for each connection.
	ClientCertFile string
	ClientKeyFile  string

	// ProxyURL is a forward proxy, http or https, with an optional user and password.
	// Its own address is not checked, because the operator chose it; the receiver's
	// address is then for the proxy to check. CAFile applies to an https proxy too.
	ProxyURL setting.Secret
	// Environment uses HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment if
	// ProxyURL is empty.
	Environment bool
}

// Validate returns all faults of c, each with the setting's name, its value unless that
// is secret, and what would be right. It reads files.
func (c Config) Validate() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if !c.ProxyURL.IsZero() {
		if _, err := ReadURL(c.ProxyURL); err != nil {
			fault("proxy_url: %w", err)
		}
	}
	if c.Timeout < 0 {
		fault(`timeout = "%s": want more than zero`, c.Timeout)
	}
	if c.MaxInFlight < 0 {
		fault("max_in_flight = %d: want at least 1", c.MaxInFlight)
	}
	for _, prefix := range c.AllowCIDRs {
		if !prefix.IsValid() || prefix.Addr().Is4In6() {
			fault(`allow_cidrs: %q: want address ranges such as "10.20.0.0/16" or "fd12:3456::/32"`, prefix)
		}
	}
	authorities, err := c.authorities()
	if err == nil {
		_, err = c.tls(authorities)
	}
	if err != nil {
		faults = append(faults, err)
	}
	return faults
}

// A Transport reaches the receivers of one notifier. It is safe for concurrent use.
type Transport struct {
	config Config
	guard  *guard
	dialer *net.Dialer // checks each address

	mu   sync.Mutex
	last *client // the last that was used
}

// A client is an HTTP transport and its TLS settings, for as long as CAFile is unchanged.
type client struct {
	authorities []byte // the contents of CAFile
	tls         *tls.Config
	http        *http.Transport
}

// New returns a transport for a valid c.
func New(c Config) (*Transport, error) {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, defaultMaxInFlight)
	t := &Transport{config: c, guard: newGuard(c.AllowCIDRs)}
	t.dialer = &net.Dialer{Timeout: openTimeout, Control: t.guard.control}
	_, err := t.current()
	return t, err
}

// Bounded returns a context that ends when an attempt started now reaches its timeout.
// Its cause then is a timeout that says how long that was.
func (t *Transport) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, t.config.Timeout, lateError(t.config.Timeout))
}

// current returns the client to use now. If CAFile changed it is a new one, and earlier
// connections are not used again.
func (t *Transport) current() (*client, error) {
	authorities, err := t.config.authorities()
	if err != nil {
		return nil, SettingsError(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != nil && bytes.Equal(authorities, t.last.authorities) {
		return t.last, nil
	}
	config, err := t.config.tls(authorities)
	if err != nil {
		return nil, SettingsError(err)
	}
	if t.last != nil {
		t.last.http.CloseIdleConnections()
	}
	t.last = &client{authorities: authorities, tls: config, http: &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return t.proxy(r.URL) },
		OnProxyConnectResponse: checkConnect,
		DialContext:            t.dial,
		TLSClientConfig:        config.Clone(), // the transport adds to it
		TLSHandshakeTimeout:    openTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
		MaxIdleConns:           t.config.MaxInFlight,
		MaxIdleConnsPerHost:    t.config.MaxInFlight,
		IdleConnTimeout:        idleTimeout,
	}}
	return t.last, nil
}

// proxy returns the proxy for u; nil: none.
func (t *Transport) proxy(u *url.URL) (*url.URL, error) {
	switch {
	case !t.config.ProxyURL.IsZero():
		proxy, err := ReadURL(t.config.ProxyURL)
		if err != nil {
			return nil, SettingsError(fmt.Errorf("proxy_url: %w", err))
		}
		return proxy, nil
	case t.config.Environment:
		proxy, err := httpproxy.FromEnvironment().ProxyFunc()(u)
		if err != nil { // its text would show the proxy's password
			return nil, SettingsError(errors.New("the proxy of the environment (HTTPS_PROXY, HTTP_PROXY) is not a proxy URL"))
		}
		return proxy, nil
	}
	return nil, nil
}

// dial opens a connection to a receiver or to its proxy. The context says which: see
// [Transport.towards].
func (t *Transport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Value(proxyKey{}) == address {
		return (&net.Dialer{Timeout: openTimeout}).DialContext(ctx, network, address)
	}
	return t.dialer.DialContext(ctx, network, address)
}

// A proxyKey is the key of the context value that holds the proxy's address, which is
// dialled unchecked.
type proxyKey struct{}

// towards returns the proxy for u, and a context in which it may be dialled.
func (t *Transport) towards(ctx context.Context, u *url.URL) (context.Context, *url.URL, error) {
	proxy, err := t.proxy(u)
	if proxy != nil {
		ctx = context.WithValue(ctx, proxyKey{}, hostPort(proxy))
	}
	return ctx, proxy, err
}

// hostPort returns the address to dial for a URL.
func hostPort(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPorts[u.Scheme]))
}

// judge refuses a host that is a literal address which may not be dialled. This is for
// proxies, which would dial it themselves.
func (t *Transport) judge(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil { // else a name
		return t.guard.check(addr)
	}
	return nil
}

// checkConnect returns an error if a proxy refused CONNECT.
func checkConnect(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return &proxyRefusal{response.StatusCode}
	}
	return nil
}

// authorities reads CAFile; nil: none is set.
func (c Config) authorities() ([]byte, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	pem, err := setting.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	return pem, nil
}

// tls returns the TLS settings, given the contents of CAFile.
func (c Config) tls(authorities []byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("ca_file = %q: no certificate in it: want PEM", c.CAFile)
		}
	}
	if (c.ClientCertFile == "") != (c.ClientKeyFile == "") {
		return nil, errors.New("client_cert_file and client_key_file: only one is set: want both or none")
	}
	if c.ClientCertFile != "" {
		if _, err := c.clientCertificate(nil); err != nil {
			return nil, err
		}
		config.GetClientCertificate = c.clientCertificate
	}
	return config, nil
}

// clientCertificate reads the client certificate when the receiver asks for it, so that
// a new file needs no restart. A handshake costs far more than reading it.
func (c Config) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	certificate, err := setting.KeyPair(c.ClientCertFile, c.ClientKeyFile)
	if err != nil {
		return nil, SettingsError(fmt.Errorf("client_cert_file, client_key_file: %w", err))
	}
	return &certificate, nil
}
