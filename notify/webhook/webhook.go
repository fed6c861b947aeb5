// Package webhook sends events to a receiver over HTTP, signed as Standard
// Webhooks has it.
//
// A [Sender] makes one attempt at a time and says what came of it; package
// notify decides when the next one is due. Four things guide it:
//
//   - The receiver may be hostile or broken. Every part of an attempt is bounded
//     in time, every part of an answer in size, and a redirect is an answer like
//     any other.
//   - The receiver's name may lead anywhere. Each address is judged at the moment
//     of dialling, after the name was looked up, so that no answer of a name
//     server can lead into the network that pushwatch runs in.
//   - The URL may be a secret, its path and query no less than its password.
//     Errors show its host only, and a receiver that repeats what it was sent
//     does not get it into an error either.
//   - Settings change under a running daemon. URL, signing secrets, proxy and
//     client certificate are read when they are used.
//
// Proxies of the environment (HTTP_PROXY and the like) are not used: only the
// one that is configured.
package webhook

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/signing"
	"pushwatch/watcher/setting"
)

const (
	defaultTimeout     = 15 * time.Second
	defaultMaxInFlight = 8
	defaultContentType = "application/json"

	openTimeout = 5 * time.Second  // for a dial, and then for a TLS handshake
	idleTimeout = 30 * time.Second // below the minute after which servers commonly close a connection
	pingAfter   = 10 * time.Second // of silence on an HTTP/2 connection: does it still stand?
	pingTimeout = 5 * time.Second

	maxAnswerHeader = 64 << 10 // bytes
)

// Config describes one receiver. A zero field is its default.
type Config struct {
	Name string // of the notifier

	// URL is where to post: https, or http for a receiver that is near. A user
	// and password in it go out as basic authentication.
	URL setting.Secret
	// Secrets sign each attempt, at most [signing.MaxKeys] of them, in the form
	// that [signing.ParseKey] reads. The first is the current one; the others
	// sign along, so that a receiver can move from one to the next.
	Secrets []setting.Secret

	// ContentType is "application/json" (the default) or
	// "application/cloudevents+json". The body is both.
	ContentType string
	// Headers are sent along. None may be one that pushwatch or HTTP itself sets.
	Headers map[string]string

	// Timeout bounds an attempt, the reading of its answer included; default 15 s.
	Timeout time.Duration
	// MaxInFlight is how many attempts are made at a time, and so how many
	// connections are kept open between them; default 8.
	MaxInFlight int

	// AllowCIDRs opens address ranges that are refused otherwise: private and
	// other special ones, loopback too. Metadata services of clouds stay closed.
	AllowCIDRs []netip.Prefix

	// CAFile holds the certificates of those who may vouch for the receiver, in
	// PEM: they alone, the system's then have no say. It is read once, by New.
	CAFile string
	// ClientCertFile and ClientKeyFile hold the certificate to show to the
	// receiver, in PEM. They are read anew for each connection.
	ClientCertFile string
	ClientKeyFile  string

	// ProxyURL names a forward proxy, http or https, perhaps with a user and
	// password. Its own address is not judged, as it was named on purpose; where
	// the receiver's name leads is then for the proxy to judge. An https proxy
	// must satisfy CAFile too.
	ProxyURL setting.Secret

	// FinalStatus lists statuses after which no other attempt is made.
	FinalStatus []int
}

// A Sender sends to one receiver. It is a [notify.Sender].
type Sender struct {
	config    Config
	header    http.Header // the same in every attempt
	guard     *guard
	dialer    *net.Dialer
	tls       *tls.Config
	transport *http.Transport
}

var _ notify.Sender = (*Sender)(nil)

