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
//     certificates are read when they are used.
//
// Proxies of the environment (HTTP_PROXY and the like) are not used: only the
// one that is configured.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
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
	// An Authorization here stands before a user in URL.
	Headers map[string]setting.Secret

	// Timeout bounds an attempt, the reading of its answer included; default 15 s.
	Timeout time.Duration
	// MaxInFlight is how many attempts are made at a time, and so how many
	// connections are kept open between them; default 8.
	MaxInFlight int

	// AllowCIDRs opens address ranges that are refused otherwise: private and
	// other special ones, loopback too. Metadata services of clouds stay closed.
	AllowCIDRs []netip.Prefix

	// CAFile holds the certificates of those who may vouch for the receiver, in
	// PEM: they alone, the system's then have no say. It is read anew for each
	// attempt.
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
	config Config
	header http.Header // of pushwatch itself, the same in every attempt
	guard  *guard
	dialer *net.Dialer

	mu  sync.Mutex
	way *way // the last that was taken
}

// A way is how the receiver is reached, for as long as CAFile stays as it is.
type way struct {
	authorities []byte // what stands in CAFile
	tls         *tls.Config
	transport   *http.Transport
}

var _ notify.Sender = (*Sender)(nil)

// New returns a sender for c, or all faults that c has.
func New(c Config) (*Sender, error) {
	if faults := c.Validate(); len(faults) > 0 {
		return nil, fmt.Errorf("webhook %q: %w", c.Name, errors.Join(faults...))
	}
	c.ContentType = cmp.Or(c.ContentType, defaultContentType)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, defaultMaxInFlight)

	s := &Sender{
		config: c,
		header: make(http.Header),
		guard:  newGuard(c.AllowCIDRs),
		dialer: &net.Dialer{Timeout: openTimeout},
	}
	s.header.Set("Content-Type", c.ContentType)
	s.header.Set("User-Agent", userAgent)
	if c.ProxyURL.IsZero() {
		s.dialer.Control = s.guard.control // else it is the proxy that is dialled
	}
	if _, err := s.reachable(); err != nil {
		return nil, fmt.Errorf("webhook %q: %w", c.Name, err)
	}
	return s, nil
}

// reachable returns the way by which the receiver is reached now. Where CAFile has
// changed that is a new one, and no connection that was opened before is used again.
func (s *Sender) reachable() (*way, error) {
	authorities, err := s.config.authorities()
	if err != nil {
		return nil, settingsError{err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.way != nil && bytes.Equal(authorities, s.way.authorities) {
		return s.way, nil
	}
	config, err := s.config.tls(authorities)
	if err != nil {
		return nil, settingsError{err}
	}
	if s.way != nil {
		s.way.transport.CloseIdleConnections()
	}
	s.way = &way{authorities: authorities, tls: config, transport: &http.Transport{
		Proxy:                  s.proxy,
		OnProxyConnectResponse: checkConnect,
		DialContext:            s.dialer.DialContext,
		TLSClientConfig:        config.Clone(), // the transport adds to it
		TLSHandshakeTimeout:    openTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
		MaxIdleConns:           s.config.MaxInFlight,
		MaxIdleConnsPerHost:    s.config.MaxInFlight,
		IdleConnTimeout:        idleTimeout,
	}}
	return s.way, nil
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
func (s *Sender) proxy(*http.Request) (*url.URL, error) {
	if s.config.ProxyURL.IsZero() {
		return nil, nil
	}
	proxy, err := readURL(s.config.ProxyURL)
	if err != nil {
		return nil, settingsError{fmt.Errorf("proxy_url: %w", err)}
	}
	return proxy, nil
}

// prepare reads what an attempt needs: where to send it, and what to sign it
// with. A URL with an address that may not be dialled is refused here already,
// since a proxy would dial it by itself.
func (s *Sender) prepare() (*url.URL, []signing.Key, error) {
	target, err := s.target()
	if err != nil {
		return nil, nil, err
	}
	if addr, err := netip.ParseAddr(target.Hostname()); err == nil { // else a name
		if err := s.guard.check(addr); err != nil {
			return nil, nil, err
		}
	}
	keys := make([]signing.Key, len(s.config.Secrets))
	for i, secret := range s.config.Secrets {
		if keys[i], err = readKey(secret); err != nil {
			return nil, nil, settingsError{fmt.Errorf("secrets[%d]: %w", i, err)}
		}
	}
	return target, keys, nil
}

// Check tells whether the receiver can be reached: it opens a connection under
// the same rules as an attempt, with the TLS handshake where the URL is https,
// and sends nothing over it. Where a proxy is set, it is the proxy that is
// reached for. The error is a [*notify.SendError].
func (s *Sender) Check(ctx context.Context) error {
	f := failure{parent: ctx}
	ctx, cancel := context.WithTimeoutCause(ctx, s.config.Timeout, lateError(s.config.Timeout))
	defer cancel()

	target, _, err := s.prepare()
	if err == nil {
		f.host = target.Host
		var proxy *url.URL
		if proxy, err = s.proxy(nil); err == nil {
			f.proxied = proxy != nil
			err = s.reach(ctx, cmp.Or(proxy, target))
		}
	}
	if err != nil {
		f.err = err
		return f.sorted()
	}
	return nil
}

// reach opens a connection to u's host and closes it.
func (s *Sender) reach(ctx context.Context, u *url.URL) error {
	address := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPorts[u.Scheme]))
	dial := s.dialer.DialContext
	if u.Scheme == "https" {
		way, err := s.reachable()
		if err != nil {
			return err
		}
		dial = (&tls.Dialer{NetDialer: s.dialer, Config: way.tls}).DialContext
	}
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}
