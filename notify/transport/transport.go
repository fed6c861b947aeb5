// Package transport carries the requests of the senders.
//
//   - The receiver may be hostile or broken. Every part of an exchange is bounded
//     in time, every part of an answer in size, and a redirect is an answer like
//     any other.
//   - The receiver's name may lead anywhere. Each address is judged at the moment
//     of dialling, after the name was looked up, so that no answer of a name
//     server can lead into the network that pushwatch runs in.
//   - URLs and headers may hold secrets. An error shows none of them, and a
//     receiver that repeats what it was sent does not get it into an error either.
//   - Settings change under a running daemon. Proxy and certificates are read when
//     they are used.
//
// A proxy of the environment (HTTPS_PROXY and the like) is used only where the
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
	pingAfter   = 10 * time.Second // of silence on an HTTP/2 connection: does it still stand?
	pingTimeout = 5 * time.Second

	maxAnswerHeader = 64 << 10 // bytes
)

// Config says how a receiver is reached. A zero field is its default.
type Config struct {
	// Timeout bounds an attempt, the reading of its answer included; default 15 s.
	Timeout time.Duration
	// MaxInFlight is how many attempts are made at a time, and so how many
	// connections are kept open between them; default 8.
	MaxInFlight int

	// AllowCIDRs opens address ranges that are refused otherwise: private and
	// other special ones, loopback too. Metadata services of clouds stay closed.
	AllowCIDRs []netip.Prefix

	// CAFile holds the certificates of those who may vouch for the receiver, in
	// PEM: they alone, the system's then have no say. It is read again for each
	// attempt.
	CAFile string
	// ClientCertFile and ClientKeyFile hold the certificate to show to the
	// receiver, in PEM. They are read again for each connection.
	ClientCertFile string
	ClientKeyFile  string

	// ProxyURL names a forward proxy, http or https, perhaps with a user and
	// password. Its own address is not judged, as it was named on purpose; where
	// the receiver's name leads is then for the proxy to judge. An https proxy
	// must satisfy CAFile too.
	ProxyURL setting.Secret
	// Environment has HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment obeyed
	// where ProxyURL names none.
	Environment bool
}

// Validate returns all that is wrong with c, each with the setting's name, its
// value unless that is secret, and what would be right. Files are read.
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

// A Transport reaches the receivers of one notifier. It may be used by many
// goroutines at once.
type Transport struct {
	config Config
	guard  *guard
	dialer *net.Dialer // judges each address

	mu  sync.Mutex
	way *way // the last that was taken
}

// A way is how receivers are reached, for as long as CAFile stays as it is.
type way struct {
	authorities []byte // what stands in CAFile
	tls         *tls.Config
	http        *http.Transport
}

// New returns a transport for c, which has no faults.
func New(c Config) (*Transport, error) {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, defaultMaxInFlight)
	t := &Transport{config: c, guard: newGuard(c.AllowCIDRs)}
	t.dialer = &net.Dialer{Timeout: openTimeout, Control: t.guard.control}
	_, err := t.current()
	return t, err
}

// Timeout is how long an attempt may take.
func (t *Transport) Timeout() time.Duration { return t.config.Timeout }

// Bounded returns a context that ends with the time of an attempt. Its cause is a
// timeout that says how long that was.
func (t *Transport) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, t.config.Timeout, lateError(t.config.Timeout))
}

// current returns the way by which receivers are reached now. Where CAFile has
// changed that is a new one, and no connection that was opened before is used again.
func (t *Transport) current() (*way, error) {
	authorities, err := t.config.authorities()
	if err != nil {
		return nil, settingsError{err}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.way != nil && bytes.Equal(authorities, t.way.authorities) {
		return t.way, nil
	}
	config, err := t.config.tls(authorities)
	if err != nil {
		return nil, settingsError{err}
	}
	if t.way != nil {
		t.way.http.CloseIdleConnections()
	}
	t.way = &way{authorities: authorities, tls: config, http: &http.Transport{
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
	return t.way, nil
}

// proxy returns the proxy before u; nil where there is none.
func (t *Transport) proxy(u *url.URL) (*url.URL, error) {
	switch {
	case !t.config.ProxyURL.IsZero():
		proxy, err := ReadURL(t.config.ProxyURL)
		if err != nil {
			return nil, settingsError{fmt.Errorf("proxy_url: %w", err)}
		}
		return proxy, nil
	case t.config.Environment:
		proxy, err := httpproxy.FromEnvironment().ProxyFunc()(u)
		if err != nil { // which would show its password
			return nil, settingsError{errors.New("the proxy of the environment (HTTPS_PROXY, HTTP_PROXY) is no URL of one")}
		}
		return proxy, nil
	}
	return nil, nil
}

// dial opens a connection to a receiver or to the proxy before it. The context says
// which: see [Transport.towards].
func (t *Transport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Value(proxyKey{}) == address {
		return (&net.Dialer{Timeout: openTimeout}).DialContext(ctx, network, address)
	}
	return t.dialer.DialContext(ctx, network, address)
}

// A proxyKey is the key of a context's value that is the proxy's address, which is not
// judged.
type proxyKey struct{}

// towards returns the proxy before u, and a context in which that may be dialled.
func (t *Transport) towards(ctx context.Context, u *url.URL) (context.Context, *url.URL, error) {
	proxy, err := t.proxy(u)
	if proxy != nil {
		ctx = context.WithValue(ctx, proxyKey{}, hostPort(proxy))
	}
	return ctx, proxy, err
}

// hostPort is where the server of a URL is dialled.
func hostPort(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPorts[u.Scheme]))
}

// judge refuses a host that is an address which may not be dialled, since a proxy
// would dial it by itself.
func (t *Transport) judge(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil { // else a name
		return t.guard.check(addr)
	}
	return nil
}

// checkConnect looks at a proxy's answer to CONNECT.
func checkConnect(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return &proxyRefusal{response.StatusCode}
	}
	return nil
}

// authorities reads CAFile; nil where none is set.
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

// tls returns how connections are secured, with what stands in CAFile.
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

// clientCertificate reads the certificate that the receiver asks for. A
// handshake costs far more than that, and so a new file needs no restart.
func (c Config) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	certificate, err := setting.KeyPair(c.ClientCertFile, c.ClientKeyFile)
	if err != nil {
		return nil, settingsError{fmt.Errorf("client_cert_file, client_key_file: %w", err)}
	}
	return &certificate, nil
}