// New returns a sender for c, or all faults that c has.
func New(c Config) (*Sender, error) {
	if faults := c.Faults(); len(faults) > 0 {
		return nil, fmt.Errorf("webhook %q: %w", c.Name, errors.Join(faults...))
	}
	c.ContentType = cmp.Or(c.ContentType, defaultContentType)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, defaultMaxInFlight)
	config, err := c.tls()
	if err != nil {
		return nil, fmt.Errorf("webhook %q: %w", c.Name, err)
	}

	s := &Sender{
		config: c,
		header: make(http.Header),
		guard:  newGuard(c.AllowCIDRs),
		dialer: &net.Dialer{Timeout: openTimeout},
		tls:    config,
	}
	for name, value := range c.Headers {
		s.header.Set(name, value)
	}
	s.header.Set("Content-Type", c.ContentType)
	s.header.Set("User-Agent", userAgent)
	if c.ProxyURL.IsZero() {
		s.dialer.Control = s.guard.control // else it is the proxy that is dialled
	}
	s.transport = &http.Transport{
		Proxy:                  s.proxyFor,
		OnProxyConnectResponse: checkConnect,
		DialContext:            s.dialer.DialContext,
		TLSClientConfig:        config.Clone(), // the transport adds to it
		TLSHandshakeTimeout:    openTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
		MaxIdleConns:           c.MaxInFlight,
		MaxIdleConnsPerHost:    c.MaxInFlight,
		IdleConnTimeout:        idleTimeout,
	}
	return s, nil
}

// Target returns where the sender posts to as it may be shown: scheme, host and
// port, such as "https://classroom.example". It is empty while the URL cannot
// be read.
func (s *Sender) Target() string {
	target, err := s.target()
	if err != nil {
		return ""
	}
	return origin(target)
}

// target reads the URL.
func (s *Sender) target() (*url.URL, error) {
	target, err := readURL(s.config.URL)
	if err != nil {
		return nil, settingsError{fmt.Errorf("url: %w", err)}
	}
	return target, nil
}

// proxy reads the proxy's URL; nil where there is none.
func (s *Sender) proxy() (*url.URL, error) {
	if s.config.ProxyURL.IsZero() {
		return nil, nil
	}
	proxy, err := readURL(s.config.ProxyURL)
	if err != nil {
		return nil, settingsError{fmt.Errorf("proxy_url: %w", err)}
	}
	return proxy, nil
}

func (s *Sender) proxyFor(*http.Request) (*url.URL, error) { return s.proxy() }

// keys reads the secrets.
func (s *Sender) keys() ([]signing.Key, error) {
	keys := make([]signing.Key, len(s.config.Secrets))
	for i, secret := range s.config.Secrets {
		key, err := readKey(secret)
		if err != nil {
			return nil, settingsError{fmt.Errorf("secrets[%d]: %w", i, err)}
		}
		keys[i] = key
	}
	return keys, nil
}

// Check tells whether the receiver can be reached: it opens a connection under
// the same rules as an attempt, with the TLS handshake where the URL is https,
// and sends nothing over it. Where a proxy is set, the proxy is reached for
// instead. The error is a [*notify.SendError].
func (s *Sender) Check(ctx context.Context) error {
	parent := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, s.config.Timeout, lateError(s.config.Timeout))
	defer cancel()

	target, err := s.target()
	if err != nil {
		return failure{parent: parent, err: err}.sorted()
	}
	_, err = s.keys()
	err = cmp.Or(err, s.judge(target))
	proxy, proxyErr := s.proxy()
	if err = cmp.Or(err, proxyErr); err == nil {
		err = s.reach(ctx, cmp.Or(proxy, target))
	}
	if err != nil {
		return failure{parent: parent, err: err, host: target.Host, proxied: proxy != nil}.sorted()
	}
	return nil
}

// reach opens a connection to u's host and closes it.
func (s *Sender) reach(ctx context.Context, u *url.URL) error {
	address := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPorts[u.Scheme]))
	dial := s.dialer.DialContext
	if u.Scheme == "https" {
		dial = (&tls.Dialer{NetDialer: s.dialer, Config: s.tls}).DialContext
	}
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// judge refuses a receiver whose URL holds an address that may not be dialled.
// What a name leads to is judged when it is dialled; a proxy, however, would
// dial the address itself.
func (s *Sender) judge(target *url.URL) error {
	addr, err := netip.ParseAddr(target.Hostname())
	if err != nil {
		return nil // a name
	}
	return s.guard.check(addr)
}

// final tells whether an answer of this status ends the delivery.
func (s *Sender) final(status int) bool { return slices.Contains(s.config.FinalStatus, status) }
